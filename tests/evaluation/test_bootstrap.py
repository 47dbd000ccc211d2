"""Resampling draws patients, is seeded, and covers as often as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import SettingsError
from spondyl.evaluation import bootstrap as module
from spondyl.evaluation.bootstrap import (
    Resampling,
    bootstrap,
    draw_counts,
    mean_estimate,
    percentile_estimate,
    resample_rows,
)


def test_each_resample_draws_as_many_patients_as_there_are():
    counts = np.concatenate(list(draw_counts(7, Resampling(50))))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_blocks_do_not_change_what_is_drawn(monkeypatch):
    whole = np.concatenate(list(draw_counts(7, Resampling(50, seed=3))))
    monkeypatch.setattr(module, "CHUNK", 30)
    parts = list(draw_counts(7, Resampling(50, seed=3)))
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), whole)


def test_all_cases_of_a_patient_come_along():
    patient = np.array([0, 0, 0, 1, 2, 2])
    for rows in resample_rows(patient, Resampling(20)):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[1] == counts[2]
        assert counts[4] == counts[5]


def test_the_mean_of_resamples_spreads_like_the_mean(rng):
    values = rng.normal(size=200)
    drawn = bootstrap(lambda rows: values[rows].mean(), np.arange(200), Resampling(1000))
    assert drawn.shape == (1000, 1)
    assert drawn.std() == pytest.approx(values.std() / math.sqrt(200), rel=0.1)
    estimate = mean_estimate(values, np.arange(200), Resampling(1000))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(values.std() / math.sqrt(200), rel=0.1)


def test_resamples_without_a_value_are_left_out_and_said():
    drawn = np.concatenate([np.full(20, np.nan), np.linspace(0, 1, 80)])
    found = percentile_estimate(0.5, drawn)
    assert any("20% of the resamples" in f for f in found.flags)
    assert found.low == pytest.approx(0.025)
    assert math.isnan(percentile_estimate(0.5, np.full(5, np.nan)).low)


def test_means_of_nothing_and_of_infinity_are_flagged():
    assert mean_estimate(np.array([np.nan]), np.array([0])).flags
    found = mean_estimate(np.array([np.inf, 1.0]), np.array([0, 1]))
    assert math.isinf(found.value)
    assert math.isnan(found.low)


@pytest.mark.parametrize("settings", [{"n_resamples": 1}, {"confidence": 1.0}])
def test_bad_settings_are_named(settings):
    with pytest.raises(SettingsError):
        Resampling(**settings)
