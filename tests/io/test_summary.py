"""The summary: at most two pages with what matters, and a valid object of the study it is about."""

import re
from dataclasses import replace

import pytest

from dicom_fakes import classic_source, enhanced_source, source_grid
from dicom_fakes import fake_case as case_on
from fake_case import PLANTED, analyzed_case
from spondyl import RESEARCH_USE_ONLY
from spondyl.core import QualityFlag, Sequence
from spondyl.io.dicom_results import write_results
from spondyl.io.page import Cells, Plate, Remarks
from spondyl.io.reference import reference_series
from spondyl.io.summary import encapsulated_summary, summary_page, summary_pdf


def _pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def _tables(page):
    return [block.table for block in page.blocks if isinstance(block, Cells)]


def test_it_says_first_what_matters_most():
    page = summary_page(analyzed_case(Sequence.T1, Sequence.STIR))
    assert page.title == "One lesion candidate: L3"
    assert page.blocks[0] == Remarks((f"{RESEARCH_USE_ONLY}.",))
    (lesions, vertebrae) = _tables(page)
    assert lesions.rows[0][:6] == ("1", "L3", "16 mm", "2.1 mL", "0.82", "lytic metastasis (0.82)")
    assert [row[0] for row in vertebrae.rows] == ["L5?", "#7?"]
    assert len([b for b in page.blocks if isinstance(b, Plate)]) == 2


def test_a_case_without_images_or_findings_still_says_so():
    bare = analyzed_case().with_(images={}, reference=None, labels={}, vertebrae=(), lesions=(), quality=())
    page = summary_page(bare)
    assert page.title == "No lesion candidate found"
    assert "does not exclude disease" in page.blocks[1].text
    assert _tables(page) == []


def test_however_much_was_found_it_fits_two_pages_and_says_what_is_left_out():
    case = analyzed_case(Sequence.T1)
    lesion, vertebra = case.lesions[0], case.vertebrae[0]
    doubtful = replace(vertebra, level_uncertain=True, level_reason="the number of vertebrae is unusual or unclear")
    many = case.with_(
        lesions=tuple(replace(lesion, label=n) for n in range(1, 31)),
        vertebrae=tuple(replace(doubtful, instance=n) for n in range(1, 25)),
        quality=tuple(QualityFlag("odd", f"Remark {n}, of some length as they are.", "warning") for n in range(20)),
    )
    page = summary_page(many)
    assert [len(table.rows) for table in _tables(page)] == [8, 8]
    assert _tables(page)[0].notes == ("And 22 candidates more, in the report.",)
    assert 1 <= _pages(summary_pdf(many)) <= 2


def test_the_pages_hold_no_free_text_of_a_header():
    case = analyzed_case(Sequence.T1)
    assert PLANTED in repr(case.images)
    assert PLANTED not in repr(summary_page(case))


@pytest.mark.parametrize("make", [classic_source, enhanced_source, None])
def test_it_is_a_valid_object_of_the_study_that_points_at_its_images(make, tmp_path, dciodvfy):
    grid = source_grid("sagittal oblique")
    source = make(grid) if make else None
    sources = {source.series_uid: source} if source else {}
    case = case_on(grid, source)
    written = write_results(case, sources, tmp_path, summary=b"%PDF-1.4 of odd length")
    assert dciodvfy(written.files["summary.dcm"]) == []
    made = encapsulated_summary(b"%PDF-1.4 odd.", reference_series(case, sources))
    assert (made.EncapsulatedDocument, made.EncapsulatedDocumentLength) == (b"%PDF-1.4 odd.\0", 13)
    assert made.SeriesDescription == "Spondyl summary (RESEARCH USE ONLY)"
    assert RESEARCH_USE_ONLY in made.DocumentTitle
    if source is not None:
        given = source.datasets[0]
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber"):
            assert str(made.get(keyword)) == str(given.get(keyword)), keyword
        images = {item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence}
        assert images == {ds.SOPInstanceUID for ds in source.datasets}
