"""Early disease of a vertebra: its probability from what the marrow shows, what has changed, and what else is known.

Each modality, the signs of one study, their change since earlier ones, facts beside the images, is judged by a
logistic model and by boosted trees of its own; their scores out of fold are joined by another logistic model. What is
missing, a sequence, a visit, a whole modality, adds nothing. Modalities add up on the scale of log odds, so that what
each one says is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.ensemble import deal
from spondyl.risk.tree_table import TreeTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Ridge penalties tried, per row and squared standard deviation. Chosen by us: from little to much."""

FARTHEST = 6.0
"""Robust standard deviations at which a sign counts no further. Chosen by us: one voxel must not decide."""

LEARNING_RATE, MOST_LEAVES, LEAST_OF_A_LEAF = 0.05, 8, 40
"""Part of each tree that is kept, most leaves of one, and fewest vertebrae of a leaf. Chosen by us."""

LEAST_POSITIVES = 20
"""Vertebrae with and without disease below which nothing is fitted. Chosen by us."""


class EarlyDisease(ClassifierMixin, BaseEstimator):
    """Probability of disease below the threshold of detection, by late fusion of modalities that may be missing.

    Parameters
    ----------
    modalities : mapping of str to sequence of int
        Columns of each modality.
    n_trees : int
        Trees of each modality.
    n_folds : int
        Folds, by patient, in which modalities are judged before they are joined.
    coverage : float
        Share of vertebrae, of those with disease and of those without, whose prediction set holds the truth.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray of int
        0 and 1.
    center_, scale_ : ndarray of float, shape (n_features,)
        Median and robust standard deviation of each column.
    weights_ : ndarray of float, shape (2, n_features)
        What one robust standard deviation adds to the log odds, as it is and without its sign.
    trees_ : dict of str to TreeTable
        Of each modality.
    shares_, offsets_, absent_ : dict of str to float
        Of each modality: how much its trees count, what is added where it is there, and where it is missing.
    intercept_ : float
        What is added to everything.
    limits_ : tuple of float
        Probability from which disease cannot be ruled out, and up to which health cannot.
    out_of_fold_ : ndarray of float, shape (n,)
        Log odds of each training row by fits that have not seen the patient.

    References
    ----------
    Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1 (stacking); Vovk 2005, doi 10.1007/b106715 (conformal sets of each
    class).
    """

    def __init__(
        self,
        modalities: Mapping[str, Sequence[int]],
        *,
        n_trees: int = 150,
        n_folds: int = 5,
        coverage: float = 0.9,
        random_state: int = 0,
    ) -> None:
        self.modalities = modalities
        self.n_trees = n_trees
        self.n_folds = n_folds
        self.coverage = coverage
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None) -> EarlyDisease:  # noqa: N803
        """Fit every modality, out of fold and to all, and what joins them.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : array_like of bool, shape (n,)
            Whether the vertebra is diseased.
        groups : array_like, shape (n,), optional
            Patients: their vertebrae and visits stay in one fold.

        Returns
        -------
        EarlyDisease
            Itself.

        Raises
        ------
        InputError
            If rows do not match, or too few are of one class.
        """
        x, sick = _checked(X, y)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = x.shape[1]
        self.center_, self.scale_ = _spread(x)
        self.low_, self.high_ = (np.nan_to_num(f(np.where(np.isfinite(x), x, np.nan))) for f in (_lowest, _highest))
        terms = self._terms(x)
        fold = deal(sick, self.n_folds, groups=groups, seed=self.random_state)
        names = list(self.modalities)
        scores = np.zeros((len(x), len(names), 2))
        lines, self.trees_ = {}, {}
        for place, name in enumerate(names):
            columns, own, there = self._columns(name), list(self.modalities[name]), self._there(x, name)
            penalty = _penalty(terms[there][:, columns], sick[there], fold[there])
            for number in range(self.n_folds):
                seen, unseen = there & (fold != number), there & (fold == number)
                coefficients, constant = _logistic(terms[seen][:, columns], sick[seen], penalty)
                scores[unseen, place, 0] = terms[unseen][:, columns] @ coefficients + constant
                scores[unseen, place, 1] = self._grown(x[seen][:, own], sick[seen]).predict(x[unseen][:, own])
            lines[name] = _logistic(terms[there][:, columns], sick[there], penalty)
            self.trees_[name] = self._grown(x[there][:, own], sick[there])
        absent = np.stack([~self._there(x, name) for name in names], axis=1)
        told = np.hstack([scores[:, :, 0], scores[:, :, 1], absent])
        joint, base = _logistic(told, sick, PENALTIES[0])
        self.out_of_fold_ = told @ joint + base
        self.weights_, self.intercept_ = np.zeros((2, x.shape[1])), base
        line, tree, gone = joint.reshape(3, len(names))
        self.shares_, self.absent_ = (dict(zip(names, v.tolist(), strict=True)) for v in (tree, gone))
        self.offsets_ = {name: float(line[place] * lines[name][1]) for place, name in enumerate(names)}
        for place, name in enumerate(names):
            self.weights_ += line[place] * self._spread_out(name, lines[name][0])
        self.limits_ = _limits(expit(self.out_of_fold_), sick, self.coverage)
        return self

    def _grown(self, x: Floats, sick: Bools) -> TreeTable:
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=self.n_trees,
            learning_rate=LEARNING_RATE,
            max_leaf_nodes=MOST_LEAVES,
            min_samples_leaf=LEAST_OF_A_LEAF,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self.random_state,
        )
        return TreeTable.of(model.fit(x, sick))

    def _columns(self, name: str) -> list[int]:
        own = list(self.modalities[name])
        return [*own, *(i + self.n_features_in_ for i in own)]

    def _spread_out(self, name: str, coefficients: Floats) -> Floats:
        both = np.zeros(2 * self.n_features_in_)
        both[self._columns(name)] = coefficients
        return both.reshape(2, -1)

    def _there(self, x: Floats, name: str) -> Bools:
        return np.asarray(np.isfinite(x[:, list(self.modalities[name])]).any(axis=1))

    def _terms(self, x: Floats) -> Floats:
        z = np.clip((x - self.center_) / self.scale_, -FARTHEST, FARTHEST)
        z = np.where(np.isfinite(z), z, 0.0)
        return np.hstack([z, np.abs(z)])

    def contributions(self, X: ArrayLike) -> dict[str, Floats]:  # noqa: N803 - scikit-learn's name
        """Give what each modality adds to the log odds.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        dict of str to ndarray of float, shape (m,)
            What each modality adds to the log odds, and ``""`` for what is always added; they sum to
            `decision_function`.
        """
        check_is_fitted(self, "weights_")
        x = self._known(X)
        terms = (self._terms(x).reshape(len(x), 2, -1) * self.weights_).sum(axis=1)
        found = {"": np.full(len(x), self.intercept_)}
        for name, columns in self.modalities.items():
            own = list(columns)
            said = terms[:, own].sum(axis=1) + self.offsets_[name]
            said += self.shares_[name] * self.trees_[name].predict(x[:, own])
            found[name] = np.where(self._there(x, name), said, self.absent_[name])
        return found

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give log odds.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is more likely diseased.
        """
        return np.sum(list(self.contributions(X).values()), axis=0)

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the probability of both classes.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m, 2)
            Without and with disease.
        """
        p = expit(self.decision_function(X))
        return np.stack([1 - p, p], axis=1)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:  # noqa: N803
        """Say which class is more likely.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of int, shape (m,)
            0 or 1.
        """
        return (self.decision_function(X) > 0).astype(np.intp)

    def prediction_sets(self, X: ArrayLike) -> Bools:  # noqa: N803
        """Say which classes cannot be ruled out.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of bool, shape (m, 2)
            Whether health and disease are possible: a share `coverage` of the healthy and of the diseased keep their
            class, on average over vertebrae like those learned from. Both or neither: it cannot be told.
        """
        p = expit(self.decision_function(X))
        return np.stack([p <= self.limits_[1], p >= self.limits_[0]], axis=1)

    def _known(self, X: ArrayLike) -> Floats:  # noqa: N803
        x = np.asarray(X, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.n_features_in_:
            msg = f"{self.n_features_in_} features were learned from, got an array of shape {x.shape}"
            raise InputError(msg)
        return x


def _checked(X: ArrayLike, y: ArrayLike) -> tuple[Floats, Bools]:  # noqa: N803
    x, raw = np.asarray(X, dtype=np.float64), np.asarray(y)
    if x.ndim != 2 or raw.shape != (len(x),):
        msg = f"features and truth must be of the same vertebrae, got shapes {x.shape} and {raw.shape}"
        raise InputError(msg)
    if not np.isin(raw, (0, 1)).all():
        msg = "truth must be 0 (no disease) or 1 (disease) for every vertebra; leave others out"
        raise InputError(msg)
    sick: Bools = raw.astype(bool)
    few = min(int(sick.sum()), int((~sick).sum()))
    if few < LEAST_POSITIVES:
        msg = f"at least {LEAST_POSITIVES} vertebrae with and without disease are wanted, got {few} of one kind"
        raise InputError(msg)
    return x, sick


def _spread(x: Floats) -> tuple[Floats, Floats]:
    known = np.where(np.isfinite(x), x, np.nan)
    known[:, ~np.isfinite(known).any(axis=0)] = 0.0
    low, middle, high = np.nanquantile(known, (0.16, 0.5, 0.84), axis=0)
    scale = (high - low) / 2
    wide = np.nanstd(known, axis=0)
    # A rare yes has no quantiles; what never varies says nothing.
    return middle, np.where(scale > 1e-9, scale, np.where(wide > 1e-9, wide, np.inf))


def _lowest(x: Floats) -> Floats:
    low: Floats = np.min(x, axis=0, initial=np.inf, where=np.isfinite(x))
    return np.where(np.isfinite(low), low, np.nan)


def _highest(x: Floats) -> Floats:
    high: Floats = np.max(x, axis=0, initial=-np.inf, where=np.isfinite(x))
    return np.where(np.isfinite(high), high, np.nan)


def _logistic(terms: Floats, sick: Bools, penalty: float) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (penalty * len(terms)), max_iter=2000).fit(terms, sick)
    return model.coef_[0], float(model.intercept_[0])


def _penalty(terms: Floats, sick: Bools, fold: NDArray[Any]) -> float:
    """The penalty that foretells patients best that it has not seen."""
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for number in np.unique(fold):
            seen, unseen = fold != number, fold == number
            coefficients, intercept = _logistic(terms[seen], sick[seen], penalty)
            score = terms[unseen] @ coefficients + intercept
            loss += float(np.logaddexp(0, np.where(sick[unseen], -score, score)).sum())
        losses.append(loss)
    return PENALTIES[int(np.argmin(losses))]


def _limits(p: Floats, sick: Bools, coverage: float) -> tuple[float, float]:
    """Conformal limits of each class: one more vertebra than was seen is counted."""
    with_disease, without = np.sort(p[sick]), np.sort(p[~sick])
    k = int(np.floor((1 - coverage) * (len(with_disease) + 1)))
    low = float(with_disease[k - 1]) if k >= 1 else 0.0
    k = int(np.ceil(coverage * (len(without) + 1)))
    high = float(without[k - 1]) if k <= len(without) else 1.0
    return low, high
