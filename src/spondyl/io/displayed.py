"""Lesion candidates on every series that a reader displays, since viewers show a segmentation over its own series.

Outlines are made once, on the series that results are drawn on, and sampled at the voxels of the others of the same
frame of reference. They are the same findings: tracking identifiers and UIDs are those of the first object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread
from scipy import ndimage

from spondyl.core import LabelMap
from spondyl.io.reference import reference_series
from spondyl.io.seg import lesion_segmentation
from spondyl.io.store import save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from spondyl.core import Case, Grid, Sequence
    from spondyl.io.reference import SourceSeries
    from spondyl.io.seg import SegmentationKind

FIRST_SERIES_NUMBER = 9111
"""Number of the first of these series, above those of the other results. Chosen by us."""


def lesions_on_other_series(
    case: Case, sources: Mapping[str, SourceSeries], lesions: Dataset, *, kind: SegmentationKind = "BINARY"
) -> dict[str, Dataset]:
    """Give the segmentations of lesion candidates on the series beside the reference.

    Parameters
    ----------
    case : Case
        With a reference and the label map ``"lesions"``.
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID.
    lesions : Dataset
        The segmentation on the reference series.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.

    Returns
    -------
    dict of str to Dataset
        By file name, such as ``"lesions_t1.dcm"``; none for series of another frame of reference, nor where no voxel
        center lies in a lesion.
    """
    tracked = {str(s.TrackingID): s.TrackingUID for s in lesions.SegmentSequence}
    made: dict[str, Dataset] = {}
    for number, sequence in enumerate(_others(case, sources)):
        grid = case.images[sequence].grid
        labels = {"lesions": placed(case.labels["lesions"], grid)}
        drawn = case.with_(reference=sequence, labels=labels, maps={})
        found = lesion_segmentation(
            drawn,
            reference_series(drawn, sources),
            kind=kind,
            series_number=FIRST_SERIES_NUMBER + number,
            content=f"Lesion candidates on {sequence.value}",
        )
        if found is not None:
            for segment in found.SegmentSequence:
                segment.TrackingUID = tracked[str(segment.TrackingID)]
            made[f"lesions_{sequence.value.lower()}.dcm"] = found
    return made


def write_on_other_series(
    case: Case, sources: Mapping[str, SourceSeries], folder: Path, *, kind: SegmentationKind = "BINARY"
) -> dict[str, Path]:
    """Write them beside the results that `spondyl.io.dicom_results.write_results` wrote.

    Parameters
    ----------
    case, sources
        As for `lesions_on_other_series`.
    folder : Path
        Where ``lesions.dcm`` lies, if there were any lesions.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.

    Returns
    -------
    dict of str to Path
        Files by name.
    """
    first = folder / "lesions.dcm"
    if not first.is_file():
        return {}
    found = lesions_on_other_series(case, sources, dcmread(first, stop_before_pixels=True), kind=kind)
    return {name: save(dataset, folder / name) for name, dataset in found.items()}


def placed(labels: LabelMap, grid: Grid) -> LabelMap:
    """Sample a label map at the voxel centers of another grid.

    Parameters
    ----------
    labels : LabelMap
        What is outlined.
    grid : Grid
        Where it is wanted.

    Returns
    -------
    LabelMap
        The nearest label of each voxel; nothing outside of where it was looked.
    """
    if labels.grid.same_space(grid, 1e-3):
        return LabelMap(labels.array, grid, labels.names)
    step = np.linalg.inv(labels.grid.affine) @ grid.affine
    array = ndimage.affine_transform(
        labels.array, step[:3, :3], step[:3, 3], output_shape=grid.shape, order=0, mode="grid-constant", prefilter=False
    )
    return LabelMap(array, grid, labels.names)


def _others(case: Case, sources: Mapping[str, SourceSeries]) -> Iterator[Sequence]:
    """Go through the images of other series in the same frame of reference, each series once."""
    if case.reference is None:
        return
    first = case.images[case.reference]
    home = sources.get(first.source.series_uid)
    if home is None:
        return
    seen = {home.series_uid}
    for sequence, image in case.images.items():
        source = sources.get(image.source.series_uid)
        if source is None or source.series_uid in seen or _frame(source) != _frame(home):
            continue
        seen.add(source.series_uid)
        yield sequence


def _frame(source: SourceSeries) -> str:
    return str(source.datasets[0].get("FrameOfReferenceUID", ""))
