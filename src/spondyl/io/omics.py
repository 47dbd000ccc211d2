"""Omics and pathology of one patient, from whatever a laboratory gives: one file, or a form that names several.

The form is TOML or JSON. All keys are optional; files are looked for beside the form::

    primary = "prostate"
    grade = "Gleason 4+3"
    sample = "TUMOR-1"            # which sample of files that hold several
    maf = "calls.maf.gz"          # or vcf = "calls.vcf.gz"; or variants = [{gene = "TP53", kind = "Missense_Mutation"}]
    panel = "name of the panel"
    panel_mb = 1.2                # coding sequence looked at, in megabases: without it no burden
    expression = "rna.tsv"        # or a table of genes
    slides = ["slide.h5"]
    study = "cbioportal_folder"   # mutations and expression of `sample` in a cBioPortal study
"""

from __future__ import annotations

import json
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl.core import InputError
from spondyl.core.genes import DRIVERS, GENE_SETS, VARIANT_CLASSES, gene_symbol, is_symbol
from spondyl.core.omics import PatientOmics, Variant
from spondyl.io.grades import read_grade
from spondyl.io.maf import read_maf, read_text
from spondyl.io.omics_cohort import logged
from spondyl.io.slides import read_slide
from spondyl.io.vcf import read_vcf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYS = ("primary", "grade", "sample", "maf", "vcf", "variants", "panel", "panel_mb", "expression", "slides", "study")

MAX_FORM_BYTES = 20_000_000
"""A form with a whole transcriptome is about 1 MB; a larger file is something else. Chosen by us."""

STUDY_MUTATIONS, STUDY_EXPRESSION = "data_mutations*.txt", "data_mrna_seq_*.txt"
"""Files of a cBioPortal study (docs.cbioportal.org, File Formats)."""

KNOWN_GENES = frozenset(g for s in GENE_SETS.values() for g in s.genes) | {g for t in DRIVERS.values() for g in t}
"""Genes that a signature or a list of drivers asks for. A table without any of them is no expression, or of no use."""

GENE_COLUMNS = ("Hugo_Symbol", "gene", "gene_name", "symbol", "Gene", "gene_id")
"""Columns that may name genes."""


def read_omics(path: Path, sample: str = "") -> PatientOmics:
    """Read the omics of one patient.

    Parameters
    ----------
    path : Path
        A form (``.toml``, ``.json``), MAF, VCF, expression (``.tsv``, ``.csv``, ``.h5ad``), slide embedding (``.h5``,
        ``.hdf5``), or the folder of a cBioPortal study.
    sample : str, optional
        Which sample, where there are several.

    Returns
    -------
    PatientOmics
        What could be read, with notes on what was changed.

    Raises
    ------
    InputError
        If it cannot be read, is of no kind that is known, or holds several samples and none was chosen.
    """
    if path.is_dir():
        return _study(path, sample)
    if not path.is_file():
        msg = f"the omics file {path.name} was not found; check the path"
        raise InputError(msg)
    name = path.name.lower().removesuffix(".gz")
    readers: dict[str, Callable[[Path, str], PatientOmics]] = {
        ".toml": _form, ".json": _form, ".maf": _maf, ".vcf": _vcf, ".h5": _slide, ".hdf5": _slide,
        ".tsv": _expression, ".csv": _expression, ".txt": _text, ".h5ad": _expression,
    }  # fmt: skip
    reader = readers.get(Path(name).suffix)
    if reader is None:
        msg = (
            f"omics come as {', '.join(readers)} or the folder of a cBioPortal study, got {path.suffix or 'no suffix'}"
        )
        raise InputError(msg)
    return reader(path, sample)


def _text(path: Path, sample: str) -> PatientOmics:
    """A table by any name: variants if its columns say so, else expression."""
    return _maf(path, sample) if "Variant_Classification" in read_text(path)[:5000] else _expression(path, sample)


def _chosen(path: Path, names: list[str], sample: str) -> str:
    """Choose the sample, without naming any in a message: barcodes may identify patients."""
    if sample and sample in names:
        return sample
    if sample:
        msg = f"none of the {len(names)} samples of {path.name} is the one asked for; check how it is written"
        raise InputError(msg)
    if len(names) != 1:
        msg = (
            f'{path.name} holds {len(names)} samples; say which is this patient\'s with sample = "..." in a TOML form '
            f'that has maf, expression or study = "{path.name}"'
        )
        raise InputError(msg)
    return names[0]


def _maf(path: Path, sample: str) -> PatientOmics:
    table = read_maf(path)
    own = _chosen(path, sorted(table.variants["sample"].unique()), sample)
    rows = table.variants[table.variants["sample"] == own]
    variants = tuple(Variant(str(r.gene), str(r.kind), str(r.protein_change)) for r in rows.itertuples())
    return PatientOmics(variants=variants, build=table.build, sources=("MAF",), notes=table.notes)


def _vcf(path: Path, sample: str) -> PatientOmics:  # noqa: ARG001 - a VCF file is one tumor's
    variants, build, notes = read_vcf(path)
    return PatientOmics(variants=variants, build=build, sources=("VCF",), notes=notes)


def _slide(path: Path, sample: str) -> PatientOmics:  # noqa: ARG001 - a slide is one tumor's
    return PatientOmics(pathology=read_slide(path).pooled(), sources=("slide embedding",))


def _expression(path: Path, sample: str) -> PatientOmics:
    table = _h5ad(path) if path.suffix.lower() == ".h5ad" else _gene_rows(path)
    if not table.index.is_unique:
        msg = f"{path.name} holds a sample more than once; keep one of each"
        raise InputError(msg)
    _check_genes(path, [str(g) for g in table.columns])
    own = _chosen(path, [str(i) for i in table.index], sample)
    return _expressed(table.loc[[own]])


def _check_genes(path: Path, names: list[str]) -> None:
    """Refuse a table whose rows are no genes: any table of words and numbers could pass for expression."""
    odd = [name for name in names if not is_symbol(name)]
    if 2 * len(odd) > len(names):
        msg = (
            f"{path.name} must name genes by symbols such as TP53, {len(odd)} of {len(names)} names are none; "
            "translate numbers of Ensembl or Entrez to symbols first"
        )
        raise InputError(msg)
    own = {gene_symbol(name) for name in names}
    if 2 * len(own) < len(names) or not own & KNOWN_GENES:
        msg = (
            f"{path.name} was taken for expression, but its rows are no genes that are known; give a table with a row "
            "for each gene, by symbol"
        )
        raise InputError(msg)


def _h5ad(path: Path) -> pd.DataFrame:
    import anndata

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = anndata.read_h5ad(path).to_df()
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path.name} cannot be read as AnnData ({type(error).__name__}); it may be empty or cut off"
        raise InputError(msg) from error
    return table.set_axis(table.index.astype(str), axis=0)


def _gene_rows(path: Path) -> pd.DataFrame:
    """A text table with a row for each gene and a column for each sample, turned to samples by genes."""
    from io import StringIO

    text = "\n".join(line for line in read_text(path).split("\n") if not line.startswith("#"))
    separator = "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"
    try:
        table = pd.read_csv(StringIO(text), sep=separator)
        head = text.split("\n", maxsplit=1)[0].split(separator)
    except ValueError as error:
        msg = f"{path.name} cannot be read as a table ({type(error).__name__}); save it again as TSV"
        raise InputError(msg) from error
    if len(set(head)) < len(head):
        msg = f"{path.name} has columns of one name, so that nobody can tell whose they are; name each differently"
        raise InputError(msg)
    genes = next((c for c in GENE_COLUMNS if c in table.columns), table.columns[0] if len(table.columns) else "")
    numbers = [
        c for c in table.columns if c not in (genes, "Entrez_Gene_Id") and pd.api.types.is_numeric_dtype(table[c])
    ]
    if not numbers or not len(table):
        msg = f"{path.name} must have a column of genes and at least one column of numbers, got none"
        raise InputError(msg)
    return table.set_index(table[genes].astype(str))[numbers].T.set_axis([str(c) for c in numbers], axis=0)


def _expressed(row: pd.DataFrame) -> PatientOmics:
    notes: list[str] = []
    values = logged(row, notes).iloc[0]
    names = [gene_symbol(str(g)) for g in values.index]
    odd = [str(g) for g in values.index if not is_symbol(str(g))]
    if odd:
        notes.append(f"{len(odd)} names are no gene symbols: {', '.join(odd[:5])}")
    changed = [str(old) for old, new in zip(values.index, names, strict=True) if str(old).strip() != new]
    if changed:
        notes.append(f"{len(changed)} genes were given today's names: {', '.join(changed[:5])}")
    found: dict[str, float] = {}
    for name, value in zip(names, values.to_numpy(dtype=float), strict=True):
        if np.isfinite(value):
            found[name] = max(float(value), found.get(name, -np.inf))
    if len(found) < len(names):
        notes.append("of a gene that stands more than once, the highest value was kept; missing values were left out")
    return PatientOmics(expression=found, sources=("expression",), notes=tuple(notes))


def _study(folder: Path, sample: str) -> PatientOmics:
    files = {name: sorted(folder.glob(name)) for name in (STUDY_MUTATIONS, STUDY_EXPRESSION)}
    found = PatientOmics()
    if files[STUDY_MUTATIONS]:
        found = _merged(found, _maf(files[STUDY_MUTATIONS][0], sample))
    if files[STUDY_EXPRESSION]:
        plain = [f for f in files[STUDY_EXPRESSION] if "zscore" not in f.name.lower()]
        if plain:
            found = _merged(found, _expression(plain[0], sample))
    if not found.sources:
        msg = f"a cBioPortal study has {STUDY_MUTATIONS} or {STUDY_EXPRESSION}, the folder has neither; check the path"
        raise InputError(msg)
    return replace(found, sources=("cBioPortal study", *found.sources))


def _merged(a: PatientOmics, b: PatientOmics) -> PatientOmics:
    """Join what two sources say; the first wins where both say something."""
    return replace(
        a,
        variants=a.variants if a.variants is not None else b.variants,
        build=a.build or b.build,
        expression=a.expression or b.expression,
        pathology=a.pathology if a.pathology is not None else b.pathology,
        sources=(*a.sources, *b.sources),
        notes=(*a.notes, *b.notes),
    )


def _form(path: Path, sample: str) -> PatientOmics:
    content = _loaded(path)
    unknown = sorted(set(content) - set(KEYS))
    if unknown:
        msg = f"the omics form has the keys {', '.join(KEYS)}, got {', '.join(unknown[:5])}; check the spelling"
        raise InputError(msg)
    own = str(content.get("sample", sample))
    primary = str(content.get("primary", "")).strip().lower()
    found = PatientOmics(primary=primary, panel=str(content.get("panel", "")), panel_mb=_positive(content))
    if "grade" in content:
        found = replace(found, grade=read_grade(primary, str(content["grade"])))
    if "variants" in content:
        found = replace(found, variants=_variants(content["variants"]), sources=("form",))
    if isinstance(content.get("expression"), dict):
        row = pd.DataFrame([_numbers(content["expression"])])
        found = _merged(found, _expressed(row))
    for key in ("maf", "vcf", "expression", "study"):
        if isinstance(content.get(key), str):
            found = _merged(found, read_omics(path.parent / content[key], own))
    return _with_slides(found, path, content.get("slides", []))


def _with_slides(found: PatientOmics, path: Path, names: Any) -> PatientOmics:
    slides = [read_slide(path.parent / str(n)) for n in ([names] if isinstance(names, str) else names)]
    if not slides:
        return found
    sizes = sorted({s.features.shape[1] for s in slides})
    if len(sizes) > 1 or len({s.encoder for s in slides}) > 1:
        msg = f"all slides must come from one encoder, got dimensions {sizes}; embed them again with one"
        raise InputError(msg)
    pooled = np.mean([s.pooled() for s in slides], axis=0)
    return replace(found, pathology=pooled, sources=(*found.sources, f"{len(slides)} slide embeddings"))


def _loaded(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_FORM_BYTES:
        msg = f"an omics form is at most {MAX_FORM_BYTES // 1_000_000} MB; name large files in it instead"
        raise InputError(msg)
    text = read_text(path)
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        msg = f"{path.name} is no {path.suffix[1:].upper()} ({type(error).__name__}); check its syntax"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path.name} must hold keys and values, got {type(content).__name__}"
        raise InputError(msg)
    return content


def _positive(content: Mapping[str, Any]) -> float | None:
    if "panel_mb" not in content:
        return None
    value = content["panel_mb"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 4000:
        msg = f"panel_mb is the coding sequence looked at, in megabases, such as 1.2 or 35, got {value!r}"
        raise InputError(msg)
    return float(value)


def _numbers(table: Mapping[str, Any]) -> dict[str, float]:
    wrong = [g for g, v in table.items() if isinstance(v, bool) or not isinstance(v, int | float)]
    if wrong:
        msg = f"expression has a number for each gene, {', '.join(map(str, wrong[:5]))} have none"
        raise InputError(msg)
    return {str(g): float(v) for g, v in table.items()}


def _variants(rows: Any) -> tuple[Variant, ...]:
    if not isinstance(rows, list) or any(not isinstance(r, dict) or "gene" not in r for r in rows):
        msg = 'variants is a list such as [{gene = "TP53", kind = "Missense_Mutation"}]; every entry needs a gene'
        raise InputError(msg)
    kinds = sorted({str(r.get("kind", "")) for r in rows} - VARIANT_CLASSES - {""})
    if kinds:
        msg = f"kinds of variants are those of MAF, such as Missense_Mutation, got {', '.join(kinds[:5])}"
        raise InputError(msg)
    return tuple(
        Variant(gene_symbol(str(r["gene"])), str(r.get("kind", "")), str(r.get("protein_change", ""))) for r in rows
    )
