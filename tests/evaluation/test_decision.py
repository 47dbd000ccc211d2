"""Net benefit against published values and dcurves."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.decision import TREAT_ALL, TREAT_NONE, decision_curve
from spondyl.evaluation.regression import expit, logistic_fit

AT = (0.05, 0.10, 0.15, 0.20)

MODEL = (0.09880701754385966, 0.0691851851851852, 0.05082352941176472, 0.04200000000000001)
ALL = (0.09473684210526317, 0.04444444444444445, -0.011764705882352927, -0.075)
"""dcurves 1.1.7, tests/benchmark_data: net benefit of a logistic model of age and of treating all, 105 of 750 cases."""


@pytest.fixture
def example():
    """The cohort that comes with dcurves, read without importing the package."""
    found = importlib.util.find_spec("dcurves")
    if found is None:
        pytest.skip("dcurves is not installed (extra: test)")
    path = Path(found.submodule_search_locations[0]) / "data" / "df_binary.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([r["cancer"] == "TRUE" for r in rows]), np.array([float(r["age"]) for r in rows])


def test_treating_all_has_the_published_net_benefit():
    found = decision_curve(np.repeat([1, 0], [105, 645]), {}, thresholds=AT)
    assert found.names == (TREAT_ALL, TREAT_NONE)
    assert found.net_benefit[0] == pytest.approx(ALL, abs=1e-15)
    assert found.net_benefit[1].tolist() == [0] * 4


def test_a_model_has_the_published_net_benefit_at_ten_percent():
    # As published: 0.112 true and 0.385333 false positives per case, that is 84 and 289 of 750.
    truth = np.repeat([1, 1, 0, 0], [84, 21, 289, 356])
    risk = np.repeat([0.2, 0.02, 0.2, 0.02], [84, 21, 289, 356])
    assert decision_curve(truth, {"age": risk}, thresholds=(0.1,)).net_benefit[0, 0] == pytest.approx(MODEL[1])


def test_the_model_of_age_has_the_published_curve(example):
    truth, age = example
    design = np.column_stack([np.ones_like(age), age - age.mean()])
    risk = expit(design @ logistic_fit(design, truth).coefficients)
    found = decision_curve(truth, {"age": risk}, thresholds=AT)
    assert found.net_benefit[0] == pytest.approx(MODEL, abs=1e-14)


@pytest.mark.parametrize(
    ("tp", "fn", "fp", "tn", "threshold", "expected"),
    [
        (30, 0, 75, 0, 0.1, 0.206),
        (20, 15, 60, 10, 0.1, 0.127),
        (20, 15, 60, 10, 0.5, -0.381),
        (30, 0, 75, 0, 0.5, -0.429),
    ],
)
def test_published_net_benefits(tp, fn, fp, tn, threshold, expected):
    # Reinke 2024, doi 10.1038/s41592-023-02150-0, figure SN 2.11; as in the tests of MetricsReloaded.
    sizes = [tp, fn, fp, tn]
    curve = decision_curve(
        np.repeat([1, 1, 0, 0], sizes), {"m": np.repeat([1, 0, 1, 0], sizes)}, thresholds=[threshold]
    )
    assert round(curve.net_benefit[0, 0], 3) == expected


def test_interventions_avoided_are_those_of_the_definition():
    truth, risk = np.repeat([1, 0, 0], [10, 40, 50]), np.repeat([0.9, 0.9, 0.01], [10, 40, 50])
    found = decision_curve(truth, {"m": risk}, thresholds=(0.2,))
    # Fifty of a hundred are spared and no case is missed.
    assert found.avoided("m")[0] == pytest.approx(50)


def test_harm_lowers_the_curve_by_itself():
    truth, risk = np.repeat([1, 0], 20), np.linspace(0, 1, 40)
    plain, harmed = (decision_curve(truth, {"m": risk}, thresholds=AT, harm=h) for h in (None, {"m": 0.03}))
    assert harmed.net_benefit[0] == pytest.approx(plain.net_benefit[0] - 0.03)
    assert harmed.net_benefit[1] == pytest.approx(plain.net_benefit[1])


def test_a_prevalence_moves_case_control_data(rng):
    truth = np.repeat([1, 0], [200, 200])
    risk = expit(rng.normal(size=400) + truth)
    found = decision_curve(truth, {"m": risk}, thresholds=AT, prevalence=0.05)
    called = risk[:, None] >= AT
    sensitivity, alarms = called[:200].mean(0), called[200:].mean(0)
    weight = np.array(AT) / (1 - np.array(AT))
    assert found.net_benefit[0] == pytest.approx(0.05 * sensitivity - 0.95 * alarms * weight)
    # The classes were drawn apart: only what happens inside each of them is chance.
    variance = 0.05**2 * sensitivity * (1 - sensitivity) / 200 + (0.95 * weight) ** 2 * alarms * (1 - alarms) / 200
    assert found.high[0] - found.net_benefit[0] == pytest.approx(1.959964 * np.sqrt(variance), rel=0.01)
    assert found.high[1] == pytest.approx(found.low[1])


def test_intervals_follow_resampled_patients(rng):
    patients = np.repeat(np.arange(150), 2)
    truth = (rng.random(150) < 0.3)[patients]
    risk = expit(rng.normal(size=150)[patients] + 2 * truth - 1)
    found = decision_curve(truth, {"m": risk}, thresholds=(0.3,), patients=patients)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(patients == p) for p in rng.integers(150, size=150)])
        drawn.append(decision_curve(truth[rows], {"m": risk[rows]}, thresholds=(0.3,)).net_benefit[0, 0])
    half = (found.high - found.net_benefit)[0, 0]
    assert half / 1.96 == pytest.approx(np.std(drawn), rel=0.12)


def test_strategies_are_compared_on_the_same_cases(rng):
    truth = rng.random(300) < 0.3
    good, bad = expit(3 * truth + rng.normal(size=300) - 2), rng.random(300)
    found = decision_curve(truth, {"good": good, "bad": bad}, thresholds=AT)
    difference = found.compare("good", "bad", 0.2)
    assert difference.value == pytest.approx(found.net_benefit[0, 3] - found.net_benefit[1, 3])
    assert difference.p_value < 0.01
    assert found.compare("good", "good", 0.2).p_value == 1
    assert "terms" not in found.to_dict()
    assert "treat all" in str(found)


def test_bad_settings_are_named(rng):
    with pytest.raises(SettingsError, match="thresholds must lie inside 0 to 1"):
        decision_curve([0, 1], {}, thresholds=(0.0,))
    with pytest.raises(SettingsError, match="prevalence must lie"):
        decision_curve([0, 1], {}, prevalence=1.5)
    with pytest.raises(InputError, match="risk of m must lie from 0 to 1"):
        decision_curve([0, 1], {"m": [0.2, 3.0]})
    curve = decision_curve([0, 1], {"m": [0.2, 0.3]}, thresholds=AT)
    with pytest.raises(InputError, match="no strategy 'x' among m, treat all, treat none"):
        curve.avoided("x")
    with pytest.raises(SettingsError, match=r"one of the curve's, got 0\.33"):
        curve.compare("m", TREAT_ALL, 0.33)
