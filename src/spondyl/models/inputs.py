"""Bring the intensities of any scanner to the two channels the networks take.

The first channel is a compressed, robustly scaled intensity; the second is the intensity relative to its neighborhood,
which takes coil shading away. Written against the array API, so that training does exactly what inference does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spondyl.models.arrays import array_namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

NEIGHBORHOOD_MM = (21.0, 61.0, 61.0)
"""Size of the neighborhood along left, inferior and posterior: larger than a vertebra, smaller than a coil's decay."""

LOW_QUANTILE, HIGH_QUANTILE = 0.005, 0.985
"""Quantiles that become 0 and 1: air and bright fat, robust against flow and hot spots."""

HIGHEST = 1.6
"""Intensities are cut at this multiple of the high quantile."""


def input_channels(array: Any, spacing_mm: Sequence[float]) -> Any:
    """Turn a volume into network input.

    Parameters
    ----------
    array : array, shape (n_left, n_inferior, n_posterior)
        Signal in any unit, in orientation ``LIP``.
    spacing_mm : sequence of float
        Spacing along each axis, in mm.

    Returns
    -------
    array of float32, shape (2, n_left, n_inferior, n_posterior)
        Scaled and locally normalized intensity.
    """
    xp = array_namespace(array)
    scaled = robust_scale(array)
    half = [max(1, round(n / s / 2)) for n, s in zip(NEIGHBORHOOD_MM, spacing_mm, strict=True)]
    mean = box_mean(scaled, half)
    variance = box_mean(scaled * scaled, half) - mean * mean
    local = (scaled - mean) / (xp.sqrt(xp.clip(variance, 0.0, None)) + 0.02)
    return xp.stack([2.0 * xp.sqrt(scaled) - 0.8, xp.clip(local, -3.0, 4.0)])


def robust_scale(array: Any) -> Any:
    """Scale a volume so that its low and high quantiles become 0 and 1.

    Parameters
    ----------
    array : array, shape (n_left, n_inferior, n_posterior)
        Signal in any unit.

    Returns
    -------
    array of float32
        Values from 0 to `HIGHEST`; zeros where the volume is constant.
    """
    xp = array_namespace(array)
    values = xp.astype(array, xp.float32)
    sample = xp.sort(xp.reshape(values[:, ::2, ::2], (-1,)))
    n = sample.shape[0] - 1
    low, high = sample[int(n * LOW_QUANTILE)], sample[int(n * HIGH_QUANTILE)]
    return xp.clip((values - low) / (high - low + 1e-6), 0.0, HIGHEST)


def box_mean(array: Any, half: Sequence[int]) -> Any:
    """Average over a box around each voxel, cut at the borders.

    Parameters
    ----------
    array : array of float32, shape (a, b, c)
        The volume.
    half : sequence of int
        Half size of the box along each axis, in voxels; the box has ``2 * half + 1``.

    Returns
    -------
    array of float32, shape (a, b, c)
        Mean of the voxels of the box that lie in the volume.
    """
    xp = array_namespace(array)
    for axis, h in enumerate(half):
        n = array.shape[axis]
        first = [slice(None)] * 3
        first[axis] = slice(0, 1)
        total = xp.concat([0.0 * array[tuple(first)], xp.cumulative_sum(array, axis=axis)], axis=axis)
        upper = xp.asarray([min(i + h + 1, n) for i in range(n)])
        lower = xp.asarray([max(i - h, 0) for i in range(n)])
        shape = [1, 1, 1]
        shape[axis] = n
        count = xp.reshape(xp.astype(upper - lower, xp.float32), tuple(shape))
        array = (xp.take(total, upper, axis=axis) - xp.take(total, lower, axis=axis)) / count
    return array
