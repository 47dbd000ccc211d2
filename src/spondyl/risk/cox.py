"""Cox's model with a ridge penalty: the yardstick, the glue of the ensemble, and what small models are shipped as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.outcome import checked, cumulative_hazard
from spondyl.risk.proportional import ProportionalHazards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

PENALTIES = (0.0003, 0.003, 0.03, 0.3, 3.0)
"""Ridge penalties tried, per event and squared standard deviation. Chosen by us: from almost none to almost all."""

MAX_STEPS, TOLERANCE = 40, 1e-9
"""Newton steps, and the relative gain of the likelihood below which they end. Chosen by us."""

LOWEST_SCORE = -200.0
"""Log relative risk below the highest at which patients are held, so that no sum becomes 0."""

WIDEST_SCORE = 60.0
"""Difference of log relative risks between two patients that no cohort supports: events are ordered perfectly then."""

SMALLEST_STEP = 1e-4
"""Part of a Newton step below which halving ends. Chosen by us."""


class RiskSets:
    """What the partial likelihood needs of times and events, prepared once for many coefficients.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    """

    def __init__(self, time: Floats, event: Bools) -> None:
        self.order = np.argsort(time, kind="stable")
        t, self.event = time[self.order], event[self.order]
        self.rows = np.flatnonzero(self.event)
        times, self.group, size = np.unique(t[self.rows], return_inverse=True, return_counts=True)
        self.n_groups = len(times)
        self.first = np.searchsorted(t, times, side="left")[self.group]
        started = np.concatenate([[0], np.cumsum(size)])[self.group]
        # Efron: the k-th of m tied events leaves (m - k) / m of them in the risk set; k counts from 0.
        self.share = (np.arange(len(self.rows)) - started) / size[self.group]

    def log_likelihood(self, score: Floats) -> float:
        """Give the log partial likelihood.

        Parameters
        ----------
        score : ndarray of float, shape (n,)
            Logarithm of each patient's relative risk.

        Returns
        -------
        float
            With Efron's handling of ties.

        References
        ----------
        Efron 1977, doi 10.1080/01621459.1977.10480613.
        """
        s = score[self.order]
        top = float(s.max())
        total, _ = self._totals(np.exp(np.maximum(s - top, LOWEST_SCORE)), None)
        return float((s[self.rows] - top - np.log(total)).sum())

    def derivatives(self, x: Floats, beta: Floats) -> tuple[float, Floats, Floats]:
        """Give the log partial likelihood with its gradient and information.

        Parameters
        ----------
        x : ndarray of float, shape (n, p)
            Terms.
        beta : ndarray of float, shape (p,)
            Coefficients.

        Returns
        -------
        value : float
            The log partial likelihood.
        gradient : ndarray of float, shape (p,)
            Its gradient.
        information : ndarray of float, shape (p, p)
            Less its second derivatives.
        """
        z = x[self.order]
        s = z @ beta
        top = float(s.max())
        w = np.exp(np.maximum(s - top, LOWEST_SCORE))
        total, mean = self._totals(w, z)
        value = float((s[self.rows] - top - np.log(total)).sum())
        gradient = (z[self.rows] - mean).sum(axis=0)
        # The sum over events of second moments, rearranged to one weight a patient, so that it is a single product.
        seen = np.cumsum(np.bincount(self.first, weights=1 / total, minlength=len(w)))
        tied = np.bincount(self.group, weights=self.share / total, minlength=self.n_groups)
        seen[self.rows] -= tied[self.group]
        information = z.T @ (z * (w * seen)[:, None]) - mean.T @ mean
        return value, gradient, information

    def _totals(self, w: Floats, z: Floats | None) -> tuple[Floats, Floats]:
        total = np.cumsum(w[::-1])[::-1][self.first]
        tied = np.bincount(self.group, weights=w[self.rows], minlength=self.n_groups)[self.group]
        total = total - self.share * tied
        if z is None:
            return total, total
        weighed = z * w[:, None]
        sums = np.cumsum(weighed[::-1], axis=0)[::-1][self.first]
        ties = np.zeros((self.n_groups, z.shape[1]))
        np.add.at(ties, self.group, weighed[self.rows])
        return total, (sums - self.share[:, None] * ties[self.group]) / total[:, None]


def maximize(x: Floats, sets: RiskSets, ridge: Floats, start: Floats | None = None) -> tuple[Floats, Floats]:
    """Maximize the penalized partial likelihood.

    Parameters
    ----------
    x : ndarray of float, shape (n, p)
        Terms.
    sets : RiskSets
        Of the same patients.
    ridge : ndarray of float, shape (p,)
        Penalty of each squared coefficient, halved.
    start : ndarray of float, shape (p,), optional
        Where to begin; 0 where left out.

    Returns
    -------
    beta : ndarray of float, shape (p,)
        Coefficients.
    information : ndarray of float, shape (p, p)
        Of the penalized likelihood.

    Raises
    ------
    InputError
        If the maximum does not exist: without a penalty, a term may order the events perfectly.
    """
    beta = np.zeros(x.shape[1]) if start is None else start.copy()
    value, gradient, information = sets.derivatives(x, beta)
    penalty = np.diag(ridge)
    for _ in range(MAX_STEPS):
        slope = gradient - ridge * beta
        move = np.linalg.lstsq(information + penalty, slope, rcond=1e-12)[0]
        goal, part = value - 0.5 * float(ridge @ beta**2), 1.0
        while part > SMALLEST_STEP:
            new = beta + part * move
            reached = sets.log_likelihood(x @ new) - 0.5 * float(ridge @ new**2)
            if reached >= goal - 1e-12 * abs(goal):
                break
            part /= 2
        else:
            return beta, information + penalty
        beta = new
        value, gradient, information = sets.derivatives(x, beta)
        if not ridge.any() and np.ptp(x @ beta) > WIDEST_SCORE:
            break
        if reached - goal < TOLERANCE * (abs(goal) + 1):
            return beta, information + penalty
    msg = "Cox's model has no maximum here: a feature orders the events perfectly; use a penalty above 0"
    raise InputError(msg)


class PenalizedCox(ProportionalHazards):
    """Cox's proportional hazards with a ridge penalty, given or chosen by cross-validation.

    Parameters
    ----------
    penalty : float or sequence of float
        Penalty per event of squared coefficients of standardized features; of several, the one with the best
        cross-validated partial likelihood is taken. 0 gives Cox's own estimate.
    n_folds : int
        Folds in which a penalty is chosen.
    random_state : int
        Seed of the folds.

    Attributes
    ----------
    coefficients_ : ndarray of float, shape (p,)
        Log hazard ratio per unit of each feature.
    covariance_ : ndarray of float, shape (p, p)
        Of the coefficients.
    penalty_ : float
        The one used.
    times_, hazard_ : ndarray of float, shape (n_steps,)
        Baseline: cumulative hazard at the mean of all features.
    log_likelihood_ : float
        Log partial likelihood.

    References
    ----------
    Cox 1972, doi 10.1111/j.2517-6161.1972.tb00899.x; Verweij & van Houwelingen 1993, doi 10.1002/sim.4780122407
    (the choice of a penalty) and 1994, doi 10.1002/sim.4780132307 (ridge).
    """

    def __init__(
        self, penalty: float | Sequence[float] = PENALTIES, *, n_folds: int = 5, random_state: int = 0
    ) -> None:
        self.penalty = penalty
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any) -> PenalizedCox:  # noqa: N803 - scikit-learn's name
        """Estimate the coefficients.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features without missing values.
        y : ndarray, shape (n,)
            As `follow_up` gives it.

        Returns
        -------
        PenalizedCox
            Itself.

        Raises
        ------
        InputError
            If rows do not match, events are too few, or no maximum exists.
        """
        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        self.mean_, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 1e-12, spread, 1.0)
        # More features than patients: a ridge only sees the space the patients span, so the fit is done in it.
        z, back = _narrow((x - self.mean_) / scale)
        penalties = np.atleast_1d(np.asarray(self.penalty, dtype=np.float64))
        self.penalty_ = float(penalties[0]) if len(penalties) == 1 else self._choose(z, time, event, penalties)
        sets = RiskSets(time, event)
        beta, information = maximize(z, sets, np.full(z.shape[1], self.penalty_ * event.sum()))
        self.log_likelihood_ = sets.log_likelihood(z @ beta)
        self.coefficients_ = (back @ beta) / scale
        inverse = np.linalg.pinv(information, hermitian=True)
        self.covariance_ = (back @ inverse @ back.T) / np.outer(scale, scale)
        self.times_, self.hazard_ = cumulative_hazard(time, event, np.exp(z @ beta))
        return self

    def _choose(self, z: Floats, time: Floats, event: Bools, penalties: Floats) -> float:
        rng = np.random.default_rng(self.random_state)
        # Dealt by events and others apart, so that every fold has some.
        rank = rng.permutation(len(time))
        order = rank[np.argsort(event[rank], kind="stable")]
        fold = np.empty(len(time), np.intp)
        fold[order] = np.arange(len(time)) % self.n_folds
        whole = RiskSets(time, event)
        score = np.zeros(len(penalties))
        for number in range(self.n_folds):
            kept = fold != number
            part = RiskSets(time[kept], event[kept])
            beta = np.zeros(z.shape[1])
            for i in np.argsort(-penalties):
                beta, _ = maximize(z[kept], part, np.full(z.shape[1], penalties[i] * event[kept].sum()), beta)
                score[i] += whole.log_likelihood(z @ beta) - part.log_likelihood(z[kept] @ beta)
        return float(penalties[int(score.argmax())])

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Give the logarithm of each patient's hazard relative to the mean patient's.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """
        check_is_fitted(self, "coefficients_")
        return (np.asarray(X, dtype=np.float64) - self.mean_) @ self.coefficients_


def _narrow(z: Floats) -> tuple[Floats, Floats]:
    if z.shape[1] <= len(z):
        return z, np.eye(z.shape[1])
    u, d, vt = np.linalg.svd(z, full_matrices=False)
    kept = d > 1e-10 * d.max(initial=1.0)
    return u[:, kept] * d[kept], vt[kept].T
