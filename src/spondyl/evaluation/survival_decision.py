"""Decision curves for an event by a time, under censoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.decision import THRESHOLDS, TREAT_ALL, TREAT_NONE, DecisionCurve, odds
from spondyl.evaluation.inputs import normal_quantile, probabilities, same_length
from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.survival_calibration import pseudo_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from spondyl.evaluation.survival import Outcome

    Floats = NDArray[np.float64]


def survival_decision_curve(
    outcome: Outcome,
    models: Mapping[str, ArrayLike],
    time: float,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    confidence: float = 0.95,
) -> DecisionCurve:
    """Give the net benefit of acting on predicted risks of an event by a time.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    models : mapping of str to (array_like of float, shape (n_patients,))
        Predicted probability of the event by `time`, from 0 to 1.
    time : float
        The time, inside the follow-up.
    thresholds : sequence of float, optional
        Risks at or above which one acts, inside 0 to 1.
    confidence : float, optional
        Coverage wanted at each threshold.

    Returns
    -------
    DecisionCurve
        True positives are those of Kaplan-Meier among the patients acted on; the spread comes from pseudo-values.

    Raises
    ------
    InputError
        If the columns do not fit, a risk lies outside 0 to 1, or nobody was followed to `time`.
    SettingsError
        If a threshold does not lie inside 0 to 1.

    References
    ----------
    Vickers 2008, doi 10.1186/1472-6947-8-53 (section on censored data); Andersen & Perme 2010, doi
    10.1177/0962280209105020.
    """
    at = np.asarray(thresholds, dtype=np.float64)
    if at.ndim != 1 or not at.size or not ((at > 0) & (at < 1)).all():
        msg = f"thresholds must lie inside 0 to 1, got {at.tolist()}"
        raise SettingsError(msg)
    if not (outcome.time >= time).any():
        msg = f"somebody must be followed to time {time:g}, the last left at {outcome.time.max():g}"
        raise InputError(msg)
    risks = {name: probabilities(p, f"risk of {name}") for name, p in models.items()}
    n = same_length(time=outcome.time, **risks)
    everyone = {TREAT_ALL: np.ones(n), TREAT_NONE: np.zeros(n) - 1}
    cases = np.stack(
        [
            [_terms(outcome, risk >= t, time, float(odds(t))) for t in at]
            for risk in (*risks.values(), *everyone.values())
        ]
    )
    patients = np.asarray(outcome.patients)
    terms = np.apply_along_axis(lambda row: np.bincount(patients, weights=row), 2, cases)
    value = terms.sum(axis=2)
    half = normal_quantile(confidence) * np.sqrt(terms.shape[2] * terms.var(axis=2, ddof=1))
    return DecisionCurve((*risks, TREAT_ALL, TREAT_NONE), at, value, value - half, value + half, terms, confidence)


def _terms(outcome: Outcome, called: NDArray[np.bool_], time: float, weight: float) -> Floats:
    """Part of each patient in the net benefit of acting on those called."""
    terms = np.zeros(len(outcome))
    if not called.any():
        return terms
    times, events = outcome.time[called], outcome.event[called]
    share = float(called.mean())
    risk = 1 - float(KaplanMeier.fit(times, events).at(time))
    value = share * (risk - (1 - risk) * weight)
    values = pseudo_values(times, events, time)
    terms[called] = (values - (1 - values) * weight) / len(outcome)
    # The mean of pseudo-values is the estimate but for a bias of the order of one over n.
    return terms + (value - terms.sum()) / len(outcome)
