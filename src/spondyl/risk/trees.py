"""What survival models made of trees share: checks, and the three things that are asked of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.outcome import checked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class TreeSurvival(BaseEstimator, ABC):
    """A survival model made of trees, which take missing values as they are.

    Whoever inherits grows the trees, gives log risks, and cumulative hazards; `times_` tells that they are grown.

    Attributes
    ----------
    times_ : ndarray of float, shape (n_times,)
        Rising times at which predicted curves step.
    """

    times_: Floats

    def fit(self, X: ArrayLike, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Grow the trees.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : ndarray, shape (n,)
            As `follow_up` gives it.

        Returns
        -------
        TreeSurvival
            Itself.

        Raises
        ------
        InputError
            If rows do not match or events are too few.
        """
        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        self._grow(x, time, event)
        return self

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the logarithm of each patient's risk, relative to a level that the model chose.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.

        Raises
        ------
        InputError
            If there are not as many features as were learned from.
        """
        return self._log_risk(self._checked(X))

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> Floats:  # noqa: N803
        """Give the probability of being free of the event.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.
        times : array_like of float, shape (n_times,)
            Times.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1, falling in time.

        Raises
        ------
        InputError
            If there are not as many features as were learned from.
        """
        return np.exp(-self._cumulative_hazard(self._checked(X), np.asarray(times, dtype=np.float64)))

    def _checked(self, X: ArrayLike) -> Floats:  # noqa: N803
        check_is_fitted(self, "times_")
        x = np.asarray(X, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.n_features_in_:
            msg = f"{self.n_features_in_} features were learned from, got an array of shape {x.shape}"
            raise InputError(msg)
        return x

    @abstractmethod
    def _grow(self, x: Floats, time: Floats, event: NDArray[np.bool_]) -> None:
        """Learn from checked patients, and set `times_`."""

    @abstractmethod
    def _log_risk(self, x: Floats) -> Floats:
        """Log risk of each row, shape (m,)."""

    @abstractmethod
    def _cumulative_hazard(self, x: Floats, times: Floats) -> Floats:
        """Cumulative hazard of each row by each time, shape (m, n_times)."""
