"""When will it happen: an interval of times that holds the event as often as promised, by conformal calibration.

A model's own quantiles promise too much wherever it is wrong. Here the probability that the model, out of fold, gave
to an event by the time at which it happened is looked at over all patients; Kaplan-Meier on that scale takes care of
those whose event was not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError
from spondyl.risk.outcome import cumulative_hazard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimeIntervals:
    """Intervals of times, one per patient.

    Parameters
    ----------
    low, high : ndarray of float, shape (m,)
        Ends, in the unit of follow-up; infinite where the event is not expected inside the follow-up learned from. An
        interval that is open to later times begins later, so that it, too, holds as many events as promised.
    coverage : float
        Share of intervals promised to hold the event.
    n_calibration : int
        Patients the promise rests on.
    """

    low: Floats
    high: Floats
    coverage: float
    n_calibration: int


def time_intervals(
    hazard_at_event: Floats,
    event: NDArray[np.bool_],
    score: Floats,
    baseline: tuple[Floats, Floats],
    *,
    coverage: float = 0.9,
) -> TimeIntervals:
    """Give intervals that hold the time of the event as often as promised.

    Parameters
    ----------
    hazard_at_event : ndarray of float, shape (n,)
        Cumulative hazard that the model, out of fold, gave each calibration patient by the end of the own follow-up.
    event : ndarray of bool, shape (n,)
        Whether it ended with the event.
    score : ndarray of float, shape (m,)
        Log relative risk of new patients.
    baseline : tuple of ndarray
        Rising times, and the cumulative hazard from each on of a patient of score 0.
    coverage : float, optional
        Share promised.

    Returns
    -------
    TimeIntervals
        The promise holds on average over patients like those of the calibration, not for each kind of patient.

    Raises
    ------
    SettingsError
        If the coverage does not lie inside 0 to 1.

    References
    ----------
    Qi 2024, arXiv 2405.07374 (conformal survival distributions); Vovk 2005, doi 10.1007/b106715.
    """
    if not 0 < coverage < 1:
        msg = f"coverage must lie inside 0 to 1, got {coverage:g}"
        raise SettingsError(msg)
    lived, steps = cumulative_hazard(hazard_at_event, event)
    # One more patient than were seen is counted, so that the promise holds for the next one, too.
    n = len(event)
    had = (1 - np.exp(-steps)) * n / (n + 1)
    low, high, alone = (_first(lived, had, q) for q in ((1 - coverage) / 2, (1 + coverage) / 2, 1 - coverage))
    times, hazard = baseline
    risk = np.exp(score)
    latest = _when(high / risk, times, hazard)
    # An end that nobody was followed up to excludes no event, so that the other may exclude twice as many.
    earliest = np.where(np.isinf(latest), _when(alone / risk, times, hazard), _when(low / risk, times, hazard))
    return TimeIntervals(earliest, latest, coverage, n)


def _first(lived: Floats, had: Floats, share: float) -> float:
    place = int(np.searchsorted(had, share, side="left"))
    return float(lived[place]) if place < len(lived) else math.inf


def _when(wanted: Floats, times: Floats, hazard: Floats) -> Floats:
    place = np.searchsorted(hazard, wanted, side="left")
    return np.append(times, np.inf)[place]
