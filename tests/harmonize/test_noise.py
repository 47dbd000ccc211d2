"""The noise floor of magnitudes is found from the image and no longer passes for signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spondyl.harmonize.noise import noise_sd, without_noise_floor

SPACING = (4.0, 0.8, 0.8)
SD = 10.0
DARK, BRIGHT = 6.0, 200.0


def _scan(seed=0, *, smoothed=False, sd=SD):
    """Bright tissue with a dark hole in it, air around; magnitudes of a noisy complex signal."""
    rng = np.random.default_rng([2_000_700, seed])
    signal = np.zeros((6, 160, 160))
    signal[:, 24:136, 24:136] = BRIGHT
    signal[:, 60:100, 60:100] = DARK
    noise = rng.normal(0, 1, (2, *signal.shape))
    if smoothed:
        noise = ndimage.gaussian_filter(noise, (0, 0, 0.5, 0.5))
    noise *= sd / noise.std()
    tissue = np.zeros(signal.shape, bool)
    tissue[:, 24:136, 24:136] = True
    return np.hypot(signal + noise[0], noise[1]), tissue


@pytest.mark.parametrize("smoothed", [False, True])
def test_noise_is_found_also_where_interpolation_smoothed_it(smoothed):
    image, tissue = _scan(smoothed=smoothed)
    found = noise_sd(image, SPACING, tissue)
    # Smoothing hides part of the noise, more so where it is a magnitude without signal; never is more of it found.
    assert (0.5 if smoothed else 0.8) * SD < np.median(found) < 1.1 * SD
    assert found.std() < 0.2 * SD


def test_noise_that_grows_with_depth_is_followed():
    rng = np.random.default_rng(3)
    image = np.full((4, 160, 160), BRIGHT)
    image[:, :, :40] = 0.0
    sd = np.linspace(4, 16, 160)[:, None]
    noise = rng.normal(0, 1, (2, *image.shape)) * sd
    found = noise_sd(np.hypot(image + noise[0], noise[1]), SPACING, image > 0)
    assert found[:, 140:].mean() > 1.8 * found[:, :20].mean()


@pytest.mark.parametrize("smoothed", [False, True])
def test_dark_tissue_comes_near_its_signal_and_bright_tissue_stays(smoothed):
    image, tissue = _scan(1, smoothed=smoothed)
    corrected, sd = without_noise_floor(image, SPACING, tissue)
    hole, rest = (slice(None), slice(66, 94), slice(66, 94)), (slice(None), slice(30, 54), slice(30, 130))
    assert image[hole].mean() > 2 * DARK
    left = abs(corrected[hole].mean() - DARK) / (image[hole].mean() - DARK)
    assert left < (0.8 if smoothed else 0.5)
    assert corrected[rest].mean() == pytest.approx(BRIGHT, rel=0.01)
    assert (0.5 if smoothed else 0.8) * SD < sd < 1.1 * SD


def test_an_image_without_noise_stays():
    image, tissue = _scan(sd=1e-9)
    corrected, _ = without_noise_floor(image, SPACING, tissue)
    inner = (slice(None), slice(40, 50), slice(40, 120))
    np.testing.assert_allclose(corrected[inner], image[inner], rtol=1e-3)


@pytest.mark.parametrize("shape", [(3, 5, 5), (1, 40, 40), (6, 64, 64)])
@pytest.mark.parametrize("value", [0.0, 50.0])
def test_empty_even_and_tiny_images_pass_unchanged(shape, value):
    image = np.full(shape, value, np.float32)
    corrected, sd = without_noise_floor(image, SPACING, image > 0)
    np.testing.assert_array_equal(corrected, image)
    assert sd == 0


def test_air_that_the_scanner_blanked_says_nothing():
    image, tissue = _scan(2)
    image[~tissue] = 0
    corrected, sd = without_noise_floor(image, SPACING, tissue)
    assert np.isfinite(corrected).all()
    assert 0.5 * SD < sd < 1.1 * SD


def test_the_image_given_stays_as_it_was():
    image, tissue = _scan(4)
    before = image.copy()
    without_noise_floor(image, SPACING, tissue)
    np.testing.assert_array_equal(image, before)
