"""Covariates become the same columns for old and new patients, and ties with the scanner are found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.harmonize.design import OUTSIDE_RANGE, UNKNOWN_COVARIATE, check_separable, learn_covariates


def _patients():
    rng = np.random.default_rng(2_000_200)
    return pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], 80),
            "age": rng.integers(30, 90, 80),
            "kind": rng.choice(["lytic", "mixed", "sclerotic"], 80),
            "treated": rng.choice([True, False], 80),
        }
    )


def test_columns_have_mean_zero_over_the_training_patients():
    obs = _patients()
    covariates = learn_covariates(obs, ["sex", "age", "kind", "treated"], ["age"])
    columns, flags = covariates.columns(obs)
    assert columns.shape == (80, 1 + 9 + 2 + 1)
    assert covariates.width == columns.shape[1]
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-12)
    assert not any(rows.any() for rows in flags.values())


def test_one_patient_gets_the_columns_it_has_in_the_table():
    obs = _patients()
    covariates = learn_covariates(obs, ["sex", "kind"], ["age"])
    whole, _ = covariates.columns(obs)
    for row in (0, 33, 79):
        np.testing.assert_allclose(covariates.columns(obs.iloc[[row]])[0][0], whole[row])


def test_an_unknown_covariate_counts_as_the_average_and_is_said():
    covariates = learn_covariates(_patients(), ["sex", "kind"], ["age"])
    odd = pd.DataFrame({"sex": [None, "F"], "kind": ["lytic", "blastic"], "age": [np.nan, 50]})
    columns, flags = covariates.columns(odd)
    assert columns[0, 0] == 0
    assert (columns[1, 1:3] == 0).all()
    assert (columns[0, 3:] == 0).all()
    np.testing.assert_array_equal(flags[UNKNOWN_COVARIATE], [True, True])


def test_ages_beyond_the_training_range_are_said():
    obs = _patients()
    covariates = learn_covariates(obs, [], ["age"])
    new = pd.DataFrame({"age": [5, 60, 104]})
    columns, flags = covariates.columns(new)
    np.testing.assert_array_equal(flags[OUTSIDE_RANGE], [True, False, True])
    np.testing.assert_array_equal(columns[0], covariates.columns(pd.DataFrame({"age": [obs.age.min()]}))[0][0])


def test_only_smooth_terms_are_penalized():
    covariates = learn_covariates(_patients(), ["sex", "age", "treated"], ["age"])
    penalty = covariates.penalty()
    assert penalty.shape == (11, 11)
    assert np.trace(penalty) == pytest.approx(1)
    assert not penalty[0].any()
    assert not penalty[-1].any()


def test_a_covariate_tied_to_the_scanner_is_named():
    obs = _patients()
    site = np.arange(80) % 4
    obs["scanner_age"] = np.array([3.0, 8.0, 1.0, 9.0])[site]
    covariates = learn_covariates(obs, ["sex", "scanner_age"])
    with pytest.raises(InputError, match=r"'scanner' cannot be told from that of 'scanner_age'.*leave it out of keep"):
        check_separable(site, covariates, covariates.columns(obs)[0], "scanner")
    fine = learn_covariates(obs, ["sex", "age"])
    check_separable(site, fine, fine.columns(obs)[0], "scanner")


def test_covariates_tied_only_together_are_said_so():
    obs = _patients()
    obs["birth"] = 2020 - obs.age
    covariates = learn_covariates(obs, ["age", "birth"])
    with pytest.raises(InputError, match="the kept covariates together"):
        check_separable(np.arange(80) % 4, covariates, covariates.columns(obs)[0], "scanner")


def test_what_is_missing_or_no_number_is_named():
    obs = _patients()
    with pytest.raises(InputError, match="'weight', wanted as a kept covariate, is missing; the table has 'sex'"):
        learn_covariates(obs, ["weight"])
    with pytest.raises(InputError, match="'sex' must hold numbers"):
        learn_covariates(obs, [], ["sex"])
    with pytest.raises(InputError, match="'age' is to be kept, but all its values are missing"):
        learn_covariates(obs.assign(age=np.nan), ["age"])
    learned = learn_covariates(obs, ["age"])
    with pytest.raises(InputError, match="'age' must hold numbers here, got object"):
        learned.columns(obs.assign(age="old"))
    twice = pd.concat([obs, obs[["age"]]], axis=1)
    with pytest.raises(InputError, match="'age', wanted as a kept covariate, is there twice"):
        learn_covariates(twice, ["age"])
