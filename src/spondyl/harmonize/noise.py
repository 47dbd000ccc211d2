"""The noise floor of magnitude images: found from the image alone, and taken out of dark tissue.

The magnitude of a noisy signal is never zero, so what is dark, such as sclerotic tumor, looks brighter than it is. How
strong the noise is where tissue is told by the finest detail of quiet places; how this stands to the noise itself,
which interpolation has smoothed, is told by air.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.special import ive

from spondyl.harmonize.bias import spread_out
from spondyl.harmonize.image_quality import NOISE_MASK, TO_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_MM = 8.0
"""Size in plane of the blocks in which noise is looked at. Chosen by us: about a hundred pixels."""

QUIET_MM, QUIET_POWER = 60.0, 16
"""Noise changes as slowly as the coil, so blocks this near are looked at together, and the quieter ones count: tissue
itself has fine detail, which must not pass for noise. Their mean of the inverse to this power does both. Chosen by
us."""

MOST_RATIO = 0.1
"""Variance over mean square up to which a block tells of noise, a signal of 2.7 standard deviations: below, a small
error of the ratio is a large one of the noise. Chosen by us."""

MIN_AIR_BLOCKS = 20
"""Fewest blocks of air from which the smoothing of the noise is told. Chosen by us."""

AIR_SHARE, TISSUE_SHARE = 0.1, 0.9
"""A block with less than the first share of tissue counts as air, with more than the second as tissue. Chosen by us."""

MIN_MEASURED = 0.98
"""A block with more zeros than this leaves was blanked by the scanner and says nothing. Chosen by us."""

MOST_SMOOTHING = 8.0
"""Most by which interpolation may have taken fine detail out of the noise. Chosen by us."""

NEIGHBORHOOD_MM = 1.0
"""Standard deviation of the neighborhood in plane whose mean power decides how a voxel is corrected: twenty pixels, so
that dark tissue does not count as bright beside bright tissue. Chosen by us."""

RAYLEIGH_SHARE = 1 - np.pi / 4
"""Variance over mean square of magnitudes without any signal (Rayleigh distribution)."""


def noise_sd(array: NDArray, spacing_mm: tuple[float, float, float], tissue: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Estimate the noise of each channel of a magnitude image, place by place.

    Parameters
    ----------
    array : ndarray of float, shape (I, J, K)
        Signal; 0 where nothing was measured.
    spacing_mm : tuple of float
        Voxel size; the coarsest axis goes through the slices.
    tissue : ndarray of bool, shape (I, J, K)
        Where there is tissue; the rest is air.

    Returns
    -------
    ndarray of float32, shape (I, J, K)
        Standard deviation, in the unit of the signal.

    References
    ----------
    Immerkær 1996 (doi 10.1006/cviu.1996.0060) for the mask that is blind to smooth change; Koay and Basser 2006, J Magn
    Reson 179:317, for noise from the mean and variance of magnitudes.
    """
    through = int(np.argmax(spacing_mm))
    planes, inside = (np.moveaxis(a, through, 0) for a in (np.asarray(array, np.float32), tissue))
    in_plane = [s for axis, s in enumerate(spacing_mm) if axis != through]
    steps = [max(4, round(BLOCK_MM / s)) for s in in_plane]
    if any(n < k for n, k in zip(planes.shape[1:], steps, strict=True)):
        return np.zeros(array.shape, np.float32)
    measured = _blocks(planes > 0, steps).mean(axis=-1) > MIN_MEASURED
    power = np.where(measured, np.square(_blocks(planes, steps)).mean(axis=-1), np.inf)
    detail = np.abs(ndimage.convolve(planes, NOISE_MASK[None]))
    response = np.median(_blocks(detail, steps), axis=-1) / TO_SIGMA
    of_tissue = _blocks(inside, steps).mean(axis=-1)
    air = measured & (of_tissue < AIR_SHARE) & (response > 0)
    smoothing = 1.0
    if air.sum() >= MIN_AIR_BLOCKS:
        # Ghosts in air add power without detail, so the lower blocks are believed.
        found = np.quantile(np.sqrt(RAYLEIGH_SHARE * power[air]) / response[air], 0.25)
        smoothing = float(np.clip(found, 1.0, MOST_SMOOTHING))
    ratio = np.square(smoothing * response) / power
    telling = measured & (of_tissue > TISSUE_SHARE) & (ratio > 0) & (ratio < MOST_RATIO)
    if not telling.any():
        return np.zeros(array.shape, np.float32)
    sd = np.sqrt(np.where(telling, power, 1.0) * _noise_share(ratio))
    reach = [1, *(2 * max(1, round(QUIET_MM / 2 / n / s)) + 1 for n, s in zip(steps, in_plane, strict=True))]
    quiet = _quiet(sd, telling, reach)
    at = [(np.arange(n) - (k - 1) / 2) / k for n, k in zip(planes.shape[1:], steps, strict=True)]
    spread = spread_out(quiet, [np.arange(len(planes), dtype=float), *at])
    return np.moveaxis(spread, 0, through).astype(np.float32)


def without_noise_floor(
    array: NDArray, spacing_mm: tuple[float, float, float], tissue: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """Take the noise floor out of a magnitude image.

    Parameters
    ----------
    array : ndarray of float, shape (I, J, K)
        Signal.
    spacing_mm : tuple of float
        Voxel size.
    tissue : ndarray of bool, shape (I, J, K)
        Where there is tissue.

    Returns
    -------
    corrected : ndarray of float32, shape (I, J, K)
        Signal; noise itself stays, but is no longer mistaken for signal on average.
    sd : float
        Median standard deviation of the noise in tissue; 0 where none was found.

    Notes
    -----
    The mean square of magnitudes is that of the signal plus twice the noise's variance. A voxel is multiplied with the
    root of the share of signal in the mean square of its neighborhood, so that nothing becomes negative and single
    dark voxels are not stretched.

    References
    ----------
    Gudbjartsson and Patz 1995, Magn Reson Med 34:910.
    """
    sd = noise_sd(array, spacing_mm, tissue)
    if not sd.any() or not tissue.any():
        return np.asarray(array, np.float32), 0.0
    through = int(np.argmax(spacing_mm))
    sigma = [0.0 if axis == through else NEIGHBORHOOD_MM / s for axis, s in enumerate(spacing_mm)]
    power = ndimage.gaussian_filter(np.square(np.asarray(array, np.float32)), sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(power > 0, 2 * np.square(sd) / power, 0.0)
    return (array * np.sqrt(np.clip(1 - share, 0.0, 1.0))).astype(np.float32), float(np.median(sd[tissue]))


def _quiet(sd: NDArray[np.float64], telling: NDArray[np.bool_], reach: list[int]) -> NDArray[np.float64]:
    """Noise of the quieter blocks near each block; that of all where none is near."""
    usual = float(np.median(sd[telling]))
    inverse = np.where(telling, np.minimum(usual / sd, 100.0) ** QUIET_POWER, 0.0)
    near, count = (ndimage.uniform_filter(v, reach, mode="nearest") for v in (inverse, telling.astype(float)))
    known = (count > 1e-9) & (near > 1e-9)
    mean = np.where(known, near, 1.0) / np.where(known, count, 1.0)
    return np.asarray(usual * mean ** (-1 / QUIET_POWER))


def _blocks(planes: NDArray, steps: list[int]) -> NDArray:
    """Cut planes into blocks: shape (planes, rows, columns, voxels of a block)."""
    n, rows, columns = len(planes), planes.shape[1] // steps[0], planes.shape[2] // steps[1]
    cropped = planes[:, : rows * steps[0], : columns * steps[1]]
    split = cropped.reshape(n, rows, steps[0], columns, steps[1])
    return split.transpose(0, 1, 3, 2, 4).reshape(n, rows, columns, -1)


def _noise_share(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each channel over the mean square of magnitudes, from their variance over it."""
    theta = np.concatenate([np.linspace(0, 8, 200), np.geomspace(8.1, 1e3, 100)])
    squared = theta**2
    x = squared / 4
    variance = 2 + squared - np.pi / 8 * ((2 + squared) * ive(0, x) + squared * ive(1, x)) ** 2
    # For strong signals the difference of large numbers loses its digits, and the variance is the channel's own.
    variance = np.where(theta > 20, 1.0, variance)
    of_power, share = variance / (2 + squared), 1 / (2 + squared)
    return np.interp(ratio, of_power[::-1], share[::-1])
