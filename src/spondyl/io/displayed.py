"""Vertebrae and lesions on every series that a reader displays, since viewers show a segmentation over its own series.

Outlines are made once, on the series that results are drawn on, and sampled at the voxels of the others of the same
frame of reference. An image that was joined from stations is no series of the archive: what is drawn on it shows the
whole spine, and each of its stations gets its part. They are the same findings: tracking identifiers and UIDs are those
of the first objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from spondyl.core import LabelMap
from spondyl.io.reference import reference_series, station_series
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

    from spondyl.core import Case, Grid, Image, Sequence
    from spondyl.io.reference import ReferenceSeries, SourceSeries
    from spondyl.io.seg import SegmentationKind

FIRST_LESION_SERIES, FIRST_VERTEBRA_SERIES = 9111, 9161
"""Numbers of the first of these series, above those of the other results, with room for the stations of all sequences.
Chosen by us."""


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
        self._stations: dict[Sequence, tuple[Grid, tuple[ReferenceSeries, ...]]] = {}
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

    def stations_of(self, case: Case, sequence: Sequence) -> tuple[ReferenceSeries, ...]:
        """Give the series that an image of a case was joined from.

        Parameters
        ----------
        case : Case
            With the image.
        sequence : Sequence
            What it shows.

        Returns
        -------
        tuple of ReferenceSeries
            The same ones every time, from the head down; empty for an image that is as it was read.

        Raises
        ------
        GeometryError
            If the axes of a station's grid are not at right angles.
        """
        image = case.images[sequence]
        if sequence is case.reference:
            return self.of(case).stations
        with self._lock:
            grid, prepared = self._stations.get(sequence, (None, ()))
            if grid is not image.grid:
                prepared = station_series(case, image, self.sources)
                self._stations[sequence] = image.grid, prepared
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
        series of another frame of reference, nor where no voxel center lies in what is outlined. Stations are counted
        from the head down: ``"lesions_t1_2.dcm"``.
    """
    if outlined.labels[0] not in case.labels:
        return
    number, words = outlined.series_number, outlined.words
    first = outlined.segmentation(case, series.of(case), kind=kind, series_number=number, content=words, known=None)
    if first is None:
        return
    yield f"{outlined.name}.dcm", first
    known = {str(s.TrackingID): s for s in first.SegmentSequence if "TrackingID" in s}
    for n, other in enumerate(_others(case, series)):
        found = outlined.segmentation(
            _drawn_on(case, other.grid, outlined.labels),
            other.series,
            kind=kind,
            series_number=outlined.first_other + n,
            content=f"{words} on {other.words}",
            known=known,
        )
        if found is not None:
            yield f"{outlined.name}_{other.name}.dcm", found


def _drawn_on(case: Case, grid: Grid, names: tuple[str, ...]) -> Case:
    labels = {name: placed(case.labels[name], grid) for name in names if name in case.labels}
    return case.with_(labels=labels, maps={})


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


class _Other(NamedTuple):
    """A series on which outlines are drawn again: part of the file's name, words, its grid."""

    name: str
    words: str
    grid: Grid
    series: ReferenceSeries


def _others(case: Case, series: DisplayedSeries) -> Iterator[_Other]:
    """Go through the other series in the frame of reference of a case, each once, and all stations."""
    if case.reference is None:
        return
    home = _sources_of(case.images[case.reference], series.sources)
    if not home:
        return
    seen: set[object] = {home[0].series_uid} if len(home) == 1 else set()
    for sequence, image in case.images.items():
        own = _sources_of(image, series.sources)
        if not own or _frame(own[0]) != _frame(home[0]):
            continue
        name, stations = sequence.lower(), image.source.stations
        if not stations and own[0].series_uid not in seen:
            seen.add(own[0].series_uid)
            yield _Other(name, str(sequence), image.grid, series.of(case.with_(reference=sequence)))
        shown = zip(stations, series.stations_of(case, sequence), strict=False)
        for number, (station, prepared) in enumerate(shown, start=1):
            # Stations may be stacks of one series, which a Dixon image shares with its other parts.
            stack = (prepared.series_uid, *np.round(station.grid.ijk_to_lps([0, 0, 0])))
            if stack not in seen:
                seen.add(stack)
                yield _Other(f"{name}_{number}", f"{sequence} ({number})", station.grid, prepared)


def _sources_of(image: Image, sources: Mapping[str, SourceSeries]) -> tuple[SourceSeries, ...]:
    """Give the series that an image is, or all it was joined from; none where one is not known."""
    names = [station.series_uid for station in image.source.stations] or [image.source.series_uid]
    found = tuple(sources[name] for name in names if name in sources)
    return found if len(found) == len(names) else ()


def _frame(source: SourceSeries) -> str:
    return str(source.datasets[0].get("FrameOfReferenceUID", ""))
