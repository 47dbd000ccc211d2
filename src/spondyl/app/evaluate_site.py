"""A hospital's own evaluation: studies and truth in, two pages, a reporting table and all numbers out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.app.evaluate_files import MARK, SCHEMA
from spondyl.app.reader_files import write_document, write_pages
from spondyl.app.site_analyses import SiteAnalysis, analyze_site, list_studies
from spondyl.app.site_pictures import failure_view
from spondyl.app.site_report import SiteFindings, headline, reporting_page, site_page
from spondyl.app.site_truth import read_truth
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.drift import Drift, Period, drift
from spondyl.evaluation.generalization import Readings
from spondyl.evaluation.records import plain
from spondyl.evaluation.site import failures, site_performance, vertebra_readings
from spondyl.evaluation.site_cases import pair_study
from spondyl.io.page import write_html
from spondyl.io.pdf import write_pdf
from spondyl.io.reporting import answers_text, fill, items_csv, read_answers
from spondyl.io.store import OutputFolder
from spondyl.io.weights import packaged_cards
from spondyl.pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from spondyl.evaluation.site_cases import PairedStudy, PairedVertebra, TrueStudy
    from spondyl.io.reporting import Item
    from spondyl.io.site_figures import FailureView
    from spondyl.pipeline.run import Progress

THRESHOLD = 0.5
"""Probability of malignancy from which a vertebra counts as called malignant: more likely than not. Chosen by us."""

PICTURED = 4
"""Failures shown as pictures: as many as fit side by side on paper."""

LEAST_OF_PERIOD = 2
"""Studies that each period needs to be compared at all."""

JUDGE = "vertebrae_context"
"""Network whose card holds the figures of the classes as measured in development."""


@dataclass(frozen=True)
class SiteChoices:
    """What a user chooses.

    Parameters
    ----------
    threshold : float
        Probability from which a vertebra or study is called malignant; chosen on other data.
    analyses : Path or None
        Where analyses are and missing ones are kept; beside the result folder unless given.
    answers : Path or None
        A hospital's answers for the reporting table.
    before : Path or None
        ``results.json`` of an earlier evaluation, or its folder, to compare with.
    settings : Settings
        How studies are analyzed.

    Raises
    ------
    SettingsError
        If the threshold does not lie between 0 and 1.
    """

    threshold: float = THRESHOLD
    analyses: Path | None = None
    answers: Path | None = None
    before: Path | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            msg = f"the threshold must lie between 0 and 1, got {self.threshold:g}"
            raise SettingsError(msg)


def evaluate_site(
    studies: Path, truth: Path, out: Path, choices: SiteChoices | None = None, progress: Progress | None = None
) -> str:
    """Evaluate the analysis on a hospital's studies and write the report.

    Parameters
    ----------
    studies : Path
        One folder, zip or NIfTI file a study, or one analysis of it.
    truth : Path
        The table of `spondyl.app.site_truth.read_truth`.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    choices : SiteChoices, optional
        What a user chose.
    progress : callable, optional
        Told before each study that is analyzed.

    Returns
    -------
    str
        The main result as a sentence without its full stop.

    Raises
    ------
    InputError
        If studies, truth, answers or an earlier evaluation cannot be used.
    OutputError
        If the result or an analysis cannot be written.
    """
    chosen = choices or SiteChoices()
    true = read_truth(truth)
    answers = read_answers(chosen.answers) if chosen.answers is not None else {}
    before = read_period(chosen.before, chosen.threshold) if chosen.before is not None else None
    listed = list_studies(studies)
    wanted = _matched(true, listed)
    with OutputFolder(out, mark=MARK) as folder:
        analyses = analyze_site(
            wanted, chosen.analyses or out.with_name(f"{out.name}-analyses"), chosen.settings, progress
        )
        paired = [pair_study(t, analyses[name].found) for name, t in true.items()]
        n_left = len(listed) - len(wanted)
        notes = (f"{n_left} studies have no truth and were not used.",) if n_left else ()
        found = _findings(paired, list(analyses.values()), chosen.threshold, before, notes)
        items = fill(answers, found.unavailable)
        write_document(folder / MARK, {"schema": SCHEMA, **plain(site_document(found, paired, items))})
        page = site_page(found, items)
        write_pages(folder, page)
        table = reporting_page(items, page.subject)
        write_html(table, folder / "reporting.html")
        write_pdf(table, folder / "reporting.pdf")
        (folder / "reporting.csv").write_text(items_csv(items), encoding="utf-8")
        (folder / "answers.toml").write_text(answers_text(answers), encoding="utf-8")
    return headline(found.performance)


def _matched(true: Mapping[str, TrueStudy], listed: Mapping[str, Path]) -> dict[str, Path]:
    missing = [t.number for name, t in true.items() if name not in listed]
    if missing:
        msg = (
            f"every study of the truth must be in the folder of studies, {len(missing)} of {len(true)} are not (first: "
            f"number {missing[0]} of the truth); its name is that of the folder, or of the file without its ending"
        )
        raise InputError(msg)
    return {name: listed[name] for name in true}


def _findings(
    paired: Sequence[PairedStudy],
    analyses: Sequence[SiteAnalysis],
    threshold: float,
    before: Period | None,
    notes: tuple[str, ...],
) -> SiteFindings:
    documents = [a.document for a in analyses if a.document is not None]
    hashes = {(name, sha) for d in documents for name, sha in d["models"].items()}
    models = {name: sorted(s for n, s in hashes if n == name) for name in sorted({n for n, _ in hashes})}
    performance = site_performance(paired, threshold)
    every = failures(paired, threshold, performance.flow.n_vertebrae)
    return SiteFindings(
        performance,
        vertebra_readings(paired, threshold),
        _drift(paired, threshold, before),
        every,
        _views(every, paired, analyses),
        _development(models),
        models,
        notes,
    )


def _views(
    failed: Sequence[PairedVertebra], paired: Sequence[PairedStudy], analyses: Sequence[SiteAnalysis]
) -> tuple[FailureView, ...]:
    analysis = {p.true.number: a for p, a in zip(paired, analyses, strict=True)}
    views: list[FailureView] = []
    for vertebra in failed[: 2 * PICTURED]:
        view = failure_view(vertebra, analysis[vertebra.study]) if len(views) < PICTURED else None
        if view is not None:
            views.append(view)
    return tuple(views)


def _development(models: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Give what was measured in development with the very weights that made the analyses."""
    for card in packaged_cards():
        if card.name == JUDGE and models.get(JUDGE) == [card.sha256]:
            ensemble = card.details.get("ensemble", {})
            if "measured" in ensemble:
                return {"measured": ensemble["measured"], "measured_on": ensemble.get("measured_on", "not told")}
    return {}


def _drift(paired: Sequence[PairedStudy], threshold: float, before: Period | None) -> Drift | None:
    """Compare with an earlier evaluation, or later patients with earlier ones: no patient stands on both sides."""
    if before is not None:
        return drift(before, _period("now", paired, threshold))
    dated = [p for p in paired if not math.isnan(p.true.when)]
    if not dated:
        return None
    first: dict[str, float] = {}
    for p in dated:
        first[p.true.patient] = min(p.true.when, first.get(p.true.patient, math.inf))
    middle = float(np.median([first[p.true.patient] for p in dated]))
    early = [p for p in dated if first[p.true.patient] < middle]
    late = [p for p in dated if first[p.true.patient] >= middle]
    if min(len(early), len(late)) < LEAST_OF_PERIOD or not all(
        any(p.vertebrae for p in half) for half in (early, late)
    ):
        return None
    return drift(_period("earlier half", early, threshold), _period("later half", late, threshold))


def _period(name: str, paired: Sequence[PairedStudy], threshold: float) -> Period:
    done = [p for p in paired if not p.found.failed]
    scores = np.array([p.found.score for p in done])
    return Period(name, vertebra_readings(paired, threshold), scores, [p.found.flags for p in done])


def read_period(path: Path, threshold: float) -> Period:
    """Read the cases of an earlier evaluation.

    Parameters
    ----------
    path : Path
        Its ``results.json``, or its folder.
    threshold : float
        Probability from which a vertebra is called malignant.

    Returns
    -------
    Period
        The earlier studies.

    Raises
    ------
    InputError
        If the file is no evaluation of a site.
    """
    file = path / MARK if path.is_dir() else path
    try:
        cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
        studies = [s for s in cases["studies"] if not s["failed"]]
        patient = {s["study"]: s["patient"] for s in cases["studies"]}
        rows = [(v["kind"] == "malignant", v["probability"], patient[v["study"]]) for v in cases["vertebrae"]]
        truth, score, patients = zip(*rows, strict=True)
        readings = Readings(np.array(truth, dtype=bool), np.array(score), threshold, patients)
        scores = np.array([s["score"] for s in studies])
        return Period("before", readings, scores, [tuple(s["flags"]) for s in studies])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"an earlier evaluation of a site was wanted, but {file.name} cannot be read as one "
            f"({type(error).__name__}); give the results.json of spondyl evaluate site"
        )
        raise InputError(msg) from error


def site_document(found: SiteFindings, paired: Sequence[PairedStudy], items: Sequence[Item]) -> dict[str, Any]:
    """Give everything as a document, without a name of a study or patient.

    Parameters
    ----------
    found : SiteFindings
        What was found.
    paired : sequence of PairedStudy
        The studies.
    items : sequence of Item
        Reporting items.

    Returns
    -------
    dict
        For ``results.json``; ``cases`` serve a later evaluation to compare with.
    """
    patients = {name: n for n, name in enumerate(dict.fromkeys(p.true.patient for p in paired), 1)}
    studies = [
        {
            "study": p.true.number,
            "patient": patients[p.true.patient],
            "malignant": p.true.malignant,
            "score": p.found.score,
            "failed": p.found.failed,
            "flags": p.found.flags,
            "groups": p.groups,
        }
        for p in paired
    ]
    return {
        "task": "site",
        "threshold": found.readings.threshold,
        "performance": found.performance,
        "drift": found.drift,
        "failures": [_row(v) for v in found.failures],
        "development": found.development,
        "models": found.models,
        "notes": found.notes,
        "cases": {"studies": studies, "vertebrae": [_row(v) for p in paired for v in p.vertebrae]},
        "reporting": items,
    }


def _row(v: PairedVertebra) -> dict[str, Any]:
    return {
        "study": v.study,
        "level": v.level,
        "kind": v.kind,
        "probability": v.probability,
        "found": v.found is not None,
        "named": None if v.found is None else v.found.level,
    }
