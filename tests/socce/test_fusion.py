import numpy as np

from spondyl.socce.fusion import (
    Shared,
    count_factors,
    factor_evidence,
    grouped_evidence,
    grouped_means,
    learn_loadings,
    marginal_evidence,
    posterior,
    rotated,
)


def views(seed: int, n: int = 800, sizes=(6, 5, 4), d: int = 2):
    """Scores known exactly, of modalities that share factors."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    found, truth = [], []
    for k in sizes:
        c = np.linalg.qr(rng.normal(size=(k, d)))[0] * 0.85
        own = np.linalg.cholesky(np.eye(k) - c @ c.T)
        y = z @ c.T + rng.normal(size=(n, k)) @ own.T
        found.append(Shared(y, np.broadcast_to(1e6 * np.eye(k), (n, k, k)), np.ones(n, bool)))
        truth.append(c)
    return z, found, truth


def test_what_is_shared_is_found_and_counted():
    _, found, truth = views(1)
    assert count_factors(found, 8, 0) == 2
    loadings = learn_loadings(found, 2)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(loadings[i] @ loadings[j].T, truth[i] @ truth[j].T, atol=0.15)


def test_the_product_of_experts_is_the_posterior_of_the_joint_model():
    """Against conditioning of one big normal distribution."""
    rng = np.random.default_rng(2)
    c = [np.linalg.qr(rng.normal(size=(k, 2)))[0] * 0.8 for k in (3, 4)]
    noisy = [0.3, 0.6]
    y = [rng.normal(size=k) for k in (3, 4)]
    h, j = np.zeros(2), np.zeros((2, 2))
    for own, noise, seen in zip(c, noisy, y, strict=True):
        k = len(own)
        precision = np.eye(k) / noise
        mean = np.linalg.solve(np.eye(k) + precision, precision @ seen)
        a, b = factor_evidence(mean, precision, own)
        h, j = h + a, j + b
    mean, covariance = posterior(h, j)
    stacked = np.vstack(c)
    total = stacked @ stacked.T
    for part, (own, noise) in zip((slice(0, 3), slice(3, 7)), zip(c, noisy, strict=True), strict=True):
        total[part, part] = (1 + noise) * np.eye(len(own))
    gain = stacked.T @ np.linalg.inv(total)
    np.testing.assert_allclose(mean, gain @ np.concatenate(y), atol=1e-10)
    np.testing.assert_allclose(covariance, np.eye(2) - gain @ stacked, atol=1e-10)


def test_nothing_known_is_the_prior():
    mean, covariance = posterior(np.zeros(3), np.zeros((3, 3)))
    np.testing.assert_array_equal(mean, 0)
    np.testing.assert_array_equal(covariance, np.eye(3))


def test_evidence_of_some_factors_gives_their_posterior_back():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(4, 4))
    mean, covariance = posterior(rng.normal(size=4), a @ a.T)
    h, j = marginal_evidence(mean, covariance, 2)
    again, spread = posterior(h, j)
    np.testing.assert_allclose(again, mean[:2], atol=1e-9)
    np.testing.assert_allclose(spread, covariance[:2, :2], atol=1e-9)


def test_factors_turn_toward_the_first_modality():
    rng = np.random.default_rng(4)
    loadings = [rng.normal(size=(5, 3)) * [0.1, 0.3, 0.2], rng.normal(size=(4, 3)) * 0.3]
    turned, strength = rotated(loadings, 0)
    assert (np.diff(strength) <= 1e-12).all()
    np.testing.assert_allclose(turned[0] @ turned[1].T, loadings[0] @ loadings[1].T, atol=1e-12)


def test_means_of_groups_are_not_shrunk_to_the_cohort():
    rng = np.random.default_rng(5)
    z = np.concatenate([rng.normal(-1.5, 1, 2000), rng.normal(1.5, 1, 2000)])[:, None]
    j = np.full((4000, 1, 1), 0.5)
    h = 0.5 * (z + rng.normal(size=z.shape) * np.sqrt(2))
    groups = {"a": np.arange(2000), "b": np.arange(2000, 4000)}
    told = grouped_means(h, j, groups, rounds=40)
    assert abs(told[:2000].mean() + 1.5) < 0.15
    assert abs(posterior(h, j)[0][:2000].mean()) < 0.7


def test_many_patients_at_once_are_read_as_each_alone():
    rng = np.random.default_rng(9)
    c = np.linalg.qr(rng.normal(size=(5, 3)))[0] * 0.8
    kinds = np.stack([4.0 * np.eye(5), np.diag(rng.uniform(0.5, 3, 5))])
    precision, mean = kinds[rng.integers(2, size=30)], rng.normal(size=(30, 5))
    h, j = grouped_evidence(mean, precision, c)
    for row in range(30):
        alone = factor_evidence(mean[row], precision[row], c)
        np.testing.assert_allclose(h[row], alone[0], atol=1e-12)
        np.testing.assert_allclose(j[row], alone[1], atol=1e-12)
