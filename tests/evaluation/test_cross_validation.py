"""Fits see their training side alone; models and readers meet in one table."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.cross_validation import (
    Cohort,
    Search,
    areas_by_fold,
    compare_models,
    compare_stored,
    cross_validate,
)
from spondyl.evaluation.folds import patient_folds, site_folds
from spondyl.evaluation.predictions import PredictionStore
from spondyl.evaluation.roc import roc_areas

sklearn_base = pytest.importorskip("sklearn.base")


class Spy(sklearn_base.BaseEstimator):
    """Scores by the first feature, and keeps what every fit and prediction saw."""

    seen: list[dict] = []  # noqa: RUF012

    def __init__(self, power=1.0, random_state=None):
        self.power = power
        self.random_state = random_state

    def fit(self, features, truth, site=None):
        Spy.seen.append({"fit": features[:, 1].tolist(), "state": self.random_state, "site": site, "power": self.power})
        self.mean_ = truth.mean()
        return self

    def predict_proba(self, features, site=None):
        Spy.seen[-1]["predict"] = features[:, 1].tolist()
        Spy.seen[-1]["site_of_test"] = site
        score = 1 / (1 + np.exp(-self.power * features[:, 0]))
        return np.column_stack([1 - score, score])


@pytest.fixture
def cohort(rng):
    """80 cases of 40 patients; the first feature tells the outcome, the second is the row number."""
    truth = np.repeat(rng.random(40) < 0.4, 2)
    features = np.column_stack([rng.normal(size=80) + 1.5 * truth, np.arange(80)])
    cases, patients = [f"c{i}" for i in range(80)], [f"p{i // 2}" for i in range(80)]
    folds = patient_folds(cases, patients, 4, truth=truth, seed=1)
    Spy.seen.clear()
    return Cohort(features, truth, {"site": np.repeat(list("ABCD"), 20)}), folds


def test_every_fit_sees_its_training_side_alone(cohort, tmp_path):
    cohort, folds = cohort
    found = cross_validate("spy", Spy(), cohort, PredictionStore(tmp_path, folds))
    assert len(Spy.seen) == 4
    for number, ((train, test), seen) in enumerate(zip(folds.split(), Spy.seen, strict=True)):
        assert seen["fit"] == train.tolist()
        assert seen["predict"] == test.tolist()
        assert seen["state"] == folds.seed_of(number) == found.notes[number]["seed"]
        assert seen["site"].tolist() == cohort.columns["site"][train].tolist()
        assert len(seen["site_of_test"]) == len(test)
    assert found.scores == pytest.approx(1 / (1 + np.exp(-cohort.features[:, 0])))


def test_a_run_is_taken_up_where_it_stopped(cohort, tmp_path):
    cohort, folds = cohort
    store = PredictionStore(tmp_path, folds)
    whole = cross_validate("spy", Spy(), cohort, store)
    (tmp_path / "spy" / "fold-02.json").unlink()
    Spy.seen.clear()
    again = cross_validate("spy", Spy(), cohort, PredictionStore(tmp_path))
    assert len(Spy.seen) == 1
    assert np.array_equal(again.scores, whole.scores)


def test_settings_are_chosen_inside_the_training_side(cohort, tmp_path):
    cohort, folds = cohort
    found = cross_validate("spy", Spy(), cohort, PredictionStore(tmp_path, folds), search=Search({"power": [-1, 1]}, 3))
    assert all(note["settings"] == {"power": 1} for note in found.notes)
    per_fold = 2 * 3 + 1
    for number, (_, test) in enumerate(folds.split()):
        for seen in Spy.seen[number * per_fold : (number + 1) * per_fold - 1]:
            assert not set(seen["fit"] + seen["predict"]) & set(test.tolist())


def test_estimators_without_probabilities_serve(cohort, tmp_path):
    linear = pytest.importorskip("sklearn.linear_model")
    cohort, folds = cohort
    plain = Cohort(cohort.features[:, :1], cohort.truth)
    store = PredictionStore(tmp_path, folds)
    for name, estimator in (("ridge", linear.Ridge()), ("svm", linear.RidgeClassifier())):
        found = cross_validate(name, estimator, plain, store)
        assert roc_areas(cohort.truth, found.scores).areas[0] > 0.7
    with pytest.raises(InputError, match="predict_proba, decision_function or predict"):
        cross_validate("none", sklearn_base.clone(_NoPrediction()), plain, store)


class _NoPrediction(sklearn_base.BaseEstimator):
    def fit(self, features, truth):
        del features, truth
        return self


def test_pipelines_learn_everything_anew(cohort, tmp_path):
    pipeline = pytest.importorskip("sklearn.pipeline")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    cohort, folds = cohort
    forest = pipeline.make_pipeline(StandardScaler(), RandomForestClassifier(5))
    plain = Cohort(cohort.features, cohort.truth)
    first, again = (
        cross_validate("forest", forest, plain, PredictionStore(tmp_path / name, folds)) for name in ("one", "two")
    )
    assert np.array_equal(first.scores, again.scores)


def test_data_frames_serve(cohort, tmp_path):
    pandas = pytest.importorskip("pandas")
    linear = pytest.importorskip("sklearn.linear_model")
    cohort, folds = cohort
    frame = pandas.DataFrame(cohort.features[:, :1], columns=["feature"])
    found = cross_validate(
        "lr", linear.LogisticRegression(), Cohort(frame, cohort.truth), PredictionStore(tmp_path, folds)
    )
    assert found.scores.shape == (80,)


def test_a_fold_with_one_class_to_train_on_is_refused(tmp_path):
    folds = site_folds(list("abcdef"), list("uvwxyz"), list("AAABBB"))
    cohort = Cohort(np.zeros((6, 2)), np.array([1, 0, 0, 1, 1, 1]))
    with pytest.raises(InputError, match="fold 0 must train on both classes, got 3 cases that are all 1"):
        cross_validate("spy", Spy(), cohort, PredictionStore(tmp_path, folds))
    other = patient_folds(list("abc"), list("xyz"), 3)
    with pytest.raises(InputError, match="same cases, got 6 and 3"):
        cross_validate("spy", Spy(), cohort, PredictionStore(tmp_path / "other", other))


def test_cohorts_must_fit():
    with pytest.raises(InputError, match=r"features must have one row per case \(2\), got 3"):
        Cohort(np.zeros((3, 1)), [0, 1])
    with pytest.raises(InputError, match="site must have one row per case"):
        Cohort(np.zeros((2, 1)), [0, 1], {"site": ["A"]})


def test_mean_over_folds_is_the_mean_of_their_areas(cohort, rng):
    cohort, folds = cohort
    scores = rng.normal(size=(2, 80)) + cohort.truth
    found = areas_by_fold(cohort.truth, scores, folds)
    each = [roc_areas(cohort.truth[test], scores[:, test]).areas for _, test in folds.split()]
    assert found.areas == pytest.approx(np.mean(each, axis=0))


def test_mean_over_folds_does_not_mind_the_scale_of_a_fold(cohort, rng):
    cohort, folds = cohort
    score = rng.normal(size=80) + cohort.truth
    moved = score + 100 * folds.fold
    found, shifted = (areas_by_fold(cohort.truth, s, folds) for s in (score, moved))
    assert shifted.areas == pytest.approx(found.areas)
    assert shifted.covariance == pytest.approx(found.covariance)
    assert roc_areas(cohort.truth, moved).areas[0] < found.areas[0] - 0.05


def test_spread_of_the_mean_over_folds_is_what_repetition_shows(rng):
    cases, patients = [f"c{i}" for i in range(120)], [f"p{i}" for i in range(120)]
    truth = np.arange(120) % 3 == 0
    folds = patient_folds(cases, patients, 4, truth=truth)
    found = [areas_by_fold(truth, rng.normal(size=120) + truth, folds) for _ in range(400)]
    observed = np.std([f.areas[0] for f in found])
    claimed = np.mean([f.estimate().standard_error for f in found])
    assert claimed == pytest.approx(observed, rel=0.12)


def test_folds_with_one_class_are_left_out_and_said():
    folds = site_folds(list("abcdef"), list("uvwxyz"), list("AABBCC"))
    found = areas_by_fold([1, 0, 0, 1, 1, 1], [0.9, 0.1, 0.2, 0.8, 0.5, 0.6], folds)
    assert found.areas[0] == 1
    assert any("1 of 3 folds" in f for f in found.flags)
    with pytest.raises(InputError, match="no fold tests both classes"):
        areas_by_fold([1, 1, 0, 0, 0, 0], np.arange(6.0), folds)


def test_models_and_readers_stand_in_one_table(cohort, rng, tmp_path):
    cohort, folds = cohort
    store = PredictionStore(tmp_path, folds)
    cross_validate("spy", Spy(), cohort, store)
    store.write_all("reader 1", rng.integers(1, 6, 80))
    store.write_all("U-Net", rng.normal(size=80))
    found = compare_stored(store, cohort.truth, reference="reader 1")
    assert [r.name for r in found.rows] == ["U-Net", "reader 1", "spy"]
    assert found.rows[1].difference is None
    spy = found.rows[2]
    assert spy.difference.value == pytest.approx(spy.area_by_fold.value - found.rows[1].area_by_fold.value)
    assert spy.adjusted_p >= spy.difference.p_value
    assert spy.adjusted_p < 0.01
    assert (found.n_cases, found.n_patients) == (80, 40)
    text = str(found)
    assert "less reader 1" in text
    assert "grouped by patient, stratified by outcome" in text


def test_a_missing_reference_or_score_is_named(cohort):
    cohort, folds = cohort
    with pytest.raises(InputError, match="got 'x' among"):
        compare_models(folds, cohort.truth, {"a": np.zeros(80)}, reference="x")
    with pytest.raises(InputError, match="must be finite"):
        compare_models(folds, cohort.truth, {"a": np.full(80, np.nan)})
