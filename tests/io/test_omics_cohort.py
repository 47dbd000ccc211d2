import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.io.omics_cohort import read_cohort_tables, write_cohort_folder, write_embedding

IDS = ["a", "b", "c"]


def folder(tmp_path, **tables):
    patients = tables.pop("patients", pd.DataFrame({"site": ["x", "y", "x"]}, index=IDS))
    write_cohort_folder(tmp_path, patients, tables)
    return tmp_path


def table(**columns):
    return pd.DataFrame(columns, index=IDS)


def test_what_was_written_is_read_again(tmp_path):
    got = read_cohort_tables(folder(tmp_path, imaging=table(T1_contrast=[1.0, 2.0, np.nan])))
    assert list(got.patients["site"]) == ["x", "y", "x"]
    assert got.modalities["imaging"].loc["b", "T1_contrast"] == 2.0
    assert np.isnan(got.modalities["imaging"].loc["c", "T1_contrast"])


def test_former_gene_names_become_todays_and_this_is_said(tmp_path):
    got = read_cohort_tables(folder(tmp_path, mutations=table(MLL2=[0, 1, 0], TP53=[1, 0, 0])))
    assert list(got.modalities["mutations"].columns) == ["KMT2D", "TP53"]
    assert any("MLL2" in note for note in got.notes)


def test_two_names_of_one_gene_are_one_column(tmp_path):
    got = read_cohort_tables(folder(tmp_path, mutations=table(KMT2D=[0, 1, 0], MLL2=[1, 0, 0])))
    assert got.modalities["mutations"]["KMT2D"].tolist() == [0, 1, 0]
    assert any("repeat a gene" in note for note in got.notes)


@pytest.mark.parametrize(("values", "word"), [([3.0, 7.0, 12.0], "already"), ([0.0, 1023.0, 7.0], "not on a log")])
def test_the_scale_of_expression_is_told(tmp_path, values, word):
    got = read_cohort_tables(folder(tmp_path, expression=table(TP53=values)))
    assert any(word in note for note in got.notes)
    if word != "already":
        assert got.modalities["expression"].loc["b", "TP53"] == 10.0


def test_rows_of_strangers_are_counted_and_set_aside(tmp_path):
    strange = pd.DataFrame({"T1_contrast": [1.0, 2.0]}, index=["a", "stranger"])
    got = read_cohort_tables(folder(tmp_path, imaging=strange))
    assert list(got.modalities["imaging"].index) == ["a"]
    assert any("1 rows of imaging" in note for note in got.notes)
    assert "stranger" not in " ".join(got.notes)


def test_ids_that_never_meet_are_refused(tmp_path):
    with pytest.raises(InputError, match="no id in imaging"):
        read_cohort_tables(folder(tmp_path, imaging=pd.DataFrame({"v": [1.0]}, index=["z"])))


def test_a_patient_with_two_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="1 rows repeat an id"):
        read_cohort_tables(folder(tmp_path, imaging=pd.DataFrame({"v": [1.0, 2.0]}, index=["a", "a"])))


@pytest.mark.parametrize("name", ["empty", "cohort.xlsx"])
def test_what_is_no_cohort_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    with pytest.raises(InputError):
        read_cohort_tables(path)


def test_a_damaged_mudata_file_is_refused(tmp_path):
    (tmp_path / "c.h5mu").write_bytes(b"\x89HDF\r\n\x1a\n broken")
    with pytest.raises(InputError, match=r"c\.h5mu cannot be read"):
        read_cohort_tables(tmp_path / "c.h5mu")


def test_an_embedded_mudata_can_be_a_cohort_again(tmp_path):
    patients = pd.DataFrame({"site": ["x", "y", "x"]}, index=IDS)
    given = {"imaging": table(T1_contrast=[1.0, 2.0, 3.0])}
    write_embedding(tmp_path / "c.h5mu", np.zeros((3, 2)), patients, obsm={}, uns={}, modalities=given)
    got = read_cohort_tables(tmp_path / "c.h5mu")
    assert got.modalities["imaging"].loc["c", "T1_contrast"] == 3.0
    assert got.patients.loc["b", "site"] == "y"
