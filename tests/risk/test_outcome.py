"""Follow-up is checked at the door; curves are those of the textbook."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.risk.outcome import checked, cumulative_hazard, follow_up, step, time_grid


def test_events_of_another_cause_count_as_censored():
    y = follow_up([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 2])
    time, event = checked(y)
    assert event.tolist() == [True] * 5 + [False]
    assert time.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("time", "event", "says"),
    [
        ([1, -2], [0, 1], "time must be 0 or above, got -2 in row 1"),
        ([1, np.nan], [0, 1], "row 1"),
        ([1, 2], [0, 0.5], "event must be 0 .* got 0.5 in row 1"),
        ([1, 2], ["yes", "no"], "got words"),
        ([1, 2], [0], "one length"),
        ([1, 2], [0, -1], "got -1 in row 1"),
    ],
)
def test_what_cannot_be_a_follow_up_is_refused_with_the_row(time, event, says):
    with pytest.raises(InputError, match=says):
        follow_up(time, event)


def test_a_cohort_without_events_is_refused():
    with pytest.raises(InputError, match=r"at least 5 events .* got 0 in 8 patients"):
        checked(follow_up(np.arange(8), np.zeros(8)))


def test_other_arrays_are_refused_as_follow_up():
    with pytest.raises(InputError, match="follow_up"):
        checked(np.zeros(3))
    with pytest.raises(InputError, match="same patients"):
        checked(follow_up([1.0], [1]), 2)


def test_nelson_aalen_by_hand():
    times, hazard = cumulative_hazard(np.array([1.0, 2, 2, 3]), np.array([True, True, False, True]))
    assert times.tolist() == [1, 2, 3]
    np.testing.assert_allclose(hazard, np.cumsum([1 / 4, 1 / 3, 1]))


def test_a_step_function_steps_at_its_times():
    at = step(np.array([1.0, 2.0]), np.array([0.5, 0.7]), [0.9, 1.0, 1.5, 2.0, 9.0])
    assert at.tolist() == [0.0, 0.5, 0.5, 0.7, 0.7]


def test_a_grid_holds_equally_many_events_and_ends_with_the_last():
    time = np.arange(1.0, 101)
    grid = time_grid(time, np.ones(100, bool), 10)
    assert len(grid) == 10
    assert grid[-1] == 100
    assert np.ptp(np.diff(np.searchsorted(time, grid))) <= 2
