"""The curve against published values and R."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.evaluation.kaplan_meier import KaplanMeier, censoring_curve, count_at

REMISSION = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], float)
RELAPSED = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], bool)
"""Weeks of remission under 6-mercaptopurine (Freireich 1963; Kalbfleisch & Prentice, table 1.1)."""


def test_published_remission_under_mercaptopurine():
    # Collett 2003 and many others: 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448.
    curve = KaplanMeier.fit(REMISSION, RELAPSED)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert np.round(curve.survival, 3).tolist() == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    # Greenwood's standard errors of the same table: 0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346.
    errors = [curve.estimate(t).standard_error for t in curve.times]
    assert np.round(errors, 4).tolist() == [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346]


def test_curve_and_interval_agree_with_lifelines(rng):
    lifelines = pytest.importorskip("lifelines")
    time, event = np.ceil(rng.exponential(10, 120)), rng.random(120) < 0.6
    fit = lifelines.KaplanMeierFitter().fit(time, event)
    found = KaplanMeier.fit(time, event)
    for at in (1, 4.5, 12):
        estimate = found.estimate(at)
        interval = fit.confidence_interval_survival_function_.loc[: at + 1e-9].iloc[-1].to_numpy()
        assert estimate.value == pytest.approx(float(fit.predict(at)))
        assert (estimate.low, estimate.high) == pytest.approx(tuple(interval))


def test_the_curve_is_read_from_both_sides():
    curve = KaplanMeier.fit(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))
    assert curve.at([0.5, 1, 2, 3]) == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert curve.at([1, 3], before=True) == pytest.approx([1, 2 / 3])
    assert curve.estimate(0.5).flags
    assert math.isnan(curve.estimate(3).low)


def test_censoring_comes_after_events_at_one_time():
    time, event = np.array([1.0, 1.0, 2.0, 3.0]), np.array([True, False, True, False])
    # At time 1 one of four has the event; of the three left, one is censored.
    assert censoring_curve(time, event).at([0, 1, 2, 3]) == pytest.approx([1, 2 / 3, 2 / 3, 0])


def test_without_censoring_everyone_stays_observed():
    assert censoring_curve(np.array([1.0, 2.0]), np.array([True, True])).at([5.0]).tolist() == [1.0]


def test_counts():
    assert count_at(np.array([1.0, 1.0, 3.0]), np.array([1.0, 2.0, 3.0])).tolist() == [2, 0, 1]
