"""Ratings in any form, and weights of categories."""

import numpy as np
import pytest

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.ratings import WEIGHTINGS, as_ratings, from_counts, from_table, weight_matrix


def test_words_and_missing_ratings_become_codes():
    made = as_ratings([["low", "high"], ["high", None], ["", np.nan], ["low", "low"]])
    assert made.categories == ("high", "low")
    np.testing.assert_array_equal(made.codes, [[1, 0], [0, -1], [1, 1]])
    np.testing.assert_array_equal(made.counts, [[1, 1], [1, 0], [0, 2]])


def test_the_order_of_categories_can_be_given():
    made = as_ratings([["low", "high"], ["mid", "mid"]], ("low", "mid", "high"))
    np.testing.assert_array_equal(made.codes, [[0, 2], [1, 1]])
    with pytest.raises(InputError, match="got 1 others"):
        as_ratings([["low", "huge"]], ("low", "mid"))


def test_tables_become_subjects():
    made = from_table([[2, 1], [0, 3]])
    np.testing.assert_array_equal(made.codes, [[0, 0], [0, 0], [0, 1], [1, 1], [1, 1], [1, 1]])
    counted = from_counts([[2, 0], [1, 2]])
    np.testing.assert_array_equal(counted.counts, [[2, 0], [1, 2]])
    assert not counted.raters_known


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_are_one_for_the_same_and_fall_with_distance(name):
    w = weight_matrix([1, 2, 3, 4], name)
    np.testing.assert_array_equal(np.diag(w), 1)
    np.testing.assert_array_equal(w, w.T)
    assert (np.diff(w[0]) <= 0).all()
    assert w.min() == 0


def test_weights_as_defined():
    # Gwet 2014, section 3.5, three categories.
    np.testing.assert_allclose(weight_matrix("abc", "linear")[0], [1, 0.5, 0])
    np.testing.assert_allclose(weight_matrix("abc", "quadratic")[0], [1, 0.75, 0])
    np.testing.assert_allclose(weight_matrix("abc", "radical")[0], [1, 1 - 0.5**0.5, 0])
    np.testing.assert_allclose(weight_matrix("abc", "ordinal")[0], [1, 2 / 3, 0])
    np.testing.assert_allclose(weight_matrix([1, 2, 5], "linear")[0], [1, 0.75, 0])


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([[1], [2]], "at least two raters, got shape"),
        ([[1, None], [None, 2]], "one subject with two ratings, got none"),
        ([1, 2, 3], "subjects by raters"),
    ],
)
def test_what_is_no_table_of_ratings_is_refused(ratings, message):
    with pytest.raises(InputError, match=message):
        as_ratings(ratings)


def test_counts_are_checked():
    with pytest.raises(InputError, match="must be square and hold counts"):
        from_table([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(InputError, match="whole numbers from 0"):
        from_counts([[0.5, 1]])
    with pytest.raises(SettingsError, match="weighting must be one of"):
        weight_matrix([1, 2], "cubic")
    with pytest.raises(SettingsError, match="categories from 0"):
        weight_matrix([-1, 2], "ratio")
