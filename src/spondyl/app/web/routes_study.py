"""One study: the page of the viewer, its images and what was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from spondyl.app.web.accounts import Role
from spondyl.app.web.ohif import study_address
from spondyl.app.web.pages import Given, Viewer, render, subtype_words
from spondyl.app.web.volumes import nifti_file
from spondyl.io.retold import retold

if TYPE_CHECKING:
    from spondyl.app.catalog import StudyRow
    from spondyl.app.web.accounts import Session
    from spondyl.app.web.application import Services

router = APIRouter(tags=["study"])

REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox allow-popups"
"""The report carries its own style and pictures; it runs nothing."""

OBJECTS = ("vertebrae", "lesions", "findings", "saliency", "uncertainty", "summary")
"""DICOM objects of a result that may be downloaded, by file name without suffix."""


def open_study(services: Services, session: Session, study_key: str) -> StudyRow:
    """Give a study that somebody may see.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.
    study_key : str
        Which study.

    Returns
    -------
    StudyRow
        The study.

    Raises
    ------
    HTTPException
        If it is a case of a reader study that this person still reads: seeing it outside would unblind the reading.
    """
    row = services.studies.get(study_key)
    if study_key in services.reader_studies.hidden_from(session.user.name):
        raise HTTPException(403, "this study is a case of a reader study that you are reading; open it there")
    return row


@router.get("/studies/{study_key}", include_in_schema=False)
def study_page(request: Request, study_key: str, services: Given, session: Viewer) -> Response:
    """Show a study.

    Parameters
    ----------
    request : Request
        The request.
    study_key : str
        Which study.
    services : Services
        What routes work with.
    session : Session
        Who looks.

    Returns
    -------
    Response
        The page of the viewer.
    """
    row = open_study(services, session, study_key)
    services.log.append(session.user.name, "study.view", study_key=study_key)
    return render(request, "study.html", row=row, identity=services.studies.identity(row))


@router.get("/api/studies/{study_key}")
def study_data(study_key: str, services: Given, session: Viewer) -> dict[str, Any]:
    """Give everything the viewer shows of a study but the numbers of its volumes.

    Parameters
    ----------
    study_key : str
        Which study.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    dict
        ``volumes``, ``result`` (as in ``result.json``), ``priors``, ``reviews`` and ``feedback``.
    """
    row = open_study(services, session, study_key)
    view = services.studies.view(row)
    answer: dict[str, Any] = {
        "study_key": study_key,
        "state": str(row.state),
        "urgency": str(row.urgency),
        "summary": row.summary,
        "volumes": dict(view.manifest),
        "result": None,
        "result_sha256": "",
        "may_export": session.user.role is Role.ADMIN,
        "may_review": session.user.role.rank > 0,
        "user": session.user.name,
        "specialty": str(session.user.specialty),
        "ohif": services.settings.ohif is not None,
    }
    if services.studies.has_result(row):
        document, sha256 = services.studies.result(row)
        answer |= {"result": with_words(document), "result_sha256": sha256}
    hidden = services.reader_studies.hidden_from(session.user.name)
    answer["priors"] = [
        {"study_key": prior.study_key, **asdict(services.studies.identity(prior))}
        for prior in services.studies.priors(row)
        if prior.study_key not in hidden
    ]
    answer |= services.opinions.of_study(study_key, answer["result_sha256"])
    return answer


def with_words(document: dict[str, Any]) -> dict[str, Any]:
    """Add to each finding its subtype in words, and to the whole what the report says.

    Parameters
    ----------
    document : dict
        The content of ``result.json``.

    Returns
    -------
    dict
        The same with ``subtype_words`` of each finding, and ``told``.
    """
    told = {
        kind: [{**finding, "subtype_words": subtype_words(finding["subtype"])} for finding in document[kind]]
        for kind in ("vertebrae", "lesions")
    }
    return document | told | {"told": retold(document)}


@router.get("/api/studies/{study_key}/volumes/{name}", response_class=Response)
def volume(study_key: str, name: str, services: Given, session: Viewer) -> Response:
    """Give the numbers of a volume: little-endian, slices, rows, columns as the manifest says, packed with gzip.

    Parameters
    ----------
    study_key : str
        Which study.
    name : str
        Which volume, as in the manifest.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        The numbers.
    """
    view = services.studies.view(open_study(services, session, study_key))
    return packed(view.file(name))


def packed(path: Any) -> Response:
    """Answer with a file that is packed already.

    Parameters
    ----------
    path : Path
        A file packed with gzip.

    Returns
    -------
    Response
        Which a browser unpacks.
    """
    return FileResponse(path, media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})


@router.get("/api/studies/{study_key}/nifti/{name}.nii.gz", response_class=Response)
def nifti(study_key: str, name: str, services: Given, session: Viewer) -> Response:
    """Give a volume as NIfTI.

    Parameters
    ----------
    study_key : str
        Which study.
    name : str
        Which volume, as in the manifest.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        The file.
    """
    view = services.studies.view(open_study(services, session, study_key))
    return FileResponse(nifti_file(view, name), media_type="application/gzip")


@router.get("/studies/{study_key}/report", response_class=Response)
def report(study_key: str, services: Given, session: Viewer) -> Response:
    """Give the report of a study.

    Parameters
    ----------
    study_key : str
        Which study.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        A page that stands by itself.
    """
    row = open_study(services, session, study_key)
    path = services.studies.result_folder(row) / "report.html"
    if not path.is_file():
        raise HTTPException(404, "this study has no report yet")
    services.log.append(session.user.name, "report.view", study_key=study_key)
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/studies/{study_key}/ohif", response_class=Response)
def ohif(request: Request, study_key: str, services: Given, session: Viewer) -> Response:
    """Lead to OHIF, with this study open.

    Parameters
    ----------
    request : Request
        The request.
    study_key : str
        Which study.
    services : Services
        What routes work with.
    session : Session
        Who looks.

    Returns
    -------
    Response
        A redirection to the port of OHIF.
    """
    row = open_study(services, session, study_key)
    if services.settings.ohif is None:
        raise HTTPException(404, "OHIF is not set up here; the settings of the node have a part ohif for it")
    incoming = services.studies.folder.incoming(row.study_key)
    result = services.studies.result_folder(row)
    return RedirectResponse(study_address(request.base_url, services.settings.ohif, incoming, result), 303)


@router.get("/api/studies/{study_key}/dicom/{name}.dcm", response_class=Response)
def dicom_object(study_key: str, name: str, services: Given, session: Viewer) -> Response:
    """Give a DICOM object of a result.

    Parameters
    ----------
    study_key : str
        Which study.
    name : str
        Such as ``lesions``.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Response
        The file.
    """
    row = open_study(services, session, study_key)
    path = services.studies.result_folder(row) / "dicom" / f"{name}.dcm"
    if name not in OBJECTS or not path.is_file():
        raise HTTPException(404, f"this study has no such object; there may be {', '.join(OBJECTS)}")
    services.log.append(session.user.name, "dicom.download", study_key=study_key, object=name)
    return FileResponse(path, media_type="application/dicom", filename=f"{name}.dcm")
