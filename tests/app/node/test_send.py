"""How results are sent: what the system is told of waiting. Real archives stand in the integration tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import SimpleNamespace

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage

from node_fakes import free_port, write_study
from spondyl.app.jobs.queue import JobError
from spondyl.app.node import send
from spondyl.app.serve_settings import DicomDestination


class Transport:
    """Writes down in which order it is told of options and read from."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.socket = self

    def setsockopt(self, *option: object) -> None:
        self.told.append(option)

    def recv(self, n_bytes: int) -> bytearray:
        self.told.append(n_bytes)
        return bytearray(n_bytes)


def event_of(transport: Transport) -> SimpleNamespace:
    return SimpleNamespace(assoc=SimpleNamespace(dul=SimpleNamespace(socket=transport)))


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux alone has TCP_QUICKACK")
def test_whatever_is_read_is_acknowledged_first():
    transport = Transport()
    send._acknowledge_at_once(event_of(transport))
    assert transport.recv(6) == bytearray(6)
    assert transport.recv(9) == bytearray(9)
    option = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    assert transport.told == [option, 6, option, 9]


def test_systems_without_the_option_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(send, "QUICK_ACKNOWLEDGMENT", None)
    transport = Transport()
    send._acknowledge_at_once(event_of(transport))
    transport.recv(6)
    assert transport.told == [6]


class Archive:
    """Takes objects by C-STORE, and writes down which, and over how many associations at once."""

    def __init__(self, *, most: int = 10, answers: dict[str, int] | None = None) -> None:
        self.port = free_port()
        self.kept: list[str] = []
        self.at_once = self.highest = 0
        self._answers = answers or {}
        self._lock = threading.Lock()
        self._entity = AE("ARCHIVE")
        self._entity.maximum_associations = most
        self._entity.add_supported_context(MRImageStorage)

    def __enter__(self):
        handlers = [(evt.EVT_C_STORE, self._keep), (evt.EVT_ACCEPTED, self._come), (evt.EVT_CONN_CLOSE, self._go)]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_):
        self._server.shutdown()

    def _come(self, _):
        with self._lock:
            self.at_once += 1
            self.highest = max(self.highest, self.at_once)

    def _go(self, _):
        with self._lock:
            self.at_once -= 1

    def _keep(self, event):
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            self.kept.append(uid)
        return self._answers.get(uid, 0)

    def destination(self, **more):
        return DicomDestination(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=self.port, **more)


@pytest.fixture
def study(tmp_path):
    """Files of a study and their identifiers."""
    write_study(tmp_path / "study", seed=1)
    files = sorted(p for p in (tmp_path / "study").rglob("*") if p.is_file())
    return files, [str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]


@pytest.mark.parametrize(("most", "wanted"), [(10, 1), (10, 3), (1, 3), (10, 8)])
def test_each_object_is_sent_once_however_many_associations_the_archive_takes(study, most, wanted):
    files, uids = study
    with Archive(most=most) as archive:
        send.send(files, archive.destination(associations=wanted), ae_title="US")
    assert sorted(archive.kept) == sorted(uids)
    assert archive.highest <= min(most, wanted)


@pytest.mark.parametrize("associations", [1, 2])
def test_an_object_that_was_not_kept_fails_the_delivery(study, associations):
    files, uids = study
    with Archive(answers={uids[1]: 0xA700}) as archive, pytest.raises(JobError, match="A700H"):
        send.send(files, archive.destination(associations=associations), ae_title="US")


def test_an_archive_that_is_away_is_told_of(study):
    gone = DicomDestination(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=free_port())
    with pytest.raises(JobError, match="pacs: it cannot be reached"):
        send.send(study[0], gone, ae_title="US")


def test_nothing_is_sent_after_a_failure_but_what_is_under_way(study):
    files, uids = study
    with Archive(answers=dict.fromkeys(uids, 0xA700)) as archive:
        with contextlib.suppress(JobError):
            send.send(files, archive.destination(associations=2), ae_title="US")
        assert len(archive.kept) <= 2
