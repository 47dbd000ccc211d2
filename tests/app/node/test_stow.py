"""STOW-RS and the other routes of the node, by an independent client and by hand."""

import base64
import threading

import pydicom
import pytest
import uvicorn
from dicomweb_client.api import DICOMwebClient
from starlette.testclient import TestClient

from node_fakes import NEVER_QUIET_S, PLANTED, free_port, wait_for, write_study
from spondyl.app.catalog import StudyState
from spondyl.app.node.service import NodeService
from spondyl.app.serve import application_of
from spondyl.app.serve_settings import ServeSettings

TOKEN = "a-token-for-tests"  # noqa: S105 - of a node that lives for one test
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
STOW = {**SHOWN, "Content-Type": 'multipart/related; type="application/dicom"; boundary=cut'}


@pytest.fixture
def service(tmp_path):
    settings = ServeSettings(data=tmp_path / "data", dicom_port=0, quiet_s=NEVER_QUIET_S, min_free_mib=0, token=TOKEN)
    made = NodeService(settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(service):
    application = application_of(service.settings)
    application.state.node = service
    with TestClient(application) as made:
        yield made


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "in")
    return sorted((tmp_path / "in").iterdir())


def body(*parts, end=b"\r\n--cut--\r\n"):
    return b"".join(b"\r\n--cut\r\nContent-Type: application/dicom\r\n\r\n" + p for p in parts)[2:] + end


def test_an_independent_client_stores_a_study(service, study):
    application = application_of(service.settings)
    application.state.node = service
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    client = DICOMwebClient(f"http://127.0.0.1:{port}/dicom-web", headers=SHOWN)
    answer = client.store_instances([pydicom.dcmread(p) for p in study])
    server.should_exit = True
    thread.join()
    assert len(answer.ReferencedSOPSequence) == len(study)
    assert service.intake.counts["taken"] == len(study)


def test_complete_hands_the_study_over(client, service, study):
    client.post("/dicom-web/studies", content=body(*(p.read_bytes() for p in study)), headers=STOW)
    uid = pydicom.dcmread(study[0]).StudyInstanceUID
    said = client.post("/node/complete", json={"study_instance_uid": uid}, headers=SHOWN)
    assert said.json() == {"complete": True}
    row = service.catalog.get(service.folder.study_key(uid))
    assert (row.state, row.n_instances) == (StudyState.QUEUED, len(study))


def test_what_is_refused_is_told_object_by_object(client, study):
    foreign = pydicom.dcmread(study[1])
    foreign.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    foreign.save_as(study[1], enforce_file_format=True)
    some = client.post("/dicom-web/studies", content=body(*(p.read_bytes() for p in study[:2])), headers=STOW)
    none = client.post("/dicom-web/studies", content=body(b"no dicom"), headers=STOW)
    assert (some.status_code, none.status_code) == (202, 409)
    assert some.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xB006]
    assert len(some.json()["00081199"]["Value"]) == 1
    assert PLANTED not in some.text


def test_a_study_named_in_the_address_must_be_the_one_that_comes(client, study):
    content = body(study[0].read_bytes())
    uid = pydicom.dcmread(study[0]).StudyInstanceUID
    assert client.post("/dicom-web/studies/1.2.3", content=content, headers=STOW).status_code == 409
    assert client.post(f"/dicom-web/studies/{uid}", content=content, headers=STOW).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/dicom-web/studies", "/dicom-web/studies/1.2.3", "/node/complete"])
@pytest.mark.parametrize("shown", ["", "Bearer wrong", "Basic !!!", "Bearer", "Basic " + "eA==", "Bearer \xe9"])
def test_nothing_but_health_answers_without_the_token(client, service, path, shown):
    method = "GET" if path == "/metrics" else "POST"
    answer = client.request(method, path, headers={"Authorization": shown.encode("latin-1")} if shown else {})
    assert answer.status_code == 401
    assert client.get("/healthz").status_code in (200, 503)
    assert service.intake.received_bytes == 0


def test_the_token_may_come_as_a_password(client):
    shown = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    assert client.get("/metrics", headers={"Authorization": f"Basic {shown}"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"--cut\r\nContent-Type: application/dicom\r\n\r\nends early", STOW["Content-Type"]),
        (b"no boundary at all", STOW["Content-Type"]),
        (b"--cut\r\nX: " + b"y" * 10000 + b"\r\n\r\n\r\n--cut--\r\n", STOW["Content-Type"]),
        (b"x", "application/json"),
        (b"x", "multipart/related; boundary=cut; type=application/dicom+json"),
        (b"x", "multipart/related; type=application/dicom"),
        (b"x", "multipart/related; boundary=" + "y" * 5000),
        (b"--cut--\r\n", STOW["Content-Type"]),
        (b"", STOW["Content-Type"]),
    ],
)
def test_damaged_requests_are_refused_and_leave_nothing(client, service, content, kind):
    answer = client.post("/dicom-web/studies", content=content, headers={**SHOWN, "Content-Type": kind})
    assert answer.status_code in (400, 409)
    assert not list(service.folder.scratch.iterdir())
    assert not list(service.folder.studies.iterdir())


def test_metrics_count_what_came_and_name_nobody(client, study):
    client.post("/dicom-web/studies", content=body(*(p.read_bytes() for p in study)), headers=STOW)
    text = client.get("/metrics", headers=SHOWN).text
    assert f'spondyl_objects_total{{outcome="taken"}} {float(len(study))}' in text
    assert 'spondyl_studies{state="receiving"} 1.0' in text
    assert "PLANTED" not in text


def test_health_says_that_no_worker_is_there(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
    assert answer.json()["checks"] == {"database": True, "disk": True, "worker": False, "watch": True}


def test_a_full_disk_asks_senders_to_wait(client, service, study, monkeypatch):
    monkeypatch.setattr(type(service.intake), "has_room", property(lambda _: False))
    answer = client.post("/dicom-web/studies", content=body(study[0].read_bytes()), headers=STOW)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "600")


def test_nothing_answers_where_no_node_runs(service):
    with TestClient(application_of(service.settings)) as alone:
        assert alone.post("/node/complete", json={}, headers=SHOWN).status_code == 503
