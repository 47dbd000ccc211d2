"""The scores as a report shows them: by place first, then those of the whole patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spondyl.core import Score
from spondyl.io.panels import level_text

if TYPE_CHECKING:
    from spondyl.core import Case, ScoreItem

PLACED = ("bilsky_escc", "sins", "wbb")
"""Scores told by place, the most urgent first."""

PATIENT = ("tokuhashi_revised", "tomita", "bauer_modified", "van_der_linden")
"""Prognostic scores of the whole patient."""


@dataclass(frozen=True)
class ScoreLine:
    """One score in words.

    Parameters
    ----------
    name, place, value, category, note, reference : str
        As shown; the value with its interval.
    items : tuple of (str, str, str, str)
        Name, finding, points and note of each item.
    verified : bool
        Whether its table was checked.
    serious : bool
        Whether it should catch the eye.
    """

    name: str
    place: str
    value: str
    category: str
    note: str
    reference: str
    items: tuple[tuple[str, str, str, str], ...]
    verified: bool
    serious: bool = False


@dataclass(frozen=True)
class ScoreSection:
    """All scores of a case in the order of the report.

    Parameters
    ----------
    placed, patient, fractures, noms : tuple of ScoreLine
        By place; of the patient; Genant grades above 0; the NOMS grid, at most one.
    n_heights : int
        Bodies whose height was compared.
    """

    placed: tuple[ScoreLine, ...]
    patient: tuple[ScoreLine, ...]
    fractures: tuple[ScoreLine, ...]
    noms: tuple[ScoreLine, ...]
    n_heights: int

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.placed or self.patient or self.noms or self.n_heights)


def score_section(case: Case) -> ScoreSection:
    """Give the scores of a case in words.

    Parameters
    ----------
    case : Case
        A scored case.

    Returns
    -------
    ScoreSection
        Empty where nothing was scored.
    """
    scores = [s for s in case.scores if isinstance(s, Score)]
    placed = sorted((s for s in scores if s.code in PLACED), key=lambda s: (PLACED.index(s.code), -(s.high or 0)))
    heights = [s for s in scores if s.code == "genant"]
    return ScoreSection(
        placed=tuple(_line(s, case) for s in placed),
        patient=tuple(_line(s, case) for s in scores if s.code in PATIENT),
        fractures=tuple(_line(s, case) for s in heights if s.value),
        noms=tuple(_line(s, case) for s in scores if s.code == "noms"),
        n_heights=len(heights),
    )


def _line(score: Score, case: Case) -> ScoreLine:
    serious = (score.code == "bilsky_escc" and (score.high or 0) >= 4) or (
        score.code == "sins" and score.low is not None and score.low >= 7
    )
    place = next((level_text(v) for v in case.vertebrae if v.instance == score.vertebra_instance), score.level or "")
    if score.lesion is not None:
        place = f"{place}, lesion {score.lesion}" if place else f"lesion {score.lesion}"
    return ScoreLine(
        name=score.name,
        place=place,
        value=_value(score),
        category="" if score.code == "bilsky_escc" else score.category,
        note=score.note,
        reference=score.reference,
        items=tuple((i.name, i.found or "not known", _points(i, score), i.note) for i in score.items),
        verified=score.verified,
        serious=serious,
    )


def _value(score: Score) -> str:
    if score.code == "bilsky_escc":
        return score.category or "not graded"
    return "" if score.code == "wbb" else span(score.low, score.high)


def span(low: float | None, high: float | None) -> str:
    """Give an interval as one writes it.

    Parameters
    ----------
    low, high : float or None
        Its ends.

    Returns
    -------
    str
        One number where they are equal; empty where there are none.
    """
    if low is None or high is None:
        return ""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _points(item: ScoreItem, score: Score) -> str:
    return span(item.low, item.high) if score.unit == "{points}" else ""
