"""Radiomic features of what a mask covers: the traditional way to tell findings apart, and what networks must beat.

Names and definitions are those of the Image Biomarker Standardisation Initiative (Zwanenburg et al. 2020, reference
manual, arXiv 1612.07003v11); the four-letter codes in the docstrings are the manual's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_LEVELS = 16
"""Gray levels of the co-occurrence matrix; few, since small lesions have few pairs of voxels. Chosen by us."""

RANGE = (-1.5, 2.5)
"""Values of channels that the gray levels span, so that one level means one brightness in every patient."""

DIRECTIONS = tuple((i, j, k) for i in (0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) > (0, 0, 0))
"""The 13 directions of neighbors in three dimensions, one of each opposite pair (IBSI aggregation IAZD)."""

MIN_VOXELS = 4
"""What covers fewer voxels has no texture."""


def first_order(values: NDArray[np.floating]) -> dict[str, float]:
    """Describe the distribution of values.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Values under the mask; at least one.

    Returns
    -------
    dict of str to float
        Mean (Q4LE), variance (ECT3), skewness (KE2A), excess kurtosis (IPH6), 10th and 90th percentile (QG58, 8DWT),
        interquartile range (SALO), and mean absolute deviation (4FUA).
    """
    x = np.asarray(values, dtype=np.float64)
    mean, spread = float(x.mean()), float(x.std())
    z = (x - mean) / spread if spread > 0 else np.zeros_like(x)
    low, first, third, high = np.percentile(x, [10, 25, 75, 90])
    return {
        "mean": mean,
        "variance": spread**2,
        "skewness": float((z**3).mean()),
        "excess_kurtosis": float((z**4).mean() - 3) if spread > 0 else 0.0,
        "percentile_10": float(low),
        "percentile_90": float(high),
        "interquartile_range": float(third - first),
        "mean_absolute_deviation": float(np.abs(x - mean).mean()),
    }


def directions_in_slices(axis: int) -> tuple[tuple[int, int, int], ...]:
    """Choose the neighbors inside slices, where slices lie much farther apart than voxels in them.

    Parameters
    ----------
    axis : int
        Axis along which slices are stacked.

    Returns
    -------
    tuple of (int, int, int)
        Four directions; merged over slices, IBSI aggregation ZW7Z.
    """
    return tuple(d for d in DIRECTIONS if d[axis] == 0)


def gray_levels(values: NDArray[np.floating], mask: NDArray[np.bool_], n_levels: int = N_LEVELS) -> NDArray[np.intp]:
    """Divide the range of values under a mask into equal bins (IBSI K15C, fixed bin number).

    Parameters
    ----------
    values : ndarray of float
        Values; those outside the mask do not matter.
    mask : ndarray of bool, same shape
        At least one voxel.
    n_levels : int, optional
        Number of bins.

    Returns
    -------
    ndarray of int, same shape
        Bins from 0.
    """
    low, high = float(values[mask].min()), float(values[mask].max())
    share = np.where(mask, values - low, 0.0) / (high - low if high > low else 1.0)
    return np.clip(share * n_levels, 0, n_levels - 1).astype(np.intp)


def co_occurrence(
    levels: NDArray[np.integer],
    mask: NDArray[np.bool_],
    n_levels: int = N_LEVELS,
    *,
    directions: Sequence[tuple[int, int, int]] = DIRECTIONS,
) -> Floats:
    """Count how often gray levels lie side by side.

    Parameters
    ----------
    levels : ndarray of int, shape (a, b, c)
        Gray levels from 0.
    mask : ndarray of bool, same shape
        Voxels that count; both of a pair must.
    n_levels : int, optional
        Number of gray levels.
    directions : sequence of (int, int, int), optional
        Where neighbors lie; all around unless given.

    Returns
    -------
    ndarray of float, shape (n_levels, n_levels)
        Symmetric and summing to 1, merged over the directions; zero without any pair.
    """
    total = np.zeros((n_levels, n_levels))
    for direction in directions:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(direction, levels.shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(direction, levels.shape, strict=True))
        both = mask[here] & mask[there]
        np.add.at(total, (levels[here][both], levels[there][both]), 1.0)
    total += total.T
    return total / total.sum() if total.sum() else total


def texture(matrix: Floats) -> dict[str, float]:
    """Describe a co-occurrence matrix.

    Parameters
    ----------
    matrix : ndarray of float, shape (n, n)
        From `co_occurrence`.

    Returns
    -------
    dict of str to float
        Contrast (ACUI), joint entropy (TU9B), angular second moment (8ZQL), inverse difference (IB1Z), correlation
        (NI2N), and cluster shade (7NFM).
    """
    i, j = np.indices(matrix.shape) + 1.0
    if not matrix.any():
        return dict.fromkeys(TEXTURE_NAMES, 0.0)
    mean = float((i * matrix).sum())
    variance = float(((i - mean) ** 2 * matrix).sum())
    product = float(((i - mean) * (j - mean) * matrix).sum())
    some = matrix[matrix > 0]
    values = (
        float(((i - j) ** 2 * matrix).sum()),
        float(-(some * np.log2(some)).sum()),
        float((matrix**2).sum()),
        float((matrix / (1 + np.abs(i - j))).sum()),
        product / variance if variance > 0 else 1.0,
        float(((i + j - 2 * mean) ** 3 * matrix).sum()),
    )
    return dict(zip(TEXTURE_NAMES, values, strict=True))


TEXTURE_NAMES = (
    "contrast",
    "joint_entropy",
    "angular_second_moment",
    "inverse_difference",
    "correlation",
    "cluster_shade",
)


def shape(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> dict[str, float]:
    """Describe the form of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (a, b, c)
        The voxels.
    spacing_mm : sequence of float
        Voxel size along each axis, in mm.

    Returns
    -------
    dict of str to float
        Volume by counting voxels in mm³ (YEKZ), major axis length in mm (TDIC), elongation (Q3CK), flatness (N17B).
    """
    places = np.argwhere(mask) * np.asarray(spacing_mm)
    volume = float(len(places) * np.prod(spacing_mm))
    if len(places) < MIN_VOXELS:
        return {"volume": volume, "major_axis": 0.0, "elongation": 1.0, "flatness": 1.0}
    least, minor, major = np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 0)
    longest = max(float(major), 1e-12)
    return {
        "volume": volume,
        "major_axis": 4 * float(np.sqrt(major)),
        "elongation": float(np.sqrt(minor / longest)),
        "flatness": float(np.sqrt(least / longest)),
    }


def features(
    channels: Mapping[str, NDArray[np.floating]], mask: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> dict[str, float]:
    """Give all features of one finding.

    Parameters
    ----------
    channels : mapping of str to ndarray, each of shape (a, b, c)
        Normalized images by name.
    mask : ndarray of bool, same shape
        The finding.
    spacing_mm : sequence of float
        Voxel size along each axis, in mm.

    Returns
    -------
    dict of str to float
        Shape once, and ``NAME_feature`` for each image; empty masks have a volume of 0 and nothing else.
    """
    found = {f"shape_{name}": value for name, value in shape(mask, spacing_mm).items()}
    if not mask.any():
        return found
    low, high = RANGE
    for name, image in channels.items():
        levels = np.clip((image - low) / (high - low) * N_LEVELS, 0, N_LEVELS - 1).astype(np.intp)
        values = {**first_order(image[mask]), **texture(co_occurrence(levels, mask))}
        found |= {f"{name}_{feature}": value for feature, value in values.items()}
    return found
