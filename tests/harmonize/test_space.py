"""The harmonization space finds its dimension, goes there and back, and predicts what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.harmonize.space import choose_dimension, learn_space


def _factors(n=400, p=30, d=4, noise=0.5, seed=1):
    rng = np.random.default_rng([2_000_500, seed])
    loadings = rng.normal(size=(d, p))
    signal = rng.normal(size=(n, d)) @ loadings
    scale, offset = np.geomspace(0.01, 1000, p), np.linspace(-50, 900, p)
    return (signal + noise * rng.normal(size=(n, p))) * scale + offset, signal * scale + offset


@pytest.mark.parametrize("d", [1, 3, 6])
@pytest.mark.parametrize("shape", [(400, 30), (60, 300)])
def test_the_number_of_factors_is_found(d, shape):
    values, _ = _factors(*shape, d=d)
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    assert choose_dimension(z) == d


def test_the_way_back_is_nearer_to_the_truth_than_what_was_measured():
    values, truth = _factors(noise=1.0)
    space = learn_space(values)
    back = space.features(space.predict(values).coordinates)
    size = values.std(axis=0)
    assert np.sqrt(np.mean(((back - truth) / size) ** 2)) < 0.6 * np.sqrt(np.mean(((values - truth) / size) ** 2))


def test_there_and_back_keeps_units():
    values, _ = _factors(noise=0.01)
    space = learn_space(values)
    prediction = space.predict(values)
    np.testing.assert_allclose(prediction.values, values, atol=0.12 * values.std(axis=0).max())
    relative = (prediction.values - values) / values.std(axis=0)
    assert np.sqrt(np.mean(relative**2)) < 0.08
    np.testing.assert_allclose(prediction.values, space.features(prediction.coordinates))


def test_coordinates_have_mean_zero_and_variance_near_one():
    values, _ = _factors()
    coordinates = learn_space(values).predict(values).coordinates
    np.testing.assert_allclose(coordinates.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(coordinates.var(axis=0), 1, atol=0.15)


def test_missing_values_are_predicted_within_their_uncertainty():
    values, _ = _factors(n=600)
    holed = values.copy()
    rng = np.random.default_rng(3)
    gone = rng.random(values.shape) < 0.15
    holed[gone] = np.nan
    space = learn_space(holed)
    got = space.predict(holed)
    off = (got.values - values)[gone]
    sd = np.sqrt(got.variance)[gone]
    assert 0.85 <= np.mean(np.abs(off) < 1.645 * sd) <= 0.95
    spread = np.broadcast_to(values.std(axis=0), values.shape)[gone]
    assert np.sqrt(np.mean((off / spread) ** 2)) < 0.45


def test_a_patient_with_fewer_features_is_less_sure():
    values, _ = _factors()
    space = learn_space(values)
    few = values[:1].copy()
    few[:, 5:] = np.nan
    assert (space.predict(few).variance >= space.predict(values[:1]).variance).all()
    none = space.predict(np.full((1, 30), np.nan))
    np.testing.assert_allclose(none.coordinates, 0)
    np.testing.assert_allclose(none.values[0], space.center)


def test_a_constant_feature_says_nothing():
    values, _ = _factors()
    values[:, 3] = 4.0
    space = learn_space(values)
    assert not space.loadings[3].any()
    assert space.predict(values).values[0, 3] == pytest.approx(4.0)


@pytest.mark.parametrize("wanted", [0, 30, 3.5, "many"])
def test_a_dimension_the_table_cannot_bear_is_refused(wanted):
    with pytest.raises(SettingsError, match="'auto' or a whole number from 1 to 29"):
        learn_space(_factors()[0], wanted)
