"""The web application of the review page, put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.catalog import Catalog, open_database
from spondyl.app.data_folder import DataFolder
from spondyl.app.web import (
    routes_account,
    routes_admin,
    routes_export,
    routes_reading,
    routes_review,
    routes_study,
    routes_worklist,
)
from spondyl.app.web.accounts import Accounts
from spondyl.app.web.audit import AuditLog
from spondyl.app.web.guard import Guard
from spondyl.app.web.pages import render
from spondyl.app.web.reading_store import ReaderStudies
from spondyl.app.web.reviews import Opinions
from spondyl.app.web.studies import Studies
from spondyl.app.web.tables import make_tables
from spondyl.core import SpondylError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from argon2 import PasswordHasher

    from spondyl.app.serve_settings import ServeSettings

STATIC_FOLDER = Path(__file__).with_name("static")

ROUTERS = (
    routes_account.router,
    routes_worklist.router,
    routes_study.router,
    routes_export.router,
    routes_review.router,
    routes_reading.router,
    routes_admin.router,
)


@dataclass(frozen=True)
class Services:
    """What routes work with.

    Parameters
    ----------
    accounts : Accounts
        Users and sessions.
    log : AuditLog
        Who saw and did what.
    studies : Studies
        The studies of the node.
    opinions : Opinions
        Verdicts, feedback and usability.
    reader_studies : ReaderStudies
        Reader studies.
    settings : ServeSettings
        How the node serves.
    """

    accounts: Accounts
    log: AuditLog
    studies: Studies
    opinions: Opinions
    reader_studies: ReaderStudies
    settings: ServeSettings

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies travel over TLS only."""
        return self.settings.web_tls is not None


def create_app(
    settings: ServeSettings, *, machine_routers: Sequence[APIRouter] = (), hasher: PasswordHasher | None = None
) -> FastAPI:
    """Make the web application.

    Parameters
    ----------
    settings : ServeSettings
        Where data and database are.
    machine_routers : sequence of APIRouter, optional
        Routes for machines, such as STOW-RS and metrics, which check a token of their own instead of a session.
    hasher : PasswordHasher, optional
        Other costs of hashing passwords.

    Returns
    -------
    FastAPI
        The application. ``state.services`` holds what routes work with.
    """
    folder = DataFolder(settings.data).make()
    engine = open_database(settings.database)
    make_tables(engine)
    engine.dispose()
    catalog = Catalog(settings.database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.studies.close()
        catalog.close()

    app = FastAPI(
        title="Spondyl review page",
        version=__version__,
        description=f"Worklist, findings, opinions and reader studies. {RESEARCH_USE_ONLY}.",
        docs_url=None,  # they would load scripts from elsewhere; /api lists the routes
        redoc_url=None,
        lifespan=lifespan,
    )
    services = Services(
        accounts=Accounts(catalog.engine, hasher),
        log=AuditLog(catalog.engine),
        studies=Studies(catalog, folder),
        opinions=Opinions(catalog.engine),
        reader_studies=ReaderStudies(catalog.engine),
        settings=settings,
    )
    app.state.services = services
    machine_routes = [route for router in machine_routers for route in router.routes]
    for router in (*machine_routers, *ROUTERS):
        app.include_router(router)
    if not any(getattr(route, "path", "") == "/healthz" for route in machine_routes):
        app.add_api_route("/healthz", lambda: {"status": "ok"}, methods=["GET"], tags=["node"], summary="Say it lives")
    app.mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static")
    app.add_middleware(Guard, accounts=services.accounts, machine_routes=tuple(machine_routes))
    _answer_errors(app)
    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(SpondylError)
    def ours(request: Request, error: SpondylError) -> Response:
        return _told(request, 400, str(error))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        answer = _told(request, error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def unfit(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _told(request, 422, f"{where}: {first['msg']}")  # never the value, which may be a password


def _told(request: Request, status: int, detail: str) -> Response:
    """Tell an error as a page where somebody looks at a page, as JSON elsewhere."""
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    session: Any = getattr(request.state, "session", None)
    if not wants_page or session is None:
        return JSONResponse({"detail": detail}, status)
    return render(request, "error.html", status_code=status, status=status, detail=detail)
