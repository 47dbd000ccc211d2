"""Is one better than the other: paired tests, and what many tests at once are worth.

Areas under ROC curves are compared in `spondyl.evaluation.roc`; here are the tests for right and wrong answers, for any
other statistic by resampling patients, and for many tests at once. Margins are in `spondyl.evaluation.margins`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, bootstrap, percentile_estimate
from spondyl.evaluation.inputs import binary, normal_quantile, patient_codes, same_length, two_sided_p
from spondyl.evaluation.records import Difference, Record
from spondyl.evaluation.roc import wald_difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class McNemar(Record):
    """A test of two answers to the same cases.

    Parameters
    ----------
    first_only, second_only : int
        Cases that only the first, or only the second, answered rightly.
    statistic : float
        Chi-square with one degree of freedom; NaN for the exact tests.
    p_value : float
        Two-sided.
    method : str
        Which of the forms.
    """

    first_only: int
    second_only: int
    statistic: float
    p_value: float
    method: str


def mcnemar(first_only: int, second_only: int, method: str = "exact") -> McNemar:
    """Test whether two answers to the same cases are right equally often.

    Parameters
    ----------
    first_only, second_only : int
        Cases that only the first, or only the second, answered rightly.
    method : str, optional
        ``"exact"`` (binomial), ``"mid-p"`` (binomial, less conservative), ``"chi2"``, or ``"corrected"`` (chi-square
        with continuity correction).

    Returns
    -------
    McNemar
        With p = 1 where the answers never differ.

    Raises
    ------
    SettingsError
        If there is no such method.
    InputError
        If a count is negative.

    References
    ----------
    McNemar 1947, doi 10.1007/BF02295996; Fagerland 2013, doi 10.1186/1471-2288-13-91 (mid-p).
    """
    from scipy import stats

    b, c = first_only, second_only
    if min(b, c) < 0:
        msg = f"counts must not be negative, got {b} and {c}"
        raise InputError(msg)
    if method not in {"exact", "mid-p", "chi2", "corrected"}:
        msg = f"method must be exact, mid-p, chi2 or corrected; got {method!r}"
        raise SettingsError(msg)
    if b + c == 0:
        return McNemar(b, c, 0.0, 1.0, method)
    if method in {"exact", "mid-p"}:
        law = stats.binom(b + c, 0.5)
        p = 2 * float(law.cdf(min(b, c))) - (float(law.pmf(min(b, c))) if method == "mid-p" else 0.0)
        return McNemar(b, c, math.nan, min(p, 1.0), method)
    gap = abs(b - c) if method == "chi2" else max(abs(b - c) - 1, 0)
    return McNemar(b, c, gap**2 / (b + c), two_sided_p(gap / math.sqrt(b + c)), method)


def paired_shares(
    first_right: ArrayLike, second_right: ArrayLike, *, patients: ArrayLike | None = None, confidence: float = 0.95
) -> Difference:
    """Compare how often two answers to the same cases are right.

    Give only the positive cases to compare sensitivities, only the negative ones for specificities.

    Parameters
    ----------
    first_right, second_right : array_like of bool, shape (n_cases,)
        Whether each answer was right.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Difference
        Share of the first less that of the second. Tango's score interval and McNemar's chi-square; where patients
        repeat, the interval and test over sums of patients (Obuchowski 1998).

    Raises
    ------
    InputError
        If the columns do not fit.

    References
    ----------
    Tango 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B; Obuchowski 1998, On the
    comparison of correlated proportions for clustered data, doi
    10.1002/(SICI)1097-0258(19980715)17:13<1495::AID-SIM863>3.0.CO;2-I.
    """
    a, b = binary(first_right, "first_right"), binary(second_right, "second_right")
    n = same_length(first_right=a, second_right=b)
    gap = a.astype(np.float64) - b
    codes = patient_codes(patients, n)
    n_patients = int(codes.max()) + 1
    names = ("first", "second")
    if n_patients < n:
        sums = np.bincount(codes, weights=gap - gap.mean(), minlength=n_patients)
        variance = n_patients / max(n_patients - 1, 1) * float(sums @ sums) / n**2
        return wald_difference(names, float(gap.mean()), variance, confidence, "Obuchowski, clustered by patient")
    only = int((gap > 0).sum()), int((gap < 0).sum())
    test = mcnemar(*only, method="chi2")
    low, high = tango_interval(*only, n, confidence)
    z = math.copysign(math.sqrt(test.statistic), gap.mean())
    error = math.sqrt(max((sum(only) - (only[0] - only[1]) ** 2 / n), 0.0)) / n
    method = "McNemar, interval of Tango"
    return Difference(*names, float(gap.mean()), low, high, error, z, test.p_value, confidence, method)


def tango_statistic(first_only: int, second_only: int, n: int, difference: float) -> float:
    """Give the score statistic of a difference of paired shares.

    Parameters
    ----------
    first_only, second_only : int
        Cases that only the first, or only the second, answered rightly.
    n : int
        All cases.
    difference : float
        Difference (first less second) under test, inside -1 to 1.

    Returns
    -------
    float
        Standard normal under that difference; 0 is McNemar's test.

    References
    ----------
    Tango 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    b, c, d = first_only, second_only, difference
    linear = -b - c + (2 * n - b + c) * d
    constant = -c * d * (1 - d)
    second_share = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * second_share + d * (1 - d))
    gap = b - c - n * d
    if variance <= 0:
        return 0.0 if gap == 0 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def tango_interval(first_only: int, second_only: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give the score interval of a difference of paired shares.

    Parameters
    ----------
    first_only, second_only : int
        Cases that only the first, or only the second, answered rightly.
    n : int
        All cases.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    low, high : float
        The differences that the score test does not reject.

    References
    ----------
    Tango 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """
    from scipy.optimize import brentq

    z, value, edge = normal_quantile(confidence), (first_only - second_only) / n, 1 - 1e-12

    def excess(d: float, wanted: float) -> float:
        return min(max(tango_statistic(first_only, second_only, n, d), -1e6), 1e6) - wanted

    low = -1.0 if value <= -edge else float(brentq(excess, -edge, min(value, edge), args=(z,)))
    high = 1.0 if value >= edge else float(brentq(excess, max(value, -edge), edge, args=(-z,)))
    return low, high


def bootstrap_difference(
    statistic: Callable[[NDArray[np.intp]], tuple[float, float]],
    n_cases: int,
    *,
    patients: ArrayLike | None = None,
    names: tuple[str, str] = ("first", "second"),
    resampling: Resampling = STANDARD,
) -> Difference:
    """Compare any statistic of two models on the same cases by resampling patients.

    Parameters
    ----------
    statistic : callable
        Takes row numbers of the cases drawn, with repeats; gives the statistic of the first and of the second.
    n_cases : int
        Number of cases.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    names : tuple of str, optional
        What is compared.
    resampling : Resampling, optional
        How the interval is made.

    Returns
    -------
    Difference
        Percentile interval; p is twice the smaller share of resamples on either side of zero, never less than what
        their number can show.
    """
    codes = patient_codes(patients, n_cases)
    first, second = statistic(np.arange(n_cases))
    drawn = bootstrap(lambda rows: np.subtract(*statistic(rows)), codes, resampling)[:, 0]
    estimate = percentile_estimate(float(first - second), drawn, resampling)
    known = drawn[~np.isnan(drawn)]
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    p = min(1.0, 2 * (beyond + 1) / (len(known) + 1))
    return Difference(
        *names,
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.standard_error,
        math.nan,
        p,
        resampling.confidence,
        estimate.method,
        estimate.flags,
    )


def holm(p_values: Sequence[float]) -> Floats:
    """Adjust p values so that the chance of any false alarm stays at the level.

    Parameters
    ----------
    p_values : sequence of float
        From 0 to 1; NaN (not testable) stays and does not count.

    Returns
    -------
    ndarray of float
        Adjusted, in the same order.

    Raises
    ------
    InputError
        If one lies outside 0 to 1.

    References
    ----------
    Holm 1979, Scand J Stat 6:65, https://www.jstor.org/stable/4615733.
    """
    return _adjust(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[float]) -> Floats:
    """Adjust p values so that the share of false alarms among alarms stays at the level.

    Parameters
    ----------
    p_values : sequence of float
        From 0 to 1; NaN (not testable) stays and does not count.

    Returns
    -------
    ndarray of float
        Adjusted, in the same order.

    Raises
    ------
    InputError
        If one lies outside 0 to 1.

    References
    ----------
    Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x.
    """
    return _adjust(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjust(p_values: Sequence[float], rule: Callable[[Floats], Floats]) -> Floats:
    p = np.array(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    if ((p[known] < 0) | (p[known] > 1)).any():
        msg = "p values must lie from 0 to 1"
        raise InputError(msg)
    order = known[np.argsort(p[known], kind="stable")]
    if order.size:
        p[order] = np.minimum(rule(p[order]), 1.0)
    return p
