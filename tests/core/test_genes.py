import pytest

from spondyl.core.genes import (
    ALIASES,
    DRIVERS,
    GENE_SETS,
    MEDIAN_TMB_PER_MB,
    NON_CODING,
    PROTEIN_CHANGING,
    SILENT_CODING,
    TRUNCATING,
    gene_symbol,
    is_symbol,
)


@pytest.mark.parametrize(
    ("old", "new"), [("MLL2", "KMT2D"), ("her2", "ERBB2"), (" CTGF ", "CCN2"), ("2-Sep", "SEPTIN2")]
)
def test_former_names_become_todays(old, new):
    assert gene_symbol(old) == new


def test_other_names_stay():
    assert gene_symbol(" TP53 ") == "TP53"


def test_no_set_names_a_gene_by_a_former_name():
    named = {g for s in GENE_SETS.values() for g in s.genes} | {g for t in DRIVERS.values() for g in t}
    assert not named & set(ALIASES)


def test_sets_have_a_source_and_no_gene_twice():
    for gene_set in GENE_SETS.values():
        assert "doi" in gene_set.source
        assert len(set(gene_set.genes)) == len(gene_set.genes)


def test_kinds_of_variants_do_not_overlap():
    assert not PROTEIN_CHANGING & SILENT_CODING
    assert not (PROTEIN_CHANGING | SILENT_CODING) & NON_CODING
    assert TRUNCATING < PROTEIN_CHANGING


def test_every_primary_has_drivers_and_a_burden():
    assert set(DRIVERS) == set(MEDIAN_TMB_PER_MB)
    assert all(0 < share < 1 for table in DRIVERS.values() for share in table.values())


@pytest.mark.parametrize("name", ["TP53", " HLA-A ", "C1orf112", "MT-CO1", "HOXA11-AS"])
def test_symbols_are_told_by_their_shape(name):
    assert is_symbol(name)


@pytest.mark.parametrize("name", ["ENSG00000141510", "NM_000546.6", "uc002gij", "7157", "", "TCGA-AB-2988", "a b"])
def test_numbers_of_databases_barcodes_and_blanks_are_no_symbols(name):
    assert not is_symbol(name)
