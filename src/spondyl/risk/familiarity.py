"""Is a patient like those a model learned from; where not, no risk is given, and why is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.risk.design import Design

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MOST_MISSING = 0.5
"""Share of the features that may be missing. Chosen by us."""

FARTHEST_RANGES = 0.5
"""How far beyond the values learned from one may lie, in their range. Chosen by us."""

STRANGE_SHARE, STRANGE_FACTOR = 0.005, 1.5
"""A patient is strange who lies this many times as far from the middle as all but this share of those learned from.
Chosen by us."""

RIDGE = 0.05
"""Part of the identity mixed into the correlation, so that it can be inverted (Ledoit & Wolf 2004, doi
10.1016/S0047-259X(03)00096-4, choose it from the data; a fixed part is enough here)."""


class Familiarity(BaseEstimator):
    """Knows the patients a model learned from.

    Parameters
    ----------
    names : sequence of str
        The features, to be named in reasons.

    Attributes
    ----------
    limit_ : float
        Distance from the middle beyond which a patient counts as strange.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def fit(self, X: ArrayLike, y: Any = None) -> Familiarity:  # noqa: ARG002, N803 - scikit-learn's names
        """Learn ranges and how features go together.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : object, optional
            Not looked at.

        Returns
        -------
        Familiarity
            Itself.
        """
        x = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = x.shape[1]
        known = np.where(np.isfinite(x), x, np.nan)
        empty = ~np.isfinite(known).any(axis=0)
        known[:, empty] = 0.0
        self.low_, self.high_ = np.nanmin(known, axis=0), np.nanmax(known, axis=0)
        # The share that is missing is one thing, how strange the rest is another.
        self.design_ = Design().fit(x)
        z = self.design_.transform(x)[:, : x.shape[1]]
        covariance = (1 - RIDGE) * np.atleast_2d(np.cov(z.T)) + RIDGE * np.eye(z.shape[1])
        self.precision_ = np.linalg.inv(covariance)
        self.limit_ = STRANGE_FACTOR * float(np.quantile(self._distance(x), 1 - STRANGE_SHARE))
        return self

    def _distance(self, x: Floats) -> Floats:
        z = self.design_.transform(x)[:, : x.shape[1]]
        return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", z, self.precision_, z), 0))

    def reasons(self, X: ArrayLike) -> list[str]:  # noqa: N803
        """Say why a patient gets no risk.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        list of str
            A reason for each; empty where a risk may be given.
        """
        check_is_fitted(self, "limit_")
        x = np.asarray(X, dtype=np.float64)
        known = np.isfinite(x)
        room = FARTHEST_RANGES * np.maximum(self.high_ - self.low_, 1e-12)
        outside = known & ((x < self.low_ - room) | (x > self.high_ + room))
        distance = self._distance(x)
        found = []
        for row in range(len(x)):
            missing = 1 - known[row].mean()
            if missing > MOST_MISSING:
                found.append(f"{missing:.0%} of the features are missing, at most {MOST_MISSING:.0%} may be")
            elif outside[row].any():
                names = ", ".join(str(self.names[i]) for i in np.flatnonzero(outside[row])[:3])
                found.append(f"far outside what was learned from: {names}")
            elif distance[row] > self.limit_:
                found.append("no patient learned from had such a combination of values")
            else:
                found.append("")
        return found
