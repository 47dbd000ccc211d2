"""Covariances of figures of merit, against published values, definitions and each other."""

import numpy as np
import pytest

from reader_fakes import drawn_study, example_study
from spondyl.core import InputError
from spondyl.evaluation.mrmc_components import error_covariances
from spondyl.evaluation.mrmc_covariance import METHODS, covariance, product_sums
from spondyl.evaluation.mrmc_data import ReaderStudy
from spondyl.evaluation.mrmc_merit import auc_merits, custom_merits, sensitivity_merits


def _masked(study, keep):
    scores = np.where(np.broadcast_to(keep, study.scores.shape), study.scores, np.nan)
    return ReaderStudy(study.modalities, study.readers, study.cases, study.truth, scores)


def test_delong_of_the_example_is_that_of_an_independent_program():
    # Computed independently for iMRMC's example (CC0), 5 readers x 2 modalities x 40 + 40 cases.
    expected = (0.003068601762820513, 0.0017855769230769231, 0.0017416466346153845, 0.0011740434695512818)
    made = error_covariances(covariance(auc_merits(example_study()), "delong"))
    np.testing.assert_allclose(made, expected, rtol=1e-13)


def test_the_methods_agree_on_a_large_study():
    merits = auc_merits(drawn_study(1_000_001, n_cases=800))
    delong = covariance(merits, "delong")
    for method in METHODS[1:]:
        np.testing.assert_allclose(covariance(merits, method), delong, rtol=0.01, atol=1e-6)


def test_the_jackknife_is_its_definition():
    study = drawn_study(1_000_002, ties=True)
    merits = auc_merits(study)
    n = len(study.cases)
    flat = merits.left_out.reshape(-1, n)
    # (n - 1)^2 / n times the sample covariance of the left-out figures (Efron 1982).
    expected = (n - 1) ** 2 / n * np.cov(flat)
    np.testing.assert_allclose(covariance(merits, "jackknife").reshape(expected.shape), expected, atol=1e-15)


def test_the_unbiased_covariance_is_unbiased():
    # Over all samples of two positive and two negative cases, with replacement, from a tiny population, the mean
    # estimate is the true variance (Gallas 2007). Draws with replacement are independent, as the estimator needs.
    x, y = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 1.0, 2.0])
    values, estimates = [], []
    for draw in np.ndindex(3, 3, 3, 3):
        scores = np.array([[[x[draw[0]], x[draw[1]], y[draw[2]], y[draw[3]]]]])
        study = ReaderStudy(("m",), ("A",), tuple("1234"), np.array([True, True, False, False]), scores)
        merits = auc_merits(study)
        values.append(merits.values[0, 0])
        estimates.append(covariance(merits, "unbiased")[0, 0, 0, 0])
    np.testing.assert_allclose(np.mean(estimates), np.var(values), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_shared_without_shared_cases(method):
    study = drawn_study(1_000_003, n_readers=2)
    apart = np.arange(2)[:, None] == np.arange(30) // 15
    matrix = covariance(auc_merits(_masked(study, apart)), method)
    np.testing.assert_allclose(matrix[0, 0, 0, 1], 0.0, atol=1e-17)
    assert matrix[0, 0, 1, 0] != 0.0


@pytest.mark.parametrize("method", METHODS)
def test_cases_that_one_reader_skips_leave_the_other_reader_alone(method):
    study = drawn_study(1_000_004, n_modalities=1, n_readers=2)
    keep = np.ones((2, 30), dtype=bool)
    keep[1, :4] = False
    some = covariance(auc_merits(_masked(study, keep)), method)
    whole = covariance(auc_merits(study), method)
    np.testing.assert_allclose(some[0, 0, 0, 0], whole[0, 0, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(some[0, 0, 0, 1], some[0, 1, 0, 0], rtol=1e-12)


def test_the_variance_of_a_share_is_binomial():
    study = drawn_study(1_000_005, n_modalities=1, n_readers=1)
    p, n = sensitivity_merits(study, 0.8).values[0, 0], study.n_positive
    for method in METHODS:
        got = covariance(sensitivity_merits(study, 0.8), method)[0, 0, 0, 0]
        np.testing.assert_allclose(got, p * (1 - p) / (n - 1), rtol=1e-12)


def test_a_small_block_of_the_kernel_gives_the_same_sums(monkeypatch):
    pairs = auc_merits(drawn_study(1_000_006, ties=True)).pairs
    whole = product_sums(pairs).sums
    monkeypatch.setattr("spondyl.evaluation.mrmc_covariance.KERNEL_FLOATS", 1)
    np.testing.assert_allclose(product_sums(pairs).sums, whole, rtol=1e-14)


def test_what_is_not_defined_is_refused():
    merits = custom_merits(drawn_study(1_000_007), lambda t, s: float(s[t].mean() - s[~t].mean()), "gap")
    with pytest.raises(InputError, match="not defined for gap: take the jackknife"):
        covariance(merits, "delong")
    with pytest.raises(InputError, match="must be one of delong, jackknife, unbiased"):
        covariance(merits, "guess")
