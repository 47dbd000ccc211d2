"""Intervals of shares."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.proportions import clustered_proportion, proportion


def test_published_interval():
    # Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3: 81/263.
    found = proportion(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    # As above: 15/148, 0/20 and 1/29.
    assert (round(proportion(15, 148).low, 4), round(proportion(15, 148).high, 4)) == (0.0624, 0.1605)
    assert (proportion(0, 20).low, round(proportion(0, 20).high, 4)) == (0.0, 0.1611)
    assert (round(proportion(1, 29).low, 4), round(proportion(1, 29).high, 4)) == (0.0061, 0.1718)


def test_interval_agrees_with_statsmodels():
    stats = pytest.importorskip("statsmodels.stats.proportion")
    for yes, n in ((0, 7), (3, 7), (7, 7), (15, 20)):
        found = proportion(yes, n, 0.9)
        assert (found.low, found.high) == pytest.approx(stats.proportion_confint(yes, n, 0.1, "wilson"), abs=1e-12)


def test_a_share_of_nothing_is_not_assessable():
    found = proportion(0, 0)
    assert math.isnan(found.value)
    assert found.flags


def test_more_than_all_is_refused():
    with pytest.raises(InputError, match="got 3 of 2"):
        proportion(3, 2)


def test_single_cases_of_patients_give_wilson(rng):
    yes = rng.random(40) < 0.7
    assert clustered_proportion(yes, np.arange(40)) == proportion(int(yes.sum()), 40)


def test_copies_add_nothing(rng):
    yes = rng.random(40) < 0.7
    single = proportion(int(yes.sum()), 40)
    copied = clustered_proportion(np.repeat(yes, 5), np.repeat(np.arange(40), 5))
    assert copied.value == single.value
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high), abs=0.01)


def test_patients_who_are_all_alike_count_once():
    found = clustered_proportion(np.ones(30, bool), np.repeat(np.arange(3), 10))
    assert found.low == pytest.approx(proportion(3, 3).low)
    assert found.value == found.high == 1


def test_clustered_interval_covers_as_it_says(rng):
    hits = 0
    for _ in range(300):
        # Patients differ: the share of a patient is 0.2 or 0.8, of all 0.5.
        share = rng.choice([0.2, 0.8], 60)
        yes = rng.random((60, 4)) < share[:, None]
        found = clustered_proportion(yes.ravel(), np.repeat(np.arange(60), 4))
        hits += found.low <= 0.5 <= found.high
    assert 0.91 < hits / 300 <= 0.99
