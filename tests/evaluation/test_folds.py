"""Folds keep patients together, are dealt evenly, and survive being written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.folds import Folds, patient_folds, site_folds


@pytest.fixture
def cohort(rng):
    """300 cases of 120 patients at three sites; a third of the patients have the disease."""
    patients = np.concatenate([np.arange(120), rng.integers(120, size=180)])
    sick, site = rng.random(120) < 0.33, rng.choice(list("ABC"), 120)
    truth = sick[patients] & (rng.random(300) < 0.8)
    cases = [f"c{i:03d}" for i in range(300)]
    return cases, [f"p{p:03d}" for p in patients], truth, site[patients].tolist()


def test_no_patient_is_on_both_sides(cohort):
    cases, patients, truth, sites = cohort
    names = np.array(patients)
    for folds in (patient_folds(cases, patients, 5, truth=truth, sites=sites), site_folds(cases, patients, sites)):
        tested = []
        for train, test in folds.split():
            assert not set(names[train]) & set(names[test])
            tested += test.tolist()
        assert sorted(tested) == list(range(300))


def test_folds_are_alike_in_size_outcome_and_site(cohort):
    cases, patients, truth, sites = cohort
    folds = patient_folds(cases, patients, 5, truth=truth, sites=sites, seed=4)
    rows = [test for _, test in folds.split()]
    assert np.ptp([len(r) for r in rows]) <= 8
    assert np.ptp([truth[r].sum() for r in rows]) <= 12
    for site in "ABC":
        assert np.ptp([(np.array(sites)[r] == site).sum() for r in rows]) <= 8


def test_the_seed_decides(cohort):
    cases, patients, truth, _ = cohort
    first, again, other = (patient_folds(cases, patients, 5, truth=truth, seed=s) for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert len({first.seed_of(n) for n in range(5)}) == 5


def test_a_patient_of_two_sites_is_never_trained_on_while_tested():
    folds = site_folds(["1", "2", "3", "4"], ["x", "x", "y", "z"], ["A", "B", "B", "A"])
    train, test = next(folds.split())
    assert test.tolist() == [0, 3]
    assert train.tolist() == [2]
    assert any("1 times a patient was seen at a further site" in f for f in folds.flags)


def test_inner_folds_never_see_the_tested_cases(cohort):
    cases, patients, truth, _ = cohort
    folds = patient_folds(cases, patients, 5, truth=truth)
    for number, (train, test) in enumerate(folds.split()):
        rows, inner = folds.inner(number, 3, truth)
        assert np.array_equal(rows, train)
        assert not {patients[i] for i in test} & set(inner.patients)
        assert len(inner) == 3


def test_folds_survive_being_written(cohort):
    cases, patients, truth, _ = cohort
    folds = patient_folds(cases, patients, 4, truth=truth, seed=9)
    again = Folds.from_dict(json.loads(json.dumps(folds.to_dict())))
    assert again.fingerprint == folds.fingerprint
    assert (again.scheme, again.seed, again.names) == (folds.scheme, 9, folds.names)
    assert "stratified by outcome" in str(again)


def test_few_patients_of_a_kind_are_flagged():
    folds = patient_folds(list("abcdef"), list("uvwxyz"), 3, truth=[1, 0, 0, 0, 0, 0])
    assert any("fewer than the folds" in f for f in folds.flags)


def test_leave_one_out_is_as_many_folds_as_patients():
    folds = patient_folds(list("abcd"), list("xxyz"), 3)
    assert sorted(len(test) for _, test in folds.split()) == [1, 1, 2]


@pytest.mark.parametrize("k", [1, 4])
def test_folds_must_fit_the_patients(k):
    with pytest.raises(SettingsError, match=r"from 2 to the number of patients \(3\), got"):
        patient_folds(list("abcd"), list("xxyz"), k)


def test_bad_columns_are_named():
    with pytest.raises(InputError, match="at least two sites"):
        site_folds(list("ab"), list("xy"), list("AA"))
    with pytest.raises(InputError, match="a name of its own, got 1 names for 2 cases"):
        patient_folds(["a", "a"], list("xy"), 2)
    with pytest.raises(InputError, match="one value per case"):
        patient_folds(list("ab"), list("xy"), 2, truth=[1])
    with pytest.raises(InputError, match="must test somebody"):
        Folds(("a", "b"), ("x", "y"), np.array([0, 0]), ("one", "two"), "by hand")
    with pytest.raises(InputError, match="leave somebody to train on"):
        Folds(("a", "b"), ("x", "x"), np.array([0, 1]), ("one", "two"), "by hand")
    with pytest.raises(InputError, match="numbered from 0 to 1"):
        Folds(("a", "b"), ("x", "y"), np.array([0, 2]), ("one", "two"), "by hand")
    with pytest.raises(InputError, match="needs a patient and a fold"):
        Folds(("a",), (), np.array([0]), ("one",), "by hand")
    with pytest.raises(InputError, match="no file of folds"):
        Folds.from_dict({"version": 1})
    good = Folds(("a", "b"), ("x", "y"), np.array([0, 1]), ("one", "two"), "by hand").to_dict()
    with pytest.raises(InputError, match="got version 2"):
        Folds.from_dict({**good, "version": 2})
