"""One patient's omics as rows of features, and what can be said of them without any cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.genes import DRIVERS, PROTEIN_CHANGING, SILENT_CODING, TRUNCATING
from spondyl.socce.signature import signature_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core.omics import PatientOmics
    from spondyl.socce.encoder import SOCCE

TMB = "tmb_per_mb"
"""Name of the burden among the features of mutations."""

MIN_PANEL_MB = 0.5
"""Below this size the burden is too unsure to be told (Chalmers 2017, Genome Med 9:34)."""

DOUBTFUL_PANEL_MB = 1.1
"""Below this size the burden is told with a warning (same source)."""


def mutation_counts(omics: PatientOmics) -> dict[str, int]:
    """Count protein-changing variants by gene.

    Parameters
    ----------
    omics : PatientOmics
        The patient.

    Returns
    -------
    dict of str to int
        Genes with at least one.
    """
    counts: dict[str, int] = {}
    for variant in omics.variants or ():
        if variant.kind in PROTEIN_CHANGING:
            counts[variant.gene] = counts.get(variant.gene, 0) + 1
    return counts


def burden(omics: PatientOmics) -> dict[str, Any]:
    """Give the tumor mutational burden with what it rests on.

    Parameters
    ----------
    omics : PatientOmics
        The patient.

    Returns
    -------
    dict of str to object
        ``value`` in mutations per megabase or None, ``unit``, ``panel``, ``panel_mb``, ``coding_variants``, ``note``.
    """
    told: dict[str, Any] = {"value": None, "unit": "mutations/Mb", "panel": omics.panel, "panel_mb": omics.panel_mb}
    if omics.variants is None:
        return told | {"coding_variants": None, "note": "no variants were given"}
    n = sum(v.kind in PROTEIN_CHANGING | SILENT_CODING for v in omics.variants)
    told["coding_variants"] = n
    if omics.panel_mb is None:
        return told | {"note": "the size of the panel is not given"}
    if omics.panel_mb < MIN_PANEL_MB:
        return told | {"note": f"a panel below {MIN_PANEL_MB} Mb is too small to tell"}
    note = f"panel below {DOUBTFUL_PANEL_MB} Mb: unsure" if omics.panel_mb < DOUBTFUL_PANEL_MB else ""
    return told | {"value": n / omics.panel_mb, "note": note}


def drivers(omics: PatientOmics) -> list[dict[str, str]]:
    """List variants in genes that drive tumors.

    Parameters
    ----------
    omics : PatientOmics
        The patient.

    Returns
    -------
    list of dict
        ``gene``, ``kind``, ``protein_change``, whether ``truncating``, and ``known_in``: the primaries it drives, or
        ``own primary`` where the patient's is among them. Whether a variant itself is a driver is not judged.
    """
    where = {gene: [p for p, table in DRIVERS.items() if gene in table] for table in DRIVERS.values() for gene in table}
    found = []
    for v in omics.variants or ():
        if v.kind in PROTEIN_CHANGING and v.gene in where:
            known = "own primary" if omics.primary in where[v.gene] else ", ".join(where[v.gene])
            truncating = "yes" if v.kind in TRUNCATING else "no"
            found.append(
                {
                    "gene": v.gene,
                    "kind": v.kind,
                    "protein_change": v.protein_change,
                    "truncating": truncating,
                    "known_in": known,
                }
            )
    return found


def feature_rows(omics: PatientOmics, model: SOCCE) -> tuple[dict[str, Mapping[str, float]], tuple[str, ...]]:
    """Give the features that a model asks for.

    Parameters
    ----------
    omics : PatientOmics
        The patient.
    model : SOCCE
        Fitted.

    Returns
    -------
    rows : dict of str to mapping
        Values by feature name, by modality; modalities that were not measured are left out.
    notes : tuple of str
        What could not be used.
    """
    rows: dict[str, Mapping[str, float]] = {}
    notes: list[str] = []
    if omics.variants is not None and "mutations" in model.views_:
        counts = mutation_counts(omics)
        own = {name: float(counts.get(name, 0)) for name in model.views_["mutations"].scale.names}
        value = burden(omics)["value"]
        own[TMB] = float("nan") if value is None else float(value)
        rows["mutations"] = own
        notes.append("genes without a variant in the files are taken for sequenced and not mutated")
    if omics.expression and "expression" in model.views_:
        rows["expression"] = omics.expression
        wanted = model.views_["expression"].scale.names
        known = sum(name in omics.expression for name in wanted)
        notes.append(f"{known} of {len(wanted)} genes of the reference's expression are there")
    if omics.pathology is not None and "pathology" in model.views_:
        names = model.views_["pathology"].scale.names
        if len(omics.pathology) == len(names):
            rows["pathology"] = dict(zip(names, map(float, omics.pathology), strict=True))
        else:
            notes.append(
                f"the slide embedding has {len(omics.pathology)} dimensions and the reference {len(names)}: another "
                "encoder, so it was not used"
            )
    return rows, tuple(notes)


def summary(omics: PatientOmics) -> dict[str, Any]:
    """Say what omics tell by themselves.

    Parameters
    ----------
    omics : PatientOmics
        The patient.

    Returns
    -------
    dict of str to object
        Primary, grade, sources, counts, drivers, burden, signature scores, notes.
    """
    kinds: dict[str, int] = {}
    for v in omics.variants or ():
        kinds[v.kind or "not annotated"] = kinds.get(v.kind or "not annotated", 0) + 1
    scores = signature_scores(omics.expression) if omics.expression else {}
    return {
        "primary": omics.primary,
        "grade": dict(omics.grade),
        "sources": list(omics.sources),
        "genome_build": omics.build,
        "variants": None if omics.variants is None else len(omics.variants),
        "variants_by_kind": kinds,
        "mutated_genes": mutation_counts(omics),
        "drivers": drivers(omics),
        "tmb": burden(omics),
        "signatures": {name: s._asdict() for name, s in scores.items()},
        "pathology_dimension": None if omics.pathology is None else len(omics.pathology),
        "notes": list(omics.notes),
    }


def placed(model: SOCCE, rows: Mapping[str, Mapping[str, float]], scanner: Mapping[str, object]) -> dict[str, Any]:
    """Place one patient among those a model was learned from.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    rows : mapping of str to mapping
        Values by feature name, by modality.
    scanner : mapping of str to object
        Values of the confounders; empty if the scanner is none of the model's.

    Returns
    -------
    dict of str to object
        Place, standard deviations, map coordinates, nearest token, confidence, probabilities, flags.
    """
    from spondyl.socce.embedding import read_patient, token_name
    from spondyl.socce.fusion import marginal_evidence
    from spondyl.socce.tokens import REJECTED

    arrays = {name: model.views_[name].scale.row(row)[0] for name, row in rows.items() if name in model.views_}
    mean, covariance, flags, there = read_patient(model, arrays, scanner)
    a = model.codebook_.assign(*marginal_evidence(mean[None], covariance[None], model.dimension_))
    token = token_name(int(a.nearest[0]))
    return {
        "embedding": mean.tolist(),
        "embedding_sd": np.sqrt(np.diag(covariance)).tolist(),
        "embedding_covariance": covariance.tolist(),
        "map": model.map_.place(mean).tolist(),
        "lesion_token": REJECTED if a.rejected[0] else token,
        "nearest_token": token,
        "confidence": float(a.confidence[0]),
        "fit": float(a.fit[0]),
        "token_probabilities": {token_name(k): float(p) for k, p in enumerate(a.probabilities[0])},
        "modalities": list(there),
        "flags": list(flags),
    }
