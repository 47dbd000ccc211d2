"""Do two ways to measure agree? Bias and limits of agreement.

References
----------
Bland & Altman 1986, doi 10.1016/S0140-6736(86)90837-8; 1999, doi 10.1177/096228029900800204 (intervals of the limits);
2007, doi 10.1080/10543400701329422 (several measurements of a subject).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import confidence_level, finite_vector, patient_codes, same_length
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MULTIPLIER = 1.96
"""Standard deviations from the bias to a limit, for 95 % of differences (Bland & Altman 1999; 2 in 1986)."""


@dataclass(frozen=True)
class LimitsOfAgreement(Record):
    """Bias and limits of agreement of two measurements, in their unit.

    Parameters
    ----------
    bias, lower, upper : Estimate
        Mean of first minus second, and the limits.
    sd : float
        Standard deviation of differences, between and within subjects together.
    slope : float
        Change of the difference per unit of the mean of both: a bias that grows with size.
    slope_p : float
        P value of the slope; NaN with several measurements of a subject.
    n, n_subjects : int
        Pairs of measurements, and subjects.
    flags : tuple of str
        What limits the result.
    """

    bias: Estimate
    lower: Estimate
    upper: Estimate
    sd: float
    slope: float
    slope_p: float
    n: int
    n_subjects: int
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show bias and limits.

        Returns
        -------
        Table
            One row each.
        """
        rows = [("bias", str(self.bias)), ("lower limit", str(self.lower)), ("upper limit", str(self.upper))]
        title = f"Limits of agreement, {self.n} pairs of {self.n_subjects} subjects"
        return Table.of(title, ("", "estimate"), rows, flag_notes(self.flags))


def limits_of_agreement(
    first: ArrayLike,
    second: ArrayLike,
    *,
    subjects: ArrayLike | None = None,
    multiplier: float = MULTIPLIER,
    confidence: float = 0.95,
) -> LimitsOfAgreement:
    """Give bias and limits of agreement.

    Parameters
    ----------
    first, second : array_like of float, shape (n,)
        Measurements of the same things in the same unit.
    subjects : array_like, shape (n,), optional
        Subject of each pair, where some were measured several times; every pair is of another subject if not given.
    multiplier : float, optional
        Standard deviations from the bias to a limit.
    confidence : float, optional
        Coverage wanted of the intervals of bias and limits.

    Returns
    -------
    LimitsOfAgreement
        First minus second.

    Raises
    ------
    InputError
        If the columns do not fit, a value is missing, or there are fewer than two subjects.

    Examples
    --------
    >>> made = limits_of_agreement([10.1, 12.0, 9.4, 11.2], [9.8, 12.4, 9.0, 11.1])
    >>> round(made.bias.value, 3)
    0.1
    """
    confidence_level(confidence)
    a, b = finite_vector(first, "first"), finite_vector(second, "second")
    n = same_length(first=a, second=b)
    code = patient_codes(subjects, n)
    n_subjects = int(code.max()) + 1
    if n_subjects < 2:
        msg = f"limits of agreement need at least two subjects, got {n_subjects}"
        raise InputError(msg)
    gap, middle = a - b, (a + b) / 2
    variance, error = _variances(gap, code, n_subjects)
    sd, bias = math.sqrt(variance), float(gap.mean())
    df = n_subjects - 1
    # Variance of a limit: that of the bias, and of the multiple of the standard deviation (Bland & Altman 1999).
    of_limit = math.sqrt(error**2 + multiplier**2 * variance / (2 * df))
    slope, slope_p = _slope(middle, gap)
    flags = []
    if n_subjects < n:
        slope_p = math.nan
        flags.append(f"{n} pairs of {n_subjects} subjects: limits hold for one measurement of another subject")
    if slope_p < 1 - confidence:
        flags.append(
            "differences change with the size measured: limits are too wide for some sizes, too narrow for others"
        )
    center = _with_t(bias, error, df, confidence)
    lower, upper = (_with_t(bias + sign * multiplier * sd, of_limit, df, confidence) for sign in (-1, 1))
    return LimitsOfAgreement(center, lower, upper, sd, slope, slope_p, n, n_subjects, tuple(flags))


def _variances(gap: Floats, code: NDArray[np.intp], n_subjects: int) -> tuple[float, float]:
    """Variance of one difference and standard error of their mean, from a one-way analysis of subjects."""
    n = len(gap)
    counts = np.bincount(code)
    means = np.bincount(code, weights=gap) / counts
    if n_subjects == n:
        variance = float(gap.var(ddof=1))
        return variance, math.sqrt(variance / n)
    between = float((counts * (means - gap.mean()) ** 2).sum()) / (n_subjects - 1)
    within = float(((gap - means[code]) ** 2).sum()) / (n - n_subjects)
    size = (n - float((counts**2).sum()) / n) / (n_subjects - 1)
    of_subjects = max((between - within) / size, 0.0)
    return of_subjects + within, math.sqrt(of_subjects * float((counts**2).sum()) / n**2 + within / n)


def _slope(x: Floats, y: Floats) -> tuple[float, float]:
    from scipy.special import stdtr

    around = x - x.mean()
    spread = float(around @ around)
    if spread == 0 or len(x) < 3:
        return math.nan, math.nan
    slope = float(around @ y) / spread
    rest = y - y.mean() - slope * around
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / spread)
    return slope, float(2 * stdtr(len(x) - 2, -abs(slope) / error)) if error > 0 else math.nan


def _with_t(value: float, error: float, df: int, confidence: float) -> Estimate:
    from scipy.special import stdtrit

    half = float(stdtrit(df, (1 + confidence) / 2)) * error
    return Estimate(value, value - half, value + half, error, confidence, "t")
