"""Where a lesion lies follows from the structures around it."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.lesions.compartments import divide

SPACING_MM = (4.0, 1.0, 1.0)


def _structures():
    """A body in front of a canal 16 mm wide that holds a cord, soft tissue behind."""
    structures = np.zeros((9, 40, 70), np.uint8)
    structures[:, :, 5:35] = Structure.BODY
    structures[2:7, :, 36:54] = Structure.CANAL
    structures[3:6, :, 41:49] = Structure.CORD
    return structures


def _box(front, back, slices=slice(3, 6)):
    where = np.zeros((9, 40, 70), bool)
    where[slices, 10:20, front:back] = True
    return where


@pytest.mark.parametrize(
    ("where", "compartment"),
    [
        (_box(10, 20), "bone"),
        (_box(30, 40), "bone"),
        (_box(36, 39), "epidural"),
        (_box(42, 48), "intramedullary"),
        (_box(49, 52, slice(4, 5)), "intradural"),
        (_box(58, 66), "paraspinal"),
    ],
)
def test_the_compartment_is_that_of_most_of_a_lesion(where, compartment):
    structures = _structures()
    structures[:, :, 55:56] = 0
    if compartment == "intradural":
        structures[2:7, :, 36:60] = np.where(structures[2:7, :, 36:60] == 0, Structure.CANAL, structures[2:7, :, 36:60])
    assert divide(where, structures, SPACING_MM).compartment.value == compartment


def test_the_parts_add_up_to_the_lesion():
    where = _box(30, 40)
    parts = divide(where, _structures(), SPACING_MM)
    assert parts.bone_mm3 == pytest.approx(3 * 10 * 5 * 4)
    assert parts.canal_mm3 == pytest.approx(3 * 10 * 4 * 4)
    assert parts.bone_mm3 + parts.canal_mm3 + parts.paraspinal_mm3 == pytest.approx(where.sum() * 4)
