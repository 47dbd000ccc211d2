"""Features made ready for models that are sums: missing values filled and told, one scale, smooth curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

KNOTS = (0.05, 0.35, 0.65, 0.95)
"""Quantiles at which curves may bend (Harrell 2015, doi 10.1007/978-3-319-19425-7, table 2.3: four knots)."""

FEWEST_VALUES = 10
"""Different values below which a feature stays a straight line. Chosen by us."""

FARTHEST_SD = 5.0
"""Standard deviations from the mean at which values are held. Chosen by us: one wrong decimal point must not decide."""


class Design(TransformerMixin, BaseEstimator):
    """Fill, tell what was missing, scale, and bend.

    Parameters
    ----------
    curved : bool
        Whether features with many values become natural cubic splines.

    Attributes
    ----------
    median_, mean_, scale_ : ndarray of float, shape (p,)
        What fills a missing value, and the scale.
    missing_ : ndarray of bool, shape (p,)
        Features whose absence is a term of its own.
    knots_ : dict of int to ndarray of float, shape (4,)
        By feature.

    References
    ----------
    Harrell 2015, doi 10.1007/978-3-319-19425-7, section 2.4.5 (restricted cubic splines).
    """

    def __init__(self, *, curved: bool = False) -> None:
        self.curved = curved

    def fit(self, X: ArrayLike, y: Any = None) -> Design:  # noqa: ARG002, N803 - scikit-learn's names
        """Learn fill-ins, scale and knots.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : object, optional
            Not looked at.

        Returns
        -------
        Design
            Itself.
        """
        x = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = x.shape[1]
        known = np.isfinite(x)
        self.missing_ = ~known.all(axis=0) & known.any(axis=0)
        self.median_ = np.array([np.median(c[k]) if k.any() else 0.0 for c, k in zip(x.T, known.T, strict=True)])
        filled = np.where(known, x, self.median_)
        self.mean_, spread = filled.mean(axis=0), filled.std(axis=0)
        self.scale_ = np.where(spread > 1e-12, spread, 1.0)
        z = (filled - self.mean_) / self.scale_
        self.knots_: dict[int, Floats] = {}
        for column in range(x.shape[1]) if self.curved else ():
            knots = np.quantile(z[:, column], KNOTS)
            if len(np.unique(z[:, column])) >= FEWEST_VALUES and np.diff(knots).min() > 1e-6:
                self.knots_[column] = knots
        return self

    def transform(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the terms.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m, n_terms)
            Scaled features, then bends, then what was missing.
        """
        check_is_fitted(self, "median_")
        x = np.asarray(X, dtype=np.float64)
        known = np.isfinite(x)
        z = (np.where(known, x, self.median_) - self.mean_) / self.scale_
        z = np.clip(z, -FARTHEST_SD, FARTHEST_SD)
        bends = [_bends(z[:, column], knots) for column, knots in self.knots_.items()]
        return np.hstack([z, *bends, (~known[:, self.missing_]).astype(np.float64)])


def _bends(z: Floats, knots: Floats) -> Floats:
    """Terms of a restricted cubic spline beside the straight line."""
    last, before = knots[-1], knots[-2]
    span = (last - knots[0]) ** 2

    def cube(knot: float) -> Floats:
        return np.maximum(z - knot, 0) ** 3

    terms = [
        (cube(k) - cube(before) * (last - k) / (last - before) + cube(last) * (before - k) / (last - before)) / span
        for k in knots[:-2]
    ]
    return np.stack(terms, axis=1)
