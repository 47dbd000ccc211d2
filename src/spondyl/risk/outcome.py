"""Follow-up as scikit-learn's ``y``: time and event of each patient, checked once, and the curves they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FOLLOW_UP = np.dtype([("event", np.int64), ("time", np.float64)])
"""One patient: 0 where follow-up ended without an event, 1 the event, 2 and above competing events."""

LEAST_EVENTS = 5
"""Events below which nothing is fitted. Chosen by us; ten or more per feature are wanted (Peduzzi 1995, doi
10.1016/0895-4356(95)00048-8)."""


def follow_up(time: ArrayLike, event: ArrayLike) -> NDArray[Any]:
    """Put times and events together.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time from the start of follow-up to the event or the last contact, 0 or above, in any one unit.
    event : array_like of int or bool, shape (n,)
        0 where follow-up ended without an event, 1 the event, 2 and above competing events.

    Returns
    -------
    ndarray of `FOLLOW_UP`, shape (n,)
        What every estimator here takes as ``y``.

    Raises
    ------
    InputError
        If a time is negative or missing, an event is no whole number from 0, or the lengths differ.
    """
    t, raw = np.asarray(time, dtype=np.float64), np.asarray(event)
    if t.ndim != 1 or t.shape != raw.shape:
        msg = f"time and event must be columns of one length, got shapes {t.shape} and {raw.shape}"
        raise InputError(msg)
    wrong = ~(np.isfinite(t) & (t >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = (
            f"time must be 0 or above, got {t[row]:g} in row {row} and {int(wrong.sum()) - 1} more: check the start of "
            "follow-up, or leave these patients out"
        )
        raise InputError(msg)
    code = _codes(raw)
    y = np.zeros(len(t), dtype=FOLLOW_UP)
    y["event"], y["time"] = code, t
    return y


def _codes(raw: NDArray[Any]) -> NDArray[np.int64]:
    try:
        number = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        msg = "event must hold 0 (no event), 1 (the event) and 2 or above (competing), got words: write them as numbers"
        raise InputError(msg) from error
    wrong = ~(np.isfinite(number) & (number >= 0) & (number == np.floor(number)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = (
            f"event must be 0 (no event), 1 (the event) or a competing event from 2, got {number[row]:g} in row {row}: "
            "correct it, or leave the patient out"
        )
        raise InputError(msg)
    return number.astype(np.int64)


def checked(y: Any, n: int | None = None, *, cause: int = 1) -> tuple[Floats, NDArray[np.bool_]]:
    """Take times and events of one cause apart.

    Parameters
    ----------
    y : ndarray of `FOLLOW_UP`, shape (n,)
        As `follow_up` gives it.
    n : int, optional
        Number of patients wanted.
    cause : int, optional
        The event; patients with another one count as censored then.

    Returns
    -------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.

    Raises
    ------
    InputError
        If `y` is of another kind, has another length, or holds too few events.
    """
    array = np.asarray(y)
    if array.dtype.names is None or not {"event", "time"} <= set(array.dtype.names):
        msg = f"y must come from follow_up(time, event), got {array.dtype}"
        raise InputError(msg)
    if n is not None and len(array) != n:
        msg = f"features and follow-up must be of the same patients, got {n} and {len(array)} rows"
        raise InputError(msg)
    event = array["event"] == cause
    if int(event.sum()) < LEAST_EVENTS:
        msg = (
            f"at least {LEAST_EVENTS} events are wanted to learn from, got {int(event.sum())} in {len(array)} "
            "patients: check the event column, or follow up longer"
        )
        raise InputError(msg)
    return array["time"].astype(np.float64), event


def cumulative_hazard(time: Floats, event: NDArray[np.bool_], weight: Floats | None = None) -> tuple[Floats, Floats]:
    """Estimate the cumulative hazard of patients whose relative risk is known.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    weight : ndarray of float, shape (n,), optional
        Relative risk of each; 1 where left out, which is the estimate of Nelson and Aalen.

    Returns
    -------
    times : ndarray of float, shape (n_steps,)
        Rising times of events.
    hazard : ndarray of float, shape (n_steps,)
        Cumulative hazard from each on, of a patient of relative risk 1.

    References
    ----------
    Breslow 1972, in the discussion of doi 10.1111/j.2517-6161.1972.tb00899.x; Aalen 1978, doi 10.1214/aos/1176344247.
    """
    order = np.argsort(time, kind="stable")
    t, d = time[order], event[order]
    w = np.ones(len(t)) if weight is None else weight[order]
    at_risk = np.cumsum(w[::-1])[::-1]
    times, count = np.unique(t[d], return_counts=True)
    return times, np.cumsum(count / at_risk[np.searchsorted(t, times, side="left")])


def step(times: Floats, values: Floats, at: ArrayLike, *, start: float = 0.0) -> Floats:
    """Read a right-continuous step function.

    Parameters
    ----------
    times, values : ndarray of float, shape (n_steps,)
        Rising times and the value from each on.
    at : array_like of float
        Where.
    start : float, optional
        Value before the first step.

    Returns
    -------
    ndarray of float
        The values.
    """
    place = np.searchsorted(times, np.asarray(at, dtype=np.float64), side="right")
    return np.concatenate([[start], values])[place]


def time_grid(time: Floats, event: NDArray[np.bool_], n_times: int) -> Floats:
    """Choose times between which equally many events lie.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.
    n_times : int
        Number wanted; fewer where there are fewer times of events.

    Returns
    -------
    ndarray of float, shape (at most n_times,)
        Rising times of events, the last one the latest.
    """
    at = np.unique(time[event])
    if len(at) <= n_times:
        return at
    return np.unique(np.quantile(time[event], np.linspace(0, 1, n_times + 1)[1:], method="inverted_cdf"))
