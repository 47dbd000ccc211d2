"""Embed a cohort: learn, place, examine, and write everything, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.embed_report import embed_page, headline, methods
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.records import plain
from spondyl.harmonize.probes import probe, probe_task
from spondyl.io.omics_cohort import CohortTables, read_cohort_tables, write_embedding
from spondyl.io.page import write_html
from spondyl.io.store import OutputFolder
from spondyl.socce.alignment import level_of
from spondyl.socce.cards import TokenCard, aligned_table, token_cards
from spondyl.socce.embedding import token_name
from spondyl.socce.sensitivity import Variation, sensitivity
from spondyl.socce.signature import signature_table
from spondyl.socce.stability import Stability, token_stability

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spondyl.harmonize.probes import ProbeScore
    from spondyl.socce.embedding import Embedding
    from spondyl.socce.encoder import SOCCE

MARK = "report.json"
"""The file that marks a folder as an embedded cohort, which may be replaced."""

SCHEMA = "spondyl-cohort-embed-1"
"""Version of ``report.json``; the number grows when a field changes its meaning."""

PROBES = ("linear", "forest", "boosted")

MODEL_FILE = "encoder.npz"

SPARE_DIMENSIONS = 0.05
"""Share of a slide encoder's dimensions that may be unused, since they are the same in all patients. Chosen by us."""


@dataclass(frozen=True)
class EmbedChoices:
    """What a user chose.

    Parameters
    ----------
    model : SOCCE
        Not yet fitted.
    spread : str
        Column over which the tokens' spread is told, such as the primary; empty for none.
    resamples, permutations : int
        How thoroughly stability and probes are measured; 0 for not.
    sensitivity : bool
        Whether everything is learned again under other assumptions.
    """

    model: SOCCE
    spread: str = ""
    resamples: int = 10
    permutations: int = 10
    sensitivity: bool = True


@dataclass(frozen=True, eq=False)
class EmbeddedCohort:
    """A cohort and everything that was found.

    Parameters
    ----------
    tables : CohortTables
        As read.
    model : SOCCE
        Fitted.
    embedding : Embedding
        Of the cohort.
    signatures : DataFrame or None
        Signature scores by patient id, where there is expression.
    cards : tuple of TokenCard
        The tokens.
    stability : Stability or None
        Of the tokens, if measured.
    probes : dict of (str, str, str) to ProbeScore
        By confounder, kind of probe and table, ``"measured"`` or ``"embedded"``.
    variations : tuple of Variation
        The same cohort under other assumptions.
    notes : tuple of str
        What limits the result.
    """

    tables: CohortTables
    model: SOCCE
    embedding: Embedding
    signatures: pd.DataFrame | None
    cards: tuple[TokenCard, ...]
    stability: Stability | None
    probes: dict[tuple[str, str, str], ProbeScore]
    variations: tuple[Variation, ...]
    notes: tuple[str, ...] = field(default=())


ENCODERS = ("cca", "infonce")
"""Names of encoders: closed form, and networks trained by contrast."""


def encoder_of(name: str, seed: int = 0) -> Callable[..., Any] | None:
    """Choose what learns the scores of modalities.

    Parameters
    ----------
    name : str
        One of `ENCODERS`.
    seed : int, optional
        Of the networks.

    Returns
    -------
    callable or None
        For `SOCCE`; None for the closed form.

    Raises
    ------
    SettingsError
        If the name is not known, or what trains networks is not installed.
    """
    if name not in ENCODERS:
        msg = f"--encoder is one of {', '.join(ENCODERS)}, got {name!r}"
        raise SettingsError(msg)
    if name == "cca":
        return None
    try:
        from spondyl.training.infonce import InfoNCE
    except ImportError as error:
        msg = (
            f"the encoder infonce needs {error.name}, which is not installed; install the extra: "
            "pip install 'spondyl[train]'; a cohort embedded so is applied without it"
        )
        raise SettingsError(msg) from error
    return InfoNCE(seed=seed)


def embed_files(
    cohort: Path,
    out: Path,
    choices: EmbedChoices,
    *,
    apply_to: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> EmbeddedCohort:
    """Embed a cohort of files and write the result.

    Parameters
    ----------
    cohort : Path
        The training cohort: a folder or a MuData file.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    choices : EmbedChoices
        What a user chose.
    apply_to : Path, optional
        A further cohort, of any size, whose patients are placed by what was learned.
    progress : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    EmbeddedCohort
        The training cohort and everything that was found.

    Raises
    ------
    InputError
        If a table cannot be read or used.
    OutputError
        If the folder cannot be written.
    SettingsError
        If a choice does not fit.
    """
    tell = progress or (lambda *_: None)
    tell("read", 1, 5)
    tables = read_cohort_tables(cohort)
    new = None if apply_to is None else read_cohort_tables(apply_to)
    if choices.spread and choices.spread not in tables.patients.columns:
        msg = f"the patients' table has no column {choices.spread!r} to tell the spread over; check the name"
        raise InputError(msg)
    tell("learning what the tables share", 2, 5)
    model = choices.model.fit(tables.modalities, tables.patients)
    embedding = model.embed(tables.modalities, tables.patients)
    tell("examining the result", 3, 5)
    found = _examined(tables, model, embedding, choices)
    new = None if new is None else _fitting(new, model)
    applied = None if new is None else model.embed(new.modalities, new.patients)
    tell("write", 5, 5)
    with OutputFolder(out, mark=MARK) as folder:
        _write_tables(folder, "", tables, embedding, model)
        if applied is not None and new is not None:
            _write_tables(folder, "applied_", new, applied, model)
        _write_unmatched(folder / "unmatched.csv", tables)
        if new is not None:
            _write_unmatched(folder / "applied_unmatched.csv", new)
        model.save(folder / MODEL_FILE)
        inputs = _hashes(cohort) | (
            {} if apply_to is None else {f"applied/{k}": v for k, v in _hashes(apply_to).items()}
        )
        _write_document(folder / MARK, found, inputs, new, applied)
        write_html(embed_page(found, choices.spread), folder / "report.html")
    return found


def _fitting(new: CohortTables, model: SOCCE) -> CohortTables:
    """Set aside slide embeddings of another dimension: their numbers mean something else under the same names."""
    view, own = model.views_.get("pathology"), new.modalities.get("pathology")
    if view is None or own is None:
        return new
    learned, given = set(view.scale.names), set(map(str, own.columns))
    if learned <= given and len(given) <= (1 + SPARE_DIMENSIONS) * len(learned):
        return new
    note = (
        f"slide embeddings of new patients have {len(given)} dimensions and those learned {len(learned)}: "
        "another encoder, so they were not used"
    )
    rest = {name: table for name, table in new.modalities.items() if name != "pathology"}
    return replace(new, modalities=rest, notes=(*new.notes, note))


def _write_unmatched(path: Path, tables: CohortTables) -> None:
    """List the ids of rows that were set aside."""
    rows = [(table, i) for table, ids in tables.unmatched.items() for i in ids]
    if rows:
        pd.DataFrame(rows, columns=["table", "id"]).to_csv(path, index=False)


def _examined(tables: CohortTables, model: SOCCE, embedding: Embedding, choices: EmbedChoices) -> EmbeddedCohort:
    both = tables.modalities, tables.patients
    stability = token_stability(model, *both, n_resamples=choices.resamples) if choices.resamples else None
    site = "site" if "site" in model.confounders_ else ""
    variations = sensitivity(model, embedding, *both, leave_out=site) if choices.sensitivity else ()
    cards = token_cards(
        model, embedding, *both, spread=choices.spread, overlap=stability.overlap if stability is not None else ()
    )
    probes = _probes(tables, model, embedding, choices.permutations) if choices.permutations else {}
    expression = tables.modalities.get("expression")
    signatures = None if expression is None else signature_table(expression)
    notes = (*tables.notes, *model.notes_)
    return EmbeddedCohort(tables, model, embedding, signatures, cards, stability, probes, variations, notes)


def _probes(
    tables: CohortTables, model: SOCCE, embedding: Embedding, n_permutations: int
) -> dict[tuple[str, str, str], ProbeScore]:
    """Retrained probes of every confounder, with exchanges between patients of one token."""
    found = {}
    view = model.views_.get("imaging")
    raw = None
    if view is not None:
        given = tables.modalities["imaging"].reindex(index=tables.patients.index, columns=list(view.scale.names))
        raw = given.to_numpy(np.float64, na_value=np.nan)
    for name in model.confounders_:
        labels = np.array([level_of(v) for v in tables.patients[name]])
        try:
            task = probe_task(labels)
        except InputError:
            continue
        for kind in PROBES:
            settings: dict[str, Any] = {"n_permutations": n_permutations, "within": embedding.assignment.nearest}
            found[name, kind, "embedded"] = probe(embedding.mean, task, kind, **settings)
            if raw is not None:
                found[name, kind, "measured"] = probe(raw, task, kind, n_permutations=0)
    return found


def patient_table(embedding: Embedding) -> pd.DataFrame:
    """Give what was found of every patient.

    Parameters
    ----------
    embedding : Embedding
        Of a cohort.

    Returns
    -------
    DataFrame
        Token, nearest token, its confidence and fit, probability of every token, modalities and flags; by patient id.
    """
    a = embedding.assignment
    table = pd.DataFrame(index=embedding.patient_ids)
    table["lesion_token"] = embedding.token_names()
    table["nearest_token"] = [token_name(k) for k in a.nearest]
    table["token_confidence"] = a.confidence
    table["token_fit"] = a.fit
    for k in range(a.probabilities.shape[1]):
        table[f"p_{token_name(k)}"] = a.probabilities[:, k]
    table["modalities"] = [";".join(m) for m in embedding.modalities]
    table["flags"] = [";".join(f) for f in embedding.flags]
    return table


def _write_tables(folder: Path, prefix: str, tables: CohortTables, embedding: Embedding, model: SOCCE) -> None:
    d = embedding.mean.shape[1]
    found = patient_table(embedding)
    names = [f"socce_{i + 1}" for i in range(d)]
    places = pd.DataFrame(embedding.mean, index=embedding.patient_ids, columns=names)
    sd = np.sqrt(np.diagonal(embedding.covariance, axis1=1, axis2=2))
    places = places.join(pd.DataFrame(sd, index=embedding.patient_ids, columns=[f"{n}_sd" for n in names]))
    for c in range(embedding.coordinates.shape[1]):
        places[f"map_{c + 1}"] = embedding.coordinates[:, c]
    places.to_csv(folder / f"{prefix}embedding.csv", index_label="patient_id")
    found.to_csv(folder / f"{prefix}tokens.csv", index_label="patient_id")
    expression = tables.modalities.get("expression")
    obs = tables.patients.join(found)
    if expression is not None:
        signatures = signature_table(expression)
        signatures.to_csv(folder / f"{prefix}signatures.csv", index_label="patient_id")
        obs = obs.join(signatures.reindex(obs.index).add_prefix("signature_"))
    harmonized = {
        f"{name}_aligned": aligned_table(model, name, tables.modalities[name], tables.patients).to_numpy()
        for name, view in model.views_.items()
        if name in tables.modalities and view.alignment is not None
    }
    write_embedding(
        folder / f"{prefix}cohort.h5mu",
        embedding.mean,
        obs,
        obsm={
            "X_socce_covariance": embedding.covariance.reshape(len(obs), -1),
            "X_socce_map": embedding.coordinates,
            **harmonized,
        },
        uns={"spondyl": {"version": __version__, "notice": RESEARCH_USE_ONLY, "step": "socce", "schema": SCHEMA}},
        modalities=tables.modalities,
    )


def _write_document(
    path: Path, found: EmbeddedCohort, inputs: dict[str, str], new: CohortTables | None, applied: Embedding | None
) -> None:
    model, a = found.model, found.embedding.assignment
    document = {
        "schema": SCHEMA,
        "spondyl_version": __version__,
        "research_use_only": True,
        "notice": RESEARCH_USE_ONLY,
        "headline": headline(found),
        "methods": methods(found),
        "input_sha256": inputs,
        "n_patients": len(found.tables.patients),
        "modalities": {name: len(table) for name, table in found.tables.modalities.items()},
        "declared": list(model.graph.sentences() if model.graph is not None else ()),
        "encoders": {name: view.encoder.METHOD for name, view in model.views_.items()},
        "dimension": model.dimension_,
        "link_to_imaging": model.link_,
        "tokens": [
            asdict(card) | {"weight": float(w)} for card, w in zip(found.cards, model.codebook_.weights, strict=True)
        ],
        "rejected": int(a.rejected.sum()),
        "stability": None if found.stability is None else found.stability._asdict(),
        "probes": [{"column": c, "probe": k, "table": w, **s._asdict()} for (c, k, w), s in found.probes.items()],
        "sensitivity": [v._asdict() for v in found.variations],
        "notes": list(found.notes),
        "applied": None
        if applied is None or new is None
        else {
            "n_patients": len(new.patients),
            "rejected": int(applied.assignment.rejected.sum()),
            "notes": list(new.notes),
        },
    }
    text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _hashes(path: Path) -> dict[str, str]:
    files = sorted(path.glob("*.[ct]sv")) if path.is_dir() else [path]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
