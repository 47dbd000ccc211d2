"""Vertebrae and lesions on every series that a reader displays, since viewers show a segmentation over its own series.

Outlines are made once, on the series that results are drawn on, and sampled at the voxels of the others of the same
frame of reference. They are the same findings: tracking identifiers and UIDs are those of the first objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmread
from scipy import ndimage

from spondyl.core import LabelMap
from spondyl.core.at_once import at_once
from spondyl.io.reference import reference_series
from spondyl.io.seg import lesion_segmentation, vertebra_segmentation
from spondyl.io.store import save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from spondyl.core import Case, Grid, Sequence
    from spondyl.io.reference import SourceSeries
    from spondyl.io.seg import SegmentationKind

FIRST_LESION_SERIES, FIRST_VERTEBRA_SERIES = 9111, 9131
"""Numbers of the first of these series, above those of the other results. Chosen by us."""


PARALLEL = 1e-6
"""Grids count as parallel where no index of one moves another index of the other by more than this for each voxel."""


def on_other_series(
    case: Case,
    sources: Mapping[str, SourceSeries],
    *,
    vertebrae: Dataset | None = None,
    lesions: Dataset | None = None,
    kind: SegmentationKind = "BINARY",
) -> dict[str, Dataset]:
    """Give the segmentations of vertebrae and lesion candidates on the series beside the reference.

    Parameters
    ----------
    case : Case
        With a reference and the label maps of what is wanted.
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID.
    vertebrae, lesions : Dataset, optional
        The segmentations on the reference series; what is not given is not made.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.

    Returns
    -------
    dict of str to Dataset
        By file name, such as ``"lesions_t1.dcm"``; none for series of another frame of reference, nor where no voxel
        center lies in what is outlined.
    """
    wanted = [
        ("vertebrae", "Vertebrae", vertebra_segmentation, vertebrae, FIRST_VERTEBRA_SERIES),
        ("lesions", "Lesion candidates", lesion_segmentation, lesions, FIRST_LESION_SERIES),
    ]
    others = list(_others(case, sources))
    made: dict[str, Dataset] = {}
    for number, drawn in enumerate(at_once(lambda sequence: _drawn_on(case, sequence), others)):
        sequence, reference = str(drawn.reference), reference_series(drawn, sources)
        for name, words, segmentation, first, series_number in wanted:
            if first is None:
                continue
            found = segmentation(
                drawn,
                reference,
                kind=kind,
                series_number=series_number + number,
                content=f"{words} on {sequence}",
                known={str(s.TrackingID): s for s in first.SegmentSequence if "TrackingID" in s},
            )
            if found is not None:
                made[f"{name}_{sequence.lower()}.dcm"] = found
    return made


def write_on_other_series(
    case: Case, sources: Mapping[str, SourceSeries], folder: Path, *, kind: SegmentationKind = "BINARY"
) -> dict[str, Path]:
    """Write them beside the results that `spondyl.io.dicom_results.write_results` wrote.

    Parameters
    ----------
    case, sources
        As for `on_other_series`.
    folder : Path
        Where ``vertebrae.dcm`` and ``lesions.dcm`` lie, if there were any.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.

    Returns
    -------
    dict of str to Path
        Files by name.
    """
    first = {
        name: dcmread(folder / f"{name}.dcm", stop_before_pixels=True)
        for name in ("vertebrae", "lesions")
        if (folder / f"{name}.dcm").is_file()
    }
    found = on_other_series(case, sources, **first, kind=kind)
    return {name: save(dataset, folder / name) for name, dataset in found.items()}


def _drawn_on(case: Case, sequence: Sequence) -> Case:
    grid = case.images[sequence].grid
    labels = {
        n: placed(m, grid) for n, m in case.labels.items() if n in ("structures", "vertebrae", "discs", "lesions")
    }
    return case.with_(reference=sequence, labels=labels, maps={})


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
    if np.allclose(step[:3, :3], np.diag(np.diag(step)[:3]), atol=PARALLEL):
        return LabelMap(_nearest(labels.array, np.diag(step)[:3], step[:3, 3], grid.shape), grid, labels.names)
    array = ndimage.affine_transform(
        labels.array, step[:3, :3], step[:3, 3], output_shape=grid.shape, order=0, mode="grid-constant", prefilter=False
    )
    return LabelMap(array, grid, labels.names)


def _nearest(
    array: NDArray[np.uint16], scale: NDArray[np.float64], offset: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.uint16]:
    """Take the nearest voxels axis by axis, which is many times faster than a general transform."""
    seen = []
    for axis, (a, b, n, m) in enumerate(zip(scale, offset, shape, array.shape, strict=True)):
        at = np.floor(np.arange(n) * a + b + 0.5).astype(np.intp)
        array = np.take(array, np.clip(at, 0, m - 1), axis=axis)
        seen.append((at >= 0) & (at < m))
    return np.where(seen[0][:, None, None] & seen[1][:, None] & seen[2], array, np.uint16(0))


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
