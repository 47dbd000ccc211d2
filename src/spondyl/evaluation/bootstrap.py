"""Resampling of patients: every case of a drawn patient comes along, so that intervals respect the clustering."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError
from spondyl.evaluation.inputs import confidence_level
from spondyl.evaluation.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

UNDEFINED_SHARE = 0.05
"""Share of resamples without a value (one class only) above which an interval is flagged. Chosen by us."""

CHUNK = 4_000_000
"""Numbers that one block of resampled weights may hold, about 32 MB. Chosen by us."""


@dataclass(frozen=True)
class Resampling:
    """How an interval is made by resampling.

    Parameters
    ----------
    n_resamples : int
        Resamples. Efron & Tibshirani 1993, section 13.3, ask for 1000 or more for percentiles; doubled, chosen by us.
    seed : int
        Seed of the draw; the same seed gives the same interval.
    confidence : float
        Coverage wanted.

    Raises
    ------
    SettingsError
        If there are fewer than two resamples, or the confidence does not lie between 0 and 1.
    """

    n_resamples: int = 2000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        confidence_level(self.confidence)
        if self.n_resamples < 2:
            msg = f"n_resamples must be at least 2, got {self.n_resamples}"
            raise SettingsError(msg)

    @property
    def tails(self) -> tuple[float, float]:
        """The two quantiles that enclose the interval."""
        tail = (1 - self.confidence) / 2
        return tail, 1 - tail


STANDARD = Resampling()
"""Used where nothing else is asked for."""


def draw_counts(n_patients: int, resampling: Resampling = STANDARD, row_size: int = 1) -> Iterator[NDArray[np.float64]]:
    """Draw how often each patient enters each resample.

    Parameters
    ----------
    n_patients : int
        Patients to draw from, with replacement, as many as there are.
    resampling : Resampling, optional
        Resamples and seed.
    row_size : int, optional
        Numbers that the caller makes of each row, which keeps the blocks small enough for them.

    Yields
    ------
    ndarray of float, shape (n_block, n_patients)
        Counts; the blocks together hold one row per resample.
    """
    rng = np.random.default_rng(resampling.seed)
    block = max(1, CHUNK // max(n_patients, row_size))
    for start in range(0, resampling.n_resamples, block):
        rows = min(block, resampling.n_resamples - start)
        draws = rng.integers(n_patients, size=(rows, n_patients)) + np.arange(rows)[:, None] * n_patients
        yield np.bincount(draws.ravel(), minlength=rows * n_patients).reshape(rows, n_patients).astype(np.float64)


def resample_rows(patient: NDArray[np.intp], resampling: Resampling = STANDARD) -> Iterator[NDArray[np.intp]]:
    """Draw patients and give the rows of their cases.

    Parameters
    ----------
    patient : ndarray of int, shape (n_cases,)
        Number of the patient of each case, from 0 without gaps.
    resampling : Resampling, optional
        Resamples and seed.

    Yields
    ------
    ndarray of int
        Row numbers; a case occurs as often as its patient was drawn.
    """
    rows = np.arange(len(patient))
    for block in draw_counts(int(patient.max()) + 1, resampling):
        for counts in block.astype(np.intp):
            yield np.repeat(rows, counts[patient])


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], Floats | float],
    patient: NDArray[np.intp],
    resampling: Resampling = STANDARD,
) -> Floats:
    """Evaluate a statistic on resampled patients.

    Parameters
    ----------
    statistic : callable
        Takes row numbers of the cases drawn, with repeats; gives a number or several. NaN where it is not defined.
    patient : ndarray of int, shape (n_cases,)
        Number of the patient of each case, from 0 without gaps.
    resampling : Resampling, optional
        Resamples and seed.

    Returns
    -------
    ndarray of float, shape (n_resamples, n_statistics)
        One row per resample.
    """
    return np.array([np.atleast_1d(statistic(rows)) for rows in resample_rows(patient, resampling)])


def percentile_estimate(value: float, resampled: Floats, resampling: Resampling = STANDARD) -> Estimate:
    """Make an interval of resampled values.

    Parameters
    ----------
    value : float
        The statistic on the data.
    resampled : ndarray of float, shape (n_resamples,)
        The statistic on the resamples; NaN where it was not defined.
    resampling : Resampling, optional
        How they were drawn, with the coverage wanted.

    Returns
    -------
    Estimate
        Percentile interval. Resamples without a value are left out, and said so where they are many.
    """
    confidence = resampling.confidence
    defined = resampled[~np.isnan(resampled)]
    method = f"percentile bootstrap over patients, {len(resampled)} resamples"
    if len(defined) < 2 or math.isnan(value):
        flag = "too few resamples have a value: no interval"
        return Estimate(value, confidence=confidence, method=method, flags=(flag,))
    low, high = np.quantile(defined, resampling.tails)
    lost = 1 - len(defined) / len(resampled)
    flags = (f"{lost:.0%} of the resamples have no value and were left out",) if lost > UNDEFINED_SHARE else ()
    return Estimate(value, float(low), float(high), float(defined.std(ddof=1)), confidence, method, flags)


def mean_estimate(values: Floats, patient: NDArray[np.intp], resampling: Resampling = STANDARD) -> Estimate:
    """Give a mean with an interval over resampled patients.

    Parameters
    ----------
    values : ndarray of float, shape (n_cases,)
        One value per case; NaN is left out, infinity gives an infinite mean without an interval.
    patient : ndarray of int, shape (n_cases,)
        Number of the patient of each case, from 0 without gaps.
    resampling : Resampling, optional
        How the interval is made.

    Returns
    -------
    Estimate
        Mean over cases.
    """
    known = ~np.isnan(values)
    if not known.any():
        return Estimate(math.nan, confidence=resampling.confidence, flags=("no case has a value",))
    value = float(values[known].mean())
    if math.isinf(value):
        return Estimate(value, confidence=resampling.confidence, flags=("an infinite value leaves no interval",))
    n = int(patient.max()) + 1
    sums = np.bincount(patient[known], weights=values[known], minlength=n)
    sizes = np.bincount(patient[known], minlength=n).astype(np.float64)
    with np.errstate(invalid="ignore"):
        resampled = np.concatenate([c @ sums / (c @ sizes) for c in draw_counts(n, resampling)])
    return percentile_estimate(value, resampled, resampling)
