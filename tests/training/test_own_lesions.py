"""The lesion network learns from outlined studies of any sequences, is measured by patient, and says so in its card."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch

from spondyl.core import Grid, InputError, LabelMap, ModelError, Sequence
from spondyl.io.weights import load_network, read_card
from spondyl.models.study import Study
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot
from spondyl.training import own_lesions
from spondyl.training.finetune import FinetuneSettings, Origin, train_on_images
from spondyl.training.networks import LesionUNet, SpineUNet
from spondyl.training.own_lesions import (
    BENIGN,
    LESION,
    LESION_TASK,
    MALIGNANT,
    NORMAL,
    UNKNOWN,
    WorkingStudy,
    draw_study_patch,
    lesion_objective,
    names_lesions,
    new_lesion_network,
    prepare_study,
    read_lesion_meanings,
    score_study,
)

pytest.importorskip("onnx")

SETTINGS = FinetuneSettings(
    steps=2, batch_size=1, workers=0, precision="32-true", folds=2, preset="tiny", learning_rate=1e-3
)
SHAPE = (8, 64, 64)
GIVEN = (Slot.T1, Slot.FLUID)


def _study(shape=SHAPE):
    rng = np.random.default_rng(3)
    channels, facts = np.zeros((N_CHANNELS, *shape), np.float32), np.zeros(N_FACTS, np.float32)
    table = facts.reshape(len(Slot), -1)
    for slot in GIVEN:
        channels[list(Slot).index(slot)] = rng.normal(0, 0.3, shape)
        table[list(Slot).index(slot)] = (1, 0.1, -0.2, 0.4)
    channels[len(Slot), 2:6, 8:56, 16:48] = 1  # bodies
    grid = Grid(shape, np.diag([4.0, 1.25, 1.25, 1.0]))
    return Study(grid, channels, facts, GIVEN, (Sequence.T1, Sequence.STIR))


def _working(number, patient, kind=MALIGNANT):
    study, target = _study(), np.full(SHAPE, NORMAL, np.int16)
    target[3:5, 20:32, 20:32] = kind
    channels = study.channels.copy()
    channels[list(Slot).index(Slot.FLUID)] += 3 * (target == kind)
    return WorkingStudy(number, patient, channels.astype(np.float16), study.facts, target, (4.0, 1.25, 1.25))


STUDIES = [_working(1, "Zwicky"), _working(2, "Zwicky", BENIGN), _working(3, "Quandt", LESION)]


@pytest.fixture(autouse=True, scope="module")
def _small_patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_lesions, "PATCH_SHAPE", (4, 64, 64))
        yield


def test_words_for_lesions_are_told_from_words_for_the_spine():
    assert names_lesions({"1": "Malignant"})
    assert not names_lesions({"1": "body", "0": "ignored"})
    assert read_lesion_meanings({"01": "benign", "*": "lesion"}) == {"0": NORMAL, "1": BENIGN, "*": LESION}
    assert read_lesion_meanings({"0": "ignored", "2": "malignant"}) == {"0": UNKNOWN, "2": MALIGNANT}
    for words in ({"1": "body", "2": "malignant"}, {"x": "malignant"}):
        with pytest.raises(InputError, match="lesions wants values"):
            read_lesion_meanings(words)


def test_outlines_of_another_orientation_land_where_they_were_drawn():
    study = _study()
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:5, 20:32, 20:32] = 7
    flipped = np.diag([-4.0, 1.25, 1.25, 1.0])
    flipped[0, 3] = 4.0 * (SHAPE[0] - 1)
    made = prepare_study(1, "p", study, LabelMap(labels[::-1].copy(), Grid(SHAPE, flipped)), {"0": NORMAL, "*": LESION})
    assert (made.target[3:5, 20:32, 20:32] == LESION).all()
    assert (made.target == LESION).sum() == 2 * 12 * 12
    assert made.target[4, 40, 30] == NORMAL


def test_far_from_the_spine_and_outside_the_outlined_image_nothing_is_known():
    study = _study((8, 64, 96))
    short = Grid((8, 40, 96), study.grid.affine)
    made = prepare_study(1, "p", study, LabelMap(np.zeros(short.shape, np.uint16), short), {"0": NORMAL})
    assert (made.target[:, 45:] == UNKNOWN).all()
    assert (made.target[:, :30, 80:] == UNKNOWN).all()  # more than the reach behind the bodies
    assert made.target[4, 20, 30] == NORMAL


def test_labels_that_do_not_fit_are_told():
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, 0] = 3
    with pytest.raises(InputError, match="value 3 in the labels of study 5"):
        prepare_study(5, "p", _study(), LabelMap(labels, _study().grid), {"0": NORMAL, "1": LESION})
    away = _study().grid.affine.copy()
    away[:3, 3] = 1000
    with pytest.raises(InputError, match="outside the spine"):
        prepare_study(5, "p", _study(), LabelMap(labels, Grid(SHAPE, away)), {"0": NORMAL, "3": LESION})


def test_patches_hold_lesions_and_any_subset_of_the_sequences():
    rng = np.random.default_rng(0)
    seen, lesions = set(), 0
    for _ in range(40):
        channels, facts, target = draw_study_patch(STUDIES[0], rng)
        given = facts.reshape(len(Slot), -1)[:, 0] > 0
        filled = channels[: len(Slot)].flatten(1).abs().sum(1) > 0
        assert (filled <= given).all()
        assert given.any()
        seen.add(tuple(np.array(Slot)[given.numpy()]))
        lesions += bool((target == MALIGNANT).any())
        assert set(target.unique().tolist()) <= {NORMAL, MALIGNANT, UNKNOWN}
    assert seen == {(Slot.T1,), (Slot.FLUID,), GIVEN}
    assert lesions > 20
    assert STUDIES[0].facts.reshape(len(Slot), -1)[:, 0].sum() == 2  # the study itself is as it was


def test_the_same_seed_draws_the_same_patches():
    one, other = (draw_study_patch(STUDIES[0], np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


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
    study = _study()
    found = load_network(str(card_path), threads=1).predict(study.channels, study.facts)
    assert found.shape == (3, *SHAPE)
    assert not any("Zwicky" in f.read_text(errors="ignore") for f in tmp_path.rglob("*.*") if f.suffix != ".pt")
