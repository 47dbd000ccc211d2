"""Shrinkage follows its formulas and knows how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.harmonize import shrinkage
from spondyl.harmonize.shrinkage import Prior, SiteEstimates


def _estimates(rng, p=40, n=12):
    shift, scale = rng.normal(0.4, 0.5, p), rng.uniform(0.5, 2.0, p)
    return SiteEstimates(shift, scale, np.full(p, float(n)), np.full(p, 1 / n))


def test_the_inverse_gamma_has_the_moments_asked_for(rng):
    values = rng.uniform(0.5, 2.0, 200)
    shape, rate = shrinkage.inverse_gamma(values)
    assert rate / (shape - 1) == pytest.approx(values.mean())
    assert rate**2 / (shape - 1) ** 2 / (shape - 2) == pytest.approx(values.var(ddof=1))
    assert shrinkage.inverse_gamma(np.ones(5)) == (np.inf, np.inf)
    assert shrinkage.inverse_gamma(np.array([2.0])) == (np.inf, np.inf)


@pytest.mark.parametrize("method", ["parametric", "nonparametric"])
def test_few_patients_are_drawn_farther_to_the_mean_than_many(rng, method):
    def spread(n):
        estimates = _estimates(rng, n=n)
        if method == "nonparametric":
            return shrinkage.nonparametric(estimates, mean_only=False).shift.std() / estimates.shift.std()
        return shrinkage.parametric(estimates, shrinkage.prior_of(estimates)).shift.std() / estimates.shift.std()

    few, many = spread(3), spread(300)
    assert few < many < 1.001
    assert many > 0.9


def test_the_fixed_point_solves_both_equations(rng):
    e = _estimates(rng)
    prior = shrinkage.prior_of(e)
    got = shrinkage.parametric(e, prior)
    t2, n = prior.shift_variance, 12
    np.testing.assert_allclose(
        got.shift, (t2 * n * e.shift + got.scale * prior.shift_mean) / (t2 * n + got.scale), rtol=1e-3
    )
    squares = (n - 1) * e.scale + n * (e.shift - got.shift) ** 2
    np.testing.assert_allclose(got.scale, (squares / 2 + prior.scale_rate) / (n / 2 + prior.scale_shape - 1), rtol=1e-3)


def test_posterior_variance_is_below_both_that_of_the_data_and_of_the_prior(rng):
    e = _estimates(rng)
    prior = shrinkage.prior_of(e)
    got = shrinkage.parametric(e, prior)
    assert (got.shift_variance < prior.shift_variance).all()
    assert (got.shift_variance < got.scale / 12 + 1e-12).all()
    assert (got.log_scale_variance < shrinkage.without_shrinkage(e, mean_only=False).log_scale_variance).all()


def test_hundreds_of_patients_do_not_underflow_without_a_parametric_prior(rng):
    got = shrinkage.nonparametric(_estimates(rng, n=5000), mean_only=False)
    assert all(np.isfinite(part).all() for part in got)


def test_a_lone_feature_is_not_shrunk():
    lone = SiteEstimates(*(np.array([v]) for v in (0.7, 1.3, 9.0, 1 / 9)))
    for got in (
        shrinkage.parametric(lone, shrinkage.prior_of(lone)),
        shrinkage.nonparametric(lone, mean_only=False),
    ):
        assert got.shift == pytest.approx([0.7])
        assert got.scale == pytest.approx([1.3])


def test_equal_scales_are_taken_as_they_are(rng):
    e = _estimates(rng)._replace(scale=np.full(40, 1.4))
    got = shrinkage.parametric(e, shrinkage.prior_of(e))
    np.testing.assert_allclose(got.scale, 1.4)


def test_what_was_never_measured_gets_the_prior(rng):
    e = _estimates(rng)
    e.shift[3], e.scale[3], e.n[3] = np.nan, np.nan, 0
    prior = shrinkage.prior_of(e)
    got = shrinkage.parametric(e, prior)
    assert got.shift[3] == prior.shift_mean
    assert got.scale[3] == 1
    assert got.shift_variance[3] == prior.shift_variance


def test_a_prior_for_each_feature_shrinks_each_by_its_own_measure(rng):
    e = _estimates(rng)
    variance = np.geomspace(1e-6, 1e3, 40)
    got = shrinkage.parametric(e, Prior(0.0, variance, 5.0, 4.0, 1.0))
    assert abs(got.shift[0]) < 1e-4
    assert got.shift[-1] == pytest.approx(e.shift[-1], rel=1e-3)
    assert (np.diff(got.shift / e.shift) >= -1e-2).all()


def test_the_spread_between_scanners_is_found_again(rng):
    k, p, true = 12, 400, 0.3
    sampling = np.full((k, p), 0.05)
    shift = rng.normal(0, np.sqrt(true + 0.05), (k, p))
    found = shrinkage.between_scanners(shift, sampling)
    assert found.mean() == pytest.approx(true, rel=0.1)
    assert found.std() < 0.5 * (shift**2).mean(axis=0).std()
    assert (shrinkage.between_scanners(np.zeros((k, p)), sampling) == 0).all()
