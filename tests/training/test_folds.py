"""Patients are never split, every one is tested once, and folds are alike in size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.core import InputError
from spondyl.training.folds import patient_folds


@given(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=30), st.integers(2, 4), st.integers(0, 99))
def test_every_row_is_tested_once_and_patients_stay_together(patients, n_folds, seed):
    if len(set(patients)) < n_folds:
        return
    folds = patient_folds(patients, n_folds, seed)
    assert sorted(row for fold in folds for row in fold) == list(range(len(patients)))
    groups = [{patients[row] for row in fold} for fold in folds]
    assert sum(len(g) for g in groups) == len(set(patients))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert folds == patient_folds(patients, n_folds, seed)


def test_no_folds_are_no_folds():
    assert patient_folds(["a", "b"], 0, 1) == []


@pytest.mark.parametrize("n_folds", [1, 3])
def test_folds_that_are_not_possible_are_refused(n_folds):
    with pytest.raises(InputError, match="from 2 to 2 folds"):
        patient_folds(["a", "b", "a"], n_folds, 1)
