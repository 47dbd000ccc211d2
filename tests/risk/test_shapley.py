"""Shapley values keep the axioms, and sums come out."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SpondylError
from spondyl.risk.shapley import linear_shapley, shapley_values

RNG = np.random.default_rng(0)
ROWS, BACKGROUND = RNG.normal(size=(3, 4)), RNG.normal(size=(9, 4))
EACH = {name: [i] for i, name in enumerate("abcd")}


def _model(x):
    return x[:, 0] * x[:, 1] + np.tanh(x[:, 2])


def test_a_sum_is_explained_in_closed_form():
    weights = np.array([1.0, -2.0, 0.5, 0.0])
    asked = shapley_values(lambda x: x @ weights, ROWS, BACKGROUND, players=EACH)
    closed = linear_shapley(weights, ROWS, BACKGROUND.mean(axis=0), "abcd")
    np.testing.assert_allclose(asked.values, closed.values, atol=1e-12)


def test_values_sum_to_the_prediction_and_a_feature_without_effect_gets_nothing():
    found = shapley_values(_model, ROWS, BACKGROUND, players=EACH)
    assert found.gap < 1e-12
    np.testing.assert_allclose(found.values[:, 3], 0, atol=1e-12)
    np.testing.assert_allclose(found.base, _model(BACKGROUND).mean())


def test_features_with_the_same_part_get_the_same():
    same = shapley_values(lambda x: x[:, 0] * x[:, 1], np.ones((1, 2)), np.zeros((1, 2)), players={"a": [0], "b": [1]})
    assert same.values.tolist() == [[0.5, 0.5]]


def test_columns_that_belong_together_are_one_feature():
    found = shapley_values(_model, ROWS, BACKGROUND, players={"both": [0, 1], "rest": [2, 3]})
    assert found.values.shape == (3, 2)
    assert found.gap < 1e-12


def test_random_orders_sum_exactly_and_near_the_exact_values(monkeypatch):
    exact = shapley_values(_model, ROWS, BACKGROUND, players=EACH)
    monkeypatch.setattr("spondyl.risk.shapley.MOST_EXACT", 2)
    drawn = shapley_values(_model, ROWS, BACKGROUND, players=EACH, n_orders=40)
    assert drawn.gap < 1e-9
    assert (np.abs(drawn.values - exact.values) < 4.5 * drawn.standard_error + 1e-9).all()
    again = shapley_values(_model, ROWS, BACKGROUND, players=EACH, n_orders=40)
    np.testing.assert_array_equal(drawn.values, again.values)


def test_a_model_that_throws_dice_is_found_out():
    rng = np.random.default_rng(1)
    with pytest.raises(SpondylError, match="must sum"):
        shapley_values(lambda x: rng.normal(size=len(x)), ROWS, BACKGROUND, players=EACH)
