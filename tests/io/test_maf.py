import gzip
import os
from pathlib import Path

import pytest

from spondyl.core import InputError
from spondyl.io.maf import read_maf

HEAD = "Hugo_Symbol\tNCBI_Build\tChromosome\tStart_Position\tVariant_Classification\tReference_Allele\t" \
       "Tumor_Seq_Allele2\tTumor_Sample_Barcode\tHGVSp_Short"  # fmt: skip
LINES = [
    "TP53\tGRCh37\t17\t7577120\tMissense_Mutation\tC\tT\tS1\tp.R273H",
    "MLL2\tGRCh37\t12\t49420000\tNonsense_Mutation\tG\tA\tS1\tp.Q1*",
    "TTN\tGRCh37\t2\t179400000\tSilent\tG\tA\tS2\t",
]


def written(tmp_path, *lines, head=HEAD, name="calls.maf", end="\n"):
    file = tmp_path / name
    content = end.join([head, *(lines or LINES)]).encode() + end.encode()
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return file


@pytest.mark.parametrize("name", ["calls.maf", "calls.maf.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_variants_are_read_with_any_line_end_and_packing(tmp_path, name, end):
    got = read_maf(written(tmp_path, name=name, end=end))
    assert got.variants["gene"].tolist() == ["TP53", "KMT2D", "TTN"]
    assert got.build == "GRCh37"
    assert any("MLL2" in n for n in got.notes)


def test_comments_and_capitals_of_columns_do_not_matter(tmp_path):
    got = read_maf(written(tmp_path, head="#version 2.4\n" + HEAD.replace("Start_Position", "Start_position")))
    assert len(got.variants) == 3


def test_counts_leave_silent_variants_out_but_not_their_sample(tmp_path):
    counts = read_maf(written(tmp_path)).gene_counts()
    assert counts.loc["S1", "TP53"] == 1
    assert counts.loc["S2"].sum() == 0


def test_the_burden_counts_silent_coding_variants_too(tmp_path):
    assert read_maf(written(tmp_path)).burden(2.0).to_dict() == {"S1": 1.0, "S2": 0.5}


def test_a_variant_that_stands_twice_counts_once(tmp_path):
    got = read_maf(written(tmp_path, *LINES, LINES[0]))
    assert len(got.variants) == 3
    assert any("1 lines repeat" in n for n in got.notes)


def test_unknown_kinds_are_listed(tmp_path):
    got = read_maf(written(tmp_path, LINES[0].replace("Missense_Mutation", "Odd_Kind")))
    assert any("Odd_Kind" in n for n in got.notes)


def test_builds_are_never_mixed_or_guessed(tmp_path):
    with pytest.raises(InputError, match="one genome build"):
        read_maf(written(tmp_path, LINES[0], LINES[1].replace("GRCh37", "hg38")))
    with pytest.raises(InputError, match="GRCh37 or GRCh38"):
        read_maf(written(tmp_path, LINES[0].replace("GRCh37", "hg17")))
    assert read_maf(written(tmp_path, LINES[0].replace("GRCh37", ""))).build == ""


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "lacks"), (b"a\tb\n1\t2\n", "lacks"), (HEAD.encode(), "no variant"),
     (HEAD.encode() + b"\nTP53\t37", "fewer cells"),
     (gzip.compress(HEAD.encode(), mtime=0)[:30], "cut off"), (b"\xff\xfe\x00bad", "cut off")],
)  # fmt: skip
def test_what_is_no_maf_is_refused(tmp_path, content, word):
    (tmp_path / "calls.maf").write_bytes(content)
    with pytest.raises(InputError, match=word):
        read_maf(tmp_path / "calls.maf")


BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("SPONDYL_DATA", BESIDE)) / "omics" / "tcga_laml_maf" / "inst" / "extdata"


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="SPONDYL_DATA has no omics/tcga_laml_maf")
class TestRealFiles:
    """The acute myeloid leukemia cohort of TCGA, as maftools 2.22 ships and summarizes it."""

    def test_counts_are_those_of_the_documentation(self):
        got = read_maf(DATA / "tcga_laml.maf.gz")
        assert len(got.variants) == 2207
        assert got.variants["sample"].nunique() == 193
        kinds = got.by_kind()
        wanted = {"Missense_Mutation": 1342, "Nonsense_Mutation": 103, "Splice_Site": 92, "Frame_Shift_Ins": 91,
                  "Frame_Shift_Del": 52, "In_Frame_Ins": 42, "In_Frame_Del": 10}  # fmt: skip
        assert {k: int(kinds[k]) for k in wanted} == wanted
        counts = got.gene_counts()
        assert {g: int((counts[g] > 0).sum()) for g in ("FLT3", "DNMT3A", "NPM1")} == {
            "FLT3": 52,
            "DNMT3A": 48,
            "NPM1": 33,
        }

    @pytest.mark.parametrize("name", ["brca.maf.gz", "APL_primary.maf.gz", "APL_relapse.maf.gz"])
    def test_odd_files_are_read(self, name):
        assert len(read_maf(DATA / name).variants) > 100

    @pytest.mark.parametrize(
        "name", ["tcga_laml_annot.tsv", "LAML_sig_genes.txt.gz", "scores.gistic", "tcga_cohort.txt.gz"]
    )
    def test_files_of_another_kind_are_refused(self, name):
        with pytest.raises(InputError, match="lacks"):
            read_maf(DATA / name)
