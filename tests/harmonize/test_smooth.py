"""Splines follow curves, cost nothing for a line, and continue level outside."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.harmonize.smooth import LeastSquares, spline_basis


def test_columns_have_mean_zero_and_span_lines(rng):
    x = rng.uniform(20, 90, 200)
    basis = spline_basis(x)
    columns = basis.columns(x)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-12)
    line = x - x.mean()
    left = line - columns @ np.linalg.lstsq(columns, line, rcond=None)[0]
    assert np.abs(left).max() < 1e-9


def test_the_penalty_of_a_line_is_nothing_and_of_a_parabola_its_integral(rng):
    x = np.sort(rng.uniform(-3, 5, 300))
    basis = spline_basis(x)
    t = (x - x[0]) / (x[-1] - x[0])
    for curve, wanted in ((t, 0.0), (t**2, 4.0), (t**3, 12.0)):
        b = np.linalg.lstsq(basis.columns(x), curve - curve.mean(), rcond=None)[0]
        assert b @ basis.penalty() @ b == pytest.approx(wanted, abs=1e-8)


def test_beyond_the_bounds_the_curve_is_level(rng):
    basis = spline_basis(rng.uniform(0, 1, 50))
    low, high = basis.bounds
    np.testing.assert_array_equal(basis.columns(np.array([low - 9])), basis.columns(np.array([low])))
    np.testing.assert_array_equal(basis.columns(np.array([high + 1e6])), basis.columns(np.array([high])))


def test_too_few_values_for_a_curve_are_refused():
    with pytest.raises(SettingsError, match="at least 4 different values, 'sex' has 2"):
        spline_basis(np.array([0.0, 1.0] * 20), "sex")


def test_least_squares_without_penalty_is_least_squares(rng):
    design, values = rng.normal(size=(50, 6)) * [1, 1e3, 1e-3, 1, 1, 1], rng.normal(size=(50, 9))
    coefficients, residuals = LeastSquares(design).solve(values)
    wanted = np.linalg.lstsq(design, values, rcond=None)[0]
    np.testing.assert_allclose(coefficients, wanted, rtol=1e-9)
    np.testing.assert_allclose(residuals, values - design @ wanted, atol=1e-10)
    np.testing.assert_allclose(LeastSquares(design).inverse, np.linalg.inv(design.T @ design), rtol=1e-8)


def test_dependent_columns_are_counted_once(rng):
    design = rng.normal(size=(30, 3))
    system = LeastSquares(np.hstack([design, design @ [[1.0], [2.0], [0.0]], np.zeros((30, 1))]))
    assert system.rank == 3
    _, residuals = system.solve(np.hstack([design, design**2]))
    assert np.abs(residuals[:, :3]).max() < 1e-12


def test_each_feature_chooses_its_own_smoothness(rng):
    x = rng.uniform(0, 1, 400)
    basis = spline_basis(x)
    curve, line = np.sin(2 * np.pi * x), 2 * x - 1
    values = np.stack([curve, line], axis=1) + rng.normal(0, 0.3, (400, 2))
    system = LeastSquares(np.hstack([np.ones((400, 1)), basis.columns(x)]), np.pad(basis.penalty(), ((1, 0), (1, 0))))
    coefficients, residuals = system.solve(values)
    fitted = values - residuals
    assert np.sqrt(np.mean((fitted[:, 0] - curve) ** 2)) < 0.08
    assert np.sqrt(np.mean((fitted[:, 1] - line) ** 2)) < 0.05
    roughness = [b @ basis.penalty() @ b for b in coefficients[1:].T]
    assert roughness[1] < 0.05 * roughness[0]


def test_residual_means_of_groups_are_zero_under_a_penalty(rng):
    x, group = rng.uniform(0, 1, 90), np.arange(90) % 3
    basis = spline_basis(x)
    design = np.hstack([np.eye(3)[group], basis.columns(x)])
    _, residuals = LeastSquares(design, np.pad(basis.penalty(), ((3, 0), (3, 0)))).solve(rng.normal(size=(90, 4)))
    for g in range(3):
        np.testing.assert_allclose(residuals[group == g].mean(axis=0), 0, atol=1e-10)
