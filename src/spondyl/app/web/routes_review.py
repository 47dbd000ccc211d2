"""Verdicts, ratings and the usability questionnaire, and what they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, model_validator

from spondyl.app.web.opinion_statistics import EVERYBODY, opinion_archive, opinion_statistics
from spondyl.app.web.pages import Admin, Given, Reader, Viewer, render
from spondyl.app.web.reviews import SCALES, SUS_ITEMS
from spondyl.app.web.routes_account import Told
from spondyl.app.web.routes_study import open_study
from spondyl.core import InputError
from spondyl.core.anatomy import LEVELS

if TYPE_CHECKING:
    from spondyl.app.web.accounts import Session
    from spondyl.app.web.application import Services

router = APIRouter(tags=["review"])

LONGEST_COMMENT = 4000

Likert = Annotated[int, Field(ge=1, le=5)]


class About(BaseModel):
    """Which finding of which result somebody speaks of.

    Parameters
    ----------
    result_sha256 : str
        From the data of the study: which result was looked at.
    finding : str
        Such as ``lesion-1``, ``vertebra-3``, ``missed-1`` or ``study``.
    comment : str
        Free text.
    """

    result_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="From the study's data: what was looked at")
    finding: str = Field(pattern=r"^(study|(lesion|vertebra|missed)-[0-9]{1,4})$")
    comment: str = Field(default="", max_length=LONGEST_COMMENT)


class Correction(BaseModel):
    """What should stand there instead; what is None is right as it is.

    Parameters
    ----------
    level : str, optional
        Level name.
    finding_class : str, optional
        ``malignant``, ``benign`` or ``normal``.
    subtype : str, optional
        Subtype.
    point_lps_mm : tuple of float, optional
        Where a missed finding lies, in LPS mm.
    """

    level: str | None = Field(default=None, max_length=4)
    finding_class: Literal["malignant", "benign", "normal"] | None = None
    subtype: str | None = Field(default=None, max_length=40)
    point_lps_mm: tuple[float, float, float] | None = Field(default=None, description="Of a finding that was missed")

    @model_validator(mode="after")
    def _is_level(self) -> Correction:
        if self.level is not None and self.level not in LEVELS:
            msg = f"a level is one of {', '.join(LEVELS)}"
            raise ValueError(msg)
        return self


class Review(About):
    """A verdict on a finding.

    Parameters
    ----------
    result_sha256, finding, comment : str
        What it is about.
    verdict : str
        ``accept``, ``reject``, ``correct`` or ``missed``.
    correction : Correction
        What should stand there instead.
    """

    verdict: Literal["accept", "reject", "correct", "missed"]
    correction: Correction = Correction()

    @model_validator(mode="after")
    def _fits(self) -> Review:
        given = self.correction.model_dump(exclude_none=True)
        if self.verdict == "correct" and not given and not self.comment:
            msg = "say what should be corrected"
            raise ValueError(msg)
        if (self.verdict == "missed") != self.finding.startswith("missed-"):
            msg = "the verdict missed belongs to a finding missed-1, missed-2 and so on, and only to it"
            raise ValueError(msg)
        if self.verdict == "missed" and "point_lps_mm" not in given:
            msg = "say where the missed finding lies"
            raise ValueError(msg)
        return self


class Feedback(About):
    """Ratings of a finding, from 1 (strongly disagree) to 5 (strongly agree).

    Parameters
    ----------
    result_sha256, finding, comment : str
        What it is about.
    agreement, interpretability, clinical_relevance : int, optional
        From 1 (strongly disagree) to 5 (strongly agree).
    """

    agreement: Likert | None = None
    interpretability: Likert | None = None
    clinical_relevance: Likert | None = None


class UsabilityAnswers(BaseModel):
    """Answers to the ten items of the System Usability Scale, in their order.

    Parameters
    ----------
    answers : list of int
        From 1 (strongly disagree) to 5 (strongly agree).
    """

    answers: list[Likert] = Field(min_length=10, max_length=10)


def _spoken_of(services: Services, session: Session, study_key: str, about: About) -> dict[str, str]:
    """Check that the finding is one of the present result, so that an opinion never sticks to another one."""
    row = open_study(services, session, study_key)
    document, sha256 = services.studies.result(row)
    if sha256 != about.result_sha256:
        msg = "the study was analyzed again since you opened it; load it again"
        raise InputError(msg)
    kind, _, number = about.finding.partition("-")
    known = {"lesion": ("lesions", "id"), "vertebra": ("vertebrae", "instance")}.get(kind)
    if known is not None and int(number) not in {finding[known[1]] for finding in document[known[0]]}:
        msg = "the result has no such finding"
        raise InputError(msg)
    return {"study_key": study_key, **about.model_dump(include={"result_sha256", "finding", "comment"})}


@router.post("/api/studies/{study_key}/reviews")
def review(study_key: str, said: Review, services: Given, session: Reader) -> Told:
    """Accept, reject or correct a finding, or add one that was missed.

    Parameters
    ----------
    study_key : str
        Which study.
    said : Review
        The verdict.
    services : Services
        What routes work with.
    session : Session
        Whose.

    Returns
    -------
    Told
        What happened.
    """
    about = _spoken_of(services, session, study_key, said)
    correction = said.correction.model_dump(exclude_none=True)
    services.log.append(session.user.name, f"finding.{said.verdict}", study_key=study_key, finding=said.finding)
    services.opinions.add_review(session.user, about, said.verdict, correction)
    return Told(message="Kept.")


@router.post("/api/studies/{study_key}/feedback")
def give_feedback(study_key: str, said: Feedback, services: Given, session: Reader) -> Told:
    """Rate a finding.

    Parameters
    ----------
    study_key : str
        Which study.
    said : Feedback
        The ratings.
    services : Services
        What routes work with.
    session : Session
        Whose.

    Returns
    -------
    Told
        What happened.
    """
    about = _spoken_of(services, session, study_key, said)
    services.log.append(session.user.name, "finding.rate", study_key=study_key, finding=said.finding)
    services.opinions.add_feedback(session.user, about, said.model_dump(include=set(SCALES)))
    return Told(message="Kept.")


@router.get("/usability", include_in_schema=False)
def usability_page(request: Request, session: Reader) -> Response:
    """Show the usability questionnaire.

    Parameters
    ----------
    request : Request
        The request.
    session : Session
        Who looks.

    Returns
    -------
    Response
        The page.
    """
    return render(request, "usability.html", items=SUS_ITEMS, user=session.user)


@router.post("/api/usability")
def answer_usability(said: UsabilityAnswers, services: Given, session: Reader) -> Told:
    """Keep answers to the System Usability Scale.

    Parameters
    ----------
    said : UsabilityAnswers
        The answers.
    services : Services
        What routes work with.
    session : Session
        Whose.

    Returns
    -------
    Told
        What happened.
    """
    services.log.append(session.user.name, "usability.answer")
    services.opinions.add_usability(session.user, said.answers)
    return Told(message="Thank you. Your answers were kept.")


@router.get("/opinions", include_in_schema=False)
def opinions_page(request: Request, services: Given, session: Viewer) -> Response:
    """Show what all opinions come to.

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
    services.log.append(session.user.name, "opinions.view")
    statistics = opinion_statistics(services.opinions)
    return render(request, "opinions.html", found=statistics, scales=SCALES, everybody=EVERYBODY)


@router.get("/api/opinions")
def opinions_data(services: Given, session: Viewer) -> dict[str, Any]:
    """Give what all opinions come to.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    dict
        Shares of verdicts, ratings, agreement between people and usability, by specialty, with intervals.
    """
    return opinion_statistics(services.opinions)


@router.get("/api/opinions.zip", response_class=Response)
def opinions_archive(services: Given, session: Admin) -> Response:
    """Give all opinions as CSV, with their statistics.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        A zip.
    """
    services.log.append(session.user.name, "opinions.export")
    headers = {"Content-Disposition": 'attachment; filename="spondyl-opinions.zip"'}
    return Response(opinion_archive(services.opinions), media_type="application/zip", headers=headers)
