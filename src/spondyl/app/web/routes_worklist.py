"""The worklist: every study with its state, the most urgent first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from spondyl.app.catalog import StudyState
from spondyl.app.web.pages import Given, Viewer, render

router = APIRouter(tags=["worklist"])

ROWS = 200
"""Studies on a page of the list."""

PREPARED = 20
"""Studies on top of the list whose volumes are made before somebody opens them. Chosen by us."""


class StudyLine(BaseModel):
    """A study in the worklist.

    Parameters
    ----------
    study_key : str
        Its key.
    state, urgency : str
        As in the catalog.
    received_at : str
        UTC, ISO 8601.
    case_id : str
        Its pseudonym.
    n_instances : int
        Instances received.
    sequences : list of str
        Sequences recognized.
    scanner : str
        Kind of scanner.
    error : str
        Why it failed.
    can_open : bool
        Whether there is a result.
    patient : dict of str to str
        From the headers of the images.
    reviewed_by : list of str
        Who gave a verdict.
    summary : dict
        Numbers for the list.
    """

    study_key: str
    state: str
    urgency: str
    received_at: str = Field(description="UTC, ISO 8601")
    case_id: str
    n_instances: int
    sequences: list[str]
    scanner: str
    error: str
    can_open: bool
    patient: dict[str, str] = Field(description="From the headers of the images")
    reviewed_by: list[str] = Field(description="Who gave a verdict on the present result")
    summary: dict[str, Any]


@router.get("/", include_in_schema=False)
def worklist_page(request: Request, services: Given, session: Viewer) -> Response:
    """Show the worklist.

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
    services.log.append(session.user.name, "worklist.view")
    return render(request, "worklist.html", states=list(StudyState))


@router.get("/api/studies")
def list_studies(
    services: Given, session: Viewer, state: StudyState | None = None, offset: int = Query(0, ge=0)
) -> list[StudyLine]:
    """List studies: the most urgent first, then the newest.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.
    state : StudyState, optional
        Only those in this state.
    offset : int, optional
        How many to pass over.

    Returns
    -------
    list of StudyLine
        At most 200.
    """
    rows = services.studies.catalog.list(states=None if state is None else [state], limit=ROWS, offset=offset)
    services.studies.prepare(rows[:PREPARED])
    hidden = services.reader_studies.hidden_from(session.user.name)
    reviewed = services.opinions.reviewers([row.study_key for row in rows])
    return [_line(services, row, reviewed.get(row.study_key, [])) for row in rows if row.study_key not in hidden]


def _line(services: Any, row: Any, reviewed_by: list[str]) -> StudyLine:
    return StudyLine(
        study_key=row.study_key,
        state=str(row.state),
        urgency=str(row.urgency),
        received_at=row.received_at.isoformat(),
        case_id=row.case_id,
        n_instances=row.n_instances,
        sequences=list(row.sequences),
        scanner=row.scanner,
        error=row.error,
        can_open=services.studies.has_result(row),
        patient=asdict(services.studies.identity(row)),
        reviewed_by=reviewed_by,
        summary=row.summary,
    )
