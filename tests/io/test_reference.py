"""The reference series takes odd sources as they are."""

from __future__ import annotations

import pytest

from dicom_fakes import classic_source, enhanced_source, fake_case, source_grid
from spondyl.core import OutputError
from spondyl.io.reference import reference_series


def test_a_case_without_a_reference_image_is_refused():
    case = fake_case(source_grid("sagittal")).with_(reference=None)
    with pytest.raises(OutputError, match="need a reference image"):
        reference_series(case, {})


def test_an_image_turned_away_from_its_source_keeps_patient_and_study_only():
    source = classic_source(source_grid("sagittal oblique"))
    case = fake_case(source_grid("sagittal"), source)
    reference = reference_series(case, {source.series_uid: source})
    assert reference.frames == (None,) * 6
    assert reference.headers[0].PatientID == "FAKE-1"


def test_a_source_without_frames_or_orientation_gives_no_references():
    grid = source_grid("sagittal")
    empty, blind = classic_source(grid), classic_source(grid)
    empty.frame_numbers = ()
    for ds in blind.datasets:
        del ds.ImageOrientationPatient
    for source in (empty, blind):
        reference = reference_series(fake_case(grid, source), {source.series_uid: source})
        assert reference.frames == (None,) * 6


def test_a_frame_of_another_size_is_not_referenced():
    grid = source_grid("sagittal")
    source = classic_source(grid)
    source.datasets[4].Rows = 99
    frames = reference_series(fake_case(grid, source), {source.series_uid: source}).frames
    assert [f is None for f in frames] == [False, False, False, False, True, False]


def test_what_all_frames_share_is_read_from_the_shared_groups():
    grid = source_grid("axial")
    source = enhanced_source(grid)
    ds = source.datasets[0]
    ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = ds.PerFrameFunctionalGroupsSequence[
        0
    ].PlaneOrientationSequence
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlaneOrientationSequence
    frames = reference_series(fake_case(grid, source), {source.series_uid: source}).frames
    assert [f.frame_number for f in frames] == [1, 2, 3, 4, 5, 6]


def test_headers_never_change_through_the_evidence():
    grid = source_grid("sagittal")
    source = enhanced_source(grid)
    reference = reference_series(fake_case(grid, source), {source.series_uid: source})
    before = [str(h.SOPInstanceUID) for h in reference.headers]
    (evidence,) = reference.evidence()
    assert evidence.SOPInstanceUID == source.datasets[0].SOPInstanceUID
    assert [str(h.SOPInstanceUID) for h in reference.headers] == before
