"""Network input is the same on every backend and does not depend on the unit of the signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from spondyl.models.inputs import HIGHEST, box_mean, input_channels, robust_scale

SPACING_MM = (4.0, 1.25, 1.25)


@pytest.fixture
def volume(rng):
    return rng.gamma(2.0, 100.0, (9, 40, 36)).astype(np.float32)


def test_box_mean_equals_a_uniform_filter_inside(volume):
    mean = box_mean(volume, (1, 3, 2))
    expected = uniform_filter(volume, (3, 7, 5))
    inside = (slice(1, -1), slice(3, -3), slice(2, -2))
    np.testing.assert_allclose(mean[inside], expected[inside], rtol=1e-4)


def test_box_mean_at_a_corner_averages_only_what_is_there(volume):
    assert box_mean(volume, (1, 2, 2))[0, 0, 0] == pytest.approx(volume[:2, :3, :3].mean(), rel=1e-5)


def test_channels_do_not_depend_on_gain_and_offset(volume):
    first = input_channels(volume, SPACING_MM)
    second = input_channels(volume * 3.5 + 20, SPACING_MM)
    np.testing.assert_allclose(first, second, atol=2e-3)


def test_a_constant_volume_gives_finite_channels():
    channels = input_channels(np.full((4, 8, 8), 7.0, np.float32), SPACING_MM)
    assert np.isfinite(channels).all()


def test_scaling_cuts_hot_spots(volume):
    volume[0, 0, 1] = 1e6
    assert robust_scale(volume).max() == pytest.approx(HIGHEST)


def test_shading_disappears_from_the_local_channel(rng):
    texture = rng.normal(1.0, 0.1, (9, 160, 160)).astype(np.float32)
    shading = np.exp(-np.linspace(0, 2, 160, dtype=np.float32))
    channels = input_channels(texture * shading, SPACING_MM)
    near, far = channels[1, 4, :, 20:60], channels[1, 4, :, 100:140]
    assert abs(near.mean() - far.mean()) < 0.15
    assert channels[0, 4, :, 20:60].mean() - channels[0, 4, :, 100:140].mean() > 0.2


def test_torch_gives_the_same_channels_as_numpy(volume):
    torch = pytest.importorskip("torch")
    expected = input_channels(volume, SPACING_MM)
    np.testing.assert_allclose(input_channels(torch.from_numpy(volume), SPACING_MM).numpy(), expected, atol=2e-4)
