"""The Kaplan-Meier curve, of events and of censoring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.evaluation.inputs import normal_quantile
from spondyl.evaluation.records import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """Probability of being free of an event, as a falling step function.

    Parameters
    ----------
    times : ndarray of float, shape (n_steps,)
        Rising times at which it falls.
    survival : ndarray of float, shape (n_steps,)
        Probability from each time on.
    greenwood : ndarray of float, shape (n_steps,)
        Variance of its logarithm (Greenwood 1926).
    """

    times: Floats
    survival: Floats
    greenwood: Floats

    @classmethod
    def fit(cls, time: Floats, event: NDArray[np.bool_]) -> KaplanMeier:
        """Estimate the curve; at one time, events come before censoring.

        Parameters
        ----------
        time : ndarray of float, shape (n,)
            Time to event or last contact.
        event : ndarray of bool, shape (n,)
            True where the event was seen.

        Returns
        -------
        KaplanMeier
            The curve.

        References
        ----------
        Kaplan & Meier 1958, doi 10.1080/01621459.1958.10501452.
        """
        times = np.unique(time[event])
        at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left")
        return cls.from_counts(times, count_at(time[event], times), at_risk)

    @classmethod
    def from_counts(cls, times: Floats, events: Floats, at_risk: NDArray[Any]) -> KaplanMeier:
        """Make the curve from what happened at each time.

        Parameters
        ----------
        times : ndarray of float, shape (n_steps,)
            Rising times of events.
        events : ndarray of float, shape (n_steps,)
            Events at each.
        at_risk : ndarray of int, shape (n_steps,)
            Patients that could have had one.

        Returns
        -------
        KaplanMeier
            The curve.
        """
        survival = np.cumprod(1 - events / at_risk)
        left = at_risk - events
        # The variance is not defined once nobody is left.
        steps = np.where(left > 0, events / np.where(left > 0, at_risk * left, 1), np.nan)
        return cls(times, survival, np.cumsum(steps))

    def at(self, times: ArrayLike, *, before: bool = False) -> Floats:
        """Read the curve.

        Parameters
        ----------
        times : array_like of float
            Where.
        before : bool, optional
            True gives the value just before each time.

        Returns
        -------
        ndarray of float
            Probabilities; 1 before the first step.
        """
        place = np.searchsorted(self.times, times, side="left" if before else "right")
        return np.concatenate([[1.0], self.survival])[place]

    def estimate(self, time: float, confidence: float = 0.95) -> Estimate:
        """Give the probability at a time with its interval.

        Parameters
        ----------
        time : float
            When.
        confidence : float, optional
            Coverage wanted.

        Returns
        -------
        Estimate
            Interval on the log-log scale; none where the curve is 1 or 0.

        References
        ----------
        Kalbfleisch & Prentice 2002, The statistical analysis of failure time data, section 1.4, doi
        10.1002/9781118032985.
        """
        value = float(self.at(time))
        place = int(np.searchsorted(self.times, time, side="right")) - 1
        if not 0 < value < 1:
            return Estimate(value, confidence=confidence, flags=("no event so far, or nobody left: no interval",))
        deviation = math.sqrt(float(self.greenwood[place]))
        half = normal_quantile(confidence) * deviation / abs(math.log(value))
        low, high = value ** math.exp(half), value ** math.exp(-half)
        return Estimate(value, low, high, value * deviation, confidence, "Kaplan-Meier, log-log")


def censoring_curve(time: Floats, event: NDArray[np.bool_]) -> KaplanMeier:
    """Estimate the probability of being still observed.

    Parameters
    ----------
    time : ndarray of float, shape (n,)
        Time to event or last contact.
    event : ndarray of bool, shape (n,)
        True where the event was seen.

    Returns
    -------
    KaplanMeier
        The curve of censoring. Whoever has the event at a time is no longer at risk of being censored then.
    """
    times = np.unique(time[~event])
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left") - count_at(time[event], times)
    return KaplanMeier.from_counts(times, count_at(time[~event], times), at_risk)


def count_at(values: Floats, at: Floats) -> Floats:
    """Count how often each of some values occurs.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Where they may occur.
    at : ndarray of float, shape (n_at,)
        The values asked for.

    Returns
    -------
    ndarray of float, shape (n_at,)
        The counts.
    """
    ordered = np.sort(values)
    return (np.searchsorted(ordered, at, side="right") - np.searchsorted(ordered, at, side="left")).astype(np.float64)
