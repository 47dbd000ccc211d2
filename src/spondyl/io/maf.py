"""Mutation Annotation Format: one line a somatic variant, columns found by name.

References
----------
NCI Genomic Data Commons, MAF Format v1.0.0. The columns of older files differ in order, number and capitals.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import pandas as pd

from spondyl.core import InputError
from spondyl.core.genes import PROTEIN_CHANGING, SILENT_CODING, VARIANT_CLASSES, gene_symbol, is_symbol

if TYPE_CHECKING:
    from pathlib import Path

GENE, KIND, SAMPLE = "Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"
REQUIRED = (GENE, KIND, SAMPLE)

PLACE = ("Chromosome", "Start_Position", "Reference_Allele", "Tumor_Seq_Allele2")
"""Columns that, with gene and sample, tell whether two lines are one variant."""

PROTEIN = ("HGVSp_Short", "Protein_Change", "amino_acid_change", "AAChange")
"""Columns that may hold the change of the protein."""

BUILDS = {"37": "GRCh37", "hg19": "GRCh37", "grch37": "GRCh37", "38": "GRCh38", "hg38": "GRCh38", "grch38": "GRCh38"}
"""Names of genome builds. A build is never guessed from positions."""

GZIP_MAGIC = b"\x1f\x8b"

MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class MafTable:
    """Variants of a file.

    Parameters
    ----------
    variants : DataFrame
        Columns ``sample``, ``gene``, ``kind`` and ``protein_change``, a row a variant, in the order of the file.
    build : str
        ``"GRCh37"`` or ``"GRCh38"``; empty if the file does not say.
    notes : tuple of str
        What was changed or doubtful.
    """

    variants: pd.DataFrame
    build: str
    notes: tuple[str, ...]

    def by_kind(self) -> pd.Series:
        """Count variants of each kind.

        Returns
        -------
        Series
            Counts, the largest first.
        """
        return self.variants["kind"].value_counts()

    def gene_counts(self) -> pd.DataFrame:
        """Count protein-changing variants of each gene in each sample.

        Returns
        -------
        DataFrame
            Rows by sample, columns by gene; samples without one have a row of zeros.
        """
        changing = self.variants[self.variants["kind"].isin(PROTEIN_CHANGING)]
        table = pd.crosstab(changing["sample"], changing["gene"])
        samples = pd.Index(self.variants["sample"].unique())
        return table.reindex(samples, fill_value=0).rename_axis("patient_id").rename_axis(None, axis=1)

    def burden(self, panel_mb: float) -> pd.Series:
        """Give each sample's mutational burden.

        Parameters
        ----------
        panel_mb : float
            Coding sequence looked at, in megabases.

        Returns
        -------
        Series
            Coding variants, silent ones included, per megabase (Chalmers 2017, Genome Med 9:34).
        """
        coding = self.variants["kind"].isin(PROTEIN_CHANGING | SILENT_CODING)
        samples = pd.Index(self.variants["sample"].unique())
        return self.variants[coding].groupby("sample").size().reindex(samples, fill_value=0) / panel_mb


def read_text(path: Path) -> str:
    """Read a text file, packed by gzip or not, with any kind of line ends.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        Its text, lines ended by a line feed.

    Raises
    ------
    InputError
        If it is missing, damaged, or no text.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        msg = f"the file {path.name} was not found; check the path"
        raise InputError(msg) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read as text ({type(error).__name__}); it may be cut off, copy it again"
        raise InputError(msg) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_maf(path: Path) -> MafTable:
    """Read a MAF file.

    Parameters
    ----------
    path : Path
        Plain or packed by gzip.

    Returns
    -------
    MafTable
        Its variants under today's gene names.

    Raises
    ------
    InputError
        If it is no MAF file, is empty, or mixes genome builds.
    """
    lines = [line for line in read_text(path).split("\n") if line and not line.startswith("#")]
    names = {name.lower(): name for name in (*REQUIRED, *PLACE, *PROTEIN, "NCBI_Build")}
    head = [names.get(c.strip().lower(), c.strip()) for c in lines[0].split("\t")] if lines else []
    missing = [c for c in REQUIRED if c not in head]
    if missing:
        msg = f"a MAF file has the columns {', '.join(REQUIRED)}, {path.name} lacks {', '.join(missing)}"
        raise InputError(msg)
    if len(lines) < 2:
        msg = f"{path.name} has a line of column names and no variant; give the file with the calls"
        raise InputError(msg)
    table = _parsed(path, head, lines[1:])
    notes: list[str] = []
    table = _without_repeats(table, notes)
    genes = [gene_symbol(g) for g in table[GENE]]
    changed = sorted({old for old, new in zip(table[GENE], genes, strict=True) if old.strip() != new})
    if changed:
        notes.append(f"{len(changed)} genes were given today's names: {_some(changed)}")
    odd = sorted({g for g in table[GENE] if not is_symbol(g)})
    if odd:
        notes.append(f"{len(odd)} names are no gene symbols: {_some(odd)}")
    strange = sorted(set(table[KIND]) - VARIANT_CLASSES)
    if strange:
        notes.append(f"{len(strange)} kinds of variants are not known and count for nothing: {_some(strange)}")
    protein = next((c for c in PROTEIN if c in table), None)
    variants = pd.DataFrame(
        {
            "sample": table[SAMPLE].str.strip(),
            "gene": genes,
            "kind": table[KIND],
            "protein_change": "" if protein is None else table[protein],
        }
    )
    return MafTable(variants.reset_index(drop=True), _build(table, path.name, notes), tuple(notes))


def _parsed(path: Path, head: list[str], lines: list[str]) -> pd.DataFrame:
    wide = sum(line.count("\t") + 1 < len(head) for line in lines)
    if wide:
        msg = f"{wide} lines of {path.name} have fewer cells than the line of names; it may be cut off, copy it again"
        raise InputError(msg)
    try:
        table = pd.read_csv(
            StringIO("\n".join(lines)), sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3
        )
    except ValueError as error:
        msg = f"{path.name} cannot be read as a table ({type(error).__name__}); it may be cut off, copy it again"
        raise InputError(msg) from error
    return table.iloc[:, : len(head)].set_axis(head[: table.shape[1]], axis=1)


def _without_repeats(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Drop lines that repeat a variant of the same sample; without positions nobody can tell."""
    if not set(PLACE) <= set(table.columns):
        return table
    twice = table.duplicated([SAMPLE, GENE, *PLACE])
    if twice.any():
        notes.append(f"{int(twice.sum())} lines repeat a variant of the same sample and were left out")
    return table[~twice]


def _build(table: pd.DataFrame, name: str, notes: list[str]) -> str:
    told = sorted({str(b).strip() for b in table["NCBI_Build"]} - {""}) if "NCBI_Build" in table else []
    if not told:
        notes.append("the genome build is not told")
        return ""
    known = {BUILDS.get(b.lower()) for b in told}
    if len(known) > 1:
        msg = f"all variants of {name} must be on one genome build, got {_some(told)}; lift them to one"
        raise InputError(msg)
    build = known.pop()
    if build is None:
        msg = f"the genome build of {name} must be GRCh37 or GRCh38, got {_some(told)}; lift the variants over"
        raise InputError(msg)
    return build


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
