"""Plan a reader study: its size, its endpoints, and who reads what when, as a protocol and as tables."""

from __future__ import annotations

import csv
import io as streams
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.app.reader_analysis import analyze_readings
from spondyl.app.reader_files import write_document
from spondyl.app.readers import MARK_PLAN
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.mrmc_sizing import (
    Goal,
    PlanningValues,
    StudySize,
    cases_needed,
    planning_values,
    power,
    size_table,
)
from spondyl.evaluation.reading_order import PlannedCase, ReadingTask, plan_cases, reading_order
from spondyl.evaluation.records import Table
from spondyl.evaluation.roe_metz import STRUCTURES, expected_values, published_values
from spondyl.io.page import Cells, Heading, Page, Words, write_html
from spondyl.io.pdf import write_pdf
from spondyl.io.reader_figures import power_picture
from spondyl.io.reader_study import read_readings
from spondyl.io.store import OutputFolder

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.io.page import Block

READERS_AROUND = (-2, 0, 2, 4)
"""Numbers of readers, relative to the one planned, for which sizes are shown."""

PUBLISHED = "published"
"""Plan with the correlations of a published study, the default without a pilot."""

CONJECTURED_CASES = 100
"""Cases of each class for which a conjecture gives components, which are then scaled."""

ENDPOINTS = (
    (
        "primary",
        "mean area under the ROC curve over readers",
        "difference between modalities; Obuchowski-Rockette, Hillis",
    ),
    ("secondary", "sensitivity and specificity at the action threshold", "the same model on calls"),
    ("secondary", "weighted AFROC, where findings are marked", "the same model on figures of merit"),
    ("secondary", "reading time", "ratio of geometric means; readers and cases random"),
    ("secondary", "agreement between readers", "Gwet AC2, Krippendorff alpha or intraclass correlation"),
    ("exploratory", "the algorithm alone against readers", "Obuchowski-Rockette with one algorithm"),
    ("exploratory", "usability", "System Usability Scale, mean with interval"),
)
"""Endpoints, what is measured and how it is analyzed; all are in ``spondyl readers analyze``."""


@dataclass(frozen=True)
class PlanChoices:
    """What a user can choose.

    Parameters
    ----------
    goal : Goal
        What the study is to show.
    n_readers : int
        Readers.
    n_cases : int, optional
        Cases; as many as needed if not given.
    positive_share : float
        Share of positive cases.
    modalities : tuple of str
        Ways of reading; the first is the one the others are compared with.
    sequential : bool
        Whether each case is read in all modalities at once.
    washout_weeks : int
        Weeks between sessions.
    seed : int
        Seed of the lists.
    pilot : Path, optional
        ``results.json`` of an analysis, or a file of readings.
    area : float
        Expected area in the first modality, where there is no pilot.
    structure : str
        Components where there is no pilot: `PUBLISHED`, or a structure of variances of Roe & Metz 1997.
    """

    goal: Goal
    n_readers: int = 8
    n_cases: int | None = None
    positive_share: float = 0.5
    modalities: tuple[str, ...] = ("unaided", "aided")
    sequential: bool = False
    washout_weeks: int = 4
    seed: int = 0
    pilot: Path | None = None
    area: float = 0.8
    structure: str = PUBLISHED


@dataclass(frozen=True)
class StudyPlan:
    """A planned study.

    Parameters
    ----------
    choices : PlanChoices
        What was asked for.
    values : PlanningValues
        What the size follows from.
    size : StudySize
        The size.
    sizes : Table
        Sizes for other numbers of readers.
    cases : tuple of PlannedCase
        Codes of cases.
    tasks : tuple of ReadingTask
        Who reads what when.
    """

    choices: PlanChoices
    values: PlanningValues
    size: StudySize
    sizes: Table
    cases: tuple[PlannedCase, ...]
    tasks: tuple[ReadingTask, ...]


def plan_study(choices: PlanChoices) -> StudyPlan:
    """Plan a study.

    Parameters
    ----------
    choices : PlanChoices
        What is asked for.

    Returns
    -------
    StudyPlan
        The plan.

    Raises
    ------
    InputError
        If the pilot cannot be used, or no number of cases is enough.
    SettingsError
        If choices do not fit together.
    """
    if len(choices.modalities) < 2:
        msg = f"a comparison needs two modalities, got {', '.join(choices.modalities)}"
        raise SettingsError(msg)
    values = _values(choices)
    size = _size(values, choices)
    around = [n for n in (choices.n_readers + d for d in READERS_AROUND) if _fits(n, choices.goal.n_groups)]
    sizes = size_table(values, choices.goal, around, choices.positive_share)
    n_blocks = 1 if choices.sequential else len(choices.modalities)
    cases = plan_cases(
        size.n_positive, size.n_negative, n_blocks=n_blocks, n_groups=choices.goal.n_groups, seed=choices.seed
    )
    tasks = reading_order(
        cases, choices.n_readers, choices.modalities, sequential=choices.sequential, seed=choices.seed
    )
    return StudyPlan(choices, values, size, sizes, cases, tasks)


def _fits(n_readers: int, n_groups: int) -> bool:
    return n_readers > n_groups and n_readers % n_groups == 0


def _values(choices: PlanChoices) -> PlanningValues:
    if choices.pilot is not None:
        return _pilot_values(choices.pilot)
    if choices.structure != PUBLISHED and choices.structure not in STRUCTURES:
        msg = f"the structure must be one of {PUBLISHED}, {', '.join(STRUCTURES)}; got {choices.structure!r}"
        raise SettingsError(msg)
    areas = choices.area, choices.area + choices.goal.effect
    if choices.structure == PUBLISHED:
        return published_values(areas, CONJECTURED_CASES, CONJECTURED_CASES)
    return expected_values(STRUCTURES[choices.structure], areas, CONJECTURED_CASES, CONJECTURED_CASES)


def _pilot_values(path: Path) -> PlanningValues:
    if path.suffix.lower() != ".json":
        return planning_values(analyze_readings(read_readings(path)).main)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))["result"]
        parts = result["components"]
        names = ("var_interaction", "variance", "cov1", "cov2", "cov3")
        numbers: dict[str, Any] = {n: float(parts[n]) for n in names}
        counts: dict[str, Any] = {n: int(result[n]) for n in ("n_positive", "n_negative")}
        return PlanningValues(**numbers, **counts, source=f"pilot of {int(result['n_readers'])} readers")
    except OSError:
        msg = "expected the results.json of a pilot, which cannot be read. Check its path"
        raise InputError(msg) from None
    except (ValueError, KeyError, TypeError):
        msg = (
            "expected the results.json of 'spondyl readers analyze' with components of variance, which several readers "
            "of two modalities give with --analysis or. Give that, or the file of readings itself"
        )
        raise InputError(msg) from None


def _size(values: PlanningValues, choices: PlanChoices) -> StudySize:
    goal = choices.goal
    if choices.n_cases is None:
        found = cases_needed(values, goal, choices.n_readers, choices.positive_share)
        if found is None:
            msg = (
                f"no number of cases is enough for {choices.n_readers} readers to reach a power of {goal.power:g}. "
                "Plan more readers, or for a larger difference"
            )
            raise InputError(msg)
        return _even(found, values, choices)
    n_positive = round(choices.n_cases * choices.positive_share)
    if not 0 < n_positive < choices.n_cases:
        msg = f"the study needs cases of both classes, got {n_positive} positive ones of {choices.n_cases}"
        raise SettingsError(msg)
    given = StudySize(choices.n_readers, n_positive, choices.n_cases - n_positive, 0, 0.0)
    return _even(given, values, choices)


def _even(size: StudySize, values: PlanningValues, choices: PlanChoices) -> StudySize:
    """Round classes up to whole blocks where cases are free, and say the power of what came out."""
    goal, n_modalities = choices.goal, len(choices.modalities)
    cells = goal.n_groups * (1 if choices.sequential else n_modalities)
    counts = size.n_positive, size.n_negative
    if choices.n_cases is None:
        counts = -(-counts[0] // cells) * cells, -(-counts[1] // cells) * cells
    reached = power(values, goal, choices.n_readers, *counts)
    each = n_modalities * -(-sum(counts) // goal.n_groups)
    return StudySize(choices.n_readers, *counts, each, reached)


def write_plan(plan: StudyPlan, out: Path) -> None:
    """Write a plan: protocol as HTML and PDF, tables as CSV, all as JSON.

    Parameters
    ----------
    plan : StudyPlan
        The plan.
    out : Path
        The folder: new, empty, or an earlier plan, which is replaced.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    page = protocol_page(plan)
    with OutputFolder(out, mark=MARK_PLAN) as folder:
        write_document(folder / MARK_PLAN, _document(plan))
        write_html(page, folder / "protocol.html")
        write_pdf(page, folder / "protocol.pdf")
        tables: dict[str, list[Any]] = {
            "sizes.csv": [plan.sizes.head, *plan.sizes.rows],
            "endpoints.csv": [("rank", "endpoint", "analysis"), *ENDPOINTS],
            "cases.csv": _records(plan.cases),
            "randomization.csv": _records(plan.tasks),
        }
        for name, rows in tables.items():
            stream = streams.StringIO()
            csv.writer(stream, lineterminator="\n").writerows(rows)
            (folder / name).write_text(stream.getvalue(), encoding="utf-8")


def _records(records: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    first = asdict(records[0])
    return [tuple(first), *(tuple(int(v) if isinstance(v, bool) else v for v in asdict(r).values()) for r in records)]


def _document(plan: StudyPlan) -> dict[str, Any]:
    choices = asdict(replace(plan.choices, pilot=None))
    choices["goal"]["population"] = str(plan.choices.goal.population)
    return {
        "choices": choices | {"pilot": plan.choices.pilot is not None},
        "planning_values": plan.values.to_dict(),
        "size": plan.size.to_dict() | {"n_cases": plan.size.n_cases},
        "sizes": [dict(zip(plan.sizes.head, row, strict=True)) for row in plan.sizes.rows],
        "endpoints": [dict(zip(("rank", "endpoint", "analysis"), row, strict=True)) for row in ENDPOINTS],
        "cases": [asdict(c) for c in plan.cases],
        "randomization": [asdict(t) for t in plan.tasks],
    }


def protocol_page(plan: StudyPlan) -> Page:
    """Lay out the protocol.

    Parameters
    ----------
    plan : StudyPlan
        The plan.

    Returns
    -------
    Page
        The protocol.
    """
    choices, size, goal = plan.choices, plan.size, plan.choices.goal
    first, *others = choices.modalities
    shown = (
        f"non-inferiority of {' and '.join(others)} to {first} by {goal.margin:g}"
        if goal.margin
        else f"a difference of {goal.effect:g}"
    )
    title = f"{size.n_readers} readers and {size.n_cases} cases show {shown} with {100 * size.power:.0f} % power"
    blocks: list[Block] = [
        Words(f"Planned from: {plan.values.source}. Figures of merit: areas under ROC curves.", "lead"),
        Heading("Design"),
        Cells(_design_table(plan), titled=False),
        Heading("Size"),
        Cells(plan.sizes),
        _curves(plan),
        Heading("Endpoints"),
        Cells(Table.of("", ("rank", "endpoint", "analysis"), ENDPOINTS), titled=False),
        Heading("Conduct"),
        *(Words(sentence) for sentence in _conduct(plan)),
        Heading("Lists"),
        Words(
            "cases.csv is for the coordinator alone: it says which codes are for positive cases. Put your cases under "
            "the codes of their class at random. randomization.csv gives each reader the order of codes and "
            f"modalities. Both follow from seed {choices.seed} and can be made again."
        ),
        Cells(_session_table(plan)),
        Heading("Sources"),
        Words(
            "Power: Hillis, Obuchowski & Berbaum 2011, doi 10.1016/j.acra.2010.09.007; Hillis 2014, doi "
            "10.1002/sim.5926. Conjectured components: Hillis 2020, doi 10.1117/12.2550541; Roe & Metz 1997, doi "
            "10.1016/S1076-6332(97)80032-3; Hillis 2018, doi 10.1002/sim.7616. "
            "Reporting: DECIDE-AI, doi 10.1038/s41591-022-01772-9; STARD 2015, doi 10.1136/bmj.h5527.",
            "quiet",
        ),
    ]
    subject = f"{size.n_readers} readers, {size.n_cases} cases"
    return Page(title, "Reader study protocol", subject, tuple(blocks), ("A plan, not yet approved by anybody.",))


def _design_table(plan: StudyPlan) -> Table:
    c, size, goal = plan.choices, plan.size, plan.choices.goal
    groups = f"{goal.n_groups} groups of readers with cases of their own (split-plot)"
    kind = "all readers read all cases (crossed)" if goal.n_groups == 1 else groups
    sessions = "one session, modalities one after the other" if c.sequential else f"{len(c.modalities)} sessions"
    pause = "none" if c.sequential else f"at least {c.washout_weeks} weeks"
    test = f"one-sided at {goal.alpha:g}, margin {goal.margin:g}" if goal.margin else f"two-sided at {goal.alpha:g}"
    rows = [
        ("modalities", ", ".join(c.modalities)),
        ("design", kind),
        ("readers", str(size.n_readers)),
        ("cases", f"{size.n_cases}: {size.n_positive} positive, {size.n_negative} negative"),
        ("readings per reader", str(size.readings_per_reader)),
        ("sessions", sessions),
        ("washout between sessions", pause),
        ("test", test),
        ("true difference assumed", f"{goal.effect:g}"),
        ("generalizes", str(goal.population)),
        ("power", f"{size.power:.3f}"),
    ]
    return Table.of("", ("", "planned"), rows)


def _curves(plan: StudyPlan) -> Any:
    n, goal, share = plan.size.n_readers, plan.choices.goal, plan.choices.positive_share
    counts = np.linspace(20, 2.2 * plan.size.n_cases, 60)
    readers = [k for k in (n - 2, n, n + 4) if _fits(k, goal.n_groups)] or [n]
    curves = {
        f"{k} readers": (counts, np.array([power(plan.values, goal, k, c * share, c * (1 - share)) for c in counts]))
        for k in readers
    }
    return power_picture(curves, goal.power, "Power over the number of cases; the line is the power wanted.")


def _conduct(plan: StudyPlan) -> list[str]:
    c = plan.choices
    mixed = (
        "Each case is read in all modalities one after the other; a score once given cannot be changed."
        if c.sequential
        else "Each session shows each case once; modalities alternate by blocks, and readers start with different "
        f"blocks. Sessions of a reader lie at least {c.washout_weeks} weeks apart."
    )
    return [
        "Before the first reading: register the protocol, fix the truth of every case without the algorithm's result, "
        "fix the threshold for calls, and train readers on cases that are not in the study.",
        f"Readers know neither the share of positive cases nor the truth. {mixed}",
        "For every reading the page stores reader, case, modality, score, findings and seconds; nothing is left out "
        "afterward. Interrupted readings are marked, not deleted.",
        "The analysis is the one named for each endpoint, with readers and cases random; what deviates is reported. "
        "Several modalities or endpoints are adjusted by Holm, or tested in the order of the table.",
    ]


def _session_table(plan: StudyPlan) -> Table:
    names = list(dict.fromkeys((t.reader, t.session) for t in plan.tasks))
    head = ("reader", "session", *plan.choices.modalities, "first cases")
    rows = []
    for reader, session in names:
        own = [t for t in plan.tasks if (t.reader, t.session) == (reader, session)]
        counts = [sum(t.modality == m for t in own) for m in plan.choices.modalities]
        rows.append((reader, session, *counts, ", ".join(t.case for t in own[:3]) + " …"))
    return Table.of("Readings by reader and session", head, rows)
