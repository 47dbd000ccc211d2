"""What of the canal is told to be tumor: drawn T2 images whose epidural tumor is known."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_canal import CORD, DISC, FLUID, GRID, ROWS, SPACING, candidate_of, drawn
from spondyl.core import Case, Image, LabelMap, Sequence, Structure, reorient
from spondyl.lesions.epidural import epidural_part, fluid_around, with_epidural_parts


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_tissue_in_place_of_fluid_behind_a_tumor_is_its_epidural_part():
    t2, structures, tumor, mass = drawn()
    assert overlap(epidural_part(t2, structures, tumor, SPACING), mass) > 0.95


def test_a_canal_full_of_fluid_stays_empty():
    t2, structures, tumor, _ = drawn(inside=FLUID)
    assert not epidural_part(t2, structures, tumor, SPACING).any()


def test_a_disc_that_bulges_is_too_dark_to_be_tumor():
    t2, structures, tumor, _ = drawn(inside=DISC)
    assert not epidural_part(t2, structures, tumor, SPACING).any()


def test_what_does_not_touch_the_tumor_is_left_alone():
    t2, structures, tumor, _ = drawn(rows=slice(100, 112))
    assert not epidural_part(t2, structures, tumor, SPACING).any()


def test_a_mass_that_touches_the_body_belongs_to_a_tumor_elsewhere_in_it():
    t2, structures, tumor, mass = drawn(depth_mm=6)
    tumor[:, :, 14:] = False
    tumor[3:6, ROWS, 11:13] = True
    body = (structures == Structure.BODY) & (np.indices(GRID.shape)[1] // 32 == ROWS.start // 32)
    assert not epidural_part(t2, structures, tumor, SPACING).any()
    assert overlap(epidural_part(t2, structures, tumor, SPACING, body=body), mass) > 0.9


def test_a_little_that_touches_the_body_does_not():
    t2, structures, tumor, _ = drawn(rows=slice(72, 78), depth_mm=4)
    tumor[:, :, 14:] = False
    tumor[3:6, ROWS, 11:13] = True
    body = (structures == Structure.BODY) & (np.indices(GRID.shape)[1] // 32 == ROWS.start // 32)
    assert not epidural_part(t2, structures, tumor, SPACING, body=body).any()


def test_what_is_dark_all_along_the_canal_is_how_this_canal_is():
    t2, structures, tumor, _ = drawn(rows=slice(0, 160))
    assert not epidural_part(t2, structures, tumor, SPACING).any()


@pytest.mark.parametrize("what", ["no contrast", "no cord", "no canal", "no tumor"])
def test_nothing_is_told_where_nothing_can_be_compared(what):
    t2, structures, tumor, _ = drawn(fluid=CORD if what == "no contrast" else FLUID)
    if what == "no cord":
        structures[structures == Structure.CORD] = Structure.CANAL
    elif what == "no canal":
        structures[structures != Structure.BODY] = Structure.BACKGROUND
    elif what == "no tumor":
        tumor[:] = False
    assert not epidural_part(t2, structures, tumor, SPACING).any()


def case_of(t2, structures, *, orientation="LIP", sequence=Sequence.T2):
    """A case in an orientation, and the grid."""
    grid = GRID.reoriented(orientation)
    image = Image(reorient(t2, GRID.orientation, orientation), grid, sequence)
    turned = reorient(structures, GRID.orientation, orientation)
    labels = {"structures": LabelMap(turned, grid), "vertebrae": LabelMap(np.zeros_like(turned), grid)}
    return Case("case-drawn", {sequence: image}, labels=labels), grid


@pytest.mark.parametrize("orientation", ["LIP", "RAS", "SPL"])
def test_a_candidate_reaches_into_the_canal_in_any_orientation(orientation):
    t2, structures, tumor, mass = drawn()
    case, grid = case_of(t2, structures, orientation=orientation)
    (grown,) = with_epidural_parts([candidate_of(tumor, grid)], case)
    whole = np.zeros(grid.shape, bool)
    whole[grown.box] = grown.where
    assert overlap(reorient(whole, orientation, GRID.orientation), tumor | mass) > 0.95


@pytest.mark.parametrize("why", ["benign", "no T2", "not of bone"])
def test_other_candidates_stay_as_they_are(why):
    t2, structures, tumor, mass = drawn()
    case, grid = case_of(t2, structures, sequence=Sequence.T1 if why == "no T2" else Sequence.T2)
    mask = mass if why == "not of bone" else tumor
    given = candidate_of(mask, grid, malignant=0.2 if why == "benign" else 0.9)
    (kept,) = with_epidural_parts([given], case)
    assert kept.box == given.box
    assert not kept.grown
    np.testing.assert_array_equal(kept.where, given.where)


def test_two_candidates_do_not_share_a_voxel():
    t2, structures, tumor, _ = drawn()
    case, grid = case_of(t2, structures)
    other = np.roll(tumor, -7, axis=2) & ~tumor
    grown = with_epidural_parts([candidate_of(tumor, grid), candidate_of(other, grid)], case)
    count = np.zeros(grid.shape, int)
    for candidate in grown:
        count[candidate.box] += candidate.where
    assert count.max() == 1


def test_fluid_is_what_neither_mass_nor_cord_takes():
    t2, structures, tumor, mass = drawn()
    case, _ = case_of(t2, structures)
    fluid = fluid_around(case, tumor)
    free = (structures == Structure.CANAL) & ~mass
    rows = slice(40, 120)
    assert overlap(fluid[:, rows], free[:, rows]) > 0.97


def test_without_a_t2_image_fluid_is_not_known():
    t2, structures, tumor, _ = drawn()
    assert fluid_around(case_of(t2, structures, sequence=Sequence.T1)[0], tumor) is None


def test_coils_that_see_one_end_of_the_canal_less_make_no_tumor():
    t2, structures, tumor, _ = drawn(inside=FLUID)
    t2 = t2 * np.linspace(0.35, 1.0, t2.shape[1])[None, :, None]
    assert not epidural_part(t2, structures, tumor, SPACING).any()


def test_at_the_end_of_the_field_of_view_nothing_is_told():
    t2, structures, tumor, _ = drawn()
    cut = slice(60, None)
    assert not epidural_part(t2[:, cut], structures[:, cut], tumor[:, cut], SPACING).any()


def test_a_canal_that_stays_dark_beyond_the_tumor_is_no_epidural_part():
    t2, structures, tumor, _ = drawn(rows=slice(50, 106))
    assert not epidural_part(t2, structures, tumor, SPACING).any()
