"""The bones have published sizes, stand on each other in order, and vary."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spondyl.phantom.levels import LEVEL_SIZES
from spondyl.phantom.spine import VARIANT_SHARES, sample_spine

N_SPINES = 60

MEASURED_MM = {
    # CT of L5: body depth, height at the back, pedicle width, canal width (mean, SD).
    ("L5", "half_depth_mm", 2): (35.7, 3.5),
    ("L5", "height_mm", 1): (26.3, 1.9),
    ("L5", "pedicle_mm", 1): (16.1, 2.3),
    ("L5", "canal_width_mm", 1): (28.2, 3.1),
    # Dry bones of the neck and the chest.
    ("C5", "half_depth_mm", 2): (14.6, 2.1),
    ("C5", "height_mm", 1): (11.1, 1.4),
    ("T2", "height_mm", 1): (17.6, 1.4),
    ("T9", "height_mm", 1): (20.5, 3.1),
}
"""Means and standard deviations in mm of bones and CT, by level, size and what it is multiplied by."""

NORMAL_DISC_MM = {"L1": (6.3, 11.0), "L2": (7.0, 12.1), "L3": (7.4, 13.3), "L4": (7.8, 14.6), "L5": (7.1, 13.1)}
"""Normal range of the height of the disc below."""


@pytest.fixture(scope="module")
def spines():
    return [{s.level: s for s in sample_spine(np.random.default_rng(n), fractures=False)} for n in range(N_SPINES)]


def _mean(spines, level, value):
    return np.mean([value(spine[level]) for spine in spines if level in spine])


def _tilt_deg(shape):
    """Angle of the upper endplate from horizontal, positive when it faces backward."""
    return np.degrees(np.arctan2(shape.axes[1, 2], shape.axes[2, 2]) + np.arctan(shape.wedge))


@pytest.mark.parametrize("what", MEASURED_MM, ids=lambda w: f"{w[0]} {w[1]}")
def test_bones_have_measured_sizes(spines, what):
    level, size, times = what
    mean, deviation = MEASURED_MM[what]
    assert abs(times * _mean(spines, level, lambda s: getattr(s, size)) - mean) < 1.5 * deviation


@pytest.mark.parametrize("level", NORMAL_DISC_MM)
def test_discs_have_normal_heights(spines, level):
    low, high = NORMAL_DISC_MM[level]
    assert low < _mean(spines, level, lambda s: s.disc.height_mm) < high


def test_curves_are_those_of_adults(spines):
    whole = [s for s in spines if "T12" in s]
    lordosis = np.mean([_tilt_deg(s["T12"]) - _tilt_deg(s["S1"]) for s in whole])
    kyphosis = np.mean([_tilt_deg(s["T12"]) - _tilt_deg(s["T1"]) for s in whole])
    # Between the means of supine and of standing adults, give or take half a standard deviation.
    assert 36.8 - 6 < lordosis < 49.8 + 6
    assert 20 < kyphosis < 50


def test_every_vertebra_stands_on_the_one_below_with_its_disc_between():
    shapes = sample_spine(np.random.default_rng(8), fractures=False)
    for below, above in pairwise(shapes):
        step = above.center_lps_mm - below.center_lps_mm
        height = (above.height_mm + below.height_mm) / 2 + above.disc.height_mm
        assert np.linalg.norm(step) == pytest.approx(height, abs=6.0)
        assert step @ below.axes[:, 2] > 0


def test_the_first_sacral_body_lies_at_the_origin_and_axes_are_right_handed():
    for shape in sample_spine(np.random.default_rng(3)):
        np.testing.assert_allclose(shape.axes.T @ shape.axes, np.eye(3), atol=1e-12)
        # Left, posterior and up, as the axes of LPS.
        assert np.linalg.det(shape.axes) == pytest.approx(1)
        if shape.level == "S1":
            np.testing.assert_allclose(shape.center_lps_mm, 0, atol=1e-12)


def test_a_variant_is_as_common_as_reported():
    counts = [sum(s.level[0] == "L" for s in sample_spine(np.random.default_rng(n), top="L1")) for n in range(600)]
    for n_lumbar, name in ((4, "L4"), (6, "L6")):
        assert counts.count(n_lumbar) / 600 == pytest.approx(VARIANT_SHARES[name], abs=0.025)


def test_fractures_lower_bodies_and_never_raise_them():
    for seed in range(25):
        whole = sample_spine(np.random.default_rng(seed), fractures=False)
        assert all(s.height_mm > 0.75 * 0.8 * 0.9 * LEVEL_SIZES[s.level].height_mm for s in whole)
    broken = [s for seed in range(25) for s in sample_spine(np.random.default_rng(seed))]
    lowest = min(s.height_mm / LEVEL_SIZES[s.level].height_mm for s in broken if not s.is_sacral)
    assert lowest < 0.65
