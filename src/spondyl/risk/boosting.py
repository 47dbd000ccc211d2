"""Gradient boosting of relative risks on scikit-learn's histogram trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from spondyl.risk.outcome import checked, cumulative_hazard, step

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LEAST_HAZARD = 1e-6
"""Cumulative hazard that a patient who left before the first event counts with. Chosen by us."""

ROUNDS = 3
"""Times the baseline is estimated again from the risks found so far. Chosen by us; it changes little after two."""


class SurvivalBoosting(BaseEstimator):
    """Boosted trees for proportional hazards.

    With the baseline given, the full likelihood is that of a Poisson rate: events over baseline hazard lived through.

    Parameters
    ----------
    n_trees : int
        Trees.
    learning_rate : float
        Part of each tree that is kept.
    max_leaves, min_leaf : int
        Most leaves of a tree, and fewest patients of a leaf.
    random_state : int
        Seed.

    Attributes
    ----------
    times_, hazard_ : ndarray of float, shape (n_steps,)
        Baseline cumulative hazard.

    References
    ----------
    Ridgeway 1999, Computing Science and Statistics 31:172 (boosted proportional hazards); Whitehead 1980, doi
    10.2307/2346901 (Cox's model by Poisson rates).
    """

    def __init__(
        self,
        n_trees: int = 120,
        *,
        learning_rate: float = 0.05,
        max_leaves: int = 6,
        min_leaf: int = 20,
        random_state: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_leaves = max_leaves
        self.min_leaf = min_leaf
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any) -> SurvivalBoosting:  # noqa: N803 - scikit-learn's name
        """Grow the trees.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : ndarray, shape (n,)
            As `follow_up` gives it.

        Returns
        -------
        SurvivalBoosting
            Itself.

        Raises
        ------
        InputError
            If rows do not match or events are too few.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        risk = np.ones(len(x))
        for _ in range(ROUNDS):
            self.times_, self.hazard_ = cumulative_hazard(time, event, risk)
            exposure = np.maximum(step(self.times_, self.hazard_, time), LEAST_HAZARD)
            self.trees_ = HistGradientBoostingRegressor(
                loss="poisson",
                max_iter=self.n_trees,
                learning_rate=self.learning_rate,
                max_leaf_nodes=self.max_leaves,
                min_samples_leaf=self.min_leaf,
                early_stopping=False,
                random_state=self.random_state,
            ).fit(x, event / exposure, sample_weight=exposure)
            risk = self.trees_.predict(x)
        self.times_, self.hazard_ = cumulative_hazard(time, event, risk)
        return self

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the logarithm of each patient's relative risk.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """
        check_is_fitted(self, "trees_")
        return np.log(np.maximum(self.trees_.predict(np.asarray(X, dtype=np.float64)), 1e-12))

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
        """
        hazard = step(self.times_, self.hazard_, times)
        return np.exp(-np.exp(np.clip(self.predict(X), -50, 50))[:, None] * hazard)
