"""Areas and DeLong's covariance against published values, a plain double loop, and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.roc import RocAreas, compare_unpaired, newcombe_interval, roc_areas, wald_difference

WFNS = ((37, 20, 3, 8, 4), (2, 12, 1, 8, 18))
"""Patients with good and with poor outcome by WFNS grade 1 to 5 (Turck 2010, doi 10.1007/s00134-009-1641-y; as in the
aSAH data of pROC, Robin 2011, doi 10.1186/1471-2105-12-77)."""

ASAH = RocAreas(
    ("wfns", "s100b", "ndka"),
    np.array([0.823678861788618, 0.7313685636856369, 0.611957994579946]),
    np.array(
        [
            [0.00146991470882363, 0.00119615567376754, -0.000532967856762438],
            [0.00119615567376754, 0.00266868245717244, -0.000756164938056579],
            [-0.000532967856762438, -0.000756164938056579, 0.0031908105493913],
        ]
    ),
    41,
    72,
    113,
)
"""Areas and DeLong covariance of the aSAH data as pROC 1.19 has them in its tests (test-auc, test-var, test-cov)."""


def wfns_cases():
    grades = np.concatenate([np.repeat(np.arange(1, 6), counts) for counts in WFNS])
    return np.repeat([0, 1], [72, 41]), grades


def plain_delong(truth, scores):
    """DeLong 1988 as written: every pair of cases, every pair of models."""
    x, y = scores[:, truth], scores[:, ~truth]
    psi = (x[:, :, None] > y[:, None, :]) + 0.5 * (x[:, :, None] == y[:, None, :])
    area, v10, v01 = psi.mean((1, 2)), psi.mean(2), psi.mean(1)
    return area, np.cov(v10) / x.shape[1] + np.cov(v01) / y.shape[1]


def test_published_area_and_variance_of_the_aneurysm_grades():
    areas = roc_areas(*wfns_cases())
    assert areas.areas[0] == pytest.approx(0.823678861788618, abs=1e-14)
    assert areas.covariance[0, 0] == pytest.approx(0.00146991470882363, abs=1e-16)


@pytest.mark.parametrize(
    ("pair", "z", "p", "interval"),
    [
        (("wfns", "s100b"), 2.20898359144091, 0.0271757822291882, (0.0104061769564846, 0.174214419249478)),
        (("wfns", "ndka"), 2.79777591868904, 0.00514557970691098, (0.0634011709339876, 0.3600405634833566)),
        (("ndka", "s100b"), -1.39077002573558, 0.164295175223054, (-0.2876917446341914, 0.0488706064228094)),
    ],
)
def test_published_paired_tests(pair, z, p, interval):
    # pROC 1.19, tests/testthat/test-roc.test.R.
    found = ASAH.compare(*pair)
    assert found.statistic == pytest.approx(z, abs=1e-11)
    assert found.p_value == pytest.approx(p, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-13)


def test_published_one_sided_test():
    # pROC 1.19, tests/testthat/test-roc.test.R, alternative "greater".
    assert ASAH.compare("wfns", "s100b").p_greater == pytest.approx(0.0135878911145941, abs=1e-12)
    assert ASAH.compare("s100b", "wfns").p_greater == pytest.approx(1 - 0.0135878911145941, abs=1e-12)


def test_published_interval_of_one_area():
    # pROC 1.19, tests/testthat/test-ci.auc.R.
    found = ASAH.estimate("ndka")
    assert (found.low, found.high) == pytest.approx((0.501244999271703, 0.722670989888189), abs=1e-13)


def test_unpaired_test_as_in_proc():
    # pROC 1.18 on R 4.2: roc.test(paired = FALSE) of the grades of all patients against those without grade 3.
    truth, grades = wfns_cases()
    found = compare_unpaired(roc_areas(truth, grades), roc_areas(truth[grades != 3], grades[grades != 3]))
    assert found.statistic == pytest.approx(-0.1455188486242010, abs=1e-12)
    assert found.p_value == pytest.approx(0.8844344777352784, abs=1e-12)


def test_covariance_of_many_models_is_that_of_the_plain_double_loop(rng):
    truth = rng.random(150) < 0.4
    scores = np.round(rng.normal(size=(6, 150)) + truth, 1)
    found = roc_areas(truth, scores)
    area, covariance = plain_delong(truth, scores)
    assert np.abs(found.areas - area).max() < 1e-12
    assert np.abs(found.covariance - covariance).max() < 1e-12


def test_areas_agree_with_scikit_learn(rng):
    metrics = pytest.importorskip("sklearn.metrics")
    truth = rng.random(300) < 0.3
    score = np.round(rng.normal(size=300) + truth, 1)
    assert roc_areas(truth, score).areas[0] == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-14)


def test_areas_depend_on_ranks_alone(rng):
    truth = rng.random(80) < 0.5
    score = rng.normal(size=80) + truth
    found, moved = roc_areas(truth, score), roc_areas(truth, np.exp(3 * score))
    assert found.areas == pytest.approx(moved.areas)
    assert found.covariance == pytest.approx(moved.covariance)
    turned = roc_areas(truth, -score)
    assert turned.areas[0] == pytest.approx(1 - found.areas[0])
    assert turned.covariance == pytest.approx(found.covariance)


def test_order_of_cases_does_not_matter(rng):
    truth = rng.random(60) < 0.5
    scores = rng.normal(size=(2, 60)) + truth
    patients = rng.integers(20, size=60)
    order = rng.permutation(60)
    found = roc_areas(truth, scores, patients=patients)
    moved = roc_areas(truth[order], scores[:, order], patients=patients[order])
    assert moved.covariance == pytest.approx(found.covariance)


def test_a_patient_of_each_case_gives_delong_and_repeats_widen_the_interval(rng):
    truth = rng.random(100) < 0.5
    score = rng.normal(size=100) + truth
    plain = roc_areas(truth, score)
    single = roc_areas(truth, score, patients=np.arange(100))
    assert single.method == "DeLong"
    assert single.covariance == pytest.approx(plain.covariance)
    twice = roc_areas(np.tile(truth, 2), np.tile(score, 2), patients=np.tile(np.arange(100), 2))
    assert twice.areas == pytest.approx(plain.areas)
    # Copying every case adds nothing: the interval of the clustered data stays, that of the naive analysis halves.
    assert twice.covariance[0, 0] == pytest.approx(plain.covariance[0, 0], rel=0.02)
    naive = roc_areas(np.tile(truth, 2), np.tile(score, 2)).covariance[0, 0]
    assert naive == pytest.approx(plain.covariance[0, 0] / 2, rel=0.05)


def test_clustered_covariance_is_obuchowskis_formula(rng):
    # Obuchowski 1997, equations 4 to 6, written out for one model.
    patients = rng.integers(25, size=90)
    truth = rng.random(90) < 0.5
    score = np.round(rng.normal(size=90) + truth + rng.normal(size=25)[patients], 1)
    x, y = score[truth], score[~truth]
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    area, m, n = psi.mean(), len(x), len(y)
    sums = {}
    for kind, values, who in (("x", psi.mean(1), patients[truth]), ("y", psi.mean(0), patients[~truth])):
        sums[kind] = np.array([(values[who == p] - area).sum() for p in range(25)])
    with_x, with_y = len(set(patients[truth])), len(set(patients[~truth]))
    both = len(set(patients))
    expected = (
        with_x / (with_x - 1) * (sums["x"] ** 2).sum() / m**2
        + with_y / (with_y - 1) * (sums["y"] ** 2).sum() / n**2
        + 2 * both / (both - 1) * (sums["x"] * sums["y"]).sum() / (m * n)
    )
    found = roc_areas(truth, score, patients=patients)
    assert found.method.startswith("Obuchowski")
    assert found.covariance[0, 0] == pytest.approx(expected, rel=1e-12)


def test_perfect_separation_has_an_interval_below_one_and_a_flag():
    found = roc_areas([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6]).estimate()
    assert found.value == found.high == 1.0
    assert 0.3 < found.low < 0.95
    assert any("no variance" in f for f in found.flags)
    assert roc_areas([1, 1, 0, 0], [1, 2, 3, 4]).estimate().low == 0.0


def test_one_case_of_a_class_still_has_an_interval():
    found = roc_areas([0, 1, 1, 1], [0.5, 0.2, 0.7, 0.9]).estimate()
    assert 0 < found.low < found.value < found.high < 1
    assert math.isnan(found.standard_error)


def test_newcombe_interval_solves_its_equation():
    low, high = newcombe_interval(0.8, 20, 30)
    for end in (low, high):
        spread = 1 + 24 * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(0.8 - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / 600 * spread), rel=1e-8)


def test_ties_everywhere_give_one_half_and_a_flag():
    found = roc_areas([0, 1] * 20, np.ones(40))
    assert found.areas[0] == 0.5
    assert any("same score" in f for f in found.flags)


def test_the_same_model_twice_does_not_differ():
    truth, grades = wfns_cases()
    found = roc_areas(truth, [grades, grades]).compare("model 1", "model 2")
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert any("never differ" in f for f in found.flags)


def test_a_difference_without_variance_cannot_be_tested():
    found = wald_difference(("a", "b"), 0.5, 0.0)
    assert math.isnan(found.p_value)
    assert any("cannot be tested" in f for f in found.flags)


@pytest.mark.parametrize(
    ("truth", "scores", "words"),
    [
        ([1, 1], [0.1, 0.2], "both classes"),
        ([0, 1], [0.1], r"shape \(models, 2\)"),
        ([0, 1], [0.1, math.nan], "must be finite; 1 are not .first: model 0, case 1."),
        ([0, 1], ["a", "b"], "must be numbers"),
    ],
)
def test_bad_input_is_named(truth, scores, words):
    with pytest.raises(InputError, match=words):
        roc_areas(truth, scores)


def test_names_must_fit_and_exist():
    with pytest.raises(InputError, match="one name of its own"):
        roc_areas([0, 1], [[1, 2], [1, 2]], names=["a", "a"])
    with pytest.raises(InputError, match="no model 'b' among a"):
        roc_areas([0, 1], [1, 2], names=["a"]).estimate("b")


def test_the_table_names_models_and_cases():
    text = str(roc_areas(*wfns_cases(), names=["WFNS"]))
    assert "WFNS   0.824" in text
    assert "41 positive and 72 negative cases of 113 patients; DeLong" in text
