"""OHIF beside the page: the viewer's files and the images of an archive, behind the login of the page.

OHIF shows what the archive holds, results of Spondyl over their source series among them. Its prebuilt files expect to
stand at the root of a site, so they have a port of their own; a browser sends the page's session there, too, since
cookies do not know ports (RFC 6265 section 8.5). What it may ask the archive for are images of studies in the worklist
that this person may see, and nothing can be changed. Scripts of the viewer cannot reach the page: for a browser, a
port is another origin.

References
----------
OHIF, https://docs.ohif.org (configuration of a DICOMweb data source); DICOM PS3.18 chapters 8 and 10.
"""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from spondyl import RESEARCH_USE_ONLY
from spondyl.app.web.guard import HEADERS, session_token
from spondyl.core import InputError, SettingsError
from spondyl.io.dicom import UNREADABLE, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from spondyl.app.serve_settings import Ohif, ServeSettings
    from spondyl.app.web.accounts import Session
    from spondyl.app.web.application import Services

ROOT = "/dicom-web"
"""Where OHIF finds the images."""

TIMEOUT_S = 60.0
"""How long the archive may be silent, in s. Chosen by us."""

UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
"""PS3.5 section 9.1; also keeps a path from leading elsewhere in the archive."""

WITHIN_STUDY = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9.,_-]*)*")
"""Series, instances, frames, bulk data and renderings of a study (PS3.18 section 10.1)."""

PASSED_ON = ("accept", "accept-language", "if-none-match", "range")
PASSED_BACK = ("content-type", "content-range", "etag", "warning")
"""Headers of a request and of an answer that go through."""

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What OHIF needs, which is more than the page; but nothing from other servers, and nothing sent to one."""

VIEWER_HEADERS = HEADERS | {
    "Content-Security-Policy": POLICY,
    # Shared memory, which OHIF keeps volumes in, needs a page that is isolated from others.
    "Cross-Origin-Embedder-Policy": "require-corp",
}

NAMED_BY_CONTENT = re.compile(r"\.[0-9a-f]{16}\.js$|^[0-9a-f]{16}\.")
"""Files whose names change with their content; a browser may keep them."""

CONFIGURATION = """window.config = {
  name: "spondyl",
  routerBasename: null,
  extensions: [],
  modes: [],
  customizationService: [{ "ohif.tours": { $set: [] } }],
  showStudyList: false,
  maxNumberOfWebWorkers: 2,
  showLoadingIndicator: true,
  showWarningMessageForCrossOrigin: false,
  disableConfirmationPrompts: true,
  investigationalUseDialog: { option: "never" },
  whiteLabeling: {
    createLogoComponentFn: (React) =>
      React.createElement("span", { style: { color: "#c9d6dd", fontSize: "13px" }, title: "NOTICE" },
        "OHIF beside Spondyl \\u00b7 research use only"),
  },
  defaultDataSourceName: "archive",
  dataSources: [{
    namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
    sourceName: "archive",
    configuration: {
      friendlyName: "archive",
      name: "archive",
      qidoRoot: "ROOT",
      wadoRoot: "ROOT",
      wadoUriRoot: "ROOT",
      qidoSupportsIncludeField: false,
      supportsReject: false,
      supportsStow: false,
      supportsFuzzyMatching: false,
      supportsWildcard: false,
      imageRendering: "wadors",
      thumbnailRendering: "wadors",
      enableStudyLazyLoad: true,
      omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: true, relativeResolution: "studies" },
    },
  }],
};
"""


class _Viewer:
    """What the routes need."""

    def __init__(self, services: Services, settings: ServeSettings, ohif: Ohif) -> None:
        self.services = services
        self.folder = ohif.folder.resolve()
        self.archive = ohif.archive.rstrip("/")
        self.page_port = settings.web_port
        given = (ohif.username, ohif.password.get_secret_value()) if ohif.username else None
        trusted = True if ohif.authority is None else str(ohif.authority)
        self.client = httpx.Client(auth=given, verify=trusted, timeout=TIMEOUT_S, follow_redirects=False)
        self._seen: set[tuple[str, str]] = set()
        self._mine = threading.Lock()

    def may_see(self, session: Session, study_uid: str) -> bool:
        """Say whether a study is in the worklist, and no case of a reading that must stay blind."""
        key = self.services.studies.folder.study_key(study_uid)
        known = self.services.studies.catalog.get(key) is not None
        return known and key not in self.services.reader_studies.hidden_from(session.user.name)

    def note(self, session: Session, study_uid: str) -> None:
        """Note once for each session that somebody looked at a study."""
        key = self.services.studies.folder.study_key(study_uid)
        with self._mine:
            if (session.csrf, key) in self._seen:
                return
            self._seen.add((session.csrf, key))
        self.services.log.append(session.user.name, "ohif.view", study_key=key)


def create_ohif(services: Services, settings: ServeSettings) -> Starlette:
    """Make the application that serves OHIF.

    Parameters
    ----------
    services : Services
        Of the page: sessions, worklist, audit log.
    settings : ServeSettings
        Their part ``ohif`` is set.

    Returns
    -------
    Starlette
        To be served at the root of a port of its own.

    Raises
    ------
    SettingsError
        If the folder does not hold OHIF.
    """
    ohif = settings.ohif
    if ohif is None or not (ohif.folder / "index.html").is_file() or not (ohif.folder / "app-config.js").is_file():
        msg = (
            "ohif.folder must be the folder of OHIF's prebuilt files, with index.html and app-config.js in it; "
            "see docs/how-to/connect-a-pacs.md for how to get them"
        )
        raise SettingsError(msg)
    viewer = _Viewer(services, settings, ohif)
    routes = [
        Route("/app-config.js", partial(_behind_login, viewer, _configuration)),
        Route(ROOT + "/studies", partial(_behind_login, viewer, _search)),
        Route(ROOT + "/studies/{study}{rest:path}", partial(_behind_login, viewer, _retrieve)),
        Route(ROOT + "{rest:path}", partial(_behind_login, viewer, _nothing)),
        Route("/{name:path}", partial(_behind_login, viewer, _file)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _told})
    app.state.viewer = viewer
    return app


async def _behind_login(viewer: _Viewer, then: Any, request: Request) -> Response:
    token = session_token(request.headers)
    session = await run_in_threadpool(viewer.services.accounts.session, token) if token else None
    answer: Response
    if session is None and "text/html" in request.headers.get("accept", ""):
        answer = RedirectResponse(str(request.url.replace(port=viewer.page_port, path="/login", query="")), 303)
    elif session is None:
        answer = JSONResponse({"detail": "log in first"}, 401)
    else:
        answer = await run_in_threadpool(then, viewer, session, request)
    for name, value in VIEWER_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _told(_: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "a defect")
    return JSONResponse({"detail": detail}, status, headers=VIEWER_HEADERS)


def _configuration(_: _Viewer, __: Session, ___: Request) -> Response:
    text = CONFIGURATION.replace("ROOT", ROOT).replace("NOTICE", RESEARCH_USE_ONLY)
    return Response(text, media_type="text/javascript")


def _file(viewer: _Viewer, _: Session, request: Request) -> Response:
    """Give a file of OHIF; what is none is a place inside it, which its one page knows."""
    name = request.path_params["name"]
    path = (viewer.folder / name).resolve()
    if name and path.is_file() and path.is_relative_to(viewer.folder):
        kept = {"Cache-Control": "private, max-age=604800"} if NAMED_BY_CONTENT.search(path.name) else {}
        return FileResponse(path, headers=kept)
    if "." in path.name and "/" not in name:
        raise HTTPException(404, "OHIF has no such file")
    return FileResponse(viewer.folder / "index.html", media_type="text/html")


def _nothing(_: _Viewer, __: Session, ___: Request) -> Response:
    raise HTTPException(404, "only studies can be asked for")


def _search(viewer: _Viewer, session: Session, request: Request) -> Response:
    """Search for studies (PS3.18 section 10.6); those that this person may not see are left out."""
    answer = _asked(viewer, request, "/studies")
    try:
        if answer.status_code != 200:  # 204 is an archive's way to say that it found nothing
            return JSONResponse([], 200)
        answer.read()
        found = [s for s in answer.json() if viewer.may_see(session, _study_uid(s))]
    except (ValueError, TypeError, httpx.HTTPError):
        raise HTTPException(502, "the archive's answer to a search cannot be read") from None
    finally:
        answer.close()
    return JSONResponse(found, media_type="application/dicom+json")


def _study_uid(found: dict[str, Any]) -> str:
    values = found.get("0020000D", {}).get("Value") or [""]
    return str(values[0])


def _retrieve(viewer: _Viewer, session: Session, request: Request) -> Response:
    """Hand on what is asked of one study; references in answers lead back here."""
    study, rest = request.path_params["study"], request.path_params["rest"]
    if not UID.fullmatch(study) or not WITHIN_STUDY.fullmatch(rest) or not viewer.may_see(session, study):
        raise HTTPException(404, "the worklist has no such study that you may see")
    viewer.note(session, study)
    answer = _asked(viewer, request, f"/studies/{study}{rest}")
    headers = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
    if "json" in headers.get("content-type", ""):
        try:
            body = answer.read()
        except httpx.HTTPError:
            raise HTTPException(502, "the archive's answer broke off") from None
        finally:
            answer.close()
        here = str(URL(str(request.base_url)).replace(path=ROOT, query=""))
        return Response(body.replace(viewer.archive.encode(), here.encode()), answer.status_code, headers)
    return StreamingResponse(_pieces(answer), answer.status_code, headers)


def _pieces(answer: httpx.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_bytes()
    finally:
        answer.close()


def _asked(viewer: _Viewer, request: Request, path: str) -> httpx.Response:
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    asked = viewer.client.build_request("GET", viewer.archive + path, params=request.query_params, headers=headers)
    try:
        return viewer.client.send(asked, stream=True)
    except httpx.HTTPError:
        msg = "the archive that ohif.archive names does not answer; ask an administrator of this server"
        raise HTTPException(502, msg) from None


def study_address(base: URL, ohif: Ohif, incoming: Path, result: Path) -> str:
    """Give the address at which OHIF shows a study, with the lesions over their source series if there are any.

    Parameters
    ----------
    base : URL
        The address of the page.
    ohif : Ohif
        Says on which port.
    incoming, result : Path
        Folders of the study's instances and of its result.

    Returns
    -------
    str
        On the port of OHIF.

    Raises
    ------
    InputError
        If no image says which study it is of.
    """
    study = next(filter(None, (_uid_of(p, "StudyInstanceUID") for p in sorted(incoming.glob("*.dcm"))[:5])), "")
    if not study:
        msg = "no image of this study says which study it is of; OHIF cannot show it"
        raise InputError(msg)
    lesions = _uid_of(result / "dicom" / "lesions.dcm", "SeriesInstanceUID")
    first = f"&initialSeriesInstanceUID={lesions}" if lesions else ""
    return str(base.replace(port=ohif.port, path="/viewer", query=f"StudyInstanceUIDs={study}{first}"))


def _uid_of(path: Path, keyword: str) -> str:
    """Read a UID; empty where there is none that is fit for an address."""
    try:
        with quiet():
            uid = str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[keyword]).get(keyword, ""))
    except UNREADABLE:
        return ""
    return uid if UID.fullmatch(uid) else ""
