"""Synthetic images as the MR series that a scanner would have sent.

Reading is tested, and demonstrated, on what comes in through the front door: classic series with one file per slice,
enhanced multi-frame files, compressed or not, in each maker's dialect. Patients written here are synthetic and say so
in their name, whatever else their headers imitate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

import spondyl
from spondyl.core import Image, OutputError
from spondyl.core import Sequence as MRSequence
from spondyl.io import mr_vendors
from spondyl.io.slices import SliceLayout, usual_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BITS_STORED = 12
"""Depth of MR images of all common makers, in 16 bits allocated."""

WHITE_PERCENTILE = 99.9
"""Signal at which a shown window ends. Chosen by us."""

TransferSyntax = Literal["explicit", "implicit", "rle", "jpeg2000"]

TRANSFER_SYNTAXES: dict[str, UID] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg2000": JPEG2000Lossless,
}
"""PS3.5 section 10; the last two compress without loss."""


@dataclass(frozen=True)
class SyntheticStudy:
    """Who and when, the same for all series of a synthetic study.

    Parameters
    ----------
    patient_id : str
        A made-up name; the patient's name is ``SYNTHETIC^`` and this.
    sex : str
        ``"F"``, ``"M"`` or ``"O"``.
    age_years : float, optional
        Age at the study.
    date, time : str
        Of the study, as ``YYYYMMDD`` and ``HHMMSS``.
    study_uid : str
        StudyInstanceUID. All other UIDs are derived from it, so that the same study is written the same way twice.
    description : str
        StudyDescription.
    """

    patient_id: str
    sex: str = "O"
    age_years: float | None = None
    date: str = "20200101"
    time: str = "080000"
    study_uid: str = field(default_factory=lambda: str(generate_uid()))
    description: str = "Synthetic spine MRI"

    def uid(self, *parts: object) -> str:
        """Give the UID of a part of the study.

        Parameters
        ----------
        *parts : object
            What names the part.

        Returns
        -------
        str
            Always the same for the same study and parts.
        """
        return str(generate_uid(entropy_srcs=[self.study_uid, *(str(p) for p in parts)]))


def write_series(
    images: Image | Sequence[Image],
    folder: Path,
    *,
    study: SyntheticStudy,
    series_number: int,
    attributes: Mapping[str, Any] | None = None,
    transfer_syntax: TransferSyntax = "explicit",
) -> list[Path]:
    """Write images as one classic MR series.

    Parameters
    ----------
    images : Image or sequence of Image
        One image, or several on one grid that a scanner keeps in one series, such as b-values.
    folder : Path
        Made if missing; one file per slice, in an order that tells nothing.
    study : SyntheticStudy
        Patient, date and UIDs.
    series_number : int
        SeriesNumber.
    attributes : mapping of str to object, optional
        Header values by DICOM keyword, over those made up from `Image.acquisition`.
    transfer_syntax : str, optional
        ``"explicit"``, ``"implicit"``, ``"rle"`` or ``"jpeg2000"`` (lossless).

    Returns
    -------
    list of Path
        The files, in slice order, image by image.

    Raises
    ------
    OutputError
        If no installed encoder takes the images; that of JPEG 2000 refuses images under 32 pixels.
    """
    images = [images] if isinstance(images, Image) else list(images)
    folder.mkdir(parents=True, exist_ok=True)
    layout = usual_layout(images[0].grid)
    common = series_header(images[0], study, series_number, attributes or {})
    names = np.random.default_rng(series_number).permutation(layout.shape[0] * len(images))
    paths = []
    for n_image, image in enumerate(images):
        stored = stored_values(image, layout)
        own = _image_header(common, image, layout, stored, attributes or {})
        for k, pixels in enumerate(stored):
            number = n_image * layout.shape[0] + k + 1
            header = _slice_header(own, layout, k, study.uid("instance", series_number, number), number)
            header.PixelData = np.ascontiguousarray(pixels).tobytes()
            path = folder / f"IM{names[number - 1] + 1:05d}.dcm"
            _save(header, path, transfer_syntax)
            paths.append(path)
    return paths


def stored_values(image: Image, layout: SliceLayout) -> NDArray[np.uint16]:
    """Give the whole numbers of 12 bits that are stored.

    Parameters
    ----------
    image : Image
        Signal in any unit, or ADC in 10⁻⁶ mm²/s.
    layout : SliceLayout
        How it becomes slices.

    Returns
    -------
    ndarray of uint16, shape (slices, rows, columns)
        Rounded where the values already fit; else scaled to the full range, except for an ADC map, whose values mean
        something and are cut off instead. Below zero, and where not finite, is zero.
    """
    top = 2**BITS_STORED - 1
    array = np.nan_to_num(layout.slices_of(image.array), nan=0.0, posinf=0.0, neginf=0.0)
    high = float(array.max(initial=0.0))
    if image.sequence is not MRSequence.ADC and high > 0 and not 100 <= high <= top:
        array = array * np.float32(top / high)
    stored: NDArray[np.uint16] = np.clip(np.rint(array), 0, top).astype(np.uint16)
    return stored


def series_header(image: Image, study: SyntheticStudy, series_number: int, attributes: Mapping[str, Any]) -> Dataset:
    """Give what all images of a series share: patient, study, series, equipment.

    Parameters
    ----------
    image : Image
        One of the series.
    study : SyntheticStudy
        Patient, date and UIDs.
    series_number : int
        SeriesNumber.
    attributes : mapping of str to object
        Header values by DICOM keyword, over those made up here.

    Returns
    -------
    Dataset
        Modules of PS3.3 sections C.7.1 to C.7.5.
    """
    acquisition = image.acquisition
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientName, header.PatientID = f"SYNTHETIC^{study.patient_id}", study.patient_id
    header.PatientBirthDate, header.PatientSex = "", study.sex
    if study.age_years is not None:
        header.PatientAge = f"{min(round(study.age_years), 999):03d}Y"
    header.PatientComments = f"Synthetic patient made by Spondyl {spondyl.__version__}; no real person"
    header.StudyInstanceUID, header.StudyDate, header.StudyTime = study.study_uid, study.date, study.time
    header.StudyID, header.AccessionNumber, header.ReferringPhysicianName = "1", "", ""
    header.StudyDescription = study.description
    header.Modality, header.SeriesNumber = "MR", series_number
    header.SeriesInstanceUID = study.uid("series", series_number)
    header.SeriesDate = header.AcquisitionDate = header.ContentDate = study.date
    moment = _time(study, series_number, acquisition.acquired_s)
    header.SeriesTime = header.AcquisitionTime = header.ContentTime = moment
    header.FrameOfReferenceUID = image.grid.frame_of_reference or study.uid("frame of reference")
    header.PositionReferenceIndicator, header.PatientPosition = "", "HFS"
    header.BodyPartExamined = "SPINE"
    header.Manufacturer = mr_vendors.MANUFACTURERS[mr_vendors.vendor_of(acquisition)]
    header.ManufacturerModelName = acquisition.model or "Synthetic"
    header.SoftwareVersions = acquisition.software.split("\\") if acquisition.software else "1"
    header.DeviceSerialNumber, header.StationName = "0", (acquisition.station or "SYNTHETIC")[:16]
    header.InstitutionName = "SYNTHETIC"
    _override(header, attributes, leave_out=("ImageType", "SeriesDescription"))
    header.SeriesDescription = mr_vendors.description(image, str(attributes.get("SeriesDescription", "")))
    header.ProtocolName = str(attributes.get("ProtocolName") or header.SeriesDescription)[:64]
    return header


def _image_header(
    common: Dataset, image: Image, layout: SliceLayout, stored: NDArray[np.uint16], attributes: Mapping[str, Any]
) -> Dataset:
    """Add contrast, pixels and geometry of one image to what its series shares."""
    acquisition = image.acquisition
    header = Dataset()
    header.update({element.tag: element for element in common})
    for keyword, value in mr_vendors.sequence_attributes(image).items():
        setattr(header, keyword, value)
    numbers = {
        "EchoTime": acquisition.echo_time_ms,
        "RepetitionTime": acquisition.repetition_time_ms,
        "InversionTime": acquisition.inversion_time_ms,
        "FlipAngle": acquisition.flip_angle_deg or 90.0,
        "MagneticFieldStrength": acquisition.field_strength_t,
        "PixelBandwidth": acquisition.bandwidth_hz_px,
        "SliceThickness": acquisition.slice_thickness_mm or float(np.linalg.norm(layout.affine[:3, 0])),
        "SpacingBetweenSlices": float(np.linalg.norm(layout.affine[:3, 0])),
    }
    for keyword, number in numbers.items():
        if number is not None:
            setattr(header, keyword, _ds(number))
    for keyword in ("EchoTime", "RepetitionTime"):
        if keyword not in header:
            setattr(header, keyword, None)
    header.EchoTrainLength = acquisition.echo_train_length or 1
    header.NumberOfAverages, header.EchoNumbers, header.ImagedNucleus = "1", "1", "1H"
    if acquisition.coil:
        header.ReceiveCoilName = acquisition.coil[:16]
    if acquisition.contrast_given:
        header.ContrastBolusAgent, header.ContrastBolusRoute = "Gadobutrol", "IV"
    _override(header, attributes, leave_out=("ImageType", "SeriesDescription", "ProtocolName"))
    header.ImageType = mr_vendors.image_type(image, list(attributes.get("ImageType", [])) or None)
    mr_vendors.add_b_value(header, acquisition)
    header.AcquisitionNumber = 1
    header.ImageOrientationPatient = [_ds(v) for v in (*_unit(layout, 2), *_unit(layout, 1))]
    header.PixelSpacing = [_ds(np.linalg.norm(layout.affine[:3, a])) for a in (1, 2)]
    header.Rows, header.Columns = layout.shape[1:]
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, BITS_STORED, BITS_STORED - 1
    white = max(float(np.percentile(stored, WHITE_PERCENTILE)), 2.0)
    header.WindowCenter, header.WindowWidth = _ds(white / 2), _ds(white)
    return header


def _slice_header(own: Dataset, layout: SliceLayout, k: int, uid: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {element.tag: element for element in own}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID, header.InstanceNumber = MRImageStorage, uid, number
    position = layout.affine[:3, 3] + k * layout.affine[:3, 0]
    header.ImagePositionPatient = [_ds(v) for v in position]
    header.SliceLocation = _ds(float(position @ np.cross(_unit(layout, 2), _unit(layout, 1))))
    return header


def _save(header: FileDataset, path: Path, transfer_syntax: TransferSyntax) -> None:
    syntax = TRANSFER_SYNTAXES[transfer_syntax]
    if syntax.is_compressed:
        try:
            header.compress(syntax, generate_instance_uid=False)
        except (RuntimeError, NotImplementedError) as error:
            msg = (
                f"images of {header.Rows} x {header.Columns} pixels cannot be written as {syntax.name}: no installed "
                "encoder takes them; write them uncompressed or with run-length encoding"
            )
            raise OutputError(msg) from error
    else:
        header.file_meta.TransferSyntaxUID = syntax
    header.save_as(path, enforce_file_format=True)


def _override(header: Dataset, attributes: Mapping[str, Any], *, leave_out: tuple[str, ...]) -> None:
    for keyword, value in attributes.items():
        if keyword not in leave_out:
            setattr(header, keyword, _ds(value) if isinstance(value, float) else value)


def _time(study: SyntheticStudy, series_number: int, acquired_s: float | None) -> str:
    """Give the series' own time of day, or five minutes for each series before it."""
    start = int(study.time[:2]) * 3600 + int(study.time[2:4]) * 60 + int(study.time[4:6])
    seconds = int(acquired_s if acquired_s is not None else start + 300 * series_number) % 86_400
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def _unit(layout: SliceLayout, axis: int) -> NDArray[np.float64]:
    along = layout.affine[:3, axis]
    return along / np.linalg.norm(along)


def _ds(value: Any) -> str:
    return format_number_as_ds(float(value))
