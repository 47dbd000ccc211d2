import json

import h5py
import numpy as np
import pandas as pd
import pytest

from spondyl.core import InputError
from spondyl.io.omics import read_omics
from spondyl.io.slides import read_slide

MAF = (
    "Hugo_Symbol\tNCBI_Build\tVariant_Classification\tTumor_Sample_Barcode\n"
    "TP53\tGRCh38\tMissense_Mutation\tS1\nKRAS\tGRCh38\tMissense_Mutation\tS2\n"
)
VCF = """##fileformat=VCFv4.2
##reference=GRCh38
##INFO=<ID=CSQ,Number=.,Type=String,Description="Annotations from VEP. Format: Allele|Consequence|SYMBOL|HGVSp">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
17\t7577120\t.\tC\tT\t.\tPASS\tCSQ=T|missense_variant|TP53|ENSP1:p.Arg273His
17\t7577121\t.\tC\tT\t.\tlowqual\tCSQ=T|stop_gained|RB1|
2\t1\t.\tCA\tC\t.\tPASS\tCSQ=-|frameshift_variant|MLL2|
"""


def slide(path, values, places=None, **attrs):
    with h5py.File(path, "w") as file:
        file["features"] = values
        file.attrs.update(attrs)
        if places is not None:
            file["coords"] = places
    return path


def test_a_form_names_the_parts(tmp_path):
    (tmp_path / "calls.maf").write_text(MAF)
    (tmp_path / "rna.tsv").write_text("gene\tS1\tS2\nTP53\t7\t0\nCTGF\t1023\t3\n")
    slide(tmp_path / "a.h5", np.ones((4, 6)), np.zeros((4, 2)))
    (tmp_path / "p.toml").write_text(
        'primary = "Prostate"\ngrade = "Gleason 4+3"\nsample = "S1"\nmaf = "calls.maf"\nexpression = "rna.tsv"\n'
        'slides = ["a.h5"]\npanel_mb = 1.2\n'
    )
    got = read_omics(tmp_path / "p.toml")
    assert got.primary == "prostate"
    assert got.grade["grade"] == 3
    assert [v.gene for v in got.variants] == ["TP53"]
    assert got.expression == {"TP53": 3.0, "CCN2": 10.0}
    assert got.pathology.tolist() == [1.0] * 6
    assert got.build == "GRCh38"


def test_a_form_can_hold_everything(tmp_path):
    form = {"variants": [{"gene": "HER2", "kind": "Missense_Mutation"}], "expression": {"TP53": 2.0, "KRAS": 3.0}}
    (tmp_path / "p.json").write_text(json.dumps(form))
    got = read_omics(tmp_path / "p.json")
    assert got.variants[0].gene == "ERBB2"
    assert got.expression["KRAS"] == 3.0
    assert any("already" in n for n in got.notes)


def test_a_file_of_several_samples_asks_which_without_naming_any(tmp_path):
    (tmp_path / "calls.maf").write_text(MAF)
    with pytest.raises(InputError, match="holds 2 samples") as told:
        read_omics(tmp_path / "calls.maf")
    assert "S1" not in str(told.value)
    assert [v.gene for v in read_omics(tmp_path / "calls.maf", "S2").variants] == ["KRAS"]


def test_calls_that_passed_are_taken_from_a_vcf_file(tmp_path):
    (tmp_path / "calls.vcf").write_text(VCF)
    got = read_omics(tmp_path / "calls.vcf")
    assert [(v.gene, v.kind) for v in got.variants] == [("TP53", "Missense_Mutation"), ("KMT2D", "Frame_Shift_Del")]
    assert got.variants[0].protein_change == "p.Arg273His"
    assert any("1 calls" in n for n in got.notes)


def test_a_vcf_file_without_genes_is_refused(tmp_path):
    (tmp_path / "calls.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\n")
    with pytest.raises(InputError, match="annotate"):
        read_omics(tmp_path / "calls.vcf")


def test_a_cbioportal_study_is_read(tmp_path):
    (tmp_path / "data_mutations.txt").write_text(MAF)
    (tmp_path / "data_mrna_seq_v2_rsem.txt").write_text("Hugo_Symbol\tEntrez_Gene_Id\tS1\tS2\nTP53\t7157\t15\t3\n")
    (tmp_path / "data_mrna_seq_v2_rsem_zscores.txt").write_text("Hugo_Symbol\tS1\tS2\nTP53\t-1\t1\n")
    got = read_omics(tmp_path, "S1")
    assert got.sources[0] == "cBioPortal study"
    assert [v.gene for v in got.variants] == ["TP53"]


def test_anndata_is_read(tmp_path):
    import anndata

    table = pd.DataFrame([[1.0, 500.0]], index=["S1"], columns=["TP53", "KRAS"])
    anndata.AnnData(table).write_h5ad(tmp_path / "rna.h5ad")
    assert read_omics(tmp_path / "rna.h5ad").expression["TP53"] == 1.0


@pytest.mark.parametrize(
    ("form", "word"),
    [("primry = 1", "check the spelling"), ("panel_mb = 0", "megabases"), ("[broken", "no TOML"),
     ('variants = [{kind = "Silent"}]', "needs a gene"), ('variants = [{gene = "A", kind = "Odd"}]', "those of MAF"),
     ('maf = "nowhere.maf"', "not found"), ('primary = "prostate"\ngrade = "9"', "between 1 and 5")],
)  # fmt: skip
def test_a_form_that_cannot_be_used_says_why(tmp_path, form, word):
    (tmp_path / "p.toml").write_text(form)
    with pytest.raises(InputError, match=word):
        read_omics(tmp_path / "p.toml")


def test_slides_of_clam_have_one_more_axis(tmp_path):
    got = read_slide(slide(tmp_path / "a.h5", np.ones((1, 3, 5)), encoder="uni_v1"))
    assert got.features.shape == (3, 5)
    assert got.encoder == "uni_v1"


@pytest.mark.parametrize(
    ("values", "places", "word"),
    [(np.empty((0, 5)), None, "shape"), (np.full((2, 2), np.nan), None, "finite"),
     (np.ones((3, 2)), np.ones((2, 2)), "coordinates"),
     (np.ones((2, 2, 2)), None, "shape")],
)  # fmt: skip
def test_slides_that_do_not_fit_are_refused(tmp_path, values, places, word):
    with pytest.raises(InputError, match=word):
        read_slide(slide(tmp_path / "a.h5", values, places))


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n"])
def test_empty_and_cut_off_slides_are_refused(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(InputError, match="cut off"):
        read_slide(tmp_path / "a.h5")


def test_slides_of_two_encoders_are_not_mixed(tmp_path):
    slide(tmp_path / "a.h5", np.ones((2, 5)))
    slide(tmp_path / "b.h5", np.ones((2, 6)))
    (tmp_path / "p.toml").write_text('slides = ["a.h5", "b.h5"]')
    with pytest.raises(InputError, match="one encoder"):
        read_omics(tmp_path / "p.toml")
