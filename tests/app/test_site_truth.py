"""The table of the truth: what a radiologist may type, and what is told to be wrong, by row."""

import math

import pytest

from spondyl.app.site_truth import read_truth
from spondyl.core import InputError


def _read(folder, *lines):
    file = folder / "truth.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_truth(file)


def test_rows_become_studies_and_other_columns_groups(tmp_path):
    truth = _read(
        tmp_path,
        "study,patient,level,class,volume_ml,date,sex",
        "007,A, l1 ,Malignant,2.5,2025-03-01,F",
        "007,A,Th12,benign,,2025-03-01,F",
        "008,B,,,,2025-03-02,",
    )
    first, second = truth["007"], truth["008"]
    assert [(t.level, t.kind) for t in first.levels] == [("L1", "malignant"), ("T12", "benign")]
    assert first.levels[0].volume_ml == 2.5
    assert math.isnan(first.levels[1].volume_ml)
    assert (first.groups, second.groups) == ({"sex": "F"}, {"sex": "not known"})
    assert second.when - first.when == pytest.approx(1)
    assert (first.malignant, second.malignant, second.levels) == (True, False, ())


def test_disease_without_a_level_counts_for_the_study(tmp_path):
    truth = _read(tmp_path, "study,level,class", "a,,malignant", "b,,normal")
    assert truth["a"].malignant
    assert not truth["b"].malignant
    assert truth["a"].patient != truth["b"].patient


def test_numbers_of_many_values_become_thirds_of_the_studies(tmp_path):
    rows = [f"s{age},,normal,{age}" for age in range(30, 90, 2)]
    groups = {t.groups["age"] for t in _read(tmp_path, "study,level,class,age", *rows).values()}
    assert len(groups) == 3
    assert any(g.startswith("under ") for g in groups)


def test_centers_are_points(tmp_path):
    truth = _read(tmp_path, "study,level,class,x_lps_mm,y_lps_mm,z_lps_mm", "a,L1,normal,1,2,-3.5")
    assert truth["a"].levels[0].center_lps_mm == (1, 2, -3.5)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["study,level", "a,L1"], "missing: class"),
        (["study,level,class", ",L1,normal"], "rows 2 do not"),
        (["study,level,class", "SMITH,L9,normal"], "level must be a name .* row 2"),
        (["study,level,class", "a,,normal", "SMITH,L1,bad"], "class must be .* row 3"),
        (["study,level,class", "a,L1,"], "class must be .* row 2"),
        (["study,level,class", "a,L1,normal", "a,l1,malignant"], "rows 2, 3 name one twice"),
        (["study,level,class,volume_ml", "a,L1,benign,big"], "volume_ml must be a number .* row 2"),
        (["study,level,class,volume_ml", "a,L1,benign,-1"], "0 or more; row 2"),
        (["study,level,class,x_lps_mm,y_lps_mm,z_lps_mm", "a,L1,normal,1,,3"], "some of them only"),
        (["study,level,class,date", "a,L1,normal,yesterday"], "date as 2026-01-31"),
        (["study,level,class,sex", "a,L1,normal,F", "a,L2,normal,M"], "sex must be the same"),
        (["study,level,class,patient", "a,L1,normal,"], "must name its patient"),
    ],
)
def test_what_is_wrong_is_told_by_row_and_without_a_name(tmp_path, lines, said):
    with pytest.raises(InputError, match=said) as caught:
        _read(tmp_path, *lines)
    assert "SMITH" not in str(caught.value)
