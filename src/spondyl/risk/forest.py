"""A forest of survival trees that split by log-rank scores, on scikit-learn's trees.

A patient's log-rank score is the event seen less the cumulative hazard lived through: what happened beyond what was
expected. Trees that part these scores are ordinary regression trees. What a leaf predicts assumes nothing further:
patients of the leaves that a new patient falls into give, weighed, a Nelson-Aalen curve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.risk.outcome import cumulative_hazard, step, time_grid
from spondyl.risk.trees import TreeSurvival

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Tables = tuple[NDArray[np.float32], NDArray[np.float32]]

N_TIMES = 96
"""Times at which curves may step, equally many events between them. Chosen by us."""

LEAST_HAZARD = 1e-6
"""Mean cumulative hazard below which risks are no longer told apart. Chosen by us."""

MOST_DRAWN = 4000
"""Patients drawn for one tree, so that large cohorts cost no more memory. Chosen by us."""

LOW_RISK = 1e-12
"""Weight at risk below which a curve no longer steps."""


class SurvivalForest(TreeSurvival):
    """Many survival trees.

    Parameters
    ----------
    n_trees : int
        Trees.
    random_splits : bool
        Whether trees see every patient and split at random places (extremely randomized trees), instead of resampled
        patients at the best places (random forest).
    min_leaf : int
        Fewest patients of a leaf.
    max_features : float
        Share of the features looked at for each split.
    random_state : int
        Seed.
    n_jobs : int
        Cores.

    Attributes
    ----------
    times_ : ndarray of float, shape (n_times,)
        Times at which curves step.

    References
    ----------
    Hothorn & Lausen 2003, doi 10.1016/S0167-9473(02)00225-6 (log-rank scores); Therneau 1990, doi
    10.1093/biomet/77.1.147 (the same as martingale residuals, for trees); Ishwaran 2008, doi 10.1214/08-AOAS169 (random
    survival forests); Hothorn 2004, doi 10.1002/sim.1593 (pooling leaves before the curve is estimated);
    Geurts 2006, doi 10.1007/s10994-006-6226-1 (extremely randomized trees).
    """

    def __init__(
        self,
        n_trees: int = 100,
        *,
        random_splits: bool = False,
        min_leaf: int = 5,
        max_features: float = 0.5,
        random_state: int = 0,
        n_jobs: int = 2,
    ) -> None:
        self.n_trees = n_trees
        self.random_splits = random_splits
        self.min_leaf = min_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _grow(self, x: Floats, time: Floats, event: NDArray[np.bool_]) -> None:
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        resampled = not self.random_splits or len(x) > MOST_DRAWN
        self.trees_ = (ExtraTreesRegressor if self.random_splits else RandomForestRegressor)(
            self.n_trees,
            min_samples_leaf=self.min_leaf,
            max_features=self.max_features,
            bootstrap=resampled,
            max_samples=min(len(x), MOST_DRAWN) if resampled else None,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        ).fit(x, event - step(*cumulative_hazard(time, event), time))
        self.times_ = time_grid(time, event, N_TIMES)
        counts = self._counts(time, event)
        leaf = self.trees_.apply(x)
        everyone = np.arange(len(x))
        drawn = self.trees_.estimators_samples_ if resampled else [everyone] * self.n_trees
        self.leaves_ = [
            _leaf_tables(leaf[:, tree], np.bincount(drawn[tree], minlength=len(x)), counts)
            for tree in range(self.n_trees)
        ]

    def _counts(self, time: Floats, event: NDArray[np.bool_]) -> Tables:
        """Of each patient: events in each interval, and how long of it, in hazard of all, at risk."""
        times, hazard = cumulative_hazard(time, event)
        edges = np.concatenate([[0.0], step(times, hazard, self.times_)])
        lived = step(times, hazard, time)[:, None]
        at_risk = np.clip(lived - edges[:-1], 0, np.diff(edges)) / np.diff(edges)
        place = np.minimum(np.searchsorted(self.times_, time, side="left"), len(self.times_) - 1)
        events = np.zeros(at_risk.shape, np.float32)
        events[np.flatnonzero(event), place[event]] = 1
        at_risk[np.flatnonzero(event), place[event]] = 1  # where in the interval it happened says nothing
        return events, at_risk.astype(np.float32)

    def _steps(self, x: Floats) -> Floats:
        """Hazard of each row in each interval: of the patients of its leaves, weighed."""
        leaf = self.trees_.apply(x)
        total = np.zeros((2, len(leaf), len(self.times_)), np.float32)
        for tree, (number, *tables) in enumerate(self.leaves_):
            own = number[leaf[:, tree]]
            for side, table in enumerate(tables):
                total[side] += table[own]
        events, at_risk = total.astype(np.float64)
        return np.where(at_risk > LOW_RISK, events / np.maximum(at_risk, LOW_RISK), 0.0)

    def _log_risk(self, x: Floats) -> Floats:
        # The mean over the times weighs each by its events (Ishwaran's mortality).
        return np.log(np.maximum(np.cumsum(self._steps(x), axis=1).mean(axis=1), LEAST_HAZARD))

    def _cumulative_hazard(self, x: Floats, times: Floats) -> Floats:
        hazard = np.cumsum(self._steps(x), axis=1)
        place = np.searchsorted(self.times_, times, side="right")
        return np.concatenate([np.zeros((len(hazard), 1)), hazard], axis=1)[:, place]


def _leaf_tables(
    leaf: NDArray[Any], times_drawn: NDArray[Any], counts: Tables
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Number of each leaf by node; events and patients at risk of each leaf, as shares of its patients."""
    from scipy.sparse import csr_array

    nodes, own = np.unique(leaf, return_inverse=True)
    number = np.zeros(int(nodes[-1]) + 1, np.int32)
    number[nodes] = np.arange(len(nodes))
    size = np.maximum(np.bincount(own, weights=times_drawn), 1)
    share = (times_drawn / size[own]).astype(np.float32)
    chosen = csr_array((share, (own, np.arange(len(leaf)))), shape=(len(nodes), len(leaf)))
    return number, np.asarray(chosen @ counts[0], np.float32), np.asarray(chosen @ counts[1], np.float32)
