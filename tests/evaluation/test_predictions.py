"""Predictions out of fold are whole, fit their folds, and can be taken up again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.core.errors import InputError, OutputError
from spondyl.evaluation.folds import patient_folds
from spondyl.evaluation.predictions import PredictionStore


@pytest.fixture
def folds():
    return patient_folds(list("abcdef"), list("uuvwxy"), 3)


def test_what_is_written_is_read_in_the_order_of_the_cases(folds, tmp_path):
    store = PredictionStore(tmp_path / "run", folds)
    store.write_all("reader 1", np.arange(6.0), {"seconds": 1.5})
    again = PredictionStore(tmp_path / "run")
    assert again.models == ("reader 1",)
    found = again.read("reader 1")
    assert found.scores.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.notes[0]["seconds"] == 1.5


def test_a_run_that_stopped_names_the_folds_that_lack(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    store.write("net", 1, {folds.cases[i]: 0.5 for i in folds.test_rows(1)})
    assert store.has("net", 1)
    assert not store.has("net", 0)
    with pytest.raises(InputError, match="net has not run in folds 0, 2 of 3"):
        store.read("net")


def test_scores_must_be_those_of_the_fold(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    with pytest.raises(InputError, match="are missing and 1 do not belong"):
        store.write("net", 0, {"stranger": 0.5})
    with pytest.raises(InputError, match="scores of net in fold 0 must be finite"):
        store.write("net", 0, {folds.cases[i]: np.nan for i in folds.test_rows(0)})
    with pytest.raises(InputError, match="one score for each of 6 cases, got 2"):
        store.write_all("net", [0.1, 0.2])
    assert store.models == ()


def test_other_folds_are_refused(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    store.write_all("net", np.arange(6.0))
    other = patient_folds(list("abcdef"), list("uuvwxy"), 2)
    with pytest.raises(InputError, match="holds predictions with other folds"):
        PredictionStore(tmp_path, other)
    path = tmp_path / "net" / "fold-01.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "fingerprint": "other"}))
    with pytest.raises(InputError, match="fold 1 of net was predicted with other folds"):
        store.read("net")


def test_damaged_files_are_named(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    store.write_all("net", np.arange(6.0))
    path = tmp_path / "net" / "fold-02.json"
    for content, words in (("{", "cannot be read"), ("[]", "must hold a JSON object")):
        path.write_text(content)
        with pytest.raises(InputError, match=f"fold-02.json in net {words}"):
            store.read("net")


def test_names_may_not_leave_the_folder(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    for name in ("../net", "", "a/b", "n" * 65):
        with pytest.raises(InputError, match="letters, digits"):
            store.write_all(name, np.arange(6.0))


def test_a_folder_without_folds_is_refused(tmp_path):
    with pytest.raises(InputError, match="no folds in"):
        PredictionStore(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(folds, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"folds\.json cannot be written"):
        PredictionStore(tmp_path / "file", folds)


def test_nothing_half_written_is_left(folds, tmp_path):
    store = PredictionStore(tmp_path, folds)
    store.write_all("net", np.arange(6.0))
    assert not list(tmp_path.rglob("*.part"))
