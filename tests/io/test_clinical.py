"""The clinical form: every mistake is named with field, value and remedy, and no date travels on."""

import json

import pytest

from spondyl.core import InputError
from spondyl.io.clinical import checked_clinical, form_fields, read_clinical

GOOD = """
study_date = 2026-05-04
prior_study_date = 2026-02-03
age_years = 61
primary = "breast"
karnofsky = 80
albumin_g_l = 38.5
[levels.L2]
pain = "mechanical"
[[radiotherapy]]
levels = ["L2", "L3"]
end_date = 2026-03-05
dose_gy = 24
fractions = 2
"""


def written(tmp_path, text, name="form.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_form_gives_its_fields_and_days_in_place_of_dates(tmp_path):
    form = read_clinical(written(tmp_path, GOOD))
    assert form["karnofsky"] == 80
    assert form["levels"]["L2"]["pain"] == "mechanical"
    assert form["days_since_prior"] == 90
    assert form["radiotherapy"] == [{"levels": ["L2", "L3"], "days_before_study": 60, "dose_gy": 24.0, "fractions": 2}]
    assert "2026" not in json.dumps(form)


def test_json_says_the_same_as_toml(tmp_path):
    assert read_clinical(written(tmp_path, '{"karnofsky": 70, "sex": "F"}', "form.json")) == {
        "karnofsky": 70,
        "sex": "F",
    }


def test_an_empty_form_knows_nothing(tmp_path):
    assert read_clinical(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"karnofsky": 85}, ("karnofsky", "85", "steps of 10")),
        ({"karnofsky": 110}, ("karnofsky", "100 or less", "110")),
        ({"ecog": 7}, ("ecog", "7", "0 to 5")),
        ({"albumin_g_l": 3.5}, ("albumin_g_l", "3.5", "g/dL is 35")),
        ({"primary": "brest"}, ("primary", "'brest'", "'breast'")),
        ({"age_years": -1}, ("age_years", "0 or more", "-1")),
        ({"age_years": float("nan")}, ("age_years", "nan", "leave the field out")),
        ({"levels": {"L9": {"pain": "none"}}}, ("levels.L9", "L2")),
        ({"levels": {"L2": {"pane": "none"}}}, ("levels.L2.pane", "bone_lesion")),
        ({"radiotherapy": [{"end_date": "2026-01-01"}]}, ("radiotherapy.0.end_date", "study_date", "days")),
        (
            {"study_date": "2026-01-01", "radiotherapy": [{"end_date": "2026-01-11"}]},
            ("radiotherapy.0.end_date", "10 days after", "correct"),
        ),
        (
            {"study_date": "2026-01-01", "prior_study_date": "2025-01-01", "days_since_prior": 3},
            ("prior_study_date", "days_since_prior", "one of the two"),
        ),
        ({"radiotherapy": [{"days_before_study": -3}]}, ("radiotherapy.0.days_before_study", "-3")),
        ([1, 2], ("table of fields", "list")),
    ],
)
def test_a_wrong_value_is_named_with_field_value_and_remedy(table, words):
    with pytest.raises(InputError) as caught:
        checked_clinical(table)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_field_never_repeats_its_value():
    with pytest.raises(InputError, match="unknown field patient_name") as caught:
        checked_clinical({"patient_name": "PLANTED^NAME"})
    assert "PLANTED" not in str(caught.value)


def test_a_long_word_in_place_of_a_choice_is_not_repeated():
    with pytest.raises(InputError) as caught:
        checked_clinical({"primary": "PLANTED NAME, born somewhere in 1950"})
    assert "PLANTED" not in str(caught.value)


def test_many_mistakes_are_told_together():
    with pytest.raises(InputError) as caught:
        checked_clinical({"karnofsky": 300, "ecog": 9})
    assert "karnofsky" in str(caught.value)
    assert "ecog" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "word"),
    [
        ("karnofsky = ", "form.toml", "not TOML"),
        ("{", "form.json", "not JSON"),
        ("x", "form.pdf", ".toml or .json"),
        ("[" * 100_000, "form.json", "not JSON"),
    ],
)
def test_a_file_that_is_no_form_is_refused(tmp_path, text, name, word):
    with pytest.raises(InputError, match=word):
        read_clinical(written(tmp_path, text, name))


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_clinical(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read"):
        read_clinical(tmp_path / "binary.toml")


def test_every_field_is_described():
    rows = list(form_fields())
    assert len(rows) > 40
    assert all(name and allowed and text for name, allowed, text in rows)
