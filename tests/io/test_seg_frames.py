"""Frames that are put together say what frames that highdicom makes one by one say."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

import spondyl
from dicom_fakes import classic_source, enhanced_source, fake_case, source_grid
from spondyl.io import codes
from spondyl.io.reference import DEVICE_SERIAL_NUMBER, MANUFACTURER, MODEL, reference_series
from spondyl.io.seg import _spine_segments, lesion_segmentation, vertebra_segmentation
from spondyl.io.seg_frames import PackedSegment
from spondyl.io.store import save


def made(tmp_path, shape, make=classic_source):
    """The vertebrae of the fake case as written, and the series they were drawn on."""
    grid = source_grid("sagittal oblique", shape)
    source = make(grid)
    case = fake_case(grid, source)
    reference = reference_series(case, {source.series_uid: source})
    return save(vertebra_segmentation(case, reference), tmp_path / "vertebrae.dcm"), case, reference


def one_by_one(path, case, reference) -> hd.seg.Segmentation:
    """The same segments, every frame made by highdicom."""
    masks = []
    for segment in _spine_segments(case, overlapping=True):
        if segment.mask.any():
            masks.append(np.zeros(case.labels["structures"].array.shape, bool))
            masks[-1][segment.box] = segment.mask
    stack = np.stack([reference.slices_of(mask) for mask in masks], axis=-1).astype(np.uint8)
    numbers = list(range(1, len(masks) + 1))
    result = hd.seg.Segmentation(
        source_images=list(reference.headers),
        pixel_array=reference.volume_of(stack, {"SegmentNumber": numbers}),
        segmentation_type="BINARY",
        segment_descriptions=list(hd.seg.segread(path).SegmentSequence),
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        content_label="RESEARCH_USE",
        content_description="Vertebrae. Research use only",
        content_qualification="RESEARCH",
        coding_schemes=codes.coding_schemes(),
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=spondyl.__version__,
        device_serial_number=DEVICE_SERIAL_NUMBER,
        series_description="Spondyl vertebrae (RESEARCH USE ONLY)",
    )
    reference.relink(result)
    return result


@pytest.mark.parametrize("make", [classic_source, enhanced_source])
@pytest.mark.parametrize("shape", [(10, 24, 16), (10, 25, 15)])
def test_frames_and_voxels_are_those_that_highdicom_makes(tmp_path, shape, make):
    path, case, reference = made(tmp_path, shape, make)
    found, wanted = dcmread(path), dcmread(save(one_by_one(path, case, reference), tmp_path / "all.dcm"))
    assert found.NumberOfFrames == wanted.NumberOfFrames == len(found.PerFrameFunctionalGroupsSequence)
    assert found.SegmentsOverlap == wanted.SegmentsOverlap
    assert found.PixelData.rstrip(b"\0") == wanted.PixelData.rstrip(b"\0")
    assert list(found.PerFrameFunctionalGroupsSequence) == list(wanted.PerFrameFunctionalGroupsSequence)
    assert found.SharedFunctionalGroupsSequence == wanted.SharedFunctionalGroupsSequence


OWN = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "ContentDescription",
    "ContentTime",
    "ContributingEquipmentSequence",
    "InstanceCreationTime",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
)
"""What two objects of the same content differ in: identity, times, and the identifier of their dimensions."""


@pytest.mark.parametrize("make", [classic_source, enhanced_source])
def test_all_else_is_what_highdicom_says_of_the_whole_object(tmp_path, make):
    path, case, reference = made(tmp_path, (10, 24, 16), make)
    found, wanted = dcmread(path), dcmread(save(one_by_one(path, case, reference), tmp_path / "all.dcm"))
    assert [e.keyword for e in found] == [e.keyword for e in wanted]
    assert [e.keyword for e in wanted if e.keyword not in OWN and found[e.tag] != e] == []
    pointers = [
        [(i.DimensionIndexPointer, i.FunctionalGroupPointer) for i in d.DimensionIndexSequence] for d in (found, wanted)
    ]
    assert pointers[0] == pointers[1]
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID


def test_two_objects_on_a_series_count_their_planes_each_for_itself(tmp_path):
    grid = source_grid("sagittal", (10, 24, 16))
    source = classic_source(grid)
    case = fake_case(grid, source)
    reference = reference_series(case, {source.series_uid: source})
    objects = [make(case, reference) for make in (vertebra_segmentation, lesion_segmentation)]
    first, second = (dcmread(save(o, tmp_path / f"{n}.dcm")) for n, o in enumerate(objects))
    for one in (first, second):
        index = [tuple(f.FrameContentSequence[0].DimensionIndexValues) for f in one.PerFrameFunctionalGroupsSequence]
        assert index == sorted(index)
        planes = {place for _, place in index}
        assert planes == set(range(1, len(planes) + 1))
        organized = {i.DimensionOrganizationUID for i in one.DimensionIndexSequence}
        assert organized == {one.DimensionOrganizationSequence[0].DimensionOrganizationUID}
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"):
        assert first[keyword].value != second[keyword].value
    ours = [d.DimensionOrganizationSequence[0].DimensionOrganizationUID for d in (first, second)]
    assert ours[0] != ours[1]


def test_a_part_is_packed_as_the_whole():
    rng = np.random.default_rng(3)
    whole = np.zeros((6, 21, 13), bool)
    box = (slice(1, 4), slice(9, 19), slice(2, 11))
    whole[box] = rng.random((3, 10, 9)) < 0.4
    whole[2] = False
    part, all_of_it = PackedSegment.of(whole[box], box=box, frame=(21, 13)), PackedSegment.of(whole)
    assert part.slices.tolist() == all_of_it.slices.tolist() == [1, 3]
    assert np.array_equal(part.bits, all_of_it.bits)


def test_empty_slices_are_left_out_and_bits_count_from_the_lowest():
    mask = np.zeros((4, 2, 5), bool)
    mask[2, 0, 1] = mask[2, 1, 4] = True
    packed = PackedSegment.of(mask)
    assert packed.slices.tolist() == [2]
    assert packed.bits.tolist() == [[0b10, 0b10]]
