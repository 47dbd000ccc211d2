"""Cox's model gives published coefficients, and a penalty behaves as one."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines.datasets import load_rossi

from spondyl.core import InputError
from spondyl.risk.cox import PenalizedCox, RiskSets
from spondyl.risk.outcome import follow_up
from survival_fakes import drawn


@pytest.fixture(scope="module")
def rossi():
    """Recidivism of 432 men (Rossi 1980), as lifelines carries it."""
    table = load_rossi()
    return table.drop(columns=["week", "arrest"]), follow_up(table["week"], table["arrest"])


def test_coefficients_of_the_rossi_data_are_the_published_ones(rossi):
    x, y = rossi
    model = PenalizedCox(0.0).fit(x, y)
    # Fox & Weisberg 2018, Cox proportional-hazards regression for survival data in R; lifelines gives the same.
    expected = [-0.379422, -0.057438, 0.313900, -0.149796, -0.433704, -0.084871, 0.091497]
    np.testing.assert_allclose(model.coefficients_, expected, atol=5e-7)
    assert model.log_likelihood_ == pytest.approx(-658.7476594460858, abs=1e-8)
    errors = [0.191379, 0.021999, 0.307993, 0.212224, 0.381868, 0.195757, 0.028649]
    np.testing.assert_allclose(np.sqrt(np.diag(model.covariance_)), errors, atol=5e-6)


def test_survival_of_the_rossi_data_is_that_of_lifelines(rossi):
    from lifelines import CoxPHFitter

    x, y = rossi
    table = load_rossi()
    theirs = CoxPHFitter().fit(table, "week", "arrest").predict_survival_function(table.iloc[:5], times=[10, 30, 52])
    np.testing.assert_allclose(PenalizedCox(0.0).fit(x, y).predict_survival(x.iloc[:5], [10, 30, 52]), theirs.T, 1e-3)


def test_derivatives_agree_with_differences_where_times_are_tied():
    rng = np.random.default_rng(2)
    x, beta = rng.normal(size=(40, 3)), np.array([0.3, -0.2, 0.8])
    sets = RiskSets(rng.integers(1, 8, 40).astype(float), rng.random(40) < 0.7)
    value, gradient, information = sets.derivatives(x, beta)
    assert value == pytest.approx(sets.log_likelihood(x @ beta), abs=1e-10)
    h = 1e-5
    for i, unit in enumerate(np.eye(3) * h):
        up, down = sets.derivatives(x, beta + unit), sets.derivatives(x, beta - unit)
        assert gradient[i] == pytest.approx((up[0] - down[0]) / (2 * h), abs=1e-6)
        np.testing.assert_allclose(information[i], -(up[1] - down[1]) / (2 * h), atol=1e-5)


def test_units_of_a_feature_do_not_change_the_prediction():
    d = drawn(1)
    once = PenalizedCox(0.1).fit(d.x, d.y).predict(d.x)
    scaled = PenalizedCox(0.1).fit(d.x * 1000 + 7, d.y).predict(d.x * 1000 + 7)
    np.testing.assert_allclose(once, scaled, atol=1e-6)


def test_the_chosen_penalty_is_heavy_on_noise_and_light_on_signal():
    d, rng = drawn(3), np.random.default_rng(0)
    noise = PenalizedCox().fit(rng.normal(size=(300, 30)), d.y)
    assert noise.penalty_ >= 10 * PenalizedCox().fit(d.x, d.y).penalty_


def test_more_features_than_patients_are_fitted():
    rng, d = np.random.default_rng(4), drawn(4, n=80)
    x = np.hstack([d.x, rng.normal(size=(80, 400))])
    model = PenalizedCox(0.3).fit(x, d.y)
    assert model.coefficients_.shape == (404,)
    assert np.corrcoef(model.predict(x), d.score)[0, 1] > 0.5


def test_survival_falls_in_time_and_with_risk():
    d = drawn(5)
    model = PenalizedCox().fit(d.x, d.y)
    curve = model.predict_survival(d.x, np.linspace(0, 30, 20))
    assert (np.diff(curve, axis=1) <= 0).all()
    assert (curve[:, 0] == 1).all()
    assert (np.diff(curve[np.argsort(model.predict(d.x)), 10]) <= 0).all()


def test_perfect_order_is_refused_without_a_penalty_and_fitted_with_one():
    time = np.arange(1.0, 41)
    y = follow_up(time, np.ones(40))
    with pytest.raises(InputError, match="penalty above 0"):
        PenalizedCox(0.0).fit(-time[:, None], y)
    assert PenalizedCox(0.1).fit(-time[:, None], y).coefficients_[0] > 0
