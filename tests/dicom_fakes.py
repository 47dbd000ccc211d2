"""Small made-up cases and the series they came from, for the tests of everything that writes DICOM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from spondyl.core import Acquisition, Case, Grid, Image, LabelMap, Lesion, Sequence, Source, Structure, Vertebra

SHAPE = (6, 24, 20)
"""Slices, rows, columns."""

PLANES = {
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "axial": ((1, 0, 0), (0, 1, 0)),
    "axial head down": ((1, 0, 0), (0, -1, 0)),
    "coronal mirrored": ((-1, 0, 0), (0, 0, -1)),
    "sagittal mirrored": ((0, -1, 0), (0, 0, -1)),
    "sagittal oblique": None,
    "axial oblique": None,
}


@dataclass
class FakeSource:
    """A series as the study reader hands it on."""

    series_uid: str
    datasets: list[Dataset]
    frame_numbers: tuple[tuple[int, int], ...]


def cosines(plane: str) -> np.ndarray:
    """Directions along a row and down a column, shape (2, 3)."""
    given = PLANES[plane]
    if given is not None:
        return np.asarray(given, dtype=float)
    start = np.asarray(PLANES[plane.split()[0]], dtype=float)
    a, b = np.deg2rad(17.0), np.deg2rad(-9.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return start @ (about_x @ about_z).T


def source_grid(plane: str, shape: tuple[int, int, int] = SHAPE, frame_of_reference: str = "") -> Grid:
    """The grid of a series in slice, row, column order, LPS mm."""
    along_row, along_column = cosines(plane)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(along_row, along_column) * 4.4
    affine[:3, 1], affine[:3, 2] = along_column * 0.75, along_row * 0.9
    affine[:3, 3] = (-11.25, -63.5, 204.125)
    return Grid(shape, affine, frame_of_reference or generate_uid())


def _patient(study_uid: str) -> Dataset:
    ds = Dataset()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Fake^Person", "FAKE-1", "19600101", "F"
    ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = study_uid, "20240102", "101112"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "A1", ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "MR", "ACME", "Fake", "1"
    ds.SeriesNumber, ds.PositionReferenceIndicator = 3, ""
    return ds


def classic_source(grid: Grid, *, shuffle_seed: int | None = None) -> FakeSource:
    """Single-frame files of a grid in slice, row, column order; shuffled where asked."""
    study, series = generate_uid(), generate_uid()
    datasets = []
    for k in range(grid.shape[0]):
        ds = _patient(study)
        ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = MRImageStorage, generate_uid(), series
        ds.FrameOfReferenceUID, ds.InstanceNumber = grid.frame_of_reference, k + 1
        ds.Rows, ds.Columns = grid.shape[1:]
        ds.ImagePositionPatient = [f"{v:.9g}" for v in grid.ijk_to_lps([k, 0, 0])]
        ds.ImageOrientationPatient = [f"{v:.12f}"[:16] for v in (*grid.directions[:, 2], *grid.directions[:, 1])]
        ds.PixelSpacing, ds.SliceThickness = [grid.spacing_mm[1], grid.spacing_mm[2]], 4
        datasets.append(ds)
    order = np.arange(len(datasets))
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(order)
    return FakeSource(series, [datasets[k] for k in order], tuple((i, 1) for i in range(len(order))))


def enhanced_source(grid: Grid, *, echoes: int = 1) -> FakeSource:
    """One multi-frame file; with several echoes the image is the last of them."""
    ds = _patient(generate_uid())
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = EnhancedMRImageStorage, generate_uid(), generate_uid()
    ds.FrameOfReferenceUID, ds.InstanceNumber = grid.frame_of_reference, 1
    ds.Rows, ds.Columns, ds.NumberOfFrames = grid.shape[1], grid.shape[2], grid.shape[0] * echoes
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [grid.spacing_mm[1], grid.spacing_mm[2]], 4
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(grid.shape[0]):
        for _ in range(echoes):
            position, orientation, frame = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [f"{v:.9g}" for v in grid.ijk_to_lps([k, 0, 0])]
            orientation.ImageOrientationPatient = [
                f"{v:.12f}"[:16] for v in (*grid.directions[:, 2], *grid.directions[:, 1])
            ]
            frame.PlanePositionSequence, frame.PlaneOrientationSequence = [position], [orientation]
            frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    return FakeSource(ds.SeriesInstanceUID, [ds], tuple((0, echoes * (k + 1)) for k in range(grid.shape[0])))


def labels_in(grid: Grid) -> dict[str, LabelMap]:
    """Two lumbar bodies, one without a level, discs, canal, cord and sacrum, in slice, row, column order."""
    structures, instances, discs, lesions = (np.zeros(grid.shape, np.uint16) for _ in range(4))
    for instance, row in enumerate((1, 6, 11), start=1):
        structures[1:5, row : row + 4, 4:10] = Structure.BODY
        structures[1:5, row, 4:10] = Structure.CORTEX
        structures[2:4, row : row + 3, 14:17] = Structure.POSTERIOR
        instances[1:5, row : row + 4, 4:17] = instance
    instances[(structures == Structure.BACKGROUND)] = 0
    structures[1:5, 16:19, 4:10], instances[1:5, 16:19, 4:10] = Structure.S1, 4
    structures[1:5, 19:23, 5:11] = Structure.SACRUM
    for label, row in enumerate((5, 10, 15), start=1):
        structures[1:5, row, 4:10], discs[1:5, row, 4:10] = Structure.DISC, label
    structures[2:4, :, 11:13] = Structure.CANAL
    structures[2, 0:8, 11] = Structure.CORD
    lesions[3, 7, 6] = 1
    lesions[1:3, 12:14, 5:8] = 2
    return {
        "structures": LabelMap(structures, grid),
        "vertebrae": LabelMap(instances, grid),
        "discs": LabelMap(discs, grid, {1: "L3/L4", 2: "", 3: "L5/S1"}),
        "lesions": LabelMap(lesions, grid),
    }


def fake_case(grid: Grid, source: FakeSource | None = None, *, orientation: str | None = None) -> Case:
    """A case on a grid; its arrays in another orientation than the source's where asked."""
    turned = grid if orientation is None else grid.reoriented(orientation)
    rng = np.random.default_rng(7)

    def place(array: np.ndarray) -> np.ndarray:
        from spondyl.core import reorient

        return array if orientation is None else reorient(array, grid.orientation, orientation)

    labels = {n: LabelMap(place(m.array), turned, m.names) for n, m in labels_in(grid).items()}
    maps = {n: Image(place(rng.random(grid.shape)), turned) for n in ("saliency", "uncertainty")}
    found = Source(series_uid=source.series_uid if source else "", series_number=3)
    image = Image(place(rng.random(grid.shape)), turned, Sequence.T1, source=found)
    vertebrae = (
        Vertebra(1, "L3", 0.98, False, "", (0, 0, 0), 1234.5, 0.9),
        Vertebra(2, "L4", 0.6, True, "the sacrum is not in the picture", (0, 0, 0), 1234.5678901234, 0.9),
        Vertebra(3, None, 0.3, True, "cut", (0, 0, 0), 900.0, 0.8, at_edge=True),
        Vertebra(4, "S1", 0.97, False, "", (0, 0, 0), 800.0, 0.9),
    )
    lesions = (
        Lesion(1, 2, "L4", 2.97, 1.2, (0, 0, 0), {"malignant": 0.7, "benign": 0.2, "normal": 0.1}, 0.8, 0.4, ("T1",)),
        Lesion(2, 3, None, 35.6, 3.4, (0, 0, 0), {"malignant": 0.1, "benign": 0.8, "normal": 0.1}, 0.6, 0.3, ("T1",)),
    )
    return Case(
        "case-1", {Sequence.T1: image}, Sequence.T1, maps=maps, labels=labels, vertebrae=vertebrae, lesions=lesions
    )


def lumbar_image(shape: tuple[int, int, int] = (5, 32, 28), **acquisition: object) -> Image:
    """A sagittal image with an acquisition, to be written as a scanner would."""
    grid = source_grid("sagittal", shape)
    array = np.random.default_rng(3).random(shape) * 900
    return Image(array, grid, Sequence.T1, acquisition=Acquisition(**acquisition))  # type: ignore[arg-type]


def as_file(dataset: Dataset) -> FileDataset:
    """Give a header the file meta information it needs to be saved."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset(None, dataset, file_meta=meta, preamble=b"\0" * 128)
