"""Outlines that leave structures out teach sums of probabilities and nothing about how these are shared."""

from __future__ import annotations

import math

import pytest
import torch

from spondyl.core import InputError, Structure
from spondyl.training.losses import DICE_SMOOTHING_VOXELS
from spondyl.training.partial import (
    ANY_VALUE,
    EVERYTHING,
    allowed,
    keeping_loss,
    marginal_loss,
    name_of,
    read_meanings,
    structures_of,
)

BODY = allowed([Structure.BODY, Structure.CORTEX])
REST = EVERYTHING & ~BODY
SHAPE = (1, 2, 4, 4)


def _target(number):
    return torch.full(SHAPE, number, dtype=torch.int64)


def test_numbers_and_structures_are_the_same_thing():
    assert structures_of(BODY) == (Structure.BODY, Structure.CORTEX)
    assert name_of(BODY) == "body+cortex"
    assert allowed(Structure) == EVERYTHING


def test_meanings_are_read_and_background_is_all_that_is_not_outlined():
    meanings = read_meanings({"1": "body + cortex", "*": "disc", "7": "ignored"})
    assert meanings == {1: BODY, ANY_VALUE: allowed([Structure.DISC]), 7: EVERYTHING, 0: meanings[0]}
    assert structures_of(meanings[0]) == tuple(
        s for s in Structure if s not in (Structure.BODY, Structure.CORTEX, Structure.DISC)
    )


def test_background_of_an_incomplete_outline_can_be_ignored():
    assert read_meanings({"1": "body", "0": "ignored"})[0] == EVERYTHING


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"1": "vertebra"}, "'vertebra'"),
        ({"one": "body"}, "'one'"),
        ({"-1": "body"}, "'-1'"),
        ({"1": "rest"}, "names no structure"),
        ({}, "names no structure"),
        ({"1": "background"}, "names no structure"),
    ],
)
def test_a_meaning_that_makes_no_sense_is_refused(words, fault):
    with pytest.raises(InputError, match=fault):
        read_meanings(words)


def test_the_entropy_is_that_of_the_sum():
    logits = torch.zeros(1, len(Structure), *SHAPE[1:])
    n = math.prod(SHAPE)
    share = 2 / len(Structure)
    dice = 1 - (2 * n * share + DICE_SMOOTHING_VOXELS) / (n * share + n + DICE_SMOOTHING_VOXELS)
    assert float(marginal_loss(logits, _target(BODY))) == pytest.approx(-math.log(share) + dice, rel=1e-5)


def test_the_loss_does_not_care_how_a_joined_label_is_shared():
    def loss(body, cortex):
        p = torch.full((1, len(Structure), *SHAPE[1:]), (1 - body - cortex) / 7)
        p[:, 1], p[:, 2] = body, cortex
        return float(marginal_loss(p.log(), _target(BODY)))

    assert loss(0.8, 0.1) == pytest.approx(loss(0.2, 0.7), rel=1e-5)
    assert loss(0.8, 0.1) < loss(0.3, 0.3)


def test_complete_outlines_are_learnt_as_usual():
    logits = torch.randn(1, len(Structure), *SHAPE[1:], generator=torch.Generator().manual_seed(0))
    classes = torch.randint(0, 1, SHAPE)
    entropy = torch.nn.functional.cross_entropy(logits, classes)
    assert float(marginal_loss(logits, 1 << classes)) == pytest.approx(float(entropy), rel=1e-5)


def test_what_is_not_known_teaches_nothing():
    logits = torch.randn(1, len(Structure), *SHAPE[1:], requires_grad=True)
    target = _target(EVERYTHING)
    target[:, 0] = BODY
    marginal_loss(logits, target).backward()
    assert logits.grad[:, :, 1].abs().max() == 0
    assert logits.grad[:, :, 0].abs().max() > 0


def test_a_voxel_of_another_label_that_may_be_the_same_does_not_count_in_its_dice():
    target = _target(allowed([Structure.BODY]))
    target[:, 1] = BODY  # may be body or cortex: neither inside nor outside `body`
    sure = torch.full((1, len(Structure), *SHAPE[1:]), -20.0)
    sure[:, int(Structure.BODY)] = 20
    sure[:, :, 1] = -20
    sure[:, int(Structure.CORTEX), 1] = 20
    assert float(marginal_loss(sure, target)) == pytest.approx(0, abs=1e-4)


def test_keeping_asks_only_where_the_outlines_leave_it_open():
    teacher = torch.randn(1, len(Structure), *SHAPE[1:], generator=torch.Generator().manual_seed(1))
    assert float(keeping_loss(teacher, teacher, _target(REST))) == pytest.approx(0, abs=1e-6)
    other = teacher.clone()
    other[:, 1:3] += 5  # more body and cortex alike: the shares among the rest stay
    assert float(keeping_loss(other, teacher, _target(REST))) == pytest.approx(0, abs=1e-5)
    other[:, int(Structure.DISC)] += 2
    assert float(keeping_loss(other, teacher, _target(REST))) > 0.01
    assert float(keeping_loss(other, teacher, _target(allowed([Structure.DISC])))) == pytest.approx(0, abs=1e-6)


def test_keeping_has_finite_gradients_everywhere():
    logits = torch.randn(1, len(Structure), *SHAPE[1:], requires_grad=True)
    target = _target(REST)
    target[:, 0] = allowed([Structure.BODY])
    keeping_loss(logits, torch.randn_like(logits) * 30, target).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[:, :, 0].abs().max() == 0
