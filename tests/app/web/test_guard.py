"""Nothing passes without a login but the login and the health of the server."""

import re

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from spondyl.app.serve_settings import ServeSettings
from spondyl.app.web import create_app
from spondyl.app.web.application import ROUTERS
from web_site import CHEAP, PASSWORD, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


def _routes(site):
    for route in (*site.app.routes, *(route for router in ROUTERS for route in router.routes)):
        if not hasattr(route, "path"):
            continue
        path = re.sub(r"{[^}]*}", "1", route.path)
        yield path, (route.methods if isinstance(route, APIRoute) else {"GET"})
    yield "/static/page.js", {"GET"}


def test_no_route_answers_without_login_but_health_and_login(site):
    client, closed = site.client(), 0
    for path, methods in _routes(site):
        for method in methods:
            status = client.request(method, path, headers={"Origin": "http://testserver"}).status_code
            if path in ("/healthz", "/login", "/login.css"):
                assert status in (200, 422), path
            else:
                assert status == 401, (method, path)
                closed += 1
    assert closed > 30


def test_a_browser_is_led_to_the_login_and_back(site):
    answer = site.client().get("/studies/abc", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/studies/abc")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_login_leads_nowhere_else(site, target):
    answer = site.client().post("/login", data={"name": "vi", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "guessed"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_forged_request_changes_nothing(site, headers):
    client = site.client("ada")
    user = {"name": "mallory", "password": "long enough for all", "role": "admin"}
    assert client.post("/api/users", json=user, headers=headers).status_code == 403
    assert "mallory" not in {u.name for u in site.services.accounts.list()}
    assert (
        client.post("/api/users", json=user | {"name": f"grace{len(site.services.accounts.list())}"}).status_code == 201
    )


def test_a_login_from_another_page_is_refused(site):
    login = {"name": "vi", "password": PASSWORD}
    assert site.client().post("/login", data=login, headers={"Origin": "https://evil.example"}).status_code == 403
    assert site.client().post("/login", data=login, headers={"Origin": "null"}).status_code == 403


def test_every_answer_forbids_what_the_page_does_not_need(site):
    for client, path in ((site.client(), "/login"), (site.client("vi"), "/"), (site.client("vi"), "/static/page.js")):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_pages(site):
    cookie = site.client().post("/login", data={"name": "vi", "password": PASSWORD}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_roles_are_kept_apart(site):
    viewer, reader = site.client("vi"), site.client("rad")
    assert viewer.get("/").status_code == reader.get("/readings").status_code == 200
    for client, path in ((viewer, "/readings"), (viewer, "/users"), (reader, "/users"), (reader, "/audit")):
        assert client.get(path).status_code == 403, path
    assert reader.post("/api/users", json={"name": "x", "password": "y", "role": "admin"}).status_code == 403
    assert reader.get("/api/opinions.zip").status_code == 403


def test_who_logs_out_is_out(site):
    client = site.client("vi")
    cookie = client.cookies["spondyl_session"]
    assert client.post("/logout").status_code == 204
    client.cookies.set("spondyl_session", cookie)
    assert client.get("/api/session").status_code == 401


def test_routes_of_machines_check_their_own_token(tmp_path):
    router = APIRouter()

    @router.get("/metrics")
    def metrics() -> str:
        return "up 1"

    from starlette.testclient import TestClient

    app = create_app(ServeSettings(data=tmp_path), machine_routers=[router], hasher=CHEAP)
    client = TestClient(app)
    assert client.get("/metrics").json() == "up 1"
    assert client.post("/metrics").status_code == client.get("/metrics/more").status_code == 401


def test_errors_repeat_nothing_that_was_typed(site):
    user = {"name": "grace2", "password": "s3cr3t", "role": "king"}
    answer = site.client("ada").post("/api/users", json=user)
    assert answer.status_code == 422
    assert "s3cr3t" not in answer.text
