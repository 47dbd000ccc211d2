"""The series that results are drawn on, as every result object sees it.

Segmentations, parametric maps and the report of one case must agree: same study, patient and frame of reference, the
same slices, and references to the frames that were really read. Two things make that hard to get right once per
object. Sources differ: a classic series in any file order, one enhanced multi-frame file with more frames than slices
(echoes, b-values), or no DICOM at all. And highdicom copies from whatever headers it is given, odd values included.

So one small clean header per slice is made here, in the order and direction of the source's slices, and highdicom
works on those. Where a slice is one frame of a multi-frame file, the references are put right afterwards (`relink`);
so they are where an image was joined from stations, each slice of which was derived from one frame of each station.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import DA, TM, format_number_as_ds

import spondyl
from spondyl.core import OutputError
from spondyl.io.seg_frames import DescribedPlanes, altered
from spondyl.io.slices import SliceLayout, layout_along, usual_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Image

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
"""PS3.4 Annex B."""

MANUFACTURER = "Spondyl developers"
MODEL = "Spondyl"
DEVICE_SERIAL_NUMBER = f"spondyl-{spondyl.__version__}"

FRAME_MATCH_FRACTION = 0.25
"""A source frame belongs to the slice that lies nearer than this part of the slice spacing. Chosen by us."""

# Patient and study attributes taken over into results (PS3.3 sections C.7.1.1, C.7.2.1, C.7.2.2).
_TEXT_KEYWORDS = ("PatientID", "PatientName", "AccessionNumber", "StudyID", "ReferringPhysicianName")
_OPTIONAL_KEYWORDS = ("StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "IssuerOfPatientID")
_EQUIPMENT_KEYWORDS = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")


class SourceSeries(Protocol):
    """One series as it was read, for results to point at."""

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""

    @property
    def datasets(self) -> Sequence[Dataset]:
        """Headers in slice order, or the one header of an enhanced multi-frame file."""

    @property
    def frame_numbers(self) -> Sequence[tuple[int, int]]:
        """For each slice of the image the index into `datasets` and the frame number, counted from 1."""


@dataclass(frozen=True)
class FrameReference:
    """One frame of a source image.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        The instance.
    frame_number : int or None
        Number of the frame in a multi-frame instance, counted from 1; None in a single-frame one.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, eq=False)
class ReferenceSeries:
    """The slices that results are drawn on.

    Parameters
    ----------
    layout : SliceLayout
        How the image's voxels become these slices.
    geometry : highdicom.VolumeGeometry
        The same voxels as slices, rows, columns in LPS mm.
    headers : tuple of Dataset
        A clean single-frame header per slice.
    frames : tuple of FrameReference or None
        The source frame of each slice; None where there is none.
    series_uid : str
        SeriesInstanceUID of the source, or of the first of its stations.
    stations : tuple of ReferenceSeries
        The series that the image was joined from, from the head down; empty for one that is as it was read.
    """

    layout: SliceLayout
    geometry: hd.VolumeGeometry
    headers: tuple[Dataset, ...]
    frames: tuple[FrameReference | None, ...]
    series_uid: str
    stations: tuple[ReferenceSeries, ...] = ()

    @cached_property
    def planes(self) -> DescribedPlanes:
        """The slices as segmentations describe them, made when they are first asked for."""
        return DescribedPlanes(self, equipment(series_number=1, description=""))

    def slices_of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn voxels of the reference image into slices, rows and columns.

        Parameters
        ----------
        array : ndarray, shape of the reference image
            Voxels in the order of the image.

        Returns
        -------
        ndarray, shape (slices, rows, columns)
            A view of the same voxels.
        """
        return self.layout.slices_of(array)

    def volume_of(self, slices: NDArray[Any], channels: Mapping[str, Sequence[int]] | None = None) -> hd.Volume:
        """Give slices their place in the patient.

        Parameters
        ----------
        slices : ndarray, shape (slices, rows, columns) or (slices, rows, columns, channels)
            Voxels as `slices_of` gives them.
        channels : mapping of str to sequence of int, optional
            Name and values of the channel axis.

        Returns
        -------
        highdicom.Volume
            The voxels with their geometry.
        """
        return self.geometry.with_array(slices, channels=dict(channels) if channels else None)  # type: ignore[arg-type]

    def evidence(self) -> list[Dataset]:
        """Give one header for each source instance, under its own UID.

        Returns
        -------
        list of Dataset
            Headers to reference from a report.
        """
        if self.stations:
            return [header for station in self.stations for header in station.evidence()]
        found: dict[str, Dataset] = {}
        for header, frame in zip(self.headers, self.frames, strict=True):
            if frame is not None and frame.sop_instance_uid not in found:
                uid = frame.sop_instance_uid
                found[uid] = altered(header, SOPClassUID=frame.sop_class_uid, SOPInstanceUID=uid)
        return list(found.values()) or list(self.headers)

    def series_at(self, point_lps_mm: tuple[float, float, float]) -> str:
        """Give the source series that shows a place.

        Parameters
        ----------
        point_lps_mm : tuple of float
            A place in LPS mm.

        Returns
        -------
        str
            SeriesInstanceUID; of several stations that of the one in whose middle rows the place lies most.
        """
        if not self.stations:
            return self.series_uid

        def off_center(station: ReferenceSeries) -> float:
            middle = (np.asarray(station.layout.shape) - 1) / 2
            at = np.linalg.inv(station.layout.affine) @ (*point_lps_mm, 1.0)
            return float(np.abs(at[:3] - middle)[1] / station.layout.shape[1])

        return min(self.stations, key=off_center).series_uid

    def relink(self, result: Dataset) -> None:
        """Point a result's source references at the frames that were read instead of at the clean headers.

        Parameters
        ----------
        result : Dataset
            A segmentation or parametric map made from `headers`; changed in place.
        """
        if self.stations:
            _relink_joined(self, result)
            return
        if all(f is None for f in self.frames) or all(f and f.frame_number is None for f in self.frames):
            return
        headers = (str(header.SOPInstanceUID) for header in self.headers)
        frame_of = dict(zip(headers, self.frames, strict=True))
        for item in result.PerFrameFunctionalGroupsSequence:
            for derivation in item.get("DerivationImageSequence", []):
                derivation.SourceImageSequence = DicomSequence(
                    [s for s in derivation.SourceImageSequence if _point(s, frame_of)]
                )
            if not any(d.SourceImageSequence for d in item.get("DerivationImageSequence", [])):
                item.DerivationImageSequence = DicomSequence()
        instances = {f.sop_instance_uid: f.sop_class_uid for f in self.frames if f is not None}
        result.SourceImageSequence = DicomSequence([_reference(c, u) for u, c in instances.items()])
        result.ReferencedSeriesSequence[0].ReferencedInstanceSequence = DicomSequence(
            [_reference(c, u) for u, c in instances.items()]
        )


def equipment(*, series_number: int, description: str) -> dict[str, Any]:
    """Give the attributes that say who made an object, when asked for by a highdicom constructor.

    Parameters
    ----------
    series_number : int
        SeriesNumber of the new series, from 1.
    description : str
        What the object holds, in at most 40 characters; the research-use mark is added.

    Returns
    -------
    dict
        Keyword arguments for any highdicom object, new UIDs included.
    """
    return {
        "series_instance_uid": hd.UID(),
        "series_number": series_number,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": spondyl.__version__,
        "device_serial_number": DEVICE_SERIAL_NUMBER,
        "series_description": f"{description} (RESEARCH USE ONLY)",
    }


def reference_series(case: Case, sources: Mapping[str, SourceSeries]) -> ReferenceSeries:
    """Prepare the series that the results of a case are drawn on.

    Parameters
    ----------
    case : Case
        With a reference image.
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID; empty for a study that did not come as DICOM. Then a study,
        a series and instances are made up, with the case's pseudonym as the only identity.

    Returns
    -------
    ReferenceSeries
        To be made once per case and given to every writer, so that the results agree with each other.

    Raises
    ------
    OutputError
        If the case has no reference image.
    GeometryError
        If the axes of its grid are not at right angles.
    """
    if case.reference is None or case.reference not in case.images:
        msg = f"results need a reference image, got none in case {case.case_id}; run the analysis first"
        raise OutputError(msg)
    image = case.images[case.reference]
    stations = station_series(case, image, sources)
    if stations:
        given = sources[image.source.stations[0].series_uid]
        return replace(_series(case, image, image.grid, given), stations=stations)
    return _series(case, image, image.grid, sources.get(image.source.series_uid))


def station_series(case: Case, image: Image, sources: Mapping[str, SourceSeries]) -> tuple[ReferenceSeries, ...]:
    """Prepare the series that an image was joined from.

    Parameters
    ----------
    case : Case
        Whose image it is.
    image : Image
        Any image.
    sources : mapping of str to SourceSeries
        As for `reference_series`.

    Returns
    -------
    tuple of ReferenceSeries
        From the head down; empty for an image that is as it was read, and for one that did not come as DICOM.

    Raises
    ------
    GeometryError
        If the axes of a station's grid are not at right angles.
    """
    given = [(station.grid, sources.get(station.series_uid)) for station in image.source.stations]
    if any(source is None for _, source in given):
        return ()
    return tuple(_series(case, image, grid, source) for grid, source in given)


def _series(case: Case, image: Image, grid: Grid, source: SourceSeries | None) -> ReferenceSeries:
    """Prepare a series that shows what an image shows on a grid, which is the image's or that of a station of it."""
    cosines = _source_cosines(source) if source is not None else None
    given = None if cosines is None else layout_along(grid, cosines)
    layout = given or usual_layout(grid)
    frames = _match_frames(layout, source) if source is not None and given else (None,) * layout.shape[0]
    common = _study_header(case, grid, source)
    geometry = hd.VolumeGeometry(
        layout.affine,
        layout.shape,
        coordinate_system="PATIENT",
        frame_of_reference_uid=str(common.FrameOfReferenceUID),
    )
    headers = tuple(_slice_header(common, geometry, k, image, frames[k]) for k in range(layout.shape[0]))
    return ReferenceSeries(layout, geometry, headers, frames, str(common.SeriesInstanceUID))


def frame_value(dataset: Dataset, frame_number: int, sequence: str, keyword: str) -> Any:
    """Give a geometric attribute of one frame, wherever the header keeps it.

    Parameters
    ----------
    dataset : Dataset
        Classic or enhanced header.
    frame_number : int
        Number of the frame, counted from 1.
    sequence, keyword : str
        Functional group and attribute, such as ``"PlanePositionSequence"`` and ``"ImagePositionPatient"``.

    Returns
    -------
    object or None
        None where the header has no such value.
    """
    groups = [dataset]
    if "PerFrameFunctionalGroupsSequence" in dataset:
        per_frame = dataset.PerFrameFunctionalGroupsSequence[frame_number - 1]
        groups = [*per_frame.get(sequence, []), *dataset.SharedFunctionalGroupsSequence[0].get(sequence, [])]
    for group in groups:
        if group.get(keyword) is not None:
            return group.get(keyword)
    return None


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _point(source: Dataset, frame_of: Mapping[str, FrameReference | None]) -> bool:
    """Point one reference at its frame; False where the slice has none. highdicom shares items between segments."""
    uid = str(source.ReferencedSOPInstanceUID)
    if uid not in frame_of:
        return True
    frame = frame_of[uid]
    if frame is None:
        return False
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
    if frame.frame_number is not None:
        source.ReferencedFrameNumber = frame.frame_number
    return True


def _relink_joined(series: ReferenceSeries, result: Dataset) -> None:
    """Point each frame of a result at the frames of the stations that show its slice."""
    shown: dict[str, list[FrameReference]] = {str(header.SOPInstanceUID): [] for header in series.headers}
    inverse = np.linalg.inv(series.layout.affine)
    for station in series.stations:
        for k, frame in enumerate(station.frames):
            middle = station.layout.affine @ (k, *((n - 1) / 2 for n in station.layout.shape[1:]), 1.0)
            slice_of = round(float((inverse @ middle)[0]))
            if frame is not None and 0 <= slice_of < len(series.headers):
                shown[str(series.headers[slice_of].SOPInstanceUID)].append(frame)
    for item in result.PerFrameFunctionalGroupsSequence:
        for derivation in item.get("DerivationImageSequence", []):
            derivation.SourceImageSequence = DicomSequence(
                [
                    _pointed(source, frame)
                    for source in derivation.SourceImageSequence
                    for frame in shown[str(source.ReferencedSOPInstanceUID)]
                ]
            )
    instances: list[Dataset] = []
    result.ReferencedSeriesSequence = DicomSequence()
    for station in series.stations:
        found = dict.fromkeys((f.sop_class_uid, f.sop_instance_uid) for f in station.frames if f is not None)
        of_series = Dataset()
        of_series.SeriesInstanceUID = station.series_uid
        of_series.ReferencedInstanceSequence = DicomSequence([_reference(*names) for names in found])
        result.ReferencedSeriesSequence.append(of_series)
        instances += [_reference(*names) for names in found]
    result.SourceImageSequence = DicomSequence(instances)


def _pointed(source: Dataset, frame: FrameReference) -> Dataset:
    """Give a reference to a frame of a station; the rows of the joined image are not its rows."""
    said = {"ReferencedSOPClassUID": frame.sop_class_uid, "ReferencedSOPInstanceUID": frame.sop_instance_uid}
    number = {} if frame.frame_number is None else {"ReferencedFrameNumber": frame.frame_number}
    return altered(source, SpatialLocationsPreserved="NO", **said, **number)


def _source_cosines(source: SourceSeries) -> NDArray[np.float64] | None:
    if not source.frame_numbers:
        return None
    index, number = source.frame_numbers[0]
    cosines = frame_value(source.datasets[index], number, "PlaneOrientationSequence", "ImageOrientationPatient")
    return None if cosines is None else np.reshape(np.asarray(cosines, dtype=float), (2, 3))


def _match_frames(layout: SliceLayout, source: SourceSeries) -> tuple[FrameReference | None, ...]:
    """Find the source frame of each slice by its position, whatever the order of files and frames."""
    frames: list[FrameReference | None] = [None] * layout.shape[0]
    inverse = np.linalg.inv(layout.affine)
    for index, number in source.frame_numbers:
        dataset = source.datasets[index]
        position = frame_value(dataset, number, "PlanePositionSequence", "ImagePositionPatient")
        if position is None or (int(dataset.Rows), int(dataset.Columns)) != layout.shape[1:]:
            continue
        at = inverse[:3, :3] @ np.asarray(position, dtype=float) + inverse[:3, 3]
        k = round(float(at[0]))
        if not 0 <= k < layout.shape[0] or np.abs(at - [k, 0, 0]).max() > FRAME_MATCH_FRACTION or frames[k] is not None:
            continue
        enhanced = "PerFrameFunctionalGroupsSequence" in dataset
        frames[k] = FrameReference(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), number if enhanced else None)
    return tuple(frames)


def _study_header(case: Case, grid: Grid, source: SourceSeries | None) -> Dataset:
    """Give what all slices share: patient, study, series, frame of reference; odd values are left out."""
    given = source.datasets[0] if source is not None and source.datasets else Dataset()
    header = Dataset()
    # Text was decoded with the source's character set when it was read; results are written in Unicode.
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _TEXT_KEYWORDS:
        setattr(header, keyword, str(given.get(keyword) or ""))
    for keyword in (*_OPTIONAL_KEYWORDS, *_EQUIPMENT_KEYWORDS):
        if given.get(keyword) not in (None, ""):
            setattr(header, keyword, given.get(keyword))
    if source is None:
        header.PatientID = case.case_id
    header.PatientSex = given.get("PatientSex") if given.get("PatientSex") in ("M", "F", "O") else ""
    for keyword, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        setattr(header, keyword, _valid(given.get(keyword), kind))
    header.StudyInstanceUID = str(given.get("StudyInstanceUID") or hd.UID())
    header.SeriesInstanceUID = str(given.get("SeriesInstanceUID") or hd.UID())
    frame_of_reference = given.get("FrameOfReferenceUID") or grid.frame_of_reference or hd.UID()
    header.FrameOfReferenceUID = str(frame_of_reference)
    header.PositionReferenceIndicator = ""
    header.Modality = "MR"
    return header


def _valid(value: Any, kind: type) -> str:
    try:
        return str(kind(str(value))) if value else ""
    except ValueError:
        return ""


def _slice_header(
    common: Dataset, geometry: hd.VolumeGeometry, k: int, image: Image, frame: FrameReference | None
) -> Dataset:
    header = Dataset()
    header.update(common)
    if frame is not None and frame.frame_number is None:
        header.SOPClassUID, header.SOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
    else:
        header.SOPClassUID, header.SOPInstanceUID = MR_IMAGE_STORAGE, hd.UID()
    header.InstanceNumber = k + 1
    header.Rows, header.Columns = geometry.spatial_shape[1:]
    affine = geometry.affine
    header.ImagePositionPatient = [format_number_as_ds(float(v)) for v in affine[:3, 3] + k * affine[:3, 0]]
    header.ImageOrientationPatient = [format_number_as_ds(float(v)) for v in geometry.direction_cosines]
    header.PixelSpacing = [format_number_as_ds(float(v)) for v in geometry.pixel_spacing]
    spacing = float(geometry.spacing_between_slices)
    header.SpacingBetweenSlices = format_number_as_ds(spacing)
    header.SliceThickness = format_number_as_ds(float(image.acquisition.slice_thickness_mm or spacing))
    return header
