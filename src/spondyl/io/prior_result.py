"""An earlier result in place of an earlier study: the outlines and findings of a result folder as a case again.

What was found once need not be found anew. A result holds outlines and numbers but no images, so means of ADC and fat
come from its own measurements, and pictures of then are only there where the images were written beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom

from spondyl.core import (
    Case,
    GeometryError,
    Grid,
    InputError,
    LabelMap,
    Lesion,
    Sequence,
    StepRecord,
    Structure,
    Vertebra,
)
from spondyl.io.result import read_result
from spondyl.io.retold import case_of
from spondyl.io.seg import lesion_tracking_id, vertebra_tracking_id
from spondyl.io.seg_reader import onto, read_segmentation
from spondyl.io.study import Study, read_study
from spondyl.io.volumes import SourceSeries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.core import Image
    from spondyl.io.seg_reader import SegmentInfo, SegmentMask

    Segments = list[tuple[SegmentInfo, SegmentMask]]

STRUCTURE_OF: Mapping[str, Structure] = {
    "sacrum": Structure.SACRUM,
    "sacrum without S1 body": Structure.SACRUM,
    "spinal canal": Structure.CANAL,
    "spinal canal without cord": Structure.CANAL,
    "spinal cord": Structure.CORD,
    "S1 vertebral body": Structure.S1,
}
"""Segments that belong to no vertebra; the sacrum lies under its first body, the canal under the cord."""


def is_result(path: Path) -> bool:
    """Say whether a path is an earlier result.

    Parameters
    ----------
    path : Path
        What was given.

    Returns
    -------
    bool
        True for a folder with a ``result.json``, and for that file.
    """
    return (path / "result.json").is_file() if path.is_dir() else path.name == "result.json"


def read_prior_result(path: Path) -> Study:
    """Read the result of an earlier analysis as a study that was analyzed.

    Parameters
    ----------
    path : Path
        A result folder, or the ``result.json`` in it.

    Returns
    -------
    Study
        Its case, with outlines and findings, and the header of its outlines, which says whose they are.

    Raises
    ------
    InputError
        If it is no result of this major version, or its outlines are missing or do not fit its findings.
    """
    folder = path if path.is_dir() else path.parent
    document = read_result(folder)
    outlines = folder / "dicom" / "vertebrae.dcm"
    if not outlines.is_file():
        msg = (
            "the prior result has no outlines (dicom/vertebrae.dcm); give the whole result folder, or the prior study "
            "itself, which is then analyzed again"
        )
        raise InputError(msg)
    spine = read_segmentation(outlines)
    found = folder / "dicom" / "lesions.dcm"
    candidates = read_segmentation(found) if found.is_file() else []
    told = case_of(document)
    vertebrae, lesions = told.vertebrae, told.lesions
    try:
        grid = _common(spine[0][1].grid, candidates)
        labels = _labels(_moved(spine, grid), _moved(candidates, grid), vertebrae, lesions)
    except (GeometryError, IndexError, KeyError) as error:
        msg = "outlines and findings of the prior result do not belong together; give the prior study itself"
        raise InputError(msg) from error
    images = _images(folder, document)
    reference = document["reference_sequence"]
    case = Case(
        document["case_id"],
        images,
        reference=Sequence(reference) if reference in images else None,
        labels={name: LabelMap(array, grid) for name, array in labels.items()},
        vertebrae=vertebrae,
        lesions=lesions,
        history=(StepRecord("prior result", document["spondyl_version"], {}, models=document["models"]),),
    )
    header = pydicom.dcmread(outlines, stop_before_pixels=True)
    return Study(case, {"prior": SourceSeries("prior", (header,), ())})


def _common(grid: Grid, candidates: Segments) -> Grid:
    """The smallest grid of the same voxels that holds vertebrae and candidates."""
    low, high = np.zeros(3, int), np.asarray(grid.shape)
    for _, mask in candidates[:1]:
        ends = np.array([[-0.5] * 3, np.asarray(mask.grid.shape) - 0.5])
        corners = grid.lps_to_ijk(mask.grid.ijk_to_lps(ends))
        low = np.minimum(low, np.round(corners.min(0) + 0.5).astype(int))
        high = np.maximum(high, np.round(corners.max(0) + 0.5).astype(int))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.ijk_to_lps(low)
    return Grid(tuple(int(n) for n in high - low), affine, grid.frame_of_reference)  # type: ignore[arg-type]


def _moved(segments: Segments, grid: Grid) -> dict[str, NDArray[np.bool_]]:
    return {info.label: onto(mask, grid).array > 0 for info, mask in segments}


def _labels(
    spine: Mapping[str, NDArray[np.bool_]],
    candidates: Mapping[str, NDArray[np.bool_]],
    vertebrae: tuple[Vertebra, ...],
    lesions: tuple[Lesion, ...],
) -> dict[str, NDArray[np.uint16]]:
    """Label maps from the segments that `spondyl.io.seg` writes."""
    shape = next(iter(spine.values())).shape
    structures, instances, found = (np.zeros(shape, np.uint16) for _ in range(3))
    for name, structure in STRUCTURE_OF.items():
        if name in spine:
            structures[spine[name]] = structure
    for name, mask in spine.items():
        if "disc" in name:
            structures[mask] = Structure.DISC
    for vertebra in vertebrae:
        name = vertebra.level or f"vertebra {vertebra.instance}"
        unknown = " (level unknown)" if vertebra.level is None else ""
        for label, structure in (
            (f"{name} posterior elements{unknown}", Structure.POSTERIOR),
            (vertebra_tracking_id(vertebra), Structure.S1 if vertebra.level == "S1" else Structure.BODY),
        ):
            if label in spine:
                structures[spine[label]] = structure
                instances[spine[label]] = vertebra.instance
    for lesion in lesions:
        found[candidates[lesion_tracking_id(lesion)]] = lesion.label
    return {"structures": structures, "vertebrae": instances, "lesions": found}


def _images(folder: Path, document: Mapping[str, Any]) -> dict[Sequence, Image]:
    """The reference image, where it was written beside the result."""
    name = document["reference_sequence"]
    file = folder / "nifti" / f"{str(name).lower()}.nii.gz"
    if name is None or not file.is_file():
        return {}
    return dict(read_study(folder, sequence_files={Sequence(name): file}).case.images)
