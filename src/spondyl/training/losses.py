"""What training minimizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from spondyl.training.networks import N_LESION_CLASSES, N_STRUCTURES
from spondyl.training.synthesis import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

DICE_SMOOTHING_VOXELS = 50.0
"""Keeps the Dice loss of a class that is hardly there from shouting. Chosen by us."""

LESION_CLASS_WEIGHTS = (0.6, 2.0, 2.0)
"""Cross-entropy weights of normal, benign and malignant voxels: lesions are rare. Chosen by us."""


def soft_dice_loss(probabilities: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Give one minus the soft Dice of each foreground class, over the whole batch.

    Parameters
    ----------
    probabilities : Tensor, shape (batch, classes, ...)
        Softmax output.
    target : Tensor of int64, shape (batch, ...)
        True classes; anything where not valid.
    valid : Tensor of bool, shape (batch, ...), optional
        Voxels that count.

    Returns
    -------
    Tensor, scalar
        Mean over foreground classes.
    """
    n = probabilities.shape[1]
    truth = functional.one_hot(target.clamp(0, n - 1), n).movedim(-1, 1).to(probabilities.dtype)
    if valid is not None:
        truth, probabilities = truth * valid[:, None], probabilities * valid[:, None]
    axes = (0, *range(2, probabilities.ndim))
    both, total = (probabilities * truth).sum(axes), (probabilities + truth).sum(axes)
    dice = (2 * both + DICE_SMOOTHING_VOXELS) / (total + DICE_SMOOTHING_VOXELS)
    return 1 - dice[1:].mean()


def segmentation_loss(logits: Tensor, structure: Tensor, lesion: Tensor) -> Tensor:
    """Give the loss of both heads.

    Parameters
    ----------
    logits : Tensor, shape (batch, 12, ...)
        Network output.
    structure : Tensor of int64, shape (batch, ...)
        True structures; `IGNORED` where a data set does not outline them.
    lesion : Tensor of int64, shape (batch, ...)
        True lesion classes; `IGNORED` where they are not known.

    Returns
    -------
    Tensor, scalar
        Weighted sum of cross-entropy and Dice.
    """
    anatomy, disease = logits.float().split([N_STRUCTURES, N_LESION_CLASSES], dim=1)
    loss = _head(anatomy, structure, None)
    if bool((lesion != IGNORED).any()):
        loss = loss + 0.5 * _head(disease, lesion, logits.new_tensor(LESION_CLASS_WEIGHTS, dtype=torch.float32))
    return loss


def _head(logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    valid = target != IGNORED
    entropy = functional.cross_entropy(logits, target, weight=weight, ignore_index=IGNORED)
    return entropy + soft_dice_loss(logits.softmax(1), target, valid)
