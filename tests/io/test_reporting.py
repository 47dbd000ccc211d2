"""The reporting items: complete, answered where they can be, and asked for where they cannot."""

import csv
import io
import tomllib
from collections import Counter

import pytest

from spondyl.core import InputError
from spondyl.io.reporting import GUIDELINES, State, answers_text, fill, items_csv, questions, read_answers


def test_every_item_of_every_guideline_is_there_once():
    items = fill({})
    counts = Counter(i.guideline for i in items)
    # Rows of the published tables: TRIPOD+AI 27 items in 52 rows, CLAIM 44, STARD-AI 40 in 48, DECIDE-AI 17 and 10.
    assert counts == {"TRIPOD+AI": 52, "CLAIM 2024": 44, "STARD-AI": 48, "DECIDE-AI": 27}
    assert list(counts) == list(GUIDELINES)
    assert len({(i.guideline, i.number) for i in items}) == len(items)
    main = {g: {"".join(c for c in i.number if not c.islower()) for i in items if i.guideline == g} for g in GUIDELINES}
    assert {g: len(numbers) for g, numbers in main.items()} == {
        "TRIPOD+AI": 27,
        "CLAIM 2024": 44,
        "STARD-AI": 40,
        "DECIDE-AI": 27,
    }


def test_every_answer_is_used_and_what_only_a_hospital_knows_is_open():
    items = fill({})
    assert {i.key for i in items if i.key} == set(questions())
    assert all((i.state is State.OPEN) == bool(i.key) for i in items)
    assert all(i.answer for i in items)


def test_one_answer_fills_the_items_of_all_guidelines_that_ask_for_it():
    filled = [i for i in fill({"ethics": "Committee A, number 7"}) if i.key == "ethics"]
    assert {i.guideline for i in filled} == {"TRIPOD+AI", "STARD-AI", "DECIDE-AI"}
    assert all(i.state is State.SITE and i.answer == "Committee A, number 7" for i in filled)


def test_what_an_evaluation_could_not_show_is_open_with_what_to_do():
    item = next(i for i in fill({}, {"failures"}) if (i.guideline, i.number) == ("CLAIM 2024", "39"))
    assert item.state is State.OPEN
    assert "no vertebra was missed" in item.answer


def test_answers_go_out_and_come_back(tmp_path):
    file = tmp_path / "answers.toml"
    given = {"ethics": 'Said "yes"\nin two lines', "funding": "None"}
    file.write_text(answers_text(given), encoding="utf-8")
    read = read_answers(file)
    assert {k: v for k, v in read.items() if v} == given
    assert set(read) == set(questions())
    assert tomllib.loads(answers_text({}))["ethics"] == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [("ethics = 3", "must be text"), ("etics = 'x'", "no item asks for"), ("ethics", "cannot be read")],
)
def test_answers_that_cannot_be_used_are_told(tmp_path, text, said):
    file = tmp_path / "answers.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_answers(file)


def test_items_are_a_table():
    rows = list(csv.DictReader(io.StringIO(items_csv(fill({})))))
    assert len(rows) == 171
    assert rows[0]["guideline"] == "TRIPOD+AI"
