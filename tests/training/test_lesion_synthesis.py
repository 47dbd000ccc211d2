"""Patches for the lesion network: complete, seeded, and outlines wrong only as far as a network's are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.core import Structure
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot
from spondyl.training.anatomies import BENIGN, MALIGNANT
from spondyl.training.lesion_synthesis import (
    HIGHEST_WEIGHT,
    PATCH_SHAPE,
    SMALL_VOXELS,
    _hidden_lesions,
    _weight,
    imperfect_outlines,
    make_lesion_patch,
)
from spondyl.training.losses import IGNORED


@pytest.fixture(scope="module")
def patches(stored):
    return [make_lesion_patch(stored, np.random.default_rng(n)) for n in range(12)]


def test_patches_have_the_shapes_the_network_takes(patches):
    for patch in patches:
        assert tuple(patch.channels.shape) == (N_CHANNELS, *PATCH_SHAPE)
        assert tuple(patch.facts.shape) == (N_FACTS,)
        assert tuple(patch.target.shape) == tuple(patch.weight.shape) == PATCH_SHAPE
        assert torch.isfinite(patch.channels).all()
        assert torch.isfinite(patch.facts).all()
        assert set(patch.target.unique().tolist()) <= {0, BENIGN, MALIGNANT, IGNORED}


def test_what_is_said_to_be_given_is_there_and_nothing_else(patches):
    for patch in patches:
        given = patch.facts.reshape(len(Slot), -1)[:, 0]
        shown = patch.channels[: len(Slot)].abs().amax((1, 2, 3)) > 0
        assert torch.equal(given > 0, shown)
        assert shown.any()


def test_the_same_seed_gives_the_same_patch(stored, patches):
    again = make_lesion_patch(stored, np.random.default_rng(3))
    for one, other in zip(again, patches[3], strict=True):
        assert torch.equal(one, other)


def test_lesions_and_normal_spine_are_taught_and_what_is_far_is_not(patches):
    targets = torch.stack([p.target for p in patches])
    assert ((targets == BENIGN) | (targets == MALIGNANT)).any()
    assert (targets == 0).float().mean() > 0.2
    assert (targets == IGNORED).float().mean() > 0.05


def test_a_lesion_that_no_series_shows_is_not_taught():
    noise = torch.Generator().manual_seed(1)
    channels = 0.1 * torch.randn((len(Slot), 8, 32, 32), generator=noise)
    facts = torch.zeros(len(Slot), 4)
    facts[:2, 0] = 1
    label = torch.zeros((8, 32, 32), dtype=torch.uint8)
    label[2:5, 2:8, 2:8], label[2:5, 12:18, 2:8], label[2:5, 22:28, 2:8] = 1, 2, 3
    channels[1][label == 2] += 0.5
    channels[2][label == 3] += 0.5  # a series that the study does not have
    marrow = torch.ones(label.shape, dtype=torch.bool)
    hidden = _hidden_lesions(channels, facts.flatten(), label, marrow)
    assert torch.equal(hidden, (label == 1) | (label == 3))
    assert not _hidden_lesions(channels, facts.flatten(), label, label > 0).any(), "nothing to compare with"


def test_small_lesions_count_more():
    label = torch.zeros((4, 40, 40), dtype=torch.uint8)
    label[0, :5, :4], label[1:] = 1, 2
    weight = _weight(label)
    assert weight[0, 0, 0] == pytest.approx(min(HIGHEST_WEIGHT, (SMALL_VOXELS / 20) ** 0.5))
    assert weight[1, 0, 0] == weight[0, 30, 30] == 1


def test_imperfect_outlines_are_probabilities_close_to_the_truth():
    truth = torch.zeros((8, 64, 48), dtype=torch.uint8)
    truth[2:6, 8:28, 10:34], truth[2:6, 34:54, 10:34] = int(Structure.BODY), int(Structure.BODY)
    truth[2:6, :, 36:44] = int(Structure.CANAL)
    instance = torch.zeros_like(truth)
    instance[2:6, 8:28, 10:34], instance[2:6, 34:54, 10:34] = 1, 2
    overlaps = []
    for seed in range(30):
        rng, noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        found = imperfect_outlines(truth, torch.zeros_like(truth), instance, rng, noise)
        assert torch.allclose(found.sum(0), torch.ones(truth.shape), atol=1e-5)
        body = found[int(Structure.BODY)] > 0.5
        wanted = truth == Structure.BODY
        overlaps.append(float(2 * (body & wanted).sum() / (body.sum() + wanted.sum())))
    assert 0.8 < np.median(overlaps) < 0.999
    assert min(overlaps) > 0.4
