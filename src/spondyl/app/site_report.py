"""The two pages of a hospital's own evaluation, and the table that says where reporting guidelines are answered."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spondyl.evaluation.curves import roc_curve
from spondyl.evaluation.records import Table, show
from spondyl.io.page import Cells, Heading, Page, Remarks, Words
from spondyl.io.reporting import GUIDELINES, State
from spondyl.io.site_figures import Curves, failures_picture, performance_picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spondyl.evaluation.drift import Drift
    from spondyl.evaluation.generalization import Performance, Readings
    from spondyl.evaluation.records import Estimate
    from spondyl.evaluation.site import SitePerformance
    from spondyl.evaluation.site_cases import PairedVertebra
    from spondyl.io.page import Block
    from spondyl.io.reporting import Item
    from spondyl.io.site_figures import FailureView

MOST_GROUP_ROWS, MOST_REMARKS = 12, 6
"""Rows of subgroups and sentences of limits that the two pages hold; the rest is in ``results.json``."""

SMALL_CLASS = 30
"""Fewer malignant or other vertebrae than this make figures too wide to decide by; 100 of each are asked for to judge
calibration (Collins 2016, doi 10.1002/sim.6787)."""

SOURCES = (
    "Methods. A malignant vertebra that was not found, not named or not judged counts as missed, with probability 0; "
    "levels that the truth does not name are normal; a study's answer is its highest probability. Areas: DeLong 1988, "
    "doi 10.2307/2531595, over vertebrae of one patient Obuchowski 1997, doi 10.2307/2533958; groups against the rest, "
    "p adjusted by Holm. Shares: Wilson 1927, doi 10.1080/01621459.1927.10502953, widened where patients repeat. "
    "Calibration: Austin & Steyerberg 2014, doi 10.1002/sim.5941. Drift: Kolmogorov-Smirnov on whole studies. Marks "
    "per study and levels: percentiles over resampled patients. Intervals cover 95 %."
)


@dataclass(frozen=True, eq=False)
class SiteFindings:
    """Everything that the report shows.

    Parameters
    ----------
    performance : SitePerformance
        The figures.
    readings : Readings
        Vertebrae, for the curves.
    drift : Drift or None
        Against an earlier period.
    failures : tuple of PairedVertebra
        All, the gravest first.
    views : tuple of FailureView
        Pictures of the first ones.
    development : mapping
        Figures on the card of the networks used, and the data they were measured on; empty where not known.
    models : mapping of str to list of str
        Hashes of the weights by network.
    notes : tuple of str
        Further limits.
    """

    performance: SitePerformance
    readings: Readings
    drift: Drift | None
    failures: tuple[PairedVertebra, ...]
    views: tuple[FailureView, ...]
    development: Mapping[str, Any]
    models: Mapping[str, Sequence[str]]
    notes: tuple[str, ...]

    @property
    def unavailable(self) -> set[str]:
        """Parts of the report that there was nothing for, by their key in the reporting table."""
        groups = self.performance.groups.rows
        by_header = {r.variable for r in groups} & {"vendor", "model", "field strength"}
        empty = {
            "characteristics": not groups,
            "subgroups": not groups,
            "subgroup_methods": not groups,
            "scanners": not by_header,
            "failures": not self.failures,
            "development_difference": not self.development,
            "severity": not self.performance.lesion_sensitivity_by_size,
        }
        return {key for key, is_empty in empty.items() if is_empty}


def site_page(found: SiteFindings, items: Sequence[Item]) -> Page:
    """Lay out the report.

    Parameters
    ----------
    found : SiteFindings
        What it shows.
    items : sequence of Item
        The reporting items, filled.

    Returns
    -------
    Page
        Two pages of A4.
    """
    p, flow = found.performance, found.performance.flow
    blocks: list[Block] = [Words(sentence, "lead") for sentence in _summary(found)]
    limits = _limits(found)
    blocks += [Heading("What limits this result"), Remarks(limits)] if limits else []
    blocks += [Heading("Performance", "on this site's studies"), Cells(_performance_table(found), titled=False)]
    blocks += [Cells(_further_table(p), titled=False), _curves(found)]
    blocks += [Words(SOURCES, "quiet")]
    blocks += [Heading("Scanners and subgroups", "vertebrae, malignant against the rest")]
    blocks += [Cells(_group_table(p), titled=False)] if p.groups.rows else [Words("All are of one group.", "quiet")]
    blocks += [Heading("Drift"), *_drift_blocks(found.drift)]
    blocks += [Heading("Failures", "the gravest missed and wrongly called vertebrae"), *_failure_blocks(found)]
    blocks += [
        Heading("Reporting", "every item with where it is answered: reporting.html"),
        Cells(_counts(items), titled=False),
    ]
    subject = f"{flow.n_studies} studies of {flow.n_patients} patients"
    return Page(headline(p), "Evaluation at your site", subject, tuple(blocks), compact=True)


def headline(p: SitePerformance) -> str:
    """Say the main result in a sentence.

    Parameters
    ----------
    p : SitePerformance
        The figures.

    Returns
    -------
    str
        Such as "Malignant vertebrae are told from others with an AUC of 0.830 (0.710 to 0.950)".
    """
    found = p.vertebrae
    if not math.isnan(found.area.value):
        return f"Malignant vertebrae are told from others with an AUC of {found.area}"
    if found.n_positive:
        return f"Sensitivity for malignant vertebrae is {found.scores.sensitivity}"
    return f"Specificity for malignant vertebrae is {found.scores.specificity}"


def _summary(found: SiteFindings) -> list[str]:
    p, flow = found.performance, found.performance.flow
    s = p.vertebrae.scores
    return [
        f"{flow.n_studies} studies of {flow.n_patients} patients, {flow.n_malignant_studies} with malignant disease; "
        f"{flow.n_vertebrae} vertebrae: {flow.n_malignant} malignant, {flow.n_benign} benign.",
        f"Called malignant from a probability of {found.readings.threshold:g}: {s.true_positive} of {flow.n_malignant} "
        f"malignant vertebrae found, {s.false_positive} others called wrongly.",
    ]


def _limits(found: SiteFindings) -> tuple[str, ...]:
    p, flow = found.performance, found.performance.flow
    rest = flow.n_vertebrae - flow.n_malignant
    told = [
        (
            min(flow.n_malignant, rest) < SMALL_CLASS,
            f"{flow.n_malignant} malignant and {rest} other vertebrae are few: believe the intervals, not the values.",
        ),
        (
            flow.n_failed > 0,
            f"{flow.n_failed} studies could not be analyzed; their malignant vertebrae count as missed.",
        ),
        (flow.n_not_found > 0, f"{flow.n_not_found} true vertebrae were not found under their name or at their place."),
        (
            flow.n_not_judged > 0,
            f"{flow.n_not_judged} vertebrae were found, but not judged; they count as probability 0.",
        ),
        (flow.n_unnamed > 0, f"{flow.n_unnamed} vertebrae were found, but not named, and compare with no truth."),
        (
            any(len(hashes) > 1 for hashes in found.models.values()),
            "The analyses were made with different weights; delete them and evaluate again to judge one version.",
        ),
    ]
    items = [text for holds, text in told if holds]
    items += [*found.notes, *(_sentence(flag) for flag in (*p.vertebrae.flags, *p.groups.flags))]
    calibration = p.vertebrae.calibration
    items += [_sentence(flag) for flag in (calibration.flags if calibration else ())]
    return tuple(dict.fromkeys(items))[:MOST_REMARKS]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _performance_table(found: SiteFindings) -> Table:
    p = found.performance
    columns = (p.vertebrae, p.studies)
    measured = found.development.get("measured", {})
    rows = [_row("AUC", [x.area for x in columns], measured.get("auc_malignant"))]
    for name, title in (("sensitivity", ""), ("specificity", ""), ("ppv", "PPV"), ("npv", "NPV")):
        rows.append(_row(title or name, [getattr(x.scores, name) for x in columns]))
    rows += _calibration_rows(columns, measured)
    if not found.development:
        return Table.of("", ("malignancy", "vertebrae", "studies"), [row[:-1] for row in rows])
    notes = [f"In development: on {found.development['measured_on']}."]
    return Table.of("", ("malignancy", "vertebrae", "studies", "in development"), rows, notes)


def _row(name: str, values: Sequence[Estimate | float | str], development: float | None = None) -> tuple[str, ...]:
    cells = [str(v) if not isinstance(v, float) else show(v) for v in values]
    return (name, *cells, "" if development is None else show(float(development)))


def _calibration_rows(columns: Sequence[Performance], measured: Mapping[str, float]) -> list[tuple[str, ...]]:
    both = [x.calibration for x in columns]
    wanted = (
        ("observed / expected", "observed_to_expected", None),
        ("calibration slope", "slope", None),
        ("calibration intercept", "intercept", None),
        ("calibration error", "expected_error", measured.get("calibration_error_malignant")),
    )
    return [_row(name, [getattr(c, key) if c else "" for c in both], dev) for name, key, dev in wanted]


def _further_table(p: SitePerformance) -> Table:
    rows: list[tuple[str, Any]] = [
        ("lesions in whose vertebra one was marked", p.lesion_sensitivity),
        ("marks elsewhere, per study", p.false_marks),
    ]
    rows += [(f"lesions of {g.name} marked", g.sensitivity) for g in p.lesion_sensitivity_by_size if g.n_lesions]
    if p.levels is not None:
        rows += [("vertebrae named rightly", p.levels.accuracy), ("studies with every level right", p.levels.all_right)]
    rows += [
        ("prediction sets that hold the truth", p.set_coverage),
        ("vertebrae left indeterminate", p.indeterminate),
    ]
    return Table.of("", ("lesions, levels, certainty", "value (95 % interval)"), [(n, str(e)) for n, e in rows])


def _curves(found: SiteFindings) -> Any:
    r, p = found.readings, found.performance.vertebrae
    both = bool(r.truth.any() and not r.truth.all())
    curve = roc_curve(r.truth, r.score) if both else None
    fit = p.calibration if both else None
    point = (1 - p.scores.specificity.value, p.scores.sensitivity.value)
    made = Curves(
        curve.false_positive_rate if curve else None,
        curve.sensitivity if curve else None,
        point,
        fit.curve_predicted if fit else None,
        fit.curve_observed if fit else None,
        r.score,
        r.truth,
    )
    return performance_picture(made, "Vertebrae: ROC curve, smooth calibration curve, and where the answers lie.")


def _group_table(p: SitePerformance) -> Table:
    rows = []
    for r in p.groups.rows[:MOST_GROUP_ROWS]:
        x = r.performance
        gap = f"{r.against_rest.value:+.2f}, p {show(r.adjusted_p, 2)}" if r.against_rest else ""
        figures = (x.area, x.scores.sensitivity, x.scores.specificity)
        rows.append((f"{r.variable}: {r.group}", f"{x.n_cases} ({x.n_positive})", *(_short(e) for e in figures), gap))
    left = len(p.groups.rows) - len(rows)
    notes = [f"{left} more groups are in results.json."] if left > 0 else []
    head = ("group", "cases (malignant)", "AUC", "sensitivity", "specificity", "AUC less the rest")
    return Table.of("", head, rows, notes)


def _short(e: Estimate) -> str:
    """Write an estimate of a small group, whose third digit says nothing."""
    return (
        "" if math.isnan(e.value) else str(e) if math.isnan(e.low) else f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})"
    )


def _drift_blocks(drift: Drift | None) -> list[Block]:
    if drift is None:
        text = "Not assessable: give dates in the truth (column date), or an earlier evaluation with --before."
        return [Words(text, "quiet")]
    return [Cells(drift.table(), titled=False)]


def _failure_blocks(found: SiteFindings) -> list[Block]:
    if not found.failures:
        return [Words("No vertebra was missed or called malignant wrongly at this threshold.", "quiet")]
    kinds = Counter("missed" if v.malignant else "false alarms" for v in found.failures)
    told = ", ".join(f"{kinds[k]} {k}" for k in ("missed", "false alarms") if kinds[k])
    if not found.views:
        return [Words(f"{told}. No pictures: the images of these studies are not at hand.", "quiet")]
    caption = (
        f"{told}; all are in results.json. Studies are counted in the order of the truth. Rings mark the vertebra; "
        "numbers are probabilities of malignancy."
    )
    return [failures_picture(found.views, caption)]


def _counts(items: Sequence[Item]) -> Table:
    rows = []
    for guideline in GUIDELINES:
        states = Counter(i.state for i in items if i.guideline == guideline)
        rows.append((guideline, sum(states.values()), *(states[s] for s in State)))
    return Table.of("", ("guideline", "items", *(str(s) for s in State)), rows)


def reporting_page(items: Sequence[Item], subject: str) -> Page:
    """Lay out the filled reporting table.

    Parameters
    ----------
    items : sequence of Item
        As filled.
    subject : str
        What was evaluated.

    Returns
    -------
    Page
        One table per guideline.
    """
    n_open = sum(i.state is State.OPEN for i in items)
    blocks: list[Block] = [
        Words("Where each item is answered. Topics are in our words; read the guidelines beside this.", "lead"),
        Words("Open items are asked for in answers.toml: fill it in and give it with --answers.", "lead"),
    ]
    for guideline, source in GUIDELINES.items():
        rows = [(i.number, i.topic, str(i.state), i.answer) for i in items if i.guideline == guideline]
        table = Table.of("", ("item", "topic", "answered", "where"), rows)
        blocks += [Heading(guideline, source), Cells(table, titled=False)]
    title = f"{len(items) - n_open} of {len(items)} reporting items are answered"
    return Page(title, "Reporting table", subject, tuple(blocks), compact=True)
