"""Covariances of readers' figures of merit that come from reading the same cases.

Three estimators: DeLong's, the jackknife, and the unbiased one of U-statistics. They agree closely on large studies;
the unbiased one may give a negative variance on tiny ones. All allow that cells (a reader in a modality) read different
cases: only cases that both read can make two figures covary.

References
----------
DeLong 1988, doi 10.2307/2531595. Efron 1982, The jackknife, the bootstrap and other resampling plans, doi
10.1137/1.9781611970319. Gallas 2007, doi 10.1364/JOSAA.24.000B70.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.evaluation.mrmc_merit import Kernel, Merits, TwoSample

    Floats = NDArray[np.float64]

METHODS = ("delong", "jackknife", "unbiased")
"""Names of the estimators."""

KERNEL_FLOATS = 2**18
"""The kernel is built for as many positive cases at once as fit in this many numbers, 2 MiB, about a processor's
cache. Chosen by us."""


def covariance(merits: Merits, method: str = "delong") -> Floats:
    """Give the covariances of all figures of merit.

    Parameters
    ----------
    merits : Merits
        The figures.
    method : str, optional
        ``"delong"``, ``"jackknife"`` or ``"unbiased"``.

    Returns
    -------
    ndarray of float, shape (n_modalities, n_readers, n_modalities, n_readers)
        Symmetric; 0 between figures that share no case.

    Raises
    ------
    InputError
        If the method is not known, or not defined for this figure of merit.
    """
    if method not in METHODS:
        msg = f"the covariance must be one of {', '.join(METHODS)}; got {method!r}"
        raise InputError(msg)
    if method == "jackknife":
        matrix = jackknife(_cells(merits.left_out))
    elif merits.pairs is None or (method == "unbiased" and merits.pairs.kernel is None):
        msg = f"the {method} covariance is not defined for {merits.name}: take the jackknife"
        raise InputError(msg)
    else:
        matrix = delong(merits.pairs) if method == "delong" else unbiased(merits.pairs)
    return matrix.reshape(2 * merits.values.shape)


def _cells(array: Floats) -> Floats:
    """Put modality and reader into one axis."""
    return array.reshape(-1, *array.shape[2:])


def jackknife(left_out: Floats) -> Floats:
    """Give the jackknife covariance.

    Parameters
    ----------
    left_out : ndarray of float, shape (n_cells, n)
        The figure of merit without each case.

    Returns
    -------
    ndarray of float, shape (n_cells, n_cells)
        The covariances.
    """
    n = left_out.shape[1]
    deviation = left_out - left_out.mean(axis=1, keepdims=True)
    return (n - 1) / n * deviation @ deviation.T


def delong(pairs: TwoSample) -> Floats:
    """Give DeLong's covariance.

    Parameters
    ----------
    pairs : TwoSample
        Placements of the cases.

    Returns
    -------
    ndarray of float, shape (n_cells, n_cells)
        The covariances; NaN where a class has one case only.
    """
    return _spread(_cells(pairs.of_positive), pairs.weights) + _spread(_cells(pairs.of_negative), None)


def _spread(placement: Floats, weights: Floats | None) -> Floats:
    """Covariance of mean placements over the cases of one class, of which each cell may have read others."""
    read = ~np.isnan(placement)
    w = np.ones(placement.shape[1]) if weights is None else weights
    n = read.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        filled = np.where(read, placement * w, 0.0)
        mean = filled.sum(axis=1, keepdims=True) / (read * w).sum(axis=1, keepdims=True)
        deviation = np.where(read, filled - mean * w, 0.0)
        shared = read.astype(np.float64) @ read.T
        covariance = deviation @ deviation.T * shared / (shared - 1) / np.outer(n, n)
    covariance[shared == 0] = 0.0
    # One shared case says nothing of a covariance, which is then taken as none; of a variance it is not known.
    alone = (shared == 1) & ~np.eye(len(n), dtype=bool)
    covariance[alone] = 0.0
    return covariance


@dataclass(frozen=True, eq=False)
class ProductSums:
    """Sums of products of two cells' kernels, and the numbers of terms: all that U-statistics need.

    Parameters
    ----------
    sums, counts : ndarray of float, shape (4, n_cells, n_cells)
        Over pairs of pairs that share both cases, the negative case, the positive case, and over all pairs of pairs,
        those that share cases included.
    """

    sums: Floats
    counts: Floats


def product_sums(pairs: TwoSample) -> ProductSums:
    """Sum the products of kernels.

    Parameters
    ----------
    pairs : TwoSample
        With a kernel.

    Returns
    -------
    ProductSums
        Sums and counts for every two cells.

    Raises
    ------
    InputError
        If there is no kernel.
    """
    if pairs.kernel is None:
        msg = "this figure of merit has no kernel, which U-statistics need: take the jackknife"
        raise InputError(msg)
    x, y = _cells(pairs.of_positive), _cells(pairs.of_negative)
    read_x, read_y = (~np.isnan(x)).astype(np.float64), (~np.isnan(y)).astype(np.float64)
    n_x, n_y = read_x.sum(axis=1), read_y.sum(axis=1)
    total = np.nansum(x, axis=1) * n_y
    of_x, of_y = np.nan_to_num(x) * n_y[:, None], np.nan_to_num(y) * n_x[:, None]
    both_x, both_y = read_x @ read_x.T, read_y @ read_y.T
    n = n_x * n_y
    counts = (both_x * both_y, np.outer(n_x, n_x) * both_y, both_x * np.outer(n_y, n_y), np.outer(n, n))
    sums = (_kernel_products(pairs, pairs.kernel), of_y @ of_y.T, of_x @ of_x.T, np.outer(total, total))
    return ProductSums(np.stack(sums), np.stack(counts))


def _kernel_products(pairs: TwoSample, kernel: Kernel) -> Floats:
    t, r, n_x = pairs.of_positive.shape
    n_y = pairs.of_negative.shape[2]
    step = max(KERNEL_FLOATS // max(t * r * n_y, 1), 1)
    total = np.zeros((t * r, t * r))
    for start in range(0, n_x, step):
        part = slice(start, start + step)
        block = np.nan_to_num(kernel(part)).reshape(t * r, -1)
        total += block @ block.T
    return total


def unbiased(pairs: TwoSample) -> Floats:
    """Give the unbiased covariance of U-statistics.

    The product of two figures estimates the product of their expectations plus their covariance; averages over pairs
    of pairs that share no case estimate the product alone. The difference is the covariance.

    Parameters
    ----------
    pairs : TwoSample
        With a kernel.

    Returns
    -------
    ndarray of float, shape (n_cells, n_cells)
        The covariances; NaN where a class has one case only.
    """
    made = product_sums(pairs)
    sums, counts = (a[3] - a[1] - a[2] + a[0] for a in (made.sums, made.counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = made.sums[3] / made.counts[3] - sums / counts
    matrix[(made.counts[1] + made.counts[2]) == 0] = 0.0
    return matrix
