"""Results on their way out: C-STORE or STOW-RS to a destination, all objects or an error that says to try again.

Sending twice is harmless: the objects keep their UIDs, and an archive keeps one of each.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pydicom

from spondyl.app.jobs.queue import JobError
from spondyl.app.serve_settings import DicomDestination
from spondyl.io.dicom import UNREADABLE, quiet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from spondyl.app.serve_settings import Destination, Tls, WebArchive, WebDestination

TIMEOUT_S = 60.0
"""How long an archive may be silent, in s. Chosen by us."""

WARNINGS = range(0xB000, 0xC000)
"""Answers to C-STORE that mean kept, with a remark (PS3.4 table B.2-1, PS3.7 annex C)."""

QUICK_ACKNOWLEDGMENT = getattr(socket, "TCP_QUICKACK", None)
"""Linux alone has it (tcp(7))."""

log = logging.getLogger("spondyl.send")


def send(files: Sequence[Path], destination: Destination, *, ae_title: str) -> None:
    """Send DICOM files to a destination.

    Parameters
    ----------
    files : sequence of Path
        What to send.
    destination : Destination
        Where to.
    ae_title : str
        Who sends.

    Raises
    ------
    JobError
        If not every object was taken; trying again may help.
    """
    wanted = [f for f in sorted(files) if not destination.objects or f.stem in destination.objects]
    if not wanted:
        return
    if isinstance(destination, DicomDestination):
        _send_by_store(wanted, destination, ae_title)
    else:
        _send_by_web(wanted, destination)
    log.info("result sent", extra={"facts": {"destination": destination.name, "objects": len(wanted)}})


def client_context(tls: Tls) -> ssl.SSLContext:
    """Give what a TLS client of DICOM needs.

    Parameters
    ----------
    tls : Tls
        Certificates of this side; the other side's must be signed by its authority, if one is named.

    Returns
    -------
    SSLContext
        For a client. Names are not compared, since DICOM nodes are known by address and certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def _send_at_once(event: Any) -> None:
    """Have the system not hold back the last piece of an object: it would wait 40 ms for the other side's word."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge_at_once(event: Any) -> None:
    """Have the system not hold back its own word: archives that answer in two pieces wait 40 ms for it with the second.

    Systems forget this wish as they see fit, so it is told whenever there is something to read; those that do not know
    it wait.
    """
    if QUICK_ACKNOWLEDGMENT is None:
        return
    transport = event.assoc.dul.socket
    receive = transport.recv

    def receive_at_once(n_bytes: int) -> bytearray:
        transport.socket.setsockopt(socket.IPPROTO_TCP, QUICK_ACKNOWLEDGMENT, 1)
        return bytearray(receive(n_bytes))

    transport.recv = receive_at_once


def _send_by_store(files: Sequence[Path], destination: DicomDestination, ae_title: str) -> None:
    """Send over several associations: an archive takes longer to keep an object than to receive the next one."""
    from pynetdicom import AE

    entity = AE(ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
    with quiet():
        for file in files:
            meta = pydicom.filereader.read_file_meta_info(file)
            entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
    # The largest first, so that no association is left alone with it at the end.
    rest = deque(sorted(files, key=lambda file: -file.stat().st_size))
    first = _associated(entity, destination)
    if not first.is_established:
        told = "it refused the association" if first.is_rejected else "it cannot be reached"
        msg = f"{destination.name}: {told}; check host, port and AE titles on both sides"
        raise JobError(msg)
    n_more = min(destination.associations, len(files)) - 1
    with ThreadPoolExecutor(n_more + 1) as pool:
        sent = [pool.submit(_send_rest, first, rest, destination)]
        sent += [pool.submit(_send_beside, entity, rest, destination) for _ in range(n_more)]
    for one in sent:
        one.result()


def _associated(entity: Any, destination: DicomDestination) -> Any:
    from pynetdicom import evt

    tls = None if destination.tls is None else (client_context(destination.tls), destination.host)
    return entity.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=tls,
        evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), (evt.EVT_CONN_OPEN, _acknowledge_at_once)],
    )


def _send_beside(entity: Any, rest: deque[Path], destination: DicomDestination) -> None:
    """Help over a further association, if the archive takes one; the first one sends all otherwise."""
    association = _associated(entity, destination)
    if association.is_established:
        _send_rest(association, rest, destination)


def _send_rest(association: Any, rest: deque[Path], destination: DicomDestination) -> None:
    """Send what nobody has sent yet, one object after another; the first failure ends it for all."""
    try:
        while rest:
            try:
                file = rest.popleft()
            except IndexError:  # somebody else took the last one
                break
            try:
                status = association.send_c_store(file).get("Status")
            except (ValueError, RuntimeError) as error:
                msg = f"{destination.name}: {file.stem} is of a kind it does not take"
                raise JobError(msg) from error
            if status is None or (status != 0 and status not in WARNINGS):
                told = "no answer" if status is None else f"answer {status:04X}H"
                msg = f"{destination.name}: {file.stem} was not kept: {told} (PS3.4 table B.2-1)"
                raise JobError(msg)
    except JobError:
        rest.clear()
        raise
    finally:
        if association.is_established:
            association.release()


def _send_by_web(files: Sequence[Path], destination: WebDestination) -> None:
    import requests

    session, client = web_client(destination)
    try:
        with quiet():
            answer = client.store_instances([pydicom.dcmread(file) for file in files])
    except (requests.RequestException, *UNREADABLE) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        told = f"HTTP {status}" if status else type(error).__name__
        msg = f"{destination.name}: the web archive did not take the result ({told}); check its URL and password"
        raise JobError(msg) from None
    finally:
        session.close()
    failed = answer.get("FailedSOPSequence") or []
    if failed:
        msg = f"{destination.name}: the web archive refused {len(failed)} of {len(files)} objects"
        raise JobError(msg)


def web_client(destination: WebDestination | WebArchive, *, timeout_s: float = TIMEOUT_S) -> tuple[Any, Any]:
    """Open a DICOMweb client.

    Parameters
    ----------
    destination : WebDestination or WebArchive
        The archive.
    timeout_s : float
        How long it may be silent, in s; the client by itself would wait for ever.

    Returns
    -------
    session : requests.Session
        To be closed.
    client : dicomweb_client.DICOMwebClient
        Talks through the session.
    """
    import requests
    from dicomweb_client.api import DICOMwebClient

    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
    session = requests.Session()
    session.request = partial(session.request, timeout=timeout_s)  # type: ignore[method-assign]
    if destination.username:
        session.auth = (destination.username, destination.password.get_secret_value())
    if destination.authority is not None:
        session.verify = str(destination.authority)
    return session, DICOMwebClient(destination.url, session=session)
