"""The two fits against statsmodels and R."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core.errors import SettingsError
from spondyl.evaluation.regression import expit, loess, logistic_fit

SPEED = (4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 16, 16, 17)
SPEED += (17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24, 25)
STOP = (2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20, 26, 54, 32, 40)
STOP += (32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93, 120, 85)
"""Speed and stopping distance of 50 cars (Ezekiel 1930, Methods of correlation analysis; `cars` in R)."""


def test_loess_is_that_of_r():
    # R 4.2: predict(loess(dist ~ speed, cars, control = loess.control(surface = "direct")), data.frame(speed = 5:24)).
    expected = [7.741005829624486, 9.926595615260805, 12.442423803030749, 15.281082223986429, 18.425711510811499]
    expected += [21.865315372875212, 25.713412874214576, 29.350385881853047, 33.230660349185193, 37.167935183233510]
    expected += [41.205226197755970, 45.781543888100330, 48.355888975095596, 50.067147786032216, 51.986702166573266]
    expected += [56.445263353315816, 62.025403968304559, 68.569312909199013, 76.193111123550736, 85.053363652546423]
    found = loess(np.array(SPEED, float), np.array(STOP, float), np.arange(5.0, 25.0))
    assert found == pytest.approx(expected, abs=1e-9)


def test_loess_keeps_a_parabola(rng):
    x = rng.random(40)
    at = np.linspace(0.1, 0.9, 7)
    assert loess(x, 1 - 2 * x + 3 * x**2, at, span=0.5) == pytest.approx(1 - 2 * at + 3 * at**2, abs=1e-9)


def test_loess_bears_ties_and_a_constant():
    assert loess(np.ones(5), np.arange(5.0), np.array([1.0])) == pytest.approx([2.0])
    found = loess(np.repeat([0.0, 1.0], 10), np.repeat([0.2, 0.8], 10), np.array([0.0, 1.0]))
    assert found == pytest.approx([0.2, 0.8], abs=1e-6)


def test_loess_needs_a_span():
    with pytest.raises(SettingsError, match="span must be above 0"):
        loess(np.arange(3.0), np.arange(3.0), np.arange(3.0), span=0)


@pytest.mark.parametrize("clustered", [False, True])
def test_logistic_fit_agrees_with_statsmodels(rng, clustered):
    models = pytest.importorskip("statsmodels.api")
    x = rng.normal(size=300)
    group = rng.integers(60, size=300)
    truth = rng.random(300) < expit(0.5 + x + rng.normal(size=60)[group])
    design, offset = np.column_stack([np.ones(300), x]), 0.3 * x
    reference = models.GLM(truth, design, family=models.families.Binomial(), offset=offset)
    how = {"cov_type": "cluster", "cov_kwds": {"groups": group, "df_correction": True}} if clustered else {}
    expected = reference.fit(**how)
    found = logistic_fit(design, truth, offset, group if clustered else None)
    assert found.converged
    assert found.coefficients == pytest.approx(expected.params, abs=1e-8)
    # statsmodels adds the factor (n - 1) / (n - terms) of Stata.
    scale = 298 / 299 if clustered else 1.0
    assert found.covariance == pytest.approx(expected.cov_params() * scale, rel=1e-6)


@pytest.mark.parametrize("x", [[-2.0, -1.0, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
def test_what_has_no_maximum_says_so(x):
    found = logistic_fit(np.column_stack([np.ones(4), x]), np.array([False, False, True, True]))
    assert not found.converged
    assert np.isnan(found.coefficients).all()


def test_expit_does_not_overflow():
    assert expit(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
