"""Frames that are put together say what frames that highdicom makes one by one say."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from dicom_fakes import classic_source, enhanced_source, fake_case, source_grid
from spondyl.io.reference import reference_series
from spondyl.io.seg import _spine_segments, vertebra_segmentation
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
    masks = [s.mask for s in _spine_segments(case, overlapping=True) if s.mask.any()]
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
        manufacturer="a",
        manufacturer_model_name="b",
        software_versions="c",
        device_serial_number="d",
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


def test_empty_slices_are_left_out_and_bits_count_from_the_lowest():
    mask = np.zeros((4, 2, 5), bool)
    mask[2, 0, 1] = mask[2, 1, 4] = True
    packed = PackedSegment.of(mask)
    assert packed.slices.tolist() == [2]
    assert packed.bits.tolist() == [[0b10, 0b10]]
