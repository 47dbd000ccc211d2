"""The report of a harmonized cohort: a page that says first what was removed, what was kept, and what is unsure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.app.cohort_audit import IN_FOLD, SURE, WHEN, Audit, prior_check, sd_by_contrast
from spondyl.evaluation.records import Table
from spondyl.io.cohort_figures import overview_picture, plane_picture, prior_picture, uncertainty_picture
from spondyl.io.page import Cells, Heading, Page, Picture, Remarks, Words

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from spondyl.app.cohort_harmonize import HarmonizedCohort
    from spondyl.harmonize.effects import Confounding
    from spondyl.harmonize.harmony_spine import HarmonySpine
    from spondyl.harmonize.probes import ProbeScore
    from spondyl.io.page import Block

MOST_SCANNERS, MOST_FEATURES = 30, 25
"""Rows that tables of the page show; the rest is in the files beside it."""

FLAG_WORDS = {
    "values_predicted": "missing values were predicted from the others of the same row",
    "covariate_unknown": "a kept covariate is missing or of a kind never seen; the training average was used",
    "covariate_outside_range": "a smooth covariate lies beyond the training range; the value at its end was used",
}


def cohort_page(cohort: HarmonizedCohort) -> Page:
    """Lay out the report.

    Parameters
    ----------
    cohort : HarmonizedCohort
        Everything that was found.

    Returns
    -------
    Page
        The report.
    """
    audit, model = cohort.audit, cohort.model
    blocks: list[Block] = [Words(sentence, "lead") for sentence in _summary(audit)]
    limits = _limits(cohort)
    if limits:
        blocks += [Heading("What limits this result"), Remarks(limits)]
    blocks += [Heading("Scanners in the data"), _overview(cohort)]
    blocks += [Cells(_scanner_table(audit, model))]
    if audit.tangle is not None:
        blocks.append(Cells(_tangle_table(audit, cohort.settings.outcome)))
    blocks += [Heading("What scanners still explain"), Cells(_probe_table(audit))] if audit.probes else []
    blocks += [Cells(_difference_table(audit)), _plane(cohort)]
    if audit.biology:
        blocks += [Heading("What was kept"), Cells(_biology_table(audit))]
    if audit.repeats:
        blocks += [Heading("The same patients on several scanners"), Cells(_repeat_table(audit, cohort.got.names))]
    blocks += _uncertainty_blocks(cohort) + _saliency_blocks(cohort)
    blocks += [Heading("Features"), Cells(_feature_table(audit, cohort.got.names))]
    blocks += [*_prior_blocks(model), Heading("How it was done"), Words(methods(cohort))]
    subject = f"{len(cohort.table)} rows, {len(cohort.got.names)} features, {len(audit.scanners)} scanners"
    return Page(headline(audit), "Harmonized cohort", subject, tuple(blocks))


def headline(audit: Audit) -> str:
    """Say the main result in a sentence.

    Parameters
    ----------
    audit : Audit
        The figures.

    Returns
    -------
    str
        Such as "Scanners explain 31 % of a feature's variance as measured, 1 % harmonized (median)".
    """
    before, after = (_median(audit.means[when].share) for when in WHEN)
    return f"Scanners explain {before:.0%} of a feature's variance as measured, {after:.0%} harmonized (median)"


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _summary(audit: Audit) -> list[str]:
    sentences = []
    for kind in ("linear", "boosted"):
        scores = [audit.probes.get((kind, when)) for when in WHEN]
        if scores[0] is None or scores[1] is None:
            continue
        sentences.append(
            f"A {kind} probe trained to name the scanner finds {scores[0].balanced_accuracy:.0%} as measured and "
            f"{scores[1].balanced_accuracy:.0%} harmonized; chance is {scores[1].chance:.0%}{_band(scores[1])}."
        )
    for name, states in audit.biology.items():
        before, after = (_median(states[when].share) for when in WHEN)
        sentences.append(f"{name} explains {before:.1%} of a feature's variance as measured, {after:.1%} harmonized.")
    return sentences


def _band(score: ProbeScore) -> str:
    return f" ({score.low:.0%} to {score.high:.0%})" if np.isfinite(score.high) else ""


def _limits(cohort: HarmonizedCohort) -> tuple[str, ...]:
    audit, model = cohort.audit, cohort.model
    items = []
    if audit.tangle is not None and audit.tangle.verdict != "ok":
        items.append(
            f"Scanner and {cohort.settings.outcome} are tangled ({_association(audit.tangle)}): what is removed as "
            "scanner may be outcome. Compare within scanners."
        )
    if len(audit.scanners) == 1:
        items.append("All rows are from one scanner, so there was nothing to remove.")
    small = [name for name, n in audit.scanners.items() if n < 2]
    if small:
        items.append(
            f"{len(small)} scanners have a single row; only their additive effect could be removed: "
            f"{', '.join(small[:8])}."
        )
    if audit.no_probe:
        items.append(f"No probe was trained: {audit.no_probe}.")
    above = [f"{kind}, {when}" for (kind, when), s in audit.probes.items() if when != WHEN[0] and s.above_chance]
    if above:
        items.append(f"Scanners can still be told apart above chance ({'; '.join(above)}).")
    constant = [n for n, sd in zip(model.feature_names_, model.stages_[0].combat.sd, strict=True) if sd == 0]
    if constant:
        items.append(f"{len(constant)} features do not vary and passed unchanged: {', '.join(constant[:8])}.")
    items += [f"{count} rows: {_flag_words(flag)}." for flag, count in audit.flags.items()]
    if model.measurement_source_ == "none":
        items.append(
            "Nobody was scanned twice, so the noise of a measurement is not known: standard deviations tell how sure "
            "the correction of the scanner is, and nothing of how a second scan would differ."
        )
    return tuple(items)


def _flag_words(flag: str) -> str:
    if flag in FLAG_WORDS:
        return FLAG_WORDS[flag]
    what, _, nearest = flag.partition(":")
    variable, _, policy = what.rpartition("_")
    words = {
        "pooled": f"{variable} was not learned, and its effect was not removed",
        "calibrated": f"{variable} was learned from these rows",
        "nearest": f"{variable} was not learned; the effects of {nearest}, most alike, were removed",
    }
    return words.get(policy, flag)


def _scanner_table(audit: Audit, model: HarmonySpine) -> Table:
    fit = model.stages_[-1].combat
    varying = fit.sd > 0
    rows: list[tuple[str, int, float | None, float | None]] = []
    for name, count in list(audit.scanners.items())[:MOST_SCANNERS]:
        if name in fit.names:
            own = fit.names.index(name)
            shift = float(np.median(np.abs(fit.effects.shift[own, varying]))) if varying.any() else 0.0
            scale = float(np.median(np.sqrt(fit.effects.scale[own, varying]))) if varying.any() else 1.0
            rows.append((name, count, shift, scale))
        else:
            rows.append((name, count, None, None))
    left = len(audit.scanners) - len(rows)
    notes = ["In standard deviations of each feature; median over the features."]
    notes += [f"{left} more scanners are in report.json."] if left else []
    head = (model.stages_[-1].variable, "rows", "shift removed", "stretch removed")
    return Table.of("Scanners and what was removed", head, rows, notes)


def _association(tangle: Confounding) -> str:
    return f"{tangle.measure} {tangle.association:.2f}"


def _tangle_table(audit: Audit, outcome: str) -> Table:
    tangle = audit.tangle
    table: pd.DataFrame = tangle.table.round(3).iloc[:MOST_SCANNERS]  # type: ignore[union-attr]
    rows = [(str(index), *row) for index, row in zip(table.index, table.to_numpy().tolist(), strict=True)]
    meaning = {
        "ok": "scanner and outcome can be told apart",
        "warn": "a large association",
        "tied": "no scanner saw more than one outcome, so nothing can tell the two apart",
    }
    words = _association(tangle)  # type: ignore[arg-type]
    note = f"{words[0].upper()}{words[1:]}: {meaning[tangle.verdict]}."  # type: ignore[union-attr]
    return Table.of(f"{outcome} by scanner", ("scanner", *map(str, table.columns)), rows, (note,))


def _probe_table(audit: Audit) -> Table:
    rows = [
        (kind, when, s.balanced_accuracy, s.chance, _band(s).strip(" ()"), s.p_value)
        for when in (*WHEN, IN_FOLD)
        for (kind, own), s in audit.probes.items()
        if own == when
    ]
    notes = (
        "Every probe is trained anew on the table it judges, in cross-validation grouped by patient.",
        "The band holds 95 % of scores with scanners exchanged at random.",
    )
    head = ("probe", "table", "balanced accuracy", "chance", "band", "p")
    return Table.of("Can a machine tell the scanner?", head, rows, notes)


def _difference_table(audit: Audit) -> Table:
    rows: list[tuple[Any, ...]] = []
    for what, found in (("means (analysis of variance)", audit.means), ("spreads (Brown-Forsythe)", audit.spreads)):
        rows.append((f"features with different {what}", *(f"{_share_sure(found[w].p_value):.0%}" for w in WHEN)))
        rows.append((f"variance explained, {what}, median", *(_median(found[w].share) for w in WHEN)))
    if audit.distances:
        rows.append(("distance of scanners in all features (MMD²)", *(audit.distances[w].mmd2 for w in WHEN)))
        rows.append(("its p value by permutation", *(audit.distances[w].p_value for w in WHEN)))
    return Table.of("Differences between scanners", ("", *WHEN), rows, (f"Different means p < {SURE}.",))


def _share_sure(p_values: NDArray[np.float64]) -> float:
    known = p_values[np.isfinite(p_values)]
    return float((known < SURE).mean()) if len(known) else 0.0


def _biology_table(audit: Audit) -> Table:
    rows = []
    for name, states in audit.biology.items():
        shares = [_median(states[when].share) for when in WHEN]
        sure = [f"{_share_sure(states[when].p_value):.0%}" for when in WHEN]
        rows.append((name, *shares, shares[1] / shares[0] if shares[0] > 0 else None, *sure))
    head = ("covariate", *WHEN, "ratio", f"features p < {SURE}", "harmonized")
    notes = ("Partial eta squared beside the other covariates, median over the features.",)
    return Table.of("Variance that biology explains", head, rows, notes)


def _repeat_table(audit: Audit, names: tuple[str, ...]) -> Table:
    before, after = (audit.repeats[when] for when in WHEN)
    order = np.argsort(before.icc, kind="stable")[:MOST_FEATURES]
    rows: list[tuple[Any, ...]] = [("median of all", *map(_median, (before.icc, after.icc, before.cv, after.cv)))]
    rows += [(names[i], before.icc[i], after.icc[i], before.cv[i], after.cv[i]) for i in order]
    head = ("feature", "ICC as measured", "ICC harmonized", "CV as measured", "CV harmonized")
    notes = (f"One-way, single measurement; {before.freedom} repeated scans. Features that repeat worst come first.",)
    return Table.of("How features repeat", head, rows, notes)


def _uncertainty_blocks(cohort: HarmonizedCohort) -> list[Block]:
    parts = sd_by_contrast(cohort.got)
    if not parts:
        return []
    repeated = cohort.model.measurement_source_ == "repeated scans"
    causes = "scanner effects and repeated scans" if repeated else "scanner effects"
    caption = (
        f"Standard deviation of harmonized values by contrast, from {causes}; of missing values, from their "
        "prediction. Boxes hold the middle half, lines the middle 90 %."
    )
    return [Heading("How sure a harmonized value is"), uncertainty_picture(parts, caption)]


def _saliency_blocks(cohort: HarmonizedCohort) -> list[Block]:
    found = cohort.saliency
    if found is None:
        return []
    known = np.isfinite(found.score)
    mean = found.contributions[known].mean(axis=0) if known.any() else np.zeros(len(found.sequences))
    rows = [(str(s), float(m)) for s, m in zip(found.sequences, mean, strict=True)]
    note = f"Median score of {int(known.sum())} rows: {_median(found.score):.2f}; each row's own is in the table."
    table = Table.of("Mean contribution to the saliency of lesions", ("sequence", "contribution"), rows, (note,))
    return [Heading("How prominent lesions are", "against the patient's own normal marrow"), Cells(table)]


def _feature_table(audit: Audit, names: tuple[str, ...]) -> Table:
    share = audit.means[WHEN[0]].share
    order = np.argsort(-np.nan_to_num(share), kind="stable")[:MOST_FEATURES]
    found = [audit.means[WHEN[0]], audit.means[WHEN[1]], audit.spreads[WHEN[0]], audit.spreads[WHEN[1]]]
    rows = [(names[i], found[0].share[i], found[1].share[i], found[2].p_value[i], found[3].p_value[i]) for i in order]
    head = ("feature", "explained before", "after", "spread p before", "after")
    notes = ("Features that scanners explain most come first; all are in harmonized.h5ad and report.json.",)
    return Table.of("Each feature before and after", head, rows, notes)


def _prior_blocks(model: HarmonySpine) -> list[Block]:
    shifts, scales = prior_check(model)
    if not shifts or len(model.feature_names_) < 5:
        return []
    caption = "Effects of each scanner against the prior they are shrunk with; on the diagonal they follow it."
    return [Heading("Do the priors fit?"), prior_picture(shifts, scales, caption)]


def _overview(cohort: HarmonizedCohort) -> Picture:
    caption = "The data: rows sorted by scanner, columns are features; white where a value is missing."
    return overview_picture(cohort.before, cohort.got.values, list(cohort.scanner_of_row), caption)


def _plane(cohort: HarmonizedCohort) -> Picture:
    """Both states in the plane of the measured table's two main directions."""
    center, spread = np.nanmean(cohort.before, axis=0), np.nanstd(cohort.before, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    z = [np.nan_to_num((v - center) / spread) for v in (cohort.before, cohort.got.values)]
    vectors = np.linalg.svd(z[0], full_matrices=False)[2][:2]
    vectors = np.vstack([vectors, np.zeros((2 - len(vectors), z[0].shape[1]))])
    caption = "Rows in the plane of the two directions in which the measured table varies most, colored by scanner."
    return plane_picture(z[0] @ vectors.T, z[1] @ vectors.T, list(cohort.scanner_of_row), caption)


def methods(cohort: HarmonizedCohort) -> str:
    """Write the paragraph for a methods section.

    Parameters
    ----------
    cohort : HarmonizedCohort
        What was done.

    Returns
    -------
    str
        Sentences.
    """
    model = cohort.model
    combat = model.stages_[-1].combat.settings
    prior = "without empirical Bayes" if not combat.shrink else "with empirical Bayes"
    prior += "" if combat.parametric else " and a non-parametric prior"
    variables = " and then ".join(stage.variable for stage in model.stages_)
    kept = [term.name + (" (smooth)" if term.basis is not None else "") for term in model.covariates_.terms]
    sentences = [
        f"Effects of {variables} on {len(model.feature_names_)} features were removed by ComBat {prior} (Johnson 2007; "
        f"Fortin 2018){', additive effects only' if combat.mean_only else ''}"
        f"{', and differences in covariance by CovBat (Chen 2022)' if combat.covariance else ''}.",
        f"The effects of {', '.join(kept)} were kept." if kept else "No covariate was kept.",
    ]
    if combat.reference:
        sentences.append(f"All values are on the scale of {combat.reference}.")
    if model.space_ is not None:
        sentences.append(
            f"The harmonization space has {model.space_.dimension} dimensions: eigenvalues of the correlation matrix "
            "above what independent features reach by chance."
        )
    return " ".join(sentences)
