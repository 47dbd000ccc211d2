import numpy as np
import pytest

from spondyl.socce.subspace import learn_subspace
from spondyl.socce.views import missing_patterns


def table(seed: int, n: int, p: int, k: int = 3):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(p, k)) * [1.5, 1.2, 1.0][:k]
    y = rng.normal(size=(n, k))
    return y, y @ loadings.T + rng.normal(size=(n, p))


@pytest.mark.parametrize(("n", "p"), [(300, 40), (60, 200)])
def test_scores_span_what_made_the_table(n, p):
    y, x = table(1, n, p)
    model = learn_subspace(x)
    assert model.n_scores == 3
    mean, _ = model.scores(x)
    fit = mean @ np.linalg.lstsq(mean, y, rcond=None)[0]
    assert np.corrcoef(fit[:, 0], y[:, 0])[0, 1] > 0.95
    assert 0.8 < model.noise < 1.2


def test_one_patient_is_read_as_in_a_table_with_values_missing():
    _, x = table(2, 100, 20)
    x[4, :7] = np.nan
    model = learn_subspace(x)
    mean, precision = model.scores(x)
    own, own_precision = model.evidence(x[4])
    np.testing.assert_allclose(own, mean[4], atol=1e-10)
    np.testing.assert_allclose(own_precision, precision[4], atol=1e-10)


def test_fewer_features_say_less():
    _, x = table(3, 200, 30)
    model = learn_subspace(x)
    row = x[0].copy()
    sizes = []
    for n in (30, 15, 3, 0):
        row[n:] = np.nan
        sizes.append(np.trace(model.evidence(row)[1]))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    np.testing.assert_array_equal(model.evidence(row)[0], 0)


def test_rows_that_know_the_same_are_found():
    values = np.where(np.random.default_rng(5).random((60, 11)) < 0.1, np.nan, 1.0)
    found = missing_patterns(values)
    assert sorted(int(r) for _, rows in found for r in rows) == list(range(60))
    assert len(found) == len({tuple(row) for row in np.isfinite(values)})
    for known, rows in found:
        np.testing.assert_array_equal(np.isfinite(values[rows]), np.broadcast_to(known, (len(rows), 11)))
