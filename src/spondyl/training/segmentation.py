"""Train the network that outlines the spine, on synthetic patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from spondyl.core import Structure
from spondyl.training.anatomies import list_anatomies, load_anatomy
from spondyl.training.loop import LoopSettings, fit
from spondyl.training.losses import IGNORED, structure_loss
from spondyl.training.networks import SpineUNet
from spondyl.training.synthesis import make_patch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BALANCE_EXPONENT = 0.5
"""Exponent of the inverse class share at the first step. Chosen by us: 0 and 1 learnt more slowly."""


@dataclass(frozen=True)
class TrainingSettings(LoopSettings):
    """How long and how to train on synthetic patients.

    Parameters
    ----------
    physical_share : float
        Share of patches with physical contrast; the rest is random.
    balanced_steps : int
        Steps over which rare classes count more, falling to none; see `spondyl.training.losses.structure_loss`.
    """

    physical_share: float = 0.65
    balanced_steps: int = 1500


class Patches(IterableDataset):
    """An endless stream of synthetic patches.

    Parameters
    ----------
    folder : Path
        Stored anatomies; new ones are found while the run goes on.
    settings : TrainingSettings
        Seed and shares.
    first_step : int
        Where a resumed run stands, so that it sees new patches.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, first_step: int) -> None:
        self.folder, self.settings, self.first_step = folder, settings, first_step

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield image, code and structure of one patch after the other.

        Yields
        ------
        tuple of Tensor
            A training example.
        """
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.settings.seed, self.first_step, 0 if worker is None else worker.id])
        made, paths = 0, list_anatomies(self.folder)
        while True:
            if made % 50 == 0:
                paths = list_anatomies(self.folder)
            anatomy = load_anatomy(paths[rng.integers(len(paths))])
            patch = make_patch(anatomy, rng, physical_share=self.settings.physical_share)
            made += 1
            if torch.isfinite(patch.image).all():
                yield patch.image, patch.code, patch.structure


def train(anatomies: Path, out: Path, settings: TrainingSettings, network: torch.nn.Module | None = None) -> Path:
    """Train, or go on with, the network that outlines the spine.

    Parameters
    ----------
    anatomies : Path
        Folder of stored anatomies.
    out : Path
        Folder of the run; a checkpoint in it is resumed.
    settings : TrainingSettings
        How long and how.
    network : Module, optional
        Where to start; a fresh network by default.

    Returns
    -------
    Path
        The checkpoint, with averaged weights.
    """

    def objective(
        model: torch.nn.Module, batch: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        image, code, structure = batch
        logits = model(image.contiguous(memory_format=torch.channels_last_3d), code)
        balance = BALANCE_EXPONENT * max(0.0, 1 - step / max(settings.balanced_steps, 1))
        return structure_loss(logits, structure, balance=balance), overlap(logits.detach(), structure)

    return fit(network or SpineUNet(), lambda step: Patches(anatomies, settings, step), objective, out, settings)


def overlap(logits: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Give the Dice of each structure, to follow a run by.

    Parameters
    ----------
    logits : Tensor, shape (batch, 9, ...)
        Network output.
    truth : Tensor of int64, shape (batch, ...)
        True structures.

    Returns
    -------
    dict of str to float
        By structure; NaN where there is none.
    """
    predicted, valid, dice = logits.argmax(1), truth != IGNORED, {}
    for s in Structure:
        p, t = (predicted == int(s)) & valid, truth == int(s)
        if s is not Structure.BACKGROUND:
            dice[s.name.lower()] = float(2 * (p & t).sum() / (p.sum() + t.sum())) if t.any() else float("nan")
    return dice
