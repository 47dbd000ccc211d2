"""What has changed since an earlier study: numbers beside what repetition alone would change."""

from __future__ import annotations

from dataclasses import dataclass

Matrix = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Change:
    """One number at two studies.

    Parameters
    ----------
    name : str
        What it is.
    unit : str
        UCUM unit of `prior` and `current`.
    prior, current : float or None
        Its values; None where it could not be had.
    percent : float or None
        Change in percent of the prior value.
    limit : str
        Beyond what a change counts, in words with unit.
    verdict : str
        ``"increased"``, ``"decreased"``, ``"unchanged"`` or ``"not assessable"``.
    note : str
        Why it is not assessable, or what limits it.
    """

    name: str
    unit: str
    prior: float | None
    current: float | None
    percent: float | None
    limit: str
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class LesionChange:
    """One lesion at two studies.

    Parameters
    ----------
    status : str
        ``"matched"``, ``"new"``, ``"resolved"``, ``"not covered"`` by one of the studies, or ``"without borders"``
        where a vertebra judged diseased stands for it in one of them.
    lesion, prior_lesion : int or None
        Its number in the current and in the prior study.
    level : str or None
        Its level in the current study.
    changes : tuple of Change
        Volume, longest diameter, epidural volume, ADC and fat fraction.
    suspicious : bool
        Whether it was more likely malignant than not in either study.
    category : str
        Response category, in words.
    caution : str
        Why the category may mislead; empty for no reason.
    days_since_radiotherapy : int or None
        Since its level was last irradiated.
    """

    status: str
    lesion: int | None
    prior_lesion: int | None
    level: str | None
    changes: tuple[Change, ...] = ()
    suspicious: bool = True
    category: str = ""
    caution: str = ""
    days_since_radiotherapy: int | None = None


@dataclass(frozen=True)
class VertebraMatch:
    """One vertebra in two studies.

    Parameters
    ----------
    instance, prior_instance : int
        Its numbers.
    level, prior_level : str or None
        Its levels.
    residual_mm : float
        Mean distance of its registered surfaces.
    prior_to_current : tuple of tuple of float
        Rigid motion in LPS mm, four rows of four.
    height : Change or None
        Mean height of that third of the body, in front, in the middle or behind, that lost most; None where one of the
        studies does not show the whole body.
    """

    instance: int
    prior_instance: int
    level: str | None
    prior_level: str | None
    residual_mm: float
    prior_to_current: Matrix
    height: Change | None = None


@dataclass(frozen=True)
class Verdict:
    """What a set of criteria says.

    Parameters
    ----------
    code, name : str
        Machine-readable and readable name of the criteria.
    category : str
        What they say; ``"not assessable"`` where they cannot.
    facts : tuple of str
        What decided.
    note : str
        What limits it.
    reference : str
        The paper.
    verified : bool
        False where the criteria were recalled and not checked against the paper.
    """

    code: str
    name: str
    category: str
    facts: tuple[str, ...] = ()
    note: str = ""
    reference: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Response:
    """Comparison with a prior study.

    Parameters
    ----------
    assessable : bool
        Whether the two could be compared.
    reason : str
        Why not; empty otherwise.
    prior_case_id : str
        Pseudonym of the prior study.
    days_since_prior : int or None
        Time between the studies; None where it is not known.
    same_patient : str
        ``"confirmed"`` by the headers, or ``"not checkable"``.
    vertebrae : tuple of VertebraMatch
        From the head down.
    lesions : tuple of LesionChange
        In the order of the current study, then those that are gone.
    verdicts : tuple of Verdict
        Sets of criteria.
    """

    assessable: bool
    reason: str = ""
    prior_case_id: str = ""
    days_since_prior: int | None = None
    same_patient: str = "not checkable"
    vertebrae: tuple[VertebraMatch, ...] = ()
    lesions: tuple[LesionChange, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
