"""How many readers and cases a study needs: power from the components of a pilot or of a conjecture.

References
----------
Hillis, Obuchowski & Berbaum 2011, doi 10.1016/j.acra.2010.09.007. Hillis & Schartz 2018, doi
10.1117/1.JMI.5.4.045503. Hillis 2014, doi 10.1002/sim.5926, for split-plot designs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.records import Record, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.evaluation.mrmc_result import MrmcResult

MOST_CASES = 20_000
"""No reader study is planned beyond this many cases. Chosen by us."""

FEWEST_OF_A_CLASS = 5
"""Nor with fewer positive or negative cases in a group of readers than this. Chosen by us."""


@dataclass(frozen=True)
class PlanningValues(Record):
    """Components of variance to plan with, and the cases they hold for.

    Parameters
    ----------
    var_interaction : float
        Variance of the modality's effect between readers; counts as 0 where negative.
    variance, cov1, cov2, cov3 : float
        Error variance and covariances of the Obuchowski-Rockette model, for the cases below.
    n_positive, n_negative : int
        Cases of the pilot.
    source : str
        Where the values come from.

    Raises
    ------
    InputError
        If the error variance or the numbers of cases are not positive.
    """

    var_interaction: float
    variance: float
    cov1: float
    cov2: float
    cov3: float
    n_positive: int
    n_negative: int
    source: str = ""

    def __post_init__(self) -> None:
        finite = all(math.isfinite(getattr(self, n)) for n in ("var_interaction", "variance", "cov1", "cov2", "cov3"))
        if not finite or self.variance <= 0 or min(self.n_positive, self.n_negative) < 1:
            msg = (
                f"planning needs finite components, an error variance above 0 and cases of both classes; got variance "
                f"{self.variance:g} for {self.n_positive} positive and {self.n_negative} negative cases"
            )
            raise InputError(msg)


def planning_values(pilot: MrmcResult) -> PlanningValues:
    """Take planning values from the analysis of a pilot.

    Parameters
    ----------
    pilot : MrmcResult
        An Obuchowski-Rockette analysis of two or more modalities.

    Returns
    -------
    PlanningValues
        Its components.

    Raises
    ------
    InputError
        If the analysis has no components: one reader, one modality, or another method.
    """
    c = pilot.components
    if c is None or c.n_modalities < 2 or c.n_groups > 1:
        msg = (
            "planning needs a pilot in which several readers read the same cases in two modalities, analyzed with "
            f"'or'; got {pilot.n_readers} readers, {len(pilot.means)} modalities, {pilot.method}"
        )
        raise InputError(msg)
    return PlanningValues(
        float(c.var_interaction),
        float(c.variance),
        float(c.cov1),
        float(c.cov2),
        float(c.cov3),
        pilot.n_positive,
        pilot.n_negative,
        f"pilot of {pilot.n_readers} readers, {pilot.covariance} covariance",
    )


@dataclass(frozen=True)
class Goal:
    """What the planned study is to show, for two modalities.

    Parameters
    ----------
    effect : float
        True difference of mean figures of merit.
    margin : float
        Non-inferiority margin; 0 plans for a two-sided test of difference.
    alpha : float
        Level: two-sided for a difference, one-sided for non-inferiority.
    power : float
        Power wanted.
    population : Population
        What the result is to generalize to.
    n_groups : int
        Groups of readers who read cases of their own (split-plot); 1 for a crossed study.

    Raises
    ------
    SettingsError
        If a value is out of range, or there is nothing to show.
    """

    effect: float
    margin: float = 0.0
    alpha: float = 0.05
    power: float = 0.8
    population: Population = Population.BOTH
    n_groups: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.power < 1 and 0 <= self.margin < 1 and abs(self.effect) < 1):
            msg = (
                "alpha and power must lie between 0 and 1, margin from 0, effect between -1 and 1; "
                f"got {self.alpha}, {self.power}, {self.margin}, {self.effect}"
            )
            raise SettingsError(msg)
        if (
            self.n_groups < 1
            or (self.margin == 0 and self.effect == 0)
            or (self.margin and self.effect <= -self.margin)
        ):
            msg = (
                "there must be something to show: an effect other than 0, or one above the negative margin, and at "
                f"least one group; got effect {self.effect}, margin {self.margin}, {self.n_groups} groups"
            )
            raise SettingsError(msg)


@dataclass(frozen=True)
class StudySize(Record):
    """A size of study and its power.

    Parameters
    ----------
    n_readers, n_positive, n_negative : int
        Readers and cases.
    readings_per_reader : int
        Cases that each reader reads, over both modalities.
    power : float
        Chance that the study shows what it is to show.
    """

    n_readers: int
    n_positive: int
    n_negative: int
    readings_per_reader: int
    power: float

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return self.n_positive + self.n_negative


def power(values: PlanningValues, goal: Goal, n_readers: int, n_positive: int, n_negative: int) -> float:
    """Give the power of a planned study.

    Parameters
    ----------
    values : PlanningValues
        Components of variance. Error variances scale with 1/positive + 1/negative cases, as those of areas under ROC
        curves nearly do, and exactly with the number of cases where the mix is that of the pilot.
    goal : Goal
        What is to be shown.
    n_readers, n_positive, n_negative : int
        Sizes of the planned study.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    SettingsError
        If readers do not fill the groups evenly, or are fewer than two a group.
    """
    from scipy.special import chdtri, chndtr, fdtri, ncfdtr, nctdtr, ndtr, ndtri, stdtrit

    _check_groups(n_readers, goal)
    below, df = _denominator(values, goal, n_readers, n_positive, n_negative)
    error = math.sqrt(2 * below / n_readers)
    if goal.margin:
        shift = (goal.effect + goal.margin) / error
        if math.isinf(df):
            return float(ndtr(shift - ndtri(1 - goal.alpha)))
        return float(1 - nctdtr(df, shift, stdtrit(df, 1 - goal.alpha)))
    away = (goal.effect / error) ** 2
    if math.isinf(df):
        return float(1 - chndtr(chdtri(1, goal.alpha), 1, away))
    return float(1 - ncfdtr(1, df, away, fdtri(1, df, 1 - goal.alpha)))


def _check_groups(n_readers: int, goal: Goal) -> None:
    least = goal.n_groups if goal.population is Population.CASES else goal.n_groups + 1
    if n_readers < least or n_readers % goal.n_groups:
        msg = (
            f"{goal.n_groups} groups need equally many readers each, and random readers at least two in all; "
            f"got {n_readers} readers"
        )
        raise SettingsError(msg)


def _denominator(
    values: PlanningValues, goal: Goal, n_readers: int, n_positive: int, n_negative: int
) -> tuple[float, float]:
    """Expected denominator of the test and its degrees of freedom."""
    groups = goal.n_groups
    of_pilot = 1 / values.n_positive + 1 / values.n_negative
    scale = groups * (1 / n_positive + 1 / n_negative) / of_pilot
    shared = scale * max(values.cov2 - values.cov3, 0.0)
    own_error = scale * (values.variance - values.cov1)
    in_group = n_readers / groups
    if goal.population is Population.CASES:
        return own_error + (in_group - 1) * shared, math.inf
    mean_square = max(values.var_interaction, 0.0) + own_error - shared
    df = n_readers - groups
    if goal.population is Population.READERS:
        return mean_square, df
    below = mean_square + in_group * shared
    return below, below**2 / (mean_square**2 / df)


def cases_needed(
    values: PlanningValues, goal: Goal, n_readers: int, positive_share: float | None = None
) -> StudySize | None:
    """Give the smallest study with a number of readers that reaches the power wanted.

    Parameters
    ----------
    values : PlanningValues
        Components of variance.
    goal : Goal
        What is to be shown, and with which power.
    n_readers : int
        Readers of the planned study.
    positive_share : float, optional
        Share of positive cases; that of the pilot if not given.

    Returns
    -------
    StudySize or None
        None where no number of cases up to `MOST_CASES` is enough.

    Raises
    ------
    SettingsError
        If the share does not lie between 0 and 1, or readers do not fit the groups.
    """
    share = values.n_positive / (values.n_positive + values.n_negative) if positive_share is None else positive_share
    if not 0 < share < 1:
        msg = f"the share of positive cases must lie between 0 and 1, got {share}"
        raise SettingsError(msg)
    fewest = math.ceil(goal.n_groups * FEWEST_OF_A_CLASS / min(share, 1 - share))

    def reached(n: int) -> float:
        return power(values, goal, n_readers, n * share, n * (1 - share))  # type: ignore[arg-type]

    if reached(MOST_CASES) < goal.power:
        return None
    low, high = fewest - 1, MOST_CASES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= goal.power else (middle, high)
    n_positive = min(max(round(high * share), 1), high - 1)
    each = 2 * math.ceil(high / goal.n_groups)
    return StudySize(n_readers, n_positive, high - n_positive, each, reached(high))


def size_table(
    values: PlanningValues, goal: Goal, readers: Iterable[int], positive_share: float | None = None
) -> Table:
    """Show how readers and cases trade.

    Parameters
    ----------
    values : PlanningValues
        Components of variance.
    goal : Goal
        What is to be shown.
    readers : iterable of int
        Numbers of readers.
    positive_share : float, optional
        Share of positive cases; that of the pilot if not given.

    Returns
    -------
    Table
        One row per number of readers.
    """
    rows: list[tuple[object, ...]] = []
    for n in readers:
        size = cases_needed(values, goal, n, positive_share)
        if size is None:
            rows.append((n, f"more than {MOST_CASES}", "", "", ""))
        else:
            rows.append((n, size.n_cases, size.n_positive, size.readings_per_reader, size.power))
    head = ("readers", "cases", "of these positive", "readings per reader", "power")
    shown = f"difference of {goal.effect:g}" if not goal.margin else f"non-inferiority by {goal.margin:g}"
    return Table.of(f"Cases needed to show a {shown} with power {goal.power:g}", head, rows)
