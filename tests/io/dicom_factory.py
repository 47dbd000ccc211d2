"""Small synthetic MR series for tests of reading: any orientation, any order, with a planted name to look for.

Each stored value is a linear function of its voxel's LPS position, so a reader that puts one voxel in the wrong place
gives itself away (`signal_at`).
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PLANTED = "PLANTED^NAME^MUSTNOTLEAK"
PLANTED_ID = "PLANTED-4711"

PLANES = {
    "sagittal": (0, 1, 0, 0, 0, -1),
    "sagittal feet up": (0, 1, 0, 0, 0, 1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "axial": (1, 0, 0, 0, 1, 0),
    "axial mirrored": (-1, 0, 0, 0, 1, 0),
    "axial turned": (0, 1, 0, 1, 0, 0),
}

PROTOCOLS = {
    "T1": {"EchoTime": 11.0, "RepetitionTime": 560.0, "ScanningSequence": "SE", "SeriesDescription": "t1_tse_sag"},
    "T2": {"EchoTime": 102.0, "RepetitionTime": 3600.0, "ScanningSequence": "SE", "SeriesDescription": "t2_tse_sag"},
    "STIR": {
        "EchoTime": 38.0,
        "RepetitionTime": 4200.0,
        "InversionTime": 160.0,
        "ScanningSequence": ["SE", "IR"],
        "SeriesDescription": "tirm_sag",
    },
    "DWI": {"EchoTime": 70.0, "RepetitionTime": 4000.0, "ScanningSequence": ["SE", "EP"], "SeriesDescription": "diff"},
}


def rotated(orientation, degrees):
    """Turn an orientation about the body's long axis and then about its front-to-back axis."""
    a, b = np.deg2rad(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turned = about_y @ about_z @ np.array(orientation, float).reshape(2, 3).T
    return tuple(turned.T.ravel())


def signal_at(lps_mm):
    """The signal at a position: different along each axis, so that no flip goes unseen."""
    return 2000 + np.asarray(lps_mm) @ np.array([5.0, 7.0, 3.0])


def header(**tags):
    """A classic MR header with a planted patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = MRImageStorage, meta.MediaStorageSOPInstanceUID, "MR"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PLANTED, PLANTED_ID, "19550101"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.9"
    ds.SeriesNumber, ds.AcquisitionTime, ds.ImageType = 3, "101010.5", ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.Manufacturer, ds.ManufacturerModelName, ds.MagneticFieldStrength = "SIEMENS", "Avanto", 1.5
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def series(
    protocol="T1",
    *,
    orientation=PLANES["sagittal"],
    n=7,
    size=(24, 20),
    step_mm=4.4,
    origin=(-13.0, -40.0, 30.0),
    **tags,
):
    """A classic series, slices along the normal."""
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal, spacing = np.cross(row, column), (0.9, 1.1)
    down, along = np.mgrid[: size[0], : size[1]]
    slices = []
    for k in range(n):
        position = np.array(origin) + normal * step_mm * k
        voxels = position + down[..., None] * column * spacing[0] + along[..., None] * row * spacing[1]
        ds = header(**{**PROTOCOLS[protocol], "InstanceNumber": k + 1, **tags})
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [round(v, 6) for v in position], list(orientation)
        ds.PixelSpacing, ds.SliceThickness, ds.SpacingBetweenSlices = list(spacing), 4.0, step_mm
        store(ds, np.round(signal_at(voxels)))
        slices.append(ds)
    return slices


def store(ds, values):
    """Put pixels into a header."""
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.PixelData = values.astype(np.uint16).tobytes()
    return ds


def enhanced(slices, *, frames=None):
    """One enhanced multi-frame object with the same content as a classic series."""
    ds = header()
    first = slices[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    for keyword in (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "SeriesNumber",
        "SeriesDescription",
    ):
        setattr(ds, keyword, first.get(keyword))
    ds.Rows, ds.Columns, ds.NumberOfFrames = first.Rows, first.Columns, len(slices)
    timing = item(RepetitionTime=first.RepetitionTime, FlipAngle=90.0)
    measures = item(PixelSpacing=first.PixelSpacing, SliceThickness=4.0)
    orientation = item(ImageOrientationPatient=first.ImageOrientationPatient)
    ds.SharedFunctionalGroupsSequence = Items(
        [
            item(
                MRTimingAndRelatedParametersSequence=Items([timing]),
                PixelMeasuresSequence=Items([measures]),
                PlaneOrientationSequence=Items([orientation]),
            )
        ]
    )
    ds.PerFrameFunctionalGroupsSequence = Items([_frame(s) for s in slices])
    ds.PixelData = b"".join(s.PixelData for s in slices)
    del ds.ImageType
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SPIN_ECHO", "NONE"]
    ds.EchoPulseSequence = "SPIN"
    return ds


def _frame(ds):
    groups = {
        "PlanePositionSequence": item(ImagePositionPatient=ds.ImagePositionPatient),
        "MREchoSequence": item(EffectiveEchoTime=float(ds.EchoTime)),
        "FrameContentSequence": item(FrameAcquisitionDateTime="20240102101010.5", StackID="1"),
        "PixelValueTransformationSequence": item(
            RescaleSlope=ds.get("RescaleSlope", 1), RescaleIntercept=ds.get("RescaleIntercept", 0), RescaleType="US"
        ),
    }
    if "DiffusionBValue" in ds:
        groups["MRDiffusionSequence"] = item(DiffusionBValue=ds.DiffusionBValue)
    return item(**{name: Items([group]) for name, group in groups.items()})


def item(**tags):
    """One sequence item."""
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


def save(datasets, folder, rng=None, prefix="IM"):
    """Write datasets under names that say nothing, in shuffled order."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.arange(len(datasets)) if rng is None else rng.permutation(len(datasets))
    for number, ds in zip(order, datasets, strict=True):
        ds.save_as(folder / f"{prefix}{number:04d}", enforce_file_format=True)
    return folder
