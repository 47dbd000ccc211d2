"""Death prevents progression; probabilities of all that can happen sum to one."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.risk.competing import CompetingRisks
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.outcome import follow_up


def _cohort(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    first, other = rng.exponential(10 * np.exp(-x[:, 0])), rng.exponential(10 * np.exp(-x[:, 1]))
    leaves = rng.uniform(5, 30, n)
    time = np.minimum(np.minimum(first, other), leaves)
    return x, follow_up(time, np.where(time == leaves, 0, np.where(first < other, 1, 2))), first, other


def test_incidence_is_that_of_the_simulation():
    x, y, first, other = _cohort()
    model = CompetingRisks(PenalizedCox(0.0)).fit(x, y)
    for at in (2.0, 4.0, 8.0):
        happened = (first <= at) & (first < other)
        assert model.predict_incidence(x, [at]).mean() == pytest.approx(happened.mean(), abs=0.03)


def test_incidence_rises_and_all_sum_to_less_than_one():
    x, y, *_ = _cohort(400)
    model = CompetingRisks(PenalizedCox(0.01)).fit(x, y)
    at = np.linspace(0, 25, 30)
    both = [model.predict_incidence(x, at, cause) for cause in (1, 2)]
    assert all((np.diff(b, axis=1) >= -1e-12).all() for b in both)
    assert (both[0] + both[1] <= 1 + 1e-9).all()


def test_leaving_death_aside_says_too_much():
    x, y, *_ = _cohort(400)
    model = CompetingRisks(PenalizedCox(0.01)).fit(x, y)
    alone = 1 - model.models_[1].predict_survival(x, [8.0])
    assert (model.predict_incidence(x, [8.0]) < alone).all()


def test_a_rare_cause_is_named():
    x, y, *_ = _cohort(100)
    y["event"][0] = 3
    with pytest.raises(InputError, match="event 3: at least 5 events"):
        CompetingRisks(PenalizedCox(0.01)).fit(x, y)
