"""The model fitted by default: several kinds of survival models, weighed by what each foretells out of fold.

No kind is best everywhere: Cox's model where risks add up, curves where they bend, boosting and forests where they
interact, deep trees where patients resemble each other closely. Which one a cohort needs is asked of the cohort:
every patient is predicted by fits that have not seen the patient, and weights are learned from those predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.boosting import SurvivalBoosting
from spondyl.risk.cox import PenalizedCox, RiskSets, maximize
from spondyl.risk.design import Design
from spondyl.risk.forest import SurvivalForest
from spondyl.risk.neural import NeuralHazards
from spondyl.risk.outcome import LEAST_EVENTS, checked, cumulative_hazard
from spondyl.risk.proportional import HIGHEST_LOG_RISK, ProportionalHazards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.intp]

SHRINK = 0.0003
"""Penalty of squared differences between weights, per pair. Chosen by us: where models foretell alike they share."""

MOST_PAIRS = 60_000
"""Pairs of patients from which weights are learned. Chosen by us."""

SLOPE_PENALTY = 1e-3
"""Penalty per event of the squared slope of a standardized score. Chosen by us; it only keeps the slope finite."""


def standard_learners(random_state: int = 0) -> list[tuple[str, Any]]:
    """Give the kinds of models that are weighed.

    Parameters
    ----------
    random_state : int, optional
        Seed.

    Returns
    -------
    list of (str, estimator)
        Name and estimator of each, not fitted.
    """
    return [
        ("Cox, ridge", make_pipeline(Design(), PenalizedCox(random_state=random_state))),
        ("Cox, ridge, curves", make_pipeline(Design(curved=True), PenalizedCox(random_state=random_state))),
        ("random forest", SurvivalForest(min_leaf=15, random_state=random_state)),
        ("random splits", SurvivalForest(random_splits=True, min_leaf=5, random_state=random_state)),
        ("random splits, deep", SurvivalForest(random_splits=True, min_leaf=1, random_state=random_state)),
        ("boosting", SurvivalBoosting(random_state=random_state)),
        ("neural hazards", make_pipeline(Design(), NeuralHazards(random_state=random_state))),
    ]


class SurvivalEnsemble(ProportionalHazards):
    """Survival models weighed by their predictions out of fold.

    Parameters
    ----------
    learners : list of (str, estimator), optional
        Models with `fit(X, y)` and `predict(X)`, a log risk; `standard_learners` where left out.
    n_folds : int
        Folds, fewer where there are few events.
    shrink : float
        Penalty that draws weights together.
    random_state : int
        Seed.

    Attributes
    ----------
    learners_ : list of (str, estimator)
        Fitted to all patients.
    weights_ : ndarray of float, shape (n_learners,)
        Weight of each standardized log risk, 0 or above; their sum is a log relative risk.
    evidence_ : ndarray of float, shape (n_learners,)
        Log partial likelihood that each gains out of fold when used alone, per event.
    out_of_fold_ : ndarray of float, shape (n,)
        Log relative risk of each training patient by fits that have not seen the patient.
    times_, hazard_ : ndarray of float, shape (n_steps,)
        Baseline cumulative hazard, from predictions out of fold, so that it is not too sure of itself.

    References
    ----------
    van der Laan 2007, doi 10.2202/1544-6115.1309 (weights from cross-validation); Golmakani & Polley 2020, doi
    10.1515/ijb-2019-0065 (the same for survival); Herbrich 2000, Large margin rank boundaries for ordinal
    regression, in Advances in large margin classifiers, MIT Press (learning from pairs).
    """

    def __init__(
        self,
        learners: Sequence[tuple[str, Any]] | None = None,
        *,
        n_folds: int = 5,
        shrink: float = SHRINK,
        random_state: int = 0,
    ) -> None:
        self.learners = learners
        self.n_folds = n_folds
        self.shrink = shrink
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any, *, groups: ArrayLike | None = None) -> SurvivalEnsemble:  # noqa: N803
        """Fit every model, out of fold and to all, and learn the weights.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : ndarray, shape (n,)
            As `follow_up` gives it.
        groups : array_like, shape (n,), optional
            Who they are: rows of one patient stay in one fold.

        Returns
        -------
        SurvivalEnsemble
            Itself.

        Raises
        ------
        InputError
            If rows do not match or events are too few.
        """
        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        n_folds = min(self.n_folds, int(event.sum()) // LEAST_EVENTS)
        if n_folds < 2:
            msg = f"at least {2 * LEAST_EVENTS} events are wanted for cross-validation, got {int(event.sum())}"
            raise InputError(msg)
        given = list(self.learners or standard_learners(self.random_state))
        fold = deal(event, n_folds, groups=groups, seed=self.random_state)
        scores = np.zeros((len(x), len(given)))
        for number in range(n_folds):
            seen, unseen = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            for column, (_, learner) in enumerate(given):
                scores[unseen, column] = clone(learner).fit(x[seen], y[seen]).predict(x[unseen])
        self.learners_ = [(name, clone(learner).fit(x, y)) for name, learner in given]
        self.center_, spread = scores.mean(axis=0), scores.std(axis=0)
        self.scale_ = np.where(spread > 1e-9, spread, np.inf)  # a model that says the same of all has no say
        z = (scores - self.center_) / self.scale_
        self.weights_ = _weigh(z, time, event, shrink=self.shrink, seed=self.random_state)
        self.evidence_ = np.array([_slope(column, RiskSets(time, event))[1] for column in z.T])
        self.out_of_fold_ = np.clip(z @ self.weights_, -HIGHEST_LOG_RISK, HIGHEST_LOG_RISK)
        self.times_, self.hazard_ = cumulative_hazard(time, event, np.exp(self.out_of_fold_))
        return self

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803 - scikit-learn's name
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
        check_is_fitted(self, "weights_")
        x = np.asarray(X, dtype=np.float64)
        score = np.zeros(len(x))
        for number, (_, learner) in enumerate(self.learners_):
            if self.weights_[number] > 0:
                score += self.weights_[number] * (learner.predict(x) - self.center_[number]) / self.scale_[number]
        return np.clip(score, -HIGHEST_LOG_RISK, HIGHEST_LOG_RISK)


def deal(event: NDArray[np.bool_], n_folds: int, *, groups: ArrayLike | None = None, seed: int = 0) -> Rows:
    """Deal patients into folds, those with and without the event apart.

    Parameters
    ----------
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    n_folds : int
        Folds.
    groups : array_like, shape (n,), optional
        Who they are; rows of one patient stay together.
    seed : int, optional
        Seed of the draw.

    Returns
    -------
    ndarray of int, shape (n,)
        Fold of each row, from 0.
    """
    who = np.arange(len(event)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    had = np.bincount(who, weights=event) > 0
    order = np.random.default_rng(seed).permutation(len(had))
    order = order[np.argsort(had[order], kind="stable")]
    fold = np.empty(len(had), np.intp)
    fold[order] = np.arange(len(had)) % n_folds
    return fold[who]


def _weigh(z: Floats, time: Floats, event: NDArray[np.bool_], *, shrink: float, seed: int) -> Floats:
    """Weights of 0 or above by which standardized scores best tell who has the event first, scaled to log risks."""
    first, later = _pairs(time, event, seed)
    apart = z[first] - z[later]

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = apart @ weights
        wrong = expit(-margin)
        uneven = weights - weights.mean()
        value = np.logaddexp(0, -margin).mean() + shrink * float(uneven @ uneven) / 2
        return float(value), -(wrong @ apart) / len(apart) + shrink * uneven

    begin = np.full(z.shape[1], 0.5 / z.shape[1])
    bounds = [(0.0, None)] * z.shape[1]
    weights = minimize(loss, begin, jac=True, bounds=bounds, method="L-BFGS-B").x
    weights = np.where(weights > 1e-6, weights, 0.0)
    return weights * _slope(z @ weights, RiskSets(time, event))[0]


def _pairs(time: Floats, event: NDArray[np.bool_], seed: int) -> tuple[Rows, Rows]:
    """Pairs of a patient with the event and one known to be free of it for longer; some of them where there are many.

    Raises
    ------
    InputError
        If there is no such pair.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(time, kind="stable")
    n_later = len(time) - np.searchsorted(time[order], time, side="right")
    first = np.flatnonzero(event & (n_later > 0))
    if not len(first):
        msg = "no two patients can be compared: every event comes after all others left; follow up longer"
        raise InputError(msg)
    drawn = rng.choice(first, MOST_PAIRS, p=n_later[first] / n_later[first].sum())
    return drawn, order[len(time) - 1 - (rng.random(MOST_PAIRS) * n_later[drawn]).astype(np.intp)]


def _slope(score: Floats, sets: RiskSets) -> tuple[float, float]:
    """By what a score must be stretched to be a log relative risk, and what it foretells per event."""
    start = sets.log_likelihood(np.zeros(len(score)))
    if score.std() < 1e-9:
        return 0.0, 0.0
    beta, _ = maximize(score[:, None], sets, np.full(1, SLOPE_PENALTY * len(sets.rows) * float(score.var())))
    slope = max(float(beta[0]), 0.0)
    return slope, (sets.log_likelihood(slope * score) - start) / len(sets.rows)
