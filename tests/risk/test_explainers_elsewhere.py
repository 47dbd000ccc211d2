"""Explanations agree with those of the packages shap and lime, where these are installed (the extra ``explain``)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spondyl.risk.lime import local_line
from spondyl.risk.shapley import linear_shapley, shapley_values

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(3)
ROWS, BACKGROUND = RNG.normal(size=(4, 5)), RNG.normal(size=(12, 5))
EACH = {name: [i] for i, name in enumerate("abcde")}


def hazard(x):
    """A risk with interactions, as a tree or a network would give."""
    return 1 / (1 + np.exp(-(x[:, 0] * x[:, 1] + np.where(x[:, 2] > 0, 1.0, -0.5) + 0.3 * x[:, 3] ** 2)))


@pytest.fixture(scope="module")
def shap():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("shap", reason="the extra `explain` is not installed")


def theirs(shap, function, rows):
    """Values of shap's kernel explainer, which is exact where it may ask about every subset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = shap.KernelExplainer(function, BACKGROUND)
        values = explainer.shap_values(rows, nsamples=2 ** rows.shape[1], l1_reg=0, silent=True)
    return values, float(explainer.expected_value)


def test_exact_values_are_those_of_shap(shap):
    own, (values, base) = shapley_values(hazard, ROWS, BACKGROUND, players=EACH), theirs(shap, hazard, ROWS)
    np.testing.assert_allclose(own.values, values, atol=1e-8)
    np.testing.assert_allclose(own.base, base, atol=1e-8)


def test_both_sum_to_the_prediction(shap):
    own, (values, base) = shapley_values(hazard, ROWS, BACKGROUND, players=EACH), theirs(shap, hazard, ROWS)
    assert own.gap < 1e-6
    np.testing.assert_allclose(base + values.sum(axis=1), hazard(ROWS), atol=1e-6)


def test_random_orders_come_near_shap(shap, monkeypatch):
    monkeypatch.setattr("spondyl.risk.shapley.MOST_EXACT", 2)
    own, (values, _) = shapley_values(hazard, ROWS, BACKGROUND, players=EACH, n_orders=60), theirs(shap, hazard, ROWS)
    assert (np.abs(own.values - values) < 4.5 * own.standard_error + 1e-9).all()
    assert own.gap < 1e-6


def test_a_weighted_sum_is_explained_as_shap_does(shap):
    weights = np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    values, _ = theirs(shap, lambda x: x @ weights, ROWS)
    own = linear_shapley(weights, ROWS, BACKGROUND.mean(axis=0), "abcde")
    np.testing.assert_allclose(own.values, values, atol=1e-8)


def test_a_local_line_leads_with_the_features_that_lime_leads_with():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tabular = pytest.importorskip("lime.lime_tabular", reason="the extra `explain` is not installed")
        background = np.random.default_rng(4).normal(size=(300, 5)) * [1, 2, 1, 1, 1]
        weights = np.array([2.0, 1.0, -1.0, 0.1, 0.0])

        def model(x):
            return np.tanh(0.2 * (x @ weights))

        row = np.array([0.3, -0.2, 0.5, 0.0, 0.1])
        explainer = tabular.LimeTabularExplainer(
            background, mode="regression", feature_names=list("abcde"), discretize_continuous=False, random_state=0
        )
        other = dict(explainer.explain_instance(row, model, num_features=5, num_samples=2000).as_map()[1])
    own = local_line(model, row, background, "abcde")
    assert own.usable
    leading = np.argsort(-np.abs(own.effect))[:3]
    assert {int(i) for i in leading} == set(sorted(other, key=lambda i: -abs(other[i]))[:3])
    assert all(np.sign(own.effect[i]) == np.sign(other[i]) for i in leading)
    # Effects are per standard deviation in both.
    np.testing.assert_allclose([own.effect[i] for i in leading], [other[i] for i in leading], rtol=0.15)
