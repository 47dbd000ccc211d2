"""Do raters agree on a number? The six intraclass correlations.

References
----------
Shrout & Fleiss 1979, doi 10.1037/0033-2909.86.2.420. McGraw & Wong 1996, doi 10.1037/1082-989X.1.1.30.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import confidence_level
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MEANINGS = {
    "ICC1": "each subject has raters of its own; one rater",
    "ICC2": "raters stand for others; one rater, absolute agreement",
    "ICC3": "these raters only; one rater, consistency",
    "ICC1k": "as ICC1, mean of the raters",
    "ICC2k": "as ICC2, mean of the raters",
    "ICC3k": "as ICC3, mean of the raters",
}
"""The six forms by the names of Shrout & Fleiss 1979, and when each is meant."""


@dataclass(frozen=True)
class IntraclassCorrelations(Record):
    """The six intraclass correlations with intervals.

    Parameters
    ----------
    forms : dict of str to Estimate
        By name, as in `MEANINGS`.
    ms_subjects, ms_raters, ms_error, ms_within : float
        Mean squares between subjects, between raters, of the rest, and within subjects.
    n_subjects, n_raters : int
        Sizes.
    flags : tuple of str
        What limits the result.
    """

    forms: dict[str, Estimate]
    ms_subjects: float
    ms_raters: float
    ms_error: float
    ms_within: float
    n_subjects: int
    n_raters: int
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the six forms.

        Returns
        -------
        Table
            One row per form.
        """
        rows = [(name, str(e), MEANINGS[name]) for name, e in self.forms.items()]
        title = f"Intraclass correlation, {self.n_subjects} subjects, {self.n_raters} raters"
        return Table.of(title, ("form", "estimate", "when"), rows, flag_notes(self.flags))


def intraclass_correlations(scores: ArrayLike, *, confidence: float = 0.95) -> IntraclassCorrelations:
    """Give the six intraclass correlations.

    Parameters
    ----------
    scores : array_like of float, shape (n_subjects, n_raters)
        Scores; subjects with a missing one (NaN) are left out and flagged.
    confidence : float, optional
        Coverage wanted of intervals.

    Returns
    -------
    IntraclassCorrelations
        The forms; not assessable where no score differs from another.

    Raises
    ------
    InputError
        If there are not two raters and two subjects scored by all.

    Examples
    --------
    >>> made = intraclass_correlations([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6]])
    >>> sorted(made.forms)[:3]
    ['ICC1', 'ICC1k', 'ICC2']
    """
    confidence_level(confidence)
    table = np.asarray(scores, dtype=np.float64)
    whole = np.isfinite(table).all(axis=1) if table.ndim == 2 else np.zeros(0, dtype=bool)
    if table.ndim != 2 or table.shape[1] < 2 or whole.sum() < 2:
        msg = (
            "intraclass correlation needs scores of at least two raters for at least two subjects that all of them "
            f"scored, got shape {table.shape} with {int(whole.sum())} whole rows"
        )
        raise InputError(msg)
    n_out = int((~whole).sum())
    flags = (f"{n_out} subjects without all scores were left out",) if n_out else ()
    x = table[whole]
    n, k = x.shape
    subject, rater, grand = x.mean(axis=1), x.mean(axis=0), x.mean()
    b = k * float(((subject - grand) ** 2).sum()) / (n - 1)
    j = n * float(((rater - grand) ** 2).sum()) / (k - 1)
    w = float(((x - subject[:, None]) ** 2).sum()) / (n * (k - 1))
    e = float(((x - subject[:, None] - rater + grand) ** 2).sum()) / ((n - 1) * (k - 1))
    if b + w == 0:
        flags = (*flags, "all scores are equal: correlation is not defined")
        nothing = Estimate(math.nan, confidence=confidence)
        return IntraclassCorrelations(dict.fromkeys(MEANINGS, nothing), b, j, e, w, n, k, flags)
    forms = {
        "ICC1": _one_way(b, w, n * (k - 1), k, n, confidence),
        "ICC2": _two_way_random((b, j, e), k, n, confidence),
        "ICC3": _one_way(b, e, (n - 1) * (k - 1), k, n, confidence),
    }
    forms |= {f"{name}k": _of_mean(form, k) for name, form in forms.items()}
    return IntraclassCorrelations(forms, b, j, e, w, n, k, flags)


def _one_way(b: float, rest: float, df_rest: int, k: int, n: int, confidence: float) -> Estimate:
    """ICC1 and ICC3, which differ in what they take as error (Shrout & Fleiss 1979, pages 424 and 425)."""
    from scipy.special import fdtri

    value = (b - rest) / (b + (k - 1) * rest)
    if rest == 0:
        return Estimate(value, 1.0, 1.0, confidence=confidence, method="F", flags=("raters agree fully",))
    f, upper = b / rest, (1 + confidence) / 2
    low, high = f / fdtri(n - 1, df_rest, upper), f * fdtri(df_rest, n - 1, upper)
    low, high = ((ratio - 1) / (ratio + k - 1) for ratio in (float(low), float(high)))
    return Estimate(value, low, high, confidence=confidence, method="F")


def _two_way_random(squares: tuple[float, float, float], k: int, n: int, confidence: float) -> Estimate:
    """ICC2 (Shrout & Fleiss 1979, page 424)."""
    from scipy.special import fdtri

    b, j, e = squares
    value = (b - e) / (b + (k - 1) * e + k * (j - e) / n)
    if e == 0:
        return Estimate(value, confidence=confidence, method="F", flags=("no error left: no interval",))
    ratio = j / e
    inner = n * (1 + (k - 1) * value) - k * value
    df = (k - 1) * (n - 1) * (k * value * ratio + inner) ** 2
    df /= (n - 1) * k**2 * value**2 * ratio**2 + inner**2
    upper = (1 + confidence) / 2
    f_low, f_high = float(fdtri(n - 1, df, upper)), float(fdtri(df, n - 1, upper))
    rest = k * j + (k * n - k - n) * e
    low = n * (b - f_low * e) / (f_low * rest + n * b)
    high = n * (f_high * b - e) / (rest + n * f_high * b)
    return Estimate(value, low, high, confidence=confidence, method="F")


def _of_mean(one: Estimate, k: int) -> Estimate:
    """Step up from one rater to the mean of k (Spearman-Brown)."""

    def stepped(r: float) -> float:
        below = 1 + (k - 1) * r
        return k * r / below if below > 0 else -math.inf

    return Estimate(
        stepped(one.value), stepped(one.low), stepped(one.high), math.nan, one.confidence, one.method, one.flags
    )
