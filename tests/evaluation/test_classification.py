"""Decisions against published values and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.classification import binary_scores, class_scores, mean_of_shares, scores_at
from spondyl.evaluation.proportions import proportion

FIRST = (0, 1, 2, 3, 4)


def counts(tp, fn, fp, tn):
    truth = np.repeat([1, 1, 0, 0], [tp, fn, fp, tn])
    called = np.repeat([1, 0, 1, 0], [tp, fn, fp, tn])
    return truth, called


# Figures of Reinke 2024, doi 10.1038/s41592-023-02150-0; values as in the tests of MetricsReloaded.
def test_published_values_of_balanced_classes():
    found = binary_scores(*counts(45, 5, 10, 40))
    assert round(found.npv.value, 3) == 0.889
    assert round(found.ppv.value, 2) == 0.82
    assert found.likelihood_ratios[0] == pytest.approx(4.5)
    assert round(found.mcc, 2) == 0.70


def test_published_values_of_a_common_disease():
    found = binary_scores(*counts(81, 9, 2, 8))
    assert round(found.ppv.value, 2) == 0.98
    assert round(found.mcc, 2) == 0.56
    # Errors in the rarer class cost as much more as it is rarer.
    classes = class_scores(*counts(81, 9, 2, 8), classes=(0, 1), cost=[[0, 9], [1, 0]])
    assert classes.expected_cost == pytest.approx(0.30)


def test_published_values_of_a_nearly_constant_truth():
    found = binary_scores(*counts(1499, 500, 0, 1))
    assert found.mcc == pytest.approx(0.0386, abs=1e-4)
    assert round(found.youden, 2) == 0.75
    assert found.balanced_accuracy.value == pytest.approx(0.87, abs=0.01)


def test_published_accuracy_and_expected_cost():
    assert round(binary_scores(*counts(20, 15, 60, 10)).accuracy.value, 3) == 0.286
    found = class_scores([0, 1, 2, 3, 4], [0, 1, 2, 3, 0], FIRST)
    assert found.expected_cost == pytest.approx(0.25)


def test_shares_have_wilsons_interval():
    found = binary_scores(*counts(45, 5, 10, 40))
    assert found.sensitivity == proportion(45, 50)
    assert found.accuracy == proportion(85, 100)
    assert found.prevalence == 0.5
    assert found.f1 == pytest.approx(90 / 105)


def test_balanced_accuracy_keeps_its_width_where_nothing_went_wrong():
    found = binary_scores(*counts(10, 0, 0, 12)).balanced_accuracy
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.95


def test_mean_of_shares_agrees_with_newcombes_difference():
    # Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10 for 56/70 - 48/80:
    # 0.0524 to 0.3339. A difference is the sum with one minus the second share.
    both = mean_of_shares([proportion(56, 70), proportion(32, 80)])
    assert round(2 * both.low - 1, 4) == 0.0524
    assert round(2 * both.high - 1, 4) == 0.3339


def test_one_class_leaves_the_other_measures_open():
    found = binary_scores([1, 1, 1], [1, 0, 1])
    assert found.sensitivity.value == pytest.approx(2 / 3)
    assert math.isnan(found.specificity.value)
    assert math.isnan(found.balanced_accuracy.value)
    assert math.isnan(found.mcc)
    assert "not assessable" in str(found)


def test_a_case_at_the_threshold_is_called():
    found = scores_at([0, 1], [0.2, 0.5], 0.5)
    assert (found.true_positive, found.false_positive) == (1, 0)
    assert found.likelihood_ratios == (math.inf, 0.0)


def test_classes_agree_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    names = ("malignant", "benign", "normal")
    truth = rng.choice(names, 200, p=(0.3, 0.2, 0.5))
    called = np.where(rng.random(200) < 0.6, truth, rng.choice(names, 200))
    found = class_scores(truth, called, names)
    assert found.confusion.tolist() == metrics.confusion_matrix(truth, called, labels=names).tolist()
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(truth, called))
    assert found.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(truth, called))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, called, average="macro"))
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(truth, called))
    assert "called benign" in str(found)


def test_a_class_that_does_not_occur_is_not_assessable():
    found = class_scores(["a", "a"], ["a", "b"], ("a", "b", "c"))
    assert math.isnan(found.sensitivity[2].value)
    assert found.balanced_accuracy.value == 0.5
    assert math.isnan(class_scores(["a"], ["a"], ("a",)).expected_cost)


@pytest.mark.parametrize(
    ("truth", "called", "cost", "words"),
    [
        (["a"], ["d"], None, "called must hold only a, b; got d"),
        (["a", "b"], ["a"], None, "one value per case"),
        ([], [], None, "at least one case"),
        (["a"], ["a"], [[0, 1]], "cost must be 2 x 2"),
    ],
)
def test_bad_classes_are_named(truth, called, cost, words):
    with pytest.raises(InputError, match=words):
        class_scores(truth, called, ("a", "b"), cost=cost)
