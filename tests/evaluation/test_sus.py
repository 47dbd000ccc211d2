"""The System Usability Scale is scored as its author said."""

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.sus import sus_scores, usability


@pytest.mark.parametrize(
    ("answers", "score"),
    [
        ([4, 2, 5, 1, 4, 2, 5, 1, 4, 2], 85.0),
        ([5, 1, 5, 1, 5, 1, 5, 1, 5, 1], 100.0),
        ([1, 5, 1, 5, 1, 5, 1, 5, 1, 5], 0.0),
        ([3] * 10, 50.0),
        ([5, 4, 2, 1, 2, 1, 3, 4, 5, 2], 62.5),
    ],
)
def test_scores_by_hand(answers, score):
    # Brooke 1996: odd items minus 1, even items from 5, the sum times 2.5.
    assert sus_scores(answers)[0] == score


def test_a_group_has_a_mean_an_interval_and_a_grade():
    rng = np.random.default_rng(1_000_001)
    answers = np.where(np.arange(10) % 2 == 0, rng.integers(4, 6, (20, 10)), rng.integers(1, 3, (20, 10)))
    made = usability(answers)
    assert made.n == 20
    assert made.low < made.mean < made.high <= 100
    assert made.grade == "A+"
    assert made.adjective in ("excellent", "best imaginable")
    assert "people" in str(made)


def test_people_who_left_an_item_out_do_not_count():
    made = usability([[4, 2, 5, 1, 4, 2, 5, 1, 4, 2], [4, 2, 5, 1, np.nan, 2, 5, 1, 4, 2]])
    assert (made.n, made.mean) == (1, 85.0)
    assert np.isnan(made.low)
    assert "1 of 2 people left an item out" in made.flags[0]


def test_the_same_answer_everywhere_is_flagged():
    assert "1 people gave all items the same answer" in usability([[5] * 10]).flags[0]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([[1, 2, 3]], "has 10 items"),
        ([[0] + [3] * 9], r"1 are not \(first: person 1, item 1\)"),
        ([[2.5] + [3] * 9], "must be 1, 2, 3, 4 or 5"),
        ([[np.nan] * 10], "nobody of 1 people"),
    ],
)
def test_other_answers_are_refused(answers, message):
    with pytest.raises(InputError, match=message):
        usability(answers)
