"""The loss is zero for the truth, and ignored voxels teach nothing."""

from __future__ import annotations

import pytest
import torch

from spondyl.training.losses import DICE_SMOOTHING_VOXELS, segmentation_loss, soft_dice_loss
from spondyl.training.networks import N_LESION_CLASSES, N_STRUCTURES
from spondyl.training.synthesis import IGNORED

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
    lesion = torch.randint(0, N_LESION_CLASSES, SHAPE, generator=torch.Generator().manual_seed(3))
    truth = torch.cat([_one_hot(structure, N_STRUCTURES), _one_hot(lesion, N_LESION_CLASSES)], 1)
    losses = [float(segmentation_loss(strength * truth, structure, lesion)) for strength in (0.0, 2.0, 5.0, 20.0)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.01


def test_ignored_voxels_have_no_gradient():
    logits = torch.zeros(1, N_STRUCTURES + N_LESION_CLASSES, 2, 4, 4, requires_grad=True)
    structure = torch.ones(1, 2, 4, 4, dtype=torch.int64)
    lesion = torch.full((1, 2, 4, 4), IGNORED)
    structure[:, 0] = IGNORED
    lesion[:, 1, :2] = 1
    segmentation_loss(logits, structure, lesion, balance=0.5).backward()
    anatomy, disease = logits.grad.split([N_STRUCTURES, N_LESION_CLASSES], 1)
    assert anatomy[:, :, 0].abs().max() == 0
    assert anatomy[:, :, 1].abs().min() > 0
    assert disease[:, :, 0].abs().max() == 0
    assert disease[:, :, 1, 2:].abs().max() == 0
    assert disease[:, :, 1, :2].abs().min() > 0


def test_without_known_lesions_only_the_anatomy_is_learnt():
    logits = torch.zeros(1, N_STRUCTURES + N_LESION_CLASSES, 2, 4, 4, requires_grad=True)
    structure, lesion = torch.ones(1, 2, 4, 4, dtype=torch.int64), torch.full((1, 2, 4, 4), IGNORED)
    loss = segmentation_loss(logits, structure, lesion)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad[:, N_STRUCTURES:].abs().max() == 0


def test_balance_makes_rare_classes_count_more():
    logits = torch.zeros(1, N_STRUCTURES + N_LESION_CLASSES, 2, 8, 8, requires_grad=True)
    structure = torch.zeros(1, 2, 8, 8, dtype=torch.int64)
    structure[0, 0, 0, 0] = 6
    lesion = torch.full((1, 2, 8, 8), IGNORED)

    def pull(balance):
        (gradient,) = torch.autograd.grad(segmentation_loss(logits, structure, lesion, balance=balance), logits)
        return float(-gradient[0, 6, 0, 0, 0] / gradient[0, 6, 1].abs().mean())

    assert pull(0.5) > 2 * pull(0.0)
