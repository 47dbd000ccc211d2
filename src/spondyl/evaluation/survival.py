"""Discrimination and error of predicted survival under right censoring.

Times and events of the same patients are given with a risk (higher is sooner) or with predicted survival at times.
Censoring is weighed out by the inverse probability of being still observed (IPCW), estimated by Kaplan-Meier, from
training data where they are given. Intervals come from each patient's influence on the statistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import binary, finite_vector, normal_quantile, patient_codes, same_length
from spondyl.evaluation.kaplan_meier import KaplanMeier, censoring_curve
from spondyl.evaluation.records import Difference, Estimate, Record, Table, flag_notes
from spondyl.evaluation.roc import wald_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[Any]
    Bools = NDArray[np.bool_]

BLOCK = 4_000_000
"""Pairs of patients compared at once, about 32 MB. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of each patient.

    Parameters
    ----------
    time : array_like of float, shape (n_patients,)
        Time to event or last contact, above 0, in any one unit.
    event : array_like of bool, shape (n_patients,)
        True where the event was seen, False where follow-up ended before.
    patients : array_like, shape (n_patients,), optional
        Who they are, where one patient stands in several rows.

    Raises
    ------
    InputError
        If a time is negative or not finite, no event was seen, or the lengths differ.
    """

    time: Floats
    event: Bools
    patients: ArrayLike | None = None

    def __post_init__(self) -> None:
        time, event = finite_vector(self.time, "time"), binary(self.event, "event")
        n = same_length(time=time, event=event)
        if time.min() < 0:
            first = f"{time.min():g} in row {int(time.argmin())}"
            msg = f"time must not be negative, got {first}: check the start of follow-up"
            raise InputError(msg)
        if not event.any():
            msg = f"at least one event is needed, got none in {n} patients: follow up longer"
            raise InputError(msg)
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "event", event)
        object.__setattr__(self, "patients", patient_codes(self.patients, n))

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, eq=False)
class Concordance(Record):
    """A concordance index.

    Parameters
    ----------
    estimate : Estimate
        The index with its interval.
    n_pairs : int
        Pairs of patients that could be compared.
    influence : ndarray of float, shape (n_patients,)
        Each patient's influence, summing to 0; its squares sum to the variance.
    flags : tuple of str
        What limits it.
    """

    estimate: Estimate
    n_pairs: int
    influence: Floats
    flags: tuple[str, ...] = ()

    def compare(self, other: Concordance, names: tuple[str, str] = ("first", "second")) -> Difference:
        """Test whether two risks for the same patients have the same index.

        Parameters
        ----------
        other : Concordance
            The index of the other risk, on the same patients in the same order.
        names : tuple of str, optional
            What is compared.

        Returns
        -------
        Difference
            This less the other.
        """
        if len(self.influence) != len(other.influence):
            msg = f"both must be of the same patients, got {len(self.influence)} and {len(other.influence)}"
            raise InputError(msg)
        variance = float(((self.influence - other.influence) ** 2).sum())
        value = self.estimate.value - other.estimate.value
        return wald_difference(names, value, variance, self.estimate.confidence, "infinitesimal jackknife")

    def table(self) -> Table:
        """Show the index.

        Returns
        -------
        Table
            One row.
        """
        rows = [(self.estimate.method, str(self.estimate), self.n_pairs)]
        return Table.of("Concordance", ("index", "value (interval)", "pairs"), rows, flag_notes(self.flags))


def harrell_c(outcome: Outcome, risk: ArrayLike, *, confidence: float = 0.95) -> Concordance:
    """Give the share of comparable pairs in which the patient with the earlier event has the higher risk.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    risk : array_like of float, shape (n_patients,)
        Higher is sooner.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Concordance
        Ties of risk count one half. Two events at one time are not compared; an event and a censoring at one time
        are, the censored patient having lived longer.

    Raises
    ------
    InputError
        If the lengths differ or no pair can be compared.

    References
    ----------
    Harrell 1996, doi 10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4.
    """
    weight = outcome.event.astype(np.float64)
    return _concordance(outcome, _risk(risk, outcome), weight, confidence, "Harrell")


def uno_c(
    outcome: Outcome,
    risk: ArrayLike,
    *,
    tau: float | None = None,
    training: Outcome | None = None,
    confidence: float = 0.95,
) -> Concordance:
    """Give the concordance index that does not depend on how long patients were followed.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    risk : array_like of float, shape (n_patients,)
        Higher is sooner.
    tau : float, optional
        Events from this time on do not count; the last time at which someone may still be observed where left out.
    training : Outcome, optional
        Patients from whom the censoring is estimated; the same patients where left out.
    confidence : float, optional
        Coverage wanted; the censoring counts as known.

    Returns
    -------
    Concordance
        Pairs weighed by the inverse squared probability of being observed at the earlier event.

    Raises
    ------
    InputError
        If the lengths differ or no pair can be compared before `tau`.

    References
    ----------
    Uno 2011, doi 10.1002/sim.4154.
    """
    censoring = censoring_curve(*_of(training or outcome))
    observed = censoring.at(outcome.time, before=True)
    limit = math.inf if tau is None else tau
    counts = outcome.event & (outcome.time < limit) & (observed > 0)
    weight = np.where(counts, 1 / np.where(observed > 0, observed, 1) ** 2, 0.0)
    lost = int((outcome.event & (outcome.time < limit) & (observed <= 0)).sum())
    flags = (f"{lost} events come after everyone in the training data was censored: not counted",) if lost else ()
    return _concordance(outcome, _risk(risk, outcome), weight, confidence, "Uno", flags)


def _concordance(
    outcome: Outcome, risk: Floats, weight: Floats, confidence: float, method: str, flags: tuple[str, ...] = ()
) -> Concordance:
    """Weighted share of concordant pairs; `weight` is that of the patient with the earlier event, 0 where unusable."""
    time, event, n = outcome.time, outcome.event, len(outcome)
    won, paired, n_pairs = np.zeros(n), np.zeros(n), 0
    first = np.flatnonzero(weight > 0)
    rows = max(1, BLOCK // n)
    for block in (first[i : i + rows] for i in range(0, len(first), rows)):
        later = (time[None, :] > time[block, None]) | ((time[None, :] == time[block, None]) & ~event[None, :])
        score = (risk[block, None] > risk[None, :]) + 0.5 * (risk[block, None] == risk[None, :])
        pair = later * weight[block, None]
        hit = pair * score
        n_pairs += int(later.sum())
        paired[block] += pair.sum(axis=1)
        paired += pair.sum(axis=0)
        won[block] += hit.sum(axis=1)
        won += hit.sum(axis=0)
    if not n_pairs:
        msg = "no two patients can be compared: every event comes after all others left, or after tau"
        raise InputError(msg)
    total = paired.sum() / 2
    value = float(won.sum() / 2 / total)
    influence: Floats = np.bincount(np.asarray(outcome.patients), weights=(won - value * paired) / total)
    error = float(np.sqrt((influence**2).sum()))
    half = normal_quantile(confidence) * error
    name = f"{method} C, infinitesimal jackknife"
    estimate = Estimate(value, max(value - half, 0.0), min(value + half, 1.0), error, confidence, name)
    return Concordance(estimate, n_pairs, influence, flags)


@dataclass(frozen=True, eq=False)
class TimeCurve(Record):
    """A statistic at several times.

    Parameters
    ----------
    name : str
        What it is.
    times : ndarray of float, shape (n_times,)
        The times.
    values : ndarray of float, shape (n_times,)
        The statistic; NaN where it cannot be known.
    mean : float
        Its mean over time (see the function that made it).
    flags : tuple of str
        What limits it.
    """

    name: str
    times: Floats
    values: Floats
    mean: float
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the curve.

        Returns
        -------
        Table
            One row per time and one for the mean.
        """
        rows = [*zip(self.times, self.values, strict=True), ("mean", self.mean)]
        return Table.of(self.name, ("time", self.name), rows, flag_notes(self.flags))


def time_dependent_auc(
    outcome: Outcome, risk: ArrayLike, times: Sequence[float], *, training: Outcome | None = None
) -> TimeCurve:
    """Give the area under the ROC curve of having the event by each time, against being free of it then.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    risk : array_like of float, shape (n_patients,) or (n_patients, n_times)
        Higher is sooner; may differ by time.
    times : sequence of float
        Rising times inside the follow-up.
    training : Outcome, optional
        Patients from whom the censoring is estimated; the same patients where left out.

    Returns
    -------
    TimeCurve
        Cumulative/dynamic AUC; its mean weighs each time by the events that Kaplan-Meier places before it.

    Raises
    ------
    InputError
        If the lengths differ.
    SettingsError
        If the times are not rising.

    References
    ----------
    Uno 2007, doi 10.1198/016214507000000149; Hung & Chiang 2010, doi 10.1002/cjs.10046; Lambert & Chevret 2016, doi
    10.1177/0962280213515571 (the mean).
    """
    at = _times(times)
    observed = censoring_curve(*_of(training or outcome)).at(outcome.time, before=True)
    weight = np.where(outcome.event & (observed > 0), 1 / np.where(observed > 0, observed, 1), 0.0)
    risks = np.asarray(risk, dtype=np.float64)
    risks = np.broadcast_to(_risk(risks, outcome)[:, None], (len(outcome), len(at))) if risks.ndim == 1 else risks
    if risks.shape != (len(outcome), len(at)) or not np.isfinite(risks).all():
        msg = f"risk must be finite, one per patient or one per patient and time; got shape {risks.shape}"
        raise InputError(msg)
    values = np.array([_auc_at(outcome, risks[:, i], weight, t) for i, t in enumerate(at)])
    unknown = np.isnan(values)
    flags = (f"{int(unknown.sum())} times have no event before or no patient after them",) if unknown.any() else ()
    survival = KaplanMeier.fit(*_of(outcome)).at(at)
    steps = -np.diff(survival, prepend=1.0)[~unknown]
    mean = float(values[~unknown] @ steps / steps.sum()) if steps.sum() > 0 else math.nan
    return TimeCurve("time-dependent AUC", at, values, mean, flags)


def _auc_at(outcome: Outcome, risk: Floats, weight: Floats, time: float) -> float:
    cases = (outcome.time <= time) & (weight > 0)
    controls = np.sort(risk[outcome.time > time])
    if not cases.any() or not controls.size:
        return math.nan
    below = np.searchsorted(controls, risk[cases], side="left")
    upto = np.searchsorted(controls, risk[cases], side="right")
    return float(np.average((below + upto) / (2 * len(controls)), weights=weight[cases]))


def brier_curve(
    outcome: Outcome, survival: ArrayLike, times: Sequence[float], *, training: Outcome | None = None
) -> TimeCurve:
    """Give the mean squared error of predicted survival at each time, and over time.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    survival : array_like of float, shape (n_patients, n_times)
        Predicted probability of being free of the event at each time.
    times : sequence of float
        Rising times inside the follow-up.
    training : Outcome, optional
        Patients from whom the censoring is estimated; the same patients where left out.

    Returns
    -------
    TimeCurve
        Brier score; its mean is the integrated score, by trapezoids over the times.

    Raises
    ------
    InputError
        If the shape does not fit or a probability lies outside 0 to 1.
    SettingsError
        If the times are not rising.

    References
    ----------
    Graf 1999, doi 10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    at = _times(times)
    predicted = checked_survival(survival, (len(outcome), len(at)))
    censoring = censoring_curve(*_of(training or outcome))
    values, unknown = brier_terms(outcome, predicted, at, censoring)
    scores = values.mean(axis=0)
    flags = (f"{unknown} times come after everyone was censored",) if unknown else ()
    span = at[-1] - at[0]
    mean = float(np.trapezoid(scores, at) / span) if span > 0 else float(scores[0])
    return TimeCurve("Brier score", at, scores, mean, flags)


def brier_terms(outcome: Outcome, survival: Floats, times: Floats, censoring: KaplanMeier) -> tuple[Floats, int]:
    """Give each patient's weighed squared error at each time.

    Parameters
    ----------
    outcome : Outcome
        What became of each patient.
    survival : ndarray of float, shape (n_patients, n_times)
        Predicted survival.
    times : ndarray of float, shape (n_times,)
        The times.
    censoring : KaplanMeier
        Probability of being still observed.

    Returns
    -------
    terms : ndarray of float, shape (n_patients, n_times)
        NaN at times when nobody can be observed any more.
    n_unknown : int
        Number of such times.
    """
    at_event, at_time = censoring.at(outcome.time, before=True), censoring.at(times)
    died = (outcome.time[:, None] <= times) & outcome.event[:, None] & (at_event > 0)[:, None]
    alive = outcome.time[:, None] > times
    terms = np.where(died, survival**2 / np.where(at_event > 0, at_event, 1)[:, None], 0.0)
    known = at_time > 0
    terms = terms + np.where(alive, (1 - survival) ** 2 / np.where(known, at_time, 1), 0.0)
    return np.where(known, terms, np.nan), int((~known).sum())


def checked_survival(survival: ArrayLike, shape: tuple[int, int]) -> Floats:
    """Take predicted survival.

    Parameters
    ----------
    survival : array_like of float
        Probabilities.
    shape : tuple of int
        Patients and times wanted.

    Returns
    -------
    ndarray of float, shape ``shape``
        The probabilities.

    Raises
    ------
    InputError
        If the shape does not fit or a probability lies outside 0 to 1.
    """
    predicted = np.asarray(survival, dtype=np.float64)
    if predicted.shape != shape:
        msg = f"survival must have shape (patients, times) = {shape}, got {predicted.shape}"
        raise InputError(msg)
    if not ((predicted >= 0) & (predicted <= 1)).all():
        msg = "survival must be probabilities from 0 to 1 of being free of the event"
        raise InputError(msg)
    return predicted


def _of(outcome: Outcome) -> tuple[Floats, Bools]:
    return outcome.time, outcome.event


def _risk(risk: ArrayLike, outcome: Outcome) -> Floats:
    values = finite_vector(risk, "risk")
    same_length(risk=values, time=outcome.time)
    return values


def _times(times: Sequence[float]) -> Floats:
    at = finite_vector(times, "times")
    if (np.diff(at) <= 0).any() or at[0] < 0:
        msg = f"times must rise from 0 or later, got {at[:5].tolist()}"
        raise SettingsError(msg)
    return at
