"""Every DICOM result: in place to the voxel, in every orientation, valid, and pointing at the frames that were read."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicom_fakes import PLANES, classic_source, enhanced_source, fake_case, lumbar_image, source_grid
from spondyl.core.at_once import Beside, at_most
from spondyl.io.dicom_results import ResultWriter, write_results
from spondyl.io.mr_enhanced import write_enhanced
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.reference import reference_series
from spondyl.io.seg import read_segmentation
from spondyl.io.study import read_study

MARKED = (3, 7, 6)
"""Slice, row and column of the one-voxel lesion of the fake case."""

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "IS")) for letters in itertools.product(*order)
]


def _marked_lps(path) -> np.ndarray:
    """Where highdicom, not our reader, finds the marked voxel."""
    volume = hd.seg.segread(path).get_volume(segment_numbers=[1], combine_segments=True)
    (index,) = np.argwhere(volume.array)
    return volume.map_indices_to_reference(index[None, :])[0]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("make", [classic_source, enhanced_source])
def test_a_marked_voxel_comes_back_in_place_from_every_plane(plane, make, tmp_path):
    grid = source_grid(plane)
    source = make(grid)
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    np.testing.assert_allclose(_marked_lps(written.files["lesions.dcm"]), grid.ijk_to_lps(MARKED), atol=1e-6)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_order_of_the_array_axes_makes_no_difference(orientation):
    grid = source_grid("sagittal oblique")
    source = classic_source(grid, shuffle_seed=4)
    case = fake_case(grid, source, orientation=orientation)
    reference = reference_series(case, {source.series_uid: source})
    slices = reference.slices_of(case.labels["lesions"].array)
    (index,) = np.argwhere(slices == 1)
    found = reference.geometry.map_indices_to_reference(index[None, :])[0]
    np.testing.assert_allclose(found, grid.ijk_to_lps(MARKED), atol=1e-9)
    assert [f.sop_instance_uid for f in reference.frames] == [
        ds.SOPInstanceUID for ds in sorted(source.datasets, key=lambda ds: ds.InstanceNumber)
    ]


@pytest.mark.parametrize("orientation", ["LIP", "RSA", "PIR", "SLA", "IAL", "ALS"])
def test_results_of_a_turned_image_are_read_back_voxel_by_voxel(orientation, tmp_path):
    grid = source_grid("axial oblique")
    source = classic_source(grid, shuffle_seed=1)
    case = fake_case(grid, source, orientation=orientation)
    written = write_results(case, {source.series_uid: source}, tmp_path)
    read = read_segmentation(written.files["lesions.dcm"], on=case.images[case.reference].grid)
    for lesion, (_, mask) in zip(case.lesions, read, strict=True):
        np.testing.assert_array_equal(mask.array, case.labels["lesions"].array == lesion.label)


@pytest.mark.parametrize("shuffle_seed", [None, 0, 1])
def test_frames_reference_the_slice_they_lie_on_in_any_file_order(shuffle_seed, tmp_path):
    grid = source_grid("sagittal")
    source = classic_source(grid, shuffle_seed=shuffle_seed)
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    position = {ds.SOPInstanceUID: np.asarray(ds.ImagePositionPatient, float) for ds in source.datasets}
    for name in ("vertebrae.dcm", "saliency.dcm"):
        for item in pydicom.dcmread(written.files[name]).PerFrameFunctionalGroupsSequence:
            uid = item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            np.testing.assert_allclose(item.PlanePositionSequence[0].ImagePositionPatient, position[uid], atol=1e-6)


def test_frames_of_an_enhanced_source_are_named_by_number(tmp_path):
    grid = source_grid("sagittal")
    source = enhanced_source(grid, echoes=2)
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    result = pydicom.dcmread(written.files["uncertainty.dcm"])
    items = [i.DerivationImageSequence[0].SourceImageSequence[0] for i in result.PerFrameFunctionalGroupsSequence]
    assert sorted(int(i.ReferencedFrameNumber) for i in items) == [2, 4, 6, 8, 10, 12]
    for item, reference in zip(result.PerFrameFunctionalGroupsSequence, items, strict=True):
        given = source.datasets[0].PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        here, there = (i.PlanePositionSequence[0].ImagePositionPatient for i in (item, given))
        np.testing.assert_allclose(here, there, atol=1e-6)
    assert {i.ReferencedSOPInstanceUID for i in items} == {source.datasets[0].SOPInstanceUID}
    assert len(result.SourceImageSequence) == 1


def test_a_slice_without_a_source_frame_is_written_without_a_reference(tmp_path):
    grid = source_grid("sagittal")
    source = classic_source(grid)
    source.frame_numbers = tuple(pair for pair in source.frame_numbers if pair != (2, 1))
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    items = pydicom.dcmread(written.files["saliency.dcm"]).PerFrameFunctionalGroupsSequence
    lost = [i for i in items if not i.DerivationImageSequence]
    assert len(items) == 6
    assert [list(i.PlanePositionSequence[0].ImagePositionPatient) for i in lost] == [
        pytest.approx(list(source.datasets[2].ImagePositionPatient))
    ]


NOT_KNOWN_YET = (
    "Error - Information Object Not found",
    "Error - SegmentNumber not monotonically increasing from one by one",
    "Error - Shall not be present for Referenced SOP Class that is not segmentation",
)
"""What dicom3tools of 2023 says of the Label Map Segmentation class, which is younger than it."""


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("make", [classic_source, enhanced_source, None])
def test_every_object_passes_dciodvfy(kind, make, tmp_path, dciodvfy):
    grid = source_grid("sagittal oblique")
    source = make(grid) if make else None
    sources = {source.series_uid: source} if source else {}
    written = write_results(fake_case(grid, source), sources, tmp_path, kind=kind)
    assert len(written.files) == 5
    assert not written.left_out
    errors = {name: dciodvfy(path) for name, path in written.files.items()}
    if kind == "LABELMAP":
        errors = {n: [line for line in lines if not line.startswith(NOT_KNOWN_YET)] for n, lines in errors.items()}
    assert errors == {name: [] for name in written.files}


def objects(case, sources, folder):
    """All objects of a case as they are read back."""
    return [pydicom.dcmread(path) for path in write_results(case, sources, folder).files.values()]


def test_results_carry_patient_study_and_frame_of_reference_of_the_source(tmp_path):
    grid = source_grid("coronal")
    source = classic_source(grid)
    given = source.datasets[0]
    for result in objects(fake_case(grid, source), {source.series_uid: source}, tmp_path):
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
            assert str(result.get(keyword)) == str(given.get(keyword)), keyword
        assert result.get("FrameOfReferenceUID", grid.frame_of_reference) == grid.frame_of_reference


def test_results_of_a_study_without_dicom_agree_with_each_other_and_name_nobody(tmp_path):
    grid = source_grid("sagittal")
    results = objects(fake_case(grid), {}, tmp_path)
    assert {str(r.PatientID) for r in results} == {"case-1"}
    assert {str(r.PatientName) for r in results} == {""}
    assert len({r.StudyInstanceUID for r in results}) == 1
    assert len({r.FrameOfReferenceUID for r in results if "FrameOfReferenceUID" in r}) == 1


def test_every_object_says_what_made_it_and_that_it_is_for_research(tmp_path):
    grid = source_grid("sagittal")
    results = objects(fake_case(grid), {}, tmp_path)
    for result in results:
        assert "RESEARCH USE ONLY" in result.SeriesDescription
        assert (result.ManufacturerModelName, result.InstanceNumber) == ("Spondyl", 1)
        assert "99SPONDYL" in {str(i.CodingSchemeDesignator) for i in result.CodingSchemeIdentificationSequence}
    assert {r.ContentQualification for r in results if r.Modality != "SR"} == {"RESEARCH"}
    assert len({r.SOPInstanceUID for r in results}) == len({r.SeriesInstanceUID for r in results}) == 5


def test_odd_patient_values_are_left_out_rather_than_refused(tmp_path):
    grid = source_grid("sagittal")
    source = classic_source(grid)
    for ds in source.datasets:
        ds.PatientSex = "X"
        ds["StudyTime"]._value = "not a time"
        del ds.PatientBirthDate, ds.AccessionNumber
        ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 100", "Jürgens^Zoë"
    written = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path)
    result = pydicom.dcmread(written.files["vertebrae.dcm"])
    assert (result.PatientSex, result.StudyTime, str(result.PatientName)) == ("", "", "Jürgens^Zoë")


def test_nothing_is_written_where_there_is_nothing_to_say(tmp_path):
    grid = source_grid("sagittal")
    case = fake_case(grid).with_(labels={}, maps={}, vertebrae=(), lesions=())
    written = write_results(case, {}, tmp_path)
    assert not written.files
    assert set(written.left_out) == {p for p in written.left_out if p.endswith(".dcm")}
    assert "empty segmentation" in written.left_out["lesions.dcm"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("enhanced", [False, True])
def test_results_of_a_study_that_was_read_point_at_its_files(enhanced, tmp_path):
    image, study = lumbar_image(vendor="siemens"), SyntheticStudy("SYN-2")
    if enhanced:
        write_enhanced(image, tmp_path / "in" / "a.dcm", study=study, series_number=1)
    else:
        write_series(image, tmp_path / "in", study=study, series_number=1)
    read = read_study(tmp_path / "in")
    (found,) = read.case.images.values()
    case = fake_case(found.grid).with_(images={found.sequence: found}, reference=found.sequence)
    written = write_results(case, read.sources, tmp_path / "out")
    files = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "in").iterdir()}
    result = pydicom.dcmread(written.files["uncertainty.dcm"])
    assert {i.ReferencedSOPInstanceUID for i in result.SourceImageSequence} == files
    assert result.FrameOfReferenceUID == image.grid.frame_of_reference
    assert str(result.PatientName) == "SYNTHETIC^SYN-2"
    ((_, mask), _) = read_segmentation(written.files["lesions.dcm"], on=found.grid)
    np.testing.assert_array_equal(mask.array, case.labels["lesions"].array == 1)


def begun(case, later, folder):
    """Write a case whose parts were begun when they were as in `case`; gives what was written, and the early names."""
    with at_most(2), Beside() as beside:
        writer = ResultWriter({}, folder, beside=beside)
        for part in ("vertebrae", "lesions", "maps"):
            writer.begin(part, case)
        done = threading.Event()
        beside.begin("last", done.set)
        assert done.wait(60)
        early = {path.name: pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
        return writer.write(later).files, early


def without_class(case):
    """The record before anything was classified or measured further."""
    vertebrae = [
        replace(v, probabilities={}, subtype=None, prediction_set=(), uncertainty=None) for v in case.vertebrae
    ]
    lesions = [replace(lesion, measurements=(), features={}) for lesion in case.lesions]
    return case.with_(vertebrae=tuple(vertebrae), lesions=tuple(lesions), scores=())


def test_what_was_begun_early_is_kept_where_nothing_it_shows_has_changed(tmp_path):
    case = fake_case(source_grid("sagittal"))
    files, early = begun(without_class(case), case, tmp_path)
    assert set(early) == {"vertebrae.dcm", "lesions.dcm", "saliency.dcm", "uncertainty.dcm"}
    assert set(files) == {*early, "findings.dcm"}
    assert all(pydicom.dcmread(files[name]).SOPInstanceUID == uid for name, uid in early.items())
    evidence = pydicom.dcmread(files["findings.dcm"]).CurrentRequestedProcedureEvidenceSequence
    told = {
        r.ReferencedSOPInstanceUID
        for i in evidence
        for s in i.ReferencedSeriesSequence
        for r in s.ReferencedSOPSequence
    }
    assert {early["vertebrae.dcm"], early["lesions.dcm"]} <= told


def test_what_has_changed_since_is_made_anew_and_nothing_of_the_old_stays(tmp_path):
    case = fake_case(source_grid("sagittal"))
    first, *rest = case.vertebrae
    labels = {name: labels for name, labels in case.labels.items() if name != "lesions"}
    later = case.with_(vertebrae=(replace(first, level="T9"), *rest), lesions=(), labels=labels)
    files, early = begun(case, later, tmp_path)
    assert "T9 vertebral body" in {s.SegmentLabel for s in pydicom.dcmread(files["vertebrae.dcm"]).SegmentSequence}
    assert pydicom.dcmread(files["saliency.dcm"]).SOPInstanceUID == early["saliency.dcm"]
    assert "lesions.dcm" in early
    assert not (tmp_path / "lesions.dcm").exists()
    assert "lesions.dcm" not in files


def test_an_early_failure_is_told_when_the_result_is_written(tmp_path):
    case = fake_case(source_grid("sagittal"))
    (tmp_path / "file").write_text("")
    with at_most(2), Beside() as beside:
        writer = ResultWriter({}, tmp_path / "file", beside=beside)
        writer.begin("maps", case)
        with pytest.raises(FileExistsError):
            writer.write(case)
