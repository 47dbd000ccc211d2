"""All DICOM objects of one case, agreeing with each other, each made as soon as what it shows is settled."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pydicom import dcmread

from spondyl.io.dicom import UNREADABLE
from spondyl.io.displayed import LESIONS, VERTEBRAE, DisplayedSeries, Outlined, segmentations
from spondyl.io.parametric_map import MAPS, parametric_map
from spondyl.io.seg import lesions_shown, vertebrae_shown
from spondyl.io.sr import findings_report
from spondyl.io.store import save
from spondyl.io.summary import encapsulated_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from spondyl.core import Case
    from spondyl.core.at_once import Beside
    from spondyl.io.reference import SourceSeries
    from spondyl.io.seg import SegmentationKind


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


class _Part(NamedTuple):
    """A part of the results: what of a case it shows, and what writes it."""

    shown: Callable[[Case], tuple[Any, ...]]
    write: Callable[[Case], _Written]


class _Written(NamedTuple):
    """Files by name, and the object on the reference series, where one was made."""

    files: dict[str, Path]
    first: Dataset | None = None


class ResultWriter:
    """Writes the DICOM objects of a case into a folder.

    What is known early can be begun early, beside other work; what has changed since is made anew.

    Parameters
    ----------
    sources : mapping of str to SourceSeries
        The series that were read, by SeriesInstanceUID; empty for a study that did not come as DICOM.
    folder : Path
        Made if missing.
    kind : str, optional
        ``"BINARY"`` or ``"LABELMAP"`` segmentations.
    beside : Beside, optional
        Where parts are begun.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceSeries],
        folder: Path,
        *,
        kind: SegmentationKind = "BINARY",
        beside: Beside | None = None,
    ) -> None:
        self._series = DisplayedSeries(sources)
        self._folder = folder
        self._kind = kind
        self._beside = beside
        self._begun: dict[str, tuple[Any, ...]] = {}
        self._parts = {
            "vertebrae": _Part(vertebrae_shown, partial(self._outlines, outlined=VERTEBRAE)),
            "lesions": _Part(lesions_shown, partial(self._outlines, outlined=LESIONS)),
            "maps": _Part(_maps_shown, self._maps),
        }

    def begin(self, name: str, case: Case) -> None:
        """Begin a part, beside the work that goes on.

        Parameters
        ----------
        name : str
            ``"vertebrae"``, ``"lesions"`` or ``"maps"``.
        case : Case
            The record so far.
        """
        if self._beside is None:
            return
        part = self._parts[name]
        self._begun[name] = part.shown(case)
        self._beside.begin(f"written {name}", part.write, case)

    def write(self, case: Case, *, summary: bytes = b"", before: Path | None = None) -> WrittenResults:
        """Write what is missing.

        Parameters
        ----------
        case : Case
            With a reference image; whatever else it lacks is left out.
        summary : bytes, optional
            A PDF to go along as ``summary.dcm``, such as `spondyl.io.summary.summary_pdf` makes.
        before : Path, optional
            The folder of the objects of an earlier analysis; its report is named as the predecessor of the new one if
            it is of the same study.

        Returns
        -------
        WrittenResults
            The files, and the reason for each that was left out.

        Raises
        ------
        OutputError
            If the case has no reference image.
        GeometryError
            If the axes of its grid are not at right angles.
        """
        vertebrae, lesions, maps = (self._written(name, case) for name in self._parts)
        reference = self._series.of(case)
        others: dict[str, Dataset | None] = {
            "findings.dcm": findings_report(
                case,
                reference,
                vertebrae=vertebrae.first,
                lesions=lesions.first,
                predecessor=_report_before(before, str(reference.headers[0].StudyInstanceUID)),
            )
        }
        if summary:
            others["summary.dcm"] = encapsulated_summary(summary, reference)
        written = {name: self._save(made, name) for name, made in others.items() if made is not None}
        files = vertebrae.files | lesions.files | written | maps.files
        return WrittenResults(files, {name: why for name, why in _REASONS.items() if name not in files})

    def _written(self, name: str, case: Case) -> _Written:
        """Give a part as it was begun, or write it where it was not, or shows something else by now."""
        part, shown = self._parts[name], self._begun.pop(name, None)
        if self._beside is None or shown is None:
            return part.write(case)
        if shown == part.shown(case):
            found: _Written = self._beside.result(f"written {name}")
            return found
        with suppress(Exception):  # whatever became of it
            for file in self._beside.result(f"written {name}").files.values():
                file.unlink()
        return part.write(case)

    def _outlines(self, case: Case, *, outlined: Outlined) -> _Written:
        files, first = {}, None
        for name, made in segmentations(case, self._series, outlined, kind=self._kind):
            files[name] = self._save(made, name)
            first = first or made
        return _Written(files, first)

    def _maps(self, case: Case) -> _Written:
        reference = self._series.of(case)
        made = {f"{kind.name}.dcm": parametric_map(case, reference, kind) for kind in MAPS}
        return _Written({name: self._save(one, name) for name, one in made.items() if one is not None})

    def _save(self, made: Dataset, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return save(made, self._folder / name)


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
        As for `ResultWriter.write`.
    sources : mapping of str to SourceSeries
        As for `ResultWriter`.
    folder : Path
        As for `ResultWriter`.
    kind : str, optional
        As for `ResultWriter`.
    summary : bytes, optional
        As for `ResultWriter.write`.
    before : Path, optional
        As for `ResultWriter.write`.

    Returns
    -------
    WrittenResults
        The files, and the reason for each that was left out.
    """
    return ResultWriter(sources, folder, kind=kind).write(case, summary=summary, before=before)


def _maps_shown(case: Case) -> tuple[Any, ...]:
    return (case.reference, *(case.maps.get(kind.name) for kind in MAPS))


def _report_before(folder: Path | None, study_uid: str) -> Dataset | None:
    """Read the header of an earlier report of the same study; None where there is none, or it cannot be read."""
    if folder is None or not (folder / "findings.dcm").is_file():
        return None
    try:
        found = dcmread(folder / "findings.dcm", stop_before_pixels=True)
    except UNREADABLE:
        return None
    return found if str(found.get("StudyInstanceUID", "")) == study_uid else None
