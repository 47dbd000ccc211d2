"""The model of levels is learnt from synthetic studies and tells those it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.localize.level_cues import CUES, ColumnCues
from spondyl.localize.level_model import MODELED, parse_level_model
from spondyl.localize.levels import level_posterior
from spondyl.localize.ribs import BOX_SHAPE, RibModel
from spondyl.training import level_studies, levels, ribs
from spondyl.training.level_studies import (
    FIRST_SEED,
    LevelExample,
    is_variant,
    make_examples,
    measure_study,
    packaged_network,
    seeds_of,
    simulate_study,
    true_levels,
)
from spondyl.training.levels import calibrate, fit_model, seen_by, train_levels, write_model

BRIGHT = RibModel(
    (np.full((1, BOX_SHAPE[0], *BOX_SHAPE[1:]), 1 / np.prod(BOX_SHAPE)),),
    (np.ones((1, 1)), np.ones((1, 1))),
    (np.zeros(1), np.zeros(1), np.full(1, -0.5)),
)
"""Takes whatever is bright for ribs."""

USUAL = tuple(name for name in MODELED if name not in ("T13", "L6"))
TREND = np.linspace(1.0, 5.0, len(USUAL))[:, None] * np.ones(len(CUES))
TREND[:, CUES.index("step")] = np.linspace(2.8, 3.6, len(USUAL))


def _example(rng, part):
    """A part of a spine whose measurements grow steadily downward, and whose boxes are bright where ribs are."""
    names = USUAL[part]
    values = TREND[part] + rng.normal(0, 0.1) + rng.normal(0, 0.02, (len(names), len(CUES)))
    values[-1, CUES.index("step")] = np.nan
    boxes = rng.normal(0, 1, (1, len(names), 2, *BOX_SHAPE)).astype(np.float32)
    boxes[:, [name.startswith("T") for name in names]] += 1
    cues = ColumnCues(values, np.zeros(len(names)), np.nan, len(names) / 2, 0.0, 0.0, cut_below=False)
    return LevelExample(names, cues, boxes)


def _examples(count=60):
    rng = np.random.default_rng(5)
    parts = (slice(None), slice(1, 14), slice(8, 22), slice(16, len(USUAL)))
    return [_example(rng, parts[i % len(parts)]) for i in range(count)]


def test_the_fit_recovers_mean_noise_and_what_moves_together():
    model = fit_model(_examples(400), n_factors=2)
    l3 = MODELED.index("L3")
    assert model.mean[l3, 0] == pytest.approx(TREND[USUAL.index("L3"), 0], abs=0.03)
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


def test_bodies_that_are_none_are_not_learnt_from():
    examples = _examples()
    first = examples[0]
    first.cues.values[3] = 1000.0
    spoiled = LevelExample((*first.levels[:3], "", *first.levels[4:]), first.cues, first.boxes)
    assert np.abs(fit_model([spoiled, *examples[1:]], n_factors=2).mean).max() < 10


def test_ribs_are_seen_beside_the_bodies_of_a_study():
    for example in _examples(4):
        seen = seen_by(BRIGHT, example).ribs
        np.testing.assert_array_equal(seen > 0, [name.startswith("T") for name in example.levels])


def test_ribs_that_are_reliable_get_a_weight():
    examples = _examples()
    model = calibrate(replace(fit_model(examples[:50], n_factors=2), ribs=BRIGHT), examples[50:])
    assert model.rib_weight > 0.1


def test_calibration_keeps_its_bounds_and_levels_are_found():
    examples = _examples()
    model = calibrate(fit_model(examples[:50], n_factors=2), examples[50:])
    assert model.temperature >= 1
    posterior = level_posterior(examples[-2].cues, model)
    right = [a == b for a, b in zip(posterior.best, examples[-2].levels, strict=True)]
    assert sum(right) >= len(right) - 1


def test_training_writes_a_model_that_can_be_read_and_is_resumable(tmp_path, monkeypatch):
    made = []

    def measured(seed, network):
        made.append(seed)
        return None if len(made) == 3 else _examples(8)[len(made) % 8]

    monkeypatch.setattr(level_studies, "simulate_study", lambda seed: seed)
    monkeypatch.setattr(level_studies, "measure_study", measured)
    monkeypatch.setattr(levels, "calibrate", lambda model, examples: model)
    monkeypatch.setattr(ribs, "make_rib_examples", lambda folder, count: count)
    monkeypatch.setattr(ribs, "fit_ribs", lambda examples: BRIGHT)
    for _ in range(2):
        train_levels(tmp_path / "studies", tmp_path / "levels.json", count=12, rib_count=5)
    assert made == list(seeds_of(12))
    text = (tmp_path / "levels.json").read_text()
    assert json.loads(text)["card"]["patients"] == {"levels": 12, "ribs": 5}
    model = parse_level_model(text)
    assert model.loadings.shape[-1] == levels.N_FACTORS + len(CUES)
    assert model.ribs is not None
    with pytest.raises(SettingsError, match="fit_ribs"):
        write_model(fit_model(_examples(8)), tmp_path / "none.json", patients={}, network="")


def test_kept_measurements_are_read_as_they_were_made(tmp_path, monkeypatch):
    example = _examples(1)[0]
    monkeypatch.setattr(level_studies, "simulate_study", lambda seed: seed)
    monkeypatch.setattr(level_studies, "measure_study", lambda patient, network: example)
    (read,) = make_examples(tmp_path, 1, None)
    assert read.levels == example.levels
    np.testing.assert_array_equal(read.cues.values, example.cues.values)
    assert (read.cues.cut_below, read.cues.ribs, read.cues.middle) == (False, None, example.cues.middle)
    np.testing.assert_allclose(read.boxes, example.boxes, atol=0.01)


def test_one_patient_in_five_has_an_unusual_number_of_vertebrae():
    seeds = list(seeds_of(10))
    assert seeds[0] == FIRST_SEED
    assert len(set(seeds)) == 10
    assert all(is_variant(seed) for seed in seeds[4::5])


def test_the_true_level_is_the_nearest_and_given_once():
    truth = {"C3": (0.0, 0.0, 34.0), "C4": (0.0, 0.0, 17.0), "C5": (0.0, 0.0, 0.0)}
    found = np.array([[0, 0, 46.0], [0, 0, 19.0], [0, 0, 14.0], [0, 0, -12.0]])
    assert true_levels(found, truth) == ("C3", "C4", "", "C5")
    far = np.array([[0, 0, 52.0], [0, 0, 15.0], [14.0, 0, 0.0], [0, 0, -60.0]])
    assert true_levels(far, truth) == ("C3", "C4", "", "")


@pytest.mark.slow
def test_a_synthetic_study_is_measured_as_the_step_does():
    example = measure_study(simulate_study(FIRST_SEED + 4), packaged_network())
    assert example.levels[-1] == "S1"
    assert example.boxes.shape[1:3] == (len(example.levels), 2)
    height = np.exp(example.cues.values[:, CUES.index("height")])
    assert 15 < np.nanmedian(height) < 35
