"""Segmentations: what is in them, and reading those of others."""

from __future__ import annotations

import itertools

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from dicom_fakes import fake_case, labels_in, source_grid
from spondyl.core import GeometryError, Grid, InputError, Structure
from spondyl.io.reference import reference_series
from spondyl.io.seg import lesion_segmentation, read_segmentation, vertebra_segmentation
from spondyl.io.store import save


@pytest.fixture
def grid() -> Grid:
    return source_grid("sagittal")


def _written(case, make, path, **options):
    return save(make(case, reference_series(case, {}), **options), path)


def _labels(segmentation) -> list[str]:
    return [str(s.SegmentLabel) for s in segmentation.SegmentSequence]


def test_segments_are_named_by_level_in_a_readers_order(grid):
    case = fake_case(grid)
    assert _labels(vertebra_segmentation(case, reference_series(case, {}))) == [
        "L3 vertebral body",
        "L3 posterior elements",
        "L4 vertebral body",
        "L4 posterior elements",
        "vertebra 3 body (level unknown)",
        "vertebra 3 posterior elements (level unknown)",
        "S1 vertebral body",
        "L3/L4 disc",
        "disc 2 (level unknown)",
        "L5/S1 disc",
        "spinal canal",
        "spinal cord",
        "sacrum",
    ]


def test_an_uncertain_level_is_said_in_the_description(grid):
    case = fake_case(grid)
    segments = vertebra_segmentation(case, reference_series(case, {})).SegmentSequence
    described = {str(s.SegmentLabel): str(s.get("SegmentDescription", "")) for s in segments}
    assert "UNCERTAIN" in described["L4 vertebral body"]
    assert "UNCERTAIN" in described["L4 posterior elements"]
    assert "UNCERTAIN" in described["L3/L4 disc"]
    assert "UNKNOWN" in described["vertebra 3 body (level unknown)"]
    assert "UNCERTAIN" not in described["L3 vertebral body"]


def test_binary_segments_hold_whole_structures(grid, tmp_path):
    case = fake_case(grid)
    read = {
        i.label: m.array for i, m in read_segmentation(_written(case, vertebra_segmentation, tmp_path / "s"), on=grid)
    }
    structures = labels_in(grid)["structures"].array
    np.testing.assert_array_equal(read["sacrum"], np.isin(structures, (Structure.S1, Structure.SACRUM)))
    np.testing.assert_array_equal(read["S1 vertebral body"], structures == Structure.S1)
    np.testing.assert_array_equal(read["spinal canal"], np.isin(structures, (Structure.CANAL, Structure.CORD)))
    body = np.isin(structures, (Structure.BODY, Structure.CORTEX)) & (labels_in(grid)["vertebrae"].array == 1)
    np.testing.assert_array_equal(read["L3 vertebral body"], body)


def test_a_label_map_has_no_overlap_and_says_what_it_leaves_out(grid, tmp_path):
    case = fake_case(grid)
    path = _written(case, vertebra_segmentation, tmp_path / "s", kind="LABELMAP")
    read = {i.label: m.array for i, m in read_segmentation(path, on=grid)}
    structures = labels_in(grid)["structures"].array
    assert sum(mask.astype(int) for mask in read.values()).max() == 1
    np.testing.assert_array_equal(read["sacrum without S1 body"], structures == Structure.SACRUM)
    np.testing.assert_array_equal(read["spinal canal without cord"], structures == Structure.CANAL)


def test_lesions_have_names_and_colors_by_suspicion(grid):
    case = fake_case(grid)
    segmentation = lesion_segmentation(case, reference_series(case, {}))
    assert _labels(segmentation) == ["lesion 1, L4", "lesion 2, level unknown"]
    suspicious, benign = (s.RecommendedDisplayCIELabValue[1] for s in segmentation.SegmentSequence)
    assert suspicious > benign


def test_neighboring_vertebrae_differ_in_color(grid):
    case = fake_case(grid)
    segments = vertebra_segmentation(case, reference_series(case, {})).SegmentSequence
    bodies = [
        np.asarray(s.RecommendedDisplayCIELabValue, float) / 257 for s in segments if "body" in str(s.SegmentLabel)
    ]
    assert min(np.linalg.norm(a - b) for a, b in itertools.pairwise(bodies)) > 20


def test_no_lesion_means_no_object(grid):
    case = fake_case(grid).with_(lesions=())
    assert lesion_segmentation(case, reference_series(case, {})) is None


def test_a_sheared_grid_is_refused(grid):
    affine = grid.affine.copy()
    affine[:3, 0] += (0, 2.0, 0)
    case = fake_case(Grid(grid.shape, affine))
    with pytest.raises(GeometryError, match="resample the reference image"):
        reference_series(case, {})


def test_a_single_slice_is_read_back_in_place(tmp_path):
    grid = source_grid("axial", (1, 24, 20))
    case = fake_case(source_grid("axial"))
    lesions = np.zeros(grid.shape, np.uint16)
    lesions[0, 3, 9] = 1
    from spondyl.core import Image, LabelMap, Sequence

    image = Image(np.zeros(grid.shape), grid)
    case = case.with_(images={Sequence.T1: image}, labels={"lesions": LabelMap(lesions, grid)}, maps={})
    path = _written(case, lesion_segmentation, tmp_path / "s")
    ((_, mask),) = read_segmentation(path, on=grid)
    np.testing.assert_array_equal(mask.array, lesions == 1)


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
    import highdicom as hd

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
