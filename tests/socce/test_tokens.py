import numpy as np

from spondyl.socce.tokens import choose_codebook, learn_codebook


def evidence(seed: int, n: int = 300, noise=(0.05, 0.05)):
    """Three clusters in the plane, patients known more or less well."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    z = np.array([[2.0, 0.0], [-2.0, 1.0], [0.0, -2.5]])[label] + 0.4 * rng.normal(size=(n, 2))
    variance = rng.uniform(*noise, n)
    seen = z + np.sqrt(variance)[:, None] * rng.normal(size=(n, 2))
    return label, seen / variance[:, None], np.eye(2) / variance[:, None, None]


def test_the_number_of_clusters_is_found():
    label, h, j = evidence(1)
    book, criterion = choose_codebook(h, j, "auto", 0)
    assert len(book.weights) == 3 == min(criterion, key=criterion.get)
    found = book.assign(h, j)
    assert len({(a, b) for a, b in zip(label, found.nearest, strict=True)}) == 3
    assert found.rejected.mean() < 0.02


def test_noise_of_patients_does_not_widen_tokens():
    _, h, j = evidence(2, n=1500, noise=(0.02, 1.5))
    book, _ = learn_codebook(h, j, 3, 0)
    assert np.abs(np.sqrt(np.linalg.eigvalsh(book.covariances)) - 0.4).max() < 0.15


def test_who_fits_no_token_is_rejected():
    _, h, j = evidence(3)
    book, _ = learn_codebook(h, j, 3, 0)
    far = book.assign(20 * np.array([[9.0, 9.0]]), 20 * np.eye(2)[None])
    assert far.rejected[0]
    assert far.fit[0] < 1e-6


def test_who_is_not_known_gets_no_token_but_the_shares():
    _, h, j = evidence(4)
    book, _ = learn_codebook(h, j, 3, 0)
    nobody = book.assign(np.zeros((1, 2)), np.zeros((1, 2, 2)))
    np.testing.assert_allclose(nobody.probabilities[0], book.weights, atol=1e-9)
    assert nobody.rejected[0]


def test_probabilities_sum_to_one_and_shares_fall():
    _, h, j = evidence(5)
    book, _ = learn_codebook(h, j, 3, 0)
    np.testing.assert_allclose(book.assign(h, j).probabilities.sum(axis=1), 1)
    assert (np.diff(book.weights) <= 0).all()
