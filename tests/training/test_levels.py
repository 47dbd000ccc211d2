"""The model of levels is learnt from synthetic columns and tells those it has not seen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.localize.level_cues import CUES
from spondyl.localize.level_model import MODELED, parse_level_model
from spondyl.localize.levels import level_posterior
from spondyl.phantom import build_anatomy
from spondyl.training import levels
from spondyl.training.levels import (
    FIRST_SEED,
    LevelExample,
    calibrate,
    fit_model,
    measure_patient,
    sample_study,
    train_levels,
)

USUAL = tuple(name for name in MODELED if name not in ("T13", "L6"))


def _examples(count=60):
    """Patients of different size whose measurements grow steadily downward."""
    rng = np.random.default_rng(5)
    trend = np.linspace(1.0, 5.0, len(USUAL))[:, None] * np.ones(len(CUES))
    trend[:, CUES.index("step")] = np.linspace(2.8, 3.6, len(USUAL))
    rows = []
    for _ in range(count):
        values = trend + rng.normal(0, 0.1) + rng.normal(0, 0.02, trend.shape)
        values[-1, CUES.index("step")] = np.nan
        rows.append(LevelExample(USUAL, values, float(USUAL.index("L1"))))
    return rows


def test_the_fit_recovers_mean_noise_and_what_moves_together():
    model = fit_model(_examples(200), n_factors=2)
    l3 = MODELED.index("L3")
    assert model.mean[l3, 0] == pytest.approx(np.linspace(1.0, 5.0, len(USUAL))[USUAL.index("L3")], abs=0.03)
    learnt = model.loadings[..., :2]
    # One size moves all levels alike: any two share its variance.
    shared = learnt[l3, 0] @ learnt[MODELED.index("T5"), 0]
    assert shared == pytest.approx(0.1**2, rel=0.35)
    assert np.isfinite(model.mean).all()
    assert (model.noise > 0).all()


def test_a_level_nobody_has_leans_on_the_one_above():
    model = fit_model(_examples(), n_factors=2)
    t12, t13 = (MODELED.index(name) for name in ("T12", "T13"))
    np.testing.assert_allclose(model.mean[t13], model.mean[t12], atol=0.2)


def test_sampled_studies_hold_what_the_field_holds():
    rng = np.random.default_rng(8)
    for _ in range(40):
        names, cues = sample_study(_examples(1)[0], rng)
        assert len(names) == len(cues.values) == len(cues.sacral_share)
        assert names[-1] != "S2"
        assert set(names) <= set(USUAL)
        assert np.isnan(cues.values[-1, CUES.index("step")])
        if cues.cut_below:
            assert np.isnan(cues.values[-1, CUES.index("depth")])


def test_calibration_never_sharpens_and_levels_are_found():
    examples = _examples()
    model = calibrate(fit_model(examples[:50], n_factors=2), examples[50:], count=8)
    assert model.temperature >= 1
    names, cues = sample_study(examples[-1], np.random.default_rng(1))
    posterior = level_posterior(cues, model)
    right = [a == b for a, b in zip(posterior.best, names, strict=True)]
    assert sum(right) >= len(right) - 1


def test_training_writes_a_model_that_can_be_read_and_is_resumable(tmp_path, monkeypatch):
    made = []

    def columns(anatomy, rng):
        made.append(anatomy)
        return _examples(len(made))[-1]

    monkeypatch.setattr(levels, "measure_patient", columns)
    monkeypatch.setattr(levels, "build_anatomy", lambda seed, **given: seed)
    monkeypatch.setattr(levels, "calibrate", lambda model, examples: model)
    train_levels(tmp_path / "columns", tmp_path / "levels.json", count=12)
    train_levels(tmp_path / "columns", tmp_path / "levels.json", count=12)
    assert made == list(range(FIRST_SEED, FIRST_SEED + 12))
    text = (tmp_path / "levels.json").read_text()
    assert json.loads(text)["card"]["seeds"] == [FIRST_SEED, FIRST_SEED + 11]
    assert parse_level_model(text).loadings.shape[-1] == levels.N_FACTORS + len(CUES)


@pytest.mark.slow
def test_a_synthetic_spine_is_measured_from_c1_to_s2():
    anatomy = build_anatomy(1_000_003, region="whole", spacing_mm=levels.SPACING_MM, extent_mm=levels.EXTENT_MM)
    example = measure_patient(anatomy, np.random.default_rng(0))
    assert example.levels[0] == "C1"
    assert example.levels[-1] == "S2"
    height = np.exp(example.values[:, CUES.index("height")])
    assert height[example.levels.index("L3")] > 1.3 * height[example.levels.index("C5")]
    assert example.values[example.levels.index("S1"), CUES.index("sacrum")] > 0.4
    assert abs(example.cord_end - example.levels.index("L1")) < 3
