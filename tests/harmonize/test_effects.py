"""Tests of scanner and biology give the textbook's numbers, on whole tables and with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fake_cohorts import cohort
from spondyl.harmonize.design import learn_covariates
from spondyl.harmonize.effects import (
    confounding,
    explained_by_covariates,
    explained_by_scanner,
    spread_by_scanner,
)

NONE = np.zeros((0, 0))


def _values():
    drawn = cohort(31, n=90, p=6, k=3)
    return drawn.table[drawn.names].to_numpy(), np.arange(90) % 3, drawn.table


def test_analysis_of_variance_is_that_of_the_textbook():
    values, codes, _ = _values()
    got = explained_by_scanner(values, codes, np.zeros((90, 0)))
    for j in range(6):
        wanted = stats.f_oneway(*(values[codes == c, j] for c in range(3)))
        assert got.p_value[j] == pytest.approx(wanted.pvalue, rel=1e-8)
        assert got.share[j] == pytest.approx(wanted.statistic * 2 / (wanted.statistic * 2 + 87), rel=1e-8)


def test_the_test_of_spread_is_brown_and_forsythes():
    values, codes, _ = _values()
    got = spread_by_scanner(values, codes)
    for j in range(6):
        wanted = stats.levene(*(values[codes == c, j] for c in range(3)), center="median")
        assert got.p_value[j] == pytest.approx(wanted.pvalue, rel=1e-8)


def test_gaps_leave_out_patients_and_constants_say_nothing():
    values, codes, _ = _values()
    values[:10, 0] = np.nan
    values[codes == 2, 1] = np.nan
    values[:, 2] = 5.0
    means = explained_by_scanner(values, codes, np.zeros((90, 0)))
    spreads = spread_by_scanner(values, codes)
    kept = slice(10, None)
    wanted = stats.f_oneway(*(values[kept][codes[kept] == c, 0] for c in range(3)))
    assert means.p_value[0] == pytest.approx(wanted.pvalue, rel=1e-8)
    assert means.p_value[1] == pytest.approx(stats.f_oneway(values[codes == 0, 1], values[codes == 1, 1]).pvalue)
    assert np.isnan(means.share[2])
    assert np.isfinite(spreads.p_value[1])


def test_a_covariate_explains_the_square_of_its_correlation():
    values, _, table = _values()
    covariates = learn_covariates(table, ["age"])
    got = explained_by_covariates(values, covariates, covariates.columns(table)[0])["age"]
    wanted = [stats.pearsonr(table.age, values[:, j]) for j in range(6)]
    np.testing.assert_allclose(got.share, [w.statistic**2 for w in wanted])
    np.testing.assert_allclose(got.p_value, [w.pvalue for w in wanted], rtol=1e-6)


def test_covariates_are_tested_beside_each_other():
    values, _, table = _values()
    table["copy"] = table.age + np.random.default_rng(1).normal(0, 0.5, 90)
    covariates = learn_covariates(table, ["age", "copy"])
    got = explained_by_covariates(values, covariates, covariates.columns(table)[0])
    assert (got["age"].share + got["copy"].share < 0.2).all()


def test_tables_of_scanner_and_outcome_get_a_verdict():
    rng = np.random.default_rng(2)
    site = pd.Series(np.repeat(["a", "b"], 100))
    free = confounding(site, pd.Series(rng.choice(["yes", "no"], 200)))
    assert free.verdict == "ok"
    assert free.association < 0.2
    tangled = confounding(site, pd.Series(np.where(rng.random(200) < np.where(site == "a", 0.9, 0.15), "yes", "no")))
    assert tangled.verdict == "warn"
    tied = confounding(site, pd.Series(np.where(site == "a", "yes", "no")))
    assert tied.verdict == "tied"
    assert tied.association == pytest.approx(1.0, abs=0.01)
    assert tied.table.to_numpy().sum() == 200


def test_a_numeric_outcome_has_means_by_scanner():
    rng = np.random.default_rng(3)
    site = pd.Series(np.repeat(["a", "b"], 100))
    far = confounding(site, pd.Series(rng.normal(np.where(site == "a", 0, 3), 1)))
    assert far.verdict == "warn"
    assert list(far.table.columns) == ["count", "mean", "std"]
    assert confounding(site, pd.Series(rng.normal(0, 1, 200))).verdict == "ok"
    one = confounding(site, pd.Series([0, 1] * 100))
    assert one.table.shape == (2, 2)
    assert confounding(site, pd.Series([np.nan] * 100 + ["x"] * 100)).verdict == "ok"
