"""Variant Call Format, as far as a signature of driver genes needs it: annotated calls that passed their filters.

References
----------
VCF v4.3 specification, samtools/hts-specs. Annotations of VEP (INFO key CSQ) and SnpEff (ANN) are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spondyl.core import InputError
from spondyl.core.genes import gene_symbol
from spondyl.core.omics import Variant
from spondyl.io.maf import BUILDS, read_text

if TYPE_CHECKING:
    from pathlib import Path

CONSEQUENCES = {
    "missense_variant": "Missense_Mutation",
    "stop_gained": "Nonsense_Mutation",
    "stop_lost": "Nonstop_Mutation",
    "start_lost": "Translation_Start_Site",
    "splice_acceptor_variant": "Splice_Site",
    "splice_donor_variant": "Splice_Site",
    "inframe_deletion": "In_Frame_Del",
    "inframe_insertion": "In_Frame_Ins",
    "conservative_inframe_deletion": "In_Frame_Del",
    "disruptive_inframe_deletion": "In_Frame_Del",
    "conservative_inframe_insertion": "In_Frame_Ins",
    "disruptive_inframe_insertion": "In_Frame_Ins",
    "synonymous_variant": "Silent",
}
"""Sequence Ontology terms and their kinds in MAF; ``frameshift_variant`` depends on the lengths of the alleles."""

ANNOTATORS = (("CSQ", "SYMBOL", "Consequence", "HGVSp"), ("ANN", "Gene_Name", "Annotation", "HGVS.p"))
"""INFO key of VEP and of SnpEff, and what they call the gene, the consequence and the change of the protein."""

PASSED = ("PASS", ".")

CHROMOSOME_1 = {"249250621": "GRCh37", "248956422": "GRCh38"}
"""Length of chromosome 1 in each genome build (Genome Reference Consortium)."""


def read_vcf(path: Path) -> tuple[tuple[Variant, ...], str, tuple[str, ...]]:
    """Read the variants of a VCF file.

    Parameters
    ----------
    path : Path
        Plain or packed by gzip; annotated by VEP or SnpEff.

    Returns
    -------
    variants : tuple of Variant
        Calls that passed their filters; of several alternate alleles, each.
    build : str
        ``"GRCh37"`` or ``"GRCh38"``; empty if not told.
    notes : tuple of str
        What was left out or doubtful.

    Raises
    ------
    InputError
        If it is no VCF file, or its calls are not annotated with genes.
    """
    lines = [line for line in read_text(path).split("\n") if line]
    if not lines or not lines[0].startswith("##fileformat=VCF"):
        msg = f"{path.name} must begin with ##fileformat=VCF; give a VCF file"
        raise InputError(msg)
    header = "\n".join(line for line in lines if line.startswith("##"))
    build = _build(header, path.name)
    fields = _annotation_fields(header)
    if fields is None:
        msg = f"the calls of {path.name} must name genes (INFO key CSQ or ANN); annotate them with VEP or SnpEff"
        raise InputError(msg)
    key, gene_at, term_at, protein_at = fields
    found, failed, cut = [], 0, 0
    for line in (text for text in lines if not text.startswith("#")):
        cells = line.split("\t")
        if len(cells) < 8:
            cut += 1
            continue
        if cells[6] not in PASSED:
            failed += 1
            continue
        found += _called(cells, key, gene_at, term_at, protein_at)
    notes = [] if build else ["the genome build is not told"]
    notes += [f"{failed} calls that did not pass their filters were left out"] if failed else []
    notes += [f"{cut} lines are cut off and were left out"] if cut else []
    return tuple(found), build, tuple(notes)


def _build(header: str, name: str) -> str:
    """Genome build by its name and by the length of chromosome 1, which must agree."""
    told = {b for word, b in BUILDS.items() if len(word) > 2 and word in header.lower()}
    length = re.search(r"##contig=<ID=(?:chr)?1,[^>]*length=(\d+)", header)
    if length is not None:
        told.add(CHROMOSOME_1.get(length.group(1), "another build"))
    if len(told) > 1 or "another build" in told:
        msg = f"{name} must be on GRCh37 or GRCh38, its header says {' and '.join(sorted(told))}; lift it to one"
        raise InputError(msg)
    return next(iter(told), "")


def _annotation_fields(header: str) -> tuple[str, int, int, int | None] | None:
    for key, gene, term, protein in ANNOTATORS:
        line = re.search(rf'##INFO=<ID={key},.*?Description="([^"]*)"', header)
        if line is None:
            continue
        names = [n.strip(" '") for n in line.group(1).split(":")[-1].split("|")]
        names[0] = names[0].split()[-1].strip("'") if names[0] else names[0]
        if gene in names and term in names:
            return key, names.index(gene), names.index(term), names.index(protein) if protein in names else None
    return None


def _called(cells: list[str], key: str, gene_at: int, term_at: int, protein_at: int | None) -> list[Variant]:
    """First annotation of each alternate allele; the order is the annotator's own, most severe first."""
    info = dict(item.partition("=")[::2] for item in cells[7].split(";"))
    found: dict[str, Variant] = {}
    for text in info.get(key, "").split(","):
        parts = text.split("|")
        if len(parts) <= max(gene_at, term_at) or not parts[gene_at]:
            continue
        kind = _kind(parts[term_at].split("&"), cells[3], parts[0])
        protein = parts[protein_at].rpartition(":")[2] if protein_at is not None and protein_at < len(parts) else ""
        found.setdefault(parts[0], Variant(gene_symbol(parts[gene_at]), kind, protein))
    return list(found.values())


def _kind(terms: list[str], reference: str, alternate: str) -> str:
    if "frameshift_variant" in terms:
        return "Frame_Shift_Del" if alternate == "-" or len(alternate) < len(reference) else "Frame_Shift_Ins"
    return next((CONSEQUENCES[t] for t in terms if t in CONSEQUENCES), "")
