"""Write a synthetic patient as a scanner and an archive would: DICOM, and beside it the truth that no scanner knows."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.core import Sequence, SettingsError
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.nifti import write_nifti
from spondyl.io.store import OutputFolder
from spondyl.phantom.course import simulate_course
from spondyl.phantom.patient import simulate_patient, synthetic_uid
from spondyl.phantom.schedule import PlannedVisit, Rhythm, ScheduleSettings, draw_schedule

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.core import Image
    from spondyl.phantom.course import Course
    from spondyl.phantom.patient import SyntheticPatient
    from spondyl.phantom.protocol import Protocol

TRUTH_FILE = "truth/truth.json"
"""The file that marks a folder as a synthetic patient, which may be replaced."""

DICOM_FOLDER = "dicom"

FORM_FILE = "form.toml"
"""The clinical form of a patient over time."""

MONTHS = 12.0
"""How long a schedule lasts that does not say."""

SCHEDULE_STREAM = 23
"""Which random numbers of a patient's seed are those of the schedule."""

FIRST_DAY = date(2020, 1, 1)
"""The day of every synthetic patient's first visit."""


def simulate_study(
    seed: int, out_folder: Path, *, lesions: str = "mixed", sequences: tuple[Sequence, ...] = ()
) -> Path:
    """Draw a patient and write the study and the truth.

    Parameters
    ----------
    seed : int
        The same seed gives the same patient.
    out_folder : Path
        New, empty, or an earlier synthetic patient, which is replaced.
    lesions : str, optional
        ``"mixed"``, ``"malignant"``, ``"benign"`` or ``"none"``.
    sequences : tuple of Sequence, optional
        Series to take; a usual lumbar study unless given.

    Returns
    -------
    Path
        The folder of the DICOM study.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    SettingsError
        If a sequence or kind of lesion is not known.
    """
    given: dict[str, Any] = {"sequences": sequences} if sequences else {}
    with OutputFolder(out_folder, mark=TRUTH_FILE) as folder:
        patient = simulate_patient(seed, lesions=lesions, **given)
        write_study(patient, folder / DICOM_FOLDER)
        write_truth(patient, folder / "truth")
    return out_folder / DICOM_FOLDER


def simulate_visits(
    seed: int, out_folder: Path, days: tuple[float | PlannedVisit, ...], *, sequences: tuple[Sequence, ...] = ()
) -> tuple[Path, ...]:
    """Draw a patient over time and write the study of every visit, the truth, and a clinical form.

    Parameters
    ----------
    seed : int
        The same seed gives the same patient.
    out_folder : Path
        New, empty, or an earlier synthetic patient, which is replaced.
    days : tuple of float or of PlannedVisit
        Days of the visits, ascending from 0, or visits as `planned_visits` draws them.
    sequences : tuple of Sequence, optional
        Series to take; a usual lumbar study unless given.

    Returns
    -------
    tuple of Path
        The folders of the DICOM studies, ``visit-1/dicom`` and so on.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    SettingsError
        If days do not ascend from 0, or a sequence is not known.
    """
    given: dict[str, Any] = {"sequences": sequences} if sequences else {}
    with OutputFolder(out_folder, mark=TRUTH_FILE) as folder:
        course = simulate_course(seed, days, **given)
        for number, visit in enumerate(course.visits, start=1):
            place = folder / f"visit-{number}"
            write_study(visit.patient, place / DICOM_FOLDER, visit=number - 1, day=visit.day)
            write_truth(visit.patient, place / "truth")
        (folder / "truth").mkdir()
        truth = json.dumps(_course_truth(course), indent=1, default=_jsonable)
        (folder / TRUTH_FILE).write_text(truth + "\n", encoding="utf-8")
        (folder / FORM_FILE).write_text(tomli_w.dumps(_form(course)), encoding="utf-8")
    return tuple(out_folder / f"visit-{n}" / DICOM_FOLDER for n in range(1, len(course.visits) + 1))


def planned_visits(text: str, seed: int, sequences: tuple[Sequence, ...] = ()) -> tuple[float | PlannedVisit, ...]:
    """Read what visits are wanted.

    Parameters
    ----------
    text : str
        Days separated by commas, as ``0,90``; or ``quarterly`` or ``irregular``, with months after a colon, as
        ``quarterly:9``, for a schedule on which visits are missed, and other scanners and sequences are met.
    seed : int
        Of the patient; a schedule is drawn from it.
    sequences : tuple of Sequence, optional
        Series to take at every visit; a schedule draws its own unless given.

    Returns
    -------
    tuple of float or of PlannedVisit
        What `simulate_visits` takes.

    Raises
    ------
    SettingsError
        If the text says neither, or the months are not above 0.
    """
    name, _, length = text.partition(":")
    try:
        if name not in set(Rhythm):
            return tuple(float(day) for day in text.split(","))
        months = float(length or MONTHS)
    except ValueError:
        rhythms = " or ".join(Rhythm)
        msg = f"visits are days separated by commas, as 0,90, or {rhythms} with months, as quarterly:9; got {text!r}"
        raise SettingsError(msg) from None
    drawn = draw_schedule(np.random.default_rng([seed, SCHEDULE_STREAM]), ScheduleSettings(Rhythm(name), months))
    return tuple(visit._replace(sequences=sequences) if sequences else visit for visit in drawn)


def _course_truth(course: Course) -> dict[str, Any]:
    """What is true of a patient over time: fates, and each lesion's label and volume at every visit."""
    lesions = []
    for number, lesion in enumerate(course.lesions, start=1):
        seen = [visit.lesion(number) for visit in course.visits]
        volumes = [0.0 if x is None else round(x.volume_mm3, 1) for x in seen]
        labels = [None if x is None else x.label for x in seen]
        lesions.append({"number": number, **asdict(lesion), "labels": labels, "volumes_mm3": volumes})
    return {
        "notice": RESEARCH_USE_ONLY,
        "spondyl_version": __version__,
        "seed": course.seed,
        "days": [visit.day for visit in course.visits],
        "motions_from_first_visit": [visit.motion for visit in course.visits],
        "lesions": lesions,
        "radiotherapy": [{"level": level, "day": day} for level, day in course.radiotherapy],
    }


def _form(course: Course) -> dict[str, Any]:
    """The clinical form of the last visit, as far as the phantom knows."""
    last = course.visits[-1]
    form: dict[str, Any] = {"age_years": round(last.patient.age_years), "sex": last.patient.sex}
    if len(course.visits) > 1:
        form["days_since_prior"] = round(last.day - course.visits[-2].day)
    if course.radiotherapy:
        form["radiotherapy"] = [
            {"levels": [level], "days_before_study": round(last.day - day)}
            for level, day in course.radiotherapy
            if day <= last.day
        ]
    return form


def write_study(patient: SyntheticPatient, folder: Path, *, visit: int = 0, day: float = 0.0) -> None:
    """Write the images of a synthetic patient as DICOM, one folder a series.

    Parameters
    ----------
    patient : SyntheticPatient
        The patient.
    folder : Path
        Made if missing.
    visit : int, optional
        Number of the visit, from 0.
    day : float, optional
        Days after the first visit.
    """
    study = SyntheticStudy(
        f"PATIENT-{patient.seed:05d}",
        patient.sex,
        patient.age_years,
        date=f"{FIRST_DAY + timedelta(days=round(day)):%Y%m%d}",
        study_uid=synthetic_uid(patient.seed, f"study {visit}" if visit else "study"),
    )
    for images, protocol in _series(patient):
        number = images[0].source.series_number or 0
        write_series(
            images,
            folder / f"series-{number:03d}",
            study=study,
            series_number=number,
            attributes={"SeriesDescription": protocol.description},
        )


def _series(patient: SyntheticPatient) -> list[tuple[list[Image], Protocol]]:
    """Group images as a scanner keeps them: the b-values of a diffusion scan in one series, all else apart."""
    series: list[tuple[list[Image], Protocol]] = []
    for image, protocol in zip(patient.images, patient.protocols, strict=True):
        if image.sequence is Sequence.DWI and series and series[-1][1] is protocol:
            series[-1][0].append(image)
        else:
            series.append(([image], protocol))
    return series


def write_truth(patient: SyntheticPatient, folder: Path) -> None:
    """Write what is true of a synthetic patient: tables as JSON, label maps as NIfTI.

    Parameters
    ----------
    patient : SyntheticPatient
        The patient.
    folder : Path
        Made if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reference = next((i for i in patient.images if i.sequence is Sequence.T2), patient.images[0])
    for name, labels in patient.labels_on(reference.grid).items():
        write_nifti(labels, folder / f"{name}.nii.gz")
    truth = {
        "notice": RESEARCH_USE_ONLY,
        "spondyl_version": __version__,
        "seed": patient.seed,
        "age_years": round(patient.age_years, 1),
        "sex": patient.sex,
        "labels_on": str(reference.sequence),
        "sequences": [str(image.sequence) for image in patient.images],
        "vertebrae": [asdict(vertebra) for vertebra in patient.anatomy.vertebrae],
        "lesions": [asdict(lesion) for lesion in patient.anatomy.lesions],
    }
    text = json.dumps(truth, indent=1, default=_jsonable)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8")


def _jsonable(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
