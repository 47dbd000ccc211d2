"""Whether an earlier study is one of the same patient, and how long ago it was, without showing who or when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from spondyl.core import InputError
from spondyl.io.dicom import text_of

if TYPE_CHECKING:
    from spondyl.io.study import Study


class Relation(NamedTuple):
    """How a prior study relates to the current one.

    Parameters
    ----------
    same_patient : str
        ``"confirmed"``, or ``"not checkable"`` where the files do not say.
    days : int or None
        Days between the studies; None where a date is missing.
    """

    same_patient: str
    days: int | None


def relation(study: Study, prior: Study) -> Relation:
    """Compare the headers of two studies.

    Parameters
    ----------
    study, prior : Study
        As read.

    Returns
    -------
    Relation
        Never a date or an identifier.

    Raises
    ------
    InputError
        If they are one study, of two patients, or in the wrong order.
    """
    if study.case.case_id == prior.case.case_id:
        msg = "--prior wants an earlier study, got the study itself; give the study taken before it"
        raise InputError(msg)
    same = "not checkable"
    for keyword in ("PatientID", "PatientBirthDate"):
        now, then = _value(study, keyword), _value(prior, keyword)
        if now and then and now != then:
            msg = (
                f"--prior wants a study of the same patient, got one whose {keyword} differs; "
                "give the patient's own prior study, or bring the headers into line if an archive changed them"
            )
            raise InputError(msg)
        if keyword == "PatientID" and now and then:
            same = "confirmed"
    return Relation(same, _days(study, prior))


def _value(study: Study, keyword: str) -> str:
    for source in study.sources.values():
        for dataset in source.datasets:
            value = text_of(dataset, keyword).strip().upper()
            if value:
                return value
    return ""


def _days(study: Study, prior: Study) -> int | None:
    try:
        now, then = (datetime.strptime(_value(s, "StudyDate"), "%Y%m%d") for s in (study, prior))
    except ValueError:
        return None
    days = (now - then).days
    if days < 0:
        msg = f"--prior wants an earlier study, got one whose StudyDate is {-days} days later; exchange the two"
        raise InputError(msg)
    return days
