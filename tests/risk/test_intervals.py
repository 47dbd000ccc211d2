"""Intervals hold the event as often as promised, also when the model is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.risk.intervals import time_intervals
from spondyl.risk.outcome import cumulative_hazard, step
from survival_fakes import drawn


@pytest.mark.parametrize("slope", [0.4, 1.0, 2.0])
def test_nine_of_ten_events_fall_inside_whatever_the_model_believes(slope):
    d, new = drawn(1, n=2000, censored=0.3), drawn(2, n=4000)
    score = slope * d.score
    base = cumulative_hazard(d.y["time"], d.y["event"] == 1, np.exp(score))
    lived = step(*base, d.y["time"]) * np.exp(score)
    found = time_intervals(lived, d.y["event"] == 1, slope * new.score, base)
    low = np.where(np.isfinite(found.low), found.low, base[0][-1])
    assert ((new.time >= low) & (new.time <= found.high)).mean() == pytest.approx(0.9, abs=0.03)


def test_without_enough_follow_up_an_interval_stays_open():
    d = drawn(3, n=300)
    time = np.minimum(d.time, np.quantile(d.time, 0.4))
    event = d.time <= time
    base = cumulative_hazard(time, event, np.exp(d.score))
    found = time_intervals(step(*base, time) * np.exp(d.score), event, d.score, base)
    assert np.isinf(found.high).any()
    assert (found.low <= found.high).all()


def test_open_intervals_keep_the_promise_too():
    d, new = drawn(5, n=3000), drawn(6, n=6000)
    end = np.quantile(d.time, 0.5)
    time, event = np.minimum(d.time, end), d.time <= end
    base = cumulative_hazard(time, event, np.exp(d.score))
    found = time_intervals(step(*base, time) * np.exp(d.score), event, new.score, base)
    inside = (new.time >= np.minimum(found.low, end)) & (new.time <= found.high)
    assert np.isinf(found.high).mean() > 0.5
    assert inside[np.isinf(found.high)].mean() == pytest.approx(0.9, abs=0.03)
    assert inside.mean() == pytest.approx(0.9, abs=0.03)


def test_coverage_must_be_a_share():
    with pytest.raises(SettingsError, match="inside 0 to 1, got 90"):
        time_intervals(np.ones(1), np.ones(1, bool), np.ones(1), (np.ones(1), np.ones(1)), coverage=90)
