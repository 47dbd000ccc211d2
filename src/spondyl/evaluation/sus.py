"""The System Usability Scale: ten answers from 1 to 5, one score from 0 to 100.

References
----------
Brooke 1996, SUS: a quick and dirty usability scale, in Usability evaluation in industry, pages 189 to 194.
Bangor, Kortum & Miller 2009, J Usability Studies 4:114 (adjectives). Sauro & Lewis 2016, Quantifying the user
experience, 2nd edition, chapter 8 (grades).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import confidence_level
from spondyl.evaluation.records import Record, Table, flag_notes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

N_ITEMS = 10
"""Items of the scale; those with odd numbers are worded positively, the others negatively (Brooke 1996)."""

ADJECTIVES = {
    "worst imaginable": 12.5,
    "awful": 20.3,
    "poor": 35.7,
    "OK": 50.9,
    "good": 71.4,
    "excellent": 85.5,
    "best imaginable": 90.9,
}
"""Mean scores of people who chose an adjective (Bangor 2009, table 3)."""

GRADES = {
    "A+": 84.1,
    "A": 80.8,
    "A-": 78.9,
    "B+": 77.2,
    "B": 74.1,
    "B-": 72.6,
    "C+": 71.1,
    "C": 65.0,
    "C-": 62.7,
    "D": 51.7,
    "F": 0.0,
}
"""Lowest score of each grade on the curve of 446 studies, whose mean is 68 (Sauro & Lewis 2016, table 8.5)."""


@dataclass(frozen=True, eq=False)
class Usability(Record):
    """Scores on the System Usability Scale.

    Parameters
    ----------
    mean, low, high : float
        Mean score with its t interval, kept within 0 and 100.
    sd : float
        Standard deviation of the scores.
    n : int
        People who answered all items.
    grade, adjective : str
        Grade of the mean, and the adjective whose score is nearest.
    scores : ndarray of float, shape (n,)
        Score of each person.
    item_means : ndarray of float, shape (10,)
        Mean answer to each item, from 1 to 5.
    confidence : float
        Coverage wanted of the interval.
    flags : tuple of str
        What limits the result.
    """

    mean: float
    low: float
    high: float
    sd: float
    n: int
    grade: str
    adjective: str
    scores: Floats
    item_means: Floats
    confidence: float = 0.95
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the mean score.

        Returns
        -------
        Table
            One row.
        """
        shown = f"{self.mean:.1f}" + ("" if math.isnan(self.low) else f" ({self.low:.1f} to {self.high:.1f})")
        head = ("people", "score", "standard deviation", "grade", "nearest adjective")
        rows = [(self.n, shown, "" if math.isnan(self.sd) else f"{self.sd:.1f}", self.grade, self.adjective)]
        return Table.of("System Usability Scale", head, rows, flag_notes(self.flags))


def sus_scores(answers: ArrayLike) -> Floats:
    """Give the score of each person.

    Parameters
    ----------
    answers : array_like of int, shape (n_people, 10) or (10,)
        Answers from 1 (strongly disagree) to 5 (strongly agree) to the items in their order.

    Returns
    -------
    ndarray of float, shape (n_people,)
        From 0 to 100, in steps of 2.5; NaN for people who left an item out.

    Raises
    ------
    InputError
        If there are not ten items, or an answer is not 1, 2, 3, 4 or 5.

    Examples
    --------
    >>> sus_scores([4, 2, 5, 1, 4, 2, 5, 1, 4, 2]).tolist()
    [85.0]
    """
    table = np.atleast_2d(np.asarray(answers, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] != N_ITEMS:
        msg = f"the System Usability Scale has {N_ITEMS} items, got a table of shape {table.shape}"
        raise InputError(msg)
    wrong = ~np.isnan(table) & ~np.isin(table, (1, 2, 3, 4, 5))
    if wrong.any():
        person, item = (int(i) + 1 for i in np.argwhere(wrong)[0])
        msg = f"answers must be 1, 2, 3, 4 or 5; {int(wrong.sum())} are not (first: person {person}, item {item})"
        raise InputError(msg)
    positive = np.arange(N_ITEMS) % 2 == 0
    points = np.where(positive, table - 1, 5 - table)
    return 2.5 * points.sum(axis=1)


def usability(answers: ArrayLike, *, confidence: float = 0.95) -> Usability:
    """Summarize the answers of a group.

    Parameters
    ----------
    answers : array_like of int, shape (n_people, 10)
        Answers from 1 to 5; NaN where left out.
    confidence : float, optional
        Coverage wanted of the interval.

    Returns
    -------
    Usability
        People who left an item out do not count, which is flagged.

    Raises
    ------
    InputError
        If nobody answered all items, or an answer is not allowed.
    """
    from scipy.special import stdtrit

    confidence_level(confidence)
    table = np.atleast_2d(np.asarray(answers, dtype=np.float64))
    every = sus_scores(table)
    whole = ~np.isnan(every)
    n = int(whole.sum())
    if not n:
        msg = f"nobody of {len(every)} people answered all {N_ITEMS} items, so there is no score"
        raise InputError(msg)
    scores, mean = every[whole], float(every[whole].mean())
    flags = [f"{len(every) - n} of {len(every)} people left an item out and do not count"] if n < len(every) else []
    same = (table[whole] == table[whole][:, :1]).all(axis=1)
    if same.any():
        flags.append(f"{int(same.sum())} people gave all items the same answer, though half of them are reversed")
    sd, half = math.nan, math.nan
    if n > 1:
        sd = float(scores.std(ddof=1))
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    grade = next(name for name, least in GRADES.items() if round(mean, 1) >= least)
    adjective = min(ADJECTIVES, key=lambda name: abs(ADJECTIVES[name] - mean))
    ends = (max(mean - half, 0.0), min(mean + half, 100.0)) if n > 1 else (math.nan, math.nan)
    items = table[whole].mean(axis=0)
    return Usability(mean, *ends, sd, n, grade, adjective, scores, items, confidence, tuple(flags))
