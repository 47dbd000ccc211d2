"""How the column is curved and stacked: a patient on their back, with the head over the pelvis."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spondyl.phantom.levels import LEVEL_SIZES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.vertebra import VertebraShape

SUPINE_LORDOSIS = (0.80, 0.26)
"""Mean and standard deviation of the lumbar curve relative to `levels`: T12 to S1 measured 36.8 +- 13.2 degrees supine
and 49.8 +- 11.2 standing in one study of 627 people. Chosen by us slightly above the supine mean."""

KYPHOSIS = (0.95, 0.28)
"""Mean and standard deviation of the thoracic curve relative to `levels`. Chosen by us."""

KYPHOSIS_GAIN_PER_DECADE = 0.04
"""Relative growth of the thoracic curve for each decade after 40 years. Chosen by us."""

BALANCE_MM = 16.0
"""Standard deviation of the distance, front to back, from C7 to S1: within 5 cm of the sacrum in most. Chosen by us."""


def sample_axes(rng: np.random.Generator, levels: list[str], age_years: float) -> list[NDArray[np.float64]]:
    """Draw the orientation of every vertebra.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    levels : list of str
        From S5 up to C1.
    age_years : float
        Age in years: backs bend with it.

    Returns
    -------
    list of ndarray, shape (3, 3)
        Columns: left, posterior and up of each vertebra, in LPS.
    """
    tilts = _sample_tilts(rng, levels, age_years)
    rolls, turns = _sample_scoliosis(rng, len(levels), age_years)
    return [_axes(t, r, a) for t, r, a in zip(tilts, rolls, turns, strict=True)]


def _sample_tilts(rng: np.random.Generator, levels: list[str], age_years: float) -> NDArray[np.float64]:
    """Tilt of each vertebra in radians: posture, plus smooth and local deviations, balanced over the sacrum."""
    mean = np.array([LEVEL_SIZES[name].tilt_deg for name in levels])
    is_low = np.array([name[0] in "LS" for name in levels])
    pivot = mean[levels.index("L1")]
    age_gain = 1 + KYPHOSIS_GAIN_PER_DECADE * max(age_years - 40, 0) / 10
    lordosis = np.clip(rng.normal(*SUPINE_LORDOSIS), 0.2, 1.5)
    kyphosis = np.clip(rng.normal(*KYPHOSIS) * age_gain, 0.2, 1.9)
    tilt = np.where(is_low, pivot + (mean - pivot) * lordosis, pivot + (mean - pivot) * kyphosis)
    n = len(levels)
    walk = gaussian_filter1d(np.cumsum(rng.normal(0, 1.9, n)), 1.5)
    tilt = tilt + walk - walk.mean() + rng.normal(0, 1.2, n)
    target = rng.normal(0, BALANCE_MM)
    first, last = levels.index("S1"), levels.index("C7")
    steps = np.array([LEVEL_SIZES[name].height_mm + LEVEL_SIZES[name].disc_mm for name in levels])[first:last]
    turn = 0.0
    for _ in range(4):
        angle = np.radians(tilt[first:last] + turn)
        turn += float(np.degrees((target - (steps * np.sin(angle)).sum()) / (steps * np.cos(angle)).sum()))
    return np.radians(tilt + turn)


def _sample_scoliosis(
    rng: np.random.Generator, n: int, age_years: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coronal lean and axial rotation of each vertebra in radians; rotation follows the curve (coupled motion).

    Curves beyond 10 degrees: 2 to 4 % of adolescents and 10 to 30 % of older adults.
    """
    curved = rng.random() < np.interp(age_years, [10, 40, 80], [0.04, 0.10, 0.28])
    amplitude = rng.uniform(4, 13) if curved else abs(rng.normal(0, 1.8))
    phase, wavelength = rng.uniform(0, 2 * np.pi), rng.uniform(7, 16)
    curve = np.sin(2 * np.pi * np.arange(n) / wavelength + phase)
    roll = amplitude * curve + rng.normal(0, 0.8, n)
    turn = -0.6 * amplitude * np.gradient(curve) * 2 + rng.normal(0, 0.8, n) + rng.normal(0, 2)
    return np.radians(roll), np.radians(turn)


def _axes(tilt: float, roll: float, turn: float) -> NDArray[np.float64]:
    """Columns left, posterior, up of a vertebra tilted about x, leaning about y and turned about its own axis."""
    cr, sr, ca, sa = np.cos(roll), np.sin(roll), np.cos(turn), np.sin(turn)
    lean = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
    spin = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    return tilted(-tilt) @ lean @ spin


def tilted(forward_rad: float) -> NDArray[np.float64]:
    """Give the rotation that tips the column forward.

    Parameters
    ----------
    forward_rad : float
        Angle in radians; positive moves the top to the front.

    Returns
    -------
    ndarray, shape (3, 3)
        Rotation about the axis to the left, in LPS.
    """
    c, s = np.cos(forward_rad), np.sin(forward_rad)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def stack(shapes: list[VertebraShape]) -> list[VertebraShape]:
    """Place vertebrae on each other by their heights, discs and slips.

    Parameters
    ----------
    shapes : list of VertebraShape
        From S5 upward; their axes count, their centers do not.

    Returns
    -------
    list of VertebraShape
        With centers; S1's lies at the origin.
    """
    centers = [np.zeros(3)]
    for below, above in pairwise(shapes):
        between = below.axes[:, 2] + above.axes[:, 2]
        gap = above.disc.height_mm * between / np.linalg.norm(between)
        step = below.axes[:, 2] * below.height_mm / 2 + gap + above.axes[:, 2] * above.height_mm / 2
        centers.append(centers[-1] + step + above.slip_mm * below.axes[:, 1])
    origin = centers[[s.level for s in shapes].index("S1")]
    return [replace(s, center_lps_mm=c - origin) for s, c in zip(shapes, centers, strict=True)]
