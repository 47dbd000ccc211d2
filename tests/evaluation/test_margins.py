"""Margins: what the interval says and what the test says agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import SettingsError
from spondyl.evaluation.comparison import tango_statistic
from spondyl.evaluation.margins import equivalence, non_inferior_shares, non_inferiority
from spondyl.evaluation.records import Difference


def difference(value, error):
    return Difference("new", "old", value, math.nan, math.nan, error, math.nan, math.nan)


def test_non_inferiority_is_where_the_interval_lies_inside_the_margin():
    for value in np.linspace(-0.2, 0.1, 31):
        found = non_inferiority(difference(value, 0.04), 0.1)
        assert found.shown == (found.low > -0.1)
        mirrored = non_inferiority(difference(-value, 0.04), 0.1, higher_is_better=False)
        assert mirrored.p_value == pytest.approx(found.p_value)


def test_non_inferiority_by_hand():
    found = non_inferiority(difference(-0.02, 0.04), 0.1, alpha=0.025)
    assert found.statistic == pytest.approx(2.0)
    assert found.p_value == pytest.approx(0.0227501319)
    assert found.low == pytest.approx(-0.02 - 1.959964 * 0.04)
    assert found.shown


def test_equivalence_is_two_one_sided_tests():
    for value in np.linspace(-0.15, 0.15, 31):
        found = equivalence(difference(value, 0.03), 0.1)
        assert found.shown == (found.low > -0.1 and found.high < 0.1)
    assert equivalence(difference(0.3, 0.03), 0.1).p_value > 0.99


def test_a_difference_without_error_is_inside_or_not():
    assert non_inferiority(difference(0.0, 0.0), 0.1).shown
    assert not equivalence(difference(0.2, 0.0), 0.1).shown


def test_shares_are_not_inferior_by_the_score():
    found = non_inferior_shares(5, 6, 200, 0.1)
    assert found.shown
    assert found.low > -0.1
    assert not non_inferior_shares(2, 30, 200, 0.1).shown
    assert found.p_value == pytest.approx(1 - 0.5 * math.erfc(-tango_statistic(5, 6, 200, -0.1) / math.sqrt(2)))


@pytest.mark.parametrize(("margin", "alpha"), [(0.0, 0.05), (math.nan, 0.05), (0.1, 0.5), (0.1, 0.0)])
def test_bad_margins_and_levels_are_named(margin, alpha):
    with pytest.raises(SettingsError, match="must"):
        non_inferiority(difference(0, 0.1), margin, alpha=alpha)
    with pytest.raises(SettingsError, match="inside 0 to 1"):
        non_inferior_shares(1, 1, 10, 1.0)
