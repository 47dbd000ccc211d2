"""Networks learn from annotated images, are measured by patient, say so in their card, and go on where they stopped."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from spondyl.core import ModelError, SettingsError, Structure
from spondyl.io.weights import load_network, read_card
from spondyl.training import finetune, volumes
from spondyl.training.finetune import FinetuneSettings, Origin, new_network, score_volume, train_on_images
from spondyl.training.partial import EVERYTHING, allowed
from spondyl.training.volumes import WorkingVolume

pytest.importorskip("onnx")

BODY = allowed([Structure.BODY, Structure.CORTEX])
SETTINGS = FinetuneSettings(
    steps=2, batch_size=1, workers=0, precision="32-true", folds=2, preset="tiny", learning_rate=1e-3
)


def _volume(number, patient):
    rng = np.random.default_rng(number)
    target = np.full((8, 64, 64), EVERYTHING & ~BODY, np.int16)
    target[2:6, 20:44, 20:44] = BODY
    array = (rng.normal(10, 1, target.shape) + 80 * (target == BODY)).astype(np.float32)
    return WorkingVolume(number, patient, array, target, (4.0, 1.25, 1.25), np.eye(4, dtype=np.float32)[0])


VOLUMES = [_volume(1, "Zwicky"), _volume(2, "Zwicky"), _volume(3, "Quandt")]


@pytest.fixture(scope="module", autouse=True)
def _small_patches():
    """Take patches that cost a tenth of the real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "PATCH_SHAPE", (4, 64, 64))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    card = train_on_images(VOLUMES, out, SETTINGS, origin=Origin(), name="trial")
    return out, card


@pytest.mark.slow
def test_a_run_gives_folds_figures_and_a_model(run):
    out, card = run
    assert card == out / "final" / "trial.toml"
    rows = list(csv.DictReader((out / "metrics.csv").read_text().splitlines()))
    assert sorted(row["image"] for row in rows) == ["1", "2", "3"]
    assert {row["structures"] for row in rows} == {"body+cortex"}
    fold_of = {row["image"]: row["fold"] for row in rows}
    assert fold_of["1"] == fold_of["2"] != fold_of["3"]
    summary = json.loads((out / "metrics.json").read_text())
    assert summary["dice_mean"]["body+cortex"] == pytest.approx(np.mean([float(r["dice"]) for r in rows]), abs=1e-3)


@pytest.mark.slow
def test_the_card_says_what_it_learnt_from_and_runs(run):
    _, path = run
    card = read_card(path)
    assert card.details["training"]["data"] == "3 annotated images of 2 patients"
    assert card.details["training"]["outlined"] == ["body+cortex"]
    assert "2-fold" in card.details["measured"]["data"]
    assert any("body, cortex alone" in limit for limit in card.details["limits"])
    channels = np.zeros((2, 4, 40, 50), np.float32)
    found = load_network(str(path), threads=1).predict(channels, np.eye(4, dtype=np.float32)[0])
    assert found.shape == (len(Structure), 4, 40, 50)


@pytest.mark.slow
def test_nothing_that_is_written_names_a_patient(run):
    out, _ = run
    for path in out.rglob("*"):
        if path.suffix in (".toml", ".json", ".csv", ".jsonl"):
            assert not {"Zwicky", "Quandt"} & set(path.read_text().replace('"', " ").split())


@pytest.mark.slow
def test_what_is_finished_is_not_trained_again(run, monkeypatch):
    out, card = run
    monkeypatch.setattr(finetune, "fit", None)
    assert train_on_images(VOLUMES, out, SETTINGS, origin=Origin(), name="trial") == card


@pytest.mark.slow
def test_a_run_goes_on_from_its_own_weights_with_a_frozen_encoder(run, tmp_path):
    _, card = run
    from spondyl.training.transfer import read_weights

    settings = FinetuneSettings(**{**vars(SETTINGS), "folds": 0, "freeze": "encoder"})
    origin = Origin("trial", read_weights(card))
    train_on_images(VOLUMES[:1], tmp_path, settings, origin=origin, name="more")
    state = torch.load(tmp_path / "final" / "checkpoint.pt", weights_only=True)["average"]
    for name, value in origin.weights.items():
        assert torch.equal(state[name], value) == name.startswith(("code", "stem", "encoder")), name
    figures = (tmp_path / "final" / "progress.jsonl").read_text()
    assert '"keep"' in figures


def test_a_perfect_answer_scores_one_and_only_known_voxels_count():
    volume = _volume(1, "Zwicky")
    volume.target[:, :10] = EVERYTHING

    class Perfect(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, image, code):
            logits = torch.full((1, len(Structure), *image.shape[2:]), -20.0)
            logits[:, 0] = 0
            body = torch.from_numpy(volume.target == BODY)
            logits[0, 1, : body.shape[0], : body.shape[1], : body.shape[2]][body] = 40
            logits[0, 1, :, :10] = 40  # wrong only where nothing is known
            return logits

    (row,) = score_volume(Perfect(), volume)
    assert row == {
        "image": 1, "structures": "body+cortex", "dice": 1.0, "surface_dice": 1.0, "hd95_mm": 0.0, "assd_mm": 0.0,
    }  # fmt: skip


def test_weights_of_another_kind_of_network_are_refused():
    with pytest.raises(ModelError, match="other is no network that outlines"):
        new_network(Origin("other", {"fc.weight": torch.zeros(2, 2)}), SETTINGS)


@pytest.mark.parametrize(
    "wrong", [{"freeze": "all"}, {"preset": "huge"}, {"steps": 0}, {"keep": -1.0}, {"folds": 0, "final": False}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        FinetuneSettings(**wrong)
