"""What routes share: templates, who is asking, and what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.web.accounts import Role, Session
from spondyl.io.wording import SUBTYPE_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from spondyl.app.web.application import Services


def subtype_words(subtype: str | None) -> str:
    """Say a subtype as a radiologist does.

    Parameters
    ----------
    subtype : str or None
        As in ``result.json``.

    Returns
    -------
    str
        In words.
    """
    return "not judged" if subtype is None else SUBTYPE_WORDS.get(subtype, subtype.replace("_", " "))


_ENVIRONMENT = Environment(
    loader=PackageLoader("spondyl.app.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {"notice": RESEARCH_USE_ONLY, "version": __version__, "roles": list(Role)}
_ENVIRONMENT.filters["subtype"] = subtype_words


def render(request: Request, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Make a page.

    Parameters
    ----------
    request : Request
        What is answered.
    template : str
        Name of the template.
    status_code : int, optional
        Of the answer.
    **values : object
        What the template shows.

    Returns
    -------
    HTMLResponse
        The page; every value was escaped.
    """
    session = getattr(request.state, "session", None)
    text = _ENVIRONMENT.get_template(template).render(session=session, path=request.url.path, **values)
    return HTMLResponse(text, status_code)


def services_of(request: Request) -> Services:
    """Give what routes work with.

    Parameters
    ----------
    request : Request
        The request.

    Returns
    -------
    Services
        Of this application.
    """
    services: Services = request.app.state.services
    return services


def session_of(request: Request) -> Session:
    """Give the session of a request, which the guard has found.

    Parameters
    ----------
    request : Request
        The request.

    Returns
    -------
    Session
        The session.

    Raises
    ------
    HTTPException
        If nobody is logged in.
    """
    session: Session | None = getattr(request.state, "session", None)
    if session is None:
        raise HTTPException(401, "log in first")
    return session


def _at_least(role: Role) -> Callable[[Request], Session]:
    def check(request: Request) -> Session:
        session = session_of(request)
        if session.user.role.rank < role.rank:
            raise HTTPException(403, f"this needs the role {role}; ask an administrator of this server")
        return session

    return check


Given = Annotated[Any, Depends(services_of)]
"""The `Services` of the application."""

Viewer = Annotated[Session, Depends(_at_least(Role.VIEWER))]
Reader = Annotated[Session, Depends(_at_least(Role.READER))]
Admin = Annotated[Session, Depends(_at_least(Role.ADMIN))]
"""The session of somebody who has at least this role."""
