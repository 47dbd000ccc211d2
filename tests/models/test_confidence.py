"""Temperature, class sums and prediction sets do what their papers promise."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.models.confidence import (
    Scaling,
    conformal_quantiles,
    entropy,
    fit_pool,
    fit_scaling,
    fit_temperature,
    group,
    prediction_set,
    softmax,
)

NAMES = ("normal", "benign", "malignant")


@pytest.fixture
def logits(rng):
    """Logits that are right: the truth is drawn from their softmax."""
    return rng.normal(0, 2.0, (6000, 3))


def drawn(rng, probabilities):
    return (rng.random((len(probabilities), 1)) > np.cumsum(probabilities, 1)[:, :-1]).sum(1)


def test_probabilities_sum_to_one_even_for_huge_logits():
    np.testing.assert_allclose(softmax([[1e4, 0.0, -1e4]]), [[1, 0, 0]], atol=1e-12)


def test_the_temperature_of_an_overconfident_network_is_found(rng, logits):
    truth = drawn(rng, softmax(logits))
    assert fit_temperature(logits * 3.0, truth) == pytest.approx(3.0, rel=0.1)
    assert fit_temperature(logits, truth) == pytest.approx(1.0, rel=0.1)


def test_the_temperature_may_be_fitted_to_classes_of_subtypes(rng, logits):
    truth = drawn(rng, softmax(logits))
    groups = (0, 1, 1)
    assert fit_temperature(logits * 2.0, np.minimum(truth, 1), groups) == pytest.approx(2.0, rel=0.15)


def test_a_pool_gives_weight_to_who_knows_and_halves_it_between_twins(rng):
    truth = rng.integers(3, size=400)
    knows = np.eye(3)[truth] * 0.7 + 0.1
    guesses = rng.dirichlet(np.ones(3), 400)
    weights = fit_pool([knows, guesses], truth)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9
    twins = fit_pool([knows, knows], truth)
    np.testing.assert_allclose(twins, 0.5)


def test_a_pool_is_never_less_likely_than_its_best_member(rng):
    truth = rng.integers(3, size=300)
    said = [np.clip(np.eye(3)[truth] * a + rng.random((300, 3)), 0.01, None) for a in (0.3, 0.6, 1.0)]
    said = np.array([p / p.sum(1, keepdims=True) for p in said])
    rows = np.arange(300)
    mean = np.tensordot(fit_pool(said, truth), said, 1)
    assert np.log(mean[rows, truth]).mean() >= max(np.log(p[rows, truth]).mean() for p in said) - 1e-6


def test_classes_add_up_their_subtypes():
    np.testing.assert_allclose(group([[0.1, 0.2, 0.3, 0.4]], (0, 1, 2, 1), 3), [[0.1, 0.6, 0.3]])


@pytest.mark.parametrize("error", [0.05, 0.1, 0.3])
def test_prediction_sets_hold_the_truth_of_every_class_as_often_as_promised(rng, logits, error):
    probabilities = softmax(logits)
    truth = drawn(rng, probabilities)
    quantiles = conformal_quantiles(probabilities[:3000], truth[:3000], error=error)
    sets = [prediction_set(p, quantiles, NAMES) for p in probabilities[3000:]]
    for label, name in enumerate(NAMES):
        covered = np.mean([name in s for s, t in zip(sets, truth[3000:], strict=True) if t == label])
        # Three standard errors of a share among about 1000 cases, on either side of the calibration.
        assert covered == pytest.approx(1 - error, abs=0.045)


def test_a_class_never_seen_is_never_ruled_out():
    quantiles = conformal_quantiles([[0.9, 0.1, 0.0]] * 30, [0] * 30)
    assert {"benign", "malignant"} <= set(prediction_set([1.0, 0.0, 0.0], quantiles, NAMES))


def test_a_set_that_rules_something_in_never_rules_out_the_most_probable_class():
    assert prediction_set([0.7, 0.2, 0.1], [0.2, 0.9, 0.85], NAMES) == ("normal", "benign")


def test_a_prediction_set_names_the_most_probable_class_first():
    assert prediction_set([0.1, 0.5, 0.4], [0.7, 0.7, 0.7], NAMES) == ("benign", "malignant")


def test_what_is_like_nothing_known_has_an_empty_set():
    assert prediction_set([0.34, 0.33, 0.33], [0.1, 0.1, 0.1], NAMES) == ()


def test_entropy_runs_from_sure_to_unknown():
    assert entropy([[1.0, 0.0, 0.0]])[0] == pytest.approx(0, abs=1e-9)
    assert entropy([[1 / 3] * 3])[0] == pytest.approx(1)


def test_a_scaling_mends_sharpness_and_how_frequent_classes_are(rng, logits):
    truth = drawn(rng, softmax(logits))
    shown = softmax(logits / 2 + np.array([0.0, 1.0, -0.5]))
    found = fit_scaling(shown, truth)
    assert found.sharpness == pytest.approx(2.0, rel=0.1)
    np.testing.assert_allclose(found.offsets, (0.0, -2.0, 1.0), atol=0.15)
    np.testing.assert_allclose(found(shown), softmax(logits), atol=0.03)


def test_a_scaling_of_right_probabilities_changes_next_to_nothing(rng, logits):
    probabilities = softmax(logits)
    np.testing.assert_allclose(
        fit_scaling(probabilities, drawn(rng, probabilities))(probabilities), probabilities, atol=0.03
    )


def test_two_scalings_are_one(rng):
    first, second = Scaling(2.0, (0.0, 1.0, -1.0)), Scaling(0.7, (0.0, -0.3, 0.4))
    p = rng.dirichlet(np.ones(3), 50)
    np.testing.assert_allclose(second.after(first)(p), second(first(p)), atol=1e-9)


def test_a_class_never_seen_keeps_some_probability(rng):
    p = rng.dirichlet(np.ones(3) * 4, 200)
    assert fit_scaling(p, np.zeros(200, int))(p)[:, 2].min() > 0
