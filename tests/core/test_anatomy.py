"""Levels are names, numbers live in one place."""

from __future__ import annotations

import pytest

from spondyl.core import LEVELS, Structure, disc_name
from spondyl.core.anatomy import STRUCTURE_NAMES, VARIANT_LEVELS


def test_levels_run_from_the_head_down_with_the_variants():
    assert len(LEVELS) == len(set(LEVELS)) == 7 + 13 + 6 + 5
    assert LEVELS[:2] == ("C1", "C2")
    assert LEVELS.index("T12") < LEVELS.index("T13") < LEVELS.index("L1") < LEVELS.index("L6") < LEVELS.index("S1")
    assert set(VARIANT_LEVELS) <= set(LEVELS)


def test_every_structure_but_background_has_a_name():
    assert set(STRUCTURE_NAMES) == set(Structure) - {Structure.BACKGROUND}


def test_structures_fit_a_label_map_without_gaps():
    assert [int(s) for s in Structure] == list(range(9))


def test_disc_is_named_by_its_neighbors():
    assert disc_name("L5", "S1") == "L5/S1"


@pytest.mark.parametrize(("upper", "lower"), [(None, "S1"), ("L5", None), (None, None)])
def test_disc_beside_an_unknown_level_has_no_name(upper, lower):
    assert disc_name(upper, lower) is None
