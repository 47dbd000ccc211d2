"""Intraclass correlations, against the paper that named them."""

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.evaluation.icc import intraclass_correlations

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


@pytest.mark.parametrize(
    ("form", "value", "low", "high"),
    [
        # Values: Shrout & Fleiss 1979, table 4, with more digits; intervals: R package psych, ICC on the same data.
        ("ICC1", 0.16574176840547553, -0.13, 0.72),
        ("ICC2", 0.2897637795275592, 0.02, 0.76),
        ("ICC3", 0.7148407148407154, 0.34, 0.95),
        ("ICC1k", 0.4427971336792688, -0.88, 0.91),
        ("ICC2k", 0.6200505475989893, 0.07, 0.93),
        ("ICC3k", 0.9093155423770697, 0.68, 0.99),
    ],
)
def test_the_six_forms_as_published(form, value, low, high):
    made = intraclass_correlations(SHROUT_FLEISS).forms[form]
    assert made.value == pytest.approx(value, rel=1e-12)
    assert (round(made.low, 2), round(made.high, 2)) == (low, high)


def test_mean_squares_as_published():
    made = intraclass_correlations(SHROUT_FLEISS)
    squares = (made.ms_subjects, made.ms_raters, made.ms_error, made.ms_within)
    np.testing.assert_allclose(squares, (11.241667, 32.486111, 1.019444, 6.263889), atol=5e-7)


def test_intervals_hold_their_coverage():
    rng = np.random.default_rng(1_000_001)
    # Variances 2 of subjects, 1 of raters, 1 of the rest: ICC2 0.5, ICC3 2/3.
    hits = np.zeros(2)
    for _ in range(400):
        x = rng.normal(0, 2**0.5, (25, 1)) + rng.normal(0, 1, (1, 8)) + rng.normal(0, 1, (25, 8))
        forms = intraclass_correlations(x).forms
        hits += [forms["ICC2"].low < 0.5 < forms["ICC2"].high, forms["ICC3"].low < 2 / 3 < forms["ICC3"].high]
    assert ((hits / 400 > 0.91) & (hits / 400 < 0.99)).all()


def test_a_shift_between_raters_matters_to_agreement_only():
    x = np.array(SHROUT_FLEISS, dtype=float)
    shifted = x + np.array([0, 3, 6, 9])
    a, b = intraclass_correlations(x).forms, intraclass_correlations(shifted).forms
    assert a["ICC3"].value == pytest.approx(b["ICC3"].value)
    assert b["ICC2"].value != pytest.approx(a["ICC2"].value)


def test_incomplete_subjects_are_left_out_and_counted():
    made = intraclass_correlations([*SHROUT_FLEISS, [1, np.nan, 3, 4]])
    assert made.n_subjects == 6
    assert made.flags == ("1 subjects without all scores were left out",)


def test_equal_scores_are_not_assessable_and_equal_raters_agree_fully():
    assert np.isnan(intraclass_correlations(np.ones((4, 3))).forms["ICC2"].value)
    same = intraclass_correlations([[1, 1], [2, 2], [5, 5]])
    assert same.forms["ICC3"].value == 1.0
    assert same.forms["ICC2"].value == 1.0


@pytest.mark.parametrize("scores", [[1, 2, 3], [[1], [2]], [[1, 2]], [[1, np.nan], [np.nan, 2]]])
def test_too_little_is_refused(scores):
    with pytest.raises(InputError, match="at least two raters for at least two subjects"):
        intraclass_correlations(scores)


def test_the_table_says_when_each_form_is_meant():
    assert "raters stand for others; one rater, absolute agreement" in str(intraclass_correlations(SHROUT_FLEISS))
