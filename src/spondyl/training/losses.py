"""What training minimizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from monai.losses import DiceLoss
from torch.nn import functional

from spondyl.training.networks import STRUCTURE_SHARES

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = 255
"""Label of voxels that take no part in the loss."""

DICE_SMOOTHING_VOXELS = 50.0
"""Keeps the Dice loss of a class that is hardly there from shouting. Chosen by us."""

_DICE = DiceLoss(include_background=False, batch=True, smooth_nr=DICE_SMOOTHING_VOXELS, smooth_dr=DICE_SMOOTHING_VOXELS)


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
    return _DICE(probabilities, truth)


def segmentation_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Give the sum of cross-entropy and Dice loss over the voxels whose class is known.

    Parameters
    ----------
    logits : Tensor, shape (batch, classes, ...)
        Network output.
    target : Tensor of int64, shape (batch, ...)
        True classes; `IGNORED` where they are not known.
    weight : Tensor, shape (classes,), optional
        Weight of each class in the cross-entropy.

    Returns
    -------
    Tensor, scalar
        The loss; zero where nothing is known.
    """
    logits, valid = logits.float(), target != IGNORED
    if not bool(valid.any()):
        return logits.sum() * 0
    entropy = functional.cross_entropy(logits, target, weight=weight, ignore_index=IGNORED)
    return entropy + soft_dice_loss(logits.softmax(1), target, valid)


def structure_loss(logits: Tensor, structure: Tensor, *, balance: float = 0.0) -> Tensor:
    """Give the loss of the outlines of the spine.

    Parameters
    ----------
    logits : Tensor, shape (batch, 9, ...)
        Network output.
    structure : Tensor of int64, shape (batch, ...)
        True structures; `IGNORED` where a data set does not outline them.
    balance : float, optional
        Exponent of the inverse class share that weights the cross-entropy: above zero a young network leaves the
        all-background answer sooner, at zero an old one outlines without fattening.

    Returns
    -------
    Tensor, scalar
        The loss.
    """
    shares = logits.new_tensor(STRUCTURE_SHARES, dtype=torch.float32)
    return segmentation_loss(logits, structure, shares**-balance if balance > 0 else None)
