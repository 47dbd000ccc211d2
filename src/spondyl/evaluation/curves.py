"""ROC and precision-recall curves, partial areas, and their intervals by resampling patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, bootstrap, percentile_estimate
from spondyl.evaluation.inputs import binary, finite_vector, patient_codes, same_length
from spondyl.evaluation.records import Estimate, Record, Table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BAND_POINTS = 101
"""Points at which the band of a curve is given, 0 to 1 in steps of one percent. Chosen by us."""


@dataclass(frozen=True, eq=False)
class RocCurve(Record):
    """An empirical ROC curve, from (0, 0) to (1, 1).

    Parameters
    ----------
    thresholds : ndarray of float, shape (n_points,)
        Falling; a case is called positive at or above the threshold. The first is infinite.
    false_positive_rate, sensitivity : ndarray of float, shape (n_points,)
        The curve.
    """

    thresholds: Floats
    false_positive_rate: Floats
    sensitivity: Floats

    def area(self, lowest_specificity: float = 0.0, highest_specificity: float = 1.0) -> float:
        """Give the area under a part of the curve.

        Parameters
        ----------
        lowest_specificity, highest_specificity : float, optional
            The part.

        Returns
        -------
        float
            Trapezoidal area over false positive rates; at most the width of the part.
        """
        return _area_between(
            self.false_positive_rate, self.sensitivity, 1 - highest_specificity, 1 - lowest_specificity
        )

    def sensitivity_at(self, specificity: float) -> float:
        """Give the best sensitivity that keeps a specificity.

        Parameters
        ----------
        specificity : float
            The least specificity allowed.

        Returns
        -------
        float
            Sensitivity of an operating point that exists; nothing is interpolated.
        """
        return float(self.sensitivity[self.false_positive_rate <= 1 - specificity + 1e-12].max())

    def table(self) -> Table:
        """Show the curve.

        Returns
        -------
        Table
            One row per operating point.
        """
        rows = list(zip(self.thresholds, self.sensitivity, 1 - self.false_positive_rate, strict=True))
        return Table.of("ROC curve", ("threshold", "sensitivity", "specificity"), rows)


@dataclass(frozen=True, eq=False)
class PrecisionRecall(Record):
    """A precision-recall curve.

    Parameters
    ----------
    thresholds : ndarray of float, shape (n_points,)
        Falling; a case is called positive at or above the threshold.
    recall, precision : ndarray of float, shape (n_points,)
        The curve.
    prevalence : float
        Precision of calling every case positive.
    average_precision : Estimate
        Area as a sum of steps (never by trapezoids, which promise too much), with its interval.
    """

    thresholds: Floats
    recall: Floats
    precision: Floats
    prevalence: float
    average_precision: Estimate


@dataclass(frozen=True, eq=False)
class CurveBand(Record):
    """A curve with a pointwise interval.

    Parameters
    ----------
    x, y, low, high : ndarray of float, shape (n_points,)
        The curve and the interval of its height at each `x`.
    confidence : float
        Coverage wanted at each point.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats
    confidence: float


def roc_curve(truth: ArrayLike, score: ArrayLike) -> RocCurve:
    """Give the empirical ROC curve.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious.

    Returns
    -------
    RocCurve
        A point for each distinct score.

    Raises
    ------
    InputError
        If only one class occurs, or the columns do not fit.
    """
    positive, values = _columns(truth, score)
    return _roc(positive, values)


def partial_area(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    specificity: tuple[float, float] = (0.9, 1.0),
    standardized: bool = False,
    patients: ArrayLike | None = None,
    resampling: Resampling = STANDARD,
) -> Estimate:
    """Give the area under the part of the ROC curve between two specificities.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious.
    specificity : tuple of float, optional
        Lowest and highest specificity.
    standardized : bool, optional
        True maps the area so that chance is 0.5 and perfect is 1 (McClish).
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    resampling : Resampling, optional
        How the interval is made.

    Returns
    -------
    Estimate
        With a percentile interval over patients.

    Raises
    ------
    InputError
        If only one class occurs, or the columns do not fit.
    SettingsError
        If the specificities are not rising inside 0 to 1.

    References
    ----------
    McClish 1989, doi 10.1177/0272989X8900900307.
    """
    low, high = specificity
    if not 0 <= low < high <= 1:
        msg = f"specificity must be a rising pair inside 0 to 1, such as (0.9, 1.0); got {specificity}"
        raise SettingsError(msg)
    positive, values = _columns(truth, score)
    codes = patient_codes(patients, len(positive))

    def area(rows: NDArray[np.intp]) -> float:
        y = positive[rows]
        if y.all() or not y.any():
            return np.nan
        part = _roc(y, values[rows]).area(low, high)
        return _mcclish(part, 1 - high, 1 - low) if standardized else part

    whole = area(np.arange(len(positive)))
    resampled = bootstrap(area, codes, resampling)[:, 0]
    return percentile_estimate(float(whole), resampled, resampling)


def precision_recall(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    resampling: Resampling = STANDARD,
) -> PrecisionRecall:
    """Give the precision-recall curve and the average precision.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    resampling : Resampling, optional
        How the interval is made.

    Returns
    -------
    PrecisionRecall
        The curve, and the average precision with a percentile interval over patients.

    Raises
    ------
    InputError
        If only one class occurs, or the columns do not fit.

    References
    ----------
    Davis & Goadrich 2006, doi 10.1145/1143844.1143874: why points of the curve are not joined by straight lines.
    """
    positive, values = _columns(truth, score)
    codes = patient_codes(patients, len(positive))

    def average(rows: NDArray[np.intp]) -> float:
        y = positive[rows]
        return average_precision(y, values[rows]) if y.any() else np.nan

    resampled = bootstrap(average, codes, resampling)[:, 0]
    estimate = percentile_estimate(average_precision(positive, values), resampled, resampling)
    thresholds, hits, alarms = _counts(positive, values)
    return PrecisionRecall(thresholds, hits / hits[-1], hits / (hits + alarms), float(positive.mean()), estimate)


def average_precision(positive: NDArray[np.bool_], score: Floats) -> float:
    """Sum precision over the steps of recall.

    Parameters
    ----------
    positive : ndarray of bool, shape (n_cases,)
        True for positive; at least one.
    score : ndarray of float, shape (n_cases,)
        Higher is more suspicious.

    Returns
    -------
    float
        Average precision; tied scores make one step.
    """
    _, hits, alarms = _counts(positive, score)
    steps = np.diff(hits, prepend=0.0) / hits[-1]
    return float(steps @ (hits / (hits + alarms)))


def roc_band(
    truth: ArrayLike,
    score: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    resampling: Resampling = STANDARD,
) -> CurveBand:
    """Give the ROC curve with a pointwise band.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    resampling : Resampling, optional
        How the band is made.

    Returns
    -------
    CurveBand
        Sensitivity over false positive rates, with a percentile band over patients.

    Raises
    ------
    InputError
        If only one class occurs, or the columns do not fit.
    """
    positive, values = _columns(truth, score)
    codes = patient_codes(patients, len(positive))
    at = np.linspace(0, 1, BAND_POINTS)

    def heights(rows: NDArray[np.intp]) -> Floats:
        y = positive[rows]
        if y.all() or not y.any():
            return np.full(BAND_POINTS, np.nan)
        curve = _roc(y, values[rows])
        return curve.sensitivity[np.searchsorted(curve.false_positive_rate, at + 1e-12, side="right") - 1]

    resampled = bootstrap(heights, codes, resampling)
    low, high = np.nanquantile(resampled, resampling.tails, axis=0)
    return CurveBand(at, heights(np.arange(len(positive))), low, high, resampling.confidence)


def _columns(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    positive, values = binary(truth, both=True), finite_vector(score, "score")
    same_length(truth=positive, score=values)
    return positive, values


def _counts(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores falling, with the positives and negatives at or above each."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positive[order])[last].astype(np.float64)
    return ranked[last], hits, last + 1 - hits


def _roc(positive: NDArray[np.bool_], score: Floats) -> RocCurve:
    thresholds, hits, alarms = _counts(positive, score)
    return RocCurve(
        np.concatenate([[np.inf], thresholds]),
        np.concatenate([[0.0], alarms / alarms[-1]]),
        np.concatenate([[0.0], hits / hits[-1]]),
    )


def _area_between(x: Floats, y: Floats, left: float, right: float) -> float:
    """Trapezoidal area under a polyline that may rise vertically at its ends."""
    inside = (x > left) & (x < right)
    # Where the line rises vertically at `left`, the part begins at its top; at `right` it ends at its foot.
    at_left = float(np.interp(left, x, y)) if left not in x else float(y[x == left].max())
    at_right = float(np.interp(right, x, y)) if right not in x else float(y[x == right].min())
    xs = np.concatenate([[left], x[inside], [right]])
    ys = np.concatenate([[at_left], y[inside], [at_right]])
    return float(np.trapezoid(ys, xs))


def _mcclish(area: float, left: float, right: float) -> float:
    least, most = (right**2 - left**2) / 2, right - left
    return (1 + (area - least) / (most - least)) / 2
