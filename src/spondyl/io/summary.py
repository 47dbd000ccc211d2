"""The summary: one or two pages of the report as PDF, for archives, and as a DICOM object of its own.

A PACS shows a page where nobody opens a browser. The pages name the case by its pseudonym; whose study it is stands in
the header of the object, as with every result.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

import spondyl
from spondyl.core import Sequence, Structure
from spondyl.io import codes, wording
from spondyl.io.figures import OUTLINE_SMOOTHING_PX, gray, window
from spondyl.io.page import Cells, Heading, Page, Picture, Remarks, Words
from spondyl.io.panels import around, column_view, largest_slice, level_text, spoken
from spondyl.io.pdf import WIDTH_MM, render_pdf
from spondyl.io.reference import equipment
from spondyl.io.score_panels import score_section
from spondyl.io.views import sample, sample_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pydicom.dataset import Dataset

    from spondyl.core import Case, Image
    from spondyl.io.reference import ReferenceSeries
    from spondyl.io.views import View

SUMMARY_SERIES_NUMBER = 9106

SHOWN_SEQUENCES = (Sequence.T1, Sequence.STIR, Sequence.T2FS, Sequence.T2, Sequence.T1CE)
"""Sequences of which the column is shown after the reference, what radiologists look at for marrow first."""

SHOWN_COLUMNS, SHOWN_LESIONS = 3, 4
"""Pictures of the column, and of lesions. Chosen by us."""

LISTED_LESIONS, LISTED_FLAGS = 8, 5
"""Lines of a table; more would make a third page. Chosen by us."""

COLUMN_HEIGHT_MM, LESION_HEIGHT_MM = 108.0, 50.0

OUTLINES = {"body": "#5fdcec", "canal": "#b9a7ff", "lesion": "#ffb02e"}
"""Colors of outlines, those of the report."""

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


def summary_pdf(case: Case) -> bytes:
    """Give the summary of a case as PDF.

    Parameters
    ----------
    case : Case
        The analyzed case.

    Returns
    -------
    bytes
        A PDF file of one or two pages.
    """
    return render_pdf(summary_page(case))


def summary_page(case: Case) -> Page:
    """Lay out the summary of a case.

    Parameters
    ----------
    case : Case
        The analyzed case.

    Returns
    -------
    Page
        What a reader must know first stands first.
    """
    blocks: list[Any] = [Remarks((f"{spondyl.RESEARCH_USE_ONLY}.",))]
    blocks += [Words(" ".join(wording.summary(case)), "lead")]
    blocks += _pictures(case)
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


def _pictures(case: Case) -> list[Picture]:
    if not case.images:
        return []
    images = _shown(case)
    key = "Outlined: vertebral bodies (blue), canal (violet, dashed), lesion candidates (orange). Anterior to the left."
    view = column_view(images[0].grid, case.vertebrae)
    width_mm = min(WIDTH_MM, len(images) * (COLUMN_HEIGHT_MM * view.width_mm / view.height_mm + 3))

    def columns(figure: Figure) -> None:
        for axes, image in zip(_row(figure, len(images)), images, strict=True):
            _show(axes, case, image, view, title=spoken(image), names=True)

    pictures = [Picture(columns, width_mm, COLUMN_HEIGHT_MM, key)]
    labels = case.labels.get("lesions")
    found = [lesion for lesion in case.lesions if labels is not None and (labels.array == lesion.label).any()]
    if labels is not None and found:
        each = images[: max(SHOWN_LESIONS // len(found), 1)]  # few lesions are shown on more than one sequence
        panels = [(lesion, image) for lesion in found for image in each][:SHOWN_LESIONS]

        def lesions(figure: Figure) -> None:
            for axes, (lesion, image) in zip(_row(figure, SHOWN_LESIONS), panels, strict=False):
                sheet = around(largest_slice(labels.grid, labels.array == lesion.label), labels, lesion)
                _show(axes, case, image, sheet, title=f"{lesion.label}: {spoken(image)}, {sheet.place}", names=False)

        pictures.append(
            Picture(lesions, WIDTH_MM, LESION_HEIGHT_MM, "Lesion candidates by their number, each where it is largest.")
        )
    return pictures


def _shown(case: Case) -> list[Image]:
    """Choose the sequences that are shown: the reference first, then the usual ones that cover the column."""
    first = case.reference
    if first is None or first not in case.images:
        first = next(iter(case.images))
    images = [case.images[first]]
    for sequence in SHOWN_SEQUENCES:
        image = case.images.get(sequence)
        if image is not None and sequence != first and image.grid.plane == images[0].grid.plane:
            images.append(image)
    return images[:SHOWN_COLUMNS]


def _row(figure: Figure, count: int) -> list[Axes]:
    axes = np.atleast_1d(figure.subplots(1, count))
    for one in axes:
        one.set_axis_off()
    return list(axes)


def _show(axes: Axes, case: Case, image: Image, view: View, *, title: str, names: bool) -> None:
    """Draw a picture with what was found on it."""
    left, right, top, bottom = 0.0, view.width_mm, 0.0, view.height_mm
    extent = (left, right, bottom, top)
    pixels = gray(sample(image, view), window(image, case.vertebrae))
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="bilinear")
    found = {name: sample_labels(volume, view) for name, volume in case.labels.items()}
    structure, numbers, lesions = (found.get(name) for name in ("structures", "vertebrae", "lesions"))
    if structure is not None:
        _outline(axes, np.isin(structure, (Structure.CANAL, Structure.CORD)), "canal", view)
    if structure is not None and numbers is not None:
        bodies = np.isin(structure, (Structure.BODY, Structure.CORTEX, Structure.S1))
        for vertebra in case.vertebrae:
            mine = bodies & (numbers == vertebra.instance)
            _outline(axes, mine, "body", view)
            if names and mine.any():
                rows, columns = np.nonzero(mine)
                at = (columns.min() - 4) * view.pixel_mm, (rows.mean() + 0.5) * view.pixel_mm
                axes.text(*at, level_text(vertebra), color="#f4fbfd", fontsize=5.5, ha="right", va="center")
    if lesions is not None:
        _outline(axes, lesions > 0, "lesion", view)
    axes.set_title(title, fontsize=7.5, loc="left", pad=3)
    for letter, x, ha in zip(view.edges[:2], (0.015, 0.985), ("left", "right"), strict=True):
        axes.text(x, 0.5, letter, color="#e6edf0", fontsize=5.5, ha=ha, va="center", transform=axes.transAxes)


def _outline(axes: Axes, mask: Any, kind: str, view: View) -> None:
    if not mask.any():
        return
    smooth = gaussian_filter(mask.astype(np.float32), OUTLINE_SMOOTHING_PX)
    smooth = smooth if smooth.max() > 0.5 else mask.astype(np.float32)
    x, y = ((np.arange(n) + 0.5) * view.pixel_mm for n in (mask.shape[1], mask.shape[0]))
    width, style = (1.1, "solid") if kind == "lesion" else (0.6, "dashed" if kind == "canal" else "solid")
    axes.contour(x, y, smooth, [0.5], colors=OUTLINES[kind], linewidths=width, linestyles=style)


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
