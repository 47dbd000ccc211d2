"""Tables come in as they are, and what cannot be used is named."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.io.tables import read_table, write_cohort


def _table():
    return pd.DataFrame({"who": ["a", "b"], "x": [1.5, np.nan], "n": [1, 2]})


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".txt", "\t")])
def test_text_tables_come_in_as_they_are(tmp_path, suffix, separator):
    _table().to_csv(tmp_path / f"t{suffix}", sep=separator, index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / f"t{suffix}"), _table())


def test_anndata_goes_out_and_comes_in(tmp_path):
    path = tmp_path / "t.h5ad"
    obs = pd.DataFrame({"site": ["a", "b"], "sex": ["F", None], "mixed": [1, "x"]}, index=[7, 9])
    features = pd.DataFrame({"f": [1.0, np.nan], "g": [2.0, 3.0]}, index=[7, 9])
    write_cohort(
        path,
        features,
        obs,
        layers={"harmonized": np.ones((2, 2))},
        obsm={"X_harmony": np.zeros((2, 3))},
        uns={"spondyl": {"version": "1"}},
    )
    back = read_table(path)
    assert list(back.columns) == ["f", "g", "site", "sex", "mixed"]
    np.testing.assert_array_equal(back[["f", "g"]], features)
    assert back.site.tolist() == ["a", "b"]
    import anndata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = anndata.read_h5ad(path)
    np.testing.assert_array_equal(content.layers["harmonized"], np.ones((2, 2)))
    assert content.obsm["X_harmony"].shape == (2, 3)
    assert content.uns["spondyl"]["version"] == "1"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.xlsx", b"", "ending in .csv, .tsv, .txt or .h5ad, got t.xlsx"),
        ("t.csv", None, "t.csv was not found"),
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"a,b\n", "at least one row, got"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6,7,8\n", "cannot be read"),
        ("t.csv", b"\xff\xfe\x00a", "cannot be read"),
        ("t.csv", b"a,b,a\n1,2,3\n", "'a' stand twice"),
        ("t.h5ad", b"no archive", "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / name)
