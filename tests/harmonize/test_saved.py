"""A saved harmonizer is the same when it comes back, and a damaged one is refused in words."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from fake_cohorts import cohort
from spondyl.core import InputError, OutputError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.unseen import UnseenSettings

MODELS = {
    "plain": {},
    "smooth": {"smooth": ["age"]},
    "covariance": {"keep": ("age",), "combat": ComBatSettings(covariance=True), "dimension": 2},
    "nested": {"site": ("vendor", "scanner"), "combat": ComBatSettings(parametric=False)},
    "nearest": {"unseen": UnseenSettings("nearest", ("vendor", "age")), "dimension": None},
    "repeated": {"subject": "who", "combat": ComBatSettings(shrink=False)},
}


def _table():
    table = cohort(7, n=90).table
    table["vendor"] = np.where(table.scanner.isin(["s0", "s1"]), "ge", "canon")
    table["who"] = np.arange(90) // 2
    return table


@pytest.mark.parametrize("name", MODELS)
def test_what_comes_back_gives_the_same_numbers(name, tmp_path):
    parameters = {"site": "scanner"} | MODELS[name]
    described = {"scanner", "age", "vendor", "who"} - set(HarmonySpine(**parameters).roles())
    table = _table().drop(columns=described)
    model = HarmonySpine(**parameters).fit(table)
    model.save(tmp_path / "model.npz")
    back = HarmonySpine.load(tmp_path / "model.npz")
    wanted, got = model.harmonize(table), back.harmonize(table)
    np.testing.assert_array_equal(got.values, wanted.values)
    np.testing.assert_array_equal(got.sd, wanted.sd)
    assert got.flags == wanted.flags
    assert back.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()
    assert back.measurement_source_ == model.measurement_source_


def test_the_file_holds_no_pickle_and_json_anyone_can_read(tmp_path):
    HarmonySpine(site="scanner", keep=("age",)).fit(_table().drop(columns=["vendor", "who"])).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert all(archive[name].dtype != object for name in archive.files)
    assert header["format"] == "spondyl-harmonizer"


def _damage(path, how):
    if how == "text":
        path.write_text("no archive")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif how == "other":
        np.savez(path, a=np.zeros(3))
    elif how == "missing":
        path.unlink()
    else:
        with np.load(path) as archive:
            arrays = dict(archive)
        header = json.loads(arrays["header"].tobytes())
        if how == "later":
            header["version"] = 99
        else:
            header["content"]["dict"][1][1]["dict"][0][1] = {"record": "os.system", "fields": {}}
        np.savez(path, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})


@pytest.mark.parametrize("how", ["text", "cut", "other", "missing", "later", "foreign record"])
def test_a_file_that_is_no_harmonizer_is_refused_in_words(how, tmp_path):
    path = tmp_path / "model.npz"
    HarmonySpine(site="scanner").fit(_table().drop(columns=["vendor", "who"])).save(path)
    _damage(path, how)
    with pytest.raises(InputError, match=r"model\.npz .*save the harmonizer again"):
        HarmonySpine.load(path)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    model = HarmonySpine(site="scanner").fit(_table().drop(columns=["vendor", "who"]))
    with pytest.raises(OutputError, match="choose another folder"):
        model.save(tmp_path / "nowhere" / "model.npz")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(OutputError, match=r"model\.npz cannot be written"):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_was_not_fitted_is_not_saved(tmp_path):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        HarmonySpine().save(tmp_path / "model.npz")
