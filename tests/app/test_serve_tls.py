"""The web server speaks TLS where certificates are given, and then to nobody without one if an authority is named."""

import ssl
import threading

import httpx
import pytest
import uvicorn

from node_fakes import certificate, wait_for
from spondyl.app.serve import application_of, web_config
from spondyl.app.serve_settings import ServeSettings
from spondyl.app.web.accounts import Role

PASSWORD = "correct horse battery"  # noqa: S105 - of a synthetic user


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return certificate(folder, "ours"), certificate(folder, "foreign")


@pytest.fixture(scope="module")
def serving(keys, tmp_path_factory):
    settings = ServeSettings(data=tmp_path_factory.mktemp("node"), web_tls=keys[0])
    application = application_of(settings)
    application.state.services.accounts.add("ada", PASSWORD, Role.ADMIN)
    server = uvicorn.Server(web_config(application, settings, 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def _as(tls, authority):
    """What a client shows, and whom it trusts."""
    context = ssl.create_default_context(cafile=authority.authority)
    if tls is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def test_who_shows_the_right_certificate_is_served_and_gets_a_cookie_for_tls_alone(serving, keys):
    ours, _ = keys
    with httpx.Client(verify=_as(ours, ours), base_url=f"https://{serving}", timeout=120) as client:
        assert client.get("/login").status_code == 200
        answer = client.post("/login", data={"name": "ada", "password": PASSWORD})
        assert answer.status_code == 303
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("shown", ["nothing", "a foreign certificate"])
def test_who_shows_another_or_none_is_not_served(serving, keys, shown):
    ours, foreign = keys
    context = _as(None if shown == "nothing" else foreign, ours)
    with pytest.raises(httpx.TransportError), httpx.Client(verify=context, timeout=120) as client:
        client.get(f"https://{serving}/login")


def test_nothing_is_said_in_the_clear_or_in_old_versions(serving, keys):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{serving}/login", timeout=120)
    old = _as(keys[0], keys[0])
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.TransportError), httpx.Client(verify=old, timeout=120) as client:
        client.get(f"https://{serving}/login")
