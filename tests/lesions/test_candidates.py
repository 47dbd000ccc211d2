"""Candidates grow from seeds and stay inside the region that is searched."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.lesions import candidates
from spondyl.lesions.candidates import EVEN_ODDS, PARASPINAL_MM, Thresholds, by_vertebra, find_candidates, search_region
from spondyl.lesions.conspicuity import Conspicuity

SHAPE = (8, 40, 40)
SPACING_MM = (4.0, 1.0, 1.0)
ALL = np.ones(SHAPE, bool)


def _with(*parts):
    lesion = np.zeros(SHAPE, np.float32)
    for where, value in parts:
        lesion[where] = value
    return lesion


def _find(lesion, *, extent=0.3, sure=0.6, small=None, alone=0.98, least=0.0, region=ALL, seen=None):
    thresholds = Thresholds(extent, sure, sure if small is None else small, alone, 3.0, 5.0, least)
    return find_candidates(lesion, 0 * lesion, region, SPACING_MM, thresholds, seen=seen)


def test_a_candidate_grows_from_its_seed_to_the_lower_threshold():
    rim, core = np.s_[2:6, 10:20, 10:20], np.s_[3:5, 13:17, 13:17]
    (found,) = _find(_with((rim, 0.4), (core, 0.95)))
    assert found.where.sum() == 4 * 10 * 10
    assert found.malignant == pytest.approx(0.95)
    assert found.peak == pytest.approx(0.95)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_raised_voxels_without_a_seed_are_none():
    assert _find(_with((np.s_[2:6, 10:20, 10:20], 0.55))) == []


def test_of_a_small_candidate_the_network_must_be_surer(monkeypatch):
    lesion = _with((np.s_[2:6, 10:20, 10:20], 0.7))
    volume_mm3 = 4 * 10 * 10 * float(np.prod(SPACING_MM))
    monkeypatch.setattr(candidates, "SMALL_MM3", volume_mm3)
    assert len(_find(lesion, sure=0.6, small=0.8)) == 1
    monkeypatch.setattr(candidates, "SMALL_MM3", volume_mm3 + 1)
    assert _find(lesion, sure=0.6, small=0.8) == []


def test_the_smallest_volume_is_kept_to():
    lesion = _with((np.s_[2:4, 10:15, 10:15], 0.9))
    assert len(_find(lesion, least=200.0)) == 1
    assert _find(lesion, least=201.0) == []


def test_only_the_region_is_searched():
    lesion = _with((np.s_[2:6, 10:20, 10:20], 0.9))
    region = ALL.copy()
    region[:, :, 15:] = False
    (found,) = _find(lesion, region=region)
    assert found.where.sum() == 4 * 10 * 5


def test_the_most_suspicious_comes_first():
    found = _find(_with((np.s_[1:3, 5:10, 5:10], 0.7), (np.s_[5:7, 25:30, 25:30], 0.9)))
    assert [round(c.malignant, 1) for c in found] == [0.9, 0.7]


def test_bone_canal_and_what_is_close_are_searched_and_discs_are_not():
    structures = np.zeros((6, 60, 60), np.uint8)
    structures[:, 20:40, 20:30] = Structure.BODY
    structures[:, 10:20, 20:30] = Structure.DISC
    structures[:, 10:40, 34:40] = Structure.CANAL
    region = search_region(structures, (4.0, 1.0, 1.0))
    assert region[structures == Structure.BODY].all()
    assert region[structures == Structure.CANAL].all()
    assert not region[structures == Structure.DISC].any()
    reach = int(PARASPINAL_MM)
    assert region[2, 30, 20 - reach + 1]
    assert not region[2, 30, 20 - reach - 1]


def test_without_bone_nothing_is_searched():
    assert not search_region(np.zeros((4, 8, 8), np.uint8), (4.0, 1.0, 1.0)).any()


WIDE, BRIGHT = np.s_[2:6, 8:24, 8:24], np.s_[3:5, 12:20, 12:20]


def _seen(*parts, series=2, body=ALL, spots=()):
    """Contrast of as many series, the parts in the first of them, and spots in all."""
    contrast, spot = np.zeros((2, series, *SHAPE), np.float32)
    for where, value in parts:
        contrast[(0, *where)] = value
    for where, value in spots:
        spot[(slice(None), *where)] = value
    return Conspicuity(contrast, spot, body)


def test_a_candidate_in_a_body_keeps_what_stands_out():
    (found,) = _find(_with((WIDE, 0.95)), seen=_seen((BRIGHT, 4.0)))
    assert found.where.sum() == 2 * 8 * 8
    assert found.malignant == pytest.approx(0.95)


def test_a_candidate_in_a_body_that_does_not_stand_out_counts_as_long_as_it_is_small(monkeypatch):
    seen = _seen((BRIGHT, 2.9))
    (found,) = _find(_with((WIDE, 0.95)), seen=seen)
    assert found.where.sum() == 4 * 16 * 16
    monkeypatch.setattr(candidates, "WHOLE_MM3", found.where.sum() * np.prod(SPACING_MM))
    assert _find(_with((WIDE, 0.95)), seen=seen) == [], "left to a second reader"


def test_in_bodies_the_network_is_believed_on_several_series_only_and_where_it_is_sure():
    def n(lesion, **how):
        return len(_find(_with((WIDE, lesion)), sure=0.95, **how))

    assert n(0.96, seen=_seen((BRIGHT, 4.0), series=2)) == 1
    assert n(0.94, seen=_seen((BRIGHT, 4.0), series=2)) == 0
    assert n(0.99, seen=_seen((BRIGHT, 4.0), series=1)) == 0


def test_outside_bodies_a_single_series_must_make_the_network_surer():
    def n(series):
        return len(_find(_with((WIDE, 0.9)), seen=_seen(series=series, body=np.zeros(SHAPE, bool))))

    assert (n(1), n(2)) == (0, 1)


def test_outside_bodies_the_network_must_be_sure():
    none = np.zeros(SHAPE, bool)
    assert len(_find(_with((WIDE, 0.9)), sure=0.85, seen=_seen((BRIGHT, 9.0), body=none))) == 1
    assert _find(_with((WIDE, 0.9)), sure=0.95, seen=_seen((BRIGHT, 9.0), body=none)) == []


def test_outside_of_vertebrae_the_network_must_be_surest():
    vertebrae = np.zeros(SHAPE, bool)
    vertebrae[:, 20:] = True
    thresholds = Thresholds(0.3, 0.6, 0.6, 0.98, 3.0, 5.0, 0.0)

    def n(lesion, where):
        volume = _with((where, lesion))
        return len(find_candidates(volume, 0 * volume, ALL, SPACING_MM, thresholds, vertebrae=vertebrae))

    outside, inside = np.s_[2:6, 4:16, 8:24], np.s_[2:6, 24:36, 8:24]
    assert (n(0.9, outside), n(0.99, outside), n(0.9, inside)) == (0, 1, 1)


def test_what_stands_out_far_is_told_whatever_the_network_says_with_even_odds():
    far = _seen((BRIGHT, 6.0), spots=[(BRIGHT, 7.0)])
    (found,) = _find(_with((BRIGHT, 0.05)), seen=far)
    assert found.where.sum() == 2 * 8 * 8
    assert found.malignant == pytest.approx(EVEN_ODDS)
    assert found.probabilities["normal"] == pytest.approx(1 - EVEN_ODDS)
    assert _find(_with((BRIGHT, 0.05)), seen=_seen((BRIGHT, 6.0), spots=[(BRIGHT, 4.9)])) == []


def test_what_a_candidate_surrounds_in_a_slice_is_part_of_it():
    hole = np.s_[4:5, 15:17, 15:17]
    (found,) = _find(_with((WIDE, 0.95)), seen=_seen((BRIGHT, 4.0), (hole, 0.5)))
    assert found.where.sum() == 2 * 8 * 8
    open_end = np.s_[4:5, 15:20, 15:17]
    (found,) = _find(_with((WIDE, 0.95)), seen=_seen((BRIGHT, 4.0), (open_end, 0.5)))
    assert found.where.sum() == 2 * 8 * 8 - 5 * 2


def test_nothing_is_told_twice():
    found = _find(_with((WIDE, 0.95)), seen=_seen((BRIGHT, 6.0), spots=[(BRIGHT, 9.0)]))
    assert len(found) == 1


def _column(n):
    """As many vertebrae, and one candidate along their right halves and what lies between."""
    instances = np.zeros(SHAPE, np.uint16)
    for number in range(1, n + 1):
        instances[:, 10 * number - 9 : 10 * number - 2] = number
    lesion = _with((np.s_[:4, 1 : 10 * n - 2, 5:25], 0.95))
    return instances, lesion, _find(lesion)


def test_disease_across_many_vertebrae_is_told_vertebra_by_vertebra():
    instances, lesion, found = _column(4)
    parts = by_vertebra(found, instances, (lesion, 0 * lesion), SPACING_MM)
    told = np.zeros(SHAPE, int)
    for part in parts:
        numbers = np.unique(instances[part.box][part.where])
        assert len(numbers[numbers > 0]) == 1
        told[part.box][part.where] += 1
    assert np.array_equal(told == 1, lesion > 0)
    assert len(parts) == 4
    assert all(part.malignant == pytest.approx(0.95) for part in parts)


def test_what_reaches_two_vertebrae_stays_one():
    instances, lesion, found = _column(2)
    assert by_vertebra(found, instances, (lesion, 0 * lesion), SPACING_MM) == found


def test_what_grazes_further_vertebrae_stays_one():
    instances, lesion, found = _column(4)
    instances[:, :, 6:25] = np.where(instances[:, :, 6:25] > 2, 0, instances[:, :, 6:25])
    assert len(by_vertebra(found, instances, (lesion, 0 * lesion), SPACING_MM)) == 1
