"""Curves and partial areas against pROC and scikit-learn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.curves import average_precision, partial_area, precision_recall, roc_band, roc_curve
from spondyl.evaluation.roc import roc_areas

FEW = Resampling(200, seed=1)


@pytest.fixture
def cases(rng):
    truth = rng.random(200) < 0.3
    return truth, np.round(rng.normal(size=200) + truth, 1)


def test_the_whole_area_is_that_of_the_ranks(cases):
    assert roc_curve(*cases).area() == pytest.approx(roc_areas(*cases).areas[0], abs=1e-14)


def test_the_curve_agrees_with_scikit_learn(cases):
    metrics = pytest.importorskip("sklearn.metrics")
    found = roc_curve(*cases)
    fpr, tpr, thresholds = metrics.roc_curve(*cases, drop_intermediate=False)
    assert found.false_positive_rate == pytest.approx(fpr)
    assert found.sensitivity == pytest.approx(tpr)
    assert found.thresholds[1:] == pytest.approx(thresholds[1:])


@pytest.mark.parametrize("widest", [0.05, 0.137, 0.5])
def test_standardized_partial_area_agrees_with_scikit_learn(cases, widest):
    metrics = pytest.importorskip("sklearn.metrics")
    found = partial_area(*cases, specificity=(1 - widest, 1.0), standardized=True, resampling=FEW)
    assert found.value == pytest.approx(metrics.roc_auc_score(*cases, max_fpr=widest), abs=1e-12)
    assert found.low < found.value < found.high


def test_parts_of_the_area_add_up(cases):
    curve = roc_curve(*cases)
    edges = (0.0, 0.13, 0.5, 0.9, 1.0)
    parts = [curve.area(a, b) for a, b in pairwise(edges)]
    assert sum(parts) == pytest.approx(curve.area(), abs=1e-12)


def test_partial_areas_of_grades_as_in_proc():
    # pROC 1.18 on R 4.2, WFNS grades of 72 and 41 patients (Turck 2010, doi 10.1007/s00134-009-1641-y):
    # auc(r, partial.auc = c(1, .9)), the same with partial.auc.correct, and c(.9, .7).
    truth = np.repeat([0, 1], [72, 41])
    score = np.concatenate([np.repeat(np.arange(5), c) for c in ((37, 20, 3, 8, 4), (2, 12, 1, 8, 18))])
    assert roc_curve(truth, score).area(0.9, 1.0) == pytest.approx(0.03344173441734, abs=1e-13)
    assert roc_curve(truth, score).area(0.7, 0.9) == pytest.approx(0.1300975609756, abs=1e-12)
    corrected = partial_area(truth, score, standardized=True, resampling=FEW)
    assert corrected.value == pytest.approx(0.6496933390387, abs=1e-12)


def test_sensitivity_is_read_at_points_that_exist():
    curve = roc_curve([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9])
    assert curve.sensitivity_at(1.0) == 0.5
    assert curve.sensitivity_at(0.75) == 0.5
    assert curve.sensitivity_at(0.5) == 1.0
    assert "specificity" in str(curve)


def test_average_precision_agrees_with_scikit_learn(cases):
    metrics = pytest.importorskip("sklearn.metrics")
    found = precision_recall(*cases, resampling=FEW)
    assert found.average_precision.value == pytest.approx(metrics.average_precision_score(*cases), abs=1e-14)
    assert found.average_precision.low < found.average_precision.value < found.average_precision.high
    assert found.precision[-1] == found.prevalence
    assert found.recall[-1] == 1.0


def test_average_precision_of_ties_is_the_prevalence():
    assert average_precision(np.array([True, False, False, False]), np.ones(4)) == 0.25


def test_the_band_holds_the_curve_and_is_seeded(cases):
    first, second = (roc_band(*cases, resampling=FEW) for _ in range(2))
    assert (first.low <= first.y + 1e-12).all()
    assert (first.high >= first.y - 1e-12).all()
    assert np.array_equal(first.low, second.low)
    assert first.y[-1] == first.high[-1] == 1.0


def test_patients_with_many_cases_widen_the_interval(cases):
    truth, score = (np.repeat(v, 5) for v in cases)
    naive = partial_area(truth, score, resampling=FEW)
    patients = partial_area(truth, score, patients=np.repeat(np.arange(200), 5), resampling=FEW)
    assert patients.high - patients.low > 1.6 * (naive.high - naive.low)


def test_bad_parts_and_columns_are_named(cases):
    with pytest.raises(SettingsError, match="rising pair"):
        partial_area(*cases, specificity=(1.0, 0.9))
    with pytest.raises(InputError, match="both classes"):
        roc_curve([1, 1], [0.1, 0.2])
    with pytest.raises(InputError, match="one value per case"):
        precision_recall([0, 1], [0.1, 0.2, 0.3])
