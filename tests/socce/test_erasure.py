import numpy as np
import pytest

from spondyl.socce.erasure import explained, learn_eraser, residual


def scores(seed: int, n: int = 300):
    rng = np.random.default_rng(seed)
    disease = rng.normal(size=(n, 1))
    labels = ["a" if v > 0 else "b" for v in disease[:, 0] + rng.normal(size=n)]
    a = np.array(labels) == "a"
    own = rng.normal(size=(n, 4)) * np.where(a[:, None], [2.0, 1.0, 1.0, 0.5], 1.0)
    return disease @ rng.normal(size=(1, 4)) + own + a[:, None] * [1.0, 0.0, -1.0, 0.5], labels, disease


def erased(values, labels, disease):
    eraser = learn_eraser(values, labels, disease, np.eye(4))
    return eraser, np.array([eraser.apply(v, np.eye(4), s)[0] for v, s in zip(values, labels, strict=True)])


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_of_the_scanner_beside_disease_is_left(seed):
    values, labels, disease = scores(seed)
    _, done = erased(values, labels, disease)
    scanner = (np.array(labels) == "a").astype(float)[:, None]
    left = residual(scanner, disease).T @ done / len(done)
    assert np.abs(left).max() < 1e-10


def test_spreads_of_scanners_become_alike():
    values, labels, disease = scores(3)
    _, done = erased(values, labels, disease)
    a = np.array(labels) == "a"

    def ratio(x):
        left = residual(x, np.hstack([disease, a[:, None]]))
        return left[a].std(axis=0) / left[~a].std(axis=0)

    assert np.abs(np.log(ratio(values))).max() > 0.5
    assert np.abs(np.log(ratio(done))).max() < 0.1


def test_disease_stays():
    values, labels, disease = scores(4)
    _, done = erased(values, labels, disease)
    before = [abs(np.corrcoef(c, disease[:, 0])[0, 1]) for c in values.T]
    after = [abs(np.corrcoef(c, disease[:, 0])[0, 1]) for c in done.T]
    assert max(after) > 0.8 * max(before)


def test_a_scanner_never_seen_costs_certainty_but_not_place():
    values, labels, disease = scores(5)
    eraser, _ = erased(values, labels, disease)
    score, precision = eraser.apply(values[0], 4 * np.eye(4), "never seen")
    np.testing.assert_allclose(np.diag(precision), 4 / 5)
    assert np.abs(score).sum() < np.abs(values[0]).sum()


def test_effects_are_none_on_average():
    values, labels, disease = scores(6)
    concept = np.eye(2)[(np.array(labels) == "a").astype(int)]
    effect = explained(values, concept, disease)
    np.testing.assert_allclose((concept @ effect).mean(axis=0), 0, atol=1e-12)
