"""Calibration against published values, statsmodels, and risks that are right by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.calibration import (
    calibration,
    calibration_bins,
    calibration_intervals,
    expected_calibration_error,
    smooth_curve,
)
from spondyl.evaluation.regression import expit

RISKS = (0.22, 0.48, 0.49, 0.96, 0.55, 0.64, 0.78, 0.82, 0.34, 0.87)
TRUTH = (0, 1, 0, 0, 1, 1, 1, 1, 1, 0)
"""Ten predictions of Reinke 2024, doi 10.1038/s41592-023-02150-0, figure SN 2.24."""


def simulated(rng, n=6000, shift=0.0, stretch=1.0):
    """Outcomes drawn from logits, and risks that distort them."""
    logit = rng.normal(-0.5, 1.5, n)
    return rng.random(n) < expit(logit), expit(shift + stretch * logit)


@pytest.mark.parametrize(("n_bins", "expected", "largest"), [(2, 0.11, 0.12), (5, 0.32, 0.55), (10, 0.36, 0.96)])
def test_published_errors_of_bins(n_bins, expected, largest):
    # Values of the same figure, also in the tests of MetricsReloaded (test_calibration_metrics).
    found = calibration_bins(TRUTH, RISKS, n_bins=n_bins)
    assert round(expected_calibration_error(TRUTH, RISKS, n_bins=n_bins), 2) == pytest.approx(expected, abs=0.0101)
    assert found.expected_error == pytest.approx(expected, abs=0.01)
    assert found.maximum_error == pytest.approx(largest, abs=0.01)


def test_right_risks_are_calibrated(rng):
    found = calibration(*simulated(rng))
    assert found.observed_to_expected == pytest.approx(1, abs=0.05)
    assert found.slope.low < 1 < found.slope.high
    assert found.intercept.low < 0 < found.intercept.high
    assert found.ici < 0.02
    assert found.expected_error < 0.03
    assert not found.flags


@pytest.mark.parametrize(("shift", "stretch"), [(0.7, 1.0), (0.0, 2.0), (-0.4, 0.5)])
def test_distorted_risks_are_found_out(rng, shift, stretch):
    truth, risk = simulated(rng, shift=shift, stretch=stretch)
    found = calibration(truth, risk)
    assert found.slope.value == pytest.approx(1 / stretch, rel=0.08)
    if stretch == 1:
        assert found.intercept.value == pytest.approx(-shift, abs=0.1)
    # What the curve should be is known: its distance from the diagonal at each risk.
    logit = np.log(risk / (1 - risk))
    distance = np.abs(expit((logit - shift) / stretch) - risk)
    assert found.ici == pytest.approx(distance.mean(), abs=0.015)
    assert found.e50 == pytest.approx(np.median(distance), abs=0.02)
    # Three quarters of the cases in each neighborhood smooth the steepest part of the curve away.
    assert found.e90 == pytest.approx(np.quantile(distance, 0.9), abs=0.03)


def test_intercept_and_slope_agree_with_statsmodels(rng):
    models = pytest.importorskip("statsmodels.api")
    truth, risk = simulated(rng, n=400, shift=0.5, stretch=1.5)
    logit = np.log(risk / (1 - risk))
    binomial = models.families.Binomial()
    line = models.GLM(truth, models.add_constant(logit), family=binomial).fit()
    large = models.GLM(truth, np.ones(400), family=binomial, offset=logit).fit()
    found = calibration(truth, risk)
    assert (found.slope.value, found.slope.standard_error) == pytest.approx((line.params[1], line.bse[1]), rel=1e-6)
    assert (found.intercept.value, found.intercept.low) == pytest.approx(
        (large.params[0], large.conf_int()[0, 0]), rel=1e-6
    )


def test_scores_agree_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, risk = simulated(rng, n=300)
    found = calibration(truth, risk)
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, risk))
    assert found.log_loss == pytest.approx(metrics.log_loss(truth, risk))
    assert calibration(truth, np.full(300, truth.mean())).scaled_brier == pytest.approx(0, abs=1e-12)
    assert calibration(truth, truth.astype(float)).scaled_brier == 1


def test_repeated_patients_widen_the_interval(rng):
    truth, risk = simulated(rng, n=300)
    single = calibration(truth, risk)
    naive = calibration(np.tile(truth, 4), np.tile(risk, 4))
    grouped = calibration(np.tile(truth, 4), np.tile(risk, 4), patients=np.tile(np.arange(300), 4))
    assert naive.slope.standard_error == pytest.approx(single.slope.standard_error / 2, rel=0.01)
    assert grouped.slope.standard_error == pytest.approx(single.slope.standard_error, rel=0.25)
    assert grouped.slope.method == "sandwich over patients"


def test_one_class_is_flagged_and_the_rest_still_measured():
    found = calibration(np.ones(6), [0.2, 0.4, 0.6, 0.8, 0.9, 1.0])
    assert math.isnan(found.slope.value)
    assert math.isnan(found.scaled_brier)
    assert found.brier > 0
    assert any("one class only" in f for f in found.flags)
    assert any("risks of 0 or 1" in f for f in found.flags)
    assert "not assessable" in str(found)


def test_separable_classes_and_equal_risks_have_no_slope():
    for risk in ([0.1, 0.2, 0.8, 0.9], [0.5] * 4):
        found = calibration([0, 0, 1, 1], risk)
        assert math.isnan(found.slope.value)
        assert any("no slope" in f for f in found.flags)


def test_bins_hold_every_case_once(rng):
    truth, risk = simulated(rng, n=500)
    risk[:3] = 0.0, 1.0, 0.5
    for bins in (calibration_bins(truth, risk), calibration_bins(truth, risk, equal_counts=True)):
        assert bins.count.sum() == 500
        assert (bins.low < bins.high).all()
        used = bins.count > 0
        assert ((bins.predicted >= bins.low) & (bins.predicted <= bins.high))[used].all()
    assert np.ptp(bins.count) <= 2
    assert "predicted" in str(bins)


def test_the_same_risk_for_all_makes_one_bin():
    found = calibration_bins([0, 1, 1, 1], [0.5] * 4, equal_counts=True)
    assert found.count.tolist() == [4]
    assert found.expected_error == pytest.approx(0.25)


def test_intervals_hold_scores_and_are_seeded(rng):
    truth, risk = simulated(rng, n=300, shift=0.8)
    first, second = (calibration_intervals(truth, risk, resampling=Resampling(50, seed=2)) for _ in range(2))
    assert first == second
    assert first["brier"].low < first["brier"].value < first["brier"].high
    assert first["ici"].low > 0.02


def test_the_curve_stays_a_probability(rng):
    points, curve = smooth_curve(rng.random(30) < 0.1, rng.random(30))
    assert (np.diff(points) > 0).all()
    assert curve.min() >= 0
    assert curve.max() <= 1


def test_bad_columns_and_settings_are_named():
    with pytest.raises(InputError, match="probability must lie from 0 to 1"):
        calibration([0, 1], [0.2, 1.2])
    with pytest.raises(InputError, match="one value per case"):
        calibration([0, 1], [0.2])
    with pytest.raises(SettingsError, match="n_bins"):
        calibration_bins([0, 1], [0.2, 0.3], n_bins=0)
