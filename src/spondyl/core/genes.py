"""The words of genomics: gene sets with their sources, old names of genes, kinds of variants, drivers by primary.

Symbols are those of the HUGO Gene Nomenclature Committee (HGNC). What a file calls a gene is looked up by
`gene_symbol`, which knows former names and the dates that spreadsheets make of gene names.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class GeneSet(NamedTuple):
    """Genes that are expressed together in one process.

    Parameters
    ----------
    genes : tuple of str
        HGNC symbols; all rise with the process.
    source : str
        Where the set was published.
    """

    genes: tuple[str, ...]
    source: str


def _genes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GENE_SETS: Mapping[str, GeneSet] = MappingProxyType(
    {
        "bone_metastasis": GeneSet(
            _genes("IL11 CCN2 CXCR4 MMP1 SPP1"),
            "Kang 2003, Cancer Cell 3:537, doi:10.1016/S1535-6108(03)00132-6: genes that act together in osteolysis",
        ),
        "proliferation": GeneSet(
            _genes("BIRC5 CCNB1 CDC20 CEP55 MKI67 NDC80 NUF2 PTTG1 RRM2 TYMS UBE2C"),
            "Nielsen 2010, Clin Cancer Res 16:5222, doi:10.1158/1078-0432.CCR-10-1282: 11-gene proliferation score",
        ),
        "immune": GeneSet(
            _genes(
                "CCL5 CD27 CD274 CD276 CD8A CMKLR1 CXCL9 CXCR6 HLA-DQA1 HLA-DRB1 HLA-E IDO1 LAG3 NKG7 PDCD1LG2 PSMB10 "
                "STAT1 TIGIT"
            ),
            "Ayers 2017, J Clin Invest 127:2930, doi:10.1172/JCI91190: T-cell-inflamed profile",
        ),
        "angiogenesis": GeneSet(
            _genes("ANGPTL4 CD34 ESM1 KDR PECAM1 VEGFA"),
            "McDermott 2018, Nat Med 24:749, doi:10.1038/s41591-018-0053-3: Angio signature",
        ),
        "osteoclast": GeneSet(
            _genes("ACP5 ATP6V0D2 CALCR CSF1 CTSK DCSTAMP ITGB3 MMP9 OSCAR PTHLH TNFRSF11A TNFSF11"),
            "Boyle 2003, Nature 423:337, doi:10.1038/nature01658: osteoclast differentiation; selected by us",
        ),
        "osteoblast": GeneSet(
            _genes("ALPL BGLAP BMP2 BMP4 BMP7 COL1A1 EDN1 IBSP RUNX2 SP7 SPARC WNT3A"),
            "Harada 2003, Nature 423:349, doi:10.1038/nature01660: osteoblast function; Guise 2003, PNAS 100:10954 for "
            "EDN1; selected by us",
        ),
        "tgf_beta_stroma": GeneSet(
            _genes(
                "ACTA2 ACTG2 ADAM12 ADAM19 CNN1 COL4A1 CTPS1 FSTL3 HSPB1 IGFBP3 PXDC1 RFLNB SEMA7A SH3PXD2A TAGLN "
                "TGFBI TNS1 TPM1"
            ),
            "Mariathasan 2018, Nature 554:544, doi:10.1038/nature25501: fibroblast TGF-beta response",
        ),
    }
)
"""Gene sets of the signature score."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "MLL": "KMT2A", "MLL2": "KMT2D", "MLL3": "KMT2C", "PARK2": "PRKN", "FAM46C": "TENT5C", "HER2": "ERBB2",
        "C10ORF54": "VSIR", "CTGF": "CCN2", "FAM101B": "RFLNB", "IL8": "CXCL8", "RANKL": "TNFSF11",
        "RANK": "TNFRSF11A", "OPG": "TNFRSF11B", "PTHRP": "PTHLH", "OPN": "SPP1", "BSP": "IBSP", "OSX": "SP7",
        "PDL1": "CD274", "PD-L1": "CD274", "PDL2": "PDCD1LG2", "KNTC2": "NDC80", "CDCA1": "NUF2", "TTF1": "NKX2-1",
        "TITF1": "NKX2-1", "PSA": "KLK3", "TM4SF19L": "DCSTAMP", "TM7SF4": "DCSTAMP", "C5ORF20": "DCSTAMP",
        "CYR61": "CCN1", "NOV": "CCN3", "WHSC1": "NSD2", "GPR56": "ADGRG1", "C6ORF62": "PXDC1", "CTPS": "CTPS1",
        "HEL": "CXCR6", "P53": "TP53", "C-MET": "MET", "FAM123B": "AMER1", "MRE11A": "MRE11", "SEPT2": "SEPTIN2",
        "SEPT9": "SEPTIN9", "MARCH1": "MARCHF1", "1-MAR": "MARCHF1", "2-SEP": "SEPTIN2", "9-SEP": "SEPTIN9",
    }
)  # fmt: skip
"""Former and everyday names of genes, in capitals, and what HGNC calls them now; the dates are those that spreadsheets
make (Ziemann 2016, Genome Biol 17:177). Only genes that this package names somewhere, and the usual traps."""

DRIVERS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "breast": {"PIK3CA": 0.37, "TP53": 0.35, "GATA3": 0.12, "CDH1": 0.12, "ESR1": 0.25, "BRCA2": 0.05},
        "prostate": {"TP53": 0.45, "PTEN": 0.40, "RB1": 0.15, "AR": 0.30, "BRCA2": 0.10, "SPOP": 0.10, "CDK12": 0.06},
        "lung": {"TP53": 0.55, "KRAS": 0.28, "EGFR": 0.20, "STK11": 0.15, "KEAP1": 0.15, "BRAF": 0.04, "RB1": 0.08},
        "kidney": {"VHL": 0.65, "PBRM1": 0.35, "SETD2": 0.15, "BAP1": 0.12, "MTOR": 0.06},
        "thyroid": {"BRAF": 0.50, "NRAS": 0.20, "TERT": 0.25, "TP53": 0.10},
        "melanoma": {"BRAF": 0.48, "NRAS": 0.20, "NF1": 0.12, "CDKN2A": 0.30, "TERT": 0.60},
        "colorectal": {"APC": 0.75, "TP53": 0.60, "KRAS": 0.42, "BRAF": 0.09, "SMAD4": 0.12, "PIK3CA": 0.18},
        "myeloma": {"KRAS": 0.22, "NRAS": 0.20, "TP53": 0.10, "TENT5C": 0.10, "DIS3": 0.10},
    }
)
"""Genes in which somatic mutations drive a primary, and in about which share of patients, rounded from cohorts of
The Cancer Genome Atlas and MSK-MET (Nguyen 2022, Cell 185:563, doi:10.1016/j.cell.2022.01.003)."""

MEDIAN_TMB_PER_MB: Mapping[str, float] = MappingProxyType(
    {
        "breast": 3.0, "prostate": 2.5, "lung": 6.5, "kidney": 2.5, "thyroid": 1.5, "melanoma": 14.0,
        "colorectal": 4.5, "myeloma": 1.5,
    }
)  # fmt: skip
"""Median mutational burden of a primary, mutations per megabase, rounded from Chalmers 2017, Genome Med 9:34."""

TRUNCATING = frozenset(
    {"Nonsense_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins", "Splice_Site", "Translation_Start_Site",
     "Nonstop_Mutation"}
)  # fmt: skip
"""Kinds of variants that usually end a protein; the words of the Mutation Annotation Format (GDC MAF Format v1.0.0)."""

PROTEIN_CHANGING = TRUNCATING | {"Missense_Mutation", "In_Frame_Del", "In_Frame_Ins"}
"""Kinds of variants that change a protein; those that count for a gene's mutation and, with the silent ones of coding
sequence, for the mutational burden."""

SILENT_CODING = frozenset({"Silent", "Synonymous_Mutation"})
"""Kinds of coding variants that leave the protein as it is."""

NON_CODING = frozenset(
    {"3'UTR", "5'UTR", "3'Flank", "5'Flank", "Intron", "IGR", "RNA", "lincRNA", "Splice_Region", "Targeted_Region",
     "De_novo_Start_InFrame", "De_novo_Start_OutOfFrame"}
)  # fmt: skip
"""Kinds of variants outside coding sequence."""

VARIANT_CLASSES = PROTEIN_CHANGING | SILENT_CODING | NON_CODING
"""All kinds of variants that are known."""


def gene_symbol(name: str) -> str:
    """Give today's symbol of a gene.

    Parameters
    ----------
    name : str
        As a file has it.

    Returns
    -------
    str
        The HGNC symbol if the name is a former one that is known, else the name itself without blanks around it.
    """
    text = name.strip()
    return ALIASES.get(text.upper(), text)


SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]*([-.@_][A-Za-z0-9]+)?(-(AS|IT|DT|OT)\d?)?")
"""Shape of a gene symbol (HGNC guidelines; Bruford 2020, Nat Genet 52:754), with room for names of older files."""

ACCESSION = re.compile(r"(ENS[A-Z]*[GTP]\d{6,}|[NX][MRP]_\d+|uc\d{3}[a-z]{3})(\.\d+)?", re.IGNORECASE)
"""Shape of numbers of Ensembl, RefSeq and UCSC."""


def is_symbol(name: str) -> bool:
    """Say whether a name can be a gene symbol.

    Parameters
    ----------
    name : str
        As a file has it.

    Returns
    -------
    bool
        False for numbers of databases, barcodes, blanks and the like. True does not say that the gene exists.
    """
    text = name.strip()
    return SYMBOL.fullmatch(text) is not None and ACCESSION.fullmatch(text) is None
