"""What models of proportional hazards share: the probability of being free of the event, from a log relative risk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.risk.outcome import step

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

HIGHEST_LOG_RISK = 50.0
"""Log relative risks are held within this: beyond it the event is certain, or excluded, in any unit of time."""


class ProportionalHazards(BaseEstimator, ABC):
    """A survival model whose hazards keep their proportion.

    Whoever inherits gives log relative risks, and sets a baseline when it is fitted.

    Attributes
    ----------
    times_, hazard_ : ndarray of float, shape (n_steps,)
        Rising times, and the cumulative hazard from each on of a patient of log relative risk 0.
    """

    times_: Floats
    hazard_: Floats

    @abstractmethod
    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803 - scikit-learn's name
        """Give the logarithm of each patient's relative risk.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features; NaN where one is missing, if the model takes that.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """

    def predict_survival(self, X: ArrayLike, times: ArrayLike) -> Floats:  # noqa: N803
        """Give the probability of being free of the event.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features, as `predict` takes them.
        times : array_like of float, shape (n_times,)
            Times.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1, falling in time.
        """
        return self.survival_of(self.predict(X), times)

    def survival_of(self, score: ArrayLike, times: ArrayLike) -> Floats:
        """Give the probability of being free of the event to patients whose log relative risk is known.

        Parameters
        ----------
        score : array_like of float, shape (m,)
            As `predict` gives it, or as it was out of fold.
        times : array_like of float, shape (n_times,)
            Times.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1, falling in time.
        """
        check_is_fitted(self, "hazard_")
        risk = np.exp(np.clip(np.asarray(score, dtype=np.float64), -HIGHEST_LOG_RISK, HIGHEST_LOG_RISK))
        found: Floats = np.exp(-risk[:, None] * step(self.times_, self.hazard_, times))
        return found
