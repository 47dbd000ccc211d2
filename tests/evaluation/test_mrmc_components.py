"""The model in numbers, against analyses published with their mean squares and covariances.

Published values: Smith & Hillis, MRMCaov user guide and article, Van Dyke's study (2 modalities, 5 readers, 114 cases).
The ratings themselves are not needed: the tests start from the figures and components that were printed.
"""

import numpy as np
import pytest

from spondyl.evaluation.mrmc_components import (
    Components,
    Population,
    components,
    denominator,
    error_covariances,
    global_test,
    mean_squares,
    modality_variance,
)

AREAS = np.array(
    [
        [0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907],
        [0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517],
    ]
)
MS_T, MS_R, MS_TR = 0.004796171, 0.0038361999891, 0.0005510306

DELONG = (0.0007921325, 0.0003420090, 0.0003395265, 0.0002358497)
JACKKNIFE = (0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284)
UNBIASED = (0.0007883925, 0.0003416706, 0.0003390650, 0.0002356148)


def _van_dyke(covariances):
    return Components(MS_T, MS_R, MS_TR, *covariances, 2, 5)


def test_mean_squares_of_the_areas_as_published():
    made = mean_squares(AREAS)
    np.testing.assert_allclose(made, (MS_T, MS_R, MS_TR), rtol=2e-6)


@pytest.mark.parametrize(
    ("covariances", "var_reader", "var_interaction"),
    [
        (DELONG, 0.0015364254, 0.0002045840),
        (JACKKNIFE, 0.0015349993, 0.0002004025),
        (UNBIASED, 0.0015365290, 0.0002077588),
    ],
)
def test_variances_between_readers_as_published(covariances, var_reader, var_interaction):
    made = _van_dyke(covariances)
    np.testing.assert_allclose(made.var_reader, var_reader, atol=2e-10)
    np.testing.assert_allclose(made.var_interaction, var_interaction, atol=2e-10)


@pytest.mark.parametrize(
    ("covariances", "below", "f", "df2", "p", "error"),
    [
        (DELONG, 0.001069415, 4.484854, 15.06611, 0.05123303, 0.0206825),
        (JACKKNIFE, None, 4.456318693157262, 15.259674589141751, 0.05166568581929407, 0.02074861837894499),
        (UNBIASED, 0.001068281, 4.489614, 15.03418, 0.0511618, 0.02067154),
    ],
)
def test_random_readers_and_cases_as_published(covariances, below, f, df2, p, error):
    made = _van_dyke(covariances)
    got, got_df = denominator(made)
    if below is not None:
        np.testing.assert_allclose(got, below, rtol=1e-6)
    np.testing.assert_allclose(global_test(made), (f, df2, p), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(2 * got / 5), error, rtol=1e-6)
    np.testing.assert_allclose(got_df, df2, rtol=1e-6)


def test_the_interval_of_the_difference_as_published():
    from scipy.special import stdtrit

    below, df = denominator(_van_dyke(DELONG))
    half = stdtrit(df, 0.975) * np.sqrt(2 * below / 5)
    np.testing.assert_allclose((-0.04380032 - half, -0.04380032 + half), (-0.0878671960, 0.0002665519), atol=5e-9)


def test_fixed_readers_as_published():
    f, df, p = global_test(_van_dyke(JACKKNIFE), Population.CASES)
    np.testing.assert_allclose((f, p), (5.475953, 0.01927984), rtol=1e-6)
    assert np.isinf(df)
    below, _ = denominator(_van_dyke(JACKKNIFE), Population.CASES)
    np.testing.assert_allclose((below, np.sqrt(2 * below / 5)), (0.0008758604, 0.01871748), rtol=1e-6)


def test_fixed_cases_as_published():
    np.testing.assert_allclose(global_test(_van_dyke(JACKKNIFE), Population.READERS), (8.704, 4, 0.04195875), rtol=1e-5)


def test_binary_sensitivity_as_published():
    made = Components(0.02390123, 0.0124198, 0.001802469, 0.0023681257, 0.0009943883, 0.0010145903, 0.0006604938, 2, 5)
    np.testing.assert_allclose(global_test(made), (6.689493, 15.71732, 0.02008822), rtol=1e-6)


@pytest.mark.parametrize(
    ("covariances", "expected"),
    [
        ((8.079682e-04, 3.490676e-04, 0.0, 0.0), (8.704, 4, 0.04195875)),  # cases nested within readers
        ((8.058382e-04, 0.0, 3.455973e-04, 0.0), (2.104491, 68.42325, 0.1514363)),  # cases nested within modalities
    ],
)
def test_nested_cases_as_published(covariances, expected):
    np.testing.assert_allclose(global_test(_van_dyke(covariances)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("modality", "cov2", "error", "df"),
    [(0, 0.0004775239, 0.03307642, 12.59597), (1, 0.0002015292, 0.02150464, 12.56530)],
)
def test_single_modalities_as_published(modality, cov2, error, df):
    variance, got_df = modality_variance(AREAS[modality], 0.0, cov2, Population.BOTH)
    np.testing.assert_allclose((np.sqrt(variance), got_df), (error, df), rtol=2e-6)


@pytest.mark.parametrize(
    ("modality", "mean", "cov2", "interval"),
    [
        (0, 0.8970370, 0.0004775239, (0.8253461, 0.9687280)),
        (1, 0.9408374, 0.0002015292, (0.8942155, 0.9874592)),
    ],
)
def test_means_and_intervals_of_single_modalities_as_published(modality, mean, cov2, interval):
    from scipy.special import stdtrit

    variance, df = modality_variance(AREAS[modality], 0.0, cov2, Population.BOTH)
    got, half = AREAS[modality].mean(), stdtrit(df, 0.975) * np.sqrt(variance)
    np.testing.assert_allclose((got, got - half, got + half), (mean, *interval), atol=2e-7)


@pytest.mark.parametrize(
    ("modality", "variance", "cov2", "error"),
    [(0, 0.0010141028, 0.0004839618, 0.02428971), (1, 0.0005904738, 0.0002041879, 0.01677632)],
)
def test_single_modalities_of_fixed_readers_as_published(modality, variance, cov2, error):
    got, df = modality_variance(AREAS[modality], variance, cov2, Population.CASES)
    np.testing.assert_allclose(np.sqrt(got), error, rtol=1e-6)
    assert np.isinf(df)
    fixed_cases, df = modality_variance(AREAS[modality], variance, cov2, Population.READERS)
    np.testing.assert_allclose(np.sqrt(fixed_cases), (0.02482994, 0.01615303)[modality], rtol=2e-6)
    assert df == pytest.approx(4)


def _covariance(rng, t=3, r=6):
    root = rng.normal(size=(t * r, 40))
    return (root @ root.T).reshape(t, r, t, r) / 1e4


def test_covariances_are_averaged_over_their_pairs():
    matrix = _covariance(np.random.default_rng(1_000_001))
    var, cov1, cov2, cov3 = error_covariances(matrix)
    t, r = 3, 6
    cells = [(i, j) for i in range(t) for j in range(r)]
    pairs = [(a, b) for a in cells for b in cells]
    np.testing.assert_allclose(var, np.mean([matrix[(*a, *a)] for a in cells]))
    kinds = {(False, True): cov1, (True, False): cov2, (False, False): cov3}
    for (same_t, same_r), got in kinds.items():
        chosen = [matrix[(*a, *b)] for a, b in pairs if (a[0] == b[0]) == same_t and (a[1] == b[1]) == same_r]
        np.testing.assert_allclose(got, np.mean(chosen))


def test_many_studies_at_once_are_as_one_by_one():
    rng = np.random.default_rng(1_000_002)
    values = rng.normal(0.8, 0.05, (7, 3, 6))
    covariance = np.stack([_covariance(rng) for _ in range(7)])
    groups = (0, 0, 0, 1, 1, 1)
    for given in (None, groups):
        together = global_test(components(values, covariance, given))
        for i in range(7):
            alone = global_test(components(values[i], covariance[i], given))
            np.testing.assert_allclose([a[i] for a in together], alone, rtol=1e-12)


def test_one_group_is_no_split_plot():
    rng = np.random.default_rng(1_000_003)
    values, covariance = rng.normal(0.8, 0.05, (3, 6)), _covariance(rng)
    np.testing.assert_allclose(
        global_test(components(values, covariance, (0,) * 6)), global_test(components(values, covariance)), rtol=1e-12
    )


def test_the_interaction_within_groups_ignores_what_groups_do():
    rng = np.random.default_rng(1_000_004)
    values = rng.normal(0.8, 0.05, (2, 6))
    shifted = values + np.array([[0, 0, 0, 0.1, 0.1, 0.1], [0, 0, 0, -0.2, -0.2, -0.2]])
    groups = (0, 0, 0, 1, 1, 1)
    np.testing.assert_allclose(mean_squares(values, groups)[2], mean_squares(shifted, groups)[2], rtol=1e-10)
    assert mean_squares(shifted)[2] > 2 * mean_squares(values)[2]


def test_expectations_match_in_a_split_plot_study():
    # Under no difference, the modalities' mean square must expect what the test divides by (Hillis 2014). Figures are
    # drawn from the model itself: two groups of four readers; readers covary within their group only.
    rng = np.random.default_rng(1_000_005)
    t, r, n = 2, 8, 20_000
    groups = np.repeat([0, 1], 4)
    same_group = np.equal.outer(groups, groups)
    matrix = np.where(np.eye(r, dtype=bool), 10.0, np.where(same_group, 5.0, 0.0))
    across = np.where(np.eye(r, dtype=bool), 6.0, np.where(same_group, 3.0, 0.0))
    covariance = np.block([[matrix, across], [across, matrix]])
    values = rng.multivariate_normal(np.zeros(t * r), covariance, n).reshape(n, t, r)
    values += rng.normal(0, 1.5, (n, t, r)) + rng.normal(0, 2.0, (n, 1, r))
    made = components(values, np.broadcast_to(covariance.reshape(t, r, t, r), (n, t, r, t, r)), groups.tolist())
    np.testing.assert_allclose(np.mean(made.ms_modality), np.mean(denominator(made)[0]), rtol=0.03)
    np.testing.assert_allclose(np.mean(made.var_interaction), 1.5**2, rtol=0.1)
