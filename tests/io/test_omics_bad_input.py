"""Odd, old, cut-off and mistaken files: a clear word, never a silent misreading."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.core.genes import is_symbol
from spondyl.io.omics import read_omics
from spondyl.io.omics_cohort import read_cohort_tables, write_cohort_folder

HEAD = "##fileformat=VCFv4.2\n"
CSQ = '##INFO=<ID=CSQ,Number=.,Type=String,Description="Annotations. Format: Allele|Consequence|SYMBOL">\n'
CALL = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n17\t1\t.\tC\tT\t.\tPASS\tCSQ=T|missense_variant|TP53\n"


@pytest.mark.parametrize("name", ["TP53", "HLA-DRB1", "NKX2-1", "C1orf43", "H1-0", "MT-CO1", "HLA-DQB1-AS1", "Unknown"])
def test_gene_symbols_look_like_some(name):
    assert is_symbol(name)


@pytest.mark.parametrize("name", ["ENSG00000141510", "ENSG00000141510.17", "7157", "TCGA-AB-2802", "NM_000546.6", "",
                                  "?", "TP53 (human)", "1-Mar"])  # fmt: skip
def test_numbers_barcodes_and_dates_do_not(name):
    assert not is_symbol(name)


@pytest.mark.parametrize(
    ("lines", "build"),
    [("##contig=<ID=1,length=249250621>\n", "GRCh37"), ("##contig=<ID=chr1,assembly=x,length=248956422>\n", "GRCh38"),
     ("##reference=hg19\n", "GRCh37"), ("", "")],
)  # fmt: skip
def test_the_genome_build_is_told_by_name_or_by_the_length_of_chromosome_1(tmp_path, lines, build):
    (tmp_path / "a.vcf").write_text(HEAD + lines + CSQ + CALL)
    assert read_omics(tmp_path / "a.vcf").build == build


@pytest.mark.parametrize(
    "lines", ["##reference=hg38\n##contig=<ID=1,length=249250621>\n", "##contig=<ID=1,length=247249719>\n"]
)
def test_a_build_that_contradicts_itself_or_is_too_old_is_refused(tmp_path, lines):
    (tmp_path / "a.vcf").write_text(HEAD + lines + CSQ + CALL)
    with pytest.raises(InputError, match="GRCh37 or GRCh38"):
        read_omics(tmp_path / "a.vcf")


def test_expression_by_ensembl_numbers_says_what_to_do(tmp_path):
    (tmp_path / "rna.tsv").write_text("gene_id\tS1\nENSG00000141510\t3\nENSG00000133703\t5\n")
    with pytest.raises(InputError, match="symbols such as TP53, 2 of 2"):
        read_omics(tmp_path / "rna.tsv")


def test_names_that_are_no_genes_are_listed(tmp_path):
    (tmp_path / "rna.tsv").write_text("gene\tS1\nTP53\t3\nKRAS\t5\n?\t1\n")
    assert any("1 names are no gene symbols: ?" in n for n in read_omics(tmp_path / "rna.tsv").notes)
    (tmp_path / "a.maf").write_text(
        "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\nENSG00000141510\tSilent\tS1\n"
    )
    assert any("ENSG00000141510" in n for n in read_omics(tmp_path / "a.maf").notes)


def test_a_barcode_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "rna.tsv").write_text("gene\tS1\tS1\nTP53\t3\t4\n")
    with pytest.raises(InputError, match="columns of one name"):
        read_omics(tmp_path / "rna.tsv", "S1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata says that the names are not unique
        obs, var = pd.DataFrame(index=["S1", "S1"]), pd.DataFrame(index=["TP53", "KRAS"])
        anndata.AnnData(np.ones((2, 2)), obs=obs, var=var).write_h5ad(tmp_path / "rna.h5ad")
    with pytest.raises(InputError, match="more than once"):
        read_omics(tmp_path / "rna.h5ad", "S1")


@pytest.mark.parametrize("kind", ["h5", "h5ad"])
@pytest.mark.parametrize("keep", [0, 60, 0.5])
def test_hdf5_that_is_empty_or_cut_off_is_refused(tmp_path, kind, keep):
    file = tmp_path / f"a.{kind}"
    with h5py.File(file, "w") as content:
        content["features"] = np.random.default_rng(0).normal(size=(200, 64))
    whole = file.read_bytes()
    file.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(InputError, match="cut off"):
        read_omics(file)


def test_a_slide_without_patches_in_two_dimensions_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as content:
        content["features"] = np.ones((2, 3, 4, 5))
    with pytest.raises(InputError, match="shape"):
        read_omics(tmp_path / "a.h5")


def test_logged_expression_is_detected_with_negative_values_too(tmp_path):
    (tmp_path / "rna.tsv").write_text("gene\tS1\nTP53\t-3.5\nKRAS\t55\n")
    got = read_omics(tmp_path / "rna.tsv")
    assert got.expression["TP53"] == -3.5
    assert any("already" in n for n in got.notes)


def test_ids_that_one_table_lacks_are_listed_apart(tmp_path):
    patients = pd.DataFrame({"site": ["x", "y"]}, index=["a", "b"])
    imaging = pd.DataFrame({"v": [1.0, 2.0, 3.0]}, index=["a", "B", "c"])
    write_cohort_folder(tmp_path, patients, {"imaging": imaging})
    got = read_cohort_tables(tmp_path)
    assert got.unmatched == {"imaging": ("B", "c")}
    assert any("2 rows of imaging" in n for n in got.notes)


def test_columns_of_a_cohort_that_name_no_gene_are_listed(tmp_path):
    patients = pd.DataFrame({"site": ["x", "y"]}, index=["a", "b"])
    table = pd.DataFrame({"TP53": [0, 1], "ENSG00000141510": [1, 0], "tmb_per_mb": [1.0, 2.0]}, index=["a", "b"])
    write_cohort_folder(tmp_path, patients, {"mutations": table})
    notes = read_cohort_tables(tmp_path).notes
    assert any("1 columns of mutations are named by no gene symbol: ENSG00000141510" in n for n in notes)


BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("SPONDYL_DATA", BESIDE)) / "omics" / "tcga_laml_maf" / "inst" / "extdata"


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="SPONDYL_DATA has no omics/tcga_laml_maf")
class TestRealFiles:
    @pytest.mark.parametrize(
        "name",
        ["tcga_laml_annot.tsv", "LAML_CBS_segments.tsv.gz", "LAML_sig_genes.txt.gz", "scores.gistic",
         "all_lesions.conf_99.txt", "amp_genes.conf_99.txt", "del_genes.conf_99.txt", "tcga_cohort.txt.gz"],
    )  # fmt: skip
    def test_files_of_another_kind_are_never_taken_for_omics(self, name):
        with pytest.raises(InputError):
            read_omics(DATA / name)

    def test_a_patient_of_a_maf_file_is_read_by_barcode(self):
        got = read_omics(DATA / "tcga_laml.maf.gz", "TCGA-AB-2988")
        assert got.build == "GRCh37"
        assert {"ABCA10"} <= {v.gene for v in got.variants}
