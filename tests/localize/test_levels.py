"""Counting from the sacrum names levels, and says so where it cannot."""

from __future__ import annotations

import pytest

from spondyl.localize.levels import NORMAL_COUNT_SHARE, UNCERTAIN_BELOW, count_from_sacrum


@pytest.mark.parametrize(
    ("confidence", "gap_free", "named", "uncertain", "reason"),
    [
        (1.0, True, True, False, ""),
        (0.5, True, True, True, "not clearly seen"),
        (1.0, False, True, True, "may be missing"),
        (0.5, False, True, True, "may be missing"),
        (0.0, True, False, True, "not in the field of view"),
        (0.0, False, False, True, "not in the field of view"),
    ],
)
def test_what_is_known_decides_what_is_said(confidence, gap_free, named, uncertain, reason):
    guesses = count_from_sacrum(6, confidence, gap_free=gap_free)
    assert [g.level for g in guesses] == (["T12", "L1", "L2", "L3", "L4", "L5"] if named else [None] * 6)
    assert {g.uncertain for g in guesses} == {uncertain}
    assert all(reason in g.reason and bool(g.reason) == uncertain for g in guesses)


def test_probability_never_passes_the_share_of_normal_spines():
    (guess,) = count_from_sacrum(1, 1.0, gap_free=True)
    assert guess.probability == pytest.approx(NORMAL_COUNT_SHARE)
    assert guess.probability > UNCERTAIN_BELOW


def test_beyond_the_thorax_counting_ends():
    guesses = count_from_sacrum(19, 1.0, gap_free=True)
    assert [g.level for g in guesses[:3]] == [None, None, "T1"]
    assert guesses[0].uncertain
    assert "too far" in guesses[0].reason


def test_no_bodies_give_no_names():
    assert count_from_sacrum(0, 1.0, gap_free=True) == []
