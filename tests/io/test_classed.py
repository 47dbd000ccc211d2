"""A table of vertebrae is read by study, and what does not fit is refused without naming anybody."""

from __future__ import annotations

import pytest

from spondyl.core import InputError
from spondyl.io.classed import list_classed

HEAD = "patient,study,level,class,subtype\n"


def _table(tmp_path, text):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    return path


def test_rows_are_gathered_by_study(tmp_path):
    text = HEAD + "A,one,l3,malignant,metastasis_lytic\nB,two,T12,normal,\nA,one,L4,benign,\n"
    first, second = list_classed(_table(tmp_path, text))
    assert (first.number, first.patient, first.path) == (1, "A", tmp_path / "one")
    assert [(v.level, v.class_name, v.subtype) for v in first.vertebrae] == [
        ("L3", "malignant", "metastasis_lytic"),
        ("L4", "benign", ""),
    ]
    assert second.vertebrae[0].where == "row 2 of the table"


def test_the_subtype_may_be_missing(tmp_path):
    (study,) = list_classed(_table(tmp_path, "patient,study,level,class\nA,one,L3,normal\n"))
    assert study.vertebrae[0].subtype == ""


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("Secret,one,,normal,\n", "row 1 of the table lacks 'level'"),
        ("Secret,one,L9,normal,\n", "wants a level such as L3"),
        ("Secret,one,L3,normal,\nSecret,one,l3,normal,\n", "row 2 of the table names L3 of its study a second time"),
        ("Secret,one,L3,normal,\nOther,one,L4,normal,\n", "row 2 of the table names a second patient"),
        ("", "is empty"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path, rows, fault):
    with pytest.raises(InputError, match=fault) as error:
        list_classed(_table(tmp_path, HEAD + rows))
    assert "Secret" not in str(error.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "t.csv", tmp_path / "missing.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            list_classed(path)
