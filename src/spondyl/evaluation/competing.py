"""Do predicted risks come true where another event may come first, such as death before a fracture.

Whoever died can no longer break a bone, so that Kaplan-Meier with deaths as censored says too much; Aalen and Johansen
tell how many had the event, and each patient's *pseudo-value*, how much that moves when the patient is left out, stands
for the outcome that censoring hides. Slope and intercept come from regressing pseudo-values on the predicted risk.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.calibration import smooth_curve
from spondyl.evaluation.decision import THRESHOLDS, TREAT_ALL, TREAT_NONE, DecisionCurve, odds
from spondyl.evaluation.inputs import finite_vector, normal_quantile, probabilities, same_length
from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.proper_scores import NEAR_CERTAIN
from spondyl.evaluation.records import Estimate
from spondyl.evaluation.survival_calibration import N_GROUPS, SurvivalCalibration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

BLOCK = 2_000_000
"""Numbers that one block of leave-one-out curves may hold, about 16 MB. Chosen by us."""

MAX_STEPS, TOLERANCE = 60, 1e-8
"""Steps of the fit of slope and intercept, and the change below which it ends. Chosen by us."""


def cumulative_incidence(time: ArrayLike, event: ArrayLike, at: float, cause: int = 1) -> float:
    """Give the share of patients who had an event by a time, before any other.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the first event or the last contact.
    event : array_like of int, shape (n,)
        0 none, else which event.
    at : float
        The time.
    cause : int, optional
        The event asked for.

    Returns
    -------
    float
        From 0 to 1.

    References
    ----------
    Aalen & Johansen 1978, Scandinavian Journal of Statistics 5:141.
    """
    t, e = _columns(time, event)
    return float(_incidence(*_counts(t, e, at, cause)))


def incidence_pseudo_values(time: ArrayLike, event: ArrayLike, at: float, cause: int = 1) -> Floats:
    """Give each patient's pseudo-value of having had an event by a time, before any other.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the first event or the last contact.
    event : array_like of int, shape (n,)
        0 none, else which event.
    at : float
        The time.
    cause : int, optional
        The event asked for.

    Returns
    -------
    ndarray of float, shape (n,)
        n times the estimate of all less n - 1 times that without the patient; 0 or 1 where nothing is censored.

    References
    ----------
    Klein & Andersen 2005, doi 10.1111/j.0006-341X.2005.031209.x.
    """
    t, e = _columns(time, event)
    n = len(t)
    times, at_risk, any_event, own = _grid(t, e, at, cause)
    whole = float(_incidence(at_risk, any_event, own))
    found = np.empty(n)
    for start in range(0, n, max(1, BLOCK // max(len(times), 1))):
        rows = slice(start, start + max(1, BLOCK // max(len(times), 1)))
        here = times == t[rows, None]
        risk = at_risk - (times <= t[rows, None])
        events = any_event - here * (e[rows, None] > 0)
        mine = own - here * (e[rows, None] == cause)
        found[rows] = n * whole - (n - 1) * _incidence(risk, events, mine)
    return found


def _columns(time: ArrayLike, event: ArrayLike) -> tuple[Floats, Codes]:
    t, raw = finite_vector(time, "time"), finite_vector(event, "event")
    same_length(time=t, event=raw)
    if t.min() < 0 or (raw < 0).any() or (raw != np.floor(raw)).any():
        msg = "times must be 0 or above and events whole numbers from 0 (none), got others: check both columns"
        raise InputError(msg)
    return t, raw.astype(np.int64)


def _grid(t: Floats, e: Codes, at: float, cause: int) -> tuple[Floats, Floats, Floats, Floats]:
    times = np.unique(t[(e > 0) & (t <= at)])
    at_risk = (len(t) - np.searchsorted(np.sort(t), times, side="left")).astype(np.float64)
    place = np.searchsorted(times, t)
    inside = (e > 0) & (t <= at)
    any_event = np.bincount(place[inside], minlength=len(times)).astype(np.float64)
    own = np.bincount(place[inside & (e == cause)], minlength=len(times)).astype(np.float64)
    return times, at_risk, any_event, own


def _counts(t: Floats, e: Codes, at: float, cause: int) -> tuple[Floats, Floats, Floats]:
    return _grid(t, e, at, cause)[1:]


def _incidence(at_risk: Floats, events: Floats, own: Floats) -> Any:
    """Aalen-Johansen along the last axis."""
    safe = np.maximum(at_risk, 1.0)
    free = np.cumprod(1 - np.where(at_risk > 0, events / safe, 0.0), axis=-1)
    before = np.concatenate([np.ones_like(free[..., :1]), free[..., :-1]], axis=-1)
    return (before * np.where(at_risk > 0, own / safe, 0.0)).sum(axis=-1)


def competing_calibration(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    at: float,
    *,
    cause: int = 1,
    n_groups: int = N_GROUPS,
    confidence: float = 0.95,
) -> SurvivalCalibration:
    """Measure how well predicted cumulative incidences come true.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the first event or the last contact.
    event : array_like of int, shape (n,)
        0 none, else which event.
    risk : array_like of float, shape (n,)
        Predicted probability of the event by `at`, before any other, from 0 to 1.
    at : float
        The time, inside the follow-up.
    cause : int, optional
        The event asked for.
    n_groups : int, optional
        Groups of predicted risk.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    SurvivalCalibration
        With `intercept`: by how much the complementary log-log of all risks is off, slope held at 1; 0 is ideal.

    Raises
    ------
    InputError
        If the columns do not fit, a risk lies outside 0 to 1, or nobody was followed to `at`.

    References
    ----------
    van Geloven 2022, doi 10.1136/bmj-2021-069249 (measures with competing risks); Klein & Andersen 2005, doi
    10.1111/j.0006-341X.2005.031209.x (regression of pseudo-values).
    """
    t, e = _columns(time, event)
    p = probabilities(risk, "risk")
    same_length(risk=p, time=t)
    if not (t >= at).any():
        msg = f"somebody must be followed to time {at:g}, the last left at {t.max():g}: ask for an earlier one"
        raise InputError(msg)
    pseudo = incidence_pseudo_values(t, e, at, cause)
    observed = _observed(t, e, at, cause, confidence)
    mean = float(p.mean())
    points, curve = smooth_curve(pseudo, p)
    distance = np.abs(np.interp(p, points, curve) - p)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), n_groups) if g.size]
    x = np.log(-np.log1p(-np.clip(p, NEAR_CERTAIN, 1 - NEAR_CERTAIN)))
    slope, flags = _fitted(pseudo, x, None, confidence)
    intercept, _ = _fitted(pseudo, np.zeros(0), x, confidence)
    ratio = Estimate(math.nan, flags=("no risk was predicted",))
    if mean:
        low, high, error = observed.low / mean, observed.high / mean, observed.standard_error / mean
        ratio = Estimate(observed.value / mean, low, high, error, confidence, observed.method)
    return SurvivalCalibration(
        float(at),
        observed,
        mean,
        ratio,
        slope,
        float(distance.mean()),
        float(np.median(distance)),
        float(np.quantile(distance, 0.9)),
        np.array([p[g].mean() for g in groups]),
        tuple(_observed(t[g], e[g], at, cause, confidence) for g in groups),
        points,
        curve,
        flags,
        intercept,
    )


def _observed(t: Floats, e: Codes, at: float, cause: int, confidence: float) -> Estimate:
    """Aalen-Johansen with the jackknife's interval on the complementary log-log scale."""
    method = "Aalen-Johansen, jackknife"
    value = cumulative_incidence(t, e, at, cause)
    if not 0 < value < 1 or len(t) < 3:
        return Estimate(value, confidence=confidence, flags=("no event so far, or nobody left: no interval",))
    error = float(np.std(incidence_pseudo_values(t, e, at, cause), ddof=1) / math.sqrt(len(t)))
    half = normal_quantile(confidence) * error / ((1 - value) * -math.log1p(-value))
    low, high = (1 - (1 - value) ** math.exp(sign * half) for sign in (-1, 1))
    return Estimate(value, low, high, error, confidence, method)


def _fitted(pseudo: Floats, x: Floats, offset: Floats | None, confidence: float) -> tuple[Estimate, tuple[str, ...]]:
    """Fit the mean of pseudo-values through the complementary log-log; give the coefficient of x, or the constant."""
    n = len(pseudo)
    off = np.zeros(n) if offset is None else offset
    design = np.ones((n, 1)) if offset is not None else np.stack([np.ones(n), x], axis=1)
    none = (Estimate(math.nan), ("no slope: the risks are all the same, or the fit did not settle",))
    if np.linalg.matrix_rank(design) < design.shape[1] or (offset is None and np.ptp(x) < 1e-9):
        return none
    beta = np.zeros(design.shape[1])
    if offset is None:
        beta[1] = 1.0
    for _ in range(MAX_STEPS):
        eta = np.clip(design @ beta + off, -30, 3)
        mean = -np.expm1(-np.exp(eta))
        gradient = design * (np.exp(eta) * (1 - mean))[:, None]
        # Working variance of a yes or no, as for outcomes that are seen.
        weight = 1 / np.clip(mean * (1 - mean), 1e-4, None)
        bread = gradient.T @ (gradient * weight[:, None])
        step = np.linalg.solve(bread + 1e-12 * np.eye(len(beta)), gradient.T @ (weight * (pseudo - mean)))
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < TOLERANCE:
            break
    else:
        return none
    meat = gradient * (weight * (pseudo - mean))[:, None]
    inverse = np.linalg.inv(bread)
    variance = inverse @ (meat.T @ meat) @ inverse
    value, error = float(beta[-1]), math.sqrt(float(variance[-1, -1]))
    half = normal_quantile(confidence) * error
    return Estimate(value, value - half, value + half, error, confidence, "pseudo-values, sandwich"), ()


def competing_brier(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, times: Sequence[float], *, cause: int = 1
) -> Floats:
    """Give the Brier score of predicted cumulative incidences.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the first event or the last contact.
    event : array_like of int, shape (n,)
        0 none, else which event.
    risk : array_like of float, shape (n, n_times)
        Predicted probability of the event by each time, before any other.
    times : sequence of float
        The times.
    cause : int, optional
        The event asked for.

    Returns
    -------
    ndarray of float, shape (n_times,)
        Mean squared error, censoring weighed out; 0 is ideal.

    References
    ----------
    Schoop 2011, doi 10.1002/bimj.201000073 (Brier score with competing risks).
    """
    t, e = _columns(time, event)
    p = np.asarray(risk, dtype=np.float64)
    censoring = KaplanMeier.fit(t, e == 0)
    found = []
    for number, at in enumerate(times):
        gone, there = (t <= at) & (e > 0), t > at
        weight = np.zeros(len(t))
        weight[gone] = 1 / np.maximum(censoring.at(t[gone], before=True), 1e-9)
        weight[there] = 1 / max(float(censoring.at(at)), 1e-9)
        found.append(float((weight * ((gone & (e == cause)) - p[:, number]) ** 2).mean()))
    return np.array(found)


def competing_decision_curve(
    time: ArrayLike,
    event: ArrayLike,
    models: Mapping[str, ArrayLike],
    at: float,
    *,
    cause: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    confidence: float = 0.95,
) -> DecisionCurve:
    """Give the net benefit of acting on predicted cumulative incidences.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the first event or the last contact.
    event : array_like of int, shape (n,)
        0 none, else which event.
    models : mapping of str to (array_like of float, shape (n,))
        Predicted probability of the event by `at`, before any other.
    at : float
        The time, inside the follow-up.
    cause : int, optional
        The event asked for.
    thresholds : sequence of float, optional
        Risks at or above which one acts, inside 0 to 1.
    confidence : float, optional
        Coverage wanted at each threshold.

    Returns
    -------
    DecisionCurve
        Pseudo-values of the whole cohort stand for outcomes.

    Raises
    ------
    InputError
        If the columns do not fit or a risk lies outside 0 to 1.
    SettingsError
        If a threshold does not lie inside 0 to 1.

    References
    ----------
    Vickers 2008, doi 10.1186/1472-6947-8-53 (section on competing risks).
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not ((grid > 0) & (grid < 1)).all():
        msg = f"thresholds must lie inside 0 to 1, got {grid.tolist()}"
        raise SettingsError(msg)
    risks = {name: probabilities(p, f"risk of {name}") for name, p in models.items()}
    pseudo = incidence_pseudo_values(time, event, at, cause)
    n = same_length(time=pseudo, **risks)
    everyone = {TREAT_ALL: np.ones(n), TREAT_NONE: np.full(n, -1.0)}
    terms = np.stack(
        [
            [(p >= level) * (pseudo - (1 - pseudo) * float(odds(level))) / n for level in grid]
            for p in (*risks.values(), *everyone.values())
        ]
    )
    value = terms.sum(axis=2)
    half = normal_quantile(confidence) * np.sqrt(n * terms.var(axis=2, ddof=1))
    return DecisionCurve((*risks, TREAT_ALL, TREAT_NONE), grid, value, value - half, value + half, terms, confidence)
