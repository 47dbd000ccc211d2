"""Analyze one study, from files to files: the service behind the command line and everything else that is asked for it.

Reading, the road of steps and writing are separate packages that do not know each other; only here are they put
together. A result appears whole or not at all.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tomli_w

from spondyl.core import InputError, NoSpineError
from spondyl.core.at_once import Beside, at_most
from spondyl.io.clinical import read_clinical
from spondyl.io.dicom_results import ResultWriter
from spondyl.io.nifti import write_nifti
from spondyl.io.omics import read_omics
from spondyl.io.panels import Pictures
from spondyl.io.prior import relation
from spondyl.io.prior_result import is_result, read_prior_result
from spondyl.io.report import write_report
from spondyl.io.result import result_document, write_result
from spondyl.io.store import OutputFolder
from spondyl.io.study import read_study
from spondyl.io.summary import summary_pdf
from spondyl.io.weights import load_network
from spondyl.lesions.criteria import irradiated_at
from spondyl.lesions.response import compare
from spondyl.pipeline.methods import methods_paragraph
from spondyl.pipeline.run import run, run_table
from spondyl.pipeline.settings import Settings
from spondyl.pipeline.steps import CLASSIFIERS, LESIONS, SPINE, STEPS
from spondyl.risk.early_step import assess_early
from spondyl.risk.step import chosen_model
from spondyl.socce.step import GIVEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from spondyl.core import Case, QualityFlag, Sequence
    from spondyl.io.prior import Relation
    from spondyl.io.study import Study
    from spondyl.models import Network
    from spondyl.pipeline.run import Progress

PARTS_BEFORE, PARTS_AFTER = ("read", "models"), ("write",)
"""What is done before and after the steps, for the progress shown."""

PART_PRIOR = "prior"
"""The analysis of a prior study, where there is one, just before the steps."""


SETTLED = {"localize": ("vertebrae",), "classify": ("lesions", "maps"), "explain": ("pictures",)}
"""What of the results no step after these changes any more, so that it can be written beside the steps that follow.
Where one does, it is written again."""


class PriorError(InputError):
    """The prior study cannot be used; without it, the study may be."""


@dataclass(frozen=True)
class AnalysisOptions:
    """What is rarely changed about an analysis.

    Parameters
    ----------
    sequence_files : mapping of Sequence to Path
        NIfTI files whose sequence is known.
    settings : Settings
        How to analyze.
    nifti : bool
        Whether label maps and maps are written as NIfTI, too.
    clinical : Path or None
        The clinical form.
    prior : Path or None
        An earlier study of the same patient, or the result folder of its analysis.
    omics : Path or None
        Omics of the patient, in any form that `spondyl.io.omics.read_omics` reads.
    flags : tuple of QualityFlag
        What is known beforehand to limit the result.
    """

    sequence_files: Mapping[Sequence, Path] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    nifti: bool = False
    clinical: Path | None = None
    prior: Path | None = None
    omics: Path | None = None
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True, eq=False)
class AnalysisResult:
    """A finished analysis.

    Parameters
    ----------
    case : Case
        The analyzed case.
    folder : Path
        The result folder.
    files : mapping of str to Path
        What was written, by role.
    document : mapping
        What ``result.json`` holds.
    """

    case: Case
    folder: Path
    files: Mapping[str, Path]
    document: Mapping[str, Any]

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.files["report"]


class _Clock:
    """Seconds by part of the work, and the progress told along."""

    def __init__(self, progress: Progress | None, before: tuple[str, ...]) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._progress = progress
        self._before = len(before)
        self._count = len(before) + len(STEPS) + len(PARTS_AFTER)

    @property
    def total_s(self) -> float:
        return time.perf_counter() - self._started

    def tell(self, name: str, number: int) -> None:
        if self._progress is not None:
            self._progress(name, number, self._count)

    def tell_step(self, name: str, number: int, _: int) -> None:
        self.tell(name, self._before + number)

    def tell_last(self, name: str) -> None:
        self.tell(name, self._count)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


def load_networks(settings: Settings) -> dict[str, Network]:
    """Load the networks that the road needs.

    Parameters
    ----------
    settings : Settings
        Names the networks and the threads they may use.

    Returns
    -------
    dict of str to Network
        By role; may be used for any number of analyses.

    Raises
    ------
    ModelError
        If the weights are missing or damaged.
    """
    names = {SPINE: settings.network, LESIONS: settings.lesion_network}
    names |= dict(zip(CLASSIFIERS, settings.vertebra_networks, strict=True))
    return {role: load_network(name, threads=settings.threads) for role, name in names.items()}


def analyze_study(
    study_path: Path | str | None,
    out_folder: Path | str,
    *,
    options: AnalysisOptions | None = None,
    networks: Mapping[str, Network] | None = None,
    progress: Progress | None = None,
) -> AnalysisResult:
    """Analyze a study and write everything that was found.

    Parameters
    ----------
    study_path : Path, str or None
        A DICOM folder, zip, DICOMDIR or file, or NIfTI; None if `options` names NIfTI files by sequence.
    out_folder : Path or str
        The result folder: new, empty, or an earlier result, which is replaced at the end.
    options : AnalysisOptions, optional
        What is rarely changed.
    networks : mapping of str to Network, optional
        Loaded already, for many analyses in one process.
    progress : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    AnalysisResult
        What was found and where it stands.

    Raises
    ------
    InputError
        If the study, the clinical form or the omics cannot be used, or no spine is in the study.
    OutputError
        If the result cannot be written.
    ModelError
        If the weights are missing or damaged.
    """
    options = options or AnalysisOptions()
    clock = _Clock(progress, PARTS_BEFORE + (() if options.prior is None else (PART_PRIOR,)))
    _keep_prior(options.prior, Path(out_folder))
    clinical = {} if options.clinical is None else read_clinical(options.clinical)
    omics = {} if options.omics is None else {GIVEN: read_omics(options.omics)}
    if options.settings.risk.enabled:
        chosen_model(options.settings.risk)  # a wrong one is told of before minutes of work
    threads = options.settings.threads
    # The folder first of all: minutes of work must not end at a read-only disk.
    with OutputFolder(out_folder) as folder, at_most(threads), Beside() as beside:
        clock.tell("read", 1)
        with clock.part("read"):
            study = read_study(Path(study_path or "."), sequence_files=options.sequence_files or None)
        clock.tell("models", 2)
        with clock.part("models"):
            loaded = networks if networks is not None else load_networks(options.settings)
        prior = None
        if options.prior is not None:
            clock.tell(PART_PRIOR, len(PARTS_BEFORE) + 1)
            with clock.part(PART_PRIOR):
                prior = _prior(study, options, loaded)
        given = study.case.with_(clinical=clinical, omics=omics).flagged(*options.flags)
        results = _Results(ResultWriter(study.sources, folder / "dicom", beside=beside), beside)
        case = run(given, options.settings, loaded, clock.tell_step, watch=results.begin, beside=beside)
        if prior is not None:
            with clock.part("response"):
                related = prior.relation
                settings = options.settings.response
                case = compare(case, prior.case, settings, days=related.days, same_patient=related.same_patient)
        if options.settings.risk.enabled:
            with clock.part("early disease"):
                case = assess_early(case, None if prior is None else prior.case, irradiated=_irradiated(case))
        clock.tell_last("write")
        written = replace(study, case=case)
        paths = _Paths(folder, Path(out_folder))
        files, document = _write(written, results, paths, options=options, clock=clock, prior=prior)
    out = Path(out_folder)
    return AnalysisResult(case, out, {role: out / name for role, name in files.items()}, document)


def _keep_prior(prior: Path | None, out: Path) -> None:
    """Refuse to write over the result that is compared with."""
    if prior is None or not is_result(Path(prior)):
        return
    folder = Path(prior) if Path(prior).is_dir() else Path(prior).parent
    if folder.resolve() == out.resolve():
        msg = "--prior and --out name the same folder, which would lose the prior result; choose another --out"
        raise InputError(msg)


def _irradiated(case: Case) -> list[int]:
    """Vertebrae that the form names as irradiated."""
    return [v.instance for v in case.vertebrae if v.level is not None and irradiated_at(case.clinical, v.level)]


class _Prior(NamedTuple):
    """An analyzed prior study and how it relates to the current one."""

    case: Case
    relation: Relation


def _prior(study: Study, options: AnalysisOptions, networks: Mapping[str, Network]) -> _Prior:
    """Read and analyze the prior study; what speaks against it is said before minutes are spent on it."""
    path = Path(options.prior or ".")
    analyzed = is_result(path)
    try:
        read = read_prior_result(path) if analyzed else read_study(path, sequence_files=None)
    except InputError as error:
        msg = f"the prior study cannot be used: {error}"
        raise PriorError(msg) from error
    try:
        related = relation(study, read)
    except InputError as error:
        raise PriorError(str(error)) from error
    if analyzed:
        return _Prior(read.case, related)
    try:
        return _Prior(run(read.case, options.settings, networks, None), related)
    except NoSpineError as error:
        msg = f"the prior study cannot be used: {error}; give a prior study of the spine"
        raise PriorError(msg) from error


class _Results:
    """What is written of a case: begun while steps go on, as far as they have settled it."""

    def __init__(self, writer: ResultWriter, beside: Beside) -> None:
        self.writer = writer
        self._beside = beside

    def begin(self, step: str, case: Case) -> None:
        """Begin what a step has settled."""
        for part in SETTLED.get(step, ()):
            if part == "pictures":
                self._beside.begin(part, Pictures(case).draw)
            else:
                self.writer.begin(part, case)

    def pictures(self, case: Case) -> Pictures:
        """Give the pictures of the case, those that were begun if they are of what it became."""
        if "pictures" not in self._beside:
            return Pictures(case)
        drawn: Pictures = self._beside.result("pictures")
        return drawn.of_later(case)


class _Paths(NamedTuple):
    """The folder that is filled, and the one whose place it takes."""

    folder: Path
    before: Path


def _write(
    study: Study, results: _Results, paths: _Paths, *, options: AnalysisOptions, clock: _Clock, prior: _Prior | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """Write every file of a result; ``result.json`` last, since it says what there is."""
    case, folder = study.case, paths.folder
    files: dict[str, str] = {}
    with clock.part("dicom"):
        pictures = results.pictures(case)
        summary = summary_pdf(case, pictures)
        written = results.writer.write(case, summary=summary, before=paths.before / "dicom")
        files |= {Path(name).stem: f"dicom/{name}" for name in written.files}
    if options.nifti:
        with clock.part("nifti"):
            files |= _write_niftis(case, folder)
    with clock.part("report"):
        write_report(
            case,
            folder / "report.html",
            methods=methods_paragraph(case),
            set_aside=study.set_aside,
            timings_s=clock.seconds,
            prior=None if prior is None else prior.case,
            pictures=pictures,
        )
    files |= {"report": "report.html", "run": "run.toml", "result": "result.json"}
    clock.seconds["total"] = clock.total_s
    table = run_table(case, options.settings, timings_s=clock.seconds)
    (folder / "run.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    document = result_document(case, set_aside=study.set_aside, timings_s=clock.seconds, files=files)
    write_result(document, folder / "result.json")
    return files, document


def _write_niftis(case: Case, folder: Path) -> dict[str, str]:
    (folder / "nifti").mkdir()
    volumes = dict(case.labels) | dict(case.maps)
    if case.reference is not None:
        volumes[str(case.reference).lower()] = case.images[case.reference]
    files = {}
    for name, volume in volumes.items():
        write_nifti(volume, folder / "nifti" / f"{name}.nii.gz")
        files[f"{name}_nifti"] = f"nifti/{name}.nii.gz"
    return files
