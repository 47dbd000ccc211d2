"""Files of readings in all their forms, and what is wrong with some."""

import math

import pytest

from reader_fakes import EXAMPLE_FILE
from spondyl.core import InputError
from spondyl.io.reader_study import Reading, parse_readings, read_readings, write_readings

TIDY = """reader,role,case,modality,finding,score,truth,seconds,trust
truth,truth,c1,truth,L1,1,1,,
truth,truth,c2,truth,,0,0,,
Ann,reader,c1,unaided,,0.7,,41.5,4
Ann,reader,c1,unaided,L1,0.7,1,,
Ann,reader,c1,unaided,m2,0.2,0,,
Ann,reader,c2,unaided,,0.1,,20,good
AI,ai,c1,alone,,0.9,,,
"""


def test_the_example_of_imrmc():
    table = read_readings(EXAMPLE_FILE)
    assert len(table.readings) == 800
    assert sum(table.truth.values()) == 40
    first = table.readings[0]
    assert (first.reader, first.case, first.modality, first.score) == (
        "reader1",
        "negCase1",
        "testA",
        0.7541503534814245,
    )
    assert not table.has_findings


def test_the_text_format_of_imrmc():
    text = "A study\nN0: 1\nN1: 1\nNR: 1\nNM: 1\n\nBEGIN DATA:\n-1,c1,0,0\n-1,c2,0,1\n1, c1, A, 3\n1, c2, A, 5\n"
    table = parse_readings(text)
    assert table.truth == {"c1": False, "c2": True}
    assert [(r.reader, r.case, r.modality, r.score) for r in table.readings] == [
        ("1", "c1", "A", 3),
        ("1", "c2", "A", 5),
    ]


def test_the_export_of_the_review_page():
    table = parse_readings(TIDY)
    assert table.truth == {"c1": True, "c2": False}
    assert table.lesions == {"c1": ("L1",)}
    assert table.has_findings
    assert table.questions == ("trust",)
    assert [r.reader for r in table.by_role("standalone")] == ["AI"]
    ann = table.by_role("reader")
    assert (ann[0].seconds, ann[0].answers["trust"]) == (41.5, 4)
    assert math.isnan(ann[3].answers["trust"])  # a word is no answer on a scale
    assert [r.finding for r in ann] == ["", "L1", "m2", ""]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["readerID,caseID,modalityID,score", "Rater,Case_ID,Test,Rating"])
def test_separators_and_names_of_columns(separator, head):
    text = f"{head}\ntruth,c1,truth,1\nAnn,c1,MRI,0.5\n".replace(",", separator)
    assert parse_readings(text).readings[0].score == 0.5


def test_decimal_commas_where_commas_do_not_part_columns():
    assert parse_readings("reader;case;modality;score\ntruth;c;t;1\nAnn;c;MRI;0,75\n").readings[0].score == 0.75


def test_truth_in_a_column_is_enough():
    table = parse_readings("reader,case,modality,score,truth\nAnn,c1,MRI,0.5,yes\nBo,c1,MRI,0.4,1\nAnn,c2,MRI,0.1,no\n")
    assert table.truth == {"c1": True, "c2": False}


@pytest.mark.parametrize("missing", ["", "NA", "nan", "."])
def test_missing_scores_are_missing(missing):
    table = parse_readings(f"reader,case,modality,score\ntruth,c1,truth,1\nAnn,c1,MRI,{missing}\n")
    assert math.isnan(table.readings[0].score)


def test_lesions_that_only_readers_know_are_noted():
    text = "reader,case,modality,finding,score,truth\nAnn,c1,MRI,L1,0.5,1\nAnn,c2,MRI,m,0.5,0\n"
    table = parse_readings(text)
    assert table.lesions == {"c1": ("L1",)}
    assert table.truth == {"c1": True, "c2": False}
    assert "lesions that all missed do not count" in table.notes[0]


def test_what_is_written_is_read_again(tmp_path):
    readings = [
        Reading("Ann", "c1", "aided", 1 / 3, seconds=12.5, answers={"trust": 4.0}),
        Reading("Ann", "c2", "aided", math.nan),
        Reading("AI", "c1", "alone", 0.9, role="standalone", finding="L1", truth=1.0),
    ]
    write_readings(tmp_path / "out.csv", readings, {"c1": True, "c2": False})
    table = read_readings(tmp_path / "out.csv")
    assert table.truth == {"c1": True, "c2": False}
    assert table.readings[0].score == pytest.approx(1 / 3, rel=1e-9)
    assert table.readings[0].answers == {"trust": 4.0}
    assert [r.role for r in table.readings] == ["reader", "reader", "standalone"]
    assert table.readings[2].finding == "L1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        ("\n\n", "got an empty file"),
        ("reader,case,modality,score\n", "a table without rows"),
        ("reader,case,score\nA,c,1\n", r"missing: modality"),
        ("a,b,c,d\nA,c,m,1\n", "missing: reader, case, modality, score"),
        ("reader,rater,case,modality,score\nA,A,c,m,1\n", "one column reader, got 2"),
        ("reader,case,modality,score\nA,c,m\n", "row 2 of the readings has 3 cells"),
        ("reader,case,modality,score\nA,c,m,high\n", "score must be a number, which row 2"),
        ("reader,case,modality,score\nA,c,m,inf\n", "score must be finite, which row 2"),
        ("reader,case,modality,score\nA,,m,1\n", "row 2 of the readings lacks"),
        ("reader,case,modality,score\ntruth,c,t,1\ntruth,c,t,0\nA,c,m,1\n", "rows 2 and 3 .* contradict"),
        ("reader,case,modality,score\ntruth,c,t,2\nA,c,m,1\n", "must be 0 .* or 1 .*, which row 2"),
        ("reader,case,modality,score\ntruth,c,t,1\n", "rows of the truth only"),
        ("reader,case,modality,finding,score\ntruth,c,t,,0\ntruth,c,t,L1,1\nA,c,m,,1\n", "row 2 .* calls it negative"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(text, message):
    with pytest.raises(InputError, match=message):
        parse_readings(text)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_readings(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="cannot be opened"):
        read_readings(tmp_path)
    (tmp_path / "image.dcm").write_bytes(b"\0" * 200 + b"DICM")
    with pytest.raises(InputError, match="expected a text file"):
        read_readings(tmp_path / "image.dcm")


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(TIDY)
    monkeypatch.setattr("spondyl.io.reader_study.LARGEST_BYTES", 10)
    with pytest.raises(InputError, match="at most 10 bytes"):
        read_readings(tmp_path / "a.csv")


def test_an_open_quotation_mark_is_told():
    text = 'reader,case,modality,score\nAnn,"c1,MRI,1\n' + "x" * 200_000
    with pytest.raises(InputError, match="quotation marks do not close"):
        parse_readings(text)


def test_messages_hold_no_names():
    with pytest.raises(InputError) as error:
        parse_readings("reader,case,modality,score\ntruth,DOE^JANE,t,1\ntruth,DOE^JANE,t,0\nA,DOE^JANE,m,1\n")
    assert "DOE" not in str(error.value)


def test_other_encodings_and_a_byte_order_mark(tmp_path):
    (tmp_path / "bom.csv").write_bytes("\ufeff".encode() + TIDY.encode())
    (tmp_path / "latin.csv").write_bytes(TIDY.replace("Ann", "Änn").encode("latin-1"))
    assert read_readings(tmp_path / "bom.csv").truth == {"c1": True, "c2": False}
    assert read_readings(tmp_path / "latin.csv").readings[0].reader == "Änn"
