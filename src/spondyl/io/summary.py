"""The summary: one or two pages of the report as PDF, for archives, and as a DICOM object of its own.

A PACS shows a page where nobody opens a browser. The pages name the case by its pseudonym; whose study it is stands in
the header of the object, as with every result.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import spondyl
from spondyl.core import Sequence
from spondyl.io import codes, wording
from spondyl.io.page import Cells, Heading, Page, Plate, Remarks, Words
from spondyl.io.panels import LESION_PICTURE_PX, Pictures, level_text, spoken
from spondyl.io.paper_panels import row_height_mm, row_of_panels
from spondyl.io.pdf import WIDTH_MM, render_pdf
from spondyl.io.reference import equipment
from spondyl.io.score_panels import score_section

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from spondyl.core import Case
    from spondyl.io.reference import ReferenceSeries

SUMMARY_SERIES_NUMBER = 9106

SHOWN_SEQUENCES = (Sequence.T1, Sequence.STIR, Sequence.T2FS, Sequence.T2, Sequence.T1CE)
"""Sequences of which the column is shown after the reference, what radiologists look at for marrow first."""

SHOWN_COLUMNS, SHOWN_LESIONS = 3, 4
"""Pictures of the column, and of lesions. Chosen by us."""

LISTED_LESIONS, LISTED_FLAGS = 8, 5
"""Lines of a table; more would make a third page. Chosen by us."""

COLUMN_HEIGHT_MM, LESION_HEIGHT_MM = 108.0, 50.0

PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes of patient and study (PS3.3 sections C.7.1.1, C.7.2.1, C.7.2.2)."""


@dataclass(frozen=True)
class _Rows:
    """A table of text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def summary_pdf(case: Case, pictures: Pictures | None = None) -> bytes:
    """Give the summary of a case as PDF.

    Parameters
    ----------
    case : Case
        The analyzed case.
    pictures : Pictures, optional
        Of the same case, to be shared with another report.

    Returns
    -------
    bytes
        A PDF file of one or two pages.
    """
    return render_pdf(summary_page(case, pictures))


def summary_page(case: Case, pictures: Pictures | None = None) -> Page:
    """Lay out the summary of a case.

    Parameters
    ----------
    case : Case
        The analyzed case.
    pictures : Pictures, optional
        Of the same case, to be shared with another report.

    Returns
    -------
    Page
        What a reader must know first stands first.
    """
    blocks: list[Any] = [Remarks((f"{spondyl.RESEARCH_USE_ONLY}.",))]
    blocks += [Words(" ".join(wording.summary(case)), "lead")]
    blocks += _plates(pictures or Pictures(case))
    tables = (_lesion_table(case), _score_table(case), _risk_table(case), _response_table(case), _vertebra_table(case))
    for table in tables:
        if table.rows:
            blocks += [Heading(table.title), Cells(table, titled=False)]
    blocks += _limits(case)
    notes = (
        "Made by software and read by nobody yet. The segmentations, measurements and maps of this study hold "
        "every finding; the full report says how each was obtained.",
    )
    return Page(wording.headline(case), "Summary of the analysis", case.case_id, tuple(blocks), notes, compact=True)


def _lesion_table(case: Case) -> _Rows:
    rows = tuple(
        (
            str(lesion.label),
            wording.place(lesion, case),
            f"{lesion.longest_diameter_mm:.0f} mm",
            f"{wording.milliliters(lesion.volume_mm3)} mL",
            f"{lesion.probabilities.get('malignant', 0.0):.2f}",
            wording.opinion(lesion) or "not judged",
            f"{lesion.confidence:.2f}",
            f"{lesion.uncertainty:.2f} {wording.uncertainty_word(lesion.uncertainty)}",
        )
        for lesion in case.lesions[:LISTED_LESIONS]
    )
    head = ("No.", "Level", "Diameter", "Volume", "Malignant", "Most like (probability)", "Confidence", "Uncertainty")
    return _Rows("Lesion candidates", head, rows, _rest(len(case.lesions), LISTED_LESIONS, "candidate"))


def _score_table(case: Case) -> _Rows:
    section = score_section(case)
    lines = (*section.placed, *section.noms, *section.patient, *section.fractures)
    shown = [line for line in lines if line.value or line.category][:LISTED_LESIONS]
    rows = tuple((s.name, s.place, s.value, s.category, s.note) for s in shown)
    return _Rows("Scores", ("Score", "Level", "Value", "Category", "What limits it"), rows)


def _risk_table(case: Case) -> _Rows:
    risk = case.risk
    if not risk.get("events"):
        return _Rows("Risk", (), ())
    head = ("Event", *(f"by {time:g} months" for time in risk["horizons_months"]))
    rows = tuple(
        (event["event"], *(f"{100 * r:.0f} % ({100 * a:.0f} to {100 * b:.0f})" for r, a, b in _spans(event)))
        for event in risk["events"]
    )
    return _Rows("Risk", head, rows, (f"Learned from {risk['learned_from']}.",))


def _spans(event: Any) -> Any:
    return zip(event["risk"], event["low"], event["high"], strict=True)


def _response_table(case: Case) -> _Rows:
    response = case.response
    if response is None or not response.assessable:
        return _Rows("Since the prior study", (), ())
    rows = tuple((v.name, v.category, "; ".join(v.facts)) for v in response.verdicts)
    days = response.days_since_prior
    title = "Since the prior study" + (f", {days} days before" if days is not None else "")
    return _Rows(title, ("Criteria", "Category", "Facts"), rows)


def _vertebra_table(case: Case) -> _Rows:
    rows = tuple(
        (
            level_text(v),
            f"{v.level_probability:.2f}",
            f"{wording.milliliters(v.volume_mm3)} mL",
            wording.opinion(v) or "not judged",
            wording.remarks(v),
        )
        for v in case.vertebrae
        if v.subtype not in (None, "normal") or wording.remarks(v)
    )
    head = ("Level", "Level probability", "Volume", "Most like (probability)", "Remarks")
    notes = (f"{len(case.vertebrae)} located; those without remark that look normal are not listed.",)
    return _Rows(
        "Vertebrae", head, rows[:LISTED_LESIONS], (*notes, *_rest(len(rows), LISTED_LESIONS, "vertebra", "vertebrae"))
    )


def _limits(case: Case) -> list[Any]:
    order = {"error": 0, "warning": 1}
    serious = sorted((f for f in case.quality if f.severity in order), key=lambda f: order[f.severity])
    if not serious:
        return []
    said = tuple(f"{f.message}{f' ({f.where})' if f.where else ''}" for f in serious[:LISTED_FLAGS])
    more = _rest(len(serious), LISTED_FLAGS, "remark")
    return [Heading("What limits this result"), Remarks(said), *(Words(line, "quiet") for line in more)]


def _rest(count: int, shown: int, noun: str, plural: str | None = None) -> tuple[str, ...]:
    left = count - shown
    return (f"And {wording.count(left, noun, plural)} more, in the report.",) if left > 0 else ()


def _plates(pictures: Pictures) -> list[Plate]:
    """Show the column, and lesions where they are largest, with what was found on them."""
    case = pictures.case
    names = _shown(case)
    column = [p for p in pictures.column(width_px=pictures.column_px) if p.caption in names][:SHOWN_COLUMNS]
    if not column:
        return []
    key = "Outlined: vertebral bodies (blue), canal (violet, dashed), lesion candidates (orange). Anterior to the left."
    height_mm = min(COLUMN_HEIGHT_MM, row_height_mm(column, WIDTH_MM))
    plates = [Plate(row_of_panels([(p.caption, p) for p in column], pictures.store), WIDTH_MM, height_mm, key)]
    rows = pictures.lesion_rows(width_px=LESION_PICTURE_PX)
    each = max(SHOWN_LESIONS // max(len(rows), 1), 1)  # few lesions are shown on more than one sequence
    lesions = [
        (f"{row.lesion.label}: {p.caption}, {p.view.place}", p)
        for row in rows
        for p in [p for p in row.panels if p.caption in names[:SHOWN_COLUMNS]][:each]
    ][:SHOWN_LESIONS]
    if lesions:
        draw = row_of_panels(lesions, pictures.store, places=SHOWN_LESIONS)
        text = "Lesion candidates by their number, each where it is largest."
        plates.append(Plate(draw, WIDTH_MM, LESION_HEIGHT_MM, text))
    return plates


def _shown(case: Case) -> list[str]:
    """Name the sequences that are shown: the reference first, then the usual ones that cover the column."""
    if not case.images:
        return []
    first = case.reference
    if first is None or first not in case.images:
        first = next(iter(case.images))
    images = [case.images[first]]
    for sequence in SHOWN_SEQUENCES:
        image = case.images.get(sequence)
        if image is not None and sequence != first and image.grid.plane == images[0].grid.plane:
            images.append(image)
    return [spoken(image) for image in images]


def encapsulated_summary(pdf: bytes, reference: ReferenceSeries) -> Dataset:
    """Wrap a summary as a DICOM object of the study.

    Parameters
    ----------
    pdf : bytes
        As `summary_pdf` gives it.
    reference : ReferenceSeries
        The series that the results are drawn on.

    Returns
    -------
    Dataset
        An Encapsulated PDF that points at the images it was made from.

    References
    ----------
    DICOM PS3.3 section A.45.1 (Encapsulated PDF), C.24.2.
    """
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

    given = reference.headers[0]
    said = equipment(series_number=SUMMARY_SERIES_NUMBER, description="Spondyl summary")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = said["sop_instance_uid"], ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in PATIENT_AND_STUDY:
        if keyword in given:
            made[keyword] = given[keyword]
    made.SpecificCharacterSet = "ISO_IR 192"
    now = datetime.datetime.now()  # local, as DICOM dates are where no offset is written
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, said["sop_instance_uid"]
    made.SeriesInstanceUID, made.SeriesNumber = said["series_instance_uid"], said["series_number"]
    made.SeriesDescription, made.Modality, made.InstanceNumber = said["series_description"], "DOC", 1
    made.Manufacturer, made.ManufacturerModelName = said["manufacturer"], said["manufacturer_model_name"]
    made.SoftwareVersions, made.DeviceSerialNumber = said["software_versions"], said["device_serial_number"]
    made.ConversionType = "WSD"
    made.ContentDate, made.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    made.AcquisitionDateTime = ""
    made.BurnedInAnnotation = "NO"  # the pages name the case by its pseudonym alone
    made.DocumentTitle = f"Spondyl summary. {spondyl.RESEARCH_USE_ONLY}"
    made.ConceptNameCodeSequence = [codes.concept(codes.IMAGING_REPORT)]
    made.SourceInstanceSequence = []
    for image in reference.evidence():
        source = Dataset()
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        made.SourceInstanceSequence.append(source)
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return made
