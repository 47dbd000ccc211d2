"""The longest diameter is that of known shapes, in whatever plane the slices lie."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid
from spondyl.lesions.measure import longest_diameter_mm

SAGITTAL = np.array([[4.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
GRID = Grid((12, 60, 60), SAGITTAL)


def _voxels(mask):
    return np.argwhere(mask)


def _places(grid):
    return np.moveaxis(np.indices(grid.shape), 0, -1) * np.asarray(grid.spacing_mm)


@pytest.mark.parametrize("orientation", ["LIP", "LPS", "SAL", "PSR"])
def test_a_ball_has_its_diameter_whatever_the_axes(orientation):
    grid = GRID.reoriented(orientation)
    center = (np.asarray(grid.shape) - 1) / 2 * grid.spacing_mm
    ball = np.linalg.norm(_places(grid) - center, axis=-1) <= 10
    # The central slices lie 2 mm off its center; outer pixel edges add up to a pixel.
    assert longest_diameter_mm(_voxels(ball), grid) == pytest.approx(2 * np.sqrt(10**2 - 2**2), abs=1.2)


@pytest.mark.parametrize("through", [0, 1, 2])
def test_a_rectangle_is_measured_along_its_diagonal_in_every_plane(through):
    spacing = [1.0, 1.0, 1.0]
    spacing[through] = 5.0
    grid = Grid((20, 20, 20), np.diag([*spacing, 1.0]))
    first, second = (a for a in range(3) if a != through)
    mask = np.zeros(grid.shape, bool)
    box = [slice(3, 5)] * 3
    box[first], box[second] = slice(2, 5), slice(4, 8)
    mask[tuple(box)] = True
    assert longest_diameter_mm(_voxels(mask), grid) == pytest.approx(np.hypot(3, 4))


def test_it_is_measured_inside_a_slice_never_across():
    mask = np.zeros(GRID.shape, bool)
    mask[2:10, 30, 30] = True
    assert longest_diameter_mm(_voxels(mask), GRID) == pytest.approx(np.sqrt(2))


def test_one_voxel_measures_its_diagonal():
    grid = Grid((4, 8, 8), np.diag([6.0, 3.0, 4.0, 1.0]))
    assert longest_diameter_mm(np.array([[1, 2, 3]]), grid) == pytest.approx(5.0)


def test_the_place_in_the_volume_does_not_matter():
    mask = np.zeros(GRID.shape, bool)
    mask[3, 10:22, 10:14] = True
    voxels = _voxels(mask)
    assert longest_diameter_mm(voxels + np.array([4, 30, 40]), GRID) == pytest.approx(longest_diameter_mm(voxels, GRID))
