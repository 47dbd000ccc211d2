"""Segmentations of others, and of our own, are read where they lie."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from dicom_fakes import fake_case, source_grid
from spondyl.core import GeometryError, Grid, InputError
from spondyl.io.reference import reference_series
from spondyl.io.seg import lesion_segmentation, vertebra_segmentation
from spondyl.io.seg_reader import read_segmentation
from spondyl.io.store import save


@pytest.fixture
def grid() -> Grid:
    return source_grid("sagittal")


def _written(case, make, path, **options):
    return save(make(case, reference_series(case, {}), **options), path)


def test_run_length_encoded_segmentations_are_read(grid, tmp_path):
    case = fake_case(grid)
    path = _written(case, vertebra_segmentation, tmp_path / "plain", kind="LABELMAP")
    packed = pydicom.dcmread(path)
    packed.compress(RLELossless)
    packed.save_as(tmp_path / "packed")
    for (_, plain), (_, unpacked) in zip(read_segmentation(path), read_segmentation(tmp_path / "packed"), strict=True):
        np.testing.assert_array_equal(plain.array, unpacked.array)


def test_masks_do_not_move_onto_other_voxels(grid, tmp_path):
    path = _written(fake_case(grid), lesion_segmentation, tmp_path / "s")
    affine = grid.affine.copy()
    affine[:3, 3] += 0.4 * affine[:3, 1]
    with pytest.raises(GeometryError, match="other voxels"):
        read_segmentation(path, on=Grid(grid.shape, affine))


def test_masks_outside_a_smaller_grid_are_cut_off(grid, tmp_path):
    path = _written(fake_case(grid), lesion_segmentation, tmp_path / "s")
    part = Grid((6, 5, 20), grid.affine)
    assert [mask.array.any() for _, mask in read_segmentation(path, on=part)] == [False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.update({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}), "wanted a DICOM Segmentation"),
        (lambda ds: ds.pop("FrameOfReferenceUID"), "patient space"),
        (lambda ds: ds.update({"PixelData": encapsulate([b"xx"])}), "cannot be decoded"),
        (lambda ds: [f.pop("PlanePositionSequence") for f in ds.PerFrameFunctionalGroupsSequence], "ImagePosition"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(change, message, grid, tmp_path):
    path = _written(fake_case(grid), lesion_segmentation, tmp_path / "s")
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    with pytest.raises(InputError, match=message):
        read_segmentation(path)


def _positions(dataset) -> list:
    return [f.PlanePositionSequence[0] for f in dataset.PerFrameFunctionalGroupsSequence]


def _move(dataset, frame: int, by_mm: tuple[float, float, float]) -> None:
    position = _positions(dataset)[frame]
    position.ImagePositionPatient = list(np.asarray(position.ImagePositionPatient, float) + by_mm)


def _turn(dataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.PlaneOrientationSequence = [pydicom.Dataset()]
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    del shared.PlaneOrientationSequence
    frame.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: _move(ds, 0, (1.7, 0, 0)), "one regular stack"),
        (lambda ds: _move(ds, 0, (0, 3.0, 0)), "shifted against each other"),
        (_turn, "several directions"),
    ],
)
def test_frames_that_are_no_stack_are_refused(change, message, grid, tmp_path):
    path = _written(fake_case(grid), vertebra_segmentation, tmp_path / "s", kind="LABELMAP")
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    with pytest.raises(GeometryError, match=message):
        read_segmentation(path)


@pytest.mark.parametrize("written_mm", [None, 17.0])
def test_gaps_between_frames_do_not_hide_the_spacing(written_mm, grid, tmp_path):
    path = _written(fake_case(grid), vertebra_segmentation, tmp_path / "s")
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = written_mm
    measures.SliceThickness = None
    dataset.save_as(path)
    assert read_segmentation(path)[0][1].grid.spacing_mm[2] == pytest.approx(4.4)


def test_a_file_that_is_not_dicom_is_refused(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"not dicom")
    with pytest.raises(InputError, match="cannot be read"):
        read_segmentation(tmp_path / "x.dcm")


THIRD_PARTY = {
    "dicom_highdicom/data/test_files/seg_image_ct_binary.dcm": 1,
    "dicom_highdicom/data/test_files/seg_image_ct_binary_overlap.dcm": 2,
    "dicom_highdicom/data/test_files/seg_image_ct_binary_fractional.dcm": 1,
    "dicom_highdicom/data/test_files/seg_image_ct_binary_single_frame.dcm": 1,
    "dicom_highdicom/data/test_files/seg_image_ct_true_fractional.dcm": 1,
    "dicom_dcmqi/data/segmentations/liver.dcm": 1,
    "dicom_dcmqi/data/segmentations/partial_overlaps.dcm": 5,
    "dicom_dcmqi/data/segmentations/sparse-labelmap-noppv.dcm": None,
    "dicom_dcmqi/data/segmentations/sparse-labelmap-ppv5.dcm": None,
    "dicom_dcmqi/data/sr-example/seg.dcm": None,
}
"""Segments by file; None where the file itself is the only source for the number."""


@pytest.mark.real
@pytest.mark.parametrize("name", THIRD_PARTY)
def test_segmentations_of_other_software_are_read(name, shared_data):
    path = shared_data / "third_party_dicom" / name
    if not path.is_file():
        pytest.skip(f"real reference data not found: {path}")
    read = read_segmentation(path)
    assert len(read) == (THIRD_PARTY[name] or len(read)) > 0
    reference = hd.imread(path) if name.startswith("dicom_dcmqi/data/segmentations/sparse") else hd.seg.segread(path)
    assert read[0][1].grid.frame_of_reference == reference.FrameOfReferenceUID
    assert any(mask.array.any() for _, mask in read)


@pytest.mark.real
@pytest.mark.parametrize(
    ("dicom", "truths"),
    [
        ("partial_overlaps", ["partial_overlaps-1", "partial_overlaps-2", "partial_overlaps-3"]),
        ("sparse-labelmap-ppv5", ["sparse_labelmap_ppv5_seg"]),
        ("sparse-labelmap-noppv", ["sparse_labelmap_noppv_seg"]),
        ("liver", ["liver_seg"]),
    ],
)
def test_masks_of_other_software_lie_where_it_says(dicom, truths, shared_data):
    folder = shared_data / "third_party_dicom/dicom_dcmqi/data/segmentations"
    if not (folder / f"{dicom}.dcm").is_file():
        pytest.skip(f"real reference data not found: {folder / dicom}.dcm")
    images = [SimpleITK.ReadImage(folder / f"{truth}.nrrd") for truth in truths]
    for info, mask in read_segmentation(folder / f"{dicom}.dcm"):
        ((truth, inside),) = [
            (image, inside)
            for image in images
            if (inside := SimpleITK.GetArrayFromImage(image) == info.number).any()
            and (info.number or dicom == "sparse-labelmap-ppv5")
        ]
        places = [truth.TransformIndexToPhysicalPoint([int(v) for v in i[::-1]]) for i in np.argwhere(inside)]
        found = mask.grid.ijk_to_lps(np.argwhere(mask.array))
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(places, axis=0), atol=1e-2)


@pytest.mark.real
@pytest.mark.parametrize("name", ["seg_image_cr_binary.dcm", "seg_image_sm_control_labelmap.dcm"])
def test_segmentations_outside_patient_space_are_refused(name, shared_data):
    path = shared_data / "third_party_dicom/dicom_highdicom/data/test_files" / name
    if not path.is_file():
        pytest.skip(f"real reference data not found: {path}")
    with pytest.raises(InputError):
        read_segmentation(path)
