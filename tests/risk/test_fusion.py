"""Modalities may be missing, and each is used where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.ensemble import SurvivalEnsemble
from spondyl.risk.fusion import LateFusion
from survival_fakes import drawn

COX = SurvivalEnsemble([("cox", PenalizedCox(0.03))])
PARTS = {"imaging": [0, 2], "clinical": [1, 3]}


def _with_gaps(x, seed=0):
    rng, x = np.random.default_rng(seed), x.copy()
    x[np.ix_(rng.random(len(x)) < 0.3, [0, 2])] = np.nan
    x[np.ix_(rng.random(len(x)) < 0.3, [1, 3])] = np.nan
    return x


def test_it_beats_either_modality_where_both_are_there():
    d, new = drawn(1, n=600), drawn(2, n=800)
    model = LateFusion(PARTS, estimator=COX).fit(_with_gaps(d.x), d.y)
    truth = Outcome(new.y["time"], new.y["event"])
    both = harrell_c(truth, model.predict(new.x)).estimate.value
    alone = [harrell_c(truth, m.predict(new.x[:, PARTS[n]])).estimate.value for n, m in model.models_.items()]
    assert both > max(alone) + 0.02


def test_a_missing_modality_draws_the_risk_to_the_middle():
    d = drawn(3, n=600)
    model = LateFusion(PARTS, estimator=COX).fit(_with_gaps(d.x), d.y)
    without = d.x.copy()
    without[:, PARTS["imaging"]] = np.nan
    assert model.predict(without).std() < model.predict(d.x).std()
    nothing = np.full((2, 4), np.nan)
    assert np.ptp(model.predict(nothing)) == 0
    assert np.isfinite(model.predict_survival(nothing, [1.0])).all()


def test_a_modality_of_too_few_patients_is_named():
    d = drawn(4, n=100)
    x = d.x.copy()
    x[5:, [0, 2]] = np.nan
    with pytest.raises(InputError, match="modality imaging, known of 5 patients"):
        LateFusion(PARTS, estimator=COX).fit(x, d.y)
