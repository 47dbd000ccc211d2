"""Tests against published values, R, statsmodels, and their own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.comparison import (
    benjamini_hochberg,
    bootstrap_difference,
    holm,
    mcnemar,
    paired_shares,
    tango_interval,
    tango_statistic,
)
from spondyl.evaluation.roc import roc_areas


def answers(both, first, second, neither):
    a = np.repeat([1, 1, 0, 0], [both, first, second, neither])
    b = np.repeat([1, 0, 1, 0], [both, first, second, neither])
    return a, b


@pytest.mark.parametrize(
    ("method", "statistic", "p"),
    [
        ("chi2", 17.35593220338983, 3.099293441045218e-05),
        ("corrected", 16.81779661, 4.114562281e-05),
        ("exact", math.nan, 3.7159361395713866e-05),
    ],
)
def test_published_approval_of_the_prime_minister(method, statistic, p):
    # Agresti 1990, Categorical data analysis, section 10.1: 150 against 86 of 1600; p values of R 4.2 (mcnemar.test).
    found = mcnemar(86, 150, method)
    assert found.statistic == pytest.approx(statistic, rel=1e-8, nan_ok=True)
    assert found.p_value == pytest.approx(p, rel=1e-9)


def test_mcnemar_agrees_with_statsmodels():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for b, c in ((0, 5), (3, 3), (9, 2)):
        table = [[10, b], [c, 10]]
        assert mcnemar(b, c).p_value == pytest.approx(tables.mcnemar(table, exact=True).pvalue)
        corrected = tables.mcnemar(table, exact=False, correction=True).pvalue
        assert b == c or mcnemar(b, c, "corrected").p_value == pytest.approx(corrected)


def test_mid_p_lies_between():
    assert mcnemar(9, 2, "chi2").p_value < mcnemar(9, 2, "mid-p").p_value + 0.02
    assert mcnemar(9, 2, "mid-p").p_value < mcnemar(9, 2, "exact").p_value


def test_answers_that_never_differ():
    for method in ("exact", "mid-p", "chi2", "corrected"):
        assert mcnemar(0, 0, method).p_value == 1.0


def test_bad_counts_and_methods_are_named():
    with pytest.raises(InputError, match="must not be negative"):
        mcnemar(-1, 2)
    with pytest.raises(SettingsError, match="exact, mid-p, chi2 or corrected"):
        mcnemar(1, 2, "best")


@pytest.mark.parametrize(
    ("b", "c", "n", "expected"),
    [
        (150, 86, 1600, (0.02136156475478729, 0.05899803330569951)),
        (1, 0, 44, (-0.05939323111662792, 0.118077096982132812)),
        (9, 2, 30, (0.0189052804743051, 0.4342796071477926)),
    ],
)
def test_tango_interval_is_the_closed_form(b, c, n, expected):
    # Roots of the quartic of Yang, Sun & Hardin 2013, doi 10.1002/sim.5613, by polyroot in R 4.2.
    assert tango_interval(b, c, n) == pytest.approx(expected, abs=1e-9)


def test_tango_interval_where_nothing_or_everything_differs():
    low, high = tango_interval(0, 0, 10)
    assert low == pytest.approx(-high)
    assert tango_interval(10, 0, 10)[1] == 1.0
    assert tango_interval(0, 10, 10)[0] == -1.0


def test_tango_statistic_at_zero_is_mcnemar():
    assert tango_statistic(9, 2, 30, 0.0) ** 2 == pytest.approx(mcnemar(9, 2, "chi2").statistic)


def test_paired_shares_give_difference_interval_and_test():
    found = paired_shares(*answers(700, 150, 86, 664))
    assert found.value == pytest.approx(0.04)
    assert (found.low, found.high) == pytest.approx((0.021361565, 0.058998033))
    assert found.p_value == pytest.approx(3.099293441045218e-05)
    assert found.statistic > 0
    same = paired_shares([1, 0, 1], [1, 0, 1])
    assert (same.value, same.p_value) == (0, 1)


def test_paired_shares_of_patients_with_copies_are_those_of_patients(rng):
    a, b = rng.random(80) < 0.8, rng.random(80) < 0.6
    single = paired_shares(a, b)
    copied = paired_shares(np.repeat(a, 4), np.repeat(b, 4), patients=np.repeat(np.arange(80), 4))
    assert copied.value == pytest.approx(single.value)
    assert copied.standard_error == pytest.approx(single.standard_error, rel=0.02)
    assert "clustered" in copied.method


def test_the_bootstrap_agrees_with_delong(rng):
    truth = rng.random(200) < 0.4
    scores = rng.normal(size=(2, 200)) + truth * np.array([[1.5], [0.8]])
    exact = roc_areas(truth, scores).compare("model 1", "model 2")

    def areas(rows):
        found = roc_areas(truth[rows], scores[:, rows]).areas
        return found[0], found[1]

    found = bootstrap_difference(areas, 200, resampling=Resampling(600, seed=1))
    assert found.value == pytest.approx(exact.value)
    assert found.standard_error == pytest.approx(exact.standard_error, rel=0.12)
    assert found.p_value <= 0.05


def test_the_bootstrap_never_shows_more_than_its_number():
    found = bootstrap_difference(lambda _: (1.0, 0.0), 10, resampling=Resampling(99))
    assert found.p_value == pytest.approx(0.02)


def test_adjusted_p_values_as_in_r():
    # R 4.2: p.adjust(c(.01, .04, .03, .005, .2), "holm") and "BH".
    p = (0.01, 0.04, 0.03, 0.005, 0.2)
    assert holm(p) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])
    assert benjamini_hochberg(p) == pytest.approx([0.025, 0.05, 0.05, 0.025, 0.2])


def test_adjusted_p_values_agree_with_statsmodels(rng):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = rng.random(30) ** 3
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multitest.multipletests(p, method="fdr_bh")[1])


def test_what_cannot_be_tested_stays_out_of_the_adjustment():
    assert holm([math.nan, 0.02, 0.5]) == pytest.approx([math.nan, 0.04, 0.5], nan_ok=True)
    assert holm([]).size == 0
    with pytest.raises(InputError, match="from 0 to 1"):
        holm([1.5])
