"""Limits of agreement, against the paper that proposed them."""

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.bland_altman import limits_of_agreement

# Bland & Altman 1986, table: peak expiratory flow of 17 subjects, first readings of two meters, L/min.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_peak_flow_as_published():
    made = limits_of_agreement(WRIGHT, MINI, multiplier=2)
    got = (made.bias.value, made.sd, made.lower.value, made.upper.value)
    np.testing.assert_allclose(got, (-2.1176, 38.7651, -79.648, 75.413), atol=5e-4)
    # The paper's interval of the bias: -22.0 to 17.8.
    assert (round(made.bias.low, 1), round(made.bias.high, 1)) == (-22.0, 17.8)
    assert made.slope_p > 0.05


def test_the_limits_hold_95_percent():
    rng = np.random.default_rng(1_000_001)
    truth = rng.normal(100, 20, 4000)
    made = limits_of_agreement(truth + rng.normal(0, 3, 4000), truth + rng.normal(1, 4, 4000))
    np.testing.assert_allclose((made.bias.value, made.sd), (-1, 5), atol=0.3)
    assert made.lower.low < made.lower.value < made.lower.high < made.bias.low


def test_repeated_measurements_count_as_their_subject():
    rng = np.random.default_rng(1_000_002)
    subject = np.repeat(np.arange(200), 3)
    gap = np.repeat(rng.normal(0, 2, 200), 3) + rng.normal(0, 1, 600)
    base = rng.normal(50, 5, 600)
    made = limits_of_agreement(base + gap, base, subjects=subject)
    naive = limits_of_agreement(base + gap, base)
    np.testing.assert_allclose(made.sd, np.sqrt(5), rtol=0.08)
    assert made.bias.standard_error > 1.4 * naive.bias.standard_error
    assert "600 pairs of 200 subjects" in made.flags[0]
    assert np.isnan(made.slope_p)


def test_subjects_of_one_pair_each_change_nothing():
    named = limits_of_agreement(WRIGHT, MINI, subjects=[f"S{i}" for i in range(17)])
    assert named.to_dict() == limits_of_agreement(WRIGHT, MINI).to_dict()


def test_a_bias_that_grows_is_flagged():
    rng = np.random.default_rng(1_000_003)
    x = rng.uniform(10, 100, 60)
    made = limits_of_agreement(1.2 * x + rng.normal(0, 1, 60), x)
    assert made.slope == pytest.approx(0.18, abs=0.02)
    assert "change with the size" in made.flags[0]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([1, 2], [1], "one value per case"), ([1, np.nan], [1, 2], "must be finite"), ([1], [1], "at least two subjects")],
)
def test_what_does_not_fit_is_refused(first, second, message):
    with pytest.raises(InputError, match=message):
        limits_of_agreement(first, second)


def test_equal_measurements_have_no_spread():
    made = limits_of_agreement([1, 2, 3], [1, 2, 3])
    assert (made.sd, made.lower.value, made.upper.value) == (0, 0, 0)
