"""Has something changed: answers, input and performance of one period beside those of an earlier one.

Scanners are replaced, protocols updated, patients referred from elsewhere; a model that was good may no longer be. The
input can be watched without any truth; whether a change harms only the truth can tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.generalization import external_drop
from spondyl.evaluation.inputs import finite_vector
from spondyl.evaluation.records import Record, Table, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from spondyl.evaluation.generalization import Drop, Performance, Readings

N_BINS = 10
"""Bins of the stability index, at the deciles of the first period (Siddiqi 2006, Credit risk scorecards)."""

SETTLED, SHIFTED = 0.1, 0.25
"""Stability index below which nothing and from which a lot has changed (Siddiqi 2006). By chance alone it is large in
small samples, so the test decides."""

SOFTENER = 0.5
"""Added to each bin's count, so that an empty one has a logarithm (Jeffreys). Chosen by us."""


@dataclass(frozen=True)
class ScoreShift(Record):
    """Whether the answers are distributed as before.

    Parameters
    ----------
    n_before, n_after : int
        Studies.
    median_before, median_after : float
        Median answer.
    statistic, p_value : float
        Largest distance of the cumulative distributions, and its p value (Kolmogorov-Smirnov).
    stability_index : float
        Population stability index; NaN with fewer studies before than bins.
    """

    n_before: int
    n_after: int
    median_before: float
    median_after: float
    statistic: float
    p_value: float
    stability_index: float


@dataclass(frozen=True)
class FlagShift(Record):
    """Whether a limit of the input became more frequent.

    Parameters
    ----------
    code : str
        The flag.
    before, after : float
        Share of studies that carry it.
    p_value, adjusted_p : float
        Fisher's exact test; adjusted by Holm over all flags.
    """

    code: str
    before: float
    after: float
    p_value: float
    adjusted_p: float


@dataclass(frozen=True, eq=False)
class Drift(Record):
    """What changed from one period to another.

    Parameters
    ----------
    names : tuple of str
        Of the periods, the earlier first.
    performance : Drop
        Vertebrae in both periods, and the difference of the areas.
    scores : ScoreShift
        Answers of whole studies.
    flags : tuple of FlagShift
        Limits of the input, the largest change first.
    """

    names: tuple[str, str]
    performance: Drop
    scores: ScoreShift
    flags: tuple[FlagShift, ...]

    def table(self) -> Table:
        """Show the change.

        Returns
        -------
        Table
            One row per measure.
        """
        first, second = self.performance.internal, self.performance.external
        rows = [(name, a, b, "") for name, a, b in _performance_rows(first, second)]
        gap = self.performance.area
        if gap is not None:
            name, a, b, _ = rows[1]
            rows[1] = (name, a, b, f"{show(-gap.value)} ({show(-gap.high)} to {show(-gap.low)})")
        s = self.scores
        rows.append(
            ("median answer of a study", show(s.median_before), show(s.median_after), f"p = {show(s.p_value)} (KS)")
        )
        rows += [
            (f"flag {f.code}", f"{f.before:.0%}", f"{f.after:.0%}", f"p = {show(f.adjusted_p)}") for f in self.flags[:3]
        ]
        notes = [f"Stability index of the answers {show(s.stability_index, 2)}; under {SETTLED:g} counts as settled."]
        return Table.of("Drift", ("", *self.names, "change"), rows, notes)


def _performance_rows(first: Performance, second: Performance) -> list[tuple[str, str, str]]:
    counts = [f"{p.n_cases} ({p.n_positive})" for p in (first, second)]
    rows = [
        ("vertebrae (malignant)", counts[0], counts[1]),
        ("AUC", str(first.area), str(second.area)),
        ("sensitivity", str(first.scores.sensitivity), str(second.scores.sensitivity)),
        ("specificity", str(first.scores.specificity), str(second.scores.specificity)),
    ]
    if first.calibration and second.calibration:
        ratios = [show(c.observed_to_expected) for c in (first.calibration, second.calibration)]
        rows.append(("observed / expected", ratios[0], ratios[1]))
    return rows


@dataclass(frozen=True, eq=False)
class Period:
    """The studies of one period.

    Parameters
    ----------
    name : str
        Of the period.
    vertebrae : Readings
        Truth and answer of each vertebra.
    study_scores : array_like of float, shape (n_studies,)
        Highest answer of each study.
    flags : sequence of sequence of str
        What limits each study.

    Raises
    ------
    InputError
        If there is no study, or the numbers of studies differ.
    """

    name: str
    vertebrae: Readings
    study_scores: NDArray[np.float64]
    flags: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        scores = finite_vector(self.study_scores, "study_scores")
        if len(scores) != len(self.flags):
            msg = f"each study needs a score and its flags, got {len(scores)} and {len(self.flags)}"
            raise InputError(msg)
        object.__setattr__(self, "study_scores", scores)


def drift(before: Period, after: Period, confidence: float = 0.95) -> Drift:
    """Compare two periods.

    Parameters
    ----------
    before, after : Period
        The studies, of different patients.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Drift
        What changed.
    """
    return Drift(
        (before.name, after.name),
        external_drop(before.vertebrae, after.vertebrae, confidence),
        score_shift(before.study_scores, after.study_scores),
        flag_shifts(before.flags, after.flags),
    )


def score_shift(before: ArrayLike, after: ArrayLike) -> ScoreShift:
    """Compare the distributions of answers.

    Parameters
    ----------
    before, after : array_like of float
        One answer per study.

    Returns
    -------
    ScoreShift
        Distance, test and stability index.

    Raises
    ------
    InputError
        If a period holds no answer or one that is no number.

    References
    ----------
    Hodges 1958, doi 10.1007/BF02589501 (exact two-sample test).
    """
    from scipy.stats import ks_2samp

    first, second = finite_vector(before, "before"), finite_vector(after, "after")
    found = ks_2samp(first, second)
    return ScoreShift(
        len(first),
        len(second),
        float(np.median(first)),
        float(np.median(second)),
        float(found.statistic),
        float(found.pvalue),
        stability_index(first, second),
    )


def stability_index(before: ArrayLike, after: ArrayLike, n_bins: int = N_BINS) -> float:
    """Give the population stability index: the symmetric Kullback-Leibler divergence of two histograms.

    Parameters
    ----------
    before, after : array_like of float
        One answer per study; the bins are quantiles of the first.
    n_bins : int, optional
        Number of bins.

    Returns
    -------
    float
        0 for equal histograms; NaN where there are fewer answers before than bins.
    """
    first, second = finite_vector(before, "before"), finite_vector(after, "after")
    if len(first) < n_bins:
        return math.nan
    inner = np.unique(np.quantile(first, np.linspace(0, 1, n_bins + 1)[1:-1]))
    shares = []
    for values in (first, second):
        count = np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1) + SOFTENER
        shares.append(count / count.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def flag_shifts(before: Sequence[Sequence[str]], after: Sequence[Sequence[str]]) -> tuple[FlagShift, ...]:
    """Compare how often the input is limited.

    Parameters
    ----------
    before, after : sequence of sequence of str
        Flags of each study.

    Returns
    -------
    tuple of FlagShift
        One per flag that occurs, the largest change first.
    """
    from scipy.stats import fisher_exact

    codes = sorted({code for study in (*before, *after) for code in study})
    counts = [[sum(code in study for study in period) for period in (before, after)] for code in codes]
    sizes = (len(before), len(after))
    p_values = [float(fisher_exact([c, [n - k for k, n in zip(c, sizes, strict=True)]])[1]) for c in counts]
    adjusted = holm(p_values)
    shifts = [
        FlagShift(code, c[0] / sizes[0], c[1] / sizes[1], p, float(q))
        for code, c, p, q in zip(codes, counts, p_values, adjusted, strict=True)
    ]
    return tuple(sorted(shifts, key=lambda f: -abs(f.after - f.before)))
