"""What makes an image unfit for networks that learnt from synthetic patients: noise, odd sampling, an unknown kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, Grid, Image, QualityFlag, Sequence

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
"""Difference of two Laplacians, blind to constant and linear change; white noise of unit variance gives a variance of
36 (Immerkær 1996, doi 10.1006/cviu.1996.0060)."""

TO_SIGMA = 0.6745 * 6.0
"""Median absolute response of `NOISE_MASK` to white normal noise of unit variance."""

FOREGROUND_SHARE = 0.25
"""Share of the 95th percentile from which a voxel counts as tissue. Chosen by us."""

LOW_SNR = 6.0
"""Signal over noise below which outlines are doubtful. Chosen by us: far below 19 real lumbar volumes (18.8 and
more) and synthetic patients with ten times the usual noise (26 and more)."""

PIXEL_MM, SLICE_MM = (0.3, 1.8), (0.7, 7.0)
"""Pixel size and slice spacing of usual spine images, in mm; training had pixels of 1.25 mm and slices of 2.6 to
5.2 mm, to which all others are resampled. Chosen by us."""

MIN_FIELD_MM, MIN_SLICES_MM = 90.0, 24.0
"""Height of field and width of the stack below which too little of the column is seen: three lumbar vertebrae, and half
a body. Chosen by us."""


def signal_to_noise(array: NDArray[np.float32], spacing_mm: tuple[float, float, float]) -> float:
    """Estimate the ratio of tissue signal to noise.

    Parameters
    ----------
    array : ndarray, shape (I, J, K)
        Signal.
    spacing_mm : tuple of float
        Voxel size; noise is looked for across the two finest axes.

    Returns
    -------
    float
        Median tissue signal over the noise's standard deviation; infinite where there is no noise, NaN without tissue.

    References
    ----------
    Immerkær 1996 (doi 10.1006/cviu.1996.0060), with the median in place of the mean, which edges would raise.
    """
    through = int(np.argmax(spacing_mm))
    planes = np.moveaxis(np.asarray(array, np.float32), through, 0)
    planes = planes[len(planes) // 3 : max(len(planes) - len(planes) // 3, 1)]
    tissue = planes > FOREGROUND_SHARE * np.percentile(planes, 95)
    if planes.size == 0 or not tissue.any() or not planes.any():
        return float("nan")
    response = ndimage.convolve(planes, NOISE_MASK[None])
    sigma = float(np.median(np.abs(response[tissue]))) / TO_SIGMA
    return float(np.median(planes[tissue])) / sigma if sigma > 0 else float("inf")


def sampling_doubt(grid: Grid) -> str:
    """Say what about an image's sampling lies outside of what spine images and training have.

    Parameters
    ----------
    grid : Grid
        The image's grid.

    Returns
    -------
    str
        In words; empty where nothing does.
    """
    turned = grid.reoriented(SAGITTAL)
    through = int(np.argmax(grid.spacing_mm))
    pixels = [mm for axis, mm in enumerate(grid.spacing_mm) if axis != through]
    slices, fields = grid.spacing_mm[through], [n * mm for n, mm in zip(turned.shape, turned.spacing_mm, strict=True)]
    if not PIXEL_MM[0] <= min(pixels) <= max(pixels) <= PIXEL_MM[1]:
        return f"pixels of {max(pixels):.2g} mm, where {PIXEL_MM[0]:g} to {PIXEL_MM[1]:g} mm are usual"
    if not min(SLICE_MM[0], PIXEL_MM[0]) <= slices <= SLICE_MM[1]:
        return f"slices {slices:.2g} mm apart, where up to {SLICE_MM[1]:g} mm are usual"
    if fields[1] < MIN_FIELD_MM:
        return f"a field of view of {fields[1]:.0f} mm from head to foot, where {MIN_FIELD_MM:g} mm or more are wanted"
    if fields[0] < MIN_SLICES_MM:
        return f"a stack {fields[0]:.0f} mm wide, where {MIN_SLICES_MM:g} mm or more are wanted"
    return ""


def image_flags(image: Image) -> list[QualityFlag]:
    """Give what makes an image doubtful for the networks.

    Parameters
    ----------
    image : Image
        As acquired.

    Returns
    -------
    list of QualityFlag
        Empty where nothing does.
    """
    flags, where = [], image.sequence.value
    if image.sequence is Sequence.UNKNOWN:
        text = "What this series shows is not known; the networks were trained with the kind of contrast told."
        flags.append(QualityFlag("unknown_contrast", text, where=where))
    if doubt := sampling_doubt(image.grid):
        text = f"The {where} series has {doubt}; the networks were not trained for it."
        flags.append(QualityFlag("outside_training_range", text, where=where))
    return [*flags, *noise_flags(image)]


def noise_flags(image: Image) -> list[QualityFlag]:
    """Say whether an image is too noisy for small findings.

    Parameters
    ----------
    image : Image
        As acquired.

    Returns
    -------
    list of QualityFlag
        Empty where it is not.
    """
    where = image.sequence.value
    snr = signal_to_noise(image.array, image.grid.spacing_mm)
    if not snr < LOW_SNR:
        return []
    text = f"The {where} series is noisy (signal over noise about {snr:.0f}); small findings may be missed."
    return [QualityFlag("low_signal_to_noise", text, where=where)]
