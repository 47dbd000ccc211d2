"""Store over the web: STOW-RS (PS3.18 section 10.5), object by object to disk, never a whole request in memory."""

from __future__ import annotations

import secrets
from email.message import Message
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from spondyl.app.node.scp import ANSWERS, UNREADABLE
from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import BinaryIO

    from spondyl.app.node.intake import Intake, Reason, Verdict

MAX_PARTS = 20_000
"""Most objects in one request. Chosen by us."""

MAX_BOUNDARY = 70
"""Longest boundary, in characters (RFC 2046 section 5.1.1)."""

MAX_HEADER_BYTES = 8192
"""Longest header of a part, in bytes. Chosen by us."""


def boundary_of(content_type: str) -> str:
    """Find what stands between the parts of a request.

    Parameters
    ----------
    content_type : str
        The header ``Content-Type``.

    Returns
    -------
    str
        The boundary (RFC 2046 section 5.1.1).

    Raises
    ------
    InputError
        If the request is not ``multipart/related`` of DICOM objects.
    """
    header = Message()
    header["Content-Type"] = content_type.replace("\r", "").replace("\n", "")
    kind, part, boundary = header.get_content_type(), header.get_param("type"), header.get_param("boundary")
    if kind != "multipart/related" or str(part or "application/dicom").lower() != "application/dicom" or not boundary:
        msg = (
            'expected multipart/related; type="application/dicom" with a boundary (PS3.18 section 10.5.1), got another'
        )
        raise InputError(msg)
    if len(str(boundary)) > MAX_BOUNDARY:
        msg = f"expected a boundary of at most {MAX_BOUNDARY} characters (RFC 2046 section 5.1.1), got a longer one"
        raise InputError(msg)
    return str(boundary)


class _Parts:
    """Writes the parts of a request into files of their own and has each taken."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._size = 0
        self._count = 0
        self.full: list[Path] = []

    @property
    def callbacks(self) -> Any:
        return {"on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end}

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            msg = f"expected at most {MAX_PARTS} objects in a request; send them in several"
            raise InputError(msg)
        self._path = self._intake.folder.scratch / f"stow-{secrets.token_hex(12)}.dcm"
        self._file = self._path.open("xb")
        self._size = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is not None and self._size <= self._intake.max_object_bytes + 1:
            self._file.write(data[start:end])

    def _end(self) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            self.full.append(self._path)
        self._file = self._path = None

    def discard(self) -> None:
        """Remove a part that did not come to its end; its sender gets no success for it."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink()
        for path in self.full:
            path.unlink(missing_ok=True)


async def store(
    intake: Intake, content_type: str, chunks: AsyncIterator[bytes], *, study_uid: str = ""
) -> list[Verdict]:
    """Take the objects of a request.

    Parameters
    ----------
    intake : Intake
        Takes them, in a thread, so that others are served meanwhile.
    content_type : str
        The header ``Content-Type``.
    chunks : async iterator of bytes
        The body as it comes.
    study_uid : str, optional
        The study that all objects must belong to.

    Returns
    -------
    list of Verdict
        One for each object, in their order.

    Raises
    ------
    InputError
        If the request is malformed or ends early; objects that were complete by then are kept.
    """
    from starlette.concurrency import run_in_threadpool

    parts = _Parts(intake)
    parser = MultipartParser(
        boundary_of(content_type), parts.callbacks, max_header_count=16, max_header_size=MAX_HEADER_BYTES
    )
    verdicts: list[Verdict] = []
    try:
        async for chunk in chunks:
            parser.write(chunk)
            while parts.full:
                verdicts.append(await run_in_threadpool(intake.take, parts.full.pop(0), study_uid=study_uid))
        parser.finalize()
    except FormParserError:
        msg = "expected whole multipart parts (RFC 2046 section 5.1), got a damaged request; send it again"
        raise InputError(msg) from None
    finally:
        parts.discard()
    return verdicts


def answer(verdicts: list[Verdict], *, root: str) -> tuple[int, dict[str, Any]]:
    """Give the answer to a request.

    Parameters
    ----------
    verdicts : list of Verdict
        What became of the objects.
    root : str
        URL of the DICOMweb service.

    Returns
    -------
    status : int
        200 if all were taken, 202 if some, 409 if none (PS3.18 table 10.5.3-1).
    body : dict
        DICOM JSON (PS3.18 annex F and section 10.5.3.1.2).
    """
    taken = [v for v in verdicts if v.reason is None]
    failed = [v for v in verdicts if v.reason is not None]
    body: dict[str, Any] = {"00081190": {"vr": "UR", "Value": [f"{root}/studies"]}}  # RetrieveURL
    if taken:
        body["00081199"] = {"vr": "SQ", "Value": [_named(v) for v in taken]}  # ReferencedSOPSequence
    if failed:
        body["00081198"] = {  # FailedSOPSequence, with FailureReason
            "vr": "SQ",
            "Value": [_named(v) | {"00081197": {"vr": "US", "Value": [_code(v.reason)]}} for v in failed],
        }
    return (409 if not taken else 202 if failed else 200), body


def _named(verdict: Verdict) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [verdict.sop_class]} if verdict.sop_class else {"vr": "UI"},
        "00081155": {"vr": "UI", "Value": [verdict.sop_instance]} if verdict.sop_instance else {"vr": "UI"},
    }


def _code(reason: Reason | None) -> int:
    """Give the failure reason (PS3.18 table 10.5.3-2): the codes of C-STORE, "processing failure" for the rest."""
    code = ANSWERS.get(reason, UNREADABLE) if reason is not None else UNREADABLE
    return 0x0110 if code == UNREADABLE else code
