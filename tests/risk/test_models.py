"""What every survival model promises: a risk that orders patients, curves that fall, and the same answer twice."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from spondyl.core import InputError
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.risk.boosting import SurvivalBoosting
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.forest import SurvivalForest
from spondyl.risk.neural import NeuralHazards
from survival_fakes import drawn

MODELS = {
    "cox": PenalizedCox(0.03),
    "forest": SurvivalForest(30, min_leaf=10, n_jobs=1),
    "random splits": SurvivalForest(30, random_splits=True, min_leaf=10, n_jobs=1),
    "boosting": SurvivalBoosting(30, learning_rate=0.1),
    "neural": NeuralHazards(16, n_networks=2),
}

pytestmark = pytest.mark.parametrize("name", MODELS)


def _index(d, risk) -> float:
    return harrell_c(Outcome(d.y["time"], d.y["event"]), risk).estimate.value


def test_it_orders_new_patients(name):
    model, new = clone(MODELS[name]).fit(drawn(1).x, drawn(1).y), drawn(2)
    assert _index(new, model.predict(new.x)) > 0.7
    assert np.corrcoef(model.predict(new.x), new.score)[0, 1] > 0.7


def test_curves_start_at_one_and_fall(name):
    d = drawn(1)
    curve = clone(MODELS[name]).fit(d.x, d.y).predict_survival(d.x[:20], np.linspace(0, 40, 30))
    np.testing.assert_allclose(curve[:, 0], 1, atol=1e-6)
    assert (np.diff(curve, axis=1) <= 1e-12).all()
    assert ((curve >= 0) & (curve <= 1)).all()


def test_mean_survival_is_near_the_truth(name):
    d = drawn(7, n=600)
    at = float(np.median(d.y["time"]))
    curve = clone(MODELS[name]).fit(d.x, d.y).predict_survival(d.x, [at])
    assert curve.mean() == pytest.approx((d.time > at).mean(), abs=0.06)


def test_it_says_the_same_twice(name):
    d = drawn(3, n=120)
    first, second = (clone(MODELS[name]).fit(d.x, d.y).predict(d.x) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_one_patient_is_predicted_as_among_others(name):
    d = drawn(3, n=120)
    model = clone(MODELS[name]).fit(d.x, d.y)
    np.testing.assert_allclose(model.predict(d.x[:1]), model.predict(d.x)[:1], rtol=1e-9)


def test_too_few_events_are_refused(name):
    d = drawn(3, n=40)
    y = d.y.copy()
    y["event"][4:] = 0
    with pytest.raises(InputError, match="at least 5 events"):
        clone(MODELS[name]).fit(d.x, y)


def test_events_at_time_zero_are_taken(name):
    d = drawn(3, n=120)
    y = d.y.copy()
    y["time"][:6] = 0.0
    assert np.isfinite(clone(MODELS[name]).fit(d.x, y).predict(d.x)).all()
