"""Into the network's space and back without moving anything in the patient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fakes import GrayNetwork
from spondyl.core import Grid, Image, reorient
from spondyl.models.space import needed, resample, to_working_space, working_grid

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


@pytest.mark.parametrize("tilt", [0.0, 0.1])
def test_what_is_left_out_before_sampling_changes_nothing(tilt, rng):
    affine = np.diag([4.0, 1.0, 1.0, 1.0])
    affine[:2, :2] = affine[:2, :2] @ [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    source = Grid((8, 40, 30), affine)
    target = Grid((4, 12, 9), affine @ np.diag([1.0, 1.3, 1.1, 1.0])).part((slice(0, 3), slice(5, 12), slice(3, 9)))
    array = rng.normal(size=source.shape).astype(np.float32)
    part, grid = needed(array, source, target)
    assert part.size < array.size / 4
    far = array.copy()
    far[tuple(slice(s.stop + 1, None) for s in source.box_of(target))] = 1e6
    np.testing.assert_allclose(resample(part, grid, target), resample(far, source, target), atol=1e-5)


def test_beyond_the_image_its_border_goes_on():
    source, affine = Grid((4, 5, 6), np.eye(4)), np.eye(4)
    affine[:3, 3] = (0, 0, 50)
    array = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    np.testing.assert_allclose(resample(array, source, Grid((4, 5, 2), affine)), array[:, :, -1:].repeat(2, 2))


def test_a_filter_before_coarser_sampling_sees_all_it_needs(rng):
    fine = Grid((6, 60, 50), np.diag([4.0, 0.5, 0.5, 1.0]))
    image = Image(rng.normal(size=fine.shape).astype(np.float32), fine)
    whole = working_grid(fine, GrayNetwork.card)
    box = (slice(1, 4), slice(3, 15), slice(5, 11))
    turned = whole.part(box)
    np.testing.assert_allclose(to_working_space(image, turned), to_working_space(image, whole)[box], atol=1e-5)
