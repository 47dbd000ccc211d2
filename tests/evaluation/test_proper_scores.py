"""Scores of several classes against published values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.proper_scores import brier_score, log_loss, log_score


def test_published_scores():
    # Reinke 2024, doi 10.1038/s41592-023-02150-0, as in the tests of MetricsReloaded (test_calibration_metrics).
    truth, probability = [1, 0], [[0.2, 0.8], [0.4, 0.6]]
    assert brier_score(truth, probability) == pytest.approx(0.4)
    assert round(log_score(truth, probability), 2) == -0.57


def test_certainty_that_is_wrong_stays_finite():
    assert math.isfinite(log_score([0], [[0.0, 1.0]]))
    assert math.isfinite(log_loss(np.array([True]), np.array([0.0])))
    assert brier_score([0], [[0.0, 1.0]]) == 2.0


@pytest.mark.parametrize(
    ("truth", "probability", "words"),
    [
        ([0, 2], [[0.5, 0.5]] * 2, "number the classes from 0 to 1"),
        ([0], [[0.5, 0.5]] * 2, r"shape \(1, classes\)"),
        ([0], [[1.5, -0.5]], "from 0 to 1"),
    ],
)
def test_bad_columns_are_named(truth, probability, words):
    with pytest.raises(InputError, match=words):
        log_score(truth, probability)
