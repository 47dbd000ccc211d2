"""Calibration and decision curves under censoring."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.decision import TREAT_ALL, decision_curve
from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.survival import Outcome
from spondyl.evaluation.survival_calibration import cox_slope, pseudo_values, survival_calibration
from spondyl.evaluation.survival_decision import survival_decision_curve


def simulated(rng, n=3000, censored=True):
    """Times from known risks of an event by time 5, and those risks."""
    hazard = np.exp(rng.normal(-2, 0.8, n))
    death = rng.exponential(1 / hazard)
    left = rng.uniform(2, 15, n) if censored else np.full(n, 1e9)
    return Outcome(np.minimum(death, left), death <= left), 1 - np.exp(-5 * hazard)


def test_pseudo_values_are_those_of_leaving_one_out(rng):
    for _ in range(60):
        n = int(rng.integers(3, 9))
        time, event = rng.integers(1, 5, n).astype(float), rng.random(n) < 0.6
        at = float(rng.integers(1, 5))
        if not event.any():
            continue
        whole = KaplanMeier.fit(time, event).at(at)
        without = [KaplanMeier.fit(np.delete(time, i), np.delete(event, i)).at(at) for i in range(n)]
        expected = 1 - (n * whole - (n - 1) * np.array(without))
        assert pseudo_values(time, event, at) == pytest.approx(expected, abs=1e-12)


def test_pseudo_values_without_censoring_are_the_outcome(rng):
    time = rng.exponential(1, 30)
    assert pseudo_values(time, np.ones(30, bool), 0.7) == pytest.approx((time <= 0.7).astype(float), abs=1e-12)


def test_cox_slope_agrees_with_lifelines(rng):
    lifelines = pytest.importorskip("lifelines")
    pandas = pytest.importorskip("pandas")
    x = rng.normal(size=150)
    time, event = np.ceil(4 * rng.exponential(np.exp(-x))), rng.random(150) < 0.7
    fit = lifelines.CoxPHFitter().fit(pandas.DataFrame({"t": time, "e": event, "x": x}), "t", "e")
    value, variance = cox_slope(time, event, x)
    assert value == pytest.approx(fit.params_["x"], abs=1e-5)
    assert variance == pytest.approx(fit.variance_matrix_.to_numpy()[0, 0], rel=1e-4)


def test_cox_slope_of_perfect_order_or_of_a_constant_does_not_exist():
    time, event = np.arange(1.0, 7.0), np.ones(6, bool)
    assert math.isnan(cox_slope(time, event, -time)[0])
    assert math.isnan(cox_slope(time, event, np.ones(6))[0])


def test_right_risks_are_calibrated(rng):
    found = survival_calibration(*simulated(rng), 5.0)
    assert found.observed_to_expected.low < 1 < found.observed_to_expected.high
    assert found.slope.low < 1 < found.slope.high
    assert found.ici < 0.03
    assert len(found.group_observed) == 10
    inside = [o.low <= p <= o.high for o, p in zip(found.group_observed, found.group_predicted, strict=True)]
    assert sum(inside) >= 7


def test_distorted_risks_are_found_out(rng):
    outcome, risk = simulated(rng)
    extreme = 1 - np.exp(-((-np.log1p(-risk)) ** 2))
    found = survival_calibration(outcome, extreme, 5.0)
    assert found.slope.value == pytest.approx(0.5, abs=0.08)
    assert found.ici == pytest.approx(np.abs(extreme - risk).mean(), abs=0.02)
    low = survival_calibration(outcome, risk / 2, 5.0)
    assert low.observed_to_expected.value == pytest.approx(2, abs=0.15)
    assert "slope" in str(low)


def test_equal_and_certain_risks_are_flagged_not_refused():
    outcome = Outcome([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 1])
    found = survival_calibration(outcome, np.full(4, 0.5), 2.5, n_groups=2)
    assert math.isnan(found.slope.value)
    assert any("no slope" in f for f in found.flags)
    assert survival_calibration(outcome, np.zeros(4), 2.5).observed_to_expected.flags


def test_times_beyond_the_follow_up_are_refused():
    outcome = Outcome([1.0, 2.0], [1, 1])
    for ask in (
        lambda: survival_calibration(outcome, [0.1, 0.2], 3.0),
        lambda: survival_decision_curve(outcome, {"m": [0.1, 0.2]}, 3.0),
    ):
        with pytest.raises(InputError, match="followed to time 3, the last left at 2"):
            ask()


def test_without_censoring_the_decision_curve_is_the_plain_one(rng):
    outcome, risk = simulated(rng, n=300, censored=False)
    at = (0.2, 0.5)
    found = survival_decision_curve(outcome, {"m": risk}, 5.0, thresholds=at)
    plain = decision_curve(outcome.time <= 5, {"m": risk}, thresholds=at)
    assert found.names == plain.names
    assert found.net_benefit == pytest.approx(plain.net_benefit)
    assert found.high == pytest.approx(plain.high)


def test_the_decision_curve_makes_up_for_censoring(rng):
    outcome, risk = simulated(rng)
    expected = (np.where(risk >= 0.3, risk - (1 - risk) * 3 / 7, 0)).mean()
    found = survival_decision_curve(outcome, {"m": risk}, 5.0, thresholds=(0.3,))
    assert found.low[0, 0] < expected < found.high[0, 0]
    assert found.compare("m", TREAT_ALL, 0.3).value > 0


@pytest.mark.slow
def test_the_decision_curve_agrees_with_dcurves(rng):
    dca = pytest.importorskip("dcurves.dca").dca
    pandas = pytest.importorskip("pandas")
    outcome, risk = simulated(rng, n=400)
    table = pandas.DataFrame({"event": outcome.event.astype(int), "m": risk, "t": outcome.time})
    at = [0.1, 0.3, 0.5]
    reference = dca(table, "event", ["m"], at, time=5, time_to_outcome_col="t")
    found = survival_decision_curve(outcome, {"m": risk}, 5.0, thresholds=at)
    for name, row in (("m", 0), ("all", 1)):
        expected = reference[reference.model == name].set_index("threshold").net_benefit.loc[at]
        assert found.net_benefit[row] == pytest.approx(expected.to_numpy(), abs=1e-9)


def test_bad_thresholds_are_named(rng):
    with pytest.raises(SettingsError, match="thresholds must lie inside 0 to 1"):
        survival_decision_curve(*simulated(rng, n=20)[:1], {}, 5.0, thresholds=(0.0,))
