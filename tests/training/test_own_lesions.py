"""The lesion network learns from outlined studies of any sequences, is measured by patient, and says so in its card."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from fake_lesion_studies import SHAPE, STUDIES, study
from spondyl.core import ModelError
from spondyl.io.weights import load_network, read_card
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS
from spondyl.training import lesion_studies
from spondyl.training.finetune import FinetuneSettings, Origin, train_on_images
from spondyl.training.lesion_studies import LESION, NORMAL, WorkingStudy
from spondyl.training.networks import LesionUNet, SpineUNet
from spondyl.training.own_lesions import LESION_TASK, lesion_objective, new_lesion_network, score_study

pytest.importorskip("onnx")

SETTINGS = FinetuneSettings(
    steps=2, batch_size=1, workers=0, precision="32-true", folds=2, preset="tiny", learning_rate=1e-3
)


@pytest.fixture(autouse=True, scope="module")
def _small_patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesion_studies, "PATCH_SHAPE", (4, 64, 64))
        yield


def test_a_network_starts_where_its_weights_stand():
    tiny = new_lesion_network(Origin(), SETTINGS)
    again = new_lesion_network(Origin("mine", tiny.state_dict()), SETTINGS)
    assert all(torch.equal(a, b) for a, b in zip(tiny.parameters(), again.parameters(), strict=True))
    spine = SpineUNet((8, 8, 12, 12, 16), 4)
    taken = new_lesion_network(Origin("spine", spine.state_dict()), SETTINGS)
    assert isinstance(taken, LesionUNet)
    assert torch.equal(taken.encoder[2][0][0].weight, spine.encoder[2][0][0].weight)
    with pytest.raises(ModelError, match="no network that outlines"):
        new_lesion_network(Origin("other", {"a.weight": torch.zeros(3)}), SETTINGS)


def test_the_loss_falls_and_an_unknown_kind_is_left_to_the_start():
    torch.manual_seed(0)
    network = new_lesion_network(Origin(), SETTINGS)
    objective = lesion_objective(None, 0.5)
    channels, facts = torch.randn(1, N_CHANNELS, 4, 64, 64), torch.zeros(1, N_FACTS)
    target = torch.full((1, 4, 64, 64), NORMAL)
    target[:, 1:3, 8:20, 8:20] = LESION
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(6):
        loss, _ = objective(network, (channels, facts, target), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    kept, figures = lesion_objective(network, 0.5)(network, (channels, facts, target), 0)
    assert set(figures) == {"fit", "keep"}
    assert kept.item() == pytest.approx(figures["fit"] + 0.5 * figures["keep"], rel=1e-4)


class _Saying(torch.nn.Module):
    """A network that gives a fixed answer."""

    def __init__(self, p):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.from_numpy(np.log(np.maximum(p, 1e-6)))[None])

    def forward(self, channels, facts):
        return self.logits


def test_figures_are_what_counting_says():
    p = np.zeros((3, *SHAPE), np.float32)
    p[0] = 1
    p[:, 3:5, 20:32, 20:26] = np.array([0, 0, 1])[:, None, None, None]  # half of the lesion
    p[:, 3:5, 50:55, 20:26] = np.array([0, 1, 0])[:, None, None, None]  # an alarm
    rows = {r["structures"]: r for r in score_study(_Saying(p), STUDIES[0])}
    assert set(rows) == {"lesion", "malignant"}
    assert rows["lesion"]["dice"] == pytest.approx(2 * 144 / (144 + 60 + 288), abs=1e-3)
    assert [rows["lesion"][k] for k in ("lesions", "found", "false")] == [1, 1, 1]
    assert rows["malignant"]["dice"] == pytest.approx(2 * 144 / (144 + 288), abs=1e-3)
    healthy = WorkingStudy(4, "p", STUDIES[0].channels, STUDIES[0].facts, np.full(SHAPE, NORMAL, np.int16), (4, 1, 1))
    p[1:], p[0] = 0, 1
    (row,) = score_study(_Saying(p), healthy)
    assert (row["dice"], row["lesions"], row["false"]) == (None, 0, 0)


@pytest.mark.slow
def test_a_run_gives_folds_figures_and_a_model_that_runs(tmp_path):
    card_path = train_on_images(STUDIES, tmp_path, SETTINGS, origin=Origin(), name="trial", task=LESION_TASK)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert {(r["image"], r["structures"]) for r in rows} >= {("1", "lesion"), ("1", "malignant"), ("2", "benign")}
    assert "lesion" in json.loads((tmp_path / "metrics.json").read_text())["dice_mean"]
    card = read_card(card_path)
    assert card.details["training"]["data"] == "3 annotated studies of 2 patients"
    assert card.details["training"]["outlined"] == ["benign", "lesion", "malignant"]
    assert any("T1, FLUID alone" in limit for limit in card.details["limits"])
    assert card.lesion_classes == ("normal", "benign", "malignant")
    made = study()
    found = load_network(str(card_path), threads=1).predict(made.channels, made.facts)
    assert found.shape == (3, *SHAPE)
    assert not any("Zwicky" in f.read_text(errors="ignore") for f in tmp_path.rglob("*.*") if f.suffix != ".pt")
