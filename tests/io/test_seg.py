"""Segmentations: what is in them, and reading those of others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dicom_fakes import fake_case, labels_in, source_grid
from spondyl.core import GeometryError, Grid, Structure
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


def test_a_first_sacral_body_that_no_vertebra_claims_is_written_as_uncertain(grid):
    case = fake_case(grid)
    case = case.with_(vertebrae=case.vertebrae[:3])
    segments = {str(s.SegmentLabel): s for s in vertebra_segmentation(case, reference_series(case, {})).SegmentSequence}
    assert "UNCERTAIN" in segments["S1 vertebral body"].SegmentDescription


def test_a_study_without_discs_or_instances_still_has_its_canal(grid):
    case = fake_case(grid)
    case = case.with_(labels={"structures": case.labels["structures"]}, vertebrae=())
    assert "spinal canal" in _labels(vertebra_segmentation(case, reference_series(case, {})))


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
