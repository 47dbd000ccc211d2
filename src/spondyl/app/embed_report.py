"""The report of an embedded cohort: tokens and their map, what was declared and removed, and what is unsure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.evaluation.records import Table
from spondyl.io.page import Cells, Heading, Live, Page, Remarks, Words
from spondyl.io.token_map import MapPoints, token_map
from spondyl.socce.stability import STABLE

if TYPE_CHECKING:
    from spondyl.app.cohort_embed import EmbeddedCohort
    from spondyl.io.page import Block
    from spondyl.socce.cards import TokenCard

MOST_CATEGORIES = 22
"""A column with more categories is not offered as colors."""

CAUSAL = (
    "What is called causal here is adjustment for the confounders declared above, no more. A confounder that nobody "
    "recorded is still in the embedding, and the arrows themselves are assumptions."
)


def headline(found: EmbeddedCohort) -> str:
    """Say the main result in a sentence.

    Parameters
    ----------
    found : EmbeddedCohort
        The cohort.

    Returns
    -------
    str
        Such as "600 patients fall into 4 lesion tokens; 2 % fit none".
    """
    rejected = found.embedding.assignment.rejected.mean()
    n = len(found.cards)
    tokens = "1 lesion token" if n == 1 else f"{n} lesion tokens"
    return f"{len(found.tables.patients)} patients fall into {tokens}; {rejected:.0%} fit none"


def embed_page(found: EmbeddedCohort, spread: str = "") -> Page:
    """Lay out the report.

    Parameters
    ----------
    found : EmbeddedCohort
        The cohort.
    spread : str, optional
        Column over which tokens' spread is told.

    Returns
    -------
    Page
        The report.
    """
    blocks: list[Block] = [Words(sentence, "lead") for sentence in _summary(found)]
    if limits := _limits(found):
        blocks += [Heading("What limits this result"), Remarks(limits)]
    blocks += [Heading("Lesion token map", "point at a patient; choose the colors"), _map(found, spread)]
    blocks += [Heading("The tokens"), Cells(_token_table(found, spread))]
    blocks += [Cells(_example_table(found.cards))]
    blocks += [Heading("What was declared")]
    blocks += [Words(f"{s[0].upper()}{s[1:]}.") for s in _declared(found)] + [Words(CAUSAL, "quiet")]
    if found.probes:
        blocks += [Heading("Can a machine still tell the scanner?"), Cells(_probe_table(found), titled=False)]
    if found.variations:
        blocks += [Heading("The same cohort under other assumptions"), Cells(_sensitivity_table(found), titled=False)]
    blocks += [Heading("What the modalities share"), Cells(_modality_table(found), titled=False)]
    blocks += [Heading("How it was done"), Words(methods(found))]
    subject = f"{len(found.tables.patients)} patients, {', '.join(found.model.views_)}"
    return Page(headline(found), "Embedded cohort", subject, tuple(blocks))


def _declared(found: EmbeddedCohort) -> tuple[str, ...]:
    graph = found.model.graph
    return graph.sentences() if graph is not None and graph.acts_on else ("no confounder was declared",)


def _summary(found: EmbeddedCohort) -> list[str]:
    model = found.model
    told = ", ".join(f"{v:.2f}" for v in model.link_[: model.dimension_])
    sentences = [
        f"Imaging and omics share {len(model.link_)} factors above chance, of which {model.dimension_} are told by "
        f"imaging (correlation {told}) and make the embedding."
        if len(model.views_) > 1
        else "There is one modality only; its own main directions make the embedding."
    ]
    if found.stability is not None:
        sentences.append(
            f"Learned again from resampled patients, the tokens agree with these at an adjusted Rand index of "
            f"{found.stability.mean_ari:.2f}."
        )
    return sentences


def _limits(found: EmbeddedCohort) -> tuple[str, ...]:
    items = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    shaky = [c.token for c in found.cards if c.overlap is not None and c.overlap < STABLE]
    if shaky:
        items.append(f"{', '.join(shaky)}: not stable (overlap below {STABLE}); they may be another cut next time.")
    above = sorted({c for (c, _, when), s in found.probes.items() if when == "embedded" and s.above_chance})
    if above:
        items.append(
            f"{', '.join(above)} can be told from the embedding better than the tokens alone tell it; look at the "
            "table of probes."
        )
    moved = [v.assumption for v in found.variations if v.agreement is not None and v.agreement < 0.5]
    if moved:
        items.append(f"Tokens change much under: {'; '.join(moved)}.")
    without = sum("imaging" in m and len(m) == 1 for m in found.embedding.modalities)
    if without:
        items.append(f"{without} patients have imaging alone; their places are less sure, as standard deviations say.")
    return tuple(items)


def _map(found: EmbeddedCohort, spread: str) -> Live:
    e, patients = found.embedding, found.tables.patients
    names = e.token_names()
    colored: dict[str, list[str]] = {"lesion token": names}
    for column in dict.fromkeys([*([spread] if spread else []), *found.model.confounders_]):
        values = patients[column].astype(str).tolist()
        if len(set(values)) <= MOST_CATEGORIES:
            colored[column] = values
    words = [
        f"row {i + 1}: {name}, confidence {c:.2f}; {', '.join(there) or 'no table'}"
        for i, (name, c, there) in enumerate(zip(names, e.assignment.confidence, e.modalities, strict=True))
    ]
    caption = (
        "Every point is a patient in the two main nonlinear coordinates (diffusion map); paler points are less sure of "
        "their token. Tokens are learned in the embedding itself, not in this picture."
    )
    return Live(token_map(MapPoints(e.coordinates, words, e.assignment.confidence, colored)), caption)


def _token_table(found: EmbeddedCohort, spread: str) -> Table:
    rows = []
    for card in found.cards:
        marks = ", ".join(f"{m.feature} {m.difference_sd:+.1f}" for m in card.marks) or "nothing by itself"
        shares = ", ".join(f"{name} {share:.0%}" for name, share in card.spread[:5])
        overlap = "" if card.overlap is None else f"{card.overlap:.2f}"
        rows.append((card.token, card.n_patients, f"{card.share:.0%}", overlap, marks, shares))
    rejected = int(found.embedding.assignment.rejected.sum())
    share = f"{found.embedding.assignment.rejected.mean():.0%}"
    rows.append(("reject", rejected, share, "", "too far from all tokens, or undecided", ""))
    head = ("token", "patients", "share", "stability", "what marks it (SD from the cohort)", spread or "spread")
    notes = ("Stability is the mean overlap (Jaccard) with the most similar token of each resample.",)
    return Table.of("Cards of the tokens", head, rows, notes)


def _example_table(cards: tuple[TokenCard, ...]) -> Table:
    rows = [(card.token, ", ".join(card.examples)) for card in cards]
    return Table.of("Patients who show a token best", ("token", "examples"), rows)


def _probe_table(found: EmbeddedCohort) -> Table:
    rows: list[tuple[Any, ...]] = []
    for (column, kind, when), score in found.probes.items():
        if when != "embedded":
            continue
        raw = found.probes.get((column, kind, "measured"))
        before = "" if raw is None else f"{raw.balanced_accuracy:.2f}"
        band = f"{score.low:.2f} to {score.high:.2f}"
        rows.append((column, kind, before, f"{score.balanced_accuracy:.2f}", band, f"{score.p_value:.2f}"))
    head = ("column", "probe", "imaging as measured", "embedding", "band", "p")
    notes = (
        "Balanced accuracy of classifiers trained anew on each table, in cross-validation.",
        "The band holds 95 % of scores with the column exchanged between patients of one token: what the token alone "
        "tells of the scanner, since disease may go along with scanners.",
    )
    return Table.of("Probes", head, rows, notes)


def _sensitivity_table(found: EmbeddedCohort) -> Table:
    rows = [
        (v.assumption, "not learned" if v.agreement is None else f"{v.agreement:.2f}", v.n_tokens, v.n_compared)
        for v in found.variations
    ]
    head = ("assumption", "agreement of tokens", "tokens", "patients compared")
    return Table.of("Sensitivity", head, rows, ("Agreement is the adjusted Rand index with the tokens above.",))


def _modality_table(found: EmbeddedCohort) -> Table:
    model = found.model
    rows = []
    for name, view in model.views_.items():
        tells = np.linalg.norm(view.loadings[:, : model.dimension_], axis=0)
        n = len(found.tables.modalities[name])
        rows.append((name, n, len(view.scale.names), view.encoder.n_scores, " ".join(f"{v:.2f}" for v in tells)))
    head = ("modality", "patients", "features used", "scores", "correlation with each coordinate")
    return Table.of("Modalities", head, rows)


def methods(found: EmbeddedCohort) -> str:
    """Write the paragraph for a methods section.

    Parameters
    ----------
    found : EmbeddedCohort
        The cohort.

    Returns
    -------
    str
        Sentences.
    """
    model = found.model
    how = " and ".join(dict.fromkeys(view.encoder.METHOD for view in model.views_.values()))
    parts = [
        f"{', '.join(model.views_)} of {len(found.tables.patients)} patients were encoded by {how}, and their shared "
        "factors learned from the covariances between modalities (probabilistic canonical correlation; Bach 2005), "
        "several modalities of a patient being fused as a product of experts."
    ]
    if model.confounders_:
        parts.append(
            f"Shifts and gains of {', '.join(model.confounders_)} were estimated beside disease as told by modalities "
            "they do not touch, and what was left of them in means and covariances was erased (Belrose 2023)."
        )
    parts.append(
        f"{len(found.cards)} lesion tokens were learned as a mixture of normal distributions with each patient's "
        "uncertainty (Bovy 2011), their number by the Bayesian information criterion. The map shows a diffusion map "
        "(Coifman 2006) with Nyström's extension."
    )
    if found.signatures is not None:
        parts.append("Signature scores are ranks within one sample (Foroutan 2018).")
    return " ".join(parts)
