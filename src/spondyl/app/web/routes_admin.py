"""Users, the audit log and the list of routes, for administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, SecretStr

from spondyl.app.web.accounts import Role, Specialty
from spondyl.app.web.pages import Admin, Given, Viewer, render
from spondyl.app.web.routes_account import Told

router = APIRouter(tags=["administration"])

AUDIT_ROWS = 200
"""Entries of the log on a page."""


class NewUser(BaseModel):
    """An account to be made.

    Parameters
    ----------
    name : str
        User name.
    password : SecretStr
        First password.
    role : Role
        What it may do.
    specialty : Specialty
        Whose opinion it gives.
    """

    name: str
    password: SecretStr
    role: Role
    specialty: Specialty = Specialty.OTHER


class UserChange(BaseModel):
    """What should become different about an account.

    Parameters
    ----------
    password : SecretStr, optional
        A new password.
    role : Role, optional
        What it may do.
    specialty : Specialty, optional
        Whose opinion it gives.
    active : bool, optional
        Whether it may log in.
    """

    password: SecretStr | None = None
    role: Role | None = None
    specialty: Specialty | None = None
    active: bool | None = None


class AuditAnswer(BaseModel):
    """Whether the audit log is whole.

    Parameters
    ----------
    n_entries : int
        Entries read.
    broken_at : int or None
        First entry that does not fit, or None.
    head : str
        Hash of the last entry.
    """

    n_entries: int
    broken_at: int | None
    head: str


@router.get("/users", include_in_schema=False)
def users_page(request: Request, services: Given, session: Admin) -> Response:
    """Show all accounts.

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
    return render(request, "users.html", users=services.accounts.list(), specialties=list(Specialty))


@router.post("/api/users", status_code=201)
def add_user(said: NewUser, services: Given, session: Admin) -> Told:
    """Make an account.

    Parameters
    ----------
    said : NewUser
        The account.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Told
        What happened.
    """
    services.accounts.add(said.name, said.password.get_secret_value(), said.role, said.specialty)
    services.log.append(session.user.name, "user.add", user=said.name, role=str(said.role))
    return Told(message=f"The account {said.name} was made.")


@router.post("/api/users/{name}")
def change_user(name: str, said: UserChange, services: Given, session: Admin) -> Told:
    """Change an account, which ends its sessions.

    Parameters
    ----------
    name : str
        Which account.
    said : UserChange
        What to change.
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    Told
        What happened.
    """
    fields = said.model_dump(exclude_none=True, exclude={"password"})
    password = None if said.password is None else said.password.get_secret_value()
    services.accounts.change(name, password=password, **fields)
    told = {key: value if isinstance(value, bool) else str(value) for key, value in fields.items()}
    services.log.append(session.user.name, "user.change", user=name, password=password is not None, **told)
    return Told(message=f"The account {name} was changed.")


@router.get("/audit", include_in_schema=False)
def audit_page(request: Request, services: Given, session: Admin, before: int | None = Query(None, ge=1)) -> Response:
    """Show the audit log.

    Parameters
    ----------
    request : Request
        The request.
    services : Services
        What routes work with.
    session : Session
        Who looks.
    before : int, optional
        Show entries with a lower number.

    Returns
    -------
    Response
        The page.
    """
    entries = services.log.newest(AUDIT_ROWS, before=before)
    return render(request, "audit.html", entries=entries, check=services.log.verify(), rows=AUDIT_ROWS)


@router.get("/api/audit/check")
def check_audit(services: Given, session: Admin) -> AuditAnswer:
    """Check the audit log.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.

    Returns
    -------
    AuditAnswer
        Whether every entry fits the one before.
    """
    found = services.log.verify()
    return AuditAnswer(n_entries=found.n_entries, broken_at=found.broken_at, head=found.head)


@router.get("/api/audit")
def audit_entries(services: Given, session: Admin, before: int | None = Query(None, ge=1)) -> JSONResponse:
    """Give entries of the audit log, the newest first.

    Parameters
    ----------
    services : Services
        What routes work with.
    session : Session
        Who asks.
    before : int, optional
        Only entries with a lower number.

    Returns
    -------
    JSONResponse
        At most 200.
    """
    return JSONResponse([vars(entry) for entry in services.log.newest(AUDIT_ROWS, before=before)])


@router.get("/api", include_in_schema=False)
def api_page(request: Request, session: Viewer) -> Response:
    """List the routes for programs.

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
    schema: dict[str, Any] = request.app.openapi()
    routes = [
        (tag, method.upper(), path, about.get("summary", ""), about.get("description", "").partition("\n\n")[0])
        for path, methods in schema["paths"].items()
        for method, about in methods.items()
        for tag in about.get("tags", ["other"])[:1]
    ]
    return render(request, "api.html", routes=sorted(routes))
