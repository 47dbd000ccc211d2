"""Subgroups and other places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.generalization import MISSING, Readings, external_drop, performance, subgroups
from spondyl.evaluation.regression import expit
from spondyl.evaluation.roc import roc_areas


def simulated(rng, n=400, gain=2.0):
    truth = rng.random(n) < 0.3
    return truth, expit(rng.normal(-1.5, 1, n) + gain * truth)


def test_each_group_is_measured_as_if_it_were_alone(rng):
    truth, score = simulated(rng)
    vendor = rng.choice(["ge", "siemens"], 400)
    found = subgroups(Readings(truth, score, 0.4), {"vendor": vendor})
    assert [r.group for r in found.rows] == ["ge", "siemens"]
    for row in found.rows:
        inside = vendor == row.group
        assert row.performance.area == roc_areas(truth[inside], score[inside]).estimate()
        assert row.performance.n_cases == inside.sum()
    assert found.whole.n_cases == 400
    assert found.rows[0].against_rest.value == pytest.approx(-found.rows[1].against_rest.value)


def test_a_group_in_which_the_model_fails_is_found_out(rng):
    truth, score = simulated(rng, n=900)
    site = rng.choice(list("ABC"), 900)
    broken = np.where(site == "C", rng.random(900), score)
    found = subgroups(Readings(truth, broken, 0.4), {"site": site, "sex": rng.choice(["f", "m"], 900)})
    p = {(r.variable, r.group): r.adjusted_p for r in found.rows}
    assert p["site", "C"] < 0.001
    assert p["sex", "f"] > 0.05
    raw = [r.against_rest.p_value for r in found.rows]
    assert [r.adjusted_p for r in found.rows] == pytest.approx(holm(raw))


def test_missing_values_make_a_group_and_single_classes_are_not_tested(rng):
    truth, score = simulated(rng, n=60)
    truth[:4] = True
    values = np.array(["a"] * 4 + [None] * 20 + [math.nan, ""] + ["b"] * 34, dtype=object)
    found = subgroups(Readings(truth, score, 0.4), {"coil": values})
    assert [r.group for r in found.rows] == ["a", "b", MISSING]
    first = found.rows[0]
    assert first.against_rest is None
    assert math.isnan(first.performance.area.value)
    assert first.performance.scores.sensitivity.value >= 0
    assert any("1 groups are not tested" in f for f in found.flags)
    assert "not known" in str(found)


def test_a_single_group_has_no_rest(rng):
    found = subgroups(Readings(*simulated(rng, 50), 0.5), {"site": ["A"] * 50})
    assert found.rows[0].against_rest is None


def test_a_drop_is_the_difference_of_both_places(rng):
    inside, outside = Readings(*simulated(rng), 0.4), Readings(*simulated(rng, gain=0.8), 0.4)
    found = external_drop(inside, outside)
    assert found.area.value == pytest.approx(found.internal.area.value - found.external.area.value)
    assert found.area.p_value < 0.01
    assert found.external.calibration.slope.value < 0.8 * found.internal.calibration.slope.value
    assert "internal - external" in str(found)


def test_a_place_with_one_class_still_has_a_table(rng):
    inside = Readings(*simulated(rng), 0.4)
    outside = Readings(np.zeros(20), rng.random(20), 0.4)
    found = external_drop(inside, outside)
    assert found.area is None
    assert "no difference of areas" in str(found)


def test_scores_that_are_no_risks_have_no_calibration(rng):
    truth, score = simulated(rng)
    found = performance(Readings(truth, 10 * score, 4.0))
    assert found.calibration is None
    assert found.scores == performance(Readings(truth, score, 0.4)).scores
    assert "AUC" in str(found)


def test_patients_are_counted_once(rng):
    truth, score = simulated(rng, 100)
    found = performance(Readings(truth, score, 0.4, np.repeat(np.arange(50), 2)))
    assert found.n_patients == 50


def test_bad_columns_are_named(rng):
    with pytest.raises(InputError, match="one value per case"):
        Readings([0, 1], [0.1], 0.5)
    with pytest.raises(InputError, match=r"site must have one value per case \(50\)"):
        subgroups(Readings(*simulated(rng, 50), 0.5), {"site": ["A"]})
