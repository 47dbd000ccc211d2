"""Figures of merit and what they become without each case, against plain definitions."""

import numpy as np
import pytest

from reader_fakes import drawn_study
from spondyl.core import InputError
from spondyl.evaluation.mrmc_data import ReaderStudy
from spondyl.evaluation.mrmc_merit import auc_merits, custom_merits, sensitivity_merits, specificity_merits


def _auc(truth, scores):
    x, y = scores[truth], scores[~truth]
    if not x.size or not y.size:
        raise ZeroDivisionError
    return float(np.mean((np.sign(x[:, None] - y) + 1) / 2))


def _holes(study, seed, share=0.15):
    scores = study.scores.copy()
    scores[np.random.default_rng(seed).random(scores.shape) < share] = np.nan
    return ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores)


@pytest.mark.parametrize("seed", [1_000_001, 1_000_002])
@pytest.mark.parametrize("holes", [False, True])
def test_areas_and_left_out_areas_are_what_counting_pairs_gives(seed, holes):
    study = drawn_study(seed, ties=True)
    study = _holes(study, seed) if holes else study
    fast, plain = auc_merits(study), custom_merits(study, _auc, "AUC by counting")
    np.testing.assert_allclose(fast.values, plain.values, rtol=0, atol=1e-14)
    order = np.concatenate([np.flatnonzero(study.truth), np.flatnonzero(~study.truth)])
    np.testing.assert_allclose(fast.left_out, plain.left_out[..., order], rtol=0, atol=1e-13)


def test_sensitivity_and_specificity_count_calls():
    truth = np.array([True, True, True, False, False])
    scores = np.array([[[0.5, 0.4, np.nan, 0.9, 0.1]]])
    study = ReaderStudy(("x",), ("A",), tuple("12345"), truth, scores)
    assert sensitivity_merits(study, 0.5).values[0, 0] == 0.5
    assert specificity_merits(study, 0.5).values[0, 0] == 0.5
    assert sensitivity_merits(study, 0.4).values[0, 0] == 1.0
    np.testing.assert_allclose(sensitivity_merits(study, 0.5).left_out[0, 0], [0.0, 1.0, 0.5])


def test_a_reader_without_positive_cases_has_no_area():
    study = drawn_study(1_000_003)
    scores = study.scores.copy()
    scores[0, 0, study.truth] = np.nan
    values = auc_merits(ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores)).values
    assert np.isnan(values[0, 0])
    assert np.isfinite(values.ravel()[1:]).all()


@pytest.mark.parametrize("truth", [True, False])
def test_one_class_alone_has_no_area(truth):
    study = ReaderStudy(("x",), ("A",), ("1", "2"), np.array([truth, truth]), np.zeros((1, 1, 2)))
    with pytest.raises(InputError, match="needs positive and negative cases"):
        auc_merits(study)
    lacking = specificity_merits if truth else sensitivity_merits
    with pytest.raises(InputError, match="cases, got none"):
        lacking(study)


def test_ties_everywhere_are_one_half():
    study = drawn_study(1_000_004)
    flat = ReaderStudy(study.modalities, study.readers, study.cases, study.truth, np.ones_like(study.scores))
    assert (auc_merits(flat).values == 0.5).all()


def test_a_figure_that_fails_is_explained():
    study = ReaderStudy(("x",), ("A",), ("1", "2"), np.array([True, False]), np.array([[[1.0, 0.0]]]))
    with pytest.raises(InputError, match="add cases of the rarer class"):
        custom_merits(study, _auc, "my figure")
