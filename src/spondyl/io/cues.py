"""What the pixels say about the sequence: whether spinal fluid looks bright, and whether contrast agent shows.

Nothing here knows where the spine is. In a sagittal image, though, the spinal canal is the one band about a centimeter
wide that runs from top to bottom, so the brightest such path tells whether fluid is bright. It is a weak witness, used
to confirm a header or where the header is silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, reorient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, Image

NEARLY_ISOTROPIC = 1.6
"""Largest ratio of spacings at which an image can be looked at in any plane. Chosen by us."""

LOOKED_AT = 4
"""How many slices from the middle third are looked at. Chosen by us."""

STEP_MM = 1.5
"""In-plane step in mm at which bands are looked for."""

BAND_MM = 11.0
"""Width in mm of the band, a little less than a thecal sac front to back. Chosen by us."""

SHADING_MM = 20.0
"""Standard deviation in mm of the local mean that takes the coil's shading away. Chosen by us."""

MIN_HEIGHT_MM, MIN_DEPTH_MM = 120.0, 60.0
"""Smaller sagittal images hold too little of the canal and its surroundings to judge. Chosen by us."""

DARK_BELOW, BRIGHT_ABOVE = 0.33, 0.40
"""Contrast of the brightest path, relative to its surroundings. Chosen by us on public lumbar volumes: T1 0.25 to
0.30, Dixon 0.35 to 0.44, T2 and STIR 0.42 to 0.84; between the bounds the pixels do not tell."""

MAX_AIR = 0.25
"""Air is at most this part of the 98th percentile of the signal. Chosen by us."""

TISSUE_FRACTION = 0.12
"""Voxels above this part of the 98th percentile count as tissue. Chosen by us."""

ENHANCED_RATIO, MIN_ENHANCED_FRACTION = 1.4, 0.004
"""Enhancement: how much brighter a voxel must be than the tissue's median change, and in which part of the tissue.
Vessels and mucosa take up that much within minutes. Chosen by us."""


@dataclass(frozen=True)
class PixelCues:
    """How fluid looks.

    Parameters
    ----------
    fluid_bright : bool or None
        None where the pixels do not tell.
    strength : float
        How far from undecided, from 0 to 1.
    """

    fluid_bright: bool | None
    strength: float = 0.0


def reads_sagittally(grid: Grid) -> bool:
    """Say whether sagittal slices of an image are as fine as it gets.

    Parameters
    ----------
    grid : Grid
        Where the voxels are.

    Returns
    -------
    bool
        True for sagittal slices and for nearly isotropic voxels.
    """
    return grid.plane == "sagittal" or max(grid.spacing_mm) <= NEARLY_ISOTROPIC * min(grid.spacing_mm)


def fluid_cue(array: NDArray[np.float32], grid: Grid) -> PixelCues:
    """Say whether spinal fluid looks bright.

    Parameters
    ----------
    array : ndarray of float32, shape ``grid.shape``
        Signal.
    grid : Grid
        Where the voxels are.

    Returns
    -------
    PixelCues
        Undecided for images that are not sagittal, too small, or constant.
    """
    seen, place = reorient(array, grid.orientation, SAGITTAL), grid.reoriented(SAGITTAL)
    _, height_mm, depth_mm = (n * s for n, s in zip(place.shape, place.spacing_mm, strict=True))
    if not reads_sagittally(grid) or height_mm < MIN_HEIGHT_MM or depth_mm < MIN_DEPTH_MM:
        return PixelCues(None)
    middle = np.unique(
        np.linspace(len(seen) // 3, max(len(seen) - 1 - len(seen) // 3, 0), LOOKED_AT).round().astype(int)
    )
    scores = [_bright_path(seen[k], place.spacing_mm[1:]) for k in middle if np.ptp(seen[k]) > 0]
    if not scores:
        return PixelCues(None)
    score = float(np.median(scores))
    strength = float(np.clip(abs(score - (DARK_BELOW + BRIGHT_ABOVE) / 2) / 0.15, 0, 1))
    if score > BRIGHT_ABOVE:
        return PixelCues(fluid_bright=True, strength=strength)
    return PixelCues(fluid_bright=False, strength=strength) if score < DARK_BELOW else PixelCues(None)


def _bright_path(image: NDArray[np.float32], spacing_mm: tuple[float, ...]) -> float:
    """Contrast of the brightest band from top to bottom that may shift by one step a row."""
    signal = ndimage.zoom(image, (spacing_mm[0] / STEP_MM, spacing_mm[1] / STEP_MM), order=1)
    low, high = np.percentile(signal, (1, 98))
    signal = np.maximum(signal - min(low, MAX_AIR * high), 0)  # a crop may hold no air
    shading = ndimage.gaussian_filter(signal, SHADING_MM / STEP_MM, truncate=2.5)
    even = signal / (shading + 0.05 * shading.max() + np.finfo(np.float32).tiny)
    width = round(BAND_MM / STEP_MM)
    band = ndimage.uniform_filter(even, (5, width))
    contrast = band - np.maximum(np.roll(band, width, axis=1), np.roll(band, -width, axis=1))
    # The fat under the skin is a bright band too, but it has air on one side.
    tissue = ndimage.uniform_filter1d(signal, 2 * width, axis=1) > TISSUE_FRACTION * np.percentile(signal, 98)
    inside = np.roll(tissue, 2 * width, axis=1) & np.roll(tissue, -2 * width, axis=1)
    inside[:, : 2 * width] = inside[:, -2 * width :] = False
    gain = np.where(inside, contrast, -0.3)
    best = np.full(gain.shape[1] + 2, -np.inf)
    best[1:-1] = gain[0]
    for row in gain[1:]:
        best[1:-1] = np.maximum(np.maximum(best[:-2], best[2:]), best[1:-1]) + row
    return float(best.max() / len(gain))


def enhances(before: Image, after: Image) -> bool | None:
    """Say whether the second of two like images shows contrast agent.

    Parameters
    ----------
    before, after : Image
        Images of the same sequence, the second taken later or under suspicion of contrast agent.

    Returns
    -------
    bool or None
        None where they lie in different space and cannot be compared.
    """
    if not before.grid.same_space(after.grid, tolerance_mm=0.5):
        return None
    a, b = before.array, after.array
    tissue = (a > TISSUE_FRACTION * np.percentile(a, 98)) & (b > 0)
    if tissue.sum() < 1000:
        return None
    ratio = b[tissue] / a[tissue]
    ratio /= np.median(ratio)
    brighter, darker = (ratio > ENHANCED_RATIO).mean(), (ratio < 1 / ENHANCED_RATIO).mean()
    return bool(brighter > MIN_ENHANCED_FRACTION and brighter > 2 * darker)
