"""Concordance, AUC and Brier score under censoring against R, lifelines and their definitions."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation import survival as module
from spondyl.evaluation.kaplan_meier import censoring_curve
from spondyl.evaluation.roc import roc_areas
from spondyl.evaluation.survival import Outcome, brier_curve, harrell_c, time_dependent_auc, uno_c


@pytest.fixture
def lung():
    """Survival of the North Central Cancer Treatment Group (Loprinzi 1994), as lifelines and R's survival have it."""
    found = importlib.util.find_spec("lifelines")
    if found is None:
        pytest.skip("lifelines is not installed (extra: test)")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "lung.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {k: np.array([float(r[k] or "nan") for r in rows]) for k in ("time", "status", "age", "ph.ecog")}


def simulated(rng, n=150, effect=1.0):
    """Risk, times without ties, and censoring of about a third."""
    risk = rng.normal(size=n)
    death, left = rng.exponential(10 * np.exp(-effect * risk)), rng.uniform(0, 25, n)
    return Outcome(np.minimum(death, left), death <= left), risk


def test_harrells_index_and_error_as_in_r(lung):
    # R 4.2, survival 3.5-3: concordance(Surv(time, status) ~ age, lung, reverse = TRUE).
    found = harrell_c(Outcome(lung["time"], lung["status"]), lung["age"])
    assert found.estimate.value == pytest.approx(0.5502398321175, abs=1e-12)
    assert found.estimate.standard_error == pytest.approx(0.02514211159433, abs=1e-12)
    assert found.n_pairs == 10717 + 8706 + 591


def test_harrells_index_of_a_grade_with_many_ties_as_in_r(lung):
    known = ~np.isnan(lung["ph.ecog"])
    found = harrell_c(Outcome(lung["time"][known], lung["status"][known]), lung["ph.ecog"][known]).estimate
    assert found.value == pytest.approx(0.6044625259008440, abs=1e-12)
    assert found.standard_error == pytest.approx(0.0239015269152603, abs=1e-12)


def test_unos_index_as_in_r(lung):
    # R 4.2, survival 3.5-3: concordance(..., timewt = "n/G2") with and without ymax, on the 227 complete rows.
    known = ~np.isnan(lung["ph.ecog"])
    outcome, age = Outcome(lung["time"][known], lung["status"][known]), lung["age"][known]
    assert uno_c(outcome, age).estimate.value == pytest.approx(0.549923654958, abs=1e-6)
    assert uno_c(outcome, age, tau=600).estimate.value == pytest.approx(0.550668293594, abs=1e-6)


def test_harrells_index_agrees_with_lifelines(rng):
    utils = pytest.importorskip("lifelines.utils")
    outcome, risk = simulated(rng)
    expected = utils.concordance_index(outcome.time, -risk, outcome.event)
    assert harrell_c(outcome, risk).estimate.value == pytest.approx(expected)


def test_unos_index_is_its_definition(rng):
    outcome, risk = simulated(rng, n=60)
    weight = 1 / censoring_curve(outcome.time, outcome.event).at(outcome.time, before=True) ** 2
    tau, above, below = 8.0, 0.0, 0.0
    for i in range(60):
        for j in range(60):
            if outcome.event[i] and outcome.time[i] < min(tau, outcome.time[j]):
                below += weight[i]
                above += weight[i] * (risk[i] > risk[j])
    assert uno_c(outcome, risk, tau=tau).estimate.value == pytest.approx(above / below)


def test_without_censoring_both_indices_agree(rng):
    risk = rng.normal(size=80)
    outcome = Outcome(rng.exponential(np.exp(-risk)), np.ones(80))
    assert uno_c(outcome, risk).estimate.value == pytest.approx(harrell_c(outcome, risk).estimate.value)


def test_blocks_of_pairs_do_not_change_the_index(rng, monkeypatch):
    outcome, risk = simulated(rng)
    whole = harrell_c(outcome, risk)
    monkeypatch.setattr(module, "BLOCK", 1000)
    parts = harrell_c(outcome, risk)
    assert parts.estimate.value == pytest.approx(whole.estimate.value)
    assert parts.influence == pytest.approx(whole.influence)


def test_two_risks_are_compared_on_the_same_patients(rng):
    outcome, risk = simulated(rng, n=200)
    good, noisy = harrell_c(outcome, risk), harrell_c(outcome, risk + 2 * rng.normal(size=200))
    found = good.compare(noisy, ("good", "noisy"))
    assert found.value == pytest.approx(good.estimate.value - noisy.estimate.value)
    assert found.p_value < 0.01
    assert good.compare(good).p_value == 1
    with pytest.raises(InputError, match="same patients"):
        good.compare(harrell_c(*simulated(rng, n=50)))


def test_rows_of_one_patient_count_together(rng):
    outcome, risk = simulated(rng, n=100)
    plain = harrell_c(outcome, risk).estimate
    twice = Outcome(np.tile(outcome.time, 2), np.tile(outcome.event, 2), np.tile(np.arange(100), 2))
    found = harrell_c(twice, np.tile(risk, 2)).estimate
    assert found.value == pytest.approx(plain.value)
    assert found.standard_error == pytest.approx(plain.standard_error, rel=0.05)


def test_events_after_all_training_patients_left_are_flagged(rng):
    outcome, risk = simulated(rng)
    short = Outcome(np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]))
    found = uno_c(outcome, risk, training=short)
    assert any("after everyone in the training data was censored" in f for f in found.flags)


def test_auc_without_censoring_is_the_plain_one(rng):
    risk = rng.normal(size=100)
    outcome = Outcome(rng.exponential(np.exp(-risk)), np.ones(100))
    found = time_dependent_auc(outcome, risk, [0.3, 0.8])
    for at, value in zip(found.times, found.values, strict=True):
        assert value == pytest.approx(roc_areas(outcome.time <= at, risk).areas[0])
    assert min(found.values) <= found.mean <= max(found.values)


def test_auc_and_brier_score_as_scikit_survival_has_them():
    # scikit-survival 0.28 on these twelve patients: cumulative_dynamic_auc, brier_score, integrated_brier_score.
    time = np.array([1.5, 2.25, 3.1, 4.7, 5.2, 6.9, 7.4, 8.8, 9.3, 10.6, 11.1, 12.5])
    event = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0])
    risk = np.array([0.9, 0.2, 0.7, 0.8, 0.1, 0.3, 0.5, 0.6, 0.15, 0.25, 0.4, 0.05])
    at = np.array([3.0, 5.0, 8.0, 10.0])
    survival = np.exp(-np.outer(risk, at) / 8)
    outcome = Outcome(time, event)
    auc = time_dependent_auc(outcome, risk, at)
    assert auc.values == pytest.approx([1.0, 1.0, 0.8871794871794872, 0.8093781855249744], abs=1e-12)
    assert auc.mean == pytest.approx(0.9040758173827782, abs=1e-12)
    brier = brier_curve(outcome, survival, at)
    expected = [0.06385479163102409, 0.1247958350736801, 0.16052612980694814, 0.23003657058171675]
    assert brier.values == pytest.approx(expected, abs=1e-12)
    assert brier.mean == pytest.approx(0.14388518205918735, abs=1e-12)


def test_brier_score_without_censoring_is_the_mean_squared_error(rng):
    outcome = Outcome(rng.exponential(5, 60), np.ones(60))
    survival = rng.random((60, 2))
    found = brier_curve(outcome, survival, [2.0, 6.0])
    for i, at in enumerate(found.times):
        assert found.values[i] == pytest.approx((((outcome.time > at) - survival[:, i]) ** 2).mean())


def test_weights_make_up_for_censoring(rng):
    # The score of the complete data, which censoring hides, is met in the mean.
    risk = rng.normal(size=4000)
    death = rng.exponential(10 * np.exp(-risk))
    left = rng.uniform(0, 30, 4000)
    survival = np.exp(-np.exp(risk) * 6 / 10)[:, None]
    complete = (((death > 6) - survival[:, 0]) ** 2).mean()
    seen = Outcome(np.minimum(death, left), death <= left)
    assert brier_curve(seen, survival, [6.0]).values[0] == pytest.approx(complete, abs=0.006)
    full = Outcome(death, np.ones(4000))
    hidden, shown = (time_dependent_auc(o, risk, [6.0]).values[0] for o in (seen, full))
    assert hidden == pytest.approx(shown, abs=0.02)


def test_times_outside_the_follow_up_are_flagged():
    outcome = Outcome(np.array([2.0, 3.0, 4.0]), np.array([1, 1, 0]))
    auc = time_dependent_auc(outcome, [3.0, 2.0, 1.0], [1.0, 2.5, 9.0])
    assert np.isnan(auc.values).tolist() == [True, False, True]
    assert any("2 times" in f for f in auc.flags)
    brier = brier_curve(outcome, np.full((3, 1), 0.5), [9.0])
    assert math.isnan(brier.values[0])
    assert any("after everyone was censored" in f for f in brier.flags)
    assert "not assessable" in str(brier)


@pytest.mark.parametrize(
    ("time", "event", "words"),
    [
        ([-1.0, 2.0], [1, 1], "time must not be negative, got -1 in row 0"),
        ([1.0, 2.0], [0, 0], "at least one event is needed, got none in 2 patients"),
        ([1.0, math.nan], [1, 1], "time must be finite"),
        ([1.0], [1, 1], "one value per case"),
        ([1.0, 2.0], [1, 3], "event must be 0 or 1"),
    ],
)
def test_bad_outcomes_are_named(time, event, words):
    with pytest.raises(InputError, match=words):
        Outcome(time, event)


def test_bad_risks_times_and_probabilities_are_named():
    outcome = Outcome([1.0, 2.0, 3.0], [1, 0, 1])
    with pytest.raises(InputError, match="one value per case"):
        harrell_c(outcome, [1.0])
    with pytest.raises(InputError, match="no two patients can be compared"):
        harrell_c(Outcome([1.0, 1.0], [1, 1]), [1.0, 2.0])
    with pytest.raises(SettingsError, match="times must rise"):
        time_dependent_auc(outcome, [1, 2, 3], [2.0, 1.0])
    with pytest.raises(InputError, match=r"shape \(patients, times\) = \(3, 1\)"):
        brier_curve(outcome, [[0.5]], [1.0])
    with pytest.raises(InputError, match="from 0 to 1"):
        brier_curve(outcome, [[0.5], [2.0], [0.1]], [1.0])
