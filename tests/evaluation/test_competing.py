"""Risks where another event may come first: against lifelines, against truth without censoring, and against itself."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.competing import (
    competing_brier,
    competing_calibration,
    competing_decision_curve,
    cumulative_incidence,
    incidence_pseudo_values,
)
from spondyl.evaluation.survival_calibration import pseudo_values


def _cohort(n=600, seed=0, *, censored=True):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    first, other = rng.exponential(12 * np.exp(-0.8 * x)), rng.exponential(20, n)
    leaves = rng.uniform(4, 25, n) if censored else np.full(n, 1e3)
    time = np.minimum(np.minimum(first, other), leaves)
    rate, total = np.exp(0.8 * x) / 12, np.exp(0.8 * x) / 12 + 1 / 20
    truth = rate / total * (1 - np.exp(-total * 6.0))
    return time, np.where(time == leaves, 0, np.where(first < other, 1, 2)), truth


def test_incidence_is_that_of_lifelines():
    from lifelines import AalenJohansenFitter

    time, event, _ = _cohort(200)
    theirs = AalenJohansenFitter(calculate_variance=False).fit(time, event, event_of_interest=1)
    for at in (2.0, 6.0, 12.0):
        expected = float(theirs.cumulative_density_.loc[: at + 1e-9].iloc[-1, 0])
        assert cumulative_incidence(time, event, at) == pytest.approx(expected, abs=1e-6)


def test_pseudo_values_are_those_of_leaving_out():
    time, event, _ = _cohort(40, 1)
    whole, found = cumulative_incidence(time, event, 6.0), incidence_pseudo_values(time, event, 6.0)
    for row in range(40):
        rest = np.arange(40) != row
        without = cumulative_incidence(time[rest], event[rest], 6.0)
        assert found[row] == pytest.approx(40 * whole - 39 * without, abs=1e-9)


def test_pseudo_values_are_outcomes_where_nothing_is_censored():
    time, event, _ = _cohort(100, 2, censored=False)
    found = incidence_pseudo_values(time, event, 6.0)
    np.testing.assert_allclose(found, (time <= 6) & (event == 1), atol=1e-9)


def test_without_competing_events_they_are_those_of_kaplan_meier():
    time, event, _ = _cohort(80, 3)
    single = (event == 1).astype(int)
    np.testing.assert_allclose(
        incidence_pseudo_values(time, single, 6.0), pseudo_values(time, single == 1, 6.0), atol=1e-9
    )


def test_true_risks_are_calibrated_and_deaths_as_censored_are_not():
    time, event, truth = _cohort(3000, 4)
    found = competing_calibration(time, event, truth, 6.0)
    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    assert found.observed_to_expected.value == pytest.approx(1, abs=0.06)
    assert found.ici < 0.03
    assert "intercept" in str(found.table())


@pytest.mark.parametrize("stretch", [0.5, 1.6])
def test_the_slope_tells_risks_that_are_too_far_apart(stretch):
    time, event, truth = _cohort(4000, 5)
    x = np.log(-np.log1p(-truth))
    off = -np.expm1(-np.exp(x.mean() + stretch * (x - x.mean())))
    assert competing_calibration(time, event, off, 6.0).slope.value == pytest.approx(1 / stretch, rel=0.12)


def test_true_risks_score_and_help_best():
    time, event, truth = _cohort(2000, 6)
    same = np.full(len(time), truth.mean())
    ours, null = (competing_brier(time, event, p[:, None], [6.0])[0] for p in (truth, same))
    assert ours < null
    curve = competing_decision_curve(time, event, {"truth": truth, "same": same}, 6.0, thresholds=(0.4,))
    assert curve.net_benefit[0, 0] > curve.net_benefit[1, 0] - 1e-12
    assert curve.net_benefit[-1, 0] == 0


def test_what_cannot_be_used_is_refused():
    time, event, truth = _cohort(50)
    with pytest.raises(InputError, match="somebody must be followed"):
        competing_calibration(time, event, truth, 99.0)
    with pytest.raises(InputError, match="0 or above"):
        cumulative_incidence(-time, event, 6.0)
    with pytest.raises(SettingsError, match="thresholds"):
        competing_decision_curve(time, event, {"a": truth}, 6.0, thresholds=(0.0,))
