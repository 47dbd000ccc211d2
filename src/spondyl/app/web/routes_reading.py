"""Reader studies: set up by an administrator, read blinded, exported for their analysis."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from spondyl.app.catalog import StudyState
from spondyl.app.web.accounts import Role
from spondyl.app.web.opinion_statistics import as_csv
from spondyl.app.web.pages import Admin, Given, Reader, render
from spondyl.app.web.reading_store import AIDED, WASHOUT_DAYS, Design
from spondyl.app.web.routes_account import Told
from spondyl.app.web.routes_study import packed, with_words
from spondyl.app.web.true_lesions import COLUMNS, LARGEST_BYTES, read_true_lesions
from spondyl.core import InputError
from spondyl.io.reader_study import write_readings

if TYPE_CHECKING:
    from spondyl.app.web.application import Services

router = APIRouter(tags=["reader studies"])

LONGEST_READING_S = 6 * 3600.0
"""A reading is shorter than a session of work. Chosen by us."""

HIDDEN_OF_A_VOLUME = ("series_uid", "series_number")
"""What would lead a reader to the study in the PACS."""


class NewReaderStudy(BaseModel):
    """A reader study to be made.

    Parameters
    ----------
    name : str
        Of the reader study.
    truth : dict of str to bool
        Whether each case, by study key, is positive.
    readers : list of str
        Names of users.
    seed : int
        The same seed gives the same order.
    sequential : bool
        Whether each case is read aided at once after unaided.
    washout_days : int
        Least days between sessions.
    question : str
        What readers are asked.
    lesions_csv : str
        Table of the true lesions; empty for none.
    """

    name: str = Field(min_length=1, max_length=80)
    truth: dict[str, bool] = Field(description="Whether each case, by study key, is positive")
    readers: list[str] = Field(min_length=1, description="Names of users")
    seed: int = Field(default=0, ge=0)
    sequential: bool = False
    washout_days: int = Field(default=WASHOUT_DAYS, ge=0, le=365)
    question: str = Field(default="How suspicious is this study of spinal malignancy?", min_length=1, max_length=300)
    lesions_csv: str = Field(default="", max_length=LARGEST_BYTES, description=f"CSV: {', '.join(COLUMNS)}")


class Mark(BaseModel):
    """A place that a reader marked.

    Parameters
    ----------
    point_lps_mm : tuple of float
        Where, in LPS mm.
    score : float
        Suspicion from 0 to 100.
    """

    point_lps_mm: tuple[float, float, float]
    score: float = Field(ge=0, le=100)


class Finished(BaseModel):
    """What a reader says of a case.

    Parameters
    ----------
    score : float
        Suspicion from 0 to 100.
    seconds : float
        Time spent looking, without the time that the page was hidden.
    marks : list of Mark
        Marked places.
    comment : str
        Free text.
    """

    score: float = Field(ge=0, le=100, description="Suspicion")
    seconds: float = Field(ge=0, le=LONGEST_READING_S, description="Time spent looking, without the hidden page")
    marks: Annotated[list[Mark], Field(max_length=100)] = []
    comment: str = Field(default="", max_length=4000)


@router.get("/readings", include_in_schema=False)
def readings_page(request: Request, services: Given, session: Reader) -> Response:
    """Show the next reading, and to administrators all reader studies.

    Parameters
    ----------
    request : Request
        The request.
    services : Services
        What routes work with.
    session : Session
        Who looks.

    Returns
    -------
    Response
        The page.
    """
    return render(
        request,
        "readings.html",
        task=services.reader_studies.next_task(session.user.name),
        reader_studies=services.reader_studies.overview() if session.user.role is Role.ADMIN else [],
    )


@router.get("/reader-studies/new", include_in_schema=False)
def new_page(request: Request, services: Given, session: Admin) -> Response:
    """Show the form for a new reader study.

    Parameters
    ----------
    request : Request
        The request.
    services : Services
        What routes work with.
    session : Session
        Who looks.

    Returns
    -------
    Response
        The page.
    """
    rows = services.studies.catalog.list(states=[StudyState.DONE])
    readers = [u for u in services.accounts.list() if u.active and u.role is not Role.VIEWER]
    return render(request, "reader_study_new.html", rows=rows, readers=readers, washout_days=WASHOUT_DAYS)


@router.post("/api/reader-studies", status_code=201)
def create_reader_study(said: NewReaderStudy, services: Given, session: Admin) -> Told:
    """Plan a reader study.

    Parameters
    ----------
    said : NewReaderStudy
        What was chosen.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Told
        What happened.
    """
    for study_key in said.truth:
        services.studies.result(services.studies.get(study_key))  # a case that cannot be read helps nobody
    roles = {user.name: user.role for user in services.accounts.list() if user.active}
    if len(set(said.readers)) < len(said.readers) or not all(roles.get(n, Role.VIEWER).rank for n in said.readers):
        msg = "readers are active users with the role reader or admin, each named once"
        raise InputError(msg)
    names: dict[str, str] = {}
    for study_key in said.truth:
        names |= {study_key: study_key, services.studies.get(study_key).case_id: study_key}
    lesions = read_true_lesions(said.lesions_csv, names, said.truth)
    design = Design(**said.model_dump(exclude={"lesions_csv"}), lesions=lesions)
    number = services.reader_studies.create(design, session.user.name)
    services.log.append(session.user.name, "reader_study.create", number=number, n_cases=len(said.truth))
    return Told(message="The reader study was made. Its readers find their first case under Readings.")


@router.post("/api/reader-studies/{number}/close")
def close_reader_study(number: int, services: Given, session: Admin) -> Told:
    """End a reader study.

    Parameters
    ----------
    number : int
        Which.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Told
        What happened.
    """
    services.reader_studies.close(number)
    services.log.append(session.user.name, "reader_study.close", number=number)
    return Told(message="The reader study was closed.")


@router.get("/api/reader-studies/{number}.zip", response_class=Response)
def export_reader_study(number: int, services: Given, session: Admin) -> Response:
    """Give a reader study as ``spondyl readers analyze`` takes it.

    Parameters
    ----------
    number : int
        Which.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        A zip with ``readings.csv``, and the places that readers marked in ``marks.csv``.
    """
    services.log.append(session.user.name, "reader_study.export", number=number)
    headers = {"Content-Disposition": f'attachment; filename="spondyl-reader-study-{number}.zip"'}
    return Response(_archive(services, number), media_type="application/zip", headers=headers)


def _archive(services: Services, number: int) -> bytes:
    plan = services.reader_studies.get(number)["plan"]
    usability = {row["user_name"]: row["answers"] for row in services.opinions.all_usability()}
    standalone = {}
    for case in plan["cases"]:
        row = services.studies.catalog.get(case["study_key"])
        if row is not None and services.studies.has_result(row):
            document = services.studies.result(row)[0]
            standalone[case["study_key"]] = (suspicion(document), own_marks(document))
    rows, truth, lesions = services.reader_studies.export(number, usability=usability, standalone=standalone)
    marks = [
        {
            "reader": row["reader"],
            "case": row["case_code"],
            "modality": row["modality"],
            **dict(zip(("x_lps_mm", "y_lps_mm", "z_lps_mm"), mark["point_lps_mm"], strict=True)),
            "score": mark["score"] / 100,
        }
        for row in services.reader_studies.done(number)
        for mark in row["marks"]
    ]
    packed_bytes = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(packed_bytes, "w", zipfile.ZIP_DEFLATED) as archive:
        write_readings(Path(folder) / "readings.csv", rows, truth, lesions)
        archive.write(Path(folder) / "readings.csv", "readings.csv")
        archive.writestr("marks.csv", as_csv(marks))
    return packed_bytes.getvalue()


def own_marks(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the lesion candidates of the software as marks.

    Parameters
    ----------
    document : dict
        The content of ``result.json``.

    Returns
    -------
    list of dict
        ``point_lps_mm`` and ``score`` from 0 to 1.
    """
    return [
        {"point_lps_mm": found["centroid_lps_mm"], "score": found["probabilities"].get("malignant", 0.0)}
        for found in document["lesions"]
    ]


def suspicion(document: dict[str, Any]) -> float:
    """Give the software's own score of a case.

    Parameters
    ----------
    document : dict
        The content of ``result.json``.

    Returns
    -------
    float
        The highest probability of malignancy of a lesion or vertebra; 0 where there is none.
    """
    findings = [*document["lesions"], *document["vertebrae"]]
    return max((finding["probabilities"].get("malignant", 0.0) for finding in findings), default=0.0)


@router.get("/readings/{number}", include_in_schema=False)
def reading_page(request: Request, number: int, services: Given, session: Reader) -> Response:
    """Show a case that is to be read.

    Parameters
    ----------
    request : Request
        The request.
    number : int
        Number of the reading.
    services : Services
        What routes work with.
    session : Session
        Who reads.

    Returns
    -------
    Response
        The page.
    """
    task = services.reader_studies.task(number, session.user.name)
    services.reader_studies.begin(task)
    services.log.append(session.user.name, "reading.begin", number=number)
    question = services.reader_studies.get(task.reader_study)["plan"]["question"]
    return render(request, "reading.html", task=task, question=question, aided=task.modality == AIDED)


@router.get("/api/readings/{number}")
def reading_data(number: int, services: Given, session: Reader) -> dict[str, Any]:
    """Give what a reader may see: images alone, or with everything the software says.

    Parameters
    ----------
    number : int
        Number of the reading.
    services : Services
        What routes work with.
    session : Session
        Who reads.

    Returns
    -------
    dict
        ``volumes``, and ``result`` if the reading is aided; no name, date or number of the study.
    """
    task = services.reader_studies.task(number, session.user.name)
    row = services.studies.get(task.study_key)
    manifest = dict(services.studies.view(row).manifest)
    manifest["images"] = [
        {k: v for k, v in image.items() if k not in HIDDEN_OF_A_VOLUME} for image in manifest["images"]
    ]
    result = None
    if task.modality == AIDED:
        document, _ = services.studies.result(row)
        shown = ("reference_sequence", "vertebrae", "lesions", "scores", "risk", "quality", "notice")
        worded = with_words(document)
        result = {name: worded[name] for name in shown} | {"told": worded["told"] | {"changes": {}}}
    else:
        manifest |= {"labels": [], "maps": []}
    return {"volumes": manifest, "result": result}


@router.get("/api/readings/{number}/volumes/{name}", response_class=Response)
def reading_volume(number: int, name: str, services: Given, session: Reader) -> Response:
    """Give the numbers of a volume of a case that is to be read.

    Parameters
    ----------
    number : int
        Number of the reading.
    name : str
        Which volume.
    services : Services
        What routes work with.
    session : Session
        Who reads.

    Returns
    -------
    Response
        As for a study.
    """
    task = services.reader_studies.task(number, session.user.name)
    view = services.studies.view(services.studies.get(task.study_key))
    if task.modality != AIDED and name not in {image["name"] for image in view.manifest["images"]}:
        raise HTTPException(403, "this reading is unaided: it has images alone")
    return packed(view.file(name))


@router.post("/api/readings/{number}")
def finish_reading(number: int, said: Finished, services: Given, session: Reader) -> Told:
    """Keep a reading, for good.

    Parameters
    ----------
    number : int
        Number of the reading.
    said : Finished
        What was seen.
    services : Services
        What routes work with.
    session : Session
        Who read.

    Returns
    -------
    Told
        What happened.
    """
    task = services.reader_studies.task(number, session.user.name)
    marks = [mark.model_dump() for mark in said.marks]
    services.reader_studies.finish(task, score=said.score, seconds=said.seconds, marks=marks, comment=said.comment)
    services.log.append(session.user.name, "reading.finish", number=number)
    return Told(message="Kept.")
