"""HarmonySpine behaves as a scikit-learn transformer and keeps what patients are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from fake_cohorts import cohort
from spondyl.core import InputError, SettingsError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.harmony_spine import PREDICTED, HarmonySpine


def test_scanner_effects_go_and_the_effect_of_age_stays():
    drawn = cohort(11, n=400)
    done = HarmonySpine(site="scanner", keep=("age",)).fit_transform(drawn.table)
    before = drawn.table[drawn.names].to_numpy()

    def spread(values):
        return pd.DataFrame(values).groupby(drawn.table.scanner).mean().std().to_numpy()

    assert (spread(done) < 0.5 * spread(before)).mean() > 0.9
    age = drawn.table.age - drawn.table.age.mean()
    slope = [np.polyfit(age, column, 1)[0] for column in drawn.truth.T]
    kept = [np.polyfit(age, column, 1)[0] for column in done.T]
    np.testing.assert_allclose(kept, slope, atol=0.1 * np.abs(slope).max())


def test_fit_transform_is_fit_then_transform_and_one_by_one():
    table = cohort(12).table
    model = HarmonySpine(site="scanner", smooth=("age",))
    whole = model.fit_transform(table)
    np.testing.assert_array_equal(clone(model).fit(table).transform(table), whole)
    for row in (0, 61, 119):
        np.testing.assert_allclose(model.transform(table.iloc[[row]])[0], whole[row], rtol=1e-10)


def test_patients_may_be_described_beside_the_features():
    drawn = cohort(13)
    values, obs = drawn.table[drawn.names], drawn.table[["scanner", "age"]]
    wanted = HarmonySpine(site="scanner", keep=("age",)).fit_transform(drawn.table)
    for features in (values, values.to_numpy()):
        model = HarmonySpine(site="scanner", keep=("age",)).fit(features, obs=obs)
        np.testing.assert_array_equal(model.transform(features, obs=obs), wanted)


def test_the_outcome_is_never_looked_at():
    drawn = cohort(14)
    y = np.random.default_rng(0).integers(0, 2, len(drawn.table))
    model = HarmonySpine(site="scanner")
    np.testing.assert_array_equal(
        model.fit(drawn.table, y).transform(drawn.table), model.fit(drawn.table).transform(drawn.table)
    )


def test_it_is_fitted_inside_every_fold_of_a_pipeline():
    drawn = cohort(15, n=200)
    rng = np.random.default_rng(15)
    y = (drawn.truth[:, 0] + rng.normal(0, 3, 200) > np.median(drawn.truth[:, 0])).astype(int)
    pipe = make_pipeline(HarmonySpine(site="scanner", keep=("age",)), LogisticRegression(max_iter=5000))
    pipe.set_params(logisticregression__C=1e-3)
    assert cross_val_score(pipe, drawn.table, y, cv=5).mean() > 0.7
    choices = {"harmonyspine__combat": [ComBatSettings(), ComBatSettings(shrink=False)]}
    assert GridSearchCV(pipe, choices, cv=3).fit(drawn.table, y).best_score_ > 0.7


def test_output_can_be_a_table_with_names():
    drawn = cohort(16)
    model = HarmonySpine(site="scanner").set_output(transform="pandas")
    done = model.fit_transform(drawn.table.drop(columns="age"))
    assert list(done.columns) == drawn.names
    assert done.index.equals(drawn.table.index)


def test_missing_values_are_predicted_said_and_less_sure():
    drawn = cohort(17, n=300, rank=2)
    table = drawn.table.copy()
    table.loc[table.index[:40], "f3"] = np.nan
    model = HarmonySpine(site="scanner", keep=("age",)).fit(table)
    got = model.harmonize(table)
    assert np.isfinite(got.values).all()
    np.testing.assert_array_equal(np.flatnonzero(got.predicted[:, 3]), np.arange(40))
    assert got.predicted.sum() == 40
    assert all(PREDICTED in flags for flags in got.flags[:40])
    assert not any(PREDICTED in flags for flags in got.flags[40:])
    assert got.sd[:40, 3].min() > np.median(got.sd[40:, 3])


def test_without_a_space_missing_values_stay_missing():
    table = cohort(17).table
    table.loc[0, "f3"] = np.nan
    got = HarmonySpine(site="scanner", dimension=None).fit(table).harmonize(table)
    assert np.isnan(got.values[0, 3])
    assert np.isnan(got.sd[0, 3])
    assert got.predicted.sum() == 1
    assert np.isfinite(np.delete(got.values.ravel(), 3)).all()


def test_embedding_is_small_and_needs_a_space():
    table = cohort(18, n=300).table
    model = HarmonySpine(site="scanner", keep=("age",)).fit(table)
    assert model.embed(table).shape == (300, model.space_.dimension)
    assert model.space_.dimension < 10
    with pytest.raises(SettingsError, match="dimension is None"):
        HarmonySpine(site="scanner", dimension=None).fit(table).embed(table)


def test_unknown_age_and_odd_age_are_said():
    drawn = cohort(19)
    model = HarmonySpine(site="scanner", smooth=("age",)).fit(drawn.table)
    new = drawn.table.iloc[:3].copy()
    new["age"] = [np.nan, 130.0, 60.0]
    assert model.harmonize(new).flags == (("covariate_unknown",), ("covariate_outside_range",), ())


def test_the_tables_given_stay_as_they_were():
    table = cohort(20).table
    table.iloc[3, 4] = np.nan
    before = table.copy()
    model = HarmonySpine(site="scanner", keep=("age",)).fit(table)
    model.harmonize(table)
    model.embed(table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"site": "coil"}, InputError, "'coil', wanted as the scanner, is missing"),
        ({"site": ()}, SettingsError, "site names one column"),
        ({"site": ("scanner", "scanner")}, SettingsError, "site names one column"),
        ({"keep": ("scanner",)}, SettingsError, "'scanner' cannot be removed as scanner and kept"),
        ({"keep": ("confounded",)}, InputError, "cannot be told from that of 'confounded'"),
        ({"unseen": "guess"}, SettingsError, "got 'guess'"),
        ({"dimension": 500}, SettingsError, "dimension is 'auto'"),
    ],
)
def test_nonsense_is_refused_in_words(parameters, error, words):
    table = cohort(21).table
    table["confounded"] = table.scanner.str[1:].astype(float)
    with pytest.raises(error, match=words):
        HarmonySpine(**({"site": "scanner"} | parameters)).fit(table)


def test_an_unfitted_model_says_so():
    with pytest.raises(NotFittedError):
        HarmonySpine().transform(cohort(1).table)
