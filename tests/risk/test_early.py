"""Early disease: change tells what one study cannot, whatever is missing; a file says what the model says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import logit
from sklearn.base import clone

from spondyl.core import InputError, ModelError
from spondyl.risk.early import EarlyDisease
from spondyl.risk.early_file import EarlyModel, read_early, write_early

MODALITIES = {"one study": [0, 1], "change": [2, 3], "facts": [4]}


def _rows(n=1500, seed=0, *, missing=True):
    """Vertebrae whose present look hides behind what was always there, and whose change does not."""
    rng = np.random.default_rng(seed)
    sick = rng.random(n) < 0.15
    usual = rng.normal(0, 2, (n, 2))
    change = rng.normal(size=(n, 2)) + 1.6 * sick[:, None]
    x = np.column_stack([usual + change, change, rng.normal(size=n) + 0.3 * sick])
    if missing:
        x[rng.random(n) < 0.2, 2:4] = np.nan
        x[rng.random(n) < 0.2, 3] = np.nan
        x[rng.random(n) < 0.3, 4] = np.nan
    return x, sick, np.arange(n) // 5


@pytest.fixture(scope="module")
def fitted():
    x, sick, who = _rows()
    return EarlyDisease(MODALITIES, n_trees=30, n_folds=3).fit(x, sick, groups=who)


def _sensitivity(score, sick):
    return (score[sick] > np.quantile(score[~sick], 0.9)).mean()


def test_change_tells_more_than_one_study(fitted):
    x, sick, who = _rows()
    new, truth, _ = _rows(seed=1)
    single = EarlyDisease({"one study": [0, 1]}, n_trees=30, n_folds=3).fit(x, sick, groups=who)
    gain = _sensitivity(fitted.decision_function(new), truth) - _sensitivity(single.decision_function(new), truth)
    assert gain > 0.15


def test_probabilities_come_true(fitted):
    new, truth, _ = _rows(3000, 2)
    p = fitted.predict_proba(new)[:, 1]
    assert p.mean() == pytest.approx(truth.mean(), abs=0.03)
    assert truth[p > 0.5].mean() > 0.5
    np.testing.assert_array_equal(fitted.predict(new), p > 0.5)


def test_sets_keep_nine_of_ten_of_either_class(fitted):
    new, truth, _ = _rows(4000, 3)
    keeps = fitted.prediction_sets(new)
    assert keeps[truth, 1].mean() == pytest.approx(0.9, abs=0.04)
    assert keeps[~truth, 0].mean() == pytest.approx(0.9, abs=0.03)


def test_modalities_add_up_to_what_is_said(fitted):
    new, *_ = _rows(200, 4)
    parts = fitted.contributions(new)
    assert set(parts) == {"", *MODALITIES}
    np.testing.assert_allclose(sum(parts.values()), logit(fitted.predict_proba(new)[:, 1]), atol=1e-9)


def test_whatever_is_missing_an_answer_is_given(fitted):
    new, *_ = _rows(50, 5, missing=False)
    for gone in (slice(0, 2), slice(2, 4), slice(4, 5), slice(0, 5)):
        less = new.copy()
        less[:, gone] = np.nan
        assert np.isfinite(fitted.decision_function(less)).all()
    alone = fitted.decision_function(np.full((1, 5), np.nan))
    assert 0 < 1 / (1 + np.exp(-alone[0])) < 0.5


def test_it_says_the_same_twice(fitted):
    x, sick, who = _rows()
    again = clone(fitted).fit(x, sick, groups=who)
    np.testing.assert_array_equal(again.decision_function(x), fitted.decision_function(x))


def test_patients_stay_together():
    # Copies of a vertebra with a meaningless, but recognizable, look: only apart from each other do they say nothing.
    rng = np.random.default_rng(6)
    base, sick = rng.normal(size=(150, 3)), rng.random(150) < 0.3
    x, y, who = np.repeat(base, 6, axis=0), np.repeat(sick, 6), np.repeat(np.arange(150), 6)

    def area(groups):
        model = EarlyDisease({"one": [0, 1, 2]}, n_trees=60).fit(x, y, groups=groups)
        order = np.argsort(np.argsort(model.out_of_fold_))
        return (order[y].sum() - y.sum() * (y.sum() - 1) / 2) / (y.sum() * (~y).sum())

    assert area(None) > 0.8
    assert area(who) < 0.7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x[:10], y), "same vertebrae"),
        (lambda x, y: (x, y.astype(int) * 2), "0 .no disease. or 1"),
        (lambda x, y: (x, np.zeros(len(y))), "at least 20"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(change, said):
    x, y, _ = _rows(200)
    with pytest.raises(InputError, match=said):
        EarlyDisease(MODALITIES).fit(*change(x, y))


def test_another_number_of_features_is_refused(fitted):
    with pytest.raises(InputError, match="5 features were learned from"):
        fitted.predict_proba(np.zeros((2, 4)))


def test_a_file_says_what_the_model_says(fitted, tmp_path):
    write_early(EarlyModel(tuple("abcde"), fitted, "nobody"), tmp_path / "m.json")
    read = read_early(tmp_path / "m.json")
    new, *_ = _rows(300, 7)
    np.testing.assert_allclose(
        read.estimator.decision_function(new), fitted.decision_function(new), atol=0.02, rtol=0.01
    )
    assert read.columns == tuple("abcde")
    assert read.learned_from == "nobody"


def _circle(content):
    content["modalities"][0]["trees"]["left"][0] = 0
    return content


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: {},
        lambda c: c | {"format": "other"},
        lambda c: c | {"center": [0.0]},
        lambda c: c | {"columns": ["a"]},
        lambda c: c | {"limits": ["x", 1]},
        _circle,
    ],
)
def test_a_damaged_file_is_refused(fitted, tmp_path, damage):
    path = tmp_path / "m.json"
    write_early(EarlyModel(tuple("abcde"), fitted, "nobody"), path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ModelError):
        read_early(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "m.json").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ModelError, match="cannot be used"):
        read_early(tmp_path / "m.json")
    with pytest.raises(ModelError, match="cannot be used"):
        read_early(tmp_path / "none.json")
