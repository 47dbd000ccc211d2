"""Synthetic images as one enhanced multi-frame MR file (PS3.3 section A.36.2), as newer scanners send them.

Enhanced MR keeps every fact in another place than classic MR: in functional groups, shared by all frames or given per
frame. Makers differ in which they share; here geometry stands with each frame and the rest is shared, as Siemens does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from spondyl.core import Image
from spondyl.core import Sequence as MRSequence
from spondyl.io.mr_writer import BITS_STORED, SyntheticStudy, series_header, stored_values
from spondyl.io.slices import SliceLayout, usual_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONTRASTS = {
    MRSequence.T1: "T1",
    MRSequence.T1CE: "T1",
    MRSequence.T2: "T2",
    MRSequence.T2FS: "T2",
    MRSequence.STIR: "STIR",
    MRSequence.PD: "PROTON_DENSITY",
    MRSequence.DWI: "DIFFUSION",
    MRSequence.ADC: "DIFFUSION",
}
"""AcquisitionContrast (0008,9209), defined terms of PS3.3 section C.8.13.3.3.1; UNKNOWN for the others."""

PARTS = {
    MRSequence.DIXON_WATER: "WATER",
    MRSequence.DIXON_FAT: "FAT",
    MRSequence.DIXON_IN: "IN_PHASE",
    MRSequence.DIXON_OUT: "OUT_PHASE",
}
"""Value 4 of ImageType of Dixon images, in vendors' words."""

_AGENT = ("407976008", "SCT", "Gadobutrol")
_INGREDIENT = ("768763008", "SCT", "Gadolinium")
_ROUTE = ("47625008", "SCT", "Intravenous route")
_SPINE = ("421060004", "SCT", "Spine")
"""PS3.16 CID 12, CID 3850, CID 11 and CID 4."""

SHORT_REPETITION_MS = 50.0
"""Below this repetition time in ms an image is a gradient echo; spin echoes take longer. Chosen by us."""

WHITE_PERCENTILE = 99.9
"""Signal at which a shown window ends. Chosen by us."""


def write_enhanced(
    images: Image | Sequence[Image],
    path: Path,
    *,
    study: SyntheticStudy,
    series_number: int,
    attributes: Mapping[str, Any] | None = None,
) -> Path:
    """Write images as one enhanced multi-frame MR file.

    Parameters
    ----------
    images : Image or sequence of Image
        One image, or several on one grid, such as b-values or echoes.
    path : Path
        The file.
    study : SyntheticStudy
        Patient, date and UIDs.
    series_number : int
        SeriesNumber.
    attributes : mapping of str to object, optional
        SeriesDescription, and whatever else stands outside the functional groups.

    Returns
    -------
    Path
        The same path.
    """
    images = [images] if isinstance(images, Image) else list(images)
    path.parent.mkdir(parents=True, exist_ok=True)
    layout = usual_layout(images[0].grid)
    common = series_header(images[0], study, series_number, {**(attributes or {})})
    file = _file(common, study.uid("enhanced", series_number))
    stored = np.concatenate([stored_values(image, layout) for image in images])
    kind = _image_type(images[0])
    file.ImageType = kind
    _add_image_modules(file, images[0], study, stored)
    organization = study.uid("dimensions", series_number)
    _add_dimensions(file, organization, several=len(images) > 1)
    file.SharedFunctionalGroupsSequence = [_shared_groups(images[0], layout, kind, stored)]
    moment = f"{study.date}{common.AcquisitionTime}"
    file.PerFrameFunctionalGroupsSequence = [
        _frame_groups(image, layout, k, [n_image + 1] if len(images) > 1 else [], moment=moment)
        for n_image, image in enumerate(images)
        for k in range(layout.shape[0])
    ]
    file.PixelData = stored.tobytes()
    file.save_as(path, enforce_file_format=True)
    return path


def _file(common: Dataset, uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = EnhancedMRImageStorage, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {element.tag: element for element in common}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID, file.InstanceNumber = EnhancedMRImageStorage, uid, 1
    del file.AcquisitionDate, file.AcquisitionTime  # of classic MR only
    return file


def _image_type(image: Image) -> list[str]:
    if image.sequence is MRSequence.ADC:
        return ["DERIVED", "PRIMARY", "VOLUME", "ADC"]
    return ["ORIGINAL", "PRIMARY", "VOLUME", PARTS.get(image.sequence, "NONE")]


def _add_image_modules(file: Dataset, image: Image, study: SyntheticStudy, stored: NDArray[np.uint16]) -> None:
    """Enhanced MR Image and Image Pixel modules (PS3.3 sections C.8.13.1 and C.7.6.3)."""
    values: dict[str, Any] = {
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": CONTRASTS.get(image.sequence, "UNKNOWN"),
        "ContentQualification": "RESEARCH",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "ResonantNucleus": "1H",
        "KSpaceFiltering": "NONE",
        "MagneticFieldStrength": float(image.acquisition.field_strength_t or 1.5),
        "ApplicableSafetyStandardAgency": "IEC",
        "AcquisitionNumber": 1,
        "AcquisitionDateTime": f"{study.date}{file.SeriesTime}",
        "AcquisitionDuration": 180.0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": 0,
        "BitsAllocated": 16,
        "BitsStored": BITS_STORED,
        "HighBit": BITS_STORED - 1,
        "NumberOfFrames": len(stored),
        "Rows": stored.shape[1],
        "Columns": stored.shape[2],
        "AcquisitionContextSequence": [],
    }
    if image.sequence is not MRSequence.ADC:
        values |= _pulse_sequence(image)
    if image.acquisition.contrast_given:
        values["ContrastBolusAgentSequence"] = [_agent()]
    for keyword, value in values.items():
        setattr(file, keyword, value)


def _agent() -> Dataset:
    """Enhanced Contrast/Bolus module (PS3.3 section C.7.6.4b)."""
    item = _code(*_AGENT)
    item.ContrastBolusAgentNumber = 1
    item.ContrastBolusAdministrationRouteSequence = [_code(*_ROUTE)]
    item.ContrastBolusIngredientCodeSequence = [_code(*_INGREDIENT)]
    item.ContrastBolusVolume, item.ContrastBolusIngredientConcentration = None, None
    return item


def _pulse_sequence(image: Image) -> dict[str, Any]:
    """MR Pulse Sequence module (PS3.3 section C.8.13.4), which derived images do not have."""
    acquisition = image.acquisition
    inverted = bool(acquisition.inversion_time_ms)
    gradient = (acquisition.repetition_time_ms or 1000) < SHORT_REPETITION_MS
    diffusion = image.sequence is MRSequence.DWI
    found = {
        "PulseSequenceName": "ep2d_diff" if diffusion else "tir" if inverted else "fl3d" if gradient else "tse",
        "MRAcquisitionType": "3D" if gradient else "2D",
        "EchoPulseSequence": "GRADIENT" if gradient else "SPIN",
        "MultiPlanarExcitation": "NO",
        "PhaseContrast": "NO",
        "TimeOfFlightContrast": "NO",
        "SteadyStatePulseSequence": "NONE",
        "EchoPlanarPulseSequence": "YES" if diffusion else "NO",
        "SaturationRecovery": "NO",
        "SpectrallySelectedSuppression": "FAT" if acquisition.fat_suppressed and not inverted else "NONE",
        "OversamplingPhase": "2D",
        "GeometryOfKSpaceTraversal": "RECTILINEAR",
        "RectilinearPhaseEncodeReordering": "LINEAR",
        "SegmentedKSpaceTraversal": "SINGLE",
        "NumberOfKSpaceTrajectories": 1,
    }
    return {**found, **({"CoverageOfKSpace": "FULL"} if gradient else {"MultipleSpinEcho": "NO"})}


def _add_dimensions(file: Dataset, organization: str, *, several: bool) -> None:
    """Multi-frame Dimension module (PS3.3 section C.7.6.17): stack, place in the stack, and image where several."""
    pointers = [(0x00209056, 0x00209111), (0x00209057, 0x00209111)]
    if several:
        pointers.append((0x00209128, 0x00209111))
    file.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    file.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=organization, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
        for pointer, group in pointers
    ]


def _shared_groups(image: Image, layout: SliceLayout, kind: list[str], stored: NDArray[np.uint16]) -> Dataset:
    acquisition = image.acquisition
    spacing = np.linalg.norm(layout.affine[:3, :3], axis=0)
    white = max(float(np.percentile(stored, WHITE_PERCENTILE)), 2.0)
    groups = {
        "PixelMeasuresSequence": _item(
            PixelSpacing=[_ds(spacing[1]), _ds(spacing[2])],
            SliceThickness=_ds(acquisition.slice_thickness_mm or spacing[0]),
            SpacingBetweenSlices=_ds(spacing[0]),
        ),
        "FrameAnatomySequence": _item(FrameLaterality="U", AnatomicRegionSequence=[_code(*_SPINE)]),
        "FrameVOILUTSequence": _item(WindowCenter=_ds(white / 2), WindowWidth=_ds(white)),
        "PixelValueTransformationSequence": _item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US"),
        "MRImageFrameTypeSequence": _item(
            FrameType=kind,
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
            ComplexImageComponent="MAGNITUDE",
            AcquisitionContrast=CONTRASTS.get(image.sequence, "UNKNOWN"),
        ),
        "MRFOVGeometrySequence": _item(
            InPlanePhaseEncodingDirection="COLUMN",
            MRAcquisitionFrequencyEncodingSteps=layout.shape[1],
            MRAcquisitionPhaseEncodingStepsInPlane=layout.shape[2],
            MRAcquisitionPhaseEncodingStepsOutOfPlane=1,
            PercentSampling="100",
            PercentPhaseFieldOfView="100",
        ),
        "MRModifierSequence": _modifier(image),
        "MRImagingModifierSequence": _item(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=42.577 * (acquisition.field_strength_t or 1.5),
            PixelBandwidth=_ds(acquisition.bandwidth_hz_px or 200),
        ),
        "MRReceiveCoilSequence": _item(
            ReceiveCoilName=(acquisition.coil or "SPINE")[:16],
            ReceiveCoilManufacturerName="",
            ReceiveCoilType="MULTICOIL",
            QuadratureReceiveCoil="NO",
            MultiCoilDefinitionSequence=[_item(MultiCoilElementName="1", MultiCoilElementUsed="YES")],
        ),
        "MRTransmitCoilSequence": _item(
            TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY"
        ),
        "MRAveragesSequence": _item(NumberOfAverages="1"),
    }
    return _item(**{keyword: [item] for keyword, item in groups.items()})


def _modifier(image: Image) -> Dataset:
    """MR Modifier macro (PS3.3 section C.8.13.5.5)."""
    acquisition = image.acquisition
    item = _item(
        InversionRecovery="YES" if acquisition.inversion_time_ms else "NO",
        FlowCompensation="NONE",
        Spoiling="NONE",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )
    if acquisition.inversion_time_ms:
        item.InversionTimes = float(acquisition.inversion_time_ms)
    return item


def _frame_groups(image: Image, layout: SliceLayout, k: int, which: list[int], *, moment: str) -> Dataset:
    acquisition = image.acquisition
    along = layout.affine[:3, :3] / np.linalg.norm(layout.affine[:3, :3], axis=0)
    repetition = float(acquisition.repetition_time_ms or 1000)
    groups = {
        "FrameContentSequence": _item(
            FrameAcquisitionNumber=1,
            FrameReferenceDateTime=moment,
            FrameAcquisitionDateTime=moment,
            FrameAcquisitionDuration=180.0,
            StackID="1",
            InStackPositionNumber=k + 1,
            TemporalPositionIndex=which[0] if which else 1,
            DimensionIndexValues=[1, k + 1, *which],
        ),
        "PlanePositionSequence": _item(
            ImagePositionPatient=[_ds(v) for v in layout.affine[:3, 3] + k * layout.affine[:3, 0]]
        ),
        "PlaneOrientationSequence": _item(ImageOrientationPatient=[_ds(v) for v in (*along[:, 2], *along[:, 1])]),
        "MRTimingAndRelatedParametersSequence": _item(
            RepetitionTime=_ds(repetition),
            FlipAngle=_ds(acquisition.flip_angle_deg or 90),
            EchoTrainLength=acquisition.echo_train_length or 1,
            RFEchoTrainLength=acquisition.echo_train_length or 1,
            GradientEchoTrainLength=int(repetition < SHORT_REPETITION_MS),
            SpecificAbsorptionRateSequence=[
                _item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=1.0)
            ],
            GradientOutputType="DB_DT",
            GradientOutput=1.0,
            OperatingModeSequence=[_item(OperatingModeType="RF", OperatingMode="IEC_NORMAL")],
        ),
        "MREchoSequence": _item(EffectiveEchoTime=float(acquisition.echo_time_ms or 0)),
    }
    if acquisition.contrast_given:
        groups["ContrastBolusUsageSequence"] = _item(
            ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES", ContrastBolusAgentDetected="YES"
        )
    if acquisition.b_value_s_mm2 is not None:
        b = float(acquisition.b_value_s_mm2)
        groups["MRDiffusionSequence"] = _item(DiffusionBValue=b, DiffusionDirectionality="ISOTROPIC" if b else "NONE")
    return _item(**{keyword: [item] for keyword, item in groups.items()})


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _ds(value: Any) -> str:
    return format_number_as_ds(float(value))
