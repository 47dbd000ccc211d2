"""Where a voxel lies: every orientation, oblique and anisotropic."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondyl.core import SAGITTAL, GeometryError, Grid, reorient
from spondyl.core.geometry import AXIS_LETTERS, SAME_SPACE_TOLERANCE_MM, axis_changes

ORIENTATIONS = ["".join(letters) for order in permutations(AXIS_LETTERS) for letters in product(*order)]
"""All 48 ways in which three array axes can follow the three axes of the body."""

SHAPE = (3, 4, 5)
SPACING_MM = (4.4, 0.9, 0.6)


def rotation(degrees: float = 20.0) -> np.ndarray:
    """A rotation that leaves no axis where it was, and each closest to its own."""
    a, b = np.deg2rad([degrees, degrees / 2])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_z


def oblique_grid(orientation: str = "LPS") -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = rotation() * SPACING_MM
    affine[:3, 3] = (-31.0, 12.5, 402.25)
    return Grid(SHAPE, affine, "1.2.3").reoriented(orientation)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reoriented_grid_says_the_orientation_asked_for(orientation):
    assert oblique_grid(orientation).orientation == orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_moves_no_voxel(orientation, rng):
    grid = oblique_grid()
    array = rng.permutation(60).reshape(SHAPE)
    moved, new = reorient(array, "LPS", orientation), grid.reoriented(orientation)
    assert moved.shape == new.shape
    for value in (0, 17, 59):
        before = grid.ijk_to_lps(np.argwhere(array == value)[0])
        after = new.ijk_to_lps(np.argwhere(moved == value)[0])
        np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_there_and_back_changes_nothing(orientation, rng):
    array = rng.normal(size=SHAPE)
    back = reorient(reorient(array, "LPS", orientation), orientation, "LPS")
    np.testing.assert_array_equal(back, array)
    assert oblique_grid(orientation).reoriented("LPS").displacement_mm(oblique_grid()) < 1e-9


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reorienting_keeps_volume_plane_and_frame_of_reference(orientation):
    grid = oblique_grid(orientation)
    assert grid.voxel_volume_mm3 == pytest.approx(4.4 * 0.9 * 0.6)
    assert sorted(grid.spacing_mm) == pytest.approx(sorted(SPACING_MM))
    assert grid.plane == "sagittal"
    assert grid.frame_of_reference == "1.2.3"


def test_reorienting_gives_a_view_and_keeps_further_axes():
    array = np.zeros((*SHAPE, 2))
    moved = reorient(array, "LPS", "SAR")
    assert moved.shape == (5, 4, 3, 2)
    assert np.shares_memory(moved, array)


def test_an_index_names_the_center_of_a_voxel():
    grid = Grid((2, 2, 2), np.diag([2.0, 3.0, 4.0, 1.0]))
    np.testing.assert_array_equal(grid.ijk_to_lps((0, 0, 0)), (0, 0, 0))
    np.testing.assert_array_equal(grid.ijk_to_lps((1, 1, 1)), (2, 3, 4))
    np.testing.assert_array_equal(grid.ijk_to_lps((0.5, 0, 0)), (1, 0, 0))


@given(st.tuples(*[st.floats(-500, 500)] * 3), st.sampled_from(ORIENTATIONS))
def test_lps_to_ijk_undoes_ijk_to_lps(point, orientation):
    grid = oblique_grid(orientation)
    np.testing.assert_allclose(grid.ijk_to_lps(grid.lps_to_ijk(point)), point, atol=1e-6)


def test_positions_keep_leading_axes():
    assert oblique_grid().ijk_to_lps(np.zeros((4, 7, 3))).shape == (4, 7, 3)


def test_directions_are_unit_vectors():
    np.testing.assert_allclose(np.linalg.norm(oblique_grid("SAR").directions, axis=0), 1.0)


@pytest.mark.parametrize(
    ("spacing_mm", "plane"), [((4, 1, 1), "sagittal"), ((1, 4, 1), "coronal"), ((1, 1, 4), "axial")]
)
def test_plane_follows_the_coarsest_axis(spacing_mm, plane):
    grid = Grid((5, 5, 5), np.diag([*map(float, spacing_mm), 1.0]))
    assert grid.plane == plane
    assert grid.reoriented(SAGITTAL).plane == plane


def test_orientation_of_a_diagonal_affine_uses_each_body_axis_once():
    # At 45 degrees two array axes lie equally near the same body axis; both may not claim it.
    affine = np.eye(4)
    affine[:3, :3] = rotation(45.0)
    orientation = Grid(SHAPE, affine).orientation
    assert len({"LRPASI".index(c) // 2 for c in orientation}) == 3


def test_corners_are_centers_of_the_outermost_voxels():
    corners = Grid((2, 3, 4), np.eye(4)).corners_lps_mm()
    assert corners.shape == (8, 3)
    np.testing.assert_array_equal(corners.max(axis=0), (1, 2, 3))


def test_displacement_is_the_largest_corner_distance_in_mm():
    moved = np.eye(4)
    moved[:3, 3] = (3.0, 0.0, 4.0)
    assert Grid(SHAPE, np.eye(4)).displacement_mm(Grid(SHAPE, moved)) == pytest.approx(5.0)


def test_small_rotation_of_a_large_grid_is_another_space():
    # The entries of the affine differ by only 0.002, yet the far corner moves: elementwise closeness would miss it.
    angle = 0.002
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    shape = (400, 400, 2)
    assert np.allclose(turned, np.eye(4), atol=0.0021)
    assert not Grid(shape, turned).same_space(Grid(shape, np.eye(4)))


def test_same_space_forgives_rounding_only():
    almost = np.eye(4)
    almost[0, 3] = SAME_SPACE_TOLERANCE_MM * 0.9
    beyond = np.eye(4)
    beyond[0, 3] = SAME_SPACE_TOLERANCE_MM * 1.1
    grid = Grid(SHAPE, np.eye(4))
    assert grid.same_space(Grid(SHAPE, almost))
    assert not grid.same_space(Grid(SHAPE, beyond))
    assert grid.same_space(Grid(SHAPE, beyond), tolerance_mm=1.0)


def test_other_shape_is_infinitely_far():
    assert Grid(SHAPE, np.eye(4)).displacement_mm(Grid((3, 4, 6), np.eye(4))) == float("inf")


@pytest.mark.parametrize("orientation", ["LPS", "LIP", "SAR", "AIR"])
def test_resampled_grid_keeps_center_extent_and_directions(orientation):
    grid = oblique_grid(orientation)
    finer = grid.resampled((0.3, 0.3, 0.3))
    middle = [g.ijk_to_lps((np.array(g.shape) - 1) / 2) for g in (grid, finer)]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-9)
    np.testing.assert_allclose(finer.directions, grid.directions, atol=1e-12)
    extent = [np.array(g.shape) * g.spacing_mm for g in (grid, finer)]
    np.testing.assert_allclose(extent[0], extent[1], atol=0.15 + 1e-9)


def test_resampled_grid_has_at_least_one_voxel_along_each_axis():
    assert Grid((1, 2, 2), np.eye(4)).resampled((50.0, 50.0, 50.0)).shape == (1, 1, 1)


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4), (4, 4, 4, 4), (4, -1, 4), ()])
def test_shape_must_be_three_positive_sizes(shape):
    with pytest.raises(GeometryError, match="needs three positive sizes, got"):
        Grid(shape, np.eye(4))


@pytest.mark.parametrize("affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1, 1, np.inf, 1])])
def test_affine_must_be_a_finite_4_by_4_matrix(affine):
    with pytest.raises(GeometryError, match="finite 4 x 4 matrix in mm, got shape"):
        Grid(SHAPE, affine)


def test_affine_must_span_a_volume():
    with pytest.raises(GeometryError, match="invertible; its three axes span no volume"):
        Grid(SHAPE, np.diag([1.0, 0.0, 1.0, 1.0]))


def test_orientation_letters_are_checked():
    with pytest.raises(ValueError, match="made of L or R, P or A, S or I, got 'X'"):
        axis_changes("LPS", "LPX")


@pytest.mark.parametrize(("have", "want"), [("LRS", "LPS"), ("LPS", "LLS"), ("LP", "LPS"), ("LPS", "")])
def test_orientation_names_each_body_axis_once(have, want):
    with pytest.raises(ValueError, match="names each body axis once"):
        axis_changes(have, want)


def test_a_grid_cannot_be_changed():
    affine = np.eye(4)
    grid = Grid(SHAPE, affine)
    affine[0, 3] = 99.0
    assert grid.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1.0
    with pytest.raises(AttributeError):
        grid.shape = (1, 1, 1)


def test_a_part_moves_no_voxel():
    grid = oblique_grid()
    box = (slice(1, 3), slice(0, 2), slice(2, 4))
    part = grid.part(box)
    assert part.shape == (2, 2, 2)
    np.testing.assert_allclose(part.ijk_to_lps([1, 1, 0]), grid.ijk_to_lps([2, 1, 2]))


def test_the_box_of_a_part_is_that_part():
    grid = Grid((9, 8, 7), np.diag([3.0, 1.0, 2.0, 1.0]))
    box = (slice(2, 5), slice(0, 8), slice(6, 7))
    assert grid.box_of(grid.part(box), beyond=0.0) == box


def test_the_box_of_a_grid_far_away_is_the_border_nearest_to_it():
    grid, affine = Grid((9, 8, 7), np.eye(4)), np.eye(4)
    affine[:3, 3] = (100, -100, 2)
    assert grid.box_of(Grid((2, 2, 2), affine)) == (slice(8, 9), slice(0, 1), slice(1, 5))


def test_a_box_holds_half_voxels_and_reaches_no_farther_than_the_grid():
    grid = Grid((9, 9, 9), np.eye(4))
    coarse = Grid((2, 2, 2), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert grid.box_of(coarse) == (slice(0, 7),) * 3
