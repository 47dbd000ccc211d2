"""From files to DICOM headers and pixels, one frame at a time.

Classic MR has one frame a file, enhanced MR has them all in one, with each fact either shared or repeated per frame.
`Frame` hides the difference, so that everything above asks for facts by keyword. Headers are read without pixels; the
pixels of the frames that are wanted are decoded once, later.

pydicom's warnings quote the values they complain about, which may be a patient's name: every call into it happens
inside `quiet`.
"""

from __future__ import annotations

import logging
import math
import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.pixels.utils import iter_pixels, pixel_array
from pydicom.uid import ImplicitVRLittleEndian

from spondyl.core import InputError
from spondyl.io.files import SetAside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
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

FIRST_GROUP = (b"\x08\x00", b"\x02\x00")
"""How a DICOM data set without preamble begins: group 0008 or 0002, little endian (PS3.5 section 7.1)."""

UNREADABLE = (
    InvalidDicomError,
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
    levels = {name: logging.getLogger(name).level for name in TALKATIVE}
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


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
        return tuple(Frame(self, n) for n in range(1, max(int(_plain(self.header.get("NumberOfFrames")) or 1), 1) + 1))

    @property
    def n_voxels(self) -> int:
        """How many voxels its header announces."""
        sizes = (_plain(self.header.get(k)) for k in ("Rows", "Columns"))
        return math.prod(int(s or 0) for s in sizes) * int(_plain(self.header.get("NumberOfFrames")) or 1)


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
    _groups: list[Dataset] | None = field(default=None, repr=False)

    @property
    def groups(self) -> list[Dataset]:
        """Where facts are looked for, most specific first: this frame's groups, shared groups, the data set."""
        if self._groups is None:
            header = self.instance.header
            per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
            items = list(per_frame[self.number - 1 : self.number]) + list(
                header.get("SharedFunctionalGroupsSequence") or []
            )
            macros = [e.value[0] for item in items for e in item if e.VR == "SQ" and not e.tag.is_private and e.value]
            self._groups = [*macros, header]
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
                    value = _plain(group.get(name))
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
        group, element : int
            Group, and element without its block number.
        creator : str
            Private creator.

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
            except (KeyError, ValueError, TypeError):
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
                uid, sop_class = str(header.get("SOPInstanceUID", "")), str(header.get("SOPClassUID", ""))
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
    if not is_directory and not (header.get("SOPClassUID") and header.get("SeriesInstanceUID")):
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


def decode(frames: list[Frame]) -> list[NDArray[np.float32] | None]:
    """Decode frames and apply their rescale slope and intercept.

    Parameters
    ----------
    frames : list of Frame
        What to decode; frames of one file are decoded together.

    Returns
    -------
    list of (ndarray of float32, shape (rows, columns)) or None
        In the order given; None where pixels are missing, damaged, colored or of another size than the header says.

    References
    ----------
    PS3.3 sections C.11.1 (Modality LUT) and C.7.6.16.2.9 (Pixel Value Transformation).
    """
    by_file: dict[int, list[int]] = {}
    for at, frame in enumerate(frames):
        by_file.setdefault(id(frame.instance), []).append(at)
    decoded: list[NDArray[np.float32] | None] = [None] * len(frames)
    with quiet():
        for places in by_file.values():
            for at, stored in zip(places, _stored([frames[p] for p in places]), strict=False):
                decoded[at] = _rescaled(frames[at], stored)
    return decoded


def _stored(frames: list[Frame]) -> Iterator[NDArray[Any]]:
    """Give stored values of frames of one file; ends early where the file does."""
    instance = frames[0].instance
    try:
        if not instance.header.file_meta.get("TransferSyntaxUID"):
            dataset = pydicom.dcmread(instance.file.path, force=True)
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            yield from iter_pixels(dataset, indices=[f.number - 1 for f in frames])
        elif len(frames) == 1:
            yield pixel_array(instance.file.path, index=frames[0].number - 1)
        else:
            yield from iter_pixels(instance.file.path, indices=[f.number - 1 for f in frames])
    except UNREADABLE:
        return


def _rescaled(frame: Frame, stored: NDArray[Any]) -> NDArray[np.float32] | None:
    if stored.ndim != 2 or stored.shape != (frame.get("Rows"), frame.get("Columns")):
        return None
    slope, intercept = frame.number_of("RescaleSlope"), frame.number_of("RescaleIntercept")
    values = stored.astype(np.float32)
    if slope not in (None, 0.0, 1.0):
        values *= np.float32(slope)
    if intercept:
        values += np.float32(intercept)
    if frame.text("PhotometricInterpretation") == "MONOCHROME1":  # PS3.3 section C.7.6.3.1.2: low values are bright
        values = values.max() + values.min() - values
    return values
