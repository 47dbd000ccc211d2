"""Pictures lie where the patient says, not where the array says."""

from itertools import permutations, product

import numpy as np
import pytest

from fake_case import sagittal_grid
from spondyl.core import Grid, Image, LabelMap, reorient
from spondyl.core.geometry import AXIS_LETTERS
from spondyl.io.views import axial_slice, column_sheet, letters, sagittal_slice, sample, sample_labels, stack_axis

ORIENTATIONS = ["".join(c) for axes in permutations(AXIS_LETTERS) for c in product(*axes)]


def _marked(orientation="LIP"):
    grid = sagittal_grid(slices=5, rows=40, columns=30)
    array = np.zeros(grid.shape, np.float32)
    array[1, 6, 21] = 100  # right of the middle, near the head, near the back
    return Image(reorient(array, grid.orientation, orientation), grid.reoriented(orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_sagittal_picture_is_the_same_from_all_48_orientations(orientation):
    picture = sample(_marked(orientation), sagittal_slice(_marked(orientation).grid, 1))
    rows, columns = np.indices(picture.shape) + 0.5
    height, width = picture.shape
    assert np.average(rows, weights=picture) / height == pytest.approx(6.5 / 40, abs=0.005)
    assert np.average(columns, weights=picture) / width == pytest.approx(21.5 / 30, abs=0.005)


@pytest.mark.parametrize("orientation", ["LIP", "RSA", "PLS", "SAR"])
def test_anterior_is_left_and_the_head_up(orientation):
    assert sagittal_slice(_marked(orientation).grid, 2).edges == ("A", "P", "S", "I")
    assert axial_slice(_marked(orientation).grid, 2).edges == ("R", "L", "A", "P")


def test_the_aspect_is_true_when_rows_and_columns_differ():
    grid = sagittal_grid(rows=100, columns=50, spacing_mm=(4.0, 1.0, 3.0))
    view = sagittal_slice(grid, 0)
    assert (view.height_mm, view.width_mm) == pytest.approx((100, 150), abs=1)


def test_an_oblique_direction_has_two_letters():
    assert letters(np.array([0.0, 0.9, 0.5])) == "PS"
    assert letters(np.array([0.1, -0.9, 0.0])) == "A"


def test_a_straight_column_is_shown_in_one_acquired_slice():
    grid = sagittal_grid()
    view = column_sheet(grid, [(1.0, 0, 80.0), (3.0, 0, 0.0), (2.0, 0, -60.0)])
    assert view.place == "slice 5 of 9"
    assert np.ptp(view.points_lps_mm[..., 0]) == 0


def test_a_scoliotic_column_is_followed():
    grid = sagittal_grid(slices=15)
    centers = [(0.0, 0.0, 90.0), (14.0, 0.0, 0.0), (0.0, 0.0, -90.0)]
    view = column_sheet(grid, centers)
    assert "curved" in view.place
    rows = np.argmin(np.abs(view.points_lps_mm[:, 0, 2][:, None] - [90, 0, -90]), axis=0)
    assert view.points_lps_mm[rows, 0, 0] == pytest.approx([0, 14, 0], abs=3)


def test_without_vertebrae_the_middle_slice_is_shown():
    assert column_sheet(sagittal_grid(), []).place == "slice 5 of 9"


def test_a_parallel_series_shows_its_nearest_slice_unblended():
    grid = sagittal_grid(slices=4)
    array = np.zeros(grid.shape, np.float32)
    array[2] = 10
    shifted = grid.affine.copy()
    shifted[0, 3] -= 1.0
    picture = sample(Image(array, Grid(grid.shape, shifted)), sagittal_slice(grid, 2))
    assert set(np.unique(picture[np.isfinite(picture)])) == {10.0}


def test_what_an_image_does_not_reach_is_not_a_number():
    near = sagittal_grid(rows=20)
    picture = sample(Image(np.ones(near.shape), near), sagittal_slice(sagittal_grid(), 4))
    assert np.isnan(picture[-1]).all()
    assert np.isfinite(picture[0]).all()


def test_labels_are_looked_up_and_never_blended():
    grid = sagittal_grid()
    array = np.zeros(grid.shape, np.uint16)
    array[4, 30:60, 20:50] = 7
    found = sample_labels(LabelMap(array, grid), sagittal_slice(grid, 4))
    assert set(np.unique(found)) == {0, 7}


def test_a_cube_of_voxels_is_no_stack():
    assert stack_axis(sagittal_grid()) == 0
    assert stack_axis(sagittal_grid(spacing_mm=(1.0, 1.0, 1.0))) is None


def test_a_crop_stays_inside_the_sheet():
    view = sagittal_slice(sagittal_grid(), 0)
    part = view.cropped((-50, 10), (5, 9999))
    assert part.points_lps_mm.shape[:2] == (11, view.points_lps_mm.shape[1] - 5)
