"""A local line is the same twice, right where lines are right, and refused where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.risk.lime import local_line

BACKGROUND = np.random.default_rng(0).normal(size=(200, 4)) * [1, 2, 3, 1]


def test_a_line_is_found_in_units_of_the_spread():
    found = local_line(lambda x: x @ [1.0, -1.0, 0.5, 0.0], np.zeros(4), BACKGROUND, "abcd")
    np.testing.assert_allclose(found.effect, BACKGROUND.std(axis=0) * [1, -1, 0.5, 0], rtol=0.01, atol=0.01)
    assert found.usable
    assert found.r2 > 0.999
    assert found.stability == 1


def test_the_same_patient_gets_the_same_line():
    twice = [local_line(lambda x: np.tanh(x[:, 0]) * x[:, 1], np.ones(4), BACKGROUND, "abcd") for _ in range(2)]
    np.testing.assert_array_equal(twice[0].effect, twice[1].effect)


def test_a_model_that_is_no_line_is_refused():
    found = local_line(lambda x: np.sin(20 * x[:, 0]), np.zeros(4), BACKGROUND, "abcd")
    assert not found.usable
    assert "a line explains" in found.reason


def test_many_equal_features_are_refused_since_none_leads():
    wide = np.random.default_rng(1).normal(size=(200, 30))
    wide /= wide.std(axis=0)
    found = local_line(
        lambda x: (x + 0.3 * np.sin(5 * x)).sum(axis=1), np.zeros(30), wide, [f"x{i}" for i in range(30)]
    )
    assert not found.usable
    assert "leading features" in found.reason


def test_missing_and_constant_features_get_no_effect():
    background = BACKGROUND.copy()
    background[:, 3] = 1
    found = local_line(lambda x: np.nan_to_num(x).sum(axis=1), np.array([0, np.nan, 0, 1.0]), background, "abcd")
    assert found.effect[1] == found.effect[3] == 0
    assert found.effect[0] == pytest.approx(1, abs=0.1)


def test_yes_and_no_are_never_something_between():
    background = np.column_stack([np.arange(100) % 2, np.arange(100)]).astype(float)
    seen = []

    def model(x):
        seen.append(set(x[:, 0]))
        return x[:, 0]

    local_line(model, np.array([1.0, 50.0]), background, "ab")
    assert set().union(*seen) == {0.0, 1.0}
