"""The report of a prognosis: how good it is, whether risks come true, and what they are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.records import Table, show
from spondyl.io.page import Cells, Heading, Page, Remarks, Words
from spondyl.io.risk_figures import (
    benefit_picture,
    calibration_picture,
    dependence_picture,
    survival_picture,
    swarm_picture,
    waterfall_picture,
)

if TYPE_CHECKING:
    from spondyl.app.cohort_risk import CohortRisk
    from spondyl.io.page import Block, Picture

GROUPS = ("lowest third of the risks", "middle third", "highest third")

MOST_CURVES = 4
"""Models whose net benefit is drawn."""


def headline(cohort: CohortRisk) -> str:
    """Say the main result in a sentence.

    Parameters
    ----------
    cohort : CohortRisk
        Everything that was found.

    Returns
    -------
    str
        The concordance, and on whom.
    """
    main = cohort.judged.scores[0]
    who = "patients of the test table" if cohort.tested else "patients, each predicted by fits that have not seen them"
    return (
        f"Of two patients the one with the earlier event has the higher risk in {_share(main)} ({len(cohort.y)} {who})"
    )


def _share(score: object) -> str:
    e = score.harrell.estimate  # type: ignore[attr-defined]
    return f"{e.value:.1%} of pairs ({e.low:.1%} to {e.high:.1%})"


def risk_page(cohort: CohortRisk) -> Page:
    """Lay out the report.

    Parameters
    ----------
    cohort : CohortRisk
        Everything that was found.

    Returns
    -------
    Page
        The report.
    """
    from spondyl.app.cohort_risk import weights

    refused = sum(bool(r) for r in cohort.reasons)
    events = int((cohort.y["event"] == 1).sum())
    blocks: list[Block] = [
        Words(f"{cohort.n_training} patients were learned from; {events} of those predicted had the event.", "lead"),
    ]
    notes = list(cohort.notes)
    if refused:
        notes.append(f"{refused} patients are unlike those learned from and are given no risk: see predictions.csv.")
    if len(cohort.horizons) and events < 50:
        notes.append(f"{events} events are few: every figure below is unsure, as its interval says.")
    if notes:
        blocks += [Heading("What limits this result"), Remarks(tuple(notes))]
    blocks += [Heading("How good it is, beside other models"), Cells(_models(cohort))]
    if cohort.judged.benefit is not None:
        blocks.append(_benefit(cohort))
    blocks += _truth(cohort)
    blocks += [Heading("What risks are made of"), *_explanations(cohort)]
    blocks += [Heading("Single patients"), *_patients(cohort)]
    rows = [(part or "all", name, w) for part, own in weights(cohort.model).items() for name, w in own.items()]
    blocks += [Heading("How it was done"), Words(_methods(cohort)), Cells(_weights(rows))]
    subject = f"{len(cohort.y)} patients, {len(cohort.encoding.players)} features"
    closing = ("SHAP values explain the model, not the disease: a feature may stand for another one that matters.",)
    return Page(headline(cohort), "Prognosis of a cohort", subject, tuple(blocks), closing)


def _models(cohort: CohortRisk) -> Table:
    rows = []
    for score in cohort.judged.scores:
        calibration = score.calibration[len(score.calibration) // 2] if score.calibration else None
        less = (
            ""
            if score.less is None
            else f"{show(score.less.value)} ({show(score.less.low)} to {show(score.less.high)})"
        )
        rows.append(
            (
                score.name,
                str(score.harrell.estimate),
                str(score.uno.estimate),
                less,
                "" if score.less is None else show(score.p_adjusted),
                "" if score.brier is None else show(score.brier),
                "" if calibration is None else str(calibration.slope),
                "" if calibration is None else show(calibration.ici),
            )
        )
    head = ("model", "Harrell C", "Uno C", "first less this", "p (Holm)", "Brier", "slope", "ICI")
    time = cohort.horizons[cohort.middle]
    note = (
        f"Brier score over the horizons (the same risk for all: {show(cohort.judged.null_brier)}); calibration slope "
        f"(1 is ideal) and mean distance from the diagonal (ICI, 0 is ideal) of the risk by time {time:g}."
    )
    return Table.of("Models on the same patients", head, rows, (note,))


def _benefit(cohort: CohortRisk) -> Picture:
    curve = cohort.judged.benefit
    names = [*curve.names[:-2][:MOST_CURVES], *curve.names[-2:]]  # type: ignore[union-attr]
    drawn = {n: curve.net_benefit[curve.names.index(n)] for n in names}  # type: ignore[union-attr]
    time = cohort.horizons[cohort.middle]
    caption = f"Net benefit of acting on the risk by time {time:g} (decision curve)."
    return benefit_picture(curve.thresholds, drawn, caption)  # type: ignore[union-attr]


def _truth(cohort: CohortRisk) -> list[Block]:
    blocks: list[Block] = [Heading("Do risks come true")]
    if not (cohort.y["event"] > 1).any():
        blocks.append(_by_thirds(cohort))
    found = cohort.judged.scores[0].calibration
    if found:
        middle = found[len(found) // 2]
        points = [
            (float(p), o.value, o.low, o.high)
            for p, o in zip(middle.group_predicted, middle.group_observed, strict=True)
            if np.isfinite(o.low)
        ]
        caption = f"Observed share with the event by time {middle.time:g} against the predicted risk, in tenths."
        blocks.append(calibration_picture((middle.curve_predicted, middle.curve_observed), points, caption))
    return blocks if len(blocks) > 1 else []


def _by_thirds(cohort: CohortRisk) -> Picture:
    time, event = cohort.y["time"], cohort.y["event"] == 1
    order = np.argsort(cohort.predicted.score, kind="stable")
    risk = np.asarray(cohort.predicted.risk)
    groups = {}
    for name, rows in zip(GROUPS, np.array_split(order, 3), strict=True):
        curve = KaplanMeier.fit(time[rows], event[rows])
        observed = np.concatenate([[0.0], curve.times]), np.concatenate([[1.0], curve.survival])
        predicted = np.concatenate([[0.0], cohort.horizons]), np.concatenate([[1.0], 1 - risk[rows].mean(axis=0)])
        groups[name] = (observed, predicted)
    caption = "Share of patients free of the event: observed by Kaplan-Meier, and predicted at the horizons."
    return survival_picture(groups, axis="free of the event", caption=caption)


def _explanations(cohort: CohortRisk) -> list[Block]:
    found = cohort.attribution
    shown = cohort.encoding.single(cohort.table.iloc[cohort.explained])
    axis = f"added to the risk by time {cohort.horizons[cohort.middle]:g}, percentage points"
    blocks: list[Block] = [
        swarm_picture(
            found.names,
            100 * found.values,
            shown,
            axis=axis,
            caption=f"What every feature adds, in {len(shown)} patients spread over all risks (SHAP values).",
        )
    ]
    order = np.argsort(-np.abs(found.values).mean(axis=0), kind="stable")[:3]
    blocks.append(
        dependence_picture(
            [found.names[i] for i in order],
            100 * found.values[:, order],
            shown[:, order],
            axis="percentage points",
            caption="What the leading features add, against their values.",
        )
    )
    words = f"Parts sum to the risk within {found.gap:.1e}; found by {found.method}."
    return [*blocks, Words(words, "quiet")]


def _patients(cohort: CohortRisk) -> list[Block]:
    blocks: list[Block] = []
    time = cohort.horizons[cohort.middle]
    for row, line in cohort.lines.items():
        place = int(np.flatnonzero(cohort.explained == row)[0])
        own = cohort.table.iloc[row]
        labels = [f"{n} = {_value(own[n])}" for n in cohort.attribution.names]
        caption = f"Row {row}: from the mean risk by time {time:g} to that of this patient, in percent (SHAP values)."
        blocks.append(
            waterfall_picture(
                labels,
                cohort.attribution.values[place],
                cohort.attribution.base,
                axis=f"risk by time {time:g}, %",
                caption=caption,
            )
        )
        blocks.append(Words(_line_words(line), "quiet"))
    return blocks


def _line_words(line: object) -> str:
    stable = f"local R² {line.r2:.2f}, stability {line.stability:.2f}"  # type: ignore[attr-defined]
    if not line.usable:  # type: ignore[attr-defined]
        return f"Local line (LIME) refused: {line.reason}; {stable}."  # type: ignore[attr-defined]
    order = np.argsort(-np.abs(line.effect), kind="stable")[:3]  # type: ignore[attr-defined]
    parts = [
        f"{line.names[i]} {100 * line.effect[i]:+.1f} ± {100 * line.spread[i]:.1f}"  # type: ignore[attr-defined]
        for i in order
    ]
    return f"Local line (LIME), percentage points by one standard deviation: {', '.join(parts)}; {stable}."


def _value(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "missing"
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)


def _weights(rows: list[tuple[str, str, float]]) -> Table:
    note = ("Weight of each learner's standardized log risk, learned from pairs of patients that it had not seen.",)
    return Table.of("What the model weighs", ("part", "learner", "weight"), rows, note)


def _methods(cohort: CohortRisk) -> str:
    how = (
        "The patients of the test table had no part in any fit."
        if cohort.tested
        else "Every patient was predicted by fits that had not seen the patient, the weighing of learners included "
        "(nested cross-validation); the explanations are of a fit to all."
    )
    intervals = " Intervals of times are conformal: Kaplan-Meier on the scale of predicted hazards, out of fold."
    return (
        "Penalized Cox models, Cox with curves, forests on log-rank scores, gradient boosting and a small neural "
        "network of hazards were weighed by how they order pairs of patients out of fold, and scaled by a Cox "
        f"model. {how}{intervals} Concordance intervals come from each patient's influence."
    )
