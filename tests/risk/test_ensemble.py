"""Weights go to what foretells; what nobody has seen stays unseen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from spondyl.core import InputError
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.evaluation.survival_calibration import survival_calibration
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.ensemble import SurvivalEnsemble, deal
from spondyl.risk.forest import SurvivalForest
from survival_fakes import drawn

FEW = [("cox", PenalizedCox(0.03)), ("forest", SurvivalForest(30, min_leaf=20, n_jobs=1))]


class Dice(BaseEstimator):
    """Says something else of everybody."""

    def fit(self, X, y):  # noqa: N803
        """Learn nothing."""
        self.n_ = len(X)
        return self

    def predict(self, X):  # noqa: N803
        """Throw."""
        return np.random.default_rng(len(X)).normal(size=len(X))


class Memory(BaseEstimator):
    """Knows what it has seen by heart, and nothing else."""

    def fit(self, X, y):  # noqa: N803
        """Learn by heart."""
        self.known_ = {row.tobytes(): -time for row, time in zip(np.asarray(X), y["time"], strict=True)}
        return self

    def predict(self, X):  # noqa: N803
        """Recite."""
        return np.array([self.known_.get(row.tobytes(), 0.0) for row in np.asarray(X)])


def test_dice_and_memory_get_no_say():
    d = drawn(1)
    model = SurvivalEnsemble([("cox", PenalizedCox(0.03)), ("dice", Dice()), ("memory", Memory())], shrink=0).fit(
        d.x, d.y
    )
    assert model.weights_[0] > 0.5
    assert (model.weights_[1:] < 0.3 * model.weights_[0]).all()
    assert model.evidence_[0] > 5 * model.evidence_[1]


@pytest.mark.slow
def test_it_is_as_good_as_the_better_model_on_either_kind_of_cohort():
    for kind in ("linear", "peak"):
        d, new = drawn(21, n=500, kind=kind), drawn(22, n=1000, kind=kind)
        model = SurvivalEnsemble(FEW).fit(d.x, d.y)
        truth = Outcome(new.y["time"], new.y["event"])
        alone = [harrell_c(truth, m.predict(new.x)).estimate.value for _, m in model.learners_]
        assert harrell_c(truth, model.predict(new.x)).estimate.value > max(alone) - 0.01


def test_risks_of_new_patients_come_true():
    d, new = drawn(31, n=500), drawn(32, n=2000)
    at = float(np.median(d.time))
    risk = 1 - SurvivalEnsemble(FEW).fit(d.x, d.y).predict_survival(new.x, [at])[:, 0]
    found = survival_calibration(Outcome(new.time, np.ones(len(new.time))), risk, at)
    assert 0.85 < found.slope.value < 1.2
    assert found.observed_to_expected.value == pytest.approx(1, abs=0.1)


def test_patients_stay_together_and_events_are_spread():
    event = np.arange(90) % 3 == 0
    who = np.repeat(np.arange(30), 3)
    fold = deal(event, 5, groups=who)
    assert all(len(set(fold[who == w])) == 1 for w in range(30))
    fold = deal(event, 5)
    assert np.ptp(np.bincount(fold, weights=event)) <= 1


def test_few_events_take_fewer_folds_and_too_few_are_refused():
    d = drawn(5, n=60)
    y = d.y.copy()
    seen = np.flatnonzero(y["event"])
    y["event"][seen[10:]] = 0
    assert np.isfinite(SurvivalEnsemble(FEW[:1]).fit(d.x, y).predict(d.x)).all()
    y["event"][seen[9:]] = 0
    with pytest.raises(InputError, match="at least 10 events"):
        SurvivalEnsemble(FEW[:1]).fit(d.x, y)


@pytest.mark.slow
def test_the_standard_models_fit_a_table_with_missing_values():
    d = drawn(6, n=120)
    x = d.x.copy()
    x[::5, 1] = np.nan
    model = SurvivalEnsemble(n_folds=3).fit(x, d.y)
    assert len(model.weights_) == len(model.learners_) == 7
    assert np.corrcoef(model.predict(x), d.score)[0, 1] > 0.7
