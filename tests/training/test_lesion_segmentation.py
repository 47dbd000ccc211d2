"""The lesion network learns from its patches, goes on where it stood, and is exported with a card that runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.io.weights import load_network
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot
from spondyl.training.lesion_export import write_lesion_model
from spondyl.training.lesion_segmentation import (
    LesionTrainingSettings,
    lesion_figures,
    lesion_loss,
    start_from_spine,
    train_lesions,
    varied,
)
from spondyl.training.losses import IGNORED
from spondyl.training.networks import LesionUNet, SpineUNet

SMALL = {"channels": (8, 8, 12, 12, 16), "head": 4}


def _logits(target, sure=8.0):
    return torch.nn.functional.one_hot(target.clamp(max=2), 3).movedim(-1, 1).float() * sure


@pytest.fixture
def target():
    target = torch.zeros((1, 6, 32, 32), dtype=torch.int64)
    target[0, 1:4, 4:12, 4:12], target[0, 1:4, 20:28, 20:28] = 1, 2
    target[0, 5] = IGNORED
    return target


def test_the_loss_is_small_where_right_and_large_where_wrong(target):
    weight = torch.ones(target.shape)
    right, nothing = lesion_loss(_logits(target), target, weight), lesion_loss(_logits(0 * target), target, weight)
    swapped = torch.where(target == 1, 2, torch.where(target == 2, 1, target))
    assert right < 0.1
    assert right < lesion_loss(_logits(swapped), target, weight) < nothing


def test_ignored_voxels_do_not_count(target):
    weight = torch.ones(target.shape)
    logits = _logits(target)
    other = logits.clone()
    other[:, :, 5] = torch.randn(other[:, :, 5].shape)
    assert torch.isclose(lesion_loss(logits, target, weight), lesion_loss(other, target, weight))


def test_figures_tell_found_lesions_their_class_and_alarms(target):
    perfect = lesion_figures(_logits(target), target)
    assert perfect == {"dice": pytest.approx(1.0), "sensitivity": 1.0, "class_right": 1.0, "alarms": 0.0}
    worse = target.clone()
    worse[0, 1:4, 20:28, 20:28] = 0
    worse[0, 1:4, 4:12, 20:28] = 2
    found = lesion_figures(_logits(worse), target)
    assert (found["sensitivity"], found["alarms"]) == (0.5, 1.0)


def test_an_example_used_again_is_mirrored_whole_and_its_gray_values_differ_a_little(target):
    torch.manual_seed(3)
    n = 24
    targets = target.expand(n, -1, -1, -1).to(torch.uint8)
    targets = targets.clone()
    targets[:, 0, 0, 0] = 2  # tells the two sides apart
    channels = targets[:, None].expand(-1, N_CHANNELS, -1, -1, -1).half()
    facts = torch.ones((n, N_FACTS)).reshape(n, len(Slot), -1)
    facts[:, 1] = 0
    images, told, truth, weight = varied(channels, facts.flatten(1), targets, targets.half())
    mirrored = truth[:, -1, 0, 0] == 2
    assert 4 < int(mirrored.sum()) < 20
    assert torch.equal(truth, torch.where(mirrored[:, None, None, None], targets.flip(1), targets).long())
    assert torch.equal(weight, truth.float())
    t1, adc = list(Slot).index(Slot.T1), list(Slot).index(Slot.ADC)
    assert torch.equal(images[:, t1] == 0, truth == 0), "what no series saw stays unseen"
    assert torch.equal(images[:, adc], truth.float()), "a unit of its own is left alone"
    factor = images[:, t1][truth == 2] / 2
    assert 0.02 < float(factor.std()) < 0.3
    told = told.reshape(n, len(Slot), -1)
    assert torch.equal(told[..., 0], facts[..., 0])
    assert (told[:, 1] == 0).all()
    # Medians go with their channel.
    shown = torch.stack([images[i, t1][truth[i] == 1].mean() for i in range(n)])
    assert torch.allclose(told[:, t1, 1], shown, atol=1e-5)


def test_a_lesion_network_starts_as_the_spine_network_stands():
    spine, lesions = SpineUNet(**SMALL), LesionUNet(**SMALL)
    start_from_spine(lesions, spine.state_dict(), head=slice(0, 3))
    own, its = lesions.state_dict(), spine.state_dict()
    assert torch.equal(own["encoder.1.0.0.weight"], its["encoder.1.0.0.weight"])
    assert torch.equal(own["out.weight"], its["out.weight"][:3])
    assert not own["code.weight"].any()
    first = own["stem.weight"]
    assert torch.equal(first[:, 0:4], first[:, 4:8])


@pytest.mark.slow
def test_a_run_goes_on_where_it_stood_and_its_graph_runs(folder, tmp_path):
    settings = {"batch_size": 1, "workers": 0, "devices": "1", "precision": "32-true"}
    train_lesions(folder, tmp_path / "run", LesionTrainingSettings(steps=2, **settings), LesionUNet(**SMALL))
    checkpoint = train_lesions(
        folder, tmp_path / "run", LesionTrainingSettings(steps=3, **settings), LesionUNet(**SMALL)
    )
    card = write_lesion_model(
        checkpoint, tmp_path / "model", anatomies=folder, network=LesionUNet(**SMALL), notes={"where": "a test"}
    )
    network = load_network(str(card), threads=1)
    assert network.card.structures == ()
    assert network.card.lesion_classes == ("normal", "benign", "malignant")
    assert network.card.details["training"]["steps"] == 3
    assert network.card.details["training"]["notes"] == {"where": "a test"}
    channels = np.random.default_rng(0).normal(size=(N_CHANNELS, 5, 40, 33)).astype(np.float32)
    out = network.predict(channels, np.zeros(N_FACTS, np.float32))
    assert out.shape == (3, 5, 40, 33)
    np.testing.assert_allclose(out.sum(0), 1, atol=1e-5)
