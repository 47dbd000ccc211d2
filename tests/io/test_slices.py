"""Slices, rows and columns follow from directions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dicom_fakes import PLANES, cosines, source_grid
from spondyl.core import GeometryError, Grid
from spondyl.io.slices import layout_along, usual_layout

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "IS")) for letters in itertools.product(*order)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
def test_scanners_slices_do_not_depend_on_the_order_of_axes(orientation, plane):
    grid = source_grid(plane)
    turned = grid.reoriented(orientation)
    layout, expected = usual_layout(turned), usual_layout(grid)
    np.testing.assert_allclose(layout.affine, expected.affine, atol=1e-9)
    assert layout.shape == expected.shape


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_voxels_keep_their_place(orientation, rng):
    grid = source_grid("axial oblique").reoriented(orientation)
    array = rng.random(grid.shape)
    layout = usual_layout(grid)
    slices = layout.slices_of(array)
    index = np.array(np.unravel_index(np.argmax(slices), slices.shape))
    wanted = grid.ijk_to_lps(np.unravel_index(np.argmax(array), array.shape))
    np.testing.assert_allclose(layout.affine[:3, :3] @ index + layout.affine[:3, 3], wanted, atol=1e-9)


@pytest.mark.parametrize("plane", PLANES)
def test_slices_rows_and_columns_are_right_handed(plane):
    along_slices, along_column, along_row = usual_layout(source_grid(plane)).affine[:3, :3].T
    assert np.dot(np.cross(along_row, along_column), along_slices) > 0


@pytest.mark.parametrize("plane", PLANES)
def test_a_layout_along_its_source_is_the_source(plane):
    grid = source_grid(plane)
    layout = layout_along(grid.reoriented("RPI"), cosines(plane))
    np.testing.assert_allclose(layout.affine, grid.affine, atol=1e-9)


def test_a_grid_that_is_not_parallel_to_its_source_has_no_such_layout():
    assert layout_along(source_grid("sagittal"), cosines("sagittal oblique")) is None


def test_rounded_cosines_are_made_square_and_sheared_grids_refused():
    grid = source_grid("sagittal oblique")
    rounded = grid.affine.copy()
    rounded[:3, :3] = np.round(grid.directions, 6) * grid.spacing_mm
    layout = usual_layout(Grid(grid.shape, rounded))
    directions = layout.affine[:3, :3] / np.linalg.norm(layout.affine[:3, :3], axis=0)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    rounded[:3, 0] += (0, 1.0, 0)
    with pytest.raises(GeometryError, match="right angles"):
        usual_layout(Grid(grid.shape, rounded))
