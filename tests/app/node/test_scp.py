"""The node on the DICOM network, against foreign clients, TLS, and clients that mean harm."""

import json
import socket
import struct
import subprocess

import pydicom
import pytest
from pynetdicom import AE

from dimse_fakes import command, request, unit
from node_fakes import PLANTED, certificate, storescu, tool, wait_for, write_study
from spondyl.app.data_folder import DataFolder
from spondyl.app.node.intake import Intake
from spondyl.app.node.scp import Node, server_context
from spondyl.app.node.send import send
from spondyl.app.serve_settings import DicomDestination, Peer, ServeSettings


class Stand:
    def __init__(self, root, **settings):
        self.told, self.completed = [], []
        self.folder = DataFolder(root / "data")
        self.intake = Intake(self.folder, self.told.append, max_object_mib=1, min_free_mib=0)
        self.node = Node(ServeSettings(dicom_port=0, **settings), self.intake, self.completed.append)
        self.port = self.node.start()

    @property
    def reasons(self):
        return sorted(json.loads(p.read_text())["reason"] for p in self.folder.quarantine.glob("*.json"))


@pytest.fixture
def stand(tmp_path):
    made = []

    def start(**settings):
        made.append(Stand(tmp_path, **settings))
        return made[-1]

    yield start
    for one in made:
        one.node.stop()


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "in")
    return tmp_path / "in"


def test_a_foreign_client_gets_an_echo(stand):
    node = stand()
    echo = [tool("echoscu", "dcmtk"), "-aec", "SPONDYL", "127.0.0.1", str(node.port)]
    assert subprocess.run(echo, check=False, capture_output=True, timeout=180).returncode == 0


def test_a_foreign_client_stores_a_study(stand, study):
    node = stand()
    assert storescu(node.port, study) == 0
    assert node.intake.counts["taken"] == len(list(study.iterdir())) == len(node.told)
    assert not list(node.folder.scratch.iterdir())


@pytest.mark.parametrize(("called", "calling"), [("OTHER", "MODALITY"), ("SPONDYL", "STRANGER")])
def test_wrong_titles_are_refused(stand, study, called, calling):
    node = stand(peers=[Peer(ae_title="MODALITY")])
    assert storescu(node.port, study, called=called, calling=calling) != 0
    assert storescu(node.port, study, calling="MODALITY") == 0


def test_an_address_that_is_no_peer_is_refused(stand, study):
    node = stand(peers=[Peer(ae_title="MODALITY", addresses=["10.1.2.0/24"])])
    assert storescu(node.port, study, calling="MODALITY") != 0
    assert (node.told, node.node.counts["refused"]) == ([], 1)


def test_what_is_no_mr_is_put_aside_without_failing_the_sender(stand, study):
    file = study / "000.dcm"
    dataset = pydicom.dcmread(file)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(file, enforce_file_format=True)
    node = stand()
    assert storescu(node.port, study) == 0
    assert (node.reasons, len(node.told)) == (["not_mr"], len(list(study.iterdir())) - 1)


def test_a_notification_says_that_a_study_is_complete(stand):
    node = stand()
    entity = AE("MODALITY")
    entity.add_requested_context("1.2.840.10008.5.1.4.33")
    association = entity.associate("127.0.0.1", node.port, ae_title="SPONDYL")
    note = pydicom.Dataset()
    note.StudyInstanceUID = "1.2.3.4"
    status, _ = association.send_n_create(note, "1.2.840.10008.5.1.4.33", "1.2.9")
    association.release()
    assert (status.Status, node.completed) == (0, ["1.2.3.4"])


def test_tls_takes_who_shows_the_right_certificate_and_nobody_else(stand, study, tmp_path):
    ours, foreign = certificate(tmp_path, "ours"), certificate(tmp_path, "foreign")
    node = stand(dicom_tls=ours)
    files = list(study.iterdir())
    place = DicomDestination(name="node", ae_title="SPONDYL", host="127.0.0.1", port=node.port, tls=ours)
    send(files, place, ae_title="SENDER")
    assert len(node.told) == len(files)
    for other in (place.model_copy(update={"tls": None}), place.model_copy(update={"tls": foreign})):
        with pytest.raises(Exception, match="node"):
            send(files, other, ae_title="SENDER")
    with socket.create_connection(("127.0.0.1", node.port)):  # says nothing, and holds up nobody
        send(files[:1], place, ae_title="SENDER")
    assert server_context(ours).minimum_version.name == "TLSv1_2"


ATTACKS = {
    "nothing": [b""],
    "noise": [b"\x00\xff" * 500],
    "a page request": [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    "half a request": [request()[:40]],
    "a unit that promises gigabytes": [struct.pack(">BBI", 1, 0, 0xFFFFFFFF), b"x" * 4096],
    "a request of empty items": [struct.pack(">BBI", 1, 0, 68) + b"\0\1" + b"\0" * 66],
    "data before the association": [unit(b"x", 2)],
    "data after an abort": [request(), struct.pack(">BBIHBB", 7, 0, 4, 0, 0, 0) + unit(b"x", 2)],
    "a reply nobody asked for": [request(), struct.pack(">BBII", 6, 0, 4, 0) * 3],
    "noise, then a release": [b"\x00" * 6 + struct.pack(">BBII", 5, 0, 4, 0) * 2 + unit(b"x", 2)],
    "a command cut short": [request(), command()[:30]],
    "a command that is none": [request(), unit(b"\xff" * 64, 3)],
    "a command without its fields": [request(), command(CommandField=0x7777)],
    "a path for a name": [request(), command(AffectedSOPInstanceUID="../../../../tmp/evil"), unit(b"\0" * 64, 2)],
    "an object that is none": [request(), command(), unit(b"\xff" * 4096, 2)],
    "an object that ends with the connection": [request(), command(), unit(b"\x08\0\x16\0" + b"x" * 400, 0)],
    "an object without end": [request(), command(), *[unit(b"x" * 16000, 0)] * 400],
    "a context that was not agreed": [request(), command()[:10] + b"\x63" + command()[11:]],
    "an element of four gigabytes": [
        request(),
        command(),
        unit(b"\x08\0\x05\0" + struct.pack("<I", 0xFFFFFFFE) + b"x" * 64, 2),
    ],
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_client_gets_nowhere(stand, study, tmp_path, name, monkeypatch):
    monkeypatch.setattr("spondyl.app.node.scp.REQUEST_S", 5.0)
    node = stand()
    before = {p for p in tmp_path.rglob("*") if "data" not in p.parts[len(tmp_path.parts) :]}
    with socket.create_connection(("127.0.0.1", node.port), timeout=120) as client:
        client.settimeout(2)
        try:
            for part in ATTACKS[name]:
                client.sendall(part)
                if part == request():
                    client.recv(4096)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
        except OSError:
            pass
    assert storescu(node.port, study) == 0, "the node does not answer others any more"
    assert node.intake.counts["taken"] == len(list(study.iterdir()))
    wait_for(lambda: node.node.n_associations == 0)
    assert {p for p in tmp_path.rglob("*") if "data" not in p.parts[len(tmp_path.parts) :]} == before
    assert sum(p.stat().st_size for p in node.folder.scratch.iterdir()) < 3 * 1024**2


def test_script_in_a_name_stays_where_it_is(stand, study):
    for file in study.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientName = "<script>alert(1)</script>"
        dataset.save_as(file, enforce_file_format=True)
    node = stand()
    assert storescu(node.port, study) == 0
    outside = [p for p in node.folder.root.rglob("*") if p.is_file() and "incoming" not in p.parts]
    assert all(b"script" not in p.read_bytes() and PLANTED.encode() not in p.read_bytes() for p in outside)
