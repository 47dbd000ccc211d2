"""The door of the page: nothing passes without a session but the login and the health of the server.

The guard stands before the routes, so that a route added tomorrow is closed unless somebody opens it here. It also
checks what changes something (a token of the session, and that the request comes from our own page), and gives every
answer the headers that keep a browser from doing what the page does not need.

References
----------
OWASP Cheat Sheets: Cross-Site Request Forgery Prevention; Content Security Policy; Session Management.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Match

from spondyl.app.web.accounts import same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from spondyl.app.web.accounts import Accounts, Session

OPEN_PATHS = frozenset({"/healthz", "/login", "/login.css"})
"""What answers without a login."""

SAFE_METHODS = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110 section 9.2.1) and are used here."""

SESSION_COOKIE, CSRF_HEADER = "spondyl_session", "x-csrf-token"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' data:; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""No script and no style but files of this server; connections to ``data:`` are how NiiVue loads its built-in font."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, forms are sent with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Sent with every answer that does not set its own; images of patients stay out of the browser's cache."""


class Guard:
    """ASGI middleware that lets in who has a session.

    Parameters
    ----------
    app : ASGI application
        What lies behind the door.
    accounts : Accounts
        Who has a session.
    machine_routes : sequence of BaseRoute
        Routes for machines, which have no session; they check a token of their own.
    """

    def __init__(self, app: ASGIApp, *, accounts: Accounts, machine_routes: Sequence[BaseRoute] = ()) -> None:
        self._app = app
        self._accounts = accounts
        self._machine_routes = tuple(machine_routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand the request on.

        Parameters
        ----------
        scope, receive, send
            As ASGI has them.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # nothing here speaks anything else
        answer = await self._refusal(scope)
        await (self._app if answer is None else answer)(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers, path = Headers(scope=scope), scope["path"]
        if any(route.matches(scope)[0] is Match.FULL for route in self._machine_routes):
            return None
        session = await self._session(headers)
        scope.setdefault("state", {})["session"] = session
        if path in OPEN_PATHS:
            return None if _is_ours(headers) or scope["method"] in SAFE_METHODS else _foreign()
        if session is None:
            return _to_login(scope, headers)
        if scope["method"] in SAFE_METHODS:
            return None
        right = same(headers.get(CSRF_HEADER, ""), session.csrf)
        return None if right and _is_ours(headers) else _foreign()

    async def _session(self, headers: Headers) -> Session | None:
        token = session_token(headers)
        return await run_in_threadpool(self._accounts.session, token) if token else None


def session_token(headers: Headers) -> str:
    """Give the token of the session cookie.

    Parameters
    ----------
    headers : Headers
        Of the request.

    Returns
    -------
    str
        Empty if there is none.
    """
    cookie: SimpleCookie = SimpleCookie()
    try:
        cookie.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[SESSION_COOKIE].value if SESSION_COOKIE in cookie else ""


def _is_ours(headers: Headers) -> bool:
    """Say whether a request comes from our own page, as far as the browser tells."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def _foreign() -> ASGIApp:
    return JSONResponse({"detail": "the request did not come from this page; load the page again"}, 403)


def _to_login(scope: Scope, headers: Headers) -> ASGIApp:
    if scope["method"] in SAFE_METHODS and "text/html" in headers.get("accept", ""):
        wanted = scope["path"]
        target = "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"
        return RedirectResponse(target, 303)
    return JSONResponse({"detail": "log in first"}, 401)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
