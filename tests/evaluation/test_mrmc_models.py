"""The ways to analyze a study agree where they must."""

import numpy as np
import pytest

from reader_fakes import drawn_study, example_study
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_covariance import covariance
from spondyl.evaluation.mrmc_merit import auc_merits
from spondyl.evaluation.mrmc_models import (
    dorfman_berbaum_metz,
    obuchowski_rockette,
    one_shot,
    readers_in_modalities,
    single_reader,
)


def _figures(study, method="delong"):
    merits = auc_merits(study)
    return merits, covariance(merits, method)


def _numbers(model):
    o = model.overall
    return [o.f, o.df2, o.p_value, *model.mean_variance, *model.mean_df, *model.pair_variance.ravel()]


@pytest.mark.parametrize("population", [Population.BOTH, Population.READERS])
@pytest.mark.parametrize("n_modalities", [2, 4])
def test_pseudovalues_and_the_jackknife_give_the_same(population, n_modalities):
    # Hillis 2005, doi 10.1002/sim.2024: the two methods are one.
    merits, matrix = _figures(drawn_study(1_000_001, n_modalities, ties=True), "jackknife")
    dbm = dorfman_berbaum_metz(merits.values, merits.left_out, population)
    orh = obuchowski_rockette(merits.values, matrix, population)
    np.testing.assert_allclose(_numbers(dbm), _numbers(orh), rtol=1e-8)


def test_pseudovalues_of_fixed_readers_take_degrees_of_freedom_from_the_cases():
    merits, matrix = _figures(drawn_study(1_000_002), "jackknife")
    dbm = dorfman_berbaum_metz(merits.values, merits.left_out, Population.CASES)
    orh = obuchowski_rockette(merits.values, matrix, Population.CASES)
    np.testing.assert_allclose(dbm.overall.f, orh.overall.f, rtol=1e-8)
    assert (dbm.overall.df2, orh.overall.df2) == (29, np.inf)


def test_one_shot_is_the_unbiased_covariance_without_truncation():
    # In a crossed study the U-statistic of random readers is the readers' sample variance over their number plus the
    # mean unbiased covariance between readers (Gallas 2006).
    study = example_study()
    merits, matrix = _figures(study, "unbiased")
    made, r = one_shot(merits.pairs), 5
    between = ~np.eye(r, dtype=bool)
    for i in range(2):
        expected = merits.values[i].var(ddof=1) / r + matrix[i, :, i][between].mean()
        np.testing.assert_allclose(made.mean_variance[i], expected, rtol=1e-12)
    gap = merits.values[0] - merits.values[1]
    apart = matrix[0, :, 0] + matrix[1, :, 1] - matrix[0, :, 1] - matrix[1, :, 0]
    np.testing.assert_allclose(made.pair_variance[0, 1], gap.var(ddof=1) / r + apart[between].mean(), rtol=1e-12)
    np.testing.assert_allclose(made.means, merits.values.mean(axis=1), rtol=1e-12)


def test_one_shot_degrees_of_freedom_are_at_least_those_of_the_readers():
    made = one_shot(auc_merits(drawn_study(1_000_003, n_readers=3)).pairs)
    assert (made.mean_df >= 2).all()
    assert made.pair_df[0, 1] >= 2


def test_one_shot_weighs_readers_by_the_pairs_they_read():
    study = drawn_study(1_000_004, n_modalities=1, n_readers=2)
    scores = study.scores.copy()
    scores[0, 1, 10:] = np.nan
    part = type(study)(study.modalities, study.readers, study.cases, study.truth, scores)
    merits = auc_merits(part)
    weights = np.array([15 * 15, 5 * 5])
    np.testing.assert_allclose(one_shot(merits.pairs).means[0], (merits.values[0] @ weights) / weights.sum())


def test_one_reader_and_two_modalities_is_delongs_test():
    merits, matrix = _figures(drawn_study(1_000_005, n_readers=1))
    made = single_reader(merits.values, matrix)
    z2 = (merits.values[0, 0] - merits.values[1, 0]) ** 2 / made.pair_variance[0, 1]
    np.testing.assert_allclose(made.overall.f, z2, rtol=1e-10)
    assert made.overall.df1 == 1


def test_one_reader_and_equal_modalities_do_not_break():
    merits, matrix = _figures(drawn_study(1_000_006, n_modalities=1, n_readers=1))
    twice = np.concatenate([merits.values] * 2)
    made = single_reader(twice, np.tile(matrix, (2, 1, 2, 1)))
    assert made.overall.p_value == 1.0


def _nested(study, sizes):
    keep = np.repeat(np.arange(len(sizes)), sizes)[None, :] == np.arange(len(sizes))[:, None]
    scores = np.where(keep[..., None], study.scores, np.nan)
    return _figures(type(study)(study.modalities, study.readers, study.cases, study.truth, scores))


def test_readers_of_their_own_in_each_modality():
    # Hillis 2014: MS(R(T)) + r max(Cov2 - Cov3, 0) with t (r - 1) degrees of freedom in its mean square.
    study = drawn_study(1_000_007, n_readers=6)
    of_modality = np.random.default_rng(1_000_007).normal(size=(2, 1, 30))
    more = type(study)(study.modalities, study.readers, study.cases, study.truth, study.scores + of_modality)
    merits, matrix = _nested(more, (3, 3))
    made = readers_in_modalities(merits.values, matrix)
    a, b = merits.values[0, :3], merits.values[1, 3:]
    between = ~np.eye(3, dtype=bool)
    cov2 = (matrix[0, :3, 0, :3][between].mean() + matrix[1, 3:, 1, 3:][between].mean()) / 2
    cov3 = matrix[0, :3, 1, 3:].mean()
    own = (a.var(ddof=1) + b.var(ddof=1)) / 2
    below = own + 3 * max(cov2 - cov3, 0)
    assert cov2 > cov3
    np.testing.assert_allclose(made.pair_variance[0, 1], 2 * below / 3, rtol=1e-12)
    np.testing.assert_allclose(made.overall.df2, below**2 / (own**2 / 4), rtol=1e-12)
    np.testing.assert_allclose(made.overall.f, (a.mean() - b.mean()) ** 2 / (2 * below / 3), rtol=1e-12)


def test_unequal_numbers_of_readers_get_welch_degrees_of_freedom():
    merits, matrix = _nested(drawn_study(1_000_008, n_readers=7), (3, 4))
    made = readers_in_modalities(merits.values, matrix)
    assert made.overall is None
    assert made.pair_df[0, 1] >= 2
    fixed = readers_in_modalities(merits.values, matrix, Population.CASES)
    c = np.concatenate([np.full(3, 1 / 3), np.full(4, -1 / 4)])
    cells = (np.repeat([0, 1], [3, 4]), np.arange(7))
    block = matrix[cells[0][:, None], cells[1][:, None], cells[0], cells[1]]
    np.testing.assert_allclose(fixed.pair_variance[0, 1], c @ block @ c, rtol=1e-10)
    without_cases = readers_in_modalities(merits.values, matrix, Population.READERS)
    expected = merits.values[0, :3].var(ddof=1) / 3 + merits.values[1, 3:].var(ddof=1) / 4
    np.testing.assert_allclose(without_cases.pair_variance[0, 1], expected, rtol=1e-12)
