"""The node on the DICOM network: C-ECHO and C-STORE as a provider (PS3.4 annexes A and B).

Objects go to disk while they come, so memory does not grow with their size or with the number of associations. Load is
answered with slowness, a full disk with "out of resources" (A700), neither with a refused association.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from spondyl.app.node.intake import Reason
from spondyl.app.serve_settings import LOOPBACK, DicomArchive, Peer
from spondyl.io.dicom import MR_SOP_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from spondyl.app.node.intake import Intake
    from spondyl.app.serve_settings import ServeSettings, Tls

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
)
"""Taken, best first (PS3.6 annex A): all lossless, and none that deflates a whole data set."""

SUCCESS, OUT_OF_RESOURCES, NOT_OF_CLASS, UNREADABLE, DISCARDED = 0x0000, 0xA700, 0xA900, 0xC000, 0xB006
"""Answers to C-STORE (PS3.4 table B.2-1)."""

ANSWERS = {
    Reason.NOT_MR: DISCARDED,  # a warning: routers send whole studies, and one report must not fail them
    Reason.MISMATCH: NOT_OF_CLASS,
    Reason.TOO_LARGE: OUT_OF_RESOURCES,
}
"""Answers for objects that go into quarantine; for all other reasons `UNREADABLE`."""

MAX_PDU_BYTES = 1024**2
"""Largest protocol data unit taken, in bytes; usual ones have 16 to 128 KiB. Chosen by us."""

OWN_PDU_BYTES = 64 * 1024
"""Size of protocol data units that senders are asked for, in bytes; chosen by us for few system calls."""

IDLE_S = 60.0
"""An association on which nothing happens is closed after this, in s. Chosen by us."""

REQUEST_S = 10.0
"""A connection on which no association is asked for is closed after this, in s. Chosen by us."""

log = logging.getLogger("spondyl.node")


class Node:
    """The DICOM server.

    Parameters
    ----------
    settings : ServeSettings
        Names, addresses and bounds.
    intake : Intake
        Takes the objects.
    announced : callable
        Told the study UID when a sender says that a study is complete.
    """

    def __init__(self, settings: ServeSettings, intake: Intake, announced: Callable[[str], Any]) -> None:
        self._settings = settings
        self._intake = intake
        self._announced = announced
        self._peers = [
            (peer.ae_title, [ipaddress.ip_network(a, strict=False) for a in peer.addresses])
            for peer in settings.peers or (Peer(ae_title="*", addresses=LOOPBACK),)
        ]
        self.counts = {"accepted": 0, "refused": 0, "aborted": 0}
        self._server: Any = None

    def start(self) -> int:
        """Listen.

        Returns
        -------
        int
            The port, chosen by the system if the settings say 0.
        """
        _config.STORE_RECV_CHUNKED_DATASET = True
        tempfile.tempdir = str(self._intake.folder.scratch)  # where the network library puts what is coming
        entity = AE(self._settings.ae_title)
        entity.maximum_pdu_size = OWN_PDU_BYTES
        entity.maximum_associations = self._settings.max_associations
        entity.network_timeout = entity.dimse_timeout = IDLE_S
        entity.acse_timeout = REQUEST_S
        entity.require_called_aet = True
        entity.supported_contexts = _contexts()
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._on_open),
            (evt.EVT_CONN_CLOSE, self._on_close),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_ABORTED, self._on_aborted),
            (evt.EVT_C_ECHO, lambda _: SUCCESS),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_CREATE, self._on_available),
        ]
        tls = self._settings.dicom_tls
        self._server = entity.make_server(
            (self._settings.dicom_host, self._settings.dicom_port),
            evt_handlers=handlers,
            ssl_context=None if tls is None else server_context(tls),
            server_class=_Server,  # type: ignore[arg-type]
        )
        entity._servers.append(self._server)  # as the library's own way to start a server does
        threading.Thread(target=self._server.serve_forever, name="spondyl-dicom", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening and end every association."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def n_associations(self) -> int:
        """Associations open now."""
        return 0 if self._server is None else len(self._server.active_associations)

    def _on_open(self, event: Any) -> None:
        event.assoc.spondyl_guard = _Guard(event.assoc, self._intake.max_object_bytes)

    def _on_close(self, event: Any) -> None:
        event.assoc.spondyl_guard.drop()

    def _on_requested(self, event: Any) -> None:
        requestor = event.assoc.requestor
        if not self._may_enter(str(requestor.primitive.calling_ae_title), requestor.address):
            self.counts["refused"] += 1
            log.warning("association refused", extra={"facts": {"why": "AE title or address is not among the peers"}})
            # rejected-permanent by the service user, calling AE title not recognized (PS3.8 table 9-21)
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)
            event.assoc.kill()

    def _may_enter(self, ae_title: str, address: str) -> bool:
        try:
            place = ipaddress.ip_address(address)
        except ValueError:
            return False
        place = getattr(place, "ipv4_mapped", None) or place
        return any(title in ("*", ae_title.strip()) and any(place in n for n in nets) for title, nets in self._peers)

    def _on_accepted(self, _: Any) -> None:
        self.counts["accepted"] += 1

    def _on_aborted(self, _: Any) -> None:
        self.counts["aborted"] += 1

    def _on_store(self, event: Any) -> int:
        event.assoc.spondyl_guard.begin()
        path: Path = event.dataset_path
        event.request._dataset_file.close()
        if not self._intake.has_room:
            return OUT_OF_RESOURCES
        announced = str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID)
        try:
            verdict = self._intake.take(path, announced=announced, asked=self._is_asked_for(event.request))
        except Exception as error:  # noqa: BLE001 - a full disk, a database that is away: the sender shall try again
            log.error("object not kept", extra={"facts": {"why": type(error).__name__}})
            return OUT_OF_RESOURCES
        if verdict.reason is None:
            return SUCCESS
        log.warning("object in quarantine", extra={"facts": {"reason": str(verdict.reason)}})
        return ANSWERS.get(verdict.reason, UNREADABLE)

    def _is_asked_for(self, request: Any) -> bool:
        """Say whether a store belongs to a move that this node asked for (PS3.7 section 9.1.1.1)."""
        originator = str(request.MoveOriginatorApplicationEntityTitle or "").strip()
        return isinstance(self._settings.priors, DicomArchive) and originator == self._settings.ae_title

    def _on_available(self, event: Any) -> tuple[int, Any]:
        """Mind a notification that a study's instances are all there (PS3.4 annex R)."""
        try:
            uid = str(event.attribute_list.get("StudyInstanceUID", ""))
        except Exception:  # noqa: BLE001 - whatever a foreign data set makes the library say
            return 0x0110, None  # processing failure (PS3.7 annex C)
        self._announced(uid)
        return SUCCESS, event.attribute_list


class _Server(ThreadedAssociationServer):
    """Greets each client in a thread of its own, so that one that stays silent in the TLS handshake holds up nobody."""

    daemon_threads = True

    def get_request(self) -> Any:
        client, address = self.socket.accept()  # type: ignore[union-attr]
        client.settimeout(REQUEST_S)
        if self.ssl_context is not None:
            try:
                client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it is gone already
                client.close()
                raise
        return client, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.ssl_context is not None:
            try:
                request.do_handshake()
            except OSError as error:  # among them every error of TLS
                log.warning("TLS refused", extra={"facts": {"kind": type(error).__name__}})
                request.close()
                return
        super().process_request_thread(request, client_address)


class _Guard:
    """Bounds what one association may send: the size of a unit, and of an object.

    The network library reads as many bytes as a unit's header promises, writes an object for as long as it goes on,
    and its threads die of a command that makes no sense and of a unit that comes out of turn; a hostile sender would
    fill memory and disk, and leave threads, connections and files behind.
    """

    def __init__(self, association: Any, max_object_bytes: int) -> None:
        self._association = association
        self._socket = association.dul.socket
        self._recv, self._receive = self._socket.recv, association.dimse.receive_primitive
        self._limit = max_object_bytes + MAX_PDU_BYTES
        self._seen = 0
        self._socket.recv = self.recv
        association.dimse.receive_primitive = self.receive
        self._act = association.dul.state_machine.do_action
        association.dul.state_machine.do_action = self.act

    def begin(self) -> None:
        self._seen = 0

    def recv(self, nr_bytes: int) -> Any:
        self._seen += nr_bytes
        if nr_bytes > MAX_PDU_BYTES or self._seen > self._limit:
            msg = "the sender goes beyond bounds"
            raise OSError(msg)  # the library then closes the connection
        if self._socket.socket is not None:
            self._socket.socket.settimeout(IDLE_S)
        return self._recv(nr_bytes)

    def receive(self, primitive: Any) -> None:
        try:
            self._receive(primitive)
        except Exception as error:  # noqa: BLE001 - whatever a foreign command makes the library say
            log.warning("a message makes no sense", extra={"facts": {"kind": type(error).__name__}})
            self.drop()
            self._association.dul.event_queue.put("Evt19")  # an invalid unit: abort (PS3.8 table 9-10)

    def act(self, event: str) -> None:
        try:
            self._act(event)
        except Exception as error:  # noqa: BLE001 - in the library, an event without a rule ends the thread
            log.warning("a unit came out of turn", extra={"facts": {"kind": type(error).__name__}})
            self.drop()
            self._association.is_aborted, self._association.is_established = True, False
            self._association._kill = True
            self._association.dul.kill_dul()
            self._socket.close()

    def drop(self) -> None:
        """Remove the file of an object that will not come to its end."""
        message = self._association.dimse.message
        file = getattr(message, "_data_set_file", None)
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            message._data_set_file = None


def _contexts() -> list[PresentationContext]:
    """Give what is negotiated: echo, storage of anything (what is no MR is put aside), and the notification."""
    storage = {str(context.abstract_syntax) for context in AllStoragePresentationContexts} | MR_SOP_CLASSES
    contexts = []
    for uid in (str(Verification), str(InstanceAvailabilityNotification), *sorted(storage)):
        context = PresentationContext()
        context.abstract_syntax = uid
        context.transfer_syntax = list(TRANSFER_SYNTAXES) if uid in storage else [str(ImplicitVRLittleEndian)]
        contexts.append(context)
    return contexts


def server_context(tls: Tls) -> ssl.SSLContext:
    """Give what a TLS server needs (PS3.15 section B.9, BCP 195: TLS 1.2 or later).

    Parameters
    ----------
    tls : Tls
        Certificates; with an authority, clients must show one that it signed.

    Returns
    -------
    SSLContext
        For a server.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.authority is not None:
        context.load_verify_locations(tls.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
