"""Trees see what does not add up, missing values, and stay small in memory."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.risk import forest
from spondyl.risk.boosting import SurvivalBoosting
from spondyl.risk.forest import SurvivalForest
from spondyl.risk.outcome import follow_up
from survival_fakes import drawn


def test_a_peak_is_found_where_no_line_helps():
    d, new = drawn(11, n=800, kind="peak"), drawn(12, n=400, kind="peak")
    risk = SurvivalForest(60, min_leaf=15, n_jobs=1).fit(d.x, d.y).predict(new.x)
    assert harrell_c(Outcome(new.y["time"], new.y["event"]), risk).estimate.value > 0.62


def test_missing_values_are_taken_as_they_are():
    d = drawn(13)
    x = d.x.copy()
    x[::3, 0] = np.nan
    for random_splits in (False, True):
        model = SurvivalForest(20, random_splits=random_splits, n_jobs=1).fit(x, d.y)
        assert np.isfinite(model.predict(x)).all()


def test_a_copy_of_a_patient_gets_the_patients_own_curve():
    d = drawn(14, n=60, censored=0.0)
    model = SurvivalForest(20, random_splits=True, min_leaf=1, n_jobs=1).fit(d.x, d.y)
    order = np.argsort(d.y["time"])
    assert (np.diff(model.predict(d.x)[order]) <= 0).all()


def test_large_cohorts_are_drawn_from(monkeypatch):
    monkeypatch.setattr(forest, "MOST_DRAWN", 100)
    d = drawn(15)
    model = SurvivalForest(10, random_splits=True, min_leaf=1, n_jobs=1).fit(d.x, d.y)
    assert max(tree.tree_.n_leaves for tree in model.trees_.estimators_) <= 100
    assert np.corrcoef(model.predict(d.x), d.score)[0, 1] > 0.5


@pytest.mark.parametrize("model", [SurvivalForest(n_trees=5), SurvivalBoosting(n_trees=5)])
def test_other_features_than_those_learned_from_are_refused(model):
    rng = np.random.default_rng(0)
    x, time = rng.normal(size=(60, 3)), rng.exponential(size=60)
    model.fit(x, follow_up(time, np.ones(60)))
    with pytest.raises(InputError, match="3 features were learned from"):
        model.predict(x[:, :2])
    with pytest.raises(InputError, match="3 features were learned from"):
        model.predict_survival(x[:, :2], [1.0])
