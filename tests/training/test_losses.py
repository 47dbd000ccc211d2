"""The loss is zero for the truth, and ignored voxels teach nothing."""

from __future__ import annotations

import pytest
import torch

from spondyl.training.losses import DICE_SMOOTHING_VOXELS, IGNORED, segmentation_loss, soft_dice_loss, structure_loss
from spondyl.training.networks import N_STRUCTURES

SHAPE = (2, 4, 8, 8)


@pytest.fixture
def target():
    return torch.randint(0, 3, SHAPE, generator=torch.Generator().manual_seed(1))


def _one_hot(target, n):
    return torch.nn.functional.one_hot(target, n).movedim(-1, 1).float()


def test_the_dice_loss_of_the_truth_is_zero(target):
    assert soft_dice_loss(_one_hot(target, 3), target) == pytest.approx(0, abs=1e-6)


def test_the_dice_loss_of_background_alone_is_what_the_formula_says(target):
    nothing = _one_hot(torch.zeros_like(target), 3)
    counts = [float((target == c).sum()) for c in (1, 2)]
    expected = 1 - sum(DICE_SMOOTHING_VOXELS / (n + DICE_SMOOTHING_VOXELS) for n in counts) / 2
    assert float(soft_dice_loss(nothing, target)) == pytest.approx(expected, rel=1e-5)


def test_the_dice_loss_counts_valid_voxels_only(target):
    wrong = target.clone()
    valid = torch.zeros(SHAPE, dtype=torch.bool)
    valid[:, 2:] = True
    wrong[:, :2] = 2
    assert soft_dice_loss(_one_hot(wrong, 3), target, valid) == pytest.approx(0, abs=1e-6)
    assert soft_dice_loss(_one_hot(wrong, 3), target) > 0.05


def test_a_better_answer_has_a_lower_loss():
    structure = torch.randint(0, N_STRUCTURES, SHAPE, generator=torch.Generator().manual_seed(2))
    truth = _one_hot(structure, N_STRUCTURES)
    losses = [float(structure_loss(strength * truth, structure)) for strength in (0.0, 2.0, 5.0, 20.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.01


def test_the_loss_is_cross_entropy_and_dice(target):
    logits = torch.randn(2, 3, *SHAPE[1:], generator=torch.Generator().manual_seed(4))
    own = logits.softmax(1).gather(1, target[:, None]).log().mean()
    expected = -float(own) + float(soft_dice_loss(logits.softmax(1), target))
    assert float(segmentation_loss(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_ignored_voxels_have_no_gradient():
    logits = torch.zeros(1, N_STRUCTURES, 2, 4, 4, requires_grad=True)
    structure = torch.ones(1, 2, 4, 4, dtype=torch.int64)
    structure[:, 0] = IGNORED
    structure_loss(logits, structure, balance=0.5).backward()
    assert logits.grad[:, :, 0].abs().max() == 0
    assert logits.grad[:, :, 1].abs().min() > 0


def test_where_nothing_is_known_nothing_is_learnt():
    logits = torch.zeros(1, N_STRUCTURES, 2, 4, 4, requires_grad=True)
    loss = structure_loss(logits, torch.full((1, 2, 4, 4), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_balance_makes_rare_classes_count_more():
    logits = torch.zeros(1, N_STRUCTURES, 2, 8, 8, requires_grad=True)
    structure = torch.zeros(1, 2, 8, 8, dtype=torch.int64)
    structure[0, 0, 0, 0] = 6

    def pull(balance):
        (gradient,) = torch.autograd.grad(structure_loss(logits, structure, balance=balance), logits)
        return float(-gradient[0, 6, 0, 0, 0] / gradient[0, 6, 1].abs().mean())

    assert pull(0.5) > 2 * pull(0.0)
