"""Vertebrae and lesions on every series that a reader displays, since viewers show a segmentation over its own series.

Outlines are made once, on the series that results are drawn on, and sampled at the voxels of the others of the same
frame of reference. They are the same findings: tracking identifiers and UIDs are those of the first objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import ndimage

from spondyl.core import LabelMap
from spondyl.io.reference import reference_series
from spondyl.io.seg import (
    LESIONS_SERIES_NUMBER,
    VERTEBRAE_SERIES_NUMBER,
    lesion_segmentation,
    vertebra_segmentation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from spondyl.core import Case, Grid, Sequence
    from spondyl.io.reference import ReferenceSeries, SourceSeries
    from spondyl.io.seg import SegmentationKind

FIRST_LESION_SERIES, FIRST_VERTEBRA_SERIES = 9111, 9131
"""Numbers of the first of these series, above those of the other results. Chosen by us."""


PARALLEL = 1e-6
"""Grids count as parallel where no index of one moves another index of the other by more than this for each voxel."""


class _Segmentation(Protocol):
    """`vertebra_segmentation` or `lesion_segmentation`."""

    def __call__(
        self,
        case: Case,
        reference: ReferenceSeries,
        *,
        kind: SegmentationKind,
        series_number: int,
        content: str,
        known: Mapping[str, Dataset] | None,
    ) -> Dataset | None:
        """Give the segmentation of a case on a series."""


@dataclass(frozen=True)
class Outlined:
    """What is outlined together.

    Parameters
    ----------
    name : str
        Of the file.
    words : str
        Describes the series.
    labels : tuple of str
        The label maps it is made of, the first of which must be there.
    segmentation : callable
        Makes it.
    series_number, first_other : int
        Number of the series on the reference, and of the first of the others.
    """

    name: str
    words: str
    labels: tuple[str, ...]
    segmentation: _Segmentation
    series_number: int
    first_other: int


VERTEBRAE = Outlined(
    "vertebrae",
    "Vertebrae",
    ("structures", "vertebrae", "discs"),
    vertebra_segmentation,
    VERTEBRAE_SERIES_NUMBER,
    FIRST_VERTEBRA_SERIES,
)
LESIONS = Outlined(
    "lesions", "Lesion candidates", ("lesions",), lesion_segmentation, LESIONS_SERIES_NUMBER, FIRST_LESION_SERIES
)


class DisplayedSeries:
    """The series of a study that results are drawn on, each prepared once.

    Parameters
    ----------
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID; empty for a study that did not come as DICOM.
    """

    def __init__(self, sources: Mapping[str, SourceSeries]) -> None:
        self.sources = sources
        self._prepared: dict[Sequence, tuple[Grid, ReferenceSeries]] = {}
        self._lock = Lock()  # identifiers that are made up must be the same for all results

    def of(self, case: Case) -> ReferenceSeries:
        """Give the series that a case's reference names.

        Parameters
        ----------
        case : Case
            With a reference image.

        Returns
        -------
        ReferenceSeries
            The same one every time.

        Raises
        ------
        OutputError
            If the case has no reference image.
        GeometryError
            If the axes of its grid are not at right angles.
        """
        image = None if case.reference is None else case.images.get(case.reference)
        if image is None or case.reference is None:
            return reference_series(case, self.sources)
        with self._lock:
            grid, prepared = self._prepared.get(case.reference, (None, None))
            if prepared is None or grid is not image.grid:
                prepared = reference_series(case, self.sources)
                self._prepared[case.reference] = image.grid, prepared
            return prepared


def segmentations(
    case: Case, series: DisplayedSeries, outlined: Outlined, *, kind: SegmentationKind = "BINARY"
) -> Iterator[tuple[str, Dataset]]:
    """Make the segmentations of vertebrae or lesion candidates on every displayed series.

    Parameters
    ----------
    case : Case
        With a reference and the label maps of what is wanted.
    series : DisplayedSeries
        The series.
    outlined : Outlined
        `VERTEBRAE` or `LESIONS`.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"``.

    Yields
    ------
    tuple of str and Dataset
        File name, such as ``"lesions.dcm"`` for the reference and then ``"lesions_t1.dcm"``, and object; none for
        series of another frame of reference, nor where no voxel center lies in what is outlined.
    """
    if outlined.labels[0] not in case.labels:
        return
    number, words = outlined.series_number, outlined.words
    first = outlined.segmentation(case, series.of(case), kind=kind, series_number=number, content=words, known=None)
    if first is None:
        return
    yield f"{outlined.name}.dcm", first
    known = {str(s.TrackingID): s for s in first.SegmentSequence if "TrackingID" in s}
    for n, sequence in enumerate(_others(case, series.sources)):
        drawn = _drawn_on(case, sequence, outlined.labels)
        found = outlined.segmentation(
            drawn,
            series.of(drawn),
            kind=kind,
            series_number=outlined.first_other + n,
            content=f"{words} on {sequence}",
            known=known,
        )
        if found is not None:
            yield f"{outlined.name}_{sequence.lower()}.dcm", found


def _drawn_on(case: Case, sequence: Sequence, names: tuple[str, ...]) -> Case:
    grid = case.images[sequence].grid
    labels = {name: placed(case.labels[name], grid) for name in names if name in case.labels}
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
