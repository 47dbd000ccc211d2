"""Does a way of reading save time? Paired reading times of the same readers on the same cases.

Times are compared as logarithms, because they vary by factors: the result is a ratio, such as 0.85 for 15 % less. Both
readers and cases are samples, so both enter the interval: as crossed random effects where every pair was read, else by
resampling readers and cases at once.

References
----------
Searle, Casella & McCulloch 1992, Variance components, chapter 4 (crossed random effects). Owen 2007, doi
10.1214/07-AOAS122 (resampling of both).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.evaluation.mrmc_data import ReaderStudy

    Floats = NDArray[np.float64]

METHODS = ("mixed", "bootstrap")
"""Crossed random effects, or resampling of readers and cases."""

LONG_FACTOR = 10.0
"""A reading that takes this many times the reader's median is flagged as a likely interruption. Chosen by us."""


@dataclass(frozen=True)
class TimeRatio(Record):
    """Reading times of one modality relative to another.

    Parameters
    ----------
    first, second : str
        The modalities; the ratio is first to second.
    ratio : Estimate
        Ratio of geometric means of paired times.
    p_value : float
        Two-sided, against a ratio of 1.
    df : float
        Degrees of freedom; NaN for resampling.
    median_first_s, median_second_s : float
        Median times in seconds, of paired readings.
    n_readers, n_cases, n_pairs : int
        Sizes.
    by_reader : dict of str to float
        Ratio of each reader.
    flags : tuple of str
        What limits the result.
    """

    first: str
    second: str
    ratio: Estimate
    p_value: float
    df: float
    median_first_s: float
    median_second_s: float
    n_readers: int
    n_cases: int
    n_pairs: int
    by_reader: dict[str, float]
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the ratio and the medians.

        Returns
        -------
        Table
            One row.
        """
        head = (f"median {self.first}", f"median {self.second}", "ratio", "p", "pairs")
        medians = (f"{t:.0f} s" for t in (self.median_first_s, self.median_second_s))
        rows = [(*medians, str(self.ratio), self.p_value, self.n_pairs)]
        title = f"Reading time, {self.n_readers} readers, {self.n_cases} cases"
        return Table.of(title, head, rows, (self.ratio.method, *flag_notes(self.flags)))


def compare_times(
    seconds: ReaderStudy,
    first: str,
    second: str,
    *,
    method: str = "mixed",
    resampling: Resampling = STANDARD,
) -> TimeRatio:
    """Compare reading times of two modalities.

    Parameters
    ----------
    seconds : ReaderStudy
        Times in seconds in the place of scores; the truth does not matter.
    first, second : str
        Modalities; the ratio is first to second.
    method : str, optional
        ``"mixed"`` (crossed random effects of readers and cases, where all pairs were read) or ``"bootstrap"``.
    resampling : Resampling, optional
        Coverage wanted, and for the bootstrap seed and number.

    Returns
    -------
    TimeRatio
        Of readings that a reader made in both modalities. Where some are missing the bootstrap is taken, which is
        flagged; a single reader is analyzed for other cases only, flagged, too.

    Raises
    ------
    InputError
        If a time is not above 0, or no reader read a case in both modalities.
    SettingsError
        If the method is not known, or a modality compared with itself.
    """
    if method not in METHODS or first == second:
        msg = f"method must be one of {', '.join(METHODS)} and modalities differ; got {method!r}, {first!r}, {second!r}"
        raise SettingsError(msg)
    part = seconds.select(modalities=[first, second])
    times = part.scores
    if (times <= 0).any():
        msg = f"reading times must be above 0 s; {int((times <= 0).sum())} are not. Leave unknown times empty"
        raise InputError(msg)
    paired = part.read[0] & part.read[1]
    readers, cases = (np.flatnonzero(paired.any(axis=axis)) for axis in (1, 0))
    if not paired.any():
        msg = f"no reader read a case both {first} and {second}, so times cannot be paired"
        raise InputError(msg)
    paired = paired[np.ix_(readers, cases)]
    times = times[np.ix_(np.arange(2), readers, cases)]
    times = np.where(paired, times, np.nan)
    gap = np.log(times[0]) - np.log(times[1])
    flags = list(_flags(times))
    if method == "mixed" and not paired.all():
        flags.append("some pairs of readings are missing: readers and cases were resampled instead of a mixed model")
        method = "bootstrap"
    if gap.shape[0] == 1:
        flags.append("one reader: the result holds for other cases read by this reader")
    ratio, p, df = _mixed(gap, resampling.confidence) if method == "mixed" else _resampled(gap, resampling)
    names = [part.readers[i] for i in readers]
    each = np.exp(np.nanmean(gap, axis=1))
    median_first, median_second = (float(np.nanmedian(t)) for t in times)
    by_reader = dict(zip(names, each.tolist(), strict=True))
    n_readers, n_cases = gap.shape
    return TimeRatio(
        first,
        second,
        ratio,
        p,
        df,
        median_first,
        median_second,
        n_readers,
        n_cases,
        int(paired.sum()),
        by_reader,
        tuple(flags),
    )


def _flags(times: Floats) -> list[str]:
    usual = np.nanmedian(times, axis=2, keepdims=True)
    n_long = int((times > LONG_FACTOR * usual).sum())
    if not n_long:
        return []
    return [f"{n_long} readings took more than {LONG_FACTOR:g} times the reader's median: were they interrupted?"]


def _mixed(gap: Floats, confidence: float) -> tuple[Estimate, float, float]:
    """Mean of a whole table of readers by cases, both random; readers alone are fixed."""
    from scipy.special import stdtr, stdtrit

    r, c = gap.shape
    mean = float(gap.mean())
    of_reader, of_case = gap.mean(axis=1), gap.mean(axis=0)
    ms_c = r * float(of_case.var(ddof=1)) if c > 1 else 0.0
    if r > 1 and c > 1:
        ms_r = c * float(of_reader.var(ddof=1))
        rest = gap - of_reader[:, None] - of_case + mean
        ms_e = float((rest**2).sum()) / ((r - 1) * (c - 1))
    else:
        ms_r, ms_e = (c * float(of_reader.var(ddof=1)) if r > 1 else 0.0), 0.0
    # A variance between readers or cases that comes out negative counts as 0.
    total = max(ms_r + ms_c - ms_e, ms_r, ms_c)
    parts = ms_r**2 / max(r - 1, 1) + ms_c**2 / max(c - 1, 1) + ms_e**2 / max((r - 1) * (c - 1), 1)
    if total <= 0:
        p = 1.0 if mean == 0 else math.nan
        flag = "times differ by the same factor everywhere: no interval"
        return Estimate(math.exp(mean), confidence=confidence, method="mixed", flags=(flag,)), p, math.nan
    error, df = math.sqrt(total / (r * c)), total**2 / parts
    half = float(stdtrit(df, (1 + confidence) / 2)) * error
    ends = math.exp(mean - half), math.exp(mean + half)
    method = "crossed random effects of readers and cases on log times, Satterthwaite"
    p = float(2 * stdtr(df, -abs(mean) / error))
    return Estimate(math.exp(mean), *ends, error, confidence, method), p, df


def _resampled(gap: Floats, resampling: Resampling) -> tuple[Estimate, float, float]:
    """Percentiles over draws of readers and of cases, each pair weighing as often as both were drawn."""
    rng = np.random.default_rng(resampling.seed)
    r, c = gap.shape
    there = ~np.isnan(gap)
    filled = np.where(there, gap, 0.0)
    n = resampling.n_resamples
    readers = rng.multinomial(r, np.full(r, 1 / r), n).astype(np.float64) if r > 1 else np.ones((n, 1))
    cases = rng.multinomial(c, np.full(c, 1 / c), n).astype(np.float64)
    weight = np.einsum("br,rc,bc->b", readers, there, cases, optimize=True)
    total = np.einsum("br,rc,bc->b", readers, filled, cases, optimize=True)
    means = total[weight > 0] / weight[weight > 0]
    low, high = np.quantile(means, resampling.tails)
    p = min(1.0, 2 * float(min((means <= 0).mean(), (means >= 0).mean()) + 1 / (len(means) + 1)))
    method = f"{n} resamples of readers and cases on log times, percentiles"
    value = math.exp(float(gap[there].mean()))
    ends = float(np.exp(low)), float(np.exp(high))
    return Estimate(value, *ends, float(means.std(ddof=1)), resampling.confidence, method), p, math.nan
