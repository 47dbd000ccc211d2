"""An event that another one may prevent: progression, and death before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.outcome import FOLLOW_UP

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class CompetingRisks(BaseEstimator):
    """A survival model for each cause, put together to the probability of each.

    Treating death as censoring answers what would happen if nobody died. The cumulative incidence answers what will
    happen: hazards of one cause count only for those still free of every cause.

    Parameters
    ----------
    estimator : estimator
        Survival model with `fit(X, y)`, `predict(X)` and `predict_survival(X, times)`, cloned for each cause.

    Attributes
    ----------
    causes_ : tuple of int
        Codes of the events that occur.
    models_ : dict of int to estimator
        By cause.
    times_ : ndarray of float
        Rising times at which some event was seen.

    References
    ----------
    Aalen & Johansen 1978, Scandinavian Journal of Statistics 5:141; Putter 2007, doi 10.1002/sim.2712 (cause-specific
    hazards and what follows from them).
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: ArrayLike, y: Any, **fit_params: Any) -> CompetingRisks:  # noqa: N803 - scikit-learn's name
        """Fit a model for each cause.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features.
        y : ndarray, shape (n,)
            As `follow_up` gives it.
        **fit_params : object
            Handed to the fit of each model.

        Returns
        -------
        CompetingRisks
            Itself.

        Raises
        ------
        InputError
            If a cause has too few events.
        """
        events = np.asarray(y["event"])
        self.causes_ = tuple(int(c) for c in np.unique(events[events > 0]))
        self.times_ = np.unique(y["time"][events > 0])
        self.models_ = {}
        for cause in self.causes_:
            own = np.zeros(len(events), dtype=FOLLOW_UP)
            own["event"], own["time"] = events == cause, y["time"]
            try:
                self.models_[cause] = clone(self.estimator).fit(X, own, **fit_params)
            except InputError as error:
                msg = f"event {cause}: {error}"
                raise InputError(msg) from error
        return self

    def predict(self, X: ArrayLike, cause: int = 1) -> Floats:  # noqa: N803
        """Give the log risk of a cause, the others left aside.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.
        cause : int, optional
            The event.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """
        check_is_fitted(self, "models_")
        return self.models_[cause].predict(X)

    def predict_incidence(self, X: ArrayLike, times: ArrayLike, cause: int = 1) -> Floats:  # noqa: N803
        """Give the probability of having had an event, before any other.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.
        times : array_like of float, shape (n_times,)
            Times.
        cause : int, optional
            The event.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1, rising in time; those of all causes sum to less than 1.
        """
        check_is_fitted(self, "models_")
        curves = {c: model.predict_survival(X, self.times_) for c, model in self.models_.items()}
        return incidence(curves, self.times_, times, cause)


def incidence(curves: dict[int, Floats], steps: Floats, times: ArrayLike, cause: int) -> Floats:
    """Put curves of single causes together.

    Parameters
    ----------
    curves : dict of int to ndarray of float, shape (m, n_steps)
        Probability of being free of each cause if there were no other.
    steps : ndarray of float, shape (n_steps,)
        Rising times at which the curves fall.
    times : array_like of float, shape (n_times,)
        Times wanted.
    cause : int
        The cause wanted.

    Returns
    -------
    ndarray of float, shape (m, n_times)
        Cumulative incidence.
    """
    hazards = {c: -np.diff(np.log(np.maximum(s, 1e-12)), axis=1, prepend=0.0) for c, s in curves.items()}
    total = np.sum(list(hazards.values()), axis=0)
    free = np.exp(-np.cumsum(total, axis=1))
    before = np.hstack([np.ones((len(free), 1)), free[:, :-1]])
    # What leaves in a step is shared out by hazard, so that all causes and the free sum to 1.
    share = np.divide(hazards[cause], total, out=np.zeros_like(total), where=total > 0)
    reached = np.cumsum(share * (before - free), axis=1)
    place = np.searchsorted(steps, np.asarray(times, dtype=np.float64), side="right")
    return np.hstack([np.zeros((len(reached), 1)), reached])[:, place]
