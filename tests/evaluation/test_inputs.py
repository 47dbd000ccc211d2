"""Bad columns end in one clear sentence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import (
    binary,
    finite_vector,
    normal_quantile,
    patient_codes,
    probabilities,
    same_length,
    two_sided_p,
)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "at least one case"),
        ([[1.0, 2.0]], "one number per case"),
        (["a"], "must be numbers"),
        ([1.0, math.nan], "1 missing or infinite values .first in row 1."),
        ([math.inf], "missing or infinite"),
        (None, "one number per case"),
    ],
)
def test_a_column_must_be_finite_numbers(values, words):
    with pytest.raises(InputError, match=f"score.*{words}"):
        finite_vector(values, "score")


def test_truth_must_be_yes_or_no():
    assert binary([True, 0, 1.0]).tolist() == [True, False, True]
    with pytest.raises(InputError, match="say which class is positive"):
        binary([1, 2])
    with pytest.raises(InputError, match="both classes, got 2 cases that are all 1"):
        binary([1, 1], both=True)


def test_probabilities_must_lie_from_0_to_1():
    with pytest.raises(InputError, match=r"from 0 to 1, got -0\.1 to 0\.5: calibrate"):
        probabilities([-0.1, 0.5])


def test_columns_must_be_equally_long():
    assert same_length(a=np.zeros(2), b=None) == 2
    with pytest.raises(InputError, match=r"\{'a': 2, 'b': 3\}"):
        same_length(a=np.zeros(2), b=np.zeros(3))


def test_patients_are_numbered_without_gaps():
    assert patient_codes(["x", "a", "x"], 3).tolist() == [1, 0, 1]
    assert patient_codes(np.array([7, None, 7], dtype=object), 3).max() == 1
    assert patient_codes(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="one patient per case"):
        patient_codes(["x"], 2)


def test_normal_tails_agree_with_scipy():
    assert normal_quantile(0.95) == pytest.approx(stats.norm.ppf(0.975), rel=1e-12)
    assert two_sided_p(9.5) == pytest.approx(2 * stats.norm.sf(9.5), rel=1e-12)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        normal_quantile(95)
