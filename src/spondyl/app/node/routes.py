"""Routes of the node for machines: health, metrics, STOW-RS, and "this study is complete".

All but health want the node's token, as ``Authorization: Bearer`` or as the password of HTTP Basic, which is what
PACS can send. They are no part of the review page's sessions and need no protection against forged forms, since no
browser sends the token by itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from spondyl import __version__
from spondyl.app.node.stow import answer, store
from spondyl.core import InputError

if TYPE_CHECKING:
    from spondyl.app.node.service import NodeService

DICOM_JSON = "application/dicom+json"

router = APIRouter(tags=["node"])
"""To be included by the web application, whose ``state.node`` is the running `NodeService`."""


def _service(request: Request) -> NodeService:
    service = getattr(request.app.state, "node", None)
    if service is None:
        raise HTTPException(503, "The DICOM node is not running in this process.")
    return service  # type: ignore[no-any-return]


def _shown_token(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _with_token(request: Request) -> NodeService:
    service = _service(request)
    shown = _shown_token(request.headers.get("authorization", ""))
    if not hmac.compare_digest(shown.encode(), service.token.encode()):
        raise HTTPException(401, "Show the node's token.", headers={"WWW-Authenticate": 'Basic realm="Spondyl node"'})
    return service


Service = Annotated[Any, Depends(_with_token)]


class Health(BaseModel):
    """How the node is.

    Parameters
    ----------
    status : str
        ``"ok"``, or ``"degraded"`` where something needs a hand.
    version : str
        Of Spondyl.
    checks : dict of str to bool
        What was looked at, and whether it is well.
    """

    status: str
    version: str
    checks: dict[str, bool]


@router.get("/healthz", response_model=Health, responses={503: {"model": Health}})
def health(request: Request, response: Response) -> Health:
    """Say whether the node works; 503 if not.

    Parameters
    ----------
    request : Request
        The request.
    response : Response
        Its status is set.

    Returns
    -------
    Health
        No identifiers, no counts; open to all.
    """
    service = getattr(request.app.state, "node", None)
    checks = {} if service is None else service.checks()
    good = all(checks.values())
    response.status_code = 200 if good else 503
    return Health(status="ok" if good else "degraded", version=__version__, checks=checks)


@router.get("/metrics")
def metrics(service: Service) -> Response:
    """Give the metrics in the text format of Prometheus.

    Parameters
    ----------
    service : NodeService
        The node.

    Returns
    -------
    Response
        Counts and times, no identifiers.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return Response(generate_latest(service.metrics), media_type=CONTENT_TYPE_LATEST)


@router.post("/dicom-web/studies")
@router.post("/dicom-web/studies/{study_uid}")
async def store_instances(request: Request, service: Service, study_uid: str = "") -> Response:
    """Take DICOM objects (STOW-RS).

    Parameters
    ----------
    request : Request
        ``multipart/related; type="application/dicom"``.
    service : NodeService
        The node.
    study_uid : str
        The study that all objects must belong to, if it is named.

    Returns
    -------
    Response
        DICOM JSON.
    """
    if not service.intake.has_room:
        raise HTTPException(503, "The disk of the node is full.", headers={"Retry-After": "600"})
    try:
        kind = request.headers.get("content-type", "")
        verdicts = await store(service.intake, kind, request.stream(), study_uid=study_uid)
    except InputError as error:
        raise HTTPException(400, str(error)) from None
    if not verdicts:
        raise HTTPException(400, "The request held no object.")
    status, body = answer(verdicts, root=str(request.base_url).rstrip("/") + "/dicom-web")
    return JSONResponse(body, status, media_type=DICOM_JSON)


class Complete(BaseModel):
    """Which study is complete.

    Parameters
    ----------
    study_instance_uid : str
        The study.
    """

    study_instance_uid: str = Field(max_length=64)


@router.post("/node/complete")
def complete(study: Complete, service: Service) -> dict[str, bool]:
    """Say that a study is complete, which saves the quiet time.

    Parameters
    ----------
    study : Complete
        The study.
    service : NodeService
        The node.

    Returns
    -------
    dict
        ``{"complete": true}`` if the study was open.
    """
    return {"complete": service.complete(study.study_instance_uid)}
