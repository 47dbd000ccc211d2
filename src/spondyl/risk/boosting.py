"""Gradient boosting of relative risks on scikit-learn's histogram trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.risk.outcome import cumulative_hazard, step
from spondyl.risk.trees import TreeSurvival

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_HAZARD = 1e-6
"""Cumulative hazard that a patient who left before the first event counts with. Chosen by us."""

ROUNDS = 3
"""Times the baseline is estimated again from the risks found so far. Chosen by us; it changes little after two."""


class SurvivalBoosting(TreeSurvival):
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

    def _grow(self, x: Floats, time: Floats, event: NDArray[np.bool_]) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        risk = np.ones(len(x))
        for _ in range(ROUNDS):
            exposure = np.maximum(step(*cumulative_hazard(time, event, risk), time), LEAST_HAZARD)
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

    def _log_risk(self, x: Floats) -> Floats:
        return np.log(np.maximum(self.trees_.predict(x), 1e-12))

    def _cumulative_hazard(self, x: Floats, times: Floats) -> Floats:
        return np.exp(np.clip(self._log_risk(x), -50, 50))[:, None] * step(self.times_, self.hazard_, times)
