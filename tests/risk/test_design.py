"""Terms of a sum: filled, scaled, bent, and missing values told."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.risk.design import Design


def test_missing_values_become_the_median_and_a_term():
    x = np.array([[1.0, 5], [2, np.nan], [3, 7], [10, 9]])
    design = Design().fit(x)
    terms = design.transform(x)
    assert terms.shape == (4, 3)
    assert terms[:, 2].tolist() == [0, 1, 0, 0]
    assert terms[1, 1] == terms[2, 1]


def test_curves_are_straight_beyond_the_outer_knots():
    x = np.random.default_rng(0).normal(size=(500, 1))
    design = Design(curved=True).fit(x)
    far = design.transform(np.array([[3.0], [3.5], [4.0]]))
    np.testing.assert_allclose(np.diff(far, 2, axis=0), 0, atol=1e-9)
    near = design.transform(np.linspace(-1, 1, 5)[:, None])
    assert np.abs(np.diff(near[:, 1:], 2, axis=0)).max() > 1e-3


def test_yes_and_no_stay_straight():
    x = np.column_stack([np.arange(100) % 2, np.arange(100)]).astype(float)
    assert list(Design(curved=True).fit(x).knots_) == [1]


def test_a_wrong_decimal_point_is_held():
    x = np.random.default_rng(0).normal(size=(200, 1))
    assert Design().fit(x).transform(np.array([[1e6]]))[0, 0] == pytest.approx(5.0)


def test_a_constant_or_empty_column_gives_zeros():
    x = np.column_stack([np.ones(10), np.full(10, np.nan), np.arange(10.0)])
    assert (Design(curved=True).fit_transform(x)[:, :2] == 0).all()
