"""From files to DICOM headers, one frame at a time.

Classic MR has one frame a file, enhanced MR has them all in one, with each fact either shared or repeated per frame.
`Frame` hides the difference, so that everything above asks for facts by keyword. Headers are read without pixels;
`spondyl.io.pixels` decodes those of the frames that are wanted, once.

pydicom's warnings quote the values they complain about, which may be a patient's name: every call into it happens
inside `quiet`.
"""

from __future__ import annotations

import logging
import math
import struct
import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from spondyl.core import InputError
from spondyl.io.files import SetAside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from spondyl.io.files import StudyFile

MR_SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
    }
)
"""SOP classes that hold MR images (PS3.4 section B.5)."""

DICOMDIR_SOP_CLASS = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage (PS3.6 Annex A)."""

MAX_VOXELS = 2**28
"""Largest series that is decoded, in voxels: 1 GiB as float32, six times a fine 3-D whole spine. Chosen by us."""

MAX_FRAMES = 100_000
"""Most frames looked at in one file. Chosen by us."""

FIRST_GROUP = (b"\x08\x00", b"\x02\x00")
"""How a DICOM data set without preamble begins: group 0008 or 0002, little endian (PS3.5 section 7.1)."""

UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    struct.error,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,  # NotImplementedError and RecursionError are kinds of it
    AssertionError,
    MemoryError,
)
"""What pydicom and its decoders raise on damaged files."""

ALIASES: dict[str, tuple[str, ...]] = {
    "EchoTime": ("EchoTime", "EffectiveEchoTime"),
    "InversionTime": ("InversionTime", "InversionTimes"),
    "ImageType": ("FrameType", "ImageType"),
    "SequenceName": ("SequenceName", "PulseSequenceName"),
    "EchoTrainLength": ("EchoTrainLength", "RFEchoTrainLength"),
    "TemporalPosition": ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    "AcquisitionNumber": ("FrameAcquisitionNumber", "AcquisitionNumber"),
    "AcquisitionMoment": ("FrameAcquisitionDateTime", "AcquisitionTime", "AcquisitionDateTime", "SeriesTime"),
    "ContrastBolusAgent": ("ContrastBolusAgent", "ContrastBolusIngredientCodeSequence"),
}
"""Names of one fact in classic MR (PS3.3 section C.8.3) and in enhanced MR (PS3.3 section C.8.13), best first."""


TALKATIVE = ("pydicom", "pylibjpeg", "openjpeg", "libjpeg")
"""Loggers of the DICOM library and its decoders."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the DICOM library from showing values: no warnings, no log lines.

    Yields
    ------
    None
        While inside, nothing is said.
    """
    _silence.enter()
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        _silence.leave()


class _Silence:
    """Levels of the talkative loggers: the first to enter lowers them, the last to leave brings them back.

    Several threads read at once in a node; one that leaves must not let another's values be said.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._levels = threading.Lock(), 0, dict[str, int]()

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._levels = {name: logging.getLogger(name).level for name in TALKATIVE}
            for name in TALKATIVE:
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for name, level in self._levels.items():
                    logging.getLogger(name).setLevel(level)


_silence = _Silence()


def value_of(data: Dataset, keyword: str) -> Any:
    """Give the value of an element, or None where it is missing or damaged.

    Parameters
    ----------
    data : pydicom.Dataset
        A data set whose elements are decoded on first use.
    keyword : str
        DICOM keyword.

    Returns
    -------
    object or None
        Text without padding, several values as a tuple, anything else as pydicom gives it.
    """
    try:
        return _plain(data.get(keyword))
    except UNREADABLE:
        return None


def text_of(data: Dataset, keyword: str) -> str:
    """Give the value of an element as text.

    Parameters
    ----------
    data : pydicom.Dataset
        As in `value_of`.
    keyword : str
        DICOM keyword.

    Returns
    -------
    str
        Empty where it is missing or damaged.
    """
    value = value_of(data, keyword)
    return "" if value is None else str(value)


def _count(data: Dataset, keyword: str, default: int) -> int:
    try:
        return int(value_of(data, keyword) or default)
    except (TypeError, ValueError):
        return default


def _macros(item: Dataset) -> list[Dataset]:
    """Give the first item of each public sequence in a functional group."""
    found = []
    for tag in item.keys():  # noqa: SIM118 - a Dataset iterates over elements
        try:
            if not tag.is_private and item[tag].VR == "SQ" and item[tag].value:
                found.append(item[tag].value[0])
        except UNREADABLE:
            continue
    return found


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM file: where it is, and its header.

    Parameters
    ----------
    file : StudyFile
        The file.
    header : pydicom.Dataset
        Its data set without pixel data.
    """

    file: StudyFile
    header: Dataset

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Its frames, in stored order."""
        n_frames = min(max(_count(self.header, "NumberOfFrames", 1), 1), MAX_FRAMES)
        return tuple(Frame(self, n) for n in range(1, n_frames + 1))

    @property
    def n_voxels(self) -> int:
        """How many voxels its header announces."""
        rows, columns = (_count(self.header, k, 0) for k in ("Rows", "Columns"))
        return rows * columns * _count(self.header, "NumberOfFrames", 1)


@dataclass(eq=False)
class Frame:
    """One two-dimensional image and every fact the header tells about it.

    Parameters
    ----------
    instance : Instance
        The file it lies in.
    number : int
        Its number in that file, from 1.
    """

    instance: Instance
    number: int
    _groups: list[Dataset] | None = field(default=None, init=False, repr=False)

    @property
    def groups(self) -> list[Dataset]:
        """Where facts are looked for, most specific first: this frame's groups, shared groups, the data set."""
        if self._groups is None:
            header = self.instance.header
            per_frame = value_of(header, "PerFrameFunctionalGroupsSequence") or []
            items = list(per_frame[self.number - 1 : self.number]) + list(
                value_of(header, "SharedFunctionalGroupsSequence") or []
            )
            self._groups = [*(m for item in items for m in _macros(item)), header]
        return self._groups

    def get(self, keyword: str) -> Any:
        """Give a fact by its DICOM keyword, or None.

        Parameters
        ----------
        keyword : str
            A keyword of classic MR, or a key of `ALIASES`.

        Returns
        -------
        object or None
            The first value that is not empty.
        """
        for name in ALIASES.get(keyword, (keyword,)):
            for group in self.groups:
                if name in group:
                    value = value_of(group, name)
                    if value not in (None, ""):
                        return value
        return None

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Give a fact as so many finite numbers, or None.

        Parameters
        ----------
        keyword : str
            As in `get`.
        count : int
            How many numbers it must have.

        Returns
        -------
        tuple of float or None
            None where the fact is missing or is not that.
        """
        value = self.get(keyword)
        values = value if isinstance(value, (list, tuple)) else (value,)
        if len(values) != count:
            return None
        try:
            numbers = tuple(float(v) for v in values)
        except (TypeError, ValueError):
            return None
        return numbers if all(math.isfinite(n) for n in numbers) else None

    def number_of(self, keyword: str) -> float | None:
        """Give a fact as one finite number (the first of several), or None.

        Parameters
        ----------
        keyword : str
            As in `get`.

        Returns
        -------
        float or None
            None where the fact is missing or no number.
        """
        value = self.get(keyword)
        value = value[0] if isinstance(value, (list, tuple)) and value else value
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return number if math.isfinite(number) else None

    def text(self, keyword: str) -> str:
        """Give a fact as text; several values are joined by a backslash, as in DICOM.

        Parameters
        ----------
        keyword : str
            As in `get`.

        Returns
        -------
        str
            Empty where the fact is missing.
        """
        value = self.get(keyword)
        if isinstance(value, (list, tuple)):
            return "\\".join(str(v) for v in value)
        return "" if value is None else str(value)

    def words(self, keyword: str) -> tuple[str, ...]:
        """Give a fact as upper-case words, one for each value.

        Parameters
        ----------
        keyword : str
            As in `get`.

        Returns
        -------
        tuple of str
            Empty where the fact is missing.
        """
        return tuple(w.strip() for w in self.text(keyword).upper().split("\\") if w.strip())

    def private(self, group: int, creator: str, element: int) -> Any:
        """Give a private fact by its creator, wherever its block lies.

        Parameters
        ----------
        group : int
            Group.
        creator : str
            Private creator.
        element : int
            Element without its block number.

        Returns
        -------
        object or None
            None where there is no such element.
        """
        for data in self.groups:
            if not any(tag >> 16 == group for tag in data.keys()):  # noqa: SIM118 - a Dataset iterates over elements
                continue
            try:
                return _plain(data.private_block(group, creator)[element].value)
            except UNREADABLE:
                continue
        return None


def _plain(value: Any) -> Any:
    """Make a pydicom value a plain one."""
    if isinstance(value, MultiValue):
        return tuple(value)
    return value.strip("\0 ") if isinstance(value, str) else value


def read_headers(files: tuple[StudyFile, ...]) -> tuple[tuple[Instance, ...], tuple[SetAside, ...]]:
    """Read the headers of all files that are DICOM.

    Parameters
    ----------
    files : tuple of StudyFile
        What to look at.

    Returns
    -------
    instances : tuple of Instance
        The readable ones, each SOP instance once.
    set_aside : tuple of SetAside
        The others, a repeated SOP instance among them.
    """
    instances: dict[str, Instance] = {}
    set_aside: list[SetAside] = []
    with quiet():
        for file in files:
            try:
                header = _read_header(file.path)
                uid, sop_class = text_of(header, "SOPInstanceUID"), text_of(header, "SOPClassUID")
            except UNREADABLE:
                set_aside.append(
                    SetAside(
                        file.where, "It is no DICOM file, or its header ends early.", "Export it again if it was one."
                    )
                )
                continue
            if sop_class == DICOMDIR_SOP_CLASS or header.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR_SOP_CLASS:
                continue
            if uid in instances and uid:
                set_aside.append(SetAside(file.where, "It repeats an instance that was read already.", "None needed."))
                continue
            instances[uid or f"file {file.number}"] = Instance(file, header)
    return tuple(instances.values()), tuple(set_aside)


def _read_header(path: Path) -> Dataset:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        with path.open("rb") as opened:
            begins = opened.read(2)
        if begins not in FIRST_GROUP:
            raise
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    is_directory = header.file_meta.get("MediaStorageSOPClassUID") == DICOMDIR_SOP_CLASS
    if not is_directory and not (text_of(header, "SOPClassUID") and text_of(header, "SeriesInstanceUID")):
        msg = "the header ends early"  # both are mandatory (PS3.3 sections C.12.1 and C.7.3.1)
        raise InvalidDicomError(msg)
    return header


def referenced_files(dicomdir: Path) -> list[tuple[str, ...]]:
    """Give the files that a DICOMDIR names, as path parts.

    Parameters
    ----------
    dicomdir : Path
        The DICOMDIR file.

    Returns
    -------
    list of tuple of str
        ReferencedFileID of each record that has one (PS3.3 section F.3.2.2).

    Raises
    ------
    InputError
        If it is no DICOMDIR.
    """
    with quiet():
        try:
            records = pydicom.dcmread(dicomdir)["DirectoryRecordSequence"].value
            ids = [_plain(r.get("ReferencedFileID")) for r in records]
        except UNREADABLE:
            msg = "expected a DICOMDIR, got a file that is none or is damaged. Give the folder of the study"
            raise InputError(msg) from None
    return [(i,) if isinstance(i, str) else tuple(i) for i in ids if i]
