"""Segmentations of many segments: each plane is described once, and the frames are put together of that.

highdicom describes and pydicom encodes every frame anew, several hundred for one spine on one series, and a spine is
written on every series that a reader displays. Here highdicom makes the object for two segments, which says all there
is to say of the planes; the frames of all segments are then items put together of what it said.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FRAMES = Tag("PerFrameFunctionalGroupsSequence")

CONTENT, IDENTIFICATION = Tag("FrameContentSequence"), Tag("SegmentIdentificationSequence")

INDEX = struct.Struct("<LL")
"""Dimension Index Values of a frame: segment and plane."""

ITEM = struct.Struct("<HHL")
"""Tag and length of an item in Little Endian (PS3.5 section 7.5)."""

ITEM_TAG = (0xFFFE, 0xE000)


class PackedSegment(NamedTuple):
    """The planes of one segment.

    Parameters
    ----------
    slices : ndarray of int, shape (n,)
        Slices in which it has voxels.
    bits : ndarray of uint8, shape (n, bytes of a slice)
        Its voxels in these, the first one in the lowest bit; each slice begins a byte.
    """

    slices: NDArray[np.intp]
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> PackedSegment:
        """Pack a mask.

        Parameters
        ----------
        mask : ndarray of bool, shape (slices, rows, columns)
            Voxels.

        Returns
        -------
        PackedSegment
            Without the empty slices.
        """
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        return cls(slices, np.packbits(mask[slices].reshape(len(slices), -1), axis=1, bitorder="little"))


def with_all_frames(
    first: Dataset,
    slices: Sequence[int],
    described: Sequence[Dataset],
    segments: Sequence[PackedSegment],
    *,
    overlapping: bool,
) -> FileDataset:
    """Give a segmentation the frames of all its segments.

    Parameters
    ----------
    first : Dataset
        A binary segmentation in which the first segment has a frame on each plane that any segment is on, described
        and linked to its sources as the others are to be.
    slices : sequence of int
        The slice that each frame of its first segment shows, in the order of the frames.
    described : sequence of Dataset
        Items of the Segment Sequence, numbered from 1.
    segments : sequence of PackedSegment
        Their voxels.
    overlapping : bool
        Whether any voxel is in two segments.

    Returns
    -------
    FileDataset
        The whole segmentation; `first` is used up.

    References
    ----------
    DICOM PS3.3 section A.51 and C.8.20, PS3.5 section 7.5.
    """
    planes = {k: _Plane.of(item) for k, item in zip(slices, first.PerFrameFunctionalGroupsSequence, strict=False)}
    items, bits = [], []
    for number, segment in enumerate(segments, start=1):
        identified = Dataset()
        identified.SegmentIdentificationSequence = [Dataset()]
        identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number
        last = _encoded(identified)
        on = [planes[k] for k in segment.slices.tolist()]
        for row in np.argsort([plane.place for plane in on]):
            items.append(on[row].item(number, last))
            bits.append(segment.bits[row])
    made = FileDataset("", first, preamble=b"\0" * 128, file_meta=first.file_meta)
    made.SegmentSequence = DicomSequence(described)
    made.SegmentsOverlap = "YES" if overlapping else "NO"
    made.NumberOfFrames = len(items)
    value = b"".join(items)
    made[FRAMES] = RawDataElement(
        FRAMES, "SQ", len(value), value, value_tell=0, is_implicit_VR=False, is_little_endian=True
    )
    pixels = _in_a_row(bits, int(first.Rows) * int(first.Columns))
    made.add_new("PixelData", "OB", pixels + b"\0" * (len(pixels) % 2))
    # As if it had been read so: pydicom then writes what is encoded as it is.
    made.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding=made._character_set)
    return made


def _in_a_row(frames: Sequence[NDArray[np.uint8]], voxels: int) -> bytes:
    """Let frames follow each other without gaps, as bits do (PS3.5 section 8.1.1)."""
    if voxels % 8 == 0:
        return b"".join(frame.tobytes() for frame in frames)
    single = np.concatenate([np.unpackbits(frame, count=voxels, bitorder="little") for frame in frames])
    return np.packbits(single, bitorder="little").tobytes()


class _Plane(NamedTuple):
    """One plane, its functional groups encoded: those before the index of the frame, and those after it."""

    before: bytes
    place: int
    after: bytes

    @classmethod
    def of(cls, item: Dataset) -> _Plane:
        first, last = Dataset(), Dataset()
        for element in item:
            if element.tag <= CONTENT:
                first.add(element)
            elif element.tag < IDENTIFICATION:
                last.add(element)
        # The two numbers of the index, segment and plane, are the last of the content.
        before, place = _encoded(first), int(item.FrameContentSequence[0].DimensionIndexValues[1])
        return cls(before[: -INDEX.size], place, _encoded(last))

    def item(self, number: int, identified: bytes) -> bytes:
        value = b"".join((self.before, INDEX.pack(number, self.place), self.after, identified))
        return ITEM.pack(*ITEM_TAG, len(value)) + value


def _encoded(dataset: Dataset) -> bytes:
    """Encode a dataset in Explicit VR Little Endian, as highdicom's segmentations are."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    value: bytes = stream.getvalue()
    return value
