"""Synthetic patients live and die by the numbers that are written down."""

from __future__ import annotations

import numpy as np

from spondyl.phantom.outcome import DEATH, SKELETAL, simulate_outcomes


def test_the_same_seed_gives_the_same_patients():
    one, other = simulate_outcomes(50, 3), simulate_outcomes(50, 3)
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.time_months, other.time_months)


def test_what_is_observed_is_the_first_of_what_is_true():
    drawn = simulate_outcomes(500, 4)
    assert (drawn.time_months <= drawn.true_time_months.min(axis=1)).all()
    had = drawn.event > 0
    np.testing.assert_array_equal(drawn.time_months[had], drawn.true_time_months.min(axis=1)[had])
    assert set(np.unique(drawn.event)) == {0, SKELETAL, DEATH}


def test_the_incidence_that_was_meant_is_what_happens():
    drawn = simulate_outcomes(4000, 5)
    first = drawn.true_time_months.argmin(axis=1) + 1
    for cause in (SKELETAL, DEATH):
        happened = (first == cause) & (drawn.true_time_months.min(axis=1) <= 12)
        assert abs(drawn.true_incidence([12.0], cause).mean() - happened.mean()) < 0.02


def test_burden_and_compression_bring_events_sooner():
    drawn = simulate_outcomes(2000, 6)
    early = drawn.time_months < np.median(drawn.time_months)
    volume, epidural = drawn.features[:, 1], drawn.features[:, 3]
    assert np.median(volume[early]) > np.median(volume[~early])
    assert epidural[early].mean() > epidural[~early].mean()
