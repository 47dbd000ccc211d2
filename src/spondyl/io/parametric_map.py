"""Saliency and uncertainty as DICOM Parametric Maps (PS3.3 section A.75), in single precision; written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

import spondyl
from spondyl.core import InputError, OutputError
from spondyl.io import codes
from spondyl.io.reference import equipment
from spondyl.io.seg_reader import SegmentMask, frame_stack, onto

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.sr.coding import Code

    from spondyl.core import Case, Grid
    from spondyl.io.reference import ReferenceSeries


@dataclass(frozen=True)
class MapKind:
    """What distinguishes one derived map from another.

    Parameters
    ----------
    name : str
        Name in `Case.maps`, and of the file.
    series_number : int
        SeriesNumber of the new series.
    quantity : Code
        What its values are; also how the map was derived.
    explanation : str
        The same in words, at most 64 characters.
    """

    name: str
    series_number: int
    quantity: Code
    explanation: str


SALIENCY = MapKind("saliency", 9104, codes.SALIENCY, "Saliency of the lesion classification, 0 to 1")
UNCERTAINTY = MapKind("uncertainty", 9105, codes.UNCERTAINTY, "Normalized entropy of the classification, 0 to 1")
MAPS = (SALIENCY, UNCERTAINTY)


def parametric_map(case: Case, reference: ReferenceSeries, kind: MapKind) -> hd.pm.ParametricMap | None:
    """Give a derived map as a DICOM object.

    Parameters
    ----------
    case : Case
        With the map in `Case.maps`, values from 0 to 1, on the reference image's grid.
    reference : ReferenceSeries
        The series that the result is drawn on.
    kind : MapKind
        One of `MAPS`.

    Returns
    -------
    highdicom.pm.ParametricMap or None
        None where the case has no such map.

    Raises
    ------
    OutputError
        If the map holds values that are not finite or outside 0 to 1.
    """
    if kind.name not in case.maps:
        return None
    array = case.maps[kind.name].array
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        msg = f"the {kind.name} map must hold values from 0 to 1, got {low} to {high}; this is a defect of its step"
        raise OutputError(msg)
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=kind.name.upper(),
        lut_explanation=kind.explanation,
        unit=codes.NO_UNITS,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=kind.quantity,
    )
    result = hd.pm.ParametricMap(
        source_images=list(reference.headers),
        pixel_array=reference.volume_of(np.ascontiguousarray(reference.slices_of(array))),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="RESEARCH_USE",
        content_description=f"{kind.name.title()}. {spondyl.RESEARCH_USE_ONLY}"[:64],
        content_qualification="RESEARCH",
        derived_pixel_contrast="QUANTITY",
        derivation=kind.quantity,
        coding_schemes=codes.coding_schemes(),
        **equipment(series_number=kind.series_number, description=f"Spondyl {kind.name}"),
    )
    # An unpaired body part; without it the laterality would have to be given (PS3.3 section C.7.3.1).
    result.BodyPartExamined = "SPINE"
    reference.relink(result)
    return result


def read_parametric_map(path: Path, *, on: Grid) -> NDArray[np.float32]:
    """Read a Parametric Map of floating-point values.

    Parameters
    ----------
    path : Path
        The file.
    on : Grid
        Where the values should lie; its voxels must be the file's, in any order and direction of the axes.

    Returns
    -------
    ndarray of float32, shape ``on.shape``
        Values; 0 where the file has none.

    Raises
    ------
    InputError
        If the file is no such map.
    GeometryError
        If its planes are not one regular stack, or do not fit the grid.
    """
    try:
        dataset = pydicom.dcmread(path)
        pixels = np.asarray(dataset.pixel_array, dtype=np.float32)
        pixels = pixels.reshape(int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))
    except (InvalidDicomError, OSError, EOFError, ValueError, AttributeError, KeyError, RuntimeError) as error:
        msg = f"wanted a DICOM Parametric Map, got a file that cannot be read ({type(error).__name__}); make it again"
        raise InputError(msg) from error
    grid, slice_of_frame = frame_stack(dataset)
    volume = np.zeros(grid.shape, dtype=np.float32)
    volume[:, :, slice_of_frame] = pixels.transpose(2, 1, 0)
    moved: NDArray[np.float32] = onto(SegmentMask(volume, grid), on).array
    return moved
