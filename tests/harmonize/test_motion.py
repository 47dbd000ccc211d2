"""Ghosts are told by their ripple in the spectrum, and sharp or noisy images are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Image, Sequence
from spondyl.harmonize.motion import MOVED, motion_flags, spectral_ripple
from spondyl.phantom.artifacts import ghosts

SPACING = (4.0, 1.0, 1.0)
SHAPE = (8, 256, 224)


@pytest.fixture(scope="module")
def still():
    """A body with edges of all sizes in air, discs as far apart as discs are, and noise."""
    rng = np.random.default_rng(3)
    power = 1 / (0.01 + np.hypot(np.fft.fftfreq(SHAPE[1])[:, None], np.fft.fftfreq(SHAPE[2]))) ** 1.2
    texture = np.fft.ifft2(np.fft.fft2(rng.normal(size=SHAPE)) * power).real
    rows, columns = np.indices(SHAPE[1:])
    body = (columns > 40) & (columns < 190)
    near = np.abs(rows[..., None] - [14, 44, 76, 106, 139, 174, 206, 240]).min(-1)
    discs = body & (near < 4) & (columns > 80) & (columns < 110)
    signal = np.where(body, 300 + 60 * texture / texture.std() - 120 * discs, 0)
    return np.abs(signal + rng.normal(0, 8, SHAPE)).astype(np.float32)


def _moved(array, pixels, axis, lines_apart=30):
    """The body shifted to and fro while one line after the other was taken."""
    n = array.shape[axis]
    line = np.fft.fftfreq(n, 1 / n)
    shift = pixels * np.sin(2 * np.pi * line * lines_apart / n + 0.7)
    turn = np.exp(-2j * np.pi * np.fft.fftfreq(n) * shift)
    spectrum = np.fft.fft(np.moveaxis(array, axis, -1)) * turn
    return np.moveaxis(np.abs(np.fft.ifft(spectrum)), -1, axis).astype(np.float32)


def _image(array, sequence=Sequence.T2):
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = SPACING[0], -SPACING[1], SPACING[2], 1
    return Image(array, Grid(array.shape, affine), sequence)


def test_an_image_of_somebody_who_lay_still_has_no_ripple(still):
    assert spectral_ripple(still, SPACING).amplitude < MOVED / 2


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("strength", [0.2, 0.4])
def test_the_ripple_tells_strength_distance_and_direction_of_ghosts(still, axis, strength):
    moving = np.ones_like(still)
    found = spectral_ripple(ghosts(still, moving, axis=axis, shift_px=37, strength=strength), SPACING)
    assert found.share == pytest.approx(strength, rel=0.25)
    assert found.shift_px == pytest.approx(37, abs=1)
    assert found.axis == axis


@pytest.mark.parametrize("axis", [1, 2])
def test_a_body_that_breathes_by_two_pixels_is_told(still, axis):
    assert motion_flags(_image(_moved(still, 2.0, axis)))[0].code == "motion"


def test_what_the_scanner_does_to_spectra_is_no_motion(still):
    """Zeros filled in beyond what was sampled, a frame without signal, another scale, and noise."""
    kept = np.abs(np.fft.fftfreq(SHAPE[1])) < 0.16
    filled = np.abs(np.fft.ifft(np.fft.fft(still, axis=1) * kept[:, None], axis=1))
    framed = np.pad(still, ((0, 0), (20, 30), (70, 60)))
    noisy = np.abs(still + np.random.default_rng(5).normal(0, 60, SHAPE))
    for array in (filled, framed, noisy, 1e-3 * still):
        assert spectral_ripple(array, SPACING).amplitude < MOVED


def test_the_order_of_axes_does_not_matter(still):
    ghosted = ghosts(still, np.ones_like(still), axis=2, shift_px=37, strength=0.3)
    turned = spectral_ripple(ghosted.transpose(1, 2, 0), (1.0, 1.0, 4.0))
    assert turned.axis == 1
    assert turned.amplitude == pytest.approx(spectral_ripple(ghosted, SPACING).amplitude, rel=1e-3)


@pytest.mark.parametrize(
    "array", [np.zeros(SHAPE, np.float32), np.full((1, 20, 20), 7.0), np.full(SHAPE, np.nan)], ids=["0", "small", "nan"]
)
def test_where_nothing_can_be_told_nothing_is_said(array):
    assert np.isnan(spectral_ripple(array, SPACING).amplitude)
    assert motion_flags(_image(array.astype(np.float32))) == []


def test_the_flag_names_series_distance_and_share(still):
    ghosted = ghosts(still, np.ones_like(still), axis=1, shift_px=37, strength=0.4)
    (flag,) = motion_flags(_image(ghosted, Sequence.STIR))
    assert flag.where == "STIR"
    assert "37 mm apart" in flag.message
    assert motion_flags(_image(ghosted, Sequence.DWI)) == []
