"""Candidates grow from seeds and stay inside the region that is searched."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.lesions.candidates import PARASPINAL_MM, Thresholds, find_candidates, search_region

SHAPE = (8, 40, 40)
ALL = np.ones(SHAPE, bool)


def _with(*parts):
    lesion = np.zeros(SHAPE, np.float32)
    for where, value in parts:
        lesion[where] = value
    return lesion


def _find(lesion, *, extent=0.3, seed=0.6, least=0.0, region=ALL):
    return find_candidates(lesion, 0 * lesion, region, 4.0, Thresholds(extent, seed, least))


def test_a_candidate_grows_from_its_seed_to_the_lower_threshold():
    rim, core = np.s_[2:6, 10:20, 10:20], np.s_[3:5, 13:17, 13:17]
    (found,) = _find(_with((rim, 0.4), (core, 0.8)))
    assert found.where.sum() == 4 * 10 * 10
    assert found.malignant == pytest.approx(0.8)
    assert found.peak == pytest.approx(0.8)
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_raised_voxels_without_a_seed_are_none():
    assert _find(_with((np.s_[2:6, 10:20, 10:20], 0.55))) == []


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
