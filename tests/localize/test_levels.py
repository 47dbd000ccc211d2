"""Levels are named by all that is known, and left open where too little is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.localize import levels
from spondyl.localize.level_cues import CUES, ColumnCues
from spondyl.localize.level_model import MODELED, LevelModel
from spondyl.localize.levels import (
    LUMBAR_SHARES,
    NAMED_FROM,
    UNCERTAIN_BELOW,
    LevelPosterior,
    level_posterior,
    name_levels,
)

WHOLE = [*MODELED[:7], *(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 6)), "S1"]
"""A common spine."""


def _model(spread=0.05):
    """Sizes that grow steadily downward, and one factor that scales a whole patient."""
    mean = np.linspace(2.0, 4.0, len(MODELED))[:, None] * np.ones(len(CUES))
    loadings = np.full((*mean.shape, 1), 0.02)
    return LevelModel(mean, loadings, np.full(mean.shape, spread**2))


def _cues(part, *, called=None, cord_end=np.nan, **changes):
    """Measurements of these levels as `_model` expects them, in the middle of a tight field of view."""
    values = _model().mean[[MODELED.index(name) for name in part]]
    share = np.array([float(name == called) for name in part])
    return replace(ColumnCues(values, share, cord_end, (len(part) - 1) / 2, 0.0, 0.0, cut_below=False), **changes)


def _blind(part, **given):
    """The same, with nothing measured."""
    cues = _cues(part, **given)
    return replace(cues, values=np.full_like(cues.values, np.nan))


@pytest.mark.parametrize(
    "part", [WHOLE, WHOLE[-7:], WHOLE[9:20], WHOLE[:8]], ids=["whole", "lumbar", "thoracic", "neck"]
)
def test_sizes_alone_can_name_any_part_of_the_spine(part):
    names, guesses = name_levels(_cues(part), _model())
    assert list(names) == [g.level for g in guesses] == part


def test_probabilities_of_a_body_sum_to_one_and_grow_with_what_is_known():
    part = WHOLE[-6:]
    posteriors = [
        level_posterior(c, _model()) for c in (_blind(part), _blind(part, called="S1"), _cues(part, called="S1"))
    ]
    for p in posteriors:
        np.testing.assert_allclose(p.probabilities.sum(axis=1), 1)
    of_l4 = [p.probabilities[part.index("L4"), MODELED.index("L4")] for p in posteriors]
    assert of_l4 == sorted(of_l4)
    assert of_l4[0] < 0.5 < of_l4[1]


def test_counting_from_a_clear_sacrum_allows_for_variants():
    part = WHOLE[-6:]
    posterior = level_posterior(_blind(part, called="S1", room_below=2.0), _model())
    top = posterior.probabilities[0, MODELED.index("L1")]
    assert UNCERTAIN_BELOW < top < (1 + LUMBAR_SHARES[5]) / 2


def test_a_sacrum_called_one_body_too_low_is_found_out():
    part = [*WHOLE[-6:], "S2"]
    cues = _cues(part, called="S2", cut_below=True)
    names, guesses = name_levels(cues, _model())
    assert list(names) == part
    assert guesses[4].level == "L5"


def test_where_nothing_tells_no_level_is_given():
    _, guesses = name_levels(_blind(WHOLE[9:15], middle=np.float64(2.5)), _model())
    for g in guesses:
        assert g.level is None
        assert g.probability < NAMED_FROM
        assert g.uncertain
        assert "sacrum is not in the field of view" in g.reason


def test_a_missed_body_shows_in_a_step_twice_as_long():
    cues = _cues([name for name in WHOLE[-9:] if name != "L2"], called="S1")
    cues.values[3, CUES.index("step")] += np.log(2)
    names, _ = name_levels(cues, _model(spread=0.02))
    assert list(names) == [name for name in WHOLE[-9:] if name != "L2"]


def test_a_sixth_lumbar_vertebra_is_named_where_its_sizes_show_it():
    part = ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6", "S1"]
    names, _ = name_levels(_cues(part, called="S1"), _model(spread=0.02))
    assert list(names) == part


def test_several_missed_bodies_show_in_as_many_long_steps(monkeypatch):
    monkeypatch.setattr(levels, "ODD_SHARE", 1e-9)
    gone = {"T5", "T9"}
    part = [name for name in WHOLE[1:] if name not in gone]
    cues = _cues(part)
    for name in ("T4", "T8"):
        cues.values[part.index(name), CUES.index("step")] += np.log(2)
    names, _ = name_levels(cues, _model(spread=0.02))
    assert list(names) == part


def test_two_halves_of_one_body_share_its_name(monkeypatch):
    monkeypatch.setattr(levels, "ODD_SHARE", 1e-9)
    part = [*WHOLE[5:12], *WHOLE[11:20]]
    cues = _cues(part)
    cues.values[6, CUES.index("step")] -= np.log(3)
    names, guesses = name_levels(cues, _model(spread=0.02))
    assert list(names) == part
    assert guesses[6].level is None
    assert guesses[7].level == part[7]


def test_c1_is_rarely_outlined():
    posterior = level_posterior(_blind(WHOLE[:6], room_above=3.0), _model())
    c1, c2 = posterior.probabilities[0, :2]
    assert c2 > 5 * c1 > 0


@pytest.mark.parametrize(("bearing", "lowest"), [(5, "L3"), (6, "L2"), (7, "L1")])
def test_ribs_tell_where_the_loin_begins(bearing, lowest):
    odds = np.where(np.arange(8) < bearing, 4.0, -4.0)
    names, _ = name_levels(replace(_blind(WHOLE[:8]), ribs=odds), _model())
    assert names[-1] == lowest


@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_the_last_ribs_and_a_clear_sacrum_tell_the_number_of_lumbar_vertebrae(lumbar):
    part = ["T11", "T12", *(f"L{n}" for n in range(1, lumbar + 1)), "S1"]
    odds = np.where([name.startswith("T") for name in part], 5.0, -5.0)
    names, _ = name_levels(replace(_blind(part, called="S1", room_below=2.0), ribs=odds), _model())
    assert list(names) == part


def test_ribs_from_the_neck_down_tell_a_thirteenth_thoracic_vertebra():
    part = [*MODELED[3:7], *(f"T{n}" for n in range(1, 14)), "L1", "L2"]
    odds = np.where([name.startswith("T") for name in part], 5.0, -5.0)
    assert list(name_levels(replace(_blind(part), ribs=odds), _model())[0]) == part


def test_a_doubtful_rib_does_not_make_a_variant():
    part = ["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    odds = np.array([5.0, 5.0, -1.0, -5.0, -5.0, -5.0, -5.0, -5.0, -5.0])
    names, _ = name_levels(replace(_blind(part, called="S1", room_below=2.0), ribs=odds), _model())
    assert list(names) == part


def test_where_no_rib_is_seen_at_all_their_absence_says_little():
    part = ["T12", *WHOLE[-6:]]
    given = {"called": "S1", "room_below": 2.0}
    none, some = (
        level_posterior(replace(_blind(levels, **given), ribs=np.array(odds)), _model())
        for levels, odds in ((part, [-5.0] * 7), (["T11", *part], [6.0] + [-5.0] * 7))
    )
    l5, l6 = MODELED.index("L5"), MODELED.index("L6")
    assert none.probabilities[-2, l5] > 0.75
    assert some.probabilities[-2, l6] > 3 * none.probabilities[-2, l6]


def test_no_weight_on_ribs_is_none_of_them():
    odds = np.random.default_rng(4).normal(0, 2, 6)
    cues = replace(_cues(WHOLE[-6:]), ribs=odds)
    weightless, without = replace(_model(), rib_weight=0.0), _cues(WHOLE[-6:])
    seen, unseen = (level_posterior(c, weightless).probabilities for c in (cues, without))
    np.testing.assert_allclose(seen, unseen)


def test_the_cord_ends_near_l1():
    part = WHOLE[-8:-1]
    ends = {}
    for end in (1.0, 3.0):
        posterior = level_posterior(_blind(part, cord_end=end), _model())
        mean_rank = posterior.probabilities @ np.arange(len(MODELED))
        ends[end] = mean_rank[0]
    assert ends[1.0] > ends[3.0]


def test_a_cord_that_leaves_the_field_speaks_for_higher_levels():
    part = WHOLE[-8:-1]
    through, none = (level_posterior(_blind(part, cord_end=e), _model()).probabilities for e in (np.inf, -np.inf))
    lumbar = [MODELED.index(f"L{n}") for n in range(2, 6)]
    assert through[3, lumbar].sum() < none[3, lumbar].sum()


def test_room_without_a_body_speaks_for_an_end_of_the_spine():
    part = WHOLE[1:6]
    tight, roomy = (level_posterior(_blind(part, room_above=r), _model()).probabilities for r in (0.0, 4.0))
    assert roomy[0, MODELED.index("C2")] > 2 * tight[0, MODELED.index("C2")]


def test_a_column_unlike_any_other_is_not_decided_by_its_sizes():
    part = WHOLE[-6:]
    cues = _cues(part, called="S1", room_below=2.0)
    cues.values[:] = 60.0
    posterior = level_posterior(cues, _model())
    blind = level_posterior(_blind(part, called="S1", room_below=2.0), _model())
    assert posterior.probabilities[-1, MODELED.index("S1")] > 0.5
    assert blind.best[-1] == posterior.best[-1] == "S1"


def test_more_bodies_than_a_spine_has_get_no_names():
    names, guesses = name_levels(_blind(WHOLE * 2), _model())
    assert names == ()
    assert {g.level for g in guesses} == {None}
    assert "more bodies" in guesses[0].reason


def test_one_body_is_a_column_too():
    names, (guess,) = name_levels(_blind(["L3"]), _model())
    assert len(names) == 1
    assert guess.level is None


def test_no_level_is_given_twice(monkeypatch):
    best = ("L3", "L3", "L4")
    sure = np.zeros((3, len(MODELED)))
    sure[range(3), [MODELED.index(name) for name in best]] = 0.9
    monkeypatch.setattr(levels, "level_posterior", lambda cues, model: LevelPosterior(sure, best, 0.9))
    _, guesses = name_levels(_blind(["L3", "L4", "L5"]), _model())
    assert [g.level for g in guesses] == [None, "L3", "L4"]
    assert guesses[0].uncertain
    assert "part of L3" in guesses[0].reason


def test_half_a_call_is_half_believed():
    part = WHOLE[-6:]
    of_s1 = []
    for share in (0.0, 0.5, 1.0):
        cues = replace(_blind(part, cut_below=True), sacral_share=np.array([0, 0, 0, 0, 0, share]))
        of_s1.append(level_posterior(cues, _model()).probabilities[-1, MODELED.index("S1")])
    assert of_s1 == sorted(of_s1)
    assert of_s1[0] < of_s1[1] < of_s1[2]
