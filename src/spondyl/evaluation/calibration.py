"""Do predicted risks come true: in the large, in slope, along the curve, in bins, and as a score.

A model may rank patients well and still promise wrong risks; a threshold chosen on such risks harms. Weak calibration
(intercept, slope), moderate calibration (ICI, E50, E90 of a smooth curve, expected calibration error of bins) and
proper scores (Brier, log loss) are given together, because none stands for the others (Van Calster 2019,
doi 10.1186/s12916-019-1466-7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, bootstrap, percentile_estimate
from spondyl.evaluation.inputs import binary, normal_quantile, patient_codes, probabilities, same_length
from spondyl.evaluation.proper_scores import NEAR_CERTAIN, log_loss
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes, show
from spondyl.evaluation.regression import loess, logistic_fit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

SPAN = 0.75
"""Share of cases in each neighborhood of the smooth curve (Austin & Steyerberg 2019, section 2.2)."""

CURVE_POINTS = 100
"""Most points at which the smooth curve is fitted; between them it is a straight line. Chosen by us."""

N_BINS = 10
"""Bins of the expected calibration error, of equal width (Guo 2017, arXiv 1706.04599, used 15; MR papers use 10)."""


@dataclass(frozen=True, eq=False)
class CalibrationBins(Record):
    """Predicted against observed risk in bins.

    Parameters
    ----------
    low, high : ndarray of float, shape (n_bins,)
        Ends of the bins, in probability; a bin holds its upper end, the first its lower as well.
    count : ndarray of int, shape (n_bins,)
        Cases in each.
    predicted, observed : ndarray of float, shape (n_bins,)
        Mean probability and share of positives; NaN in an empty bin.
    """

    low: Floats
    high: Floats
    count: NDArray[np.int_]
    predicted: Floats
    observed: Floats

    @property
    def gaps(self) -> Floats:
        """Distance of predicted and observed risk in the bins that hold cases."""
        return np.abs(self.predicted - self.observed)[self.count > 0]

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean gap, each bin weighted by its cases."""
        used = self.count[self.count > 0]
        return float(self.gaps @ used / used.sum())

    @property
    def maximum_error(self) -> float:
        """Maximum calibration error: the largest gap of a bin."""
        return float(self.gaps.max())

    def table(self) -> Table:
        """Show the bins.

        Returns
        -------
        Table
            One row per bin.
        """
        rows = list(zip(self.low, self.high, self.count, self.predicted, self.observed, strict=True))
        return Table.of("Calibration in bins", ("from", "to", "cases", "predicted", "observed"), rows)


@dataclass(frozen=True, eq=False)
class Calibration(Record):
    """How well predicted risks come true.

    Parameters
    ----------
    n_cases, n_positive : int
        Cases, and those of them that are positive.
    mean_probability : float
        Mean predicted risk.
    observed_to_expected : float
        Positives over the sum of predicted risks; 1 is ideal.
    intercept : Estimate
        Calibration in the large: intercept of a logistic model with the logit as offset; 0 is ideal.
    slope : Estimate
        Slope of a logistic model on the logit; 1 is ideal, below 1 the risks are too extreme.
    ici, e50, e90, emax : float
        Mean, median, 90th percentile and maximum distance of the smooth calibration curve from the diagonal.
    expected_error, maximum_error : float
        Mean and largest gap of `bins`.
    brier, scaled_brier, log_loss : float
        Mean squared error; share of the error of always predicting the prevalence that is avoided; mean
        negative log-likelihood in nats.
    bins : CalibrationBins
        The bins.
    curve_predicted, curve_observed : ndarray of float, shape (n_points,)
        The smooth curve.
    flags : tuple of str
        What limits the result.
    """

    n_cases: int
    n_positive: int
    mean_probability: float
    observed_to_expected: float
    intercept: Estimate
    slope: Estimate
    ici: float
    e50: float
    e90: float
    emax: float
    expected_error: float
    maximum_error: float
    brier: float
    scaled_brier: float
    log_loss: float
    bins: CalibrationBins
    curve_predicted: Floats
    curve_observed: Floats
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the measures with their ideal values.

        Returns
        -------
        Table
            One row per measure.
        """
        rows = [
            ("observed / expected", show(self.observed_to_expected), "1"),
            ("intercept", str(self.intercept), "0"),
            ("slope", str(self.slope), "1"),
            ("ICI", show(self.ici), "0"),
            ("E50", show(self.e50), "0"),
            ("E90", show(self.e90), "0"),
            ("expected calibration error", show(self.expected_error), "0"),
            ("Brier score", show(self.brier), "0"),
            ("scaled Brier score", show(self.scaled_brier), "1"),
            ("log loss", show(self.log_loss), "0"),
        ]
        counts = (
            f"{self.n_positive} positive of {self.n_cases} cases; mean predicted risk {show(self.mean_probability)}"
        )
        return Table.of("Calibration", ("measure", "value", "ideal"), rows, (counts, *flag_notes(self.flags)))


def calibration(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    n_bins: int = N_BINS,
    confidence: float = 0.95,
) -> Calibration:
    """Measure how well predicted risks come true.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    probability : array_like of float, shape (n_cases,)
        Predicted risk, from 0 to 1.
    patients : array_like, shape (n_cases,), optional
        Patient of each case; intervals then allow for correlation inside patients.
    n_bins : int, optional
        Bins of the calibration error.
    confidence : float, optional
        Coverage wanted of the intervals.

    Returns
    -------
    Calibration
        The measures. With one class only, what needs both is not assessable, and flagged.

    Raises
    ------
    InputError
        If the columns do not fit or a probability lies outside 0 to 1.

    References
    ----------
    Cox 1958, doi 10.1093/biomet/45.3-4.562 (intercept, slope). Austin & Steyerberg 2019, doi 10.1002/sim.8281 (ICI,
    E50, E90). Brier 1950, Mon Weather Rev 78:1.
    """
    positive, p = _columns(truth, probability)
    codes = patient_codes(patients, len(p))
    cluster = codes if codes.max() + 1 < len(p) else None
    bins = calibration_bins(positive, p, n_bins=n_bins)
    prevalence = float(positive.mean())
    brier = float(((p - positive) ** 2).mean())
    intercept, slope, flags = _weak(positive, p, cluster, confidence)
    points, curve = smooth_curve(positive, p)
    distance = np.abs(np.interp(p, points, curve) - p)
    return Calibration(
        n_cases=len(p),
        n_positive=int(positive.sum()),
        mean_probability=float(p.mean()),
        observed_to_expected=prevalence / float(p.mean()) if p.any() else math.nan,
        intercept=intercept,
        slope=slope,
        ici=float(distance.mean()),
        e50=float(np.median(distance)),
        e90=float(np.quantile(distance, 0.9)),
        emax=float(distance.max()),
        expected_error=bins.expected_error,
        maximum_error=bins.maximum_error,
        brier=brier,
        scaled_brier=1 - brier / (prevalence * (1 - prevalence)) if 0 < prevalence < 1 else math.nan,
        log_loss=log_loss(positive, p),
        bins=bins,
        curve_predicted=points,
        curve_observed=curve,
        flags=flags,
    )


def calibration_intervals(
    truth: ArrayLike,
    probability: ArrayLike,
    *,
    patients: ArrayLike | None = None,
    n_bins: int = N_BINS,
    resampling: Resampling = STANDARD,
) -> dict[str, Estimate]:
    """Give the measures that have no standard error with intervals over resampled patients.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    probability : array_like of float, shape (n_cases,)
        Predicted risk, from 0 to 1.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    n_bins : int, optional
        Bins of the calibration error.
    resampling : Resampling, optional
        How the intervals are made.

    Returns
    -------
    dict of str to Estimate
        ``ici``, ``e50``, ``e90``, ``expected_error``, ``brier``, ``log_loss``. All but the last two are distances
        and so biased upward in small samples: their interval may lie above the value.

    Raises
    ------
    InputError
        If the columns do not fit or a probability lies outside 0 to 1.
    """
    positive, p = _columns(truth, probability)
    codes = patient_codes(patients, len(p))
    names = ("ici", "e50", "e90", "expected_error", "brier", "log_loss")

    def measures(rows: NDArray[np.intp]) -> Floats:
        y, q = positive[rows], p[rows]
        distance = np.abs(np.interp(q, *smooth_curve(y, q)) - q)
        bins = calibration_bins(y, q, n_bins=n_bins)
        values = (distance.mean(), np.median(distance), np.quantile(distance, 0.9), bins.expected_error)
        return np.array([*values, ((q - y) ** 2).mean(), log_loss(y, q)])

    whole = measures(np.arange(len(p)))
    resampled = bootstrap(measures, codes, resampling)
    return {name: percentile_estimate(float(whole[i]), resampled[:, i], resampling) for i, name in enumerate(names)}


def calibration_bins(
    truth: ArrayLike, probability: ArrayLike, *, n_bins: int = N_BINS, equal_counts: bool = False
) -> CalibrationBins:
    """Compare predicted and observed risk in bins.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive; for the top-label error of several classes, whether the prediction was right.
    probability : array_like of float, shape (n_cases,)
        Predicted risk; for several classes, the confidence in the class predicted.
    n_bins : int, optional
        Number of bins.
    equal_counts : bool, optional
        True makes bins of equal numbers of cases rather than of equal width.

    Returns
    -------
    CalibrationBins
        The bins, empty ones included.

    Raises
    ------
    InputError
        If the columns do not fit or a probability lies outside 0 to 1.
    SettingsError
        If there is no bin.

    References
    ----------
    Naeini 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI 29 (expected, maximum error).
    """
    if n_bins < 1:
        msg = f"n_bins must be at least 1, got {n_bins}"
        raise SettingsError(msg)
    positive, p = _columns(truth, probability)
    at = np.linspace(0, 1, n_bins + 1)
    edges = np.unique(np.quantile(p, at)) if equal_counts else at
    edges = edges if len(edges) > 1 else np.array([edges[0], edges[0]])
    n = len(edges) - 1
    index = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, n - 1)
    count = np.bincount(index, minlength=n)
    divisor = np.where(count > 0, count, np.nan)
    predicted = np.bincount(index, weights=p, minlength=n) / divisor
    observed = np.bincount(index, weights=positive, minlength=n) / divisor
    return CalibrationBins(edges[:-1], edges[1:], count, predicted, observed)


def expected_calibration_error(truth: ArrayLike, probability: ArrayLike, *, n_bins: int = N_BINS) -> float:
    """Give the expected calibration error over bins of equal width.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive; for several classes, whether the prediction was right.
    probability : array_like of float, shape (n_cases,)
        Predicted risk; for several classes, the confidence in the class predicted.
    n_bins : int, optional
        Number of bins.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    InputError
        If the columns do not fit or a probability lies outside 0 to 1.
    """
    return calibration_bins(truth, probability, n_bins=n_bins).expected_error


def smooth_curve(outcome: NDArray[Any], probability: Floats, span: float = SPAN) -> tuple[Floats, Floats]:
    """Smooth the outcome over predicted risk.

    Parameters
    ----------
    outcome : ndarray of bool, or of float (pseudo-values), shape (n_cases,)
        What came of each case.
    probability : ndarray of float, shape (n_cases,)
        Predicted risk.
    span : float, optional
        Share of cases in each neighborhood.

    Returns
    -------
    points : ndarray of float, shape (n_points,)
        Distinct predicted risks, or quantiles of them where there are many.
    observed : ndarray of float, shape (n_points,)
        Smooth observed risk there, from 0 to 1.

    References
    ----------
    Austin & Steyerberg 2014, doi 10.1002/sim.5941: local regression as the calibration curve.
    """
    points = np.unique(probability)
    if len(points) > CURVE_POINTS:
        points = np.unique(np.quantile(points, np.linspace(0, 1, CURVE_POINTS)))
    return points, np.clip(loess(probability, outcome.astype(np.float64), points, span), 0, 1)


def _columns(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    positive, p = binary(truth), probabilities(probability)
    same_length(truth=positive, probability=p)
    return positive, p


def _weak(
    positive: NDArray[np.bool_], p: Floats, cluster: NDArray[np.intp] | None, confidence: float
) -> tuple[Estimate, Estimate, tuple[str, ...]]:
    """Intercept and slope of recalibration, with what limits them."""
    flags = []
    if ((p < NEAR_CERTAIN) | (p > 1 - NEAR_CERTAIN)).any():
        flags.append(f"risks of 0 or 1 were moved to {NEAR_CERTAIN:g} from the end for the logarithm")
    softened = np.clip(p, NEAR_CERTAIN, 1 - NEAR_CERTAIN)
    logit = np.log(softened / (1 - softened))
    ones = np.ones((len(p), 1))
    large = logistic_fit(ones, positive, logit, cluster)
    line = logistic_fit(np.column_stack([ones, logit]), positive, 0.0, cluster)
    if cluster is not None and not cluster.any():
        flags.append("one patient: intercept and slope have no interval")
    if positive.all() or not positive.any():
        flags.append("one class only: intercept, slope and scaled Brier score are not assessable")
    elif not line.converged:
        flags.append("no slope: the risks are all the same, or separate the classes perfectly")
    method = "sandwich over patients" if cluster is not None else "maximum likelihood"
    return (
        _wald(large.coefficients[0], large.covariance[0, 0], confidence, method),
        _wald(line.coefficients[1], line.covariance[1, 1], confidence, method),
        tuple(flags),
    )


def _wald(value: float, variance: float, confidence: float, method: str) -> Estimate:
    error = float(np.sqrt(variance))
    half = normal_quantile(confidence) * error
    return Estimate(float(value), float(value) - half, float(value) + half, error, confidence, method)
