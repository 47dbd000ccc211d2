"""The model of levels is a proper density, and a damaged file is refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from spondyl.core import ModelError
from spondyl.localize.level_cues import CUES
from spondyl.localize.level_model import MODELED, LevelModel, parse_level_model, shipped_level_model
from spondyl.localize.ribs import BOX_SHAPE

RNG = np.random.default_rng(7)
SHAPE = (len(MODELED), len(CUES))


def _model(temperature=1.0):
    rng = np.random.default_rng(3)
    return LevelModel(
        rng.normal(size=SHAPE), rng.normal(0, 0.3, (*SHAPE, 4)), rng.uniform(0.1, 0.5, SHAPE), temperature
    )


def test_the_density_is_that_of_the_full_gaussian():
    model, levels = _model(), np.array([5, 6, 7])
    values = RNG.normal(size=(1, 3, len(CUES)))
    values[0, 1, 2:5] = np.nan
    seen = np.isfinite(values.ravel())
    loadings = model.loadings[levels].reshape(-1, 4)[seen]
    covariance = loadings @ loadings.T + np.diag(model.noise[levels].ravel()[seen])
    expected = multivariate_normal(model.mean[levels].ravel()[seen], covariance).logpdf(values.ravel()[seen])
    sequence = np.stack([np.zeros(3, int), levels], axis=-1)[None]
    assert model.log_likelihood(values, sequence)[0] == pytest.approx(expected)


def test_temperature_flattens():
    values, sequences = RNG.normal(size=(1, 2, len(CUES))), np.array([[[0, 3], [0, 4]], [[0, 8], [0, 9]]])
    cold, warm = (_model(t).log_likelihood(values, sequences) for t in (1.0, 4.0))
    np.testing.assert_allclose(cold, 4 * warm)


def test_nothing_measured_says_nothing():
    sequences = np.array([[[0, 3]], [[0, 20]]])
    np.testing.assert_allclose(_model().log_likelihood(np.full((1, 1, len(CUES)), np.nan), sequences), 0, atol=1e-12)


def test_the_shipped_model_knows_how_spines_grow():
    model = shipped_level_model()
    depth, width = (np.exp(model.mean[:, CUES.index(name)]) for name in ("depth", "width"))
    c5, t5, l3 = (MODELED.index(name) for name in ("C5", "T5", "L3"))
    assert depth[c5] < depth[t5] < depth[l3]
    assert width[c5] < width[l3]
    assert model.mean[MODELED.index("S1"), CUES.index("sacrum")] > 0.5
    assert (model.noise > 0).all()
    assert len(model.sha256) == 64
    assert model.ribs is not None
    assert model.rib_weight > 0


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda t: t.pop("mean"), "KeyError"),
        (lambda t: t.update(levels=["C1"]), "layout 3"),
        (lambda t: t.update(model_version=99), "layout 3"),
        (lambda t: t.update(noise=(-np.ones(SHAPE)).tolist()), "layout 3"),
        (lambda t: t.update(mean="x"), "ValueError"),
        (lambda t: t.pop("ribs"), "KeyError"),
        (lambda t: t["ribs"].update(biases=[[0.0]] * 2), "layout 3"),
        (lambda t: t["ribs"].update(weights=[[[0.0] * 3], [[0.0]] * 3]), "ValueError"),
        (lambda t: t["ribs"].update(weights=[]), "IndexError"),
    ],
)
def test_a_damaged_model_is_refused(change, wrong):
    model = _model()
    table = {"model_version": 3, "levels": MODELED, "cues": CUES, "temperature": 1.0, "rib_weight": 0.5}
    table["ribs"] = {
        "filters": [np.zeros((2, *BOX_SHAPE)).tolist()],
        "weights": [np.zeros((2, 3)).tolist(), np.zeros((3, 1)).tolist()],
        "biases": [[0.0] * 2, [0.0] * 3, [0.0]],
    }
    table |= {k: getattr(model, k).tolist() for k in ("mean", "loadings", "noise")}
    parse_level_model(json.dumps(table))
    change(table)
    with pytest.raises(ModelError, match=wrong):
        parse_level_model(json.dumps(table))


def test_what_is_no_json_is_refused():
    with pytest.raises(ModelError, match="cannot be read"):
        parse_level_model("]")
