"""The door of the node: every object that comes, by whatever way, is looked at here before it is kept.

What can be analyzed goes into its study's folder in one step, so a killed process leaves whole files only. What cannot
is put into quarantine with a reason, never thrown away and never let further in. No name on disk comes from outside.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from spondyl.app.catalog import now
from spondyl.io.dicom import MR_SOP_CLASSES, UNREADABLE, quiet, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from spondyl.app.data_folder import DataFolder

MIB = 1024**2

UID = re.compile(r"[0-9]+(\.[0-9]+)*")
"""What a UID looks like (PS3.5 section 9.1); leading zeros are let pass, since old scanners write them."""

UID_LENGTH = 64
"""Longest UID, in characters (PS3.5 section 9.1)."""

QUARANTINE_MIB = 2048.0
"""Quarantine keeps objects up to this, in MiB, and only reasons beyond it, so that nobody fills the disk. Ours."""

HEADER = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
)
"""What is read of an object at the door; everything else is passed over unread."""


class Reason(StrEnum):
    """Why an object is refused; stable, since metrics count by it."""

    UNREADABLE = "unreadable"
    DEFLATED = "deflated"
    TOO_LARGE = "too_large"
    INVALID_UID = "invalid_uid"
    NOT_MR = "not_mr"
    TRUNCATED = "truncated"
    MISMATCH = "mismatch"


SENTENCES = {
    Reason.UNREADABLE: "It is no DICOM object, or it ends early.",
    Reason.DEFLATED: "It is deflated as a whole, which may hide any size. Send it in another transfer syntax.",
    Reason.TOO_LARGE: "It is larger than max_object_mib allows.",
    Reason.INVALID_UID: "A UID is missing or is none (PS3.5 section 9.1).",
    Reason.NOT_MR: "It is not an MR image, and nothing else is analyzed.",
    Reason.TRUNCATED: "It ends before its pixel data do.",
    Reason.MISMATCH: "Its UIDs are not those it was announced with.",
}
"""What the reasons mean."""


_READING = threading.Lock()
"""One header at a time: keeping the DICOM library from talking is not safe in threads."""


@dataclass(frozen=True)
class Verdict:
    """What became of an object.

    Parameters
    ----------
    reason : Reason, optional
        Why it was refused; None if it was taken.
    study_key : str
        Its study, if it was taken.
    repeated : bool
        Whether the same instance had come before; the first is kept.
    sop_class, sop_instance : str
        Its UIDs, as far as they could be read, to answer the sender.
    """

    reason: Reason | None = None
    study_key: str = ""
    repeated: bool = False
    sop_class: str = ""
    sop_instance: str = ""


class Intake:
    """Takes objects into the data folder.

    Parameters
    ----------
    folder : DataFolder
        Where they go.
    arrived : callable
        Told the study key after a new instance lies in its place.
    came_again : callable, optional
        Told the study key of an instance that had come before.
    max_object_mib : float
        Largest object taken, in MiB.
    min_free_mib : float
        What the disk must have left, in MiB.
    """

    def __init__(
        self,
        folder: DataFolder,
        arrived: Callable[[str], None],
        *,
        came_again: Callable[[str], None] | None = None,
        max_object_mib: float = 1024.0,
        min_free_mib: float = 1024.0,
    ) -> None:
        self.folder = folder.make()
        self.max_object_bytes = int(max_object_mib * MIB)
        self._min_free_bytes = int(min_free_mib * MIB)
        self._arrived = arrived
        self._came_again = came_again
        self._lock = threading.Lock()
        self._quarantined_bytes = sum(f.stat().st_size for f in folder.quarantine.glob("*.dcm"))
        self.counts: dict[str, int] = dict.fromkeys(("taken", "repeated", "asked", *map(str, Reason)), 0)
        self.received_bytes = 0

    @property
    def has_room(self) -> bool:
        """Whether the disk has room for more; senders are told to wait otherwise."""
        return shutil.disk_usage(self.folder.root).free >= self._min_free_bytes

    def take(
        self, path: Path, *, announced: tuple[str, str] | None = None, study_uid: str = "", asked: bool = False
    ) -> Verdict:
        """Take an object that lies in a file of its own on the same disk.

        Parameters
        ----------
        path : Path
            The file; it is moved away.
        announced : tuple of str, optional
            SOP class and instance UID that the sender named beforehand (PS3.7 section 9.1.1).
        study_uid : str, optional
            The study that the sender named beforehand (PS3.18 section 10.5.1).
        asked : bool
            Whether this node asked for it: it then goes to `DataFolder.asked_for` and is no study that arrives.

        Returns
        -------
        Verdict
            What became of it.
        """
        self.received_bytes += path.stat().st_size
        header, reason = self._looked_at(path)
        if header is None:
            return self.quarantine(path, reason or Reason.UNREADABLE)
        found = text_of(header, "SOPClassUID"), text_of(header, "SOPInstanceUID")
        named = text_of(header, "StudyInstanceUID")
        if reason is None and (announced or found, study_uid or named) != (found, named):
            reason = Reason.MISMATCH
        if reason is not None:
            return self.quarantine(path, reason, found)
        study_key = self.folder.study_key(named)
        if asked:
            self._kept(path, self.folder.asked_for(study_key) / self.folder.instance_name(found[1]))
            self._count("asked")
            return Verdict(None, study_key, repeated=False, sop_class=found[0], sop_instance=found[1])
        repeated = not self._kept(path, self.folder.incoming(study_key) / self.folder.instance_name(found[1]))
        self._count("repeated" if repeated else "taken")
        if not repeated:
            self._arrived(study_key)
        elif self._came_again is not None:
            self._came_again(study_key)
        return Verdict(None, study_key, repeated, *found)

    def _looked_at(self, path: Path) -> tuple[Dataset | None, Reason | None]:
        """Read what is needed to judge an object, without its pixels and without inflating anything."""
        if path.stat().st_size > self.max_object_bytes:
            return None, Reason.TOO_LARGE
        with _READING, quiet():
            try:
                meta = pydicom.filereader.read_file_meta_info(path)
                if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
                    return None, Reason.DEFLATED
                with path.open("rb") as file:
                    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(HEADER))
                    left = path.stat().st_size - file.tell()
                return header, _fault(header, meta, left)
            except UNREADABLE:  # some values are only read when they are asked for
                return None, Reason.UNREADABLE

    def _kept(self, path: Path, target: Path) -> bool:
        """Move a file into its place; of one instance sent twice, even at the same time, the first stays."""
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync(path)
        try:
            os.link(path, target)
        except FileExistsError:
            path.unlink()
            return False
        path.unlink()
        return True

    def quarantine(self, path: Path, reason: Reason, found: tuple[str, str] = ("", "")) -> Verdict:
        """Put an object aside, with its reason beside it.

        Parameters
        ----------
        path : Path
            The file; it is moved away.
        reason : Reason
            Why.
        found : tuple of str
            Its SOP class and instance UID.

        Returns
        -------
        Verdict
            That it was refused.
        """
        size = path.stat().st_size
        name = f"{now():%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
        with self._lock:
            keep = self._quarantined_bytes + size <= QUARANTINE_MIB * MIB
            self._quarantined_bytes += size if keep else 0
        if keep:
            path.replace(self.folder.quarantine / f"{name}.dcm")
        else:
            path.unlink()
        note: dict[str, Any] = {
            "at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
            "reason": str(reason),
            "meaning": SENTENCES[reason],
            "bytes": size,
            "kept": keep,
        }
        draft = self.folder.scratch / f"{name}.json"
        draft.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        draft.replace(self.folder.quarantine / f"{name}.json")
        self._count(str(reason))
        return Verdict(reason, sop_class=found[0], sop_instance=found[1])

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def _fault(header: Dataset, meta: Dataset, left: int) -> Reason | None:
    """Say what is wrong with a header, if anything; `left` is how many bytes follow it."""
    uids = [text_of(header, k) for k in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
    if text_of(header, "SOPClassUID") not in MR_SOP_CLASSES:
        return Reason.NOT_MR if all(map(_is_uid, uids)) else Reason.INVALID_UID
    if not all(map(_is_uid, uids)):
        return Reason.INVALID_UID
    try:
        syntax = pydicom.uid.UID(str(meta.get("TransferSyntaxUID", "")))
        compressed, tag_bytes = syntax.is_compressed, 8 if syntax.is_implicit_VR else 12  # PS3.5 section 7.1
    except ValueError:
        return Reason.UNREADABLE
    wanted = _pixel_bytes(header)
    return Reason.TRUNCATED if not wanted or left < tag_bytes + (1 if compressed else wanted) else None


def _is_uid(text: str) -> bool:
    return 0 < len(text) <= UID_LENGTH and UID.fullmatch(text) is not None


def _pixel_bytes(header: Dataset) -> int:
    """Give how many bytes the pixels take, by the header (PS3.5 section 8.1.1); 0 where it does not say."""
    try:
        rows, columns, bits = (int(header.get(k) or 0) for k in ("Rows", "Columns", "BitsAllocated"))
        frames, samples = (int(header.get(k) or 1) for k in ("NumberOfFrames", "SamplesPerPixel"))
    except (TypeError, ValueError):
        return 0
    return rows * columns * frames * samples * bits // 8


def _sync(path: Path) -> None:
    """Have a file on the disk before the sender is told that it is kept."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
