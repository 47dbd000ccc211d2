"""Bilsky grades on drawn canals, and on the phantom whose grade was planned."""

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.lesions.escc import GRADES, Canal, compression, worst
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.compression import ESCC_GRADES
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import PlannedLesion

SPACING = (3.0, 0.6, 0.6)


def drawn(depth_mm=0.0, *, shift_mm=0.0, all_around=False, sac=True, cord=True, reach=3):
    """A canal of 9 mm radius, a sac of 7.5 and a cord of 4; tumor from the front to a depth in the middle slices."""
    y, x = np.meshgrid((np.arange(40) - 19.5) * 0.6, (np.arange(40) - 19.5) * 0.6, indexing="ij")
    n = 25
    canal = np.repeat((np.hypot(y, x) < 9)[None], n, 0)
    dural = np.repeat((np.hypot(y, x) < 7.5)[None], n, 0)
    spinal = np.repeat((np.hypot(y, x) < 4)[None], n, 0) & cord
    tumor = np.zeros_like(canal)
    for k in range(n // 2 - reach, n // 2 + reach + 1):
        tumor[k] = canal[k] & (y < -9 + depth_mm)
        if shift_mm:
            spinal[k] = (np.hypot(y - shift_mm, x) < 4) & dural[k]
        if all_around:
            tumor[k] |= canal[k] & ~spinal[k]
    spinal &= ~tumor
    return Canal(tumor, canal, spinal, dural & ~tumor if sac else None, SPACING)


@pytest.mark.parametrize(
    ("parts", "grade"),
    [
        (drawn(), "0"),
        (drawn(1.4), "1a"),
        (drawn(3.6), "1b"),
        (drawn(5.0), "1c"),
        (drawn(7.2, shift_mm=2.0), "2"),
        (drawn(7.0, shift_mm=2.0, all_around=True), "3"),
    ],
    ids=GRADES,
)
def test_each_grade_as_its_authors_draw_it(parts, grade):
    assert compression(parts).grades == (grade,)


def test_without_a_sac_outline_the_dent_stays_open_between_1a_and_1b():
    assert compression(drawn(2.6, sac=False)).grades == ("1a", "1b")
    assert compression(drawn(3.9, sac=False)).grades == ("1b",)


def test_a_cord_that_vanishes_in_tumor_is_of_the_highest_grade():
    parts = drawn()
    tumor = parts.tumor.copy()
    tumor[10:15] = parts.canal[10:15]
    assert compression(parts._replace(tumor=tumor, cord=parts.cord & ~tumor, sac=None)).grades == ("3",)


def test_fluid_that_an_image_shows_tells_the_two_highest_grades_apart():
    parts = drawn(7.2, shift_mm=2.0)
    free = parts.canal & ~parts.tumor & ~parts.cord
    assert compression(parts._replace(fluid=free)).grades == ("2",)
    middle = np.zeros_like(free)
    middle[9:16] = True
    assert compression(parts._replace(fluid=free & ~middle)).grades == ("3",)


def test_below_the_cord_there_is_no_grade_but_the_share_of_the_canal():
    found = compression(drawn(9.0, cord=False))
    assert found.grades == ()
    assert found.canal_percent == pytest.approx(50, abs=4)
    assert "not defined" in found.why


def test_a_narrow_canal_without_tumor_is_no_compression():
    parts = drawn()
    narrow = parts._replace(canal=parts.cord, sac=parts.cord)
    assert compression(narrow).grades == ("0",)


def test_the_worst_is_the_one_with_the_highest_end():
    assert worst([("1a", "1b"), ("0",), ()]) == ("1a", "1b")
    assert worst([]) == ()


@pytest.mark.slow
@pytest.mark.parametrize("grade", ["0", "1a", "1c", "3"])
def test_planned_compression_is_painted_as_planned(grade):
    anatomy = build_anatomy(
        7104,
        region="thoracic",
        lesions=[PlannedLesion("T8", LesionKind.EPIDURAL, escc=grade)],
        spacing_mm=(1.3, 0.85, 0.85),
        extent_mm=(40.0, 320.0, 100.0),
    )
    tumor = anatomy.lesion > 0
    canal = np.isin(anatomy.structure, (Structure.CANAL, Structure.CORD))
    assert anatomy.lesions[0].escc == grade
    assert bool((tumor & canal).any()) == (grade != "0")
    assert not (tumor & (anatomy.structure == Structure.CORD)).any()


def test_the_phantom_and_the_grader_use_the_same_names():
    assert ESCC_GRADES == GRADES
