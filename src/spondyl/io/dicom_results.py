"""All DICOM objects of one case, in one call, agreeing with each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom import dcmread

from spondyl.io.dicom import UNREADABLE
from spondyl.io.parametric_map import MAPS, parametric_map
from spondyl.io.reference import SourceSeries, reference_series
from spondyl.io.seg import SegmentationKind, lesion_segmentation, vertebra_segmentation
from spondyl.io.sr import findings_report
from spondyl.io.store import save
from spondyl.io.summary import encapsulated_summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from spondyl.core import Case


@dataclass(frozen=True, eq=False)
class WrittenResults:
    """What was written, and what was not.

    Parameters
    ----------
    files : mapping of str to Path
        Files by name, such as ``"vertebrae.dcm"``.
    left_out : mapping of str to str
        Why a file was not written, by name.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


_REASONS = {
    "vertebrae.dcm": "no vertebra was segmented, and an empty segmentation is not allowed",
    "lesions.dcm": "no lesion candidate was found, and an empty segmentation is not allowed",
    "findings.dcm": "nothing was measured, and an empty report is not allowed",
    "saliency.dcm": "the analysis made no saliency map",
    "uncertainty.dcm": "the analysis made no uncertainty map",
}


def result_objects(
    case: Case,
    sources: Mapping[str, SourceSeries],
    *,
    kind: SegmentationKind = "BINARY",
    summary: bytes = b"",
    before: Path | None = None,
) -> dict[str, Dataset | None]:
    """Make the DICOM objects of a case.

    Parameters
    ----------
    case : Case
        With a reference image; whatever else it lacks is left out.
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID; empty for a study that did not come as DICOM.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"`` segmentations.
    summary : bytes, optional
        A PDF to go along as ``summary.dcm``, such as `spondyl.io.summary.summary_pdf` makes.
    before : Path, optional
        The folder of the objects of an earlier analysis; its report is named as the predecessor of the new one if it
        is of the same study.

    Returns
    -------
    dict of str to Dataset or None
        Objects by file name; None where there is nothing to write.
    """
    reference = reference_series(case, sources)
    vertebrae = vertebra_segmentation(case, reference, kind=kind) if "structures" in case.labels else None
    lesions = lesion_segmentation(case, reference, kind=kind)
    objects: dict[str, Dataset | None] = {
        "vertebrae.dcm": vertebrae,
        "lesions.dcm": lesions,
        "findings.dcm": findings_report(
            case,
            reference,
            vertebrae=vertebrae,
            lesions=lesions,
            predecessor=_report_before(before, str(reference.headers[0].StudyInstanceUID)),
        ),
    }
    for map_kind in MAPS:
        objects[f"{map_kind.name}.dcm"] = parametric_map(case, reference, map_kind)
    if summary:
        objects["summary.dcm"] = encapsulated_summary(summary, reference)
    return objects


def write_results(
    case: Case,
    sources: Mapping[str, SourceSeries],
    folder: Path,
    *,
    kind: SegmentationKind = "BINARY",
    summary: bytes = b"",
    before: Path | None = None,
) -> WrittenResults:
    """Write the DICOM objects of a case into a folder.

    Parameters
    ----------
    case : Case
        As for `result_objects`.
    sources : mapping of str to SourceSeries
        As for `result_objects`.
    folder : Path
        Made if missing.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"`` segmentations.
    summary : bytes, optional
        A PDF to go along as ``summary.dcm``, such as `spondyl.io.summary.summary_pdf` makes.
    before : Path, optional
        The folder of the objects of an earlier analysis; its report is named as the predecessor of the new one if it
        is of the same study.

    Returns
    -------
    WrittenResults
        The files, and the reason for each that was left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects = result_objects(case, sources, kind=kind, summary=summary, before=before)
    files = {name: save(dataset, folder / name) for name, dataset in objects.items() if dataset is not None}
    return WrittenResults(files, {name: _REASONS[name] for name, d in objects.items() if d is None})


def _report_before(folder: Path | None, study_uid: str) -> Dataset | None:
    """Read the header of an earlier report of the same study; None where there is none, or it cannot be read."""
    if folder is None or not (folder / "findings.dcm").is_file():
        return None
    try:
        found = dcmread(folder / "findings.dcm", stop_before_pixels=True)
    except UNREADABLE:
        return None
    return found if str(found.get("StudyInstanceUID", "")) == study_uid else None
