"""Where there is tissue, and what the receive coil did to its brightness.

N4 needs no anatomy, and so takes part of the anatomy for the coil. Once tissues are known, how each of them changes
from place to place says more: the rest of the field is fitted to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from scipy import ndimage

from spondyl.core.marrow import TO_SD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Grid

# The sums of N4's splines change with the number of threads, so that two machines would differ in the third digit; and
# its grid is so small that threads only wait for each other. Only a setting for the whole process reaches its parts.
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

SMOOTHING_MM = 2.0
"""Standard deviation of the smoothing in plane before tissue is told from air; noise then no longer decides."""

MIN_CONTRAST = 4.0
"""Tissue is at least this many times as bright as air on average; a picture that splits less was all tissue. Chosen by
us: fat and muscle differ by 3 on T1."""

BINS = 256
"""Bins of the histogram of logarithms in which the threshold is sought."""

SHRUNKEN_MM = 16.0
"""Voxel size on which N4 works. Chosen by us: coils are smooth, time falls with the cube of this, and the tissues
correct afterwards what it leaves."""

CONTROL_MM = 90.0
"""Distance of the spline's control points. Chosen by us: about the size of a loop of a spine coil, several bodies long,
so that a lesion cannot be taken for the coil."""

ITERATIONS = (40, 20)
"""Most iterations on each level; each level halves the distance of control points, from twice `CONTROL_MM`."""

MIN_BLOCKS = 200
"""Fewest blocks of `SHRUNKEN_MM` with tissue that N4 is given. Chosen by us."""

FEWEST_POINTS, POINTS = 50, 2000
"""A tissue of fewer voxels says nothing of the field; of one with more, evenly spread ones are looked at. Chosen by
us."""

EFFECTIVE_POINTS = 400
"""Independent measurements that the voxels of one tissue are worth: neighbors are alike. Chosen by us."""

TISSUE_SD = 0.35
"""Standard deviation of the logarithm of the signal inside one tissue: noise, and what the tissue itself varies.
Chosen by us."""

FIELD_SD = 0.3
"""Standard deviation expected of the coefficients of the field's logarithm. Chosen by us: the field of a spine coil
varies by 0.1 to 0.35 along the column after the vendor's or N4's correction."""

WAVE_MM, MOST_WAVES = 70.0, 10
"""Shortest extent for each degree of the field's polynomial, as `CONTROL_MM`; and the highest degree. Chosen by us."""

BIWEIGHT, ROUNDS = 4.685, 6
"""Residuals of so many robust standard deviations count no more (Tukey's biweight, 95 % efficient for normal errors;
Holland and Welsch 1977, Commun Stat 6:813), found in so many rounds."""

NODE_MM = 6.0
"""Distance at which the fitted field is computed; between, it is interpolated. Chosen by us."""


def foreground(array: NDArray, spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Find tissue by brightness alone, without any idea of what is imaged.

    Parameters
    ----------
    array : ndarray of float, shape (I, J, K)
        Signal; what is not above zero is air.
    spacing_mm : tuple of float
        Voxel size.

    Returns
    -------
    ndarray of bool, shape (I, J, K)
        Tissue, holes inside slices filled; everything where no air is in the picture, nothing where no signal is.

    References
    ----------
    Otsu 1979, IEEE Trans Syst Man Cybern 9:62; applied to logarithms, as a coil makes near tissue ten times as bright
    as far tissue.
    """
    through = int(np.argmax(spacing_mm))
    sigma = [0.0 if a == through else SMOOTHING_MM / s for a, s in enumerate(spacing_mm)]
    smooth = ndimage.gaussian_filter(np.maximum(np.asarray(array, np.float32), 0), sigma)
    positive = smooth > 1e-6 * float(smooth.max(initial=0.0))
    if smooth.max(initial=0.0) <= 0:
        return np.zeros(array.shape, bool)
    logs = np.log(smooth[positive])
    threshold = _otsu(logs)
    bright, dark = smooth[positive][logs > threshold], smooth[positive][logs <= threshold]
    no_air = not dark.size or not bright.size or bright.mean() < MIN_CONTRAST * dark.mean()
    mask = positive if no_air else positive & (smooth > np.exp(threshold))
    return _without_holes(mask, through)


def _without_holes(mask: NDArray[np.bool_], through: int) -> NDArray[np.bool_]:
    """Fill what no path through pixel edges joins with the border of its slice."""
    planes = np.moveaxis(mask, through, 0)
    in_plane = ndimage.generate_binary_structure(3, 1)
    in_plane[[0, 2]] = False
    air, n = ndimage.label(~planes, in_plane)
    outside = np.zeros(n + 1, bool)
    for rim in (air[:, [0, -1]], air[:, :, [0, -1]]):
        outside[np.unique(rim)] = True
    outside[0] = False
    return np.moveaxis(~outside[air], 0, through)


def _otsu(values: NDArray[np.float32]) -> float:
    counts, edges = np.histogram(values, BINS)
    centers = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * centers)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(edges[1 + int(np.nanargmax(np.where(np.isfinite(between), between, -1.0)))])


def bias_field(array: NDArray, spacing_mm: tuple[float, float, float], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Estimate the receive field.

    Parameters
    ----------
    array : ndarray of float, shape (I, J, K)
        Signal.
    spacing_mm : tuple of float
        Voxel size.
    mask : ndarray of bool, shape (I, J, K)
        Where there is tissue.

    Returns
    -------
    ndarray of float32, shape (I, J, K)
        Factor by which the signal is to be divided, with geometric mean 1 inside the mask; 1 everywhere where there
        is too little tissue to tell.

    References
    ----------
    Tustison 2010, IEEE Trans Med Imaging 29:1310 (N4).
    """
    steps = [max(1, int(SHRUNKEN_MM / s)) for s in spacing_mm]
    small, inside = _shrunken(array, mask, steps)
    if inside.sum() < MIN_BLOCKS:
        return np.ones(array.shape, np.float32)
    size_mm = [n * s * k for n, s, k in zip(small.shape, spacing_mm, steps, strict=True)]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    # Splines of order 3 need 4 control points a dimension; levels double their number.
    coarse = [4 + round(length / CONTROL_MM / 2 ** (len(ITERATIONS) - 1)) for length in reversed(size_mm)]
    n4.SetNumberOfControlPoints(coarse)
    image, region = (_as_itk(a, spacing_mm, steps) for a in (small, inside.astype(np.uint8)))
    n4.Execute(image, region)
    logs = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).astype(np.float64)
    logs -= logs[inside].mean()
    centers = [(np.arange(n) - (k - 1) / 2) / k for n, k in zip(array.shape, steps, strict=True)]
    return np.exp(spread_out(logs, centers)).astype(np.float32)


def _shrunken(
    array: NDArray, mask: NDArray[np.bool_], steps: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean signal of the tissue in each block of voxels, and which blocks are mostly tissue."""
    shape = [n // k for n, k in zip(array.shape, steps, strict=True)]
    cropped = tuple(slice(0, n * k) for n, k in zip(shape, steps, strict=True))
    split = [v for n, k in zip(shape, steps, strict=True) for v in (n, k)]
    weight = mask[cropped].reshape(split).mean(axis=(1, 3, 5))
    signal = np.where(mask, array, 0.0)[cropped].reshape(split).mean(axis=(1, 3, 5))
    small = np.divide(signal, weight, out=np.zeros(shape), where=weight > 0).astype(np.float32)
    return small, (weight > 0.5) & (small > 0)


def _as_itk(array: NDArray, spacing_mm: tuple[float, float, float], steps: list[int]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s * k) for s, k in zip(spacing_mm, steps, strict=True)][::-1])
    return image


def spread_out(array: NDArray[np.float64], at: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Interpolate an array linearly along its axes, one after the other.

    Parameters
    ----------
    array : ndarray of float, shape (I, J, K)
        Values on nodes.
    at : list of ndarray of float
        For each axis the places wanted, in nodes; beyond the ends the end's value holds.

    Returns
    -------
    ndarray of float
        Values there.
    """
    for axis, places in enumerate(at):
        array = _interpolated(array, places, axis)
    return array


def _interpolated(array: NDArray[np.float64], at: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    n = array.shape[axis]
    at = np.clip(at, 0, n - 1)
    low = np.minimum(at.astype(np.intp), max(n - 2, 0))
    weight = (at - low).reshape([-1 if a == axis else 1 for a in range(3)])
    first, second = np.take(array, low, axis), np.take(array, np.minimum(low + 1, n - 1), axis)
    return first + (second - first) * weight


class _Waves(NamedTuple):
    """Smooth functions on a box, constant beyond it: products of Chebyshev polynomials."""

    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]
    orders: NDArray[np.intp]

    @classmethod
    def over(cls, lps_mm: NDArray[np.float64]) -> _Waves:
        """Functions for a box around points; along each axis the more of them, the longer it is."""
        low, high = lps_mm.min(axis=0), np.maximum(lps_mm.max(axis=0), lps_mm.min(axis=0) + 1.0)
        most = np.clip(np.rint((high - low) / WAVE_MM), 1, MOST_WAVES).astype(np.intp)
        orders = np.indices(most + 1).reshape(3, -1).T
        # Products of high orders are left out, all first orders kept: fields of coils have no checkered parts.
        share = (orders / most).sum(axis=1)
        return cls(low, high, orders[(share > 0) & (share <= 4 / 3)])

    def at(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of all functions, shape (n, number of functions)."""
        unit = np.clip(2 * (lps_mm - self.low_mm) / (self.high_mm - self.low_mm) - 1, -1, 1)
        parts = [np.polynomial.chebyshev.chebvander(unit[:, a], self.orders[:, a].max()) for a in range(3)]
        first, second, third = (parts[a][:, self.orders[:, a]] for a in range(3))
        return np.asarray(first * second * third)


def tissue_field(
    array: NDArray[np.float32], grid: Grid, tissues: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.float32]:
    """Estimate what is left of the receive field from how known tissues change along the spine.

    Parameters
    ----------
    array : ndarray of float, shape ``grid.shape``
        Signal; what is not above zero is not looked at.
    grid : Grid
        The voxels.
    tissues : mapping of str to ndarray of bool, shape ``grid.shape``
        Where each tissue is.

    Returns
    -------
    ndarray of float32, shape ``grid.shape``
        Factor by which the signal is to be divided, with geometric mean 1 over the tissues; 1 where there is none.

    Notes
    -----
    The logarithm of the signal is a constant of its tissue plus one smooth field for all, fitted with a prior on the
    field and with little weight for outliers, so that a diseased part does not bend it.

    References
    ----------
    Wells 1996, IEEE Trans Med Imaging 15:429, for a field from classified tissue.
    """
    usable = np.isfinite(array) & (array > 0)
    places = [np.flatnonzero(mask & usable) for mask in tissues.values()]
    places = [own[:: -(-len(own) // POINTS)] for own in places if len(own) >= FEWEST_POINTS]
    if not places:
        return np.ones(array.shape, np.float32)
    chosen = np.concatenate(places)
    tissue = np.repeat(np.arange(len(places)), [len(own) for own in places])
    lps_mm = grid.ijk_to_lps(np.stack(np.unravel_index(chosen, array.shape), axis=1))
    waves = _Waves.over(lps_mm)
    weight = EFFECTIVE_POINTS / np.bincount(tissue)[tissue] / TISSUE_SD**2
    coefficients, mean = _fitted(waves, lps_mm, np.log(array.ravel()[chosen]), tissue, weight)
    nodes = [
        np.linspace(0, n - 1, max(2, round(n * mm / NODE_MM)))
        for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    points = grid.ijk_to_lps(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)).reshape(-1, 3)
    logs = (waves.at(points) @ coefficients - mean).reshape([len(own) for own in nodes])
    steps = [np.linspace(0, len(own) - 1, n) for own, n in zip(nodes, grid.shape, strict=True)]
    return np.exp(spread_out(logs, steps)).astype(np.float32)


def _fitted(
    waves: _Waves,
    lps_mm: NDArray[np.float64],
    logs: NDArray[np.float64],
    tissue: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Coefficients of the field, and its mean over the points."""
    functions = waves.at(lps_mm)
    columns = np.hstack([np.eye(tissue.max() + 1)[tissue], functions])
    n_tissues = columns.shape[1] - functions.shape[1]
    prior = np.concatenate([np.full(n_tissues, 1e-9), (waves.orders.max(axis=1) / FIELD_SD) ** 2])
    trust = np.ones(len(logs))
    for _ in range(ROUNDS):
        weighted = columns * (trust * weight)[:, None]
        found = np.asarray(np.linalg.solve(columns.T @ weighted + np.diag(prior), weighted.T @ logs), np.float64)
        off = logs - columns @ found
        width = BIWEIGHT * TO_SD * max(float(np.median(np.abs(off))), 1e-6)
        trust = np.maximum(1 - (off / width) ** 2, 0.0) ** 2
    coefficients: NDArray[np.float64] = found[n_tissues:]
    return coefficients, float((functions @ coefficients).mean())
