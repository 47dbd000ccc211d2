"""The report says what was found, where, how surely, and on which segment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import highdicom as hd
import pydicom
import pytest

from dicom_fakes import classic_source, enhanced_source, fake_case, source_grid
from spondyl.core import Measurement
from spondyl.io import codes
from spondyl.io.dicom_results import write_results


def _groups(path):
    return hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()


@pytest.fixture
def written(tmp_path):
    grid = source_grid("sagittal")
    source = classic_source(grid)
    return write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path).files


def _values(group) -> dict[str, float]:
    return {m.name.meaning: float(m.value) for m in group.get_measurements()}


def test_every_vertebra_and_lesion_has_a_group_on_its_segment(written):
    segments = {}
    for name in ("vertebrae.dcm", "lesions.dcm"):
        ds = pydicom.dcmread(written[name])
        segments |= {(ds.SOPInstanceUID, int(s.SegmentNumber)): s for s in ds.SegmentSequence}
    groups = _groups(written["findings.dcm"])
    assert len(groups) == 6
    for group in groups:
        (item,) = [i for i in group[0].ContentSequence if i.name.meaning == "Referenced Segment"]
        reference = item.ReferencedSOPSequence[0]
        segment = segments[(reference.ReferencedSOPInstanceUID, int(reference.ReferencedSegmentNumber))]
        assert (group.tracking_uid, group.tracking_identifier) == (segment.TrackingUID, segment.TrackingID)


def test_a_lesion_carries_its_numbers_and_their_units(written):
    (group,) = [g for g in _groups(written["findings.dcm"]) if g.tracking_identifier == "lesion 1, L4"]
    assert _values(group) == pytest.approx(
        {
            "Volume": 2.97,
            "Long axis": 1.2,
            "Probability of malignant lesion": 0.7,
            "Probability of benign lesion": 0.2,
            "Probability of normal tissue": 0.1,
            "Certainty of Finding": 80.0,
            "Uncertainty of the classification": 0.4,
        }
    )
    units = {m.name.meaning: m.unit.value for m in group.get_measurements()}
    assert (units["Volume"], units["Long axis"], units["Certainty of Finding"]) == ("mm3", "mm", "%")
    (site,) = group.finding_sites
    assert site.value == codes.vertebra_code("L4")


def test_the_certainty_of_a_level_is_said_for_each_vertebra(written):
    groups = {g.tracking_identifier: g for g in _groups(written["findings.dcm"])}

    def certainty(name: str) -> str:
        (evaluation,) = groups[name].get_qualitative_evaluations(codes.LEVEL_CERTAINTY)
        return evaluation.value.meaning

    assert certainty("L3 vertebral body") == "Level certain"
    assert certainty("L4 vertebral body").startswith("Level uncertain")
    assert certainty("vertebra 3 body (level unknown)") == "Level unknown"


def test_the_report_is_preliminary_unverified_and_by_a_device(written):
    report = hd.sr.srread(written["findings.dcm"])
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    (context,) = [i for i in report.content[0].ContentSequence if i.name.meaning == "Device Observer Name"]
    assert "RESEARCH USE ONLY" in context.TextValue


def test_the_image_library_names_real_instances(tmp_path):
    grid = source_grid("sagittal")
    for make in (classic_source, enhanced_source):
        source = make(grid)
        files = write_results(fake_case(grid, source), {source.series_uid: source}, tmp_path).files
        report = pydicom.dcmread(files["findings.dcm"])
        evidence = {
            str(item.ReferencedSOPInstanceUID)
            for study in report.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            if series.SeriesInstanceUID == source.series_uid
            for item in series.ReferencedSOPSequence
        }
        assert evidence == {str(ds.SOPInstanceUID) for ds in source.datasets}


def test_further_measurements_are_written_under_their_name(tmp_path):
    case = fake_case(source_grid("sagittal"))
    extra = (Measurement("mean ADC", 812.5, "um2/s"), Measurement("fat fraction", None, "%", note="no Dixon series"))
    case = case.with_(lesions=(replace(case.lesions[0], measurements=extra),))
    group = _groups(write_results(case, {}, tmp_path).files["findings.dcm"])[-1]
    assert _values(group)["mean ADC"] == 812.5
    assert "fat fraction" not in _values(group)


def test_a_vertebra_without_voxels_is_reported_without_a_region(tmp_path):
    case = fake_case(source_grid("sagittal"))
    case = case.with_(labels={}, lesions=())
    report = hd.sr.srread(write_results(case, {}, tmp_path).files["findings.dcm"])
    groups = report.content.get_image_measurement_groups()
    assert [g.tracking_identifier for g in groups][:2] == ["L3 vertebral body", "L4 vertebral body"]


def test_a_judged_finding_carries_its_class_and_an_unclear_one_says_so(tmp_path):
    grid = source_grid("sagittal")
    source = classic_source(grid)
    case = fake_case(grid, source)
    subtypes = {"metastasis_lytic": 0.7, "modic_1": 0.3}
    clear = replace(
        case.lesions[0], subtype="metastasis_lytic", subtype_probabilities=subtypes, prediction_set=("malignant",)
    )
    unclear = replace(case.lesions[1], subtype="modic_1", prediction_set=("benign", "malignant"))
    sick = replace(case.vertebrae[0], subtype="normal", probabilities={"normal": 0.9}, prediction_set=("normal",))
    case = case.with_(lesions=(clear, unclear), vertebrae=(sick, *case.vertebrae[1:]))
    written = write_results(case, {source.series_uid: source}, tmp_path).files
    said = {
        group.tracking_identifier: [e.value.meaning for e in group.get_qualitative_evaluations()][1:]
        for group in _groups(written["findings.dcm"])
    }
    assert said["lesion 1, L4"] == ["Suspicious of malignancy", "Metastasis lytic"]
    assert next(words for name, words in said.items() if name.startswith("lesion 2"))[0] == "Indeterminate"
    assert next(words for name, words in said.items() if "L3" in name)[1:] == ["Normal", "Normal"]


def test_the_report_of_a_new_analysis_names_the_one_it_takes_the_place_of(tmp_path, dciodvfy):
    source = classic_source(source_grid("sagittal"))
    case, sources = fake_case(source_grid("sagittal"), source), {source.series_uid: source}
    first = write_results(case, sources, tmp_path / "first").files["findings.dcm"]
    second = write_results(case, sources, tmp_path / "second", before=tmp_path / "first").files["findings.dcm"]
    before, now = pydicom.dcmread(first), pydicom.dcmread(second)
    assert "PredecessorDocumentsSequence" not in before
    (study,) = now.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert document.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (before.StudyInstanceUID, before.SeriesInstanceUID)
    assert dciodvfy(second) == []


def test_neither_a_report_of_another_study_nor_a_damaged_one_is_named(tmp_path):
    grid = source_grid("sagittal")
    source, other = classic_source(grid), classic_source(grid)
    for dataset in other.datasets:
        dataset.StudyInstanceUID = hd.UID()
    write_results(fake_case(grid, other), {other.series_uid: other}, tmp_path / "other")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "findings.dcm").write_bytes(b"no report")
    for name in ("other", "damaged", "none"):
        out, before = tmp_path / "out", tmp_path / name
        files = write_results(fake_case(grid, source), {source.series_uid: source}, out, before=before).files
        assert "PredecessorDocumentsSequence" not in pydicom.dcmread(files["findings.dcm"])


def test_all_that_the_report_points_at_is_among_its_evidence(written):
    report = hd.sr.srread(written["findings.dcm"])
    root = report.content[0]
    find = partial(hd.sr.utils.find_content_items, root, recursive=True)
    pointed = [*find(value_type="IMAGE"), *find(value_type="COMPOSITE")]
    studies = report.CurrentRequestedProcedureEvidenceSequence
    series = [s for study in studies for s in study.ReferencedSeriesSequence]
    evidence = {item.ReferencedSOPInstanceUID for s in series for item in s.ReferencedSOPSequence}
    assert pointed
    assert {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in pointed} <= evidence
