"""Into the network's space and back without moving anything in the patient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fakes import GrayNetwork
from spondyl.core import Grid, Image, reorient
from spondyl.models.space import resample, to_working_space, working_grid

CARD = GrayNetwork.card
ORIENTATIONS = ["".join(c) for p in itertools.permutations(["LR", "PA", "SI"]) for c in itertools.product(*p)]


def _tilted_grid() -> Grid:
    a = np.radians(17)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[3.9, 0, 0], [0, 0, 0.8], [0, -0.8, 0]])
    affine[:3, 3] = -20, -40, 60
    return Grid((11, 70, 60), affine)


def _linear(grid: Grid) -> np.ndarray:
    x, y, z = np.moveaxis(grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    return (500 + 2 * x + 3 * y - z).astype(np.float32)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_working_image_shows_the_same_patient_whatever_the_axes(orientation):
    grid = _tilted_grid()
    turned = grid.reoriented(orientation)
    image = Image(reorient(_linear(grid), grid.orientation, orientation), turned)
    work = working_grid(turned, CARD)
    assert work.displacement_mm(working_grid(grid, CARD)) < 1e-6
    inside = (slice(1, -1), slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(to_working_space(image, work)[inside], _linear(work)[inside], atol=0.05)


def test_usual_slices_stay_as_acquired_and_thin_ones_are_averaged():
    thin = np.diag([1.0, 1.0, 1.0, 1.0])
    assert working_grid(_tilted_grid(), CARD).spacing_mm[0] == pytest.approx(3.9)
    spacing = working_grid(Grid((60, 60, 60), thin), CARD).spacing_mm
    assert spacing[0] >= CARD.slice_range_mm[0]


def test_resampling_and_back_keeps_a_smooth_volume():
    grid = _tilted_grid()
    work = working_grid(grid, CARD)
    back = resample(resample(_linear(grid), grid, work), work, grid)
    np.testing.assert_allclose(back[1:-1, 4:-4, 4:-4], _linear(grid)[1:-1, 4:-4, 4:-4], atol=0.05)


def test_separable_and_general_resampling_agree():
    grid = Grid((8, 20, 22), np.diag([3.0, 1.0, 1.0, 1.0]))
    target = grid.resampled((2.0, 1.7, 0.6))
    nudged = target.affine.copy()
    nudged[0, 1] = 1e-4
    straight = resample(_linear(grid), grid, target)
    general = resample(_linear(grid), grid, Grid(target.shape, nudged))
    np.testing.assert_allclose(straight, general, atol=0.05)


def test_nearest_resampling_keeps_labels(rng):
    grid = Grid((6, 12, 12), np.eye(4))
    labels = rng.integers(0, 5, grid.shape).astype(np.uint16)
    out = resample(labels, grid, grid.resampled((0.7, 0.7, 0.7)), order=0)
    assert set(np.unique(out)) <= set(range(5))
    assert out.dtype == np.uint16
