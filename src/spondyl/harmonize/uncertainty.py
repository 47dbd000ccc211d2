"""How sure a harmonized value is: what is not known about the scanner, and what no scanner repeats exactly.

A harmonized value stands for what the average (or reference) scanner would have measured. It is uncertain because the
effects of the own scanner were estimated from few patients, and, taken as a property of the patient, because a second
scan would give another value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from spondyl.core import InputError
from spondyl.harmonize.combat import BLOCK_VALUES, UNSEEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.harmonize.combat import ComBatFit

MIN_REPEATS = 5
"""Fewest degrees of freedom from which the spread of repeated scans is estimated. Chosen by us: below, the 90 % limits
of a standard deviation are wider than a factor of two."""


def scanner_variance(
    fit: ComBatFit,
    removed: NDArray[np.float64],
    codes: NDArray[np.intp],
    columns: NDArray[np.float64],
    strange: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Give the variance that estimated scanner effects add to harmonized values.

    Parameters
    ----------
    fit : ComBatFit
        The effects.
    removed : ndarray of float, shape (n, p)
        Harmonized values.
    codes : ndarray of int, shape (n,)
        The scanner whose effects were removed, or `UNSEEN`.
    columns : ndarray of float, shape (n, q)
        Kept covariates.
    strange : ndarray of bool, shape (n,)
        Patients whose own scanner was not learned.

    Returns
    -------
    ndarray of float, shape (n, p)
        In the squared unit of each feature; NaN where the value is.

    Notes
    -----
    To first order, for a harmonized value ``h`` with expectation ``m``: ``sd² V(shift) / scale + (h - m)² V(ln
    scale) / 4``. A scanner that was not learned differs by as much as the known ones differ from each other.
    """
    between_scale = _between_log_scales(fit) if strange.any() else 0.0
    used, place = np.unique(codes, return_inverse=True)
    unseen = used == UNSEEN
    n, p = removed.shape
    variance = np.empty((n, p))
    width = max(BLOCK_VALUES // max(n, 1), 8)
    for first in range(0, p, width):
        part = slice(first, min(first + width, p))
        between = fit.between[part]
        shift, log_scale, scale = (
            of_all[used, part]
            for of_all in (fit.effects.shift_variance, fit.effects.log_scale_variance, fit.effects.scale)
        )
        shift = np.where(np.isfinite(shift), shift, between) / scale
        shift[unseen], log_scale[unseen] = 0.0, 0.0
        piece = removed[:, part] - fit.expected(columns, part)
        np.square(piece, out=piece)
        piece *= (log_scale[place] + between_scale * strange[:, None]) / 4
        piece += fit.sd[part] ** 2 * (shift[place] + between * strange[:, None])
        variance[:, part] = piece
    return variance


def _between_log_scales(fit: ComBatFit) -> float:
    """How much scanners differ in the logarithm of their variance, without the noise of estimating it."""
    usable = np.isfinite(fit.estimates.scale) & (fit.estimates.scale > 0)
    if fit.settings.mean_only or usable.sum() < 2:
        return 0.0
    spread = np.log(fit.estimates.scale[usable])
    noise = 2 / np.maximum(fit.estimates.n[usable] - 1, 1)
    return max(float(np.mean((spread - spread.mean()) ** 2) - noise.mean()), 0.0)


class Repeatability(NamedTuple):
    """How well a feature repeats in the same patient.

    Parameters
    ----------
    variance : ndarray of float, shape (p,)
        Variance within patients, in the squared unit of each feature.
    icc : ndarray of float, shape (p,)
        Intraclass correlation, one-way random, single measurement.
    cv : ndarray of float, shape (p,)
        Standard deviation within patients over the absolute mean.
    freedom : int
        Degrees of freedom: repeated scans beyond the first of each patient.
    """

    variance: NDArray[np.float64]
    icc: NDArray[np.float64]
    cv: NDArray[np.float64]
    freedom: int


def repeatability(values: NDArray[np.float64], patients: NDArray) -> Repeatability:
    """Measure how well features repeat in patients who were scanned more than once.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        One row per scan; missing values are left out.
    patients : ndarray, shape (n,)
        Whose scan each row is.

    Returns
    -------
    Repeatability
        Patients with a single scan tell nothing about repetition and are left out of all figures.

    Raises
    ------
    InputError
        If nobody was scanned twice.

    References
    ----------
    Shrout and Fleiss 1979, Psychol Bull 86:420, ICC(1,1), with the mean group size for unequal numbers of scans
    (Donner 1986, Int Stat Rev 54:67).
    """
    _, inverse, counts = np.unique(np.asarray(patients).astype(str), return_inverse=True, return_counts=True)
    rows = counts[inverse] > 1
    if not rows.any():
        msg = "nobody was scanned twice, so repetition cannot be measured; leave the column of subjects out"
        raise InputError(msg)
    order = np.flatnonzero(rows)[np.argsort(inverse[rows], kind="stable")]
    first = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    size = np.diff(np.append(first, len(order)))
    seen = np.isfinite(values[order])
    y = np.where(seen, values[order], 0.0)
    n = np.add.reduceat(seen.astype(float), first)
    means = np.divide(np.add.reduceat(y, first), n, out=np.zeros_like(n), where=n > 0)
    within = np.where(seen, y - np.repeat(means, size, axis=0), 0.0)
    within = np.einsum("ij,ij->j", within, within)
    total, groups = n.sum(axis=0), (n > 0).sum(axis=0)
    grand = y.sum(axis=0) / np.maximum(total, 1)
    between = (n * (means - grand) ** 2).sum(axis=0) / np.maximum(groups - 1, 1)
    variance = within / np.maximum(total - groups, 1)
    typical = (total - (n**2).sum(axis=0) / np.maximum(total, 1)) / np.maximum(groups - 1, 1)
    denominator = between + (typical - 1) * variance
    icc = np.divide(between - variance, denominator, out=np.full(len(grand), np.nan), where=denominator > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cv = np.sqrt(variance) / np.abs(grand)
    return Repeatability(variance, icc, cv, int((total - groups).max(initial=0)))


def interval(
    values: NDArray[np.float64], sd: NDArray[np.float64], *, level: float = 0.9
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the interval that holds the true value with a stated probability.

    Parameters
    ----------
    values, sd : ndarray of float, one shape
        Harmonized values and their standard deviation.
    level : float, optional
        The probability, between 0 and 1.

    Returns
    -------
    low, high : ndarray of float
        Limits, from the normal distribution.

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, got {level}"
        raise ValueError(msg)
    half = float(ndtri((1 + level) / 2)) * sd
    return values - half, values + half
