"""ComBat: every scanner's additive and multiplicative effect on every feature, learned once, removed from any patient.

The model of feature j of patient i on scanner s is ``y = a_j + x_i b_j + sd_j (shift_sj + sqrt(scale_sj) e)``. Learning
and removing are apart, so that a patient who comes tomorrow is treated like those of the training table.

References
----------
Johnson, Li and Rabinovic 2007, Biostatistics 8:118; Fortin 2017, NeuroImage 161:149 and 2018, NeuroImage 167:104 (the
variant for images, whose R and Python programs define the numbers that this module reproduces).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from spondyl.core import InputError, SettingsError
from spondyl.harmonize import shrinkage
from spondyl.harmonize.shrinkage import Prior, SiteEffects, SiteEstimates
from spondyl.harmonize.smooth import LeastSquares

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

UNSEEN = -1
"""Number of a scanner that was not learned; nothing is removed from its patients."""

BLOCK_VALUES = 2**17
"""Values worked on at a time, 1 MiB: what fits the cache of one core. Chosen by us; twice and half cost 10 % more."""

CONSTANT_SD = 1e-10
"""Standard deviation below which a feature counts as constant, relative to its largest mean over a scanner: rounding.
Chosen by us."""


@dataclass(frozen=True)
class ComBatSettings:
    """Which member of the ComBat family.

    Parameters
    ----------
    shrink : bool
        Empirical Bayes: effects of a scanner are drawn toward their distribution over the features.
    parametric : bool
        Normal and inverse gamma prior; otherwise the effects on the other features themselves.
    mean_only : bool
        Remove additive effects only, for scanners whose patients differ in spread for good reason.
    reference : str
        Scanner to whose scale all others are brought, itself unchanged; empty for the average scanner.
    covariance : bool
        Remove differences in how features vary together, too (CovBat).

    Raises
    ------
    SettingsError
        If the non-parametric prior is asked for without shrinkage.
    """

    shrink: bool = True
    parametric: bool = True
    mean_only: bool = False
    reference: str = ""
    covariance: bool = False

    def __post_init__(self) -> None:
        if not self.shrink and not self.parametric:
            msg = "parametric=False chooses a prior, shrink=False does without one; change one of them"
            raise SettingsError(msg)


class Scanners(NamedTuple):
    """Who was scanned where.

    Parameters
    ----------
    names : tuple of str
        The scanners, sorted.
    codes : ndarray of int, shape (n,)
        Each patient's scanner as its place in `names`, or `UNSEEN`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ComBatFit:
    """What was learned about scanners.

    Parameters
    ----------
    names : tuple of str
        The k scanners.
    settings : ComBatSettings
        How they were learned.
    mean : ndarray of float, shape (p,)
        Each feature's mean on the average (or reference) scanner for the average patient.
    slopes : ndarray of float, shape (q, p)
        Effect of the kept covariates.
    sd : ndarray of float, shape (p,)
        Standard deviation that the effects are relative to; 0 marks a constant feature, which passes unchanged.
    effects : SiteEffects
        What is removed; arrays of shape (k, p).
    estimates : SiteEstimates
        The same before shrinkage; arrays of shape (k, p).
    priors : tuple of Prior
        Of each scanner.
    between : ndarray of float, shape (p,)
        Variance of the shifts between scanners, from which one never seen is expected to differ.
    """

    names: tuple[str, ...]
    settings: ComBatSettings
    mean: NDArray[np.float64]
    slopes: NDArray[np.float64]
    sd: NDArray[np.float64]
    effects: SiteEffects
    estimates: SiteEstimates
    priors: tuple[Prior, ...]
    between: NDArray[np.float64]

    def expected(self, columns: NDArray[np.float64], part: slice = slice(None)) -> NDArray[np.float64]:
        """Give what the average scanner would measure on average in patients like these.

        Parameters
        ----------
        columns : ndarray of float, shape (n, q)
            Their covariates.
        part : slice, optional
            Which features.

        Returns
        -------
        ndarray of float, shape (n, p)
            In the unit of each feature.
        """
        return self.mean[part] + columns @ self.slopes[:, part]


def fit_combat(
    values: NDArray[np.float64],
    scanners: Scanners,
    columns: NDArray[np.float64],
    settings: ComBatSettings | None = None,
    *,
    penalty: NDArray[np.float64] | None = None,
) -> ComBatFit:
    """Learn the effects of scanners.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        One row per patient, one column per feature; NaN where a value is missing.
    scanners : Scanners
        Who was scanned where.
    columns : ndarray of float, shape (n, q)
        Covariates to keep, with mean zero.
    settings : ComBatSettings, optional
        Which member of the family.
    penalty : ndarray of float, shape (q, q), optional
        Penalty on the curvature of smooth covariates.

    Returns
    -------
    ComBatFit
        The effects.

    Raises
    ------
    InputError
        If the reference scanner is not there, or has too few values of a feature.
    """
    settings = settings or ComBatSettings()
    k, q, p = len(scanners.names), columns.shape[1], values.shape[1]
    indicator = (scanners.codes[:, None] == np.arange(k)).astype(np.float64)
    system = _System(
        np.hstack([indicator, columns]),
        None if penalty is None or not penalty.any() else block_diag(np.zeros((k, k)), penalty),
        k,
        _reference_number(scanners.names, settings.reference),
    )
    mean, slopes, sd = np.zeros(p), np.zeros((q, p)), np.zeros(p)
    estimates = SiteEstimates(*(np.full((k, p), np.nan) for _ in SiteEstimates._fields))
    for part, rows in feature_groups(values):
        mean[part], slopes[:, part], sd[part], found = system.solved(values, part, rows)
        for whole, piece in zip(estimates, found, strict=True):
            whole[:, part] = piece
    effects, priors = _shrunk(estimates, sd, settings, system.reference)
    between = shrinkage.between_scanners(
        np.where(sd > 0, estimates.shift, 0.0), np.where(sd > 0, estimates.sampling, 0.0)
    )
    return ComBatFit(scanners.names, settings, mean, slopes, sd, effects, estimates, priors, between)


def _reference_number(names: tuple[str, ...], reference: str) -> int | None:
    if not reference:
        return None
    if reference not in names:
        msg = f"the reference scanner {reference!r} is not in the table, which has {', '.join(map(repr, names))}"
        raise InputError(msg)
    return names.index(reference)


def feature_groups(values: NDArray[np.float64]) -> Iterator[tuple[slice | NDArray[np.intp], NDArray[np.bool_] | None]]:
    """Cut a table into features that miss the same patients, in blocks that fit the cache.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        One column per feature.

    Yields
    ------
    part : slice or ndarray of int
        Features.
    rows : ndarray of bool, shape (n,), or None
        Patients who have them; None for all.
    """
    n, p = values.shape
    width = max(BLOCK_VALUES // max(n, 1), 8)
    lacking: list[int] = []
    for first in range(0, p, width):
        block = slice(first, min(first + width, p))
        missing = np.isnan(values[:, block].sum(axis=0))
        if missing.any():
            lacking += (first + np.flatnonzero(missing)).tolist()
            whole = first + np.flatnonzero(~missing)
            if len(whole):
                yield whole, None
        else:
            yield block, None
    patterns: dict[bytes, list[int]] = {}
    for column in lacking:
        patterns.setdefault(np.packbits(np.isnan(values[:, column])).tobytes(), []).append(column)
    for columns in patterns.values():
        for start in range(0, len(columns), width):
            part = np.array(columns[start : start + width], dtype=np.intp)
            yield part, ~np.isnan(values[:, part[0]])


class _System:
    """The design of all patients, solved for groups of features that miss some of them."""

    def __init__(
        self, design: NDArray[np.float64], penalty: NDArray[np.float64] | None, k: int, reference: int | None
    ) -> None:
        self.design, self.penalty, self.k, self.reference = design, penalty, k, reference
        self._whole: LeastSquares | None = None

    def solved(
        self, values: NDArray[np.float64], part: slice | NDArray[np.intp], rows: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], SiteEstimates]:
        """Mean, slopes, standard deviation and estimates of some features."""
        if rows is None:
            self._whole = self._whole or LeastSquares(self.design, self.penalty)
            design, system, y = self.design, self._whole, values[:, part]
        else:
            design = self.design[rows]
            system, y = LeastSquares(design, self.penalty), values[np.ix_(rows, np.arange(values.shape[1])[part])]
        coefficients, residuals = system.solve(y)
        indicator = design[:, : self.k]
        n = indicator.sum(axis=0)
        weights = self._weights(n)
        mean = weights @ coefficients[: self.k]
        largest = np.abs(coefficients[: self.k]).max(axis=0)
        np.square(residuals, out=residuals)
        squares = indicator.T @ residuals
        own = slice(None) if self.reference is None else self.reference
        variance = squares[own].reshape(-1, y.shape[1]).sum(axis=0) / n[own].sum()
        sd = np.sqrt(np.where(variance > (CONSTANT_SD * largest) ** 2, variance, 0.0))
        contrast = np.eye(self.k) - weights
        sampling = np.einsum("ij,jk,ik->i", contrast, system.inverse[: self.k, : self.k], contrast)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimates = SiteEstimates(
                shift=np.where(n[:, None] > 0, (coefficients[: self.k] - mean) / sd, np.nan),
                scale=np.where(n[:, None] > 1, squares / (n[:, None] - 1) / sd**2, np.nan),
                n=np.broadcast_to(n[:, None], squares.shape),
                sampling=np.broadcast_to(sampling[:, None], squares.shape),
            )
        return mean, coefficients[self.k :], sd, estimates

    def _weights(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of each scanner in the scale that all are brought to."""
        if self.reference is None:
            return n / n.sum()
        if n[self.reference] < 2:
            msg = (
                "the reference scanner needs at least two patients with a value of every feature, "
                f"it has {n[self.reference]:.0f} of some; choose another reference or leave features out"
            )
            raise InputError(msg)
        return np.eye(self.k)[self.reference]


def _shrunk(
    estimates: SiteEstimates, sd: NDArray[np.float64], settings: ComBatSettings, reference: int | None
) -> tuple[SiteEffects, tuple[Prior, ...]]:
    """Turn the estimates of all scanners into what is removed."""
    k, p = estimates.shift.shape
    effects = SiteEffects(np.zeros((k, p)), np.ones((k, p)), np.zeros((k, p)), np.zeros((k, p)))
    varying = np.flatnonzero(sd > 0)
    priors = []
    for number in range(k):
        own = SiteEstimates(*(values[number, varying] for values in estimates))
        prior = shrinkage.prior_of(own)
        priors.append(prior)
        # A single scanner has nothing to be brought to, and the reference stays what it is.
        if number == reference or k == 1 or not len(varying):
            continue
        for whole, piece in zip(effects, site_effects(own, prior, settings), strict=True):
            whole[number, varying] = piece
    return effects, tuple(priors)


def site_effects(estimates: SiteEstimates, prior: Prior, settings: ComBatSettings) -> SiteEffects:
    """Turn the estimates of one scanner into what is removed.

    Parameters
    ----------
    estimates : SiteEstimates
        Of one scanner.
    prior : Prior
        Its prior.
    settings : ComBatSettings
        Which member of the family.

    Returns
    -------
    SiteEffects
        Arrays of shape (p,).
    """
    if not settings.shrink:
        return shrinkage.without_shrinkage(estimates, mean_only=settings.mean_only)
    if not settings.parametric:
        return shrinkage.nonparametric(estimates, mean_only=settings.mean_only)
    if settings.mean_only:
        return shrinkage.shrunk_shift(estimates, prior)
    return shrinkage.parametric(estimates, prior)


def apply_combat(
    fit: ComBatFit, values: NDArray[np.float64], codes: NDArray[np.intp], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Remove the effects of scanners.

    Parameters
    ----------
    fit : ComBatFit
        The effects.
    values : ndarray of float, shape (n, p)
        Patients, old or new; missing values stay missing.
    codes : ndarray of int, shape (n,)
        Each patient's scanner as its place in ``fit.names``, or `UNSEEN`.
    columns : ndarray of float, shape (n, q)
        Their covariates.

    Returns
    -------
    ndarray of float, shape (n, p)
        A new table. Values of the reference scanner, of a scanner not seen and of constant features are the same to
        the last bit.
    """
    n, p = values.shape
    removed = np.empty((n, p))
    design = np.hstack([np.ones((n, 1)), columns])
    height = max(BLOCK_VALUES // max(p, 1), 1)
    for scanner in np.unique(codes):
        rows = np.flatnonzero(codes == scanner)
        if scanner == UNSEEN:
            removed[rows] = values[rows]
            continue
        # (y - expected) / stretch + expected - shift, in the fewest passes over the values.
        stretch = 1 / np.sqrt(fit.effects.scale[scanner])
        change = (stretch - 1) * np.vstack([fit.mean, fit.slopes])
        change[0] += fit.sd * fit.effects.shift[scanner] * stretch
        for first in range(0, len(rows), height):
            part = rows[first : first + height]
            piece = values[part]
            piece *= stretch
            piece -= design[part] @ change
            removed[part] = piece
    return removed


def with_scanner(fit: ComBatFit, name: str, estimates: SiteEstimates, effects: SiteEffects) -> ComBatFit:
    """Add a scanner to what was learned, leaving everything else as it is.

    Parameters
    ----------
    fit : ComBatFit
        What was learned.
    name : str
        The new scanner.
    estimates : SiteEstimates
        Its estimates, arrays of shape (p,).
    effects : SiteEffects
        Its effects, arrays of shape (p,).

    Returns
    -------
    ComBatFit
        With the scanner last.
    """
    return replace(
        fit,
        names=(*fit.names, name),
        estimates=SiteEstimates(*(np.vstack(pair) for pair in zip(fit.estimates, estimates, strict=True))),
        effects=SiteEffects(*(np.vstack(pair) for pair in zip(fit.effects, effects, strict=True))),
        priors=(*fit.priors, shrinkage.prior_of(estimates)),
    )
