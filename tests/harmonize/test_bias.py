"""The receive field: planted ones are found, even images stay even, and a lesion is not taken for the coil."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spondyl.core import Grid, reorient
from spondyl.harmonize.bias import _without_holes, bias_field, foreground, tissue_field

SPACING_MM = (4.0, 1.5, 1.5)


def grid_of(shape: tuple[int, int, int] = (14, 160, 100)) -> Grid:
    affine = np.array([[4.0, 0, 0, -28.0], [0, 0, 1.5, -75.0], [0, -1.5, 0, 120.0], [0, 0, 0, 1.0]])
    return Grid(shape, affine)


def coil(grid: Grid, strength: float = 1.0) -> np.ndarray:
    """Brighter behind and in the middle, as a spine coil is."""
    lps = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.exp(strength * (lps[..., 1] / 150 - (lps[..., 2] / 160) ** 2))


def tissues_of(grid: Grid, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Slabs of tissue of different brightness along the spine, and their masks."""
    image = np.zeros(grid.shape, np.float32)
    masks = {}
    for number, (name, value) in enumerate({"marrow": 300.0, "csf": 900.0, "muscle": 150.0, "fat": 700.0}.items()):
        mask = np.zeros(grid.shape, bool)
        mask[2:-2, 5:-5, 8 + 22 * number : 26 + 22 * number] = True
        image[mask] = value
        masks[name] = mask
    return image * rng.normal(1.0, 0.08, grid.shape).astype(np.float32), masks


def left_of(field: np.ndarray, true: np.ndarray, mask: np.ndarray) -> float:
    return float(np.std(np.log(field[mask] / true[mask])))


def test_tissue_is_told_from_air_whatever_its_brightness():
    rng = np.random.default_rng(0)
    image = np.abs(rng.normal(0, 4, (9, 80, 80)))
    image[:, 20:60, 20:60] += np.linspace(60, 600, 40)  # ten times as bright near the coil
    mask = foreground(image, SPACING_MM)
    true = np.zeros(image.shape, bool)
    true[:, 20:60, 20:60] = True
    assert (mask & true).sum() > 0.97 * true.sum()
    assert not mask[:, :16].any()  # beyond the rim that smoothing gives
    assert not mask[:, :, 64:].any()


def test_a_picture_without_air_is_all_tissue_and_one_without_signal_none():
    rng = np.random.default_rng(0)
    assert foreground(rng.uniform(80, 120, (5, 40, 40)), SPACING_MM).all()
    assert not foreground(np.zeros((5, 40, 40)), SPACING_MM).any()


def test_n4_flattens_a_planted_field():
    grid, rng = grid_of(), np.random.default_rng(1)
    field = coil(grid, 1.5)
    image = (200 * field * rng.normal(1, 0.05, grid.shape)).astype(np.float32)
    found = bias_field(image, grid.spacing_mm, np.ones(grid.shape, bool))
    assert left_of(found, field, np.ones(grid.shape, bool)) < 0.6 * float(np.std(np.log(field)))


def test_n4_leaves_an_image_that_is_too_small_alone():
    assert (bias_field(np.ones((1, 8, 8)), SPACING_MM, np.ones((1, 8, 8), bool)) == 1).all()
    assert (bias_field(np.zeros((9, 90, 90)), SPACING_MM, np.zeros((9, 90, 90), bool)) == 1).all()


def test_tissues_show_the_field_between_them():
    grid = grid_of()
    image, masks = tissues_of(grid, np.random.default_rng(2))
    field, whole = coil(grid), np.logical_or.reduce(list(masks.values()))
    found = tissue_field((image * field).astype(np.float32), grid, masks)
    assert left_of(np.ones(grid.shape), field, whole) > 0.2
    # Depth and tissue go together here, so part of the change with depth is rightly left to the tissues.
    assert left_of(found, field, whole) < 0.05
    np.testing.assert_allclose(np.log(found[whole]).mean(), 0.0, atol=0.06)


def test_an_even_image_stays_even_and_disease_does_not_bend_it():
    grid = grid_of()
    image, masks = tissues_of(grid, np.random.default_rng(3))
    image[4:10, 40:65, 8:26] *= 0.35  # a body full of tumor, not known to be one
    found = tissue_field(image, grid, masks)
    assert np.abs(np.log(found[masks["csf"]])).max() < 0.06
    assert np.abs(np.log(found[4:10, 40:65, 8:26])).max() < 0.06


def test_the_field_does_not_depend_on_the_order_of_axes():
    grid = grid_of()
    image, masks = tissues_of(grid, np.random.default_rng(4))
    image = (image * coil(grid)).astype(np.float32)
    turned = grid.reoriented("RAS")

    def reoriented(array):
        return reorient(array, grid.orientation, "RAS")

    plain = tissue_field(image, grid, masks)
    other = tissue_field(reoriented(image), turned, {n: reoriented(m) for n, m in masks.items()})
    whole = np.logical_or.reduce(list(masks.values()))
    # Other voxels are looked at in another order, so the noise of the fit is not the same.
    assert np.abs(np.log(reoriented(plain) / other))[reoriented(whole)].max() < 0.07


def test_without_tissue_there_is_no_field():
    grid = grid_of()
    none = {"csf": np.zeros(grid.shape, bool)}
    assert (tissue_field(np.ones(grid.shape, np.float32), grid, none) == 1).all()
    assert (tissue_field(np.full(grid.shape, np.nan, np.float32), grid, {"csf": np.ones(grid.shape, bool)}) == 1).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (3, 2, 2)])
def test_odd_shapes_give_a_finite_field(shape):
    grid = grid_of(shape)
    image = np.random.default_rng(5).uniform(1, 9, shape).astype(np.float32)
    assert np.isfinite(tissue_field(image, grid, {"csf": np.ones(shape, bool)})).all()
    assert np.isfinite(bias_field(image, grid.spacing_mm, foreground(image, grid.spacing_mm))).all()


def test_one_value_everywhere_is_all_tissue():
    assert foreground(np.full((3, 20, 20), 7.0), SPACING_MM).all()


@pytest.mark.parametrize("through", [0, 1, 2])
def test_holes_are_filled_slice_by_slice(through):
    mask = np.random.default_rng(5).random((6, 17, 14)) < 0.62
    wanted = np.stack([ndimage.binary_fill_holes(part) for part in np.moveaxis(mask, through, 0)], axis=through)
    assert (wanted != mask).any()
    np.testing.assert_array_equal(_without_holes(mask, through), wanted)
