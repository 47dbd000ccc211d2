from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom import artifacts


def test_the_coil_sees_less_with_depth():
    depth = np.array([10.0, 60.0, 120.0, 200.0])
    s = artifacts.loop_sensitivity(depth, np.zeros(4), elements_mm=(-50.0, 50.0), radius_mm=70.0)
    assert (np.diff(s) < 0).all()
    # Subcutaneous fat of the back against the aorta, before any correction: 3 to 15 times brighter.
    assert 3 < s[0] / s[2] < 15


def test_normalization_takes_the_profile_away(rng):
    image, profile = rng.random((3, 4, 5)), rng.uniform(0.3, 2, (3, 4, 5))
    np.testing.assert_allclose(artifacts.normalize_profile(image * profile, profile, strength=1.0), image)
    np.testing.assert_array_equal(artifacts.normalize_profile(image, profile, strength=0.0), image)


def test_a_saturation_band_darkens_only_its_own_side():
    factor = artifacts.saturation_band(np.array([-60.0, 0.0, 60.0]), strength=0.8)
    np.testing.assert_allclose(factor, [1, 0.6, 0.2], atol=1e-3)


def test_ghosts_lie_along_the_phase_direction_and_keep_the_signal():
    image = np.zeros((1, 32, 32))
    image[0, 16, 16] = 1
    out = artifacts.ghosts(image, np.ones_like(image), axis=1, shift_px=5, strength=0.2, n=1)
    assert out[0, 11, 16] == pytest.approx(0.1)
    assert out[0, 21, 16] == pytest.approx(0.1)
    assert out[0, 16, 16] == pytest.approx(0.8)
    assert out.sum() == pytest.approx(1)


def test_noise_alone_has_the_rayleigh_mean(rng):
    zeros = np.zeros(200_000)
    magnitude = artifacts.rician(zeros, *(rng.normal(0, 2.0, zeros.shape) for _ in range(2)))
    assert magnitude.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.01)


def test_fat_comes_back_where_suppression_fails():
    out = artifacts.unsuppressed_fat(np.array([0.05, 0.05]), np.array([0.0, 1.0]), residual=0.05)
    np.testing.assert_allclose(out, [0.05, 1.0])


def test_distortion_moves_a_line_by_the_shift_given():
    image = np.zeros((1, 40, 8), np.float32)
    image[0, 20] = 1
    out = artifacts.epi_distortion(image, np.full(image.shape, 3, np.float32), axis=1)
    assert out[0, :, 4].argmax() == 17
    np.testing.assert_allclose(
        artifacts.epi_distortion(image, np.zeros(image.shape, np.float32), axis=1), image, atol=1e-6
    )


def test_metal_leaves_a_void_and_a_bright_rim():
    distance = np.array([0.0, 5.0, 11.5, 40.0])
    out = artifacts.metal_void(np.ones(4), distance, radius_mm=10.0)
    assert out[0] < 0.01
    assert out[2] > 1.2
    assert out[3] == pytest.approx(1, abs=1e-3)


def test_stored_values_are_whole_and_twelve_bit(rng):
    out = artifacts.stored_values(rng.random(1000) * 3, white=1.0, top=2000.0)
    assert out.max() == artifacts.MAX_STORED
    np.testing.assert_array_equal(out, np.round(out))


def test_torch_gives_what_numpy_gives(rng):
    torch = pytest.importorskip("torch")
    image, other = rng.random((2, 8, 8)), rng.random((2, 8, 8))
    calls = [
        lambda a, b: artifacts.loop_sensitivity(a * 100, b * 50, elements_mm=(0.0, 40.0), radius_mm=60.0),
        lambda a, b: artifacts.normalize_profile(a, b, strength=0.8),
        lambda a, b: artifacts.saturation_band(a * 20, strength=0.7) * b,
        lambda a, b: artifacts.ghosts(a, b, axis=1, shift_px=2, strength=0.1),
        lambda a, b: artifacts.rician(a, b, b),
        lambda a, b: artifacts.metal_void(a, b * 20, radius_mm=8.0),
        lambda a, b: artifacts.stored_values(a, white=1.0, top=900.0) + b,
    ]
    for call in calls:
        got = call(torch.from_numpy(image), torch.from_numpy(other)).numpy()
        np.testing.assert_allclose(got, call(image, other), rtol=1e-10)
