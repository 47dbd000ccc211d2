"""When a patient comes, on which scanner, and what is taken: every three months as planned, or as life has it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import SettingsError
from spondyl.phantom.cohort import SEEN_SCANNERS, SEQUENCE_SETS, Scanner

if TYPE_CHECKING:
    from spondyl.core import Sequence

DAYS_PER_MONTH = 30.4

QUARTER_DAYS, LATE_DAYS = 91.0, 10.0
"""Days between visits of a three-monthly schedule, and the standard deviation of how far one is off. Chosen by us."""

IRREGULAR_DAYS, IRREGULAR_SPREAD = 110.0, 0.5
"""Median days between visits that follow no schedule, and the standard deviation of their logarithm. Chosen by us."""

SHORTEST_DAYS = 21.0
"""Days within which nobody is examined again. Chosen by us."""


class Rhythm(StrEnum):
    """How visits follow each other."""

    QUARTERLY = "quarterly"
    IRREGULAR = "irregular"


class PlannedVisit(NamedTuple):
    """One visit.

    Parameters
    ----------
    day : float
        Days after the first visit.
    scanner : Scanner
        What takes the images.
    sequences : tuple of Sequence
        What is taken.
    """

    day: float
    scanner: Scanner
    sequences: tuple[Sequence, ...]


@dataclass(frozen=True)
class ScheduleSettings:
    """How visits are drawn.

    Parameters
    ----------
    rhythm : Rhythm
        How they follow each other.
    months : float
        For how long.
    missed : float
        Share of visits that do not take place.
    other_scanner : float
        Share of later visits on another scanner than the usual one.
    other_sequences : float
        Share of visits at which other sequences than usual are taken.
    scanners : tuple of Scanner
        What there is.

    Raises
    ------
    SettingsError
        If a share does not lie between 0 and 1, the time is not positive, or there is no scanner.
    """

    rhythm: Rhythm = Rhythm.QUARTERLY
    months: float = 30.0
    missed: float = 0.12
    other_scanner: float = 0.3
    other_sequences: float = 0.2
    scanners: tuple[Scanner, ...] = SEEN_SCANNERS

    def __post_init__(self) -> None:
        shares = (self.missed, self.other_scanner, self.other_sequences)
        if any(not 0 <= share <= 1 for share in shares) or self.months <= 0 or not self.scanners:
            msg = f"a schedule wants shares of 0 to 1, months above 0 and a scanner, got {shares}, {self.months:g}"
            raise SettingsError(msg)


def draw_schedule(rng: np.random.Generator, settings: ScheduleSettings | None = None) -> tuple[PlannedVisit, ...]:
    """Draw the visits of one patient.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    settings : ScheduleSettings, optional
        How.

    Returns
    -------
    tuple of PlannedVisit
        The first on day 0, which nobody misses; days ascend.
    """
    settings = settings or ScheduleSettings()
    last = settings.months * DAYS_PER_MONTH
    days, day, number = [0.0], 0.0, 0
    while True:
        number += 1
        if settings.rhythm is Rhythm.QUARTERLY:
            day = max(number * QUARTER_DAYS + float(rng.normal(0.0, LATE_DAYS)), day + SHORTEST_DAYS)
        else:
            day += max(float(rng.lognormal(np.log(IRREGULAR_DAYS), IRREGULAR_SPREAD)), SHORTEST_DAYS)
        if day > last:
            break
        if rng.random() >= settings.missed:
            days.append(day)
    usual = settings.scanners[int(rng.integers(len(settings.scanners)))]
    habit = _sequences(rng)
    visits = []
    for place, when in enumerate(days):
        other = place > 0 and rng.random() < settings.other_scanner
        scanner = settings.scanners[int(rng.integers(len(settings.scanners)))] if other else usual
        taken = _sequences(rng) if rng.random() < settings.other_sequences else habit
        visits.append(PlannedVisit(round(when), scanner, taken))
    return tuple(visits)


def _sequences(rng: np.random.Generator) -> tuple[Sequence, ...]:
    shares = [share for share, _ in SEQUENCE_SETS]
    return SEQUENCE_SETS[int(rng.choice(len(shares), p=shares))][1]
