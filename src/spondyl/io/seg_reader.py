"""DICOM Segmentations of anybody, as masks on a grid.

Segmentations come back from other software: corrected by a radiologist in a viewer, made by a research toolkit, or
written by an earlier Spondyl. They leave out empty frames, order frames as they like, overlap or not, hold bits,
fractions or a label map with gaps in its numbers, and may be compressed. Positions alone say where a frame belongs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from spondyl.core import GeometryError, Grid, InputError
from spondyl.io.reference import frame_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
"""PS3.4 Annex B; the second since the 2024d edition."""

SAME_PLANE_MM = 0.01
"""Frames nearer than this lie in one plane: well under the finest slice spacing, well over rounding in headers."""

REGULAR_FRACTION = 0.05
"""Planes may lie off a regular stack by this part of its spacing. Chosen by us; MR stacks are regular to 1e-4."""

SAME_VOXEL_FRACTION = 0.05
"""A mask fits another grid where its voxel centers lie on that grid's within this part of a voxel."""


@dataclass(frozen=True)
class SegmentInfo:
    """What a file says about one segment.

    Parameters
    ----------
    number : int
        SegmentNumber; in a label map the value of its voxels.
    label, description : str
        SegmentLabel and SegmentDescription.
    kind : str
        Meaning of the segmented property type, such as ``"L1 vertebra"``.
    kind_code : tuple of str
        Code value and coding scheme of it.
    tracking_id, tracking_uid : str
        Names that follow it through time; empty where there are none.
    algorithm : str
        SegmentAlgorithmType, with the algorithm's name where given.
    """

    number: int
    label: str
    description: str = ""
    kind: str = ""
    kind_code: tuple[str, str] = ("", "")
    tracking_id: str = ""
    tracking_uid: str = ""
    algorithm: str = ""


@dataclass(frozen=True, eq=False)
class SegmentMask:
    """The voxels of one segment.

    Parameters
    ----------
    array : ndarray of bool or float32, shape ``grid.shape``
        Inside or outside; for a fractional segmentation the fraction from 0 to 1.
    grid : Grid
        Where the voxels are.
    """

    array: NDArray[Any]
    grid: Grid


def read_segmentation(path: Path | str, *, on: Grid | None = None) -> list[tuple[SegmentInfo, SegmentMask]]:
    """Read a DICOM Segmentation.

    Parameters
    ----------
    path : Path or str
        A Segmentation or Label Map Segmentation file.
    on : Grid, optional
        Put the masks onto this grid. Its voxels must be the file's voxels, in any order and direction of the axes;
        what the file leaves out is empty. Without it the masks come on the smallest regular grid over the file's
        frames, with axes columns, rows, slices.

    Returns
    -------
    list of tuple of (SegmentInfo, SegmentMask)
        In the file's order of segments; the background of a label map left out.

    Raises
    ------
    InputError
        If the file is not a readable segmentation in patient space.
    GeometryError
        If its planes are not one regular stack, or do not fit the grid asked for.

    References
    ----------
    DICOM PS3.3 sections C.8.20 (Segmentation), C.7.6.16.2 (functional groups).
    """
    dataset = _open(Path(path))
    grid, slice_of_frame = frame_stack(dataset)
    infos = [_info(item) for item in dataset.SegmentSequence]
    arrays = _masks(dataset, infos, grid, slice_of_frame)
    placed = [(info, SegmentMask(arrays[info.number], grid)) for info in infos if info.number in arrays]
    return placed if on is None else [(info, onto(mask, on)) for info, mask in placed]


def _open(path: Path) -> Dataset:
    try:
        dataset = pydicom.dcmread(path)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        msg = f"wanted a DICOM Segmentation, got a file that cannot be read ({type(error).__name__}); export it again"
        raise InputError(msg) from error
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class not in (SEGMENTATION_STORAGE, LABEL_MAP_SEGMENTATION_STORAGE):
        msg = f"wanted a DICOM Segmentation, got SOP class {sop_class or 'none'}; name the file that holds the masks"
        raise InputError(msg)
    if "FrameOfReferenceUID" not in dataset or "ImageOrientationSlide" in dataset:
        uid = dataset.get("SOPInstanceUID", "unknown")
        msg = f"wanted a segmentation in patient space, got instance {uid} without positions in the patient"
        raise InputError(msg)
    return dataset


def _frame_geometry(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Give positions of all frames, shape (frames, 3), cosines of rows and columns, and pixel spacing in mm."""
    count = int(dataset.NumberOfFrames)

    def value(number: int, sequence: str, keyword: str) -> Any:
        found = frame_value(dataset, number, sequence, keyword)
        if found is None:
            msg = (
                f"frame {number} of segmentation {dataset.get('SOPInstanceUID', 'unknown')} has no {keyword}; "
                "only segmentations placed in the patient can be read"
            )
            raise GeometryError(msg)
        return np.asarray(found, dtype=float)

    positions = np.stack([value(n, "PlanePositionSequence", "ImagePositionPatient") for n in range(1, count + 1)])
    cosines = np.stack([value(n, "PlaneOrientationSequence", "ImageOrientationPatient") for n in range(1, count + 1)])
    if np.abs(cosines - cosines[0]).max() > 1e-3:
        msg = f"segmentation {dataset.get('SOPInstanceUID', 'unknown')} has frames in several directions; split it"
        raise GeometryError(msg)
    spacing = value(1, "PixelMeasuresSequence", "PixelSpacing")
    return positions, cosines[0].reshape(2, 3), (float(spacing[0]), float(spacing[1]))


def frame_stack(dataset: Dataset) -> tuple[Grid, NDArray[np.intp]]:
    """Find the regular stack that all frames of a multi-frame object lie on.

    Parameters
    ----------
    dataset : Dataset
        A Segmentation or Parametric Map.

    Returns
    -------
    grid : Grid
        The stack; array axes are columns, rows, slices.
    slice_of_frame : ndarray of int, shape (frames,)
        Slice of each frame.

    Raises
    ------
    GeometryError
        If the frames are not placed in the patient, or are not planes of one regular stack.
    """
    positions, (along_row, along_column), (row_mm, column_mm) = _frame_geometry(dataset)
    normal = np.cross(along_row, along_column)
    depths = positions @ normal
    planes = np.sort(depths)[np.r_[True, np.diff(np.sort(depths)) > SAME_PLANE_MM]]
    written = frame_value(dataset, 1, "PixelMeasuresSequence", "SpacingBetweenSlices")
    thickness = frame_value(dataset, 1, "PixelMeasuresSequence", "SliceThickness")
    spacing = _plane_spacing(planes, [float(s) for s in (written, thickness) if s])
    if spacing is None:
        msg = (
            f"the frames of segmentation {dataset.get('SOPInstanceUID', 'unknown')} are not planes of one regular "
            f"stack (gaps from {np.diff(planes).min():.3f} to {np.diff(planes).max():.3f} mm); resample it first"
        )
        raise GeometryError(msg)
    index = np.round((depths - planes[0]) / spacing).astype(np.intp)
    first = positions[np.argmin(depths)]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along_row * column_mm, along_column * row_mm, normal * spacing
    affine[:3, 3] = first
    shape = (int(dataset.Columns), int(dataset.Rows), int(index.max()) + 1)
    in_plane = np.linalg.norm(positions - (first + index[:, None] * affine[:3, 2]), axis=1)
    if in_plane.max() > max(REGULAR_FRACTION * spacing, SAME_PLANE_MM):
        msg = (
            f"the frames of segmentation {dataset.get('SOPInstanceUID', 'unknown')} are shifted against each other "
            f"by {in_plane.max():.3f} mm; resample it first"
        )
        raise GeometryError(msg)
    return Grid(shape, affine, str(dataset.FrameOfReferenceUID)), index


def _plane_spacing(planes: NDArray[np.float64], written_mm: list[float]) -> float | None:
    """Give the spacing that puts every plane on a whole step: the file's own if it fits, else one the gaps share."""
    if len(planes) == 1:
        return written_mm[0] if written_mm else 1.0
    smallest_mm = float(np.diff(planes).min())
    for candidate in (*written_mm[:1], smallest_mm, smallest_mm / 2, smallest_mm / 3):
        steps = np.round((planes - planes[0]) / candidate)
        if np.diff(steps).min() < 1:
            continue
        # The average over the whole stack removes rounding from the step.
        spacing = float((planes[-1] - planes[0]) / steps[-1])
        if np.abs(planes - planes[0] - steps * spacing).max() <= REGULAR_FRACTION * spacing:
            return spacing
    return None


def _info(item: Dataset) -> SegmentInfo:
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [{}])[0]
    names = (str(item.get("SegmentAlgorithmType", "")), str(item.get("SegmentAlgorithmName", "")))
    return SegmentInfo(
        number=int(item.SegmentNumber),
        label=str(item.get("SegmentLabel", "")),
        description=str(item.get("SegmentDescription", "")),
        kind=str(kind.get("CodeMeaning", "")),
        kind_code=(str(kind.get("CodeValue", "")), str(kind.get("CodingSchemeDesignator", ""))),
        tracking_id=str(item.get("TrackingID", "")),
        tracking_uid=str(item.get("TrackingUID", "")),
        algorithm=" ".join(name for name in names if name),
    )


def _masks(
    dataset: Dataset, infos: list[SegmentInfo], grid: Grid, slice_of_frame: NDArray[np.intp]
) -> Mapping[int, NDArray[Any]]:
    """Give the voxels of each segment, axes columns, rows, slices."""
    try:
        pixels = np.atleast_3d(dataset.pixel_array)
    except (ValueError, RuntimeError, NotImplementedError, AttributeError, KeyError) as error:
        uid = dataset.get("SOPInstanceUID", "unknown")
        msg = f"the pixels of segmentation {uid} cannot be decoded; store it uncompressed or as RLE Lossless"
        raise InputError(msg) from error
    pixels = pixels.reshape(int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))
    kind = str(dataset.get("SegmentationType", "LABELMAP"))
    if kind == "LABELMAP":
        # What no frame covers is padding, which need not be 0 (PS3.3 section C.8.20.2).
        background = int(dataset.get("PixelPaddingValue", 0))
        volume = np.full(grid.shape[::-1], background, dtype=np.uint16)
        volume[slice_of_frame] = pixels
        return {i.number: (volume == i.number).T for i in infos if i.number != background}
    scale = float(dataset.get("MaximumFractionalValue", 1)) if kind == "FRACTIONAL" else 1.0
    dtype = np.float32 if kind == "FRACTIONAL" else np.bool_
    arrays: dict[int, NDArray[Any]] = {i.number: np.zeros(grid.shape, dtype=dtype) for i in infos}
    for frame, k in zip(range(len(pixels)), slice_of_frame, strict=True):
        number = frame_value(dataset, frame + 1, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
        if number in arrays:
            arrays[number][:, :, k] = pixels[frame].T / scale if kind == "FRACTIONAL" else pixels[frame].T > 0
    return arrays


def onto(mask: SegmentMask, on: Grid) -> SegmentMask:
    """Move a mask onto a grid whose voxels are the same, by permuting, reversing and shifting whole voxels.

    Parameters
    ----------
    mask : SegmentMask
        The voxels.
    on : Grid
        Where they should lie.

    Returns
    -------
    SegmentMask
        On that grid; 0 where the mask does not reach.

    Raises
    ------
    GeometryError
        If the voxels are not the same.
    """
    step = np.linalg.inv(on.affine[:3, :3]) @ mask.grid.affine[:3, :3]
    axes = [int(a) for a in np.argmax(np.abs(step), axis=0)]
    whole = np.zeros((3, 3))
    whole[axes, range(3)] = np.sign(step[axes, range(3)])
    extent = np.asarray(mask.grid.shape) - 1
    start = on.lps_to_ijk(mask.grid.affine[:3, 3])
    off = np.abs(step - whole) @ extent + np.abs(start - np.round(start))
    if len(set(axes)) < 3 or off.max() > SAME_VOXEL_FRACTION:
        msg = "the segmentation lies on other voxels than the image it should fit; resample one onto the other"
        raise GeometryError(msg)
    order = [axes.index(axis) for axis in range(3)]
    moved = mask.array.transpose(order)
    moved = moved[tuple(slice(None, None, int(whole[axis, order[axis]])) for axis in range(3))]
    low = np.minimum(np.round(start), np.round(start) + whole @ extent).astype(int)
    result = np.zeros(on.shape, dtype=moved.dtype)
    inside, part = [], []
    for first, size, room in zip(low, moved.shape, on.shape, strict=True):
        begin, end = max(int(first), 0), max(min(int(first) + size, room), 0)
        inside.append(slice(begin, end))
        part.append(slice(begin - int(first), max(end - int(first), begin - int(first))))
    result[tuple(inside)] = moved[tuple(part)]
    return SegmentMask(result, on)
