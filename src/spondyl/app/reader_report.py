"""The report of a reader study: a page that answers the question first and shows everything it stands on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl import __version__
from spondyl.core import SpondylError
from spondyl.evaluation.curves import roc_curve
from spondyl.evaluation.icc import IntraclassCorrelations
from spondyl.evaluation.mrmc_sizing import Goal, planning_values, size_table
from spondyl.evaluation.records import Table
from spondyl.io.page import Cells, Heading, Page, Remarks, Words
from spondyl.io.reader_figures import Interval, ratio_picture, reader_picture, roc_picture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spondyl.app.reader_analysis import ReaderAnalysis
    from spondyl.evaluation.agreement import Agreement
    from spondyl.evaluation.mrmc_result import MeritDifference, MrmcResult
    from spondyl.io.page import Block

NEXT_EFFECT, NEXT_POWER = 0.05, 0.8
"""The next study is sized to show this difference with this power: a difference that readers would notice, and the
usual power. Chosen by us."""

NEXT_READERS = (4, 6, 8, 10, 12, 16)
"""Numbers of readers for which the next study is sized."""

SURE = 0.05
"""A p value below this is called evidence of a difference; the usual level."""

_COVARIANCES = {"delong": "DeLong's", "jackknife": "the jackknife's", "unbiased": "unbiased, of U-statistics"}


def report_page(analysis: ReaderAnalysis, file_hash: str = "") -> Page:
    """Lay out the report.

    Parameters
    ----------
    analysis : ReaderAnalysis
        Everything that was found.
    file_hash : str, optional
        SHA-256 of the file of readings.

    Returns
    -------
    Page
        The report.
    """
    main, study = analysis.main, analysis.study
    blocks: list[Block] = [Words(s, "lead") for s in _summary(analysis)]
    limits = _limits(analysis)
    if limits:
        blocks += [Heading("What limits this result"), Remarks(limits)]
    blocks += [Heading("Comparison", f"{main.metric}, {main.generalizes}"), Cells(main.table())]
    if main.differences:
        blocks.append(Cells(main.difference_table()))
    blocks += _pictures(analysis)
    blocks.append(Cells(main.reader_table()))
    for result in analysis.others:
        blocks += [Heading(_capital(result.metric)), Cells(_without_flags(result.table()))]
        blocks += [Cells(result.difference_table())] if result.differences else []
    for name, results in analysis.standalone.items():
        blocks.append(Heading(f"{name} alone", "the algorithm against the readers"))
        first = results[0].difference_table()
        rows = [row for r in results for row in r.difference_table().rows]
        blocks.append(Cells(Table(first.title, first.head, tuple(rows))))
    blocks += _time_blocks(analysis) + _agreement_blocks(analysis) + _question_blocks(analysis)
    blocks += _next_blocks(main) + _method_blocks(analysis, file_hash)
    subject = f"{len(study.readers)} readers, {len(study.cases)} cases"
    return Page(headline(main), "Reader study", subject, tuple(blocks), ("Readings decide; no image was looked at.",))


def headline(result: MrmcResult) -> str:
    """Say the main result in a sentence.

    Parameters
    ----------
    result : MrmcResult
        The main comparison.

    Returns
    -------
    str
        Such as "AUC with aided reading is 0.05 above unaided (0.01 to 0.09)".
    """
    if not result.differences:
        m = result.means[0]
        return f"{result.metric} of {m.modality} is {m.value:.3f} ({m.low:.3f} to {m.high:.3f})"
    if len(result.means) > 2 and result.overall is not None:
        differ = "differs" if result.overall.p_value < SURE else "does not differ beyond chance"
        n, p = len(result.means), _p(result.overall.p_value)
        return f"{_capital(result.metric)} {differ} between {n} modalities ({p})"
    return _said(result.differences[0], result.metric)


def _said(d: MeritDifference, metric: str) -> str:
    if math.isnan(d.p_value):
        return f"{_capital(metric)} of {d.first} and {d.second} could not be tested"
    where = "above" if d.value > 0 else "below"
    found = f"{abs(d.value):.3f} {where}" if round(abs(d.value), 3) else "the same as"
    return f"{_capital(metric)} of {d.first} is {found} {d.second} ({d.low:+.3f} to {d.high:+.3f}, {_p(d.p_value)})"


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _summary(analysis: ReaderAnalysis) -> list[str]:
    main, study = analysis.main, analysis.study
    sentences = [
        f"{len(study.readers)} readers, {len(study.cases)} cases ({study.n_positive} positive), "
        f"{len(study.modalities)} {'modality' if len(study.modalities) == 1 else 'modalities'}: {study.design}. "
        f"The result generalizes {main.generalizes}."
    ]
    for d in main.differences:
        if d.margin:
            level = (1 - d.confidence) / 2
            verdict = "is shown" if d.p_non_inferior < level else "is not shown"
            sentences.append(
                f"Non-inferiority of {d.first} to {d.second} by a margin of {d.margin:g} {verdict} "
                f"(one-sided {_p(d.p_non_inferior)}, level {level:g})."
            )
    if main.differences and not any(d.margin for d in main.differences):
        none = [d for d in main.differences if not d.p_value < SURE]
        if none:
            sentences.append("An interval that holds zero is no proof of equality; its ends say what remains possible.")
    return sentences


def _limits(analysis: ReaderAnalysis) -> tuple[str, ...]:
    every = [analysis.main, *analysis.others, *(r for results in analysis.standalone.values() for r in results)]
    flags = [f for r in every for f in r.flags] + [f for d in analysis.main.differences for f in d.flags]
    return tuple(_capital(f) + ("" if f.endswith(".") else ".") for f in dict.fromkeys((*flags, *analysis.notes)))


def _without_flags(table: Table) -> Table:
    return Table(table.title, table.head, table.rows, tuple(n for n in table.notes if not n.startswith("!")))


def _pictures(analysis: ReaderAnalysis) -> list[Block]:
    main, study = analysis.main, analysis.study
    cell = {(r.reader, r.modality): Interval(r.value, r.low, r.high) for r in main.readers}
    readers = list(dict.fromkeys(r.reader for r in main.readers))
    values = {m.modality: [cell.get((r, m.modality)) for r in readers] for m in main.means}
    means = {m.modality: Interval(m.value, m.low, m.high) for m in main.means}
    of_readers = f"{main.metric} of each reader, and means with intervals ({main.generalizes})."
    made: list[Block] = [reader_picture(readers, values, means, main.metric, of_readers)]
    curves: dict[str, list[tuple[Any, Any]]] = {}
    for i, modality in enumerate(study.modalities):
        for j in range(len(study.readers)):
            read = study.read[i, j]
            if read.any() and len(set(study.truth[read].tolist())) == 2:
                curve = roc_curve(study.truth[read], study.scores[i, j][read])
                points = np.asarray(curve.false_positive_rate), np.asarray(curve.sensitivity)
                curves.setdefault(modality, []).append(points)
    if main.metric == "AUC" and curves:
        caption = "ROC curves of readers (thin), and their average over readers at equal false positive rate (thick)."
        made.append(roc_picture(curves, caption))
    return made


def _time_blocks(analysis: ReaderAnalysis) -> list[Block]:
    blocks: list[Block] = []
    for t in analysis.times:
        mean = Interval(t.ratio.value, t.ratio.low, t.ratio.high)
        axis = f"reading time, {t.first} relative to {t.second}"
        caption = "Ratio of reading times of each reader (geometric mean), and the mean with its interval."
        blocks += [Cells(t.table()), ratio_picture(t.by_reader, mean, axis, caption)]
    return [Heading("Reading time"), *blocks] if blocks else []


def _agreement_blocks(analysis: ReaderAnalysis) -> list[Block]:
    if not analysis.agreement:
        return []
    blocks: list[Block] = [Heading("Agreement between readers")]
    coefficients: list[tuple[str, Agreement]] = []
    for modality, made in analysis.agreement.items():
        if isinstance(made, IntraclassCorrelations):
            table = made.table()
            blocks.append(Cells(Table(f"{modality}: {table.title}", table.head, table.rows, table.notes)))
        else:
            coefficients += [(modality, a) for a in made]
    if coefficients:
        rows = [(m, a.method.split(",")[0], a.weighting, str(a), a.observed) for m, a in coefficients]
        blocks.append(Cells(Table.of("", ("modality", "coefficient", "weights", "estimate", "observed"), rows)))
    return blocks


def _question_blocks(analysis: ReaderAnalysis) -> list[Block]:
    blocks: list[Block] = []
    if analysis.usability is not None:
        blocks += [Heading("Usability"), Cells(analysis.usability.table())]
    if analysis.answers:
        rows = [(a.question.replace("_", " "), a.modality, a.mean, a.sd, a.n) for a in analysis.answers]
        head = ("question", "modality", "mean", "standard deviation", "answers")
        blocks += [Heading("Answers"), Cells(Table.of("", head, rows))]
    return blocks


def _next_blocks(main: MrmcResult) -> list[Block]:
    """Components of variance, and the study that would follow if this was a pilot."""
    if main.components is None:
        return []
    blocks: list[Block] = [Heading("Components of variance", "what the next study is sized from")]
    blocks.append(Cells(main.component_table(), titled=False))
    try:
        table = size_table(planning_values(main), Goal(NEXT_EFFECT, power=NEXT_POWER), NEXT_READERS)
    except SpondylError:
        return blocks
    note = "If this was a pilot. Sizes from small pilots are uncertain themselves; plan for more."
    return [*blocks, Cells(table), Words(note, "quiet")]


def _method_blocks(analysis: ReaderAnalysis, file_hash: str) -> list[Block]:
    main = analysis.main
    sentences = [
        f"{_capital(main.metric)} of every reader was compared by {main.method}.",
        f"Covariances of cases: {_COVARIANCES.get(main.covariance, main.covariance)}.",
        *_sources(analysis),
    ]
    blocks: list[Block] = [Heading("Methods"), Words(" ".join(sentences))]
    rows = [("Spondyl", __version__), ("readings, SHA-256", file_hash)] if file_hash else [("Spondyl", __version__)]
    return [*blocks, Cells(Table.of("", ("made with", ""), rows), titled=False)]


def _sources(analysis: ReaderAnalysis) -> Iterable[str]:
    name = analysis.main.method
    if "Obuchowski" in name:
        yield "Obuchowski & Rockette 1995, doi 10.1080/03610919508813243; Hillis 2007, doi 10.1002/sim.2532;"
        yield "Hillis 2014, doi 10.1002/sim.5926."
    elif "Dorfman" in name:
        yield "Dorfman 1992, doi 10.1097/00004424-199209000-00015; Hillis 2008, doi 10.1016/j.acra.2007.12.015."
    elif "U-statistics" in name:
        yield "Gallas 2006, doi 10.1016/j.acra.2005.11.030; Obuchowski 2012, doi 10.1016/j.acra.2012.09.012."
    yield "Covariances: DeLong 1988, doi 10.2307/2531595; Gallas 2007, doi 10.1364/JOSAA.24.000B70."
    if len(analysis.main.differences) > 1:
        yield "P values of pairs are adjusted by Holm 1979."
    if analysis.times:
        yield "Times: logarithms, readers and cases random; Searle 1992, Owen 2007, doi 10.1214/07-AOAS122."
    if analysis.agreement:
        yield "Agreement: Gwet 2014; Shrout & Fleiss 1979, doi 10.1037/0033-2909.86.2.420."
    if analysis.usability is not None:
        yield "Usability: Brooke 1996; grades by Sauro & Lewis 2016, adjectives by Bangor 2009."
