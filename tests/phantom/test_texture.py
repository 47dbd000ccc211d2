from __future__ import annotations

import numpy as np

from spondyl.phantom.relaxation import N_TEXTURE_LEVELS
from spondyl.phantom.texture import cells_of, noise_tile, smooth_field, texture_volume
from spondyl.phantom.tissue import Tissue


def test_noise_is_standard_and_has_no_seam(rng):
    tile = noise_tile(rng, (16, 48, 48), (1.0, 3.0, 3.0))
    assert abs(tile.mean()) < 1e-4
    assert abs(tile.std() - 1) < 1e-3
    across_the_seam = np.abs(tile[:, 0] - tile[:, -1]).mean()
    inside = np.abs(np.diff(tile, axis=1)).mean()
    assert across_the_seam < 1.5 * inside


def test_a_smooth_field_fills_its_shape_and_varies_slowly(rng):
    field = smooth_field(rng, (10, 60, 50), cells=(2, 3, 4))
    assert field.shape == (10, 60, 50)
    assert np.abs(np.diff(field, axis=1)).max() < 0.3


def test_a_field_of_one_cell_is_constant(rng):
    field = smooth_field(rng, (4, 5, 6), cells=(1, 1, 1))
    assert np.ptp(field) == 0


def test_texture_is_seeded_and_centered(blocks):
    grid, tissue, _, instance = blocks
    one, again, other = (texture_volume(np.random.default_rng(s), tissue, instance, grid.spacing_mm) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.5
    assert one.max() < N_TEXTURE_LEVELS
    muscle = one[tissue == Tissue.MUSCLE].astype(float)
    assert abs(muscle.mean() - (N_TEXTURE_LEVELS - 1) / 2) < 3
    assert 7 < muscle.std() < 12


def test_vertebrae_of_one_patient_differ(blocks):
    grid, tissue, _, instance = blocks
    texture = texture_volume(np.random.default_rng(3), tissue, instance, grid.spacing_mm)
    means = [texture[(instance == n) & (tissue == Tissue.NUCLEUS)].mean() for n in range(1, 6)]
    assert np.ptp(means) > 5


def test_a_cell_tells_tissue_and_texture():
    tissue, texture = np.array([3, 49], np.uint8), np.array([63, 0], np.uint8)
    cells = cells_of(tissue, texture)
    np.testing.assert_array_equal(cells // N_TEXTURE_LEVELS, tissue)
    np.testing.assert_array_equal(cells % N_TEXTURE_LEVELS, texture)
