"""Drift: distances with known values, and tests that are silent where nothing changed."""

import math

import numpy as np
import pytest
from scipy import stats

from spondyl.core import InputError
from spondyl.evaluation.drift import Period, drift, flag_shifts, score_shift, stability_index
from spondyl.evaluation.generalization import Readings


def _period(name, shift=0.0, n=60, seed=0, flags=()):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * truth + shift)))
    return Period(name, Readings(truth, score, 0.5), score, [flags] * n)


def test_equal_periods_show_nothing():
    found = drift(_period("a"), _period("b"))
    assert found.performance.area.value == 0
    assert found.scores.statistic == 0
    assert found.scores.stability_index == 0
    assert found.flags == ()


def test_a_shift_of_the_answers_is_seen_where_ranks_keep():
    found = drift(_period("a"), _period("b", shift=1.5))
    assert found.performance.area.value == pytest.approx(0)
    assert found.scores.p_value < 0.001
    assert found.scores.stability_index > 0.25
    assert found.performance.external.scores.specificity.value < found.performance.internal.scores.specificity.value
    assert "p = " in str(found.table())


def test_the_distance_is_that_of_scipy():
    a, b = np.random.default_rng(1).random(30), np.random.default_rng(2).random(40) ** 2
    found, expected = score_shift(a, b), stats.ks_2samp(a, b)
    assert (found.statistic, found.p_value) == (expected.statistic, expected.pvalue)


def test_the_stability_index_of_two_known_histograms():
    before, after = np.repeat([0.1, 0.9], [500, 500]), np.repeat([0.1, 0.9], [200, 800])
    shares = (np.array([500, 500]) + 0.5) / 1001, (np.array([200, 800]) + 0.5) / 1001
    expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert stability_index(before, after, n_bins=2) == pytest.approx(expected)
    assert expected == pytest.approx(0.3 * math.log(0.8 / 0.5) + 0.3 * math.log(0.5 / 0.2), rel=0.01)


def test_few_answers_have_no_stability_index_and_none_at_all_is_an_error():
    assert math.isnan(stability_index([0.1, 0.2], [0.3]))
    with pytest.raises(InputError):
        score_shift([], [0.1])


def test_flags_that_became_frequent_come_first_with_an_exact_test():
    before, after = [("a",)] + [()] * 9, [("a", "b")] * 8 + [()] * 2
    found = flag_shifts(before, after)
    assert [f.code for f in found] == ["b", "a"]
    assert found[0].p_value == pytest.approx(stats.fisher_exact([[0, 10], [8, 2]])[1])
    assert found[1].adjusted_p >= found[1].p_value


def test_scores_and_flags_of_a_period_must_be_of_the_same_studies():
    with pytest.raises(InputError, match="2 and 1"):
        Period("a", Readings([True, False], [0.1, 0.2], 0.5), np.array([0.1, 0.2]), [()])
