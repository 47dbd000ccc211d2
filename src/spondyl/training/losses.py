"""What training minimizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from monai.losses import DiceLoss
from torch.nn import functional

from spondyl.core import Structure
from spondyl.training.networks import CLASS_SHARES, N_LESION_CLASSES, N_STRUCTURES
from spondyl.training.synthesis import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

DICE_SMOOTHING_VOXELS = 50.0
"""Keeps the Dice loss of a class that is hardly there from shouting. Chosen by us."""

_DICE = DiceLoss(include_background=False, batch=True, smooth_nr=DICE_SMOOTHING_VOXELS, smooth_dr=DICE_SMOOTHING_VOXELS)

LESION_CLASS_WEIGHTS = (0.25, 3.0, 4.0)
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
    return _DICE(probabilities, truth)


def inside_spine(lesion: Tensor, structure: Tensor) -> Tensor:
    """Leave healthy tissue around the spine out of the lesion head's loss.

    Candidates are sought in the spine alone; the body around it would only drown the few lesion voxels.

    Parameters
    ----------
    lesion : Tensor of int64
        True lesion classes.
    structure : Tensor of int64, same shape
        True structures.

    Returns
    -------
    Tensor of int64
        Lesion classes, `IGNORED` outside spine and lesions.
    """
    return torch.where((structure == Structure.BACKGROUND) & (lesion == 0), IGNORED, lesion)


def segmentation_loss(logits: Tensor, structure: Tensor, lesion: Tensor, *, balance: float = 0.0) -> Tensor:
    """Give the loss of both heads.

    Parameters
    ----------
    logits : Tensor, shape (batch, 12, ...)
        Network output.
    structure : Tensor of int64, shape (batch, ...)
        True structures; `IGNORED` where a data set does not outline them.
    lesion : Tensor of int64, shape (batch, ...)
        True lesion classes; `IGNORED` where they are not known.
    balance : float, optional
        Exponent of the inverse class share that weights the structures' cross-entropy: above zero a young network
        leaves the all-background answer sooner, at zero an old one outlines without fattening.

    Returns
    -------
    Tensor, scalar
        Weighted sum of cross-entropy and Dice.
    """
    anatomy, disease = logits.float().split([N_STRUCTURES, N_LESION_CLASSES], dim=1)
    shares = logits.new_tensor(CLASS_SHARES[:N_STRUCTURES], dtype=torch.float32)
    loss = _head(anatomy, structure, shares**-balance if balance > 0 else None)
    lesion = inside_spine(lesion, structure)
    if bool((lesion != IGNORED).any()):
        loss = loss + _head(disease, lesion, logits.new_tensor(LESION_CLASS_WEIGHTS, dtype=torch.float32))
    return loss


def _head(logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    valid = target != IGNORED
    entropy = functional.cross_entropy(logits, target, weight=weight, ignore_index=IGNORED)
    return entropy + soft_dice_loss(logits.softmax(1), target, valid)
