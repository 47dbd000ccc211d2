"""Do predicted risks of an event by a time come true, under censoring.

Kaplan-Meier tells how many had the event; each patient's *pseudo-value*, how much the curve moves when the patient is
left out, stands for the outcome that censoring hides, so that the measures of `spondyl.evaluation.calibration` apply.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.calibration import smooth_curve
from spondyl.evaluation.inputs import normal_quantile, probabilities, same_length
from spondyl.evaluation.kaplan_meier import KaplanMeier, count_at
from spondyl.evaluation.proper_scores import NEAR_CERTAIN
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes, show

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from spondyl.evaluation.survival import Outcome

    Floats = NDArray[np.float64]

N_GROUPS = 10
"""Groups of predicted risk, tenths (D'Agostino & Nam 2003, doi 10.1016/S0169-7161(03)23001-7)."""

MAX_STEPS = 50
"""Newton steps before a fit of the slope counts as not converged. Chosen by us."""


@dataclass(frozen=True, eq=False)
class SurvivalCalibration(Record):
    """How well predicted risks of an event by a time come true.

    Parameters
    ----------
    time : float
        The time.
    observed : Estimate
        Share with the event by then, by Kaplan-Meier.
    mean_risk : float
        Mean predicted risk.
    observed_to_expected : Estimate
        Observed over predicted; 1 is ideal.
    slope : Estimate
        Coefficient of a Cox model on the complementary log-log of the predicted risk; 1 is ideal.
    ici, e50, e90 : float
        Mean, median and 90th percentile of the distance of the smooth curve of pseudo-values from the diagonal.
    group_predicted : ndarray of float, shape (n_groups,)
        Mean predicted risk of groups from low to high.
    group_observed : tuple of Estimate
        Observed share of each group, by Kaplan-Meier.
    curve_predicted, curve_observed : ndarray of float, shape (n_points,)
        The smooth curve.
    flags : tuple of str
        What limits the result.
    intercept : Estimate or None
        By how much all risks are off on the complementary log-log scale, where it was asked for; 0 is ideal.
    """

    time: float
    observed: Estimate
    mean_risk: float
    observed_to_expected: Estimate
    slope: Estimate
    ici: float
    e50: float
    e90: float
    group_predicted: Floats
    group_observed: tuple[Estimate, ...]
    curve_predicted: Floats
    curve_observed: Floats
    flags: tuple[str, ...] = ()
    intercept: Estimate | None = None

    def table(self) -> Table:
        """Show the measures.

        Returns
        -------
        Table
            One row per measure.
        """
        rows = [
            ("observed", str(self.observed), ""),
            ("mean predicted", show(self.mean_risk), ""),
            ("observed / expected", str(self.observed_to_expected), "1"),
            ("slope", str(self.slope), "1"),
            *([] if self.intercept is None else [("intercept", str(self.intercept), "0")]),
            ("ICI", show(self.ici), "0"),
            ("E50", show(self.e50), "0"),
            ("E90", show(self.e90), "0"),
        ]
        title = f"Calibration of risk by time {self.time:g}"
        return Table.of(title, ("measure", "value", "ideal"), rows, flag_notes(self.flags))


def survival_calibration(
    outcome: Outcome, risk: ArrayLike, time: float, *, n_groups: int = N_GROUPS, confidence: float = 0.95
) -> SurvivalCalibration:
    """Measure how well predicted risks of an event by a time come true.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    risk : array_like of float, shape (n_patients,)
        Predicted probability of the event by `time`, from 0 to 1.
    time : float
        The time, inside the follow-up.
    n_groups : int, optional
        Groups of predicted risk.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    SurvivalCalibration
        The measures.

    Raises
    ------
    InputError
        If the columns do not fit, a risk lies outside 0 to 1, or nobody was followed to `time`.

    References
    ----------
    Austin 2020, doi 10.1002/sim.8570 (ICI of survival); Andersen & Perme 2010, doi 10.1177/0962280209105020
    (pseudo-values); van Houwelingen 2000, doi 10.1002/1097-0258(20001230)19:24<3401::AID-SIM554>3.0.CO;2-2 (slope).
    """
    p = probabilities(risk, "risk")
    same_length(risk=p, time=outcome.time)
    if not (outcome.time >= time).any():
        last = f"the last left at {outcome.time.max():g}"
        msg = f"somebody must be followed to time {time:g}, {last}: ask for an earlier one"
        raise InputError(msg)
    observed = _by(outcome.time, outcome.event, time, confidence)
    points, curve = smooth_curve(pseudo_values(outcome.time, outcome.event, time), p)
    distance = np.abs(np.interp(p, points, curve) - p)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), n_groups) if g.size]
    slope, flags = _slope(outcome, p, confidence)
    return SurvivalCalibration(
        float(time),
        observed,
        float(p.mean()),
        _ratio(observed, float(p.mean())),
        slope,
        float(distance.mean()),
        float(np.median(distance)),
        float(np.quantile(distance, 0.9)),
        np.array([p[g].mean() for g in groups]),
        tuple(_by(outcome.time[g], outcome.event[g], time, confidence) for g in groups),
        points,
        curve,
        flags,
    )


def pseudo_values(time: Floats, event: NDArray[np.bool_], at: float) -> Floats:
    """Give each patient's pseudo-value of having had the event by a time.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    at : float
        The time.

    Returns
    -------
    ndarray of float, shape (n,)
        n times the estimate of all less n - 1 times that without the patient; 0 or 1 where nothing is censored.

    References
    ----------
    Andersen & Perme 2010, doi 10.1177/0962280209105020.
    """
    n = len(time)
    times = np.unique(time[event & (time <= at)])
    order = np.sort(time)
    at_risk = n - np.searchsorted(order, times, side="left")
    deaths = count_at(time[event], times)
    # Without a patient, steps up to the patient's time have one less at risk, and the step at it one death less.
    stays = np.log(np.where(at_risk > deaths, 1 - deaths / at_risk, 1.0))
    fewer = np.where(at_risk > 1, at_risk - 1, 1)
    with np.errstate(divide="ignore"):
        without = np.log(np.clip(1 - deaths / fewer, 0, 1))
        own = np.log(np.clip(1 - (deaths - 1) / fewer, 0, 1))
    last = np.searchsorted(times, time, side="right")
    whole = KaplanMeier.fit(time, event).at(at)
    ends = np.where(at_risk > deaths, 0.0, -np.inf)
    after = np.concatenate([np.cumsum((stays + ends)[::-1])[::-1], [0.0]])
    before = np.concatenate([[0.0], np.cumsum(without)])
    died = event & (time <= at)
    log_survival = before[last] + after[last]
    mine = last[died] - 1
    log_survival[died] = before[mine] + own[mine] + after[mine + 1]
    return 1 - (n * whole - (n - 1) * np.exp(log_survival))


def _by(time: Floats, event: NDArray[np.bool_], at: float, confidence: float) -> Estimate:
    survival = KaplanMeier.fit(time, event).estimate(at, confidence)
    return Estimate(
        1 - survival.value,
        1 - survival.high,
        1 - survival.low,
        survival.standard_error,
        confidence,
        "Kaplan-Meier, log-log",
        survival.flags,
    )


def _ratio(observed: Estimate, mean: float) -> Estimate:
    if not mean:
        return Estimate(math.nan, flags=("no risk was predicted",))
    return Estimate(
        observed.value / mean,
        observed.low / mean,
        observed.high / mean,
        observed.standard_error / mean,
        observed.confidence,
        observed.method,
        observed.flags,
    )


def _slope(outcome: Outcome, risk: Floats, confidence: float) -> tuple[Estimate, tuple[str, ...]]:
    softened = np.clip(risk, NEAR_CERTAIN, 1 - NEAR_CERTAIN)
    value, variance = cox_slope(outcome.time, outcome.event, np.log(-np.log1p(-softened)))
    if math.isnan(value):
        return Estimate(math.nan), ("no slope: the risks are all the same, or order the events perfectly",)
    error = math.sqrt(variance)
    half = normal_quantile(confidence) * error
    return Estimate(value, value - half, value + half, error, confidence, "Cox, Efron ties"), ()


def cox_slope(time: Floats, event: NDArray[np.bool_], x: Floats) -> tuple[float, float]:
    """Fit a Cox model of one term.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    x : ndarray of float, shape (n,)
        The term.

    Returns
    -------
    coefficient, variance : float
        Maximum partial likelihood with Efron's handling of ties; NaN where it does not exist.

    References
    ----------
    Cox 1972, doi 10.1111/j.2517-6161.1972.tb00899.x; Efron 1977, doi 10.1080/01621459.1977.10480613.
    """
    order = np.argsort(time, kind="stable")
    t, d, z = time[order], event[order], x[order] - x.mean()
    first = np.searchsorted(t, t[d], side="left")
    times, group = np.unique(t[d], return_inverse=True)
    size = np.bincount(group)
    # Efron: the k-th of m tied events leaves (m - k) / m of them in the risk set; k counts from 0.
    share = (np.arange(len(group)) - np.concatenate([[0], np.cumsum(size)])[group]) / size[group]
    beta = 0.0
    for _ in range(MAX_STEPS):
        weight = np.exp(np.clip(beta * z, -500, 500))
        sums = []
        for power in range(3):
            term = weight * z**power
            risk_set = np.concatenate([np.cumsum(term[::-1])[::-1], [0.0]])[first]
            sums.append(risk_set - share * np.bincount(group, weights=term[d], minlength=len(times))[group])
        mean = sums[1] / sums[0]
        gradient, information = float((z[d] - mean).sum()), float((sums[2] / sums[0] - mean**2).sum())
        if not information > 1e-12 or abs(beta) * float(np.ptp(z)) > 200:
            return math.nan, math.nan
        step = gradient / information
        beta += step
        if abs(step) < 1e-10 * max(1.0, abs(beta)):
            return beta, 1 / information
    return math.nan, math.nan
