"""Log in, log out, change one's password."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, SecretStr

from spondyl.app.web.accounts import LONGEST_PASSWORD, Role, Specialty
from spondyl.app.web.guard import SESSION_COOKIE, session_token
from spondyl.app.web.pages import Given, Viewer, render
from spondyl.core import InputError

router = APIRouter(tags=["account"])

LOGIN_STYLE = Path(__file__).with_name("static") / "login.css"


@router.get("/login", include_in_schema=False)
def login_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the usual name in an address
    """Show the login.

    Parameters
    ----------
    request : Request
        The request.
    next : str, optional
        Where to go afterward.

    Returns
    -------
    Response
        The page.
    """
    return render(request, "login.html", next=_inside(next), failed=False, name="")


@router.get("/login.css", include_in_schema=False)
def login_style() -> Response:
    """Give the style of the login, the one file that is open.

    Returns
    -------
    Response
        The style.
    """
    return FileResponse(LOGIN_STYLE)


@router.post("/login", summary="Log in")
def login(
    request: Request,
    services: Given,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD + 1)],
    next: Annotated[str, Form(max_length=200)] = "/",  # noqa: A002
) -> Response:
    """Log in; the answer sets the cookie of the session.

    Parameters
    ----------
    request : Request
        The request.
    services : Services
        What routes work with.
    name, password : str
        As typed.
    next : str, optional
        Where to go afterward.

    Returns
    -------
    Response
        A redirection, or the login again.
    """
    user = services.accounts.check(name.strip().lower(), password)
    if user is None:
        # The name is not kept: people type passwords into the wrong field.
        services.log.append("", "login.refused")
        return render(request, "login.html", status_code=401, next=_inside(next), failed=True, name=name)
    token, _ = services.accounts.begin_session(user)
    services.log.append(user.name, "login")
    answer = RedirectResponse(_inside(next), 303)
    answer.set_cookie(SESSION_COOKIE, token, httponly=True, samesite="strict", secure=services.secure_cookies, path="/")
    return answer


def _inside(target: str) -> str:
    """Give an address of this page; anything that could lead elsewhere becomes the worklist."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if safe and target.isprintable() else "/"


@router.post("/logout", summary="Log out")
def logout(request: Request, services: Given, session: Viewer) -> Response:
    """End the session.

    Parameters
    ----------
    request : Request
        The request.
    services : Services
        What routes work with.
    session : Session
        Whose.

    Returns
    -------
    Response
        Takes the cookie back.
    """
    services.accounts.end_session(session_token(request.headers))
    services.log.append(session.user.name, "logout")
    answer = Response(status_code=204)
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


class OwnChange(BaseModel):
    """What people may change of their own account.

    Parameters
    ----------
    password : SecretStr
        The present password.
    new_password : SecretStr, optional
        A new one.
    specialty : Specialty, optional
        Whose opinion the account gives from now on.
    """

    password: SecretStr
    new_password: SecretStr | None = None
    specialty: Specialty | None = None


class Told(BaseModel):
    """What happened, in words.

    Parameters
    ----------
    message : str
        One sentence for the person who asked.
    """

    message: str = Field(description="One sentence for the person who asked")


class WhoAmI(BaseModel):
    """Whose session it is.

    Parameters
    ----------
    name : str
        User name.
    role : Role
        What the account may do.
    specialty : Specialty
        Whose opinion it gives.
    csrf : str
        To be repeated as the header X-CSRF-Token by every request that changes something.
    """

    name: str
    role: Role
    specialty: Specialty
    csrf: str = Field(description="To be repeated as the header X-CSRF-Token by every request that changes something")


@router.get("/api/session")
def whoami(session: Viewer) -> WhoAmI:
    """Say whose session it is.

    Parameters
    ----------
    session : Session
        The session.

    Returns
    -------
    WhoAmI
        For programs, which need the token.
    """
    user = session.user
    return WhoAmI(name=user.name, role=user.role, specialty=user.specialty, csrf=session.csrf)


@router.get("/account", include_in_schema=False)
def account_page(request: Request, session: Viewer) -> Response:
    """Show one's own account.

    Parameters
    ----------
    request : Request
        The request.
    session : Session
        Whose.

    Returns
    -------
    Response
        The page.
    """
    return render(request, "account.html", user=session.user, specialties=list(Specialty))


@router.post("/api/account")
def change_account(change: OwnChange, services: Given, session: Viewer) -> Told:
    """Change one's password or specialty, which logs out everywhere.

    Parameters
    ----------
    change : OwnChange
        What to change.
    services : Services
        What routes work with.
    session : Session
        Whose.

    Returns
    -------
    Told
        What happened.
    """
    if services.accounts.check(session.user.name, change.password.get_secret_value()) is None:
        msg = "the present password is wrong, so nothing was changed"
        raise InputError(msg)
    fields = {} if change.specialty is None else {"specialty": change.specialty}
    password = change.new_password.get_secret_value() if change.new_password else None
    services.accounts.change(session.user.name, password=password, **fields)
    services.log.append(session.user.name, "account.change", password=password is not None)
    return Told(message="Changed. Log in again.")
