"""Segmentations of many segments: each plane is described once, and the frames are put together of that.

highdicom describes and pydicom encodes every frame anew, several hundred for one spine on one series, and a spine is
written on every series that a reader displays. Here highdicom makes one object for each series, of two segments a few
pixels large, which says all there is to say of the planes; the frames of all segments of all segmentations on that
series are then items put together of what it said.
"""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import highdicom as hd
import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag

from spondyl.io import codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from spondyl.io.reference import ReferenceSeries

FRAMES = Tag("PerFrameFunctionalGroupsSequence")

CONTENT, IDENTIFICATION = Tag("FrameContentSequence"), Tag("SegmentIdentificationSequence")

INDEX = struct.Struct("<LL")
"""Dimension Index Values of a frame: segment and plane."""

ITEM = struct.Struct("<HHL")
"""Tag and length of an item in Little Endian (PS3.5 section 7.5)."""

ITEM_TAG = (0xFFFE, 0xE000)


BYTE = 8
"""Bits in a byte; rows are packed in such numbers, which fill whole bytes whatever their length."""

THIN = (1, BYTE)
"""Rows and columns of the object that highdicom makes; nothing it says of a plane depends on them."""


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
    def of(
        cls,
        mask: NDArray[np.bool_],
        *,
        box: tuple[slice, slice, slice] | None = None,
        frame: tuple[int, int] | None = None,
    ) -> PackedSegment:
        """Pack a mask.

        Parameters
        ----------
        mask : ndarray of bool, shape (slices, rows, columns)
            Voxels.
        box : tuple of slice, optional
            Slices, rows and columns that the mask shows; the whole series unless given.
        frame : tuple of int, optional
            Rows and columns of the series; those of the mask unless given.

        Returns
        -------
        PackedSegment
            Without the empty slices.
        """
        rows, columns = frame or mask.shape[1:]
        box = box or (slice(0, len(mask)), slice(0, rows), slice(0, columns))
        there = np.flatnonzero(mask.any(axis=(1, 2)))
        first, stop = box[1].start // BYTE * BYTE, min(-(-box[1].stop // BYTE) * BYTE, rows)
        seen = np.zeros((len(there), stop - first, columns), bool)
        seen[:, box[1].start - first : box[1].stop - first, box[2]] = mask[there]
        packed = np.packbits(seen.reshape(len(there), -1), axis=1, bitorder="little")
        bits = np.zeros((len(there), -(-rows * columns // BYTE)), np.uint8)
        begin = first * columns // BYTE
        bits[:, begin : begin + packed.shape[1]] = packed
        return cls(there + box[0].start, bits)


class DescribedPlanes:
    """The planes of a series as every segmentation on it describes them.

    Parameters
    ----------
    reference : ReferenceSeries
        The series.
    equipment : mapping of str to object
        Who makes the objects, as highdicom wants to be told.

    References
    ----------
    DICOM PS3.3 section A.51 and C.8.20, PS3.5 section 7.5.
    """

    def __init__(self, reference: ReferenceSeries, equipment: Mapping[str, Any]) -> None:
        self._frame = reference.geometry.spatial_shape[1:]
        n_planes = reference.geometry.spatial_shape[0]
        geometry = hd.VolumeGeometry(
            reference.geometry.affine,
            (n_planes, *THIN),
            coordinate_system="PATIENT",
            frame_of_reference_uid=reference.geometry.frame_of_reference_uid,
        )
        described = [
            hd.seg.SegmentDescription(n, "planes", codes.ANATOMICAL_STRUCTURE, codes.SPINE, "MANUAL") for n in (1, 2)
        ]
        # Of one segment alone highdicom describes the planes otherwise.
        array = np.ones((n_planes, *THIN, 2), np.uint8)
        self._made = hd.seg.Segmentation(
            source_images=[altered(header, Rows=THIN[0], Columns=THIN[1]) for header in reference.headers],
            pixel_array=geometry.with_array(array, channels={"SegmentNumber": [1, 2]}),
            segmentation_type="BINARY",
            segment_descriptions=described,
            content_label="RESEARCH_USE",
            content_qualification="RESEARCH",
            coding_schemes=codes.coding_schemes(),
            **equipment,
        )
        reference.relink(self._made)
        self._made.Rows, self._made.Columns = self._frame
        frames = self._made.PerFrameFunctionalGroupsSequence[:n_planes]
        positions = np.array([f.PlanePositionSequence[0].ImagePositionPatient for f in frames], dtype=float)
        affine = reference.geometry.affine
        along = (positions - affine[:3, 3]) @ affine[:3, 0] / (affine[:3, 0] @ affine[:3, 0])
        self._planes = {int(k): _Plane.of(item) for k, item in zip(np.rint(along), frames, strict=True)}

    def segmentation(
        self,
        said: Mapping[str, str | int],
        described: Iterable[Dataset],
        segments: Sequence[PackedSegment],
        *,
        overlapping: bool,
    ) -> FileDataset:
        """Give a segmentation on the series.

        Parameters
        ----------
        said : mapping of str to str or int
            Attributes of its own by keyword, its UIDs among them.
        described : iterable of Dataset
            Items of the Segment Sequence, numbered from 1.
        segments : sequence of PackedSegment
            Their voxels.
        overlapping : bool
            Whether any voxel is in two segments.

        Returns
        -------
        FileDataset
            A binary segmentation.
        """
        made = FileDataset("", {}, preamble=b"\0" * 128, file_meta=copy.deepcopy(self._made.file_meta))
        items, bits = self._frames_of(segments)
        more = {"SegmentsOverlap": "YES" if overlapping else "NO", "NumberOfFrames": len(items)}
        made.update(altered(self._made, SegmentSequence=DicomSequence(described), **more, **said))
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        _organize_anew(made)
        value = b"".join(items)
        made[FRAMES] = RawDataElement(
            FRAMES, "SQ", len(value), value, value_tell=0, is_implicit_VR=False, is_little_endian=True
        )
        pixels = _in_a_row(bits, self._frame[0] * self._frame[1])
        made.add_new("PixelData", "OB", pixels + b"\0" * (len(pixels) % 2))
        # As if it had been read so: pydicom then writes what is encoded as it is.
        made.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding=made._character_set)
        return made

    def _frames_of(self, segments: Sequence[PackedSegment]) -> tuple[list[bytes], list[NDArray[np.uint8]]]:
        """Give the items and bits of all frames: segment by segment, each by the position of its planes."""
        used = sorted({k for segment in segments for k in segment.slices.tolist()}, key=lambda k: self._planes[k].place)
        place_of = {k: place for place, k in enumerate(used, start=1)}
        items, bits = [], []
        for number, segment in enumerate(segments, start=1):
            identified = Dataset()
            identified.SegmentIdentificationSequence = [Dataset()]
            identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number
            last = _encoded(identified)
            slices = segment.slices.tolist()
            for row in np.argsort([place_of[k] for k in slices]):
                items.append(self._planes[slices[row]].item(number, place_of[slices[row]], last))
                bits.append(segment.bits[row])
        return items, bits


def altered(dataset: Dataset, **said: Any) -> Dataset:
    """Give a dataset that says some things otherwise, and shares all else with the given one.

    Parameters
    ----------
    dataset : Dataset
        Stays as it is.
    **said : object
        Values by keyword.

    Returns
    -------
    Dataset
        The other one.
    """
    other = Dataset()
    other.update(dataset)
    for keyword, value in said.items():
        if keyword in other:
            del other[keyword]  # whose element is shared
        setattr(other, keyword, value)
    return other


def _organize_anew(made: Dataset) -> None:
    """Give the dimensions of frames an identity of their own, since their index counts the planes of this object."""
    uid = hd.UID()
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        items = [altered(item, DimensionOrganizationUID=uid) for item in made[keyword].value]
        del made[keyword]
        setattr(made, keyword, DicomSequence(items))


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

    def item(self, number: int, place: int, identified: bytes) -> bytes:
        value = b"".join((self.before, INDEX.pack(number, place), self.after, identified))
        return ITEM.pack(*ITEM_TAG, len(value)) + value


def _encoded(dataset: Dataset) -> bytes:
    """Encode a dataset in Explicit VR Little Endian, as highdicom's segmentations are."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)
    value: bytes = stream.getvalue()
    return value
