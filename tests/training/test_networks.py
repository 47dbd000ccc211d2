"""The network keeps sizes, starts from typical shares, and folds without loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.core import Structure
from spondyl.models import ContrastCode
from spondyl.training.networks import (
    N_CODES,
    N_STRUCTURES,
    STRUCTURE_SHARES,
    fold,
    unfold,
)


def test_the_classes_are_those_of_the_record():
    assert len(Structure) == N_STRUCTURES
    assert len(ContrastCode) == N_CODES
    assert len(STRUCTURE_SHARES) == N_STRUCTURES
    assert sum(STRUCTURE_SHARES) == pytest.approx(1)


def test_unfolding_undoes_folding():
    x = torch.arange(2 * 3 * 2 * 4 * 6, dtype=torch.float32).reshape(2, 3, 2, 4, 6)
    folded = fold(x)
    assert tuple(folded.shape) == (2, 12, 2, 2, 3)
    assert torch.equal(unfold(folded), x)


def test_folding_keeps_the_four_pixels_of_a_block_together():
    x = torch.zeros(1, 1, 1, 4, 4)
    x[0, 0, 0, 2:, :2] = 1
    folded = fold(x)
    assert folded[0, :, 0, 1, 0].tolist() == [1, 1, 1, 1]
    assert folded.sum() == 4


@pytest.mark.parametrize("size", [(4, 32, 32), (8, 64, 32)])
def test_sizes_that_are_multiples_come_back(small_network, size):
    network = small_network().eval()
    with torch.no_grad():
        out = network(torch.zeros(1, 2, *size), torch.eye(N_CODES)[:1])
    assert tuple(out.shape) == (1, N_STRUCTURES, *size)


def test_a_new_network_answers_near_the_typical_shares(small_network):
    torch.manual_seed(0)
    network = small_network().eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 2, 4, 32, 32), torch.eye(N_CODES)[:1])
    shares = logits.softmax(1).mean((0, 2, 3, 4)).numpy()
    assert np.abs(np.log(shares / STRUCTURE_SHARES)).max() < 1.0


def test_the_kind_of_contrast_changes_the_answer(small_network):
    torch.manual_seed(0)
    network = small_network().eval()
    image = torch.randn(1, 2, 4, 32, 32)
    with torch.no_grad():
        first, second = (network(image, torch.eye(N_CODES)[[n]]) for n in (0, 1))
    assert not torch.allclose(first, second)
