"""Two small fits that calibration needs: logistic regression with an offset, and local quadratic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

MAX_STEPS = 50
"""Newton steps before a logistic fit counts as not converged; separable data never do. Chosen by us."""

STEP_TOLERANCE = 1e-10
"""Largest change of a coefficient in the last step. Chosen by us."""

LONGEST_STEP = 5.0
"""Largest change of a linear predictor in one step. Chosen by us."""

BLOCK = 200_000
"""Weights of a local regression held at once, 1.6 MB, which stays in the cache. Chosen by us."""

SINGULAR = 1e-12
"""Scaled determinants up to this count as singular. Chosen by us."""


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """A fitted logistic regression.

    Parameters
    ----------
    coefficients : ndarray of float, shape (n_terms,)
        Maximum likelihood; NaN where it does not exist.
    covariance : ndarray of float, shape (n_terms, n_terms)
        From the information matrix, or the sandwich over clusters; NaN with one cluster.
    converged : bool
        False where the classes are separable or a term is constant.
    """

    coefficients: Floats
    covariance: Floats
    converged: bool


def logistic_fit(
    design: Floats, truth: NDArray[np.bool_], offset: Floats | float = 0.0, cluster: NDArray[np.intp] | None = None
) -> LogisticFit:
    """Fit a logistic regression by Newton's method.

    Parameters
    ----------
    design : ndarray of float, shape (n_cases, n_terms)
        Terms; a column of ones is the intercept.
    truth : ndarray of bool, shape (n_cases,)
        True for positive.
    offset : ndarray of float, shape (n_cases,), or float, optional
        Known part of the linear predictor.
    cluster : ndarray of int, shape (n_cases,), optional
        Patient of each case, from 0; gives a covariance that is robust to correlation inside patients.

    Returns
    -------
    LogisticFit
        The fit.
    """
    n_terms = design.shape[1]
    failed = LogisticFit(np.full(n_terms, np.nan), np.full((n_terms, n_terms), np.nan), converged=False)
    beta = np.zeros(n_terms)
    for _ in range(MAX_STEPS):
        probability = expit(design @ beta + offset)
        information = (design * (probability * (1 - probability))[:, None]).T @ design
        if np.linalg.matrix_rank(information, hermitian=True) < n_terms:
            return failed
        step = np.linalg.solve(information, design.T @ (truth - probability))
        # Newton may overshoot far from the solution, to where every probability is 0 or 1 and nothing can be told.
        beta = beta + step / max(1.0, float(np.abs(design @ step).max()) / LONGEST_STEP)
        if np.abs(step).max() < STEP_TOLERANCE * max(1.0, float(np.abs(beta).max())):
            covariance = np.linalg.inv(information)
            if cluster is not None:
                covariance = covariance @ _meat(design * (truth - probability)[:, None], cluster) @ covariance
            return LogisticFit(beta, covariance, converged=True)
    return failed


def expit(x: Floats) -> Floats:
    """Give the logistic function without overflow.

    Parameters
    ----------
    x : ndarray of float
        Linear predictor.

    Returns
    -------
    ndarray of float
        Probabilities.
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _meat(score: Floats, cluster: NDArray[np.intp]) -> Floats:
    n = int(cluster.max()) + 1
    if n < 2:  # nothing varies between patients where there is one
        return np.full((score.shape[1], score.shape[1]), np.nan)
    sums = np.stack([np.bincount(cluster, weights=column, minlength=n) for column in score.T])
    return sums @ sums.T * (n / (n - 1))


def loess(x: Floats, y: Floats, at: Floats, span: float = 0.75) -> Floats:
    """Smooth by local quadratic regression with tricube weights.

    Parameters
    ----------
    x, y : ndarray of float, shape (n,)
        The data.
    at : ndarray of float, shape (n_at,)
        Where the smooth is wanted.
    span : float, optional
        Share of the data in each neighborhood, above 0; above 1 widens the reach as well.

    Returns
    -------
    ndarray of float, shape (n_at,)
        The smooth. Where a neighborhood holds fewer than three distinct values, the order falls to what they allow.

    Raises
    ------
    SettingsError
        If the span is not positive.

    References
    ----------
    Cleveland & Devlin 1988, doi 10.1080/01621459.1988.10478639.
    """
    if not span > 0:
        msg = f"span must be above 0, such as 0.75; got {span}"
        raise SettingsError(msg)
    rows = max(1, BLOCK // len(x))
    blocks = [at[i : i + rows] for i in range(0, len(at), rows)]
    return np.concatenate([_local_quadratic(x, y, block, span) for block in blocks])


def _local_quadratic(x: Floats, y: Floats, at: Floats, span: float) -> Floats:
    distance = x[None, :] - at[:, None]
    reach = np.abs(distance)
    k = min(max(int(np.floor(span * len(x) + 1e-5)), 1), len(x)) - 1
    bandwidth = np.partition(reach, k, axis=1)[:, k] * max(span, 1.0)
    # Ties can leave a neighborhood without width: then only the tied values count.
    bandwidth = np.maximum(bandwidth, 1e-12 * max(float(np.ptp(x)), 1.0))[:, None]
    u = distance / bandwidth
    # Products, not powers: this is the inner loop of every resampled calibration curve.
    cube = np.clip(1 - np.abs(u) * u * u, 0, None)
    weight = cube * cube * cube
    first = weight * u
    second = first * u
    moments = [weight.sum(axis=1), first.sum(axis=1), second.sum(axis=1)]
    moments += [np.einsum("ij,ij->i", second, u), np.einsum("ij,ij,ij->i", second, u, u)]
    left = np.stack([np.stack(moments[i : i + 3], axis=-1) for i in range(3)], axis=-2)
    right = np.stack([weight @ y, first @ y, second @ y], axis=-1)
    return _solve(left, right)


def _solve(left: Floats, right: Floats) -> Floats:
    """First coefficient of each small system; the smoothest of all fits where a neighborhood cannot tell them apart."""
    # Scaled by the weights, a determinant this small leaves fewer than three distinct values.
    determinant = np.linalg.det(left / np.maximum(left[:, :1, :1], 1e-300))
    firm = determinant > SINGULAR
    fit = np.empty(len(left))
    fit[firm] = np.linalg.solve(left[firm], right[firm][..., None])[:, 0, 0]
    fit[~firm] = (np.linalg.pinv(left[~firm], rcond=1e-10, hermitian=True) @ right[~firm][..., None])[:, 0, 0]
    return fit
