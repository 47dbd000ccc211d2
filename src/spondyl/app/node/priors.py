"""Which earlier study a new one is compared with: the patient's own, MR, of the same part of the spine, nearest before.

Archives answer what they have, not what was meant: identifiers match loosely in some, body parts are written as it
pleased the scanner. So every answer is looked at again here, and where none fits there is no prior.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pydicom

from spondyl.io.dicom import UNREADABLE, quiet, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

SPINE = re.compile(
    r"SPINE|SPINAL|VERTEB|WIRBEL|\b[HBL]WS\b|COLUMNA|COLONNA|COLONNE|RACHIS|LUMB|LOMB|CERVIC|SACR|MYEL", re.IGNORECASE
)
"""Words for the spine in BodyPartExamined (PS3.16 annex L) and in descriptions, in the languages we know of."""

REGIONS = {
    "cervical": re.compile(r"CERVI|\bCT?-?SPINE|\bC SPINE|\bHWS\b", re.IGNORECASE),
    "thoracic": re.compile(r"THORA|DORSAL|\bC?TL?-?SPINE|\bT SPINE|\bBWS\b", re.IGNORECASE),
    "lumbar": re.compile(r"LUMB|LOMB|\bT?LS?-?SPINE|\bL SPINE|\bLWS\b", re.IGNORECASE),
    "sacral": re.compile(r"SACR|\bL?S-?SPINE", re.IGNORECASE),
}
"""Words for its parts; a study that names none may hold any."""

MOST_LOOKED_AT = 12
"""Earlier studies whose series are asked for, nearest first. Chosen by us."""

MOST_HEADERS = 400
"""Files of the new study that are read to learn what it shows. Chosen by us."""

HEADER = (
    "PatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "SeriesDescription",
    "BodyPartExamined",
)


@dataclass(frozen=True)
class Current:
    """What of a new study decides which earlier one fits; never written or logged.

    Parameters
    ----------
    patient_id, birth_date : str
        PatientID and PatientBirthDate.
    study_uid : str
        StudyInstanceUID.
    date, time : str
        StudyDate and StudyTime.
    regions : frozenset of str
        Parts of the spine that it names, by the keys of `REGIONS`.
    """

    patient_id: str
    birth_date: str
    study_uid: str
    date: str
    time: str = ""
    regions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Earlier:
    """A study that an archive named.

    Parameters
    ----------
    patient_id, birth_date, study_uid, date, time
        As for `Current`.
    description : str
        StudyDescription.
    modalities : tuple of str
        ModalitiesInStudy; empty where the archive does not say.
    """

    patient_id: str
    birth_date: str
    study_uid: str
    date: str
    time: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """A series that an archive named.

    Parameters
    ----------
    series_uid : str
        SeriesInstanceUID.
    modality, body_part, description : str
        Modality, BodyPartExamined, SeriesDescription.
    """

    series_uid: str
    modality: str
    body_part: str = ""
    description: str = ""


def current_of(folder: Path) -> Current | None:
    """Read of a study's files what decides about its prior.

    Parameters
    ----------
    folder : Path
        Its DICOM files.

    Returns
    -------
    Current or None
        None where the files do not name patient, study and day.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    with quiet():
        for path in sorted(folder.glob("*.dcm"))[:MOST_HEADERS]:
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER))
            except UNREADABLE:
                continue
            for keyword in HEADER:
                found[keyword] = found.get(keyword) or text_of(header, keyword).strip()
            words += [text_of(header, k) for k in ("StudyDescription", "SeriesDescription", "BodyPartExamined")]
    if _day(found.get("StudyDate", "")) is None or not found["PatientID"] or not found["StudyInstanceUID"]:
        return None
    return Current(
        found["PatientID"],
        found["PatientBirthDate"],
        found["StudyInstanceUID"],
        found["StudyDate"],
        found["StudyTime"],
        regions_in(words),
    )


def regions_in(words: Iterable[str]) -> frozenset[str]:
    """Find the parts of the spine that are named.

    Parameters
    ----------
    words : iterable of str
        Body parts and descriptions.

    Returns
    -------
    frozenset of str
        Keys of `REGIONS`; empty where none is named.

    Examples
    --------
    >>> sorted(regions_in(["LSSPINE"]))
    ['lumbar', 'sacral']
    >>> sorted(regions_in(["MRT BWS nativ"]))
    ['thoracic']
    """
    together = "\n".join(set(words)).replace("_", " ")
    return frozenset(name for name, pattern in REGIONS.items() if pattern.search(together))


def ranked(current: Current, found: Iterable[Earlier], *, max_days: float | None = None) -> list[Earlier]:
    """Keep the studies that may be priors, nearest first.

    Parameters
    ----------
    current : Current
        The new study.
    found : iterable of Earlier
        What the archive answered.
    max_days : float, optional
        No older than so many days.

    Returns
    -------
    list of Earlier
        Of the same patient, before the new one, and MR as far as known.
    """
    day = _day(current.date)

    def fits(one: Earlier) -> bool:
        then = _day(one.date)
        if day is None or then is None or one.study_uid in ("", current.study_uid):
            return False
        same_patient = one.patient_id.strip() == current.patient_id and (
            not one.birth_date or not current.birth_date or one.birth_date == current.birth_date
        )
        before = then < day or (then == day and "" < one.time < current.time)
        young = max_days is None or (day - then).days <= max_days
        return same_patient and before and young and (not one.modalities or "MR" in one.modalities)

    return sorted(filter(fits, found), key=lambda one: (one.date, one.time, one.study_uid), reverse=True)


def shows_spine(study: Earlier, series: Sequence[Series]) -> bool | None:
    """Say whether a study shows the spine.

    Parameters
    ----------
    study : Earlier
        The study.
    series : sequence of Series
        Its MR series.

    Returns
    -------
    bool or None
        None where nothing is said about it.
    """
    if any(SPINE.search(text) for s in series for text in (s.body_part, s.description, study.description)):
        return True
    return False if series and all(s.body_part for s in series) else None


def choose(
    current: Current, candidates: Sequence[Earlier], series_of: Callable[[Earlier], Sequence[Series]]
) -> tuple[Earlier, tuple[Series, ...]] | None:
    """Choose the prior: the nearest that shows the same part of the spine, else the nearest that may.

    Parameters
    ----------
    current : Current
        The new study.
    candidates : sequence of Earlier
        As from `ranked`.
    series_of : callable
        Asks for the series of a study.

    Returns
    -------
    tuple of Earlier and tuple of Series, or None
        The study and its MR series.
    """
    possible = None
    for one in candidates[:MOST_LOOKED_AT]:
        series = tuple(s for s in series_of(one) if s.modality == "MR" and s.series_uid)
        spine = shows_spine(one, series)
        if not series or spine is False:
            continue
        regions = regions_in([one.description, *(w for s in series for w in (s.body_part, s.description))])
        if regions and current.regions and not regions & current.regions:
            continue
        if spine:
            return one, series
        possible = possible or (one, series)
    return possible


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text[:8], "%Y%m%d")
    except ValueError:
        return None
