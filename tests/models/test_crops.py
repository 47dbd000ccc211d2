"""Crops follow the column, say what is meant, and are the same on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.models.crops import (
    CROP_CHANNELS,
    CROP_FACTS,
    CROP_SHAPE,
    POSTERIOR_SHIFT_MM,
    TOKEN_CHANNELS,
    Site,
    column_tilts,
    crop_index,
    crop_places,
    cut,
    lesion_site,
    sample,
    tokens_of,
    vertebra_sites,
)
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot

SPACING_MM = (4.0, 1.5, 1.5)
CENTERS = np.array([[8.0, 30.0, 40.0], [8.0, 50.0, 50.0], [8.0, 70.0, 60.0]])
MIDDLE = Site((8.0, 50.0, 50.0), 0.4, 1.0, is_lesion=False)


def ramp(axis: int) -> np.ndarray:
    """A volume whose value is the index along one axis."""
    return np.broadcast_to(np.indices((16, 96, 96), dtype=np.float32)[axis], (16, 96, 96))[None].copy()


def test_the_tilt_is_the_columns_direction():
    tilts = column_tilts(CENTERS * SPACING_MM)
    np.testing.assert_allclose(tilts, np.arctan(0.5))
    assert column_tilts([[0.0, 0.0, 0.0]]).tolist() == [0.0]
    assert column_tilts(np.zeros((0, 3))).shape == (0,)


def test_the_box_of_a_vertebra_lies_behind_its_body_across_the_column():
    site = vertebra_sites(CENTERS, SPACING_MM)[1]
    offset_mm = (np.array(site.center) - CENTERS[1]) * SPACING_MM
    along = np.array([0.0, np.cos(site.tilt_rad), np.sin(site.tilt_rad)])
    assert np.linalg.norm(offset_mm) == pytest.approx(POSTERIOR_SHIFT_MM)
    assert offset_mm @ along == pytest.approx(0, abs=1e-9)
    assert offset_mm[2] > 0
    assert (site.position, site.is_lesion) == (1.0, False)


def test_a_lesion_takes_the_direction_of_the_nearest_vertebra():
    vertebrae = vertebra_sites(CENTERS, SPACING_MM)
    site = lesion_site((8.0, 68.0, 62.0), vertebrae, SPACING_MM)
    assert (site.position, site.is_lesion) == (2.0, True)
    assert site.tilt_rad == vertebrae[2].tilt_rad
    assert lesion_site((1.0, 2.0, 3.0), [], SPACING_MM) == Site((1.0, 2.0, 3.0), 0.0, 0.0, is_lesion=True)


def test_places_of_a_box_and_back():
    index = crop_index(MIDDLE, SPACING_MM).reshape(3, -1).T
    back = crop_places(MIDDLE, index, SPACING_MM)
    np.testing.assert_allclose(back, np.indices(CROP_SHAPE).reshape(3, -1).T, atol=1e-4)


def test_interpolation_is_exact_on_ramps_and_zero_outside():
    index = np.array([[3.25, -2.0], [40.5, 10.0], [60.75, 10.0]], np.float32)
    values = [sample(ramp(axis), index)[0] for axis in range(3)]
    np.testing.assert_allclose(values, [[3.25, 0], [40.5, 0], [60.75, 0]], atol=1e-4)


def test_a_single_slice_can_be_sampled():
    volume = np.ones((1, 1, 8, 8), np.float32)
    assert sample(volume, np.array([[0.2], [3.0], [3.0]], np.float32))[0, 0] == pytest.approx(1)


def test_the_last_channel_is_the_mask():
    channels = np.zeros((N_CHANNELS, 16, 96, 96), np.float32)
    mask = np.zeros((16, 96, 96), bool)
    mask[6:11, 45:56, 45:56] = True
    crop = cut(channels, mask, MIDDLE, SPACING_MM)
    assert crop.shape == (CROP_CHANNELS, *CROP_SHAPE)
    middle = tuple(n // 2 for n in CROP_SHAPE)
    assert crop[-1][middle] == pytest.approx(1)
    assert (crop[-1, 0, 0, 0], float(np.abs(crop[:-1]).max())) == (0, 0)


def test_torch_cuts_the_same_crop(rng):
    torch = pytest.importorskip("torch")
    channels = rng.normal(size=(N_CHANNELS, 16, 96, 96)).astype(np.float32)
    mask = rng.random((16, 96, 96)) > 0.5
    expected = cut(channels, mask, MIDDLE, SPACING_MM)
    found = cut(torch.from_numpy(channels), torch.from_numpy(mask), MIDDLE, SPACING_MM)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_tokens_are_the_given_sequences_of_each_site(rng):
    crops = rng.normal(size=(2, CROP_CHANNELS, *CROP_SHAPE)).astype(np.float32)
    facts = np.zeros((2, CROP_FACTS), np.float32)
    own = facts[:, :N_FACTS].reshape(2, len(Slot), -1)
    own[:, [0, 3], 0] = 1
    facts[:, :N_FACTS] = own.reshape(2, -1)
    facts[1, -1] = 1
    tokens = tokens_of(crops, facts)
    assert tokens.slot.tolist() == [0, 3, 0, 3]
    assert tokens.site.tolist() == [0, 0, 1, 1]
    assert tokens.crops.shape == (4, TOKEN_CHANNELS, *CROP_SHAPE)
    np.testing.assert_array_equal(tokens.crops[3, 0], crops[1, 3])
    np.testing.assert_array_equal(tokens.crops[3, 1:], crops[1, len(Slot) :])
    assert tokens.facts[:, -1].tolist() == [0, 0, 1, 1]
