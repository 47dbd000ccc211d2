"""Areas under ROC curves of many models: values, covariance, intervals, paired and unpaired tests.

`roc_areas` gives the areas with DeLong's covariance or, where patients have several cases, Obuchowski's; everything
else follows from that pair. The curve itself, partial areas and precision-recall are in `spondyl.evaluation.curves`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import binary, confidence_level, normal_quantile, patient_codes, two_sided_p
from spondyl.evaluation.records import Difference, Estimate, Record, Table, flag_notes
from spondyl.evaluation.ustatistics import clustered_covariance, placements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ZERO_VARIANCE = 1e-15
"""Variances of an area up to this count as none: squared rounding of 1e-8 of the statistic. Chosen by us."""

NEAR_EDGE = 1e-12
"""How near to 0 and 1 the search for an interval's end begins; far below what is printed. Chosen by us."""

FEW_CASES = 10
"""With fewer cases in a class an asymptotic interval is doubtful and flagged. Chosen by us."""


@dataclass(frozen=True, eq=False)
class RocAreas(Record):
    """Areas under the empirical ROC curves of models read on the same cases.

    Parameters
    ----------
    names : tuple of str
        The models.
    areas : ndarray of float, shape (n_models,)
        Area of each.
    covariance : ndarray of float, shape (n_models, n_models)
        Covariance of the areas.
    n_positive, n_negative : int
        Cases of each class.
    n_patients : int
        Patients behind them.
    method : str
        Where the covariance comes from.
    flags : tuple of str
        What limits the result.
    """

    names: tuple[str, ...]
    areas: Floats
    covariance: Floats
    n_positive: int
    n_negative: int
    n_patients: int
    method: str = "DeLong"
    flags: tuple[str, ...] = ()

    def estimate(self, name: str | None = None, confidence: float = 0.95) -> Estimate:
        """Give one area with its interval.

        Parameters
        ----------
        name : str, optional
            The model; may be left out where there is one.
        confidence : float, optional
            Coverage wanted.

        Returns
        -------
        Estimate
            Wald interval cut at 0 and 1; where the scores leave no variance to estimate (perfect separation, one case
            of a class), the interval of Newcombe's method 5, and a flag.

        References
        ----------
        Newcombe 2006, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
        doi 10.1002/sim.2324.
        """
        k = self._index(name if name is not None else self.names[0])
        area, variance = float(self.areas[k]), float(self.covariance[k, k])
        if not variance > ZERO_VARIANCE:
            low, high = newcombe_interval(area, self.n_positive, self.n_negative, confidence)
            flag = "the scores leave no variance to estimate: interval by Newcombe's method 5"
            error = math.nan if math.isnan(variance) else 0.0
            return Estimate(area, low, high, error, confidence, "Newcombe method 5", (*self.flags, flag))
        error = math.sqrt(variance)
        half = normal_quantile(confidence) * error
        return Estimate(area, max(area - half, 0.0), min(area + half, 1.0), error, confidence, self.method, self.flags)

    def compare(self, first: str, second: str, confidence: float = 0.95) -> Difference:
        """Test whether two models read on the same cases have the same area.

        Parameters
        ----------
        first, second : str
            The models.
        confidence : float, optional
            Coverage wanted of the interval.

        Returns
        -------
        Difference
            First minus second.
        """
        a, b = self._index(first), self._index(second)
        variance = self.covariance[a, a] + self.covariance[b, b] - 2 * self.covariance[a, b]
        value = float(self.areas[a] - self.areas[b])
        method = f"{self.method}, paired"
        return wald_difference((first, second), value, float(variance), confidence, method, self.flags)

    def table(self) -> Table:
        """Show the areas.

        Returns
        -------
        Table
            One row per model.
        """
        rows = [(n, (e := self.estimate(n)).value, e.low, e.high) for n in self.names]
        counts = f"{self.n_positive} positive and {self.n_negative} negative cases of {self.n_patients} patients"
        notes = (f"{counts}; {self.method}", *flag_notes(self.flags))
        return Table.of("Area under the ROC curve", ("model", "AUC", "95 % from", "to"), rows, notes)

    def _index(self, name: str) -> int:
        if name not in self.names:
            msg = f"no model {name!r} among {', '.join(self.names)}"
            raise InputError(msg)
        return self.names.index(name)


def roc_areas(
    truth: ArrayLike, scores: ArrayLike, *, names: Sequence[str] | None = None, patients: ArrayLike | None = None
) -> RocAreas:
    """Give the areas under the ROC curves of models read on the same cases.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    scores : array_like of float, shape (n_cases,) or (n_models, n_cases)
        Higher is more suspicious.
    names : sequence of str, optional
        The models; numbered where left out.
    patients : array_like, shape (n_cases,), optional
        Patient of each case. Where a patient has several, the covariance is that of Obuchowski for clustered data.

    Returns
    -------
    RocAreas
        Areas and covariance, in O(n log n) per model.

    Raises
    ------
    InputError
        If only one class occurs, a score is missing, or the lengths differ.

    References
    ----------
    DeLong 1988, doi 10.2307/2531595; Sun & Xu 2014, doi 10.1109/LSP.2014.2337313; Obuchowski 1997, doi 10.2307/2533958.

    Examples
    --------
    >>> areas = roc_areas([0, 0, 1, 1, 1], [0.1, 0.4, 0.35, 0.8, 0.4])
    >>> round(float(areas.areas[0]), 4)
    0.75
    """
    positive = binary(truth, both=True)
    table = score_table(scores, len(positive))
    labels = model_names(names, len(table))
    codes = patient_codes(patients, len(positive))
    n_patients = int(codes.max()) + 1
    clustered = n_patients < len(positive)
    of_positive, of_negative = placements(table[:, positive], table[:, ~positive])
    clusters = (codes[positive], codes[~positive]) if clustered else (None, None)
    covariance = clustered_covariance(of_positive, of_negative, *clusters)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    return RocAreas(
        labels,
        of_positive.mean(axis=1),
        covariance,
        n_positive,
        n_negative,
        n_patients,
        "Obuchowski, clustered by patient" if clustered else "DeLong",
        _flags(table, n_positive, n_negative),
    )


def score_table(scores: ArrayLike, n_cases: int) -> Floats:
    """Take the scores of one or many models.

    Parameters
    ----------
    scores : array_like of float, shape (n_cases,) or (n_models, n_cases)
        The scores.
    n_cases : int
        Number of cases wanted.

    Returns
    -------
    ndarray of float, shape (n_models, n_cases)
        The scores.

    Raises
    ------
    InputError
        If the shape differs or a score is not a finite number.
    """
    try:
        table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    except (TypeError, ValueError) as error:
        msg = "scores must be numbers, one per case, in one row per model"
        raise InputError(msg) from error
    if table.ndim != 2 or table.shape[1] != n_cases:
        msg = f"scores must have shape (models, {n_cases}), one per case of truth; got {np.shape(scores)}"
        raise InputError(msg)
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        first = f"model {bad[0][0]}, case {bad[0][1]}"
        msg = f"scores must be finite; {len(bad)} are not (first: {first}): leave those cases out"
        raise InputError(msg)
    return table


def model_names(names: Sequence[str] | None, n_models: int) -> tuple[str, ...]:
    """Name the models.

    Parameters
    ----------
    names : sequence of str, or None
        Their names.
    n_models : int
        Number of models.

    Returns
    -------
    tuple of str
        The names, or "model 1", "model 2"…

    Raises
    ------
    InputError
        If there is not one name, of its own, for each model.
    """
    labels = tuple(names) if names is not None else tuple(f"model {i + 1}" for i in range(n_models))
    if len(labels) != n_models or len(set(labels)) != n_models:
        msg = f"one name of its own is needed for each of {n_models} models, got {list(labels)}"
        raise InputError(msg)
    return labels


def wald_difference(
    names: tuple[str, str],
    value: float,
    variance: float,
    confidence: float = 0.95,
    method: str = "Wald",
    flags: tuple[str, ...] = (),
) -> Difference:
    """Test a difference against zero by its variance.

    Parameters
    ----------
    names : tuple of str
        What was compared.
    value, variance : float
        The difference and its variance.
    confidence : float, optional
        Coverage wanted of the interval.
    method : str, optional
        Where the variance comes from.
    flags : tuple of str, optional
        What limits it.

    Returns
    -------
    Difference
        With p = 1 where there is neither difference nor variance, and p = NaN, flagged, where a difference has none.
    """
    if variance <= ZERO_VARIANCE:
        same = value == 0
        flag = "no variance: the two never differ" if same else "no variance: the difference cannot be tested"
        p, z = (1.0, 0.0) if same else (math.nan, math.nan)
        return Difference(*names, value, value, value, 0.0, z, p, confidence, method, (*flags, flag))
    error = math.sqrt(variance)
    half, z = normal_quantile(confidence) * error, value / error
    return Difference(*names, value, value - half, value + half, error, z, two_sided_p(z), confidence, method, flags)


def compare_unpaired(
    first: RocAreas, second: RocAreas, confidence: float = 0.95, names: tuple[str, str] | None = None
) -> Difference:
    """Test whether models read on different patients have the same area.

    Parameters
    ----------
    first, second : RocAreas
        One model each; the first of each is used.
    confidence : float, optional
        Coverage wanted of the interval.
    names : tuple of str, optional
        What to call them, such as ``("internal", "external")``.

    Returns
    -------
    Difference
        First minus second, with the t distribution of Satterthwaite's degrees of freedom.

    References
    ----------
    DeLong 1988, doi 10.2307/2531595, with Welch-Satterthwaite degrees of freedom, as published for unpaired curves by
    Robin 2011, doi 10.1186/1471-2105-12-77.
    """
    from scipy import stats

    variances = float(first.covariance[0, 0]), float(second.covariance[0, 0])
    value, variance = float(first.areas[0] - second.areas[0]), sum(variances)
    labels = names or (first.names[0], second.names[0])
    flags = (*first.flags, *second.flags)
    method = f"{first.method}, unpaired"
    if math.isnan(variance):
        nan, why = math.nan, (*flags, "a class of one patient only: no interval and no test")
        return Difference(*labels, value, nan, nan, nan, nan, nan, confidence, method, why)
    if variance <= ZERO_VARIANCE:
        return wald_difference(labels, value, variance, confidence, method, flags)
    counts = first.n_patients, second.n_patients
    df = variance**2 / sum(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    error = math.sqrt(variance)
    half = float(stats.t.ppf((1 + confidence_level(confidence)) / 2, df)) * error
    t = value / error
    p = float(2 * stats.t.sf(abs(t), df))
    return Difference(*labels, value, value - half, value + half, error, t, p, confidence, method, flags)


def newcombe_interval(area: float, n_positive: int, n_negative: int, confidence: float = 0.95) -> tuple[float, float]:
    """Give an interval of an area that needs no variance from the scores.

    Parameters
    ----------
    area : float
        Area under the ROC curve.
    n_positive, n_negative : int
        Cases of each class.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    low, high : float
        Ends of the interval; never outside 0 to 1.

    References
    ----------
    Newcombe 2006, part 2, method 5, doi 10.1002/sim.2324.
    """
    from scipy.optimize import brentq

    z = normal_quantile(confidence)
    n = (n_positive + n_negative) / 2 - 1

    def excess(theta: float) -> float:
        spread = theta * (1 - theta) / (n_positive * n_negative)
        variance = spread * (1 + n * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return (area - theta) ** 2 - z**2 * variance

    inside = min(max(area, NEAR_EDGE), 1 - NEAR_EDGE)
    low = 0.0 if area == 0 else float(brentq(excess, 0.0, inside))
    high = 1.0 if area == 1 else float(brentq(excess, inside, 1.0))
    return low, high


def _flags(table: Floats, n_positive: int, n_negative: int) -> tuple[str, ...]:
    flags = []
    if min(n_positive, n_negative) < FEW_CASES:
        flags.append(f"only {min(n_positive, n_negative)} cases in one class: the interval is doubtful")
    if (table.max(axis=1) == table.min(axis=1)).any():
        flags.append("a model gives every case the same score: its area is 0.5 by ties alone")
    return tuple(flags)
