"""Least squares for many features at once: plain, or with a penalty on the curvature of spline terms.

All features share one basis, so one decomposition of the normal equations serves every feature and every strength of
smoothing; only a diagonal changes between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import null_space

from spondyl.core import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEGREE = 3
"""Cubic splines: continuous curvature, which the penalty needs."""

N_BASIS = 10
"""Most basis functions of a term; the penalty, not their number, sets the smoothness (Wood 2017, section 5.9)."""

MIN_VALUES = DEGREE + 1
"""Fewest different values of a covariate that a cubic spline can follow."""

PENALTIES = np.concatenate([[0.0], np.logspace(-6, 8, 57)])
"""Strengths of smoothing that are tried, relative to the size of data and penalty: from none to a straight line, a
quarter of a decade apart. Chosen by us."""

RANK_TOLERANCE = 1e-10
"""Smallest eigenvalue of the scaled normal equations, relative to the largest, that counts as information. The columns
are scaled, so that a smaller one is rounding. Chosen by us."""


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """A cubic B-spline basis whose columns have mean zero over the values it was made from.

    Parameters
    ----------
    knots : ndarray of float, shape (n_basis + 4,)
        Knots, the outer ones repeated; in the unit of the covariate.
    rotation : ndarray of float, shape (n_basis, n_basis - 1)
        Takes the B-splines to the subspace with mean zero.
    """

    knots: NDArray[np.float64]
    rotation: NDArray[np.float64]

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value the basis was made from; outside, the curve continues level."""
        return float(self.knots[0]), float(self.knots[-1])

    def columns(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the basis.

        Parameters
        ----------
        x : ndarray of float, shape (n,)
            Finite values of the covariate; beyond the bounds they count as the bound.

        Returns
        -------
        ndarray of float, shape (n, n_basis - 1)
            One column per basis function.
        """
        return BSpline.design_matrix(np.clip(x, *self.bounds), self.knots, DEGREE).toarray() @ self.rotation

    def penalty(self) -> NDArray[np.float64]:
        """Give the integral of the squared second derivative as a quadratic form.

        Returns
        -------
        ndarray of float, shape (n_basis - 1, n_basis - 1)
            Positive semidefinite; a straight line costs nothing. Scaled to a covariate that runs from 0 to 1.
        """
        low, high = self.bounds
        curvature = BSpline((self.knots - low) / (high - low), np.eye(len(self.rotation)), DEGREE).derivative(2)
        edges = np.unique((self.knots - low) / (high - low))
        # The product of two linear functions is quadratic: two Gauss points an interval integrate it exactly.
        nodes, weights = np.polynomial.legendre.leggauss(2)
        half = np.diff(edges)[:, None] / 2
        at = (edges[:-1, None] + half * (1 + nodes)).ravel()
        values = curvature(at) * np.sqrt((half * weights).ravel())[:, None]
        return self.rotation.T @ (values.T @ values) @ self.rotation


def spline_basis(x: NDArray[np.float64], name: str = "covariate") -> SplineBasis:
    """Make a basis for the values of a covariate, with knots at their quantiles.

    Parameters
    ----------
    x : ndarray of float, shape (n,)
        Finite values.
    name : str, optional
        What they are, for the message.

    Returns
    -------
    SplineBasis
        The basis.

    Raises
    ------
    SettingsError
        If there are too few different values.

    References
    ----------
    Eilers and Marx 1996, Stat Sci 11:89; Wood 2017, Generalized Additive Models, sections 5.3 and 5.4.1.
    """
    different = np.unique(x)
    if len(different) < MIN_VALUES:
        msg = (
            f"a smooth covariate needs at least {MIN_VALUES} different values, {name!r} has {len(different)}; "
            "keep it as a linear covariate instead"
        )
        raise SettingsError(msg)
    n_inner = min(N_BASIS, len(different)) - DEGREE - 1
    inner = np.quantile(different, np.linspace(0, 1, n_inner + 2))[1:-1]
    knots = np.concatenate([np.repeat(different[0], DEGREE + 1), inner, np.repeat(different[-1], DEGREE + 1)])
    means = BSpline.design_matrix(x, knots, DEGREE).toarray().mean(axis=0)
    return SplineBasis(knots, null_space(means[None, :]))


class LeastSquares:
    """Least squares of one design, prepared once and solved for any number of features.

    Parameters
    ----------
    design : ndarray of float, shape (n, q)
        One row per case.
    penalty : ndarray of float, shape (q, q), optional
        Quadratic form that is added to the sum of squares, times a strength that each feature chooses for itself by
        generalized cross-validation.

    Attributes
    ----------
    rank : int
        Number of independent columns.
    inverse : ndarray of float, shape (q, q)
        Pseudo-inverse of the normal equations: the covariance of the unpenalized coefficients for unit variance.

    References
    ----------
    Craven and Wahba 1979, Numer Math 31:377 (generalized cross-validation); Wood 2017, section 5.4.
    """

    def __init__(self, design: NDArray[np.float64], penalty: NDArray[np.float64] | None = None) -> None:
        self.design = design
        size = np.sqrt(np.einsum("ij,ij->j", design, design))
        size[size == 0] = 1.0
        scaled = design / size
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        kept = values > RANK_TOLERANCE * max(values[-1], 1.0) if len(values) else np.zeros(0, bool)
        self.rank = int(kept.sum())
        roots = vectors[:, kept] / np.sqrt(values[kept]) / size[:, None]
        self._strength = np.zeros(self.rank)
        if penalty is not None and penalty.any():
            self._strength, turn = np.linalg.eigh(roots.T @ penalty @ roots)
            self._strength = np.maximum(self._strength, 0) / max(self._strength[-1], 1e-300)
            roots = roots @ turn
        self._roots = roots
        self._projection = design @ roots
        self.inverse = roots @ roots.T

    def solve(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fit every feature.

        Parameters
        ----------
        values : ndarray of float, shape (n, p)
            One column per feature, without missing values.

        Returns
        -------
        coefficients : ndarray of float, shape (q, p)
            One column per feature.
        residuals : ndarray of float, shape (n, p)
            What the fit leaves.
        """
        scores = self._projection.T @ values
        residuals = values - self._projection @ scores
        if not self._strength.any():
            return self._roots @ scores, residuals
        shrunk = 1 / (1 + np.multiply.outer(PENALTIES, self._strength))
        n = len(values)
        squares = np.einsum("ij,ij->j", residuals, residuals) + (1 - shrunk) ** 2 @ scores**2
        freedom = np.maximum(n - shrunk.sum(axis=1), 1e-9)
        best = np.argmin(squares / (freedom**2)[:, None], axis=0)
        kept = scores * shrunk[best].T
        residuals += self._projection @ (scores - kept)
        return self._roots @ kept, residuals
