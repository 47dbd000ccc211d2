"""One study of a hospital: what is true of it beside what an analysis said, paired vertebra by vertebra.

The rules are those of a reader who has only the answer in hand: a malignant vertebra that was not found, not named or
not judged was missed, so that no failure ever improves a figure. A vertebra that the truth does not mention is normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spondyl.evaluation.detection import FALSE_POSITIVE, Study
from spondyl.evaluation.instances import LevelScore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MALIGNANT, BENIGN, NORMAL = "malignant", "benign", "normal"
KINDS = (MALIGNANT, BENIGN, NORMAL)
"""What the truth may say of a vertebra or a study."""

SAME_VERTEBRA_MM = 10.0
"""A found vertebra is the true one whose center lies nearer than this: about half the distance of two cervical centers,
and more than a hand-set point is off. Chosen by us."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class TrueLevel:
    """What is true of one vertebra.

    Parameters
    ----------
    level : str
        Its name.
    kind : str
        One of `KINDS`.
    volume_ml : float
        Volume of its lesion in mL, NaN where not known.
    center_lps_mm : tuple of float or None
        Center of its body in LPS mm; the vertebra is then recognized by its place and not by its name.
    """

    level: str
    kind: str
    volume_ml: float = math.nan
    center_lps_mm: Point | None = None


@dataclass(frozen=True)
class TrueStudy:
    """What is true of one study.

    Parameters
    ----------
    number : int
        Of the study, from 1; names of folders may hold a patient's.
    patient : str
        Pseudonym of the patient.
    levels : tuple of TrueLevel
        Vertebrae; those left out are normal.
    malignant_elsewhere : bool
        Whether there is malignant disease without a level.
    groups : mapping of str to str
        Further facts by which performance is told apart.
    when : float
        Moment of the study in days from any origin, NaN where not known.
    """

    number: int
    patient: str
    levels: tuple[TrueLevel, ...] = ()
    malignant_elsewhere: bool = False
    groups: Mapping[str, str] = field(default_factory=dict)
    when: float = math.nan

    @property
    def malignant(self) -> bool:
        """Whether any malignant disease is in the study."""
        return self.malignant_elsewhere or any(t.kind == MALIGNANT for t in self.levels)


@dataclass(frozen=True)
class FoundVertebra:
    """What an analysis said of one vertebra.

    Parameters
    ----------
    instance : int
        Its number in the study.
    level : str or None
        Its name, None where it was left unnamed.
    centroid_lps_mm : tuple of float
        Center of its body in LPS mm.
    probability : float or None
        Of malignancy; None where it was not judged.
    prediction_set : tuple of str
        Kinds that were not ruled out.
    """

    instance: int
    level: str | None
    centroid_lps_mm: Point
    probability: float | None
    prediction_set: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundLesion:
    """A lesion candidate.

    Parameters
    ----------
    level : str or None
        Level of its vertebra.
    instance : int or None
        Number of its vertebra; None outside bone.
    probability : float
        Of malignancy.
    confidence : float
        That it is a lesion.
    """

    level: str | None
    instance: int | None
    probability: float
    confidence: float


@dataclass(frozen=True)
class FoundStudy:
    """What an analysis said of one study.

    Parameters
    ----------
    vertebrae : tuple of FoundVertebra
        From the head down.
    lesions : tuple of FoundLesion
        Candidates.
    flags : tuple of str
        Codes of what limits the result.
    groups : mapping of str to str
        How the images were taken.
    failed : bool
        Whether the study could not be analyzed at all.
    """

    vertebrae: tuple[FoundVertebra, ...] = ()
    lesions: tuple[FoundLesion, ...] = ()
    flags: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False

    @property
    def score(self) -> float:
        """Highest probability of malignancy anywhere, 0 where nothing was judged."""
        judged = [v.probability for v in self.vertebrae if v.probability is not None]
        return max([*judged, *(x.probability for x in self.lesions)], default=0.0)


@dataclass(frozen=True)
class PairedVertebra:
    """One vertebra in truth and answer.

    Parameters
    ----------
    study : int
        Number of the study.
    level : str
        Its true name; the given one where the truth does not mention it.
    kind : str
        One of `KINDS`.
    probability : float
        Of malignancy; 0 where it was not found or not judged.
    found : FoundVertebra or None
        The answer.
    center_lps_mm : tuple of float or None
        Where it is, if that is known.
    """

    study: int
    level: str
    kind: str
    probability: float
    found: FoundVertebra | None
    center_lps_mm: Point | None

    @property
    def malignant(self) -> bool:
        """Whether it is malignant."""
        return self.kind == MALIGNANT


@dataclass(frozen=True)
class PairedStudy:
    """One study in truth and answer.

    Parameters
    ----------
    true : TrueStudy
        The truth.
    found : FoundStudy
        The answer.
    vertebrae : tuple of PairedVertebra
        Those that count.
    n_unnamed : int
        Vertebrae found that were left unnamed, and so could be compared with no truth.
    marks : Study
        Lesion candidates against lesions.
    levels : LevelScore or None
        Names against true names; None where the truth gives no place of a vertebra.
    """

    true: TrueStudy
    found: FoundStudy
    vertebrae: tuple[PairedVertebra, ...]
    n_unnamed: int
    marks: Study
    levels: LevelScore | None

    @property
    def groups(self) -> dict[str, str]:
        """What tells the study apart, from its headers and from the truth."""
        return {**self.found.groups, **self.true.groups}


def pair_study(true: TrueStudy, found: FoundStudy) -> PairedStudy:
    """Put truth and answer of one study together.

    Parameters
    ----------
    true : TrueStudy
        The truth.
    found : FoundStudy
        The answer; of a study that failed only the malignant vertebrae count, as missed.

    Returns
    -------
    PairedStudy
        Every vertebra once.
    """
    partner = _partners(true.levels, found.vertebrae)
    taken = {v.instance for v in partner if v is not None}
    rows = [
        PairedVertebra(
            true.number, t.level, t.kind, _probability(v), v, t.center_lps_mm or (v.centroid_lps_mm if v else None)
        )
        for t, v in zip(true.levels, partner, strict=True)
        if v is not None or t.kind == MALIGNANT or not found.failed
    ]
    free = [v for v in found.vertebrae if v.instance not in taken]
    rows += [
        PairedVertebra(true.number, v.level, NORMAL, _probability(v), v, v.centroid_lps_mm)
        for v in free
        if v.level is not None
    ]
    return PairedStudy(
        true,
        found,
        tuple(rows),
        sum(v.level is None for v in free),
        _marks(true, found, partner),
        _level_score(true.levels, partner),
    )


def _probability(found: FoundVertebra | None) -> float:
    return 0.0 if found is None or found.probability is None else found.probability


def _partners(true: Sequence[TrueLevel], found: Sequence[FoundVertebra]) -> list[FoundVertebra | None]:
    """Find the answer to each true vertebra: by place where it is known, nearest pairs first; by name otherwise."""
    partner: dict[int, FoundVertebra] = {}
    free = {v.instance: v for v in found}
    pairs = sorted(
        (math.dist(t.center_lps_mm, v.centroid_lps_mm), i, v.instance)
        for i, t in enumerate(true)
        for v in found
        if t.center_lps_mm is not None
    )
    for distance, i, instance in pairs:
        if distance <= SAME_VERTEBRA_MM and i not in partner and instance in free:
            partner[i] = free.pop(instance)
    by_name = {v.level: v for v in reversed(list(free.values())) if v.level is not None}
    for i, t in enumerate(true):
        if t.center_lps_mm is None and t.level in by_name:
            partner[i] = by_name.pop(t.level)
    return [partner.get(i) for i in range(len(true))]


def _marks(true: TrueStudy, found: FoundStudy, partner: Sequence[FoundVertebra | None]) -> Study:
    """Give the lesion candidates as marks: one hits a lesion by lying in its vertebra."""
    lesions = [(t, v) for t, v in zip(true.levels, partner, strict=True) if t.kind != NORMAL]
    by_instance = {v.instance: n for n, (_, v) in enumerate(lesions) if v is not None}
    by_name = {t.level: n for n, (t, v) in enumerate(lesions) if v is None}
    hits = []
    for x in found.lesions:
        hit = by_instance.get(x.instance, FALSE_POSITIVE) if x.instance is not None else FALSE_POSITIVE
        hits.append(hit if hit != FALSE_POSITIVE else by_name.get(x.level or "", FALSE_POSITIVE))
    volumes = [0.0 if math.isnan(t.volume_ml) else t.volume_ml for t, _ in lesions]
    return Study(true.patient, volumes, [x.confidence for x in found.lesions], hits)


def _level_score(true: Sequence[TrueLevel], partner: Sequence[FoundVertebra | None]) -> LevelScore | None:
    placed = [(t, v) for t, v in zip(true, partner, strict=True) if t.center_lps_mm is not None]
    if not placed:
        return None
    found = [(t.level, v.level) for t, v in placed if v is not None]
    named = [(t, v) for t, v in found if v is not None]
    wrong = tuple((t, v) for t, v in named if t != v)
    return LevelScore(len(placed), len(found), len(named), len(named) - len(wrong), wrong)
