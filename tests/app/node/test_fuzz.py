"""A client that means harm, by the hundred, over C-STORE and STOW-RS, at one node that must live on."""

import gzip
import io
import json
import socket
import struct
import zipfile
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from starlette.testclient import TestClient

from dimse_fakes import command, request, unit
from node_fakes import NEVER_QUIET_S, at_rest, send_studies, storescu, stub_analysis, wait_for, write_study
from spondyl.app.catalog import StudyState
from spondyl.app.jobs.worker import working
from spondyl.app.node.intake import Reason
from spondyl.app.node.service import NodeService
from spondyl.app.serve import application_of
from spondyl.app.serve_settings import ServeSettings

TOKEN = "a-token-for-tests"  # noqa: S105 - of a node that lives for one test
STOW = {
    "Authorization": f"Bearer {TOKEN}",
    "Content-Type": 'multipart/related; type="application/dicom"; boundary=cut',
}
SCRIPT = "<script>alert('PLANTED')</script>"

N_STORES, N_POSTS, N_UNITS = 40, 120, 40
"""Objects sent by C-STORE and by STOW-RS, and broken streams of units."""


class Target:
    """A node with its web application, and what lies around its data folder."""

    def __init__(self, root):
        self.root = root
        self.settings = ServeSettings(
            data=root / "data", dicom_port=0, quiet_s=0.3, min_free_mib=0, max_object_mib=1, token=TOKEN
        )
        self.node = NodeService(self.settings)
        self.port = self.node.start()
        application = application_of(self.settings)
        application.state.node = self.node
        self.client = TestClient(application, raise_server_exceptions=False)
        write_study(root / "in")
        self.images = [p.read_bytes() for p in sorted((root / "in").iterdir())]
        self.around = self.outside()

    def outside(self):
        return {str(p) for p in self.root.rglob("*") if "data" not in p.relative_to(self.root).parts}

    def store(self, content):
        """Send bytes as the object of a C-STORE, whatever they are, and hang up."""
        self.talk([request(), command(), unit(content[:60000], 2)])

    def talk(self, parts):
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as client:
            client.settimeout(5)
            try:
                for part in parts:
                    client.sendall(part)
                    if part == request():
                        client.recv(4096)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
            except OSError:
                pass

    def post(self, content, **headers):
        body = b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--cut--\r\n"
        return self.client.post("/dicom-web/studies", content=body, headers=STOW | headers)

    def check(self):
        """Whatever came: it lives, nothing lies outside, and inside only what belongs there."""
        assert self.outside() == self.around
        assert self.client.get("/healthz").json()["checks"]["watch"]
        wait_for(lambda: self.node.node.n_associations == 0)
        for path in self.node.folder.studies.glob("*/incoming/*"):
            dataset = pydicom.dcmread(path)
            assert path.name == self.node.folder.instance_name(dataset.SOPInstanceUID)
            assert path.parts[-3] == self.node.folder.study_key(dataset.StudyInstanceUID)
        notes = [json.loads(p.read_text()) for p in self.node.folder.quarantine.glob("*.json")]
        assert {n["reason"] for n in notes} <= set(map(str, Reason))
        assert len(notes) == sum(self.node.intake.counts[str(r)] for r in Reason)
        return notes


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    made = Target(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.check()
    made.node.stop()


def mutated(rng, content):
    """Damage bytes: flip, cut, repeat, blow up a length, or write something foreign into the midst."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, max(1, len(content) - 8)))
        kind = rng.integers(0, 6)
        if kind == 0:
            content[at] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del content[at:]
        elif kind == 2:
            content[at:at] = content[at : at + int(rng.integers(1, 400))]
        elif kind == 3:
            content[at : at + 4] = struct.pack("<I", int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0, 1 << 20])))
        elif kind == 4:
            content[at : at + 8] = rng.bytes(8)
        else:
            content[at:at] = rng.choice([b"../../../etc/passwd\0", b"%n%s", b"\xfe\xff\x00\xe0", SCRIPT.encode()])
    return bytes(content)


@pytest.mark.slow
def test_damaged_objects_by_store(target):
    rng = np.random.default_rng(1)
    for _ in range(N_STORES):
        image = target.images[int(rng.integers(len(target.images)))]
        target.store(mutated(rng, image[int(rng.choice([0, 132])) :]))
    target.check()
    assert storescu(target.port, target.root / "in") == 0


def test_damaged_objects_by_web(target):
    rng = np.random.default_rng(2)
    answers = {
        target.post(mutated(rng, target.images[int(rng.integers(len(target.images)))])).status_code
        for _ in range(N_POSTS)
    }
    assert answers <= {200, 202, 400, 409}
    assert 409 in answers
    target.check()


@pytest.mark.slow
def test_damaged_streams_of_units(target):
    rng = np.random.default_rng(3)
    for _ in range(N_UNITS):
        whole = request() + command() + unit(target.images[0][:2000], 2)
        damaged = mutated(rng, whole)
        target.talk([damaged] if rng.random() < 0.5 else [request(), mutated(rng, whole[len(request()) :])])
    target.check()
    assert storescu(target.port, target.root / "in") == 0


def written(dataset):
    stream = io.BytesIO()
    with pydicom.config.disable_value_validation():
        dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def bomb(target):
    """A deflated object of a few KiB that is 16 MiB inside (PS3.5 annex A.5)."""
    dataset = pydicom.dcmread(io.BytesIO(target.images[0]))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = written(dataset)[: 132 + 12 + int(dataset.file_meta.FileMetaInformationGroupLength)]
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return head + packer.compress(bytes(16 * 1024**2)) + packer.flush()


def zipped(_):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.dcm", bytes(4 * 1024**2))
    return stream.getvalue()


def huge_element(target):
    dataset = pydicom.dcmread(io.BytesIO(target.images[0]))
    huge = b"\x29\x00\x10\x10OB\x00\x00" + struct.pack("<I", 0xFFFFFFF0)
    return written(dataset).replace(b"\xe0\x7f\x10\x00", huge + b"\xe0\x7f\x10\x00")


def with_values(**values):
    def make(target):
        dataset = pydicom.dcmread(io.BytesIO(target.images[0]))
        with pydicom.config.disable_value_validation():
            for keyword, value in values.items():
                setattr(dataset, keyword, value)
            return written(dataset)

    return make


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (bomb, "deflated"),
        (zipped, "unreadable"),
        (huge_element, "truncated"),
        (with_values(StudyInstanceUID="../../../../tmp/evil"), "invalid_uid"),
        (with_values(SOPInstanceUID="..\\..\\evil"), "invalid_uid"),
        (with_values(SeriesInstanceUID="1.2/../../3"), "invalid_uid"),
        (with_values(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22"), "not_mr"),
        (with_values(PixelData=b"\0\0"), "truncated"),
        (with_values(Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1), "truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_known_attack_is_put_aside_with_its_reason(target, make, reason):
    before = target.node.intake.counts[reason]
    assert target.post(make(target)).status_code == 409
    assert target.node.intake.counts[reason] == before + 1
    target.check()


def test_a_packed_request_is_not_unpacked(target):
    packed = gzip.compress(bytes(8 * 1024**2), 1)
    answer = target.client.post("/dicom-web/studies", content=packed, headers=STOW | {"Content-Encoding": "gzip"})
    assert answer.status_code == 400


def test_damaged_pixels_and_scripts_end_as_a_reason_or_a_result_and_never_as_a_script(tmp_path):
    settings = ServeSettings(data=tmp_path / "data", dicom_port=0, quiet_s=NEVER_QUIET_S, min_free_mib=0)
    node = NodeService(settings)
    node.port = node.start()
    try:
        for number, name in enumerate(("corrupt", "script")):
            write_study(tmp_path / name, seed=number, PatientName=SCRIPT, PatientID=SCRIPT[:60])
        for file in (tmp_path / "corrupt").iterdir():
            dataset = pydicom.dcmread(file)
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
            dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(600)])
            dataset.save_as(file, enforce_file_format=True)
        with working(settings, stub_analysis):
            for name in ("corrupt", "script"):
                send_studies(node, tmp_path / name, options=["-xv"] if name == "corrupt" else [])
            wait_for(lambda: at_rest(node.catalog, 2))
        states = {row.state: row for row in node.catalog.list()}
        assert set(states) == {StudyState.DONE, StudyState.FAILED}
        assert states[StudyState.FAILED].error
        shown = [p for p in node.folder.root.rglob("*") if p.suffix in (".html", ".json", ".toml", ".log")]
        assert shown
        assert all(b"<script>alert" not in p.read_bytes() for p in shown)
        assert b"PLANTED" not in (node.folder.root / "spondyl.sqlite").read_bytes()
    finally:
        node.stop()
