"""Train the network that outlines the spine, on synthetic patients."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from spondyl.core import Structure
from spondyl.training.anatomies import list_anatomies, load_anatomy
from spondyl.training.loop import FIGURES_EVERY, LoopSettings, fit
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
    steps, batch_size, learning_rate, decay_share, weight_decay, workers, seed
        As in `LoopSettings`.
    precision, devices, nodes, render_on_device, seconds, echo
        As in `LoopSettings`.
    physical_share : float
        Share of patches with physical contrast; the rest is random.
    balanced_steps : int
        Steps over which rare classes count more, falling to none; see `spondyl.training.losses.structure_loss`.
    """

    physical_share: float = 0.65
    balanced_steps: int = 1500


class Draft(NamedTuple):
    """What a patch is made of: the same draft gives the same patch.

    Parameters
    ----------
    anatomy : Path
        A stored anatomy.
    seed : int
        Seed of pose, contrast and scanner.
    """

    anatomy: Path
    seed: int


def render_patch(draft: Draft, device: torch.device, *, physical_share: float) -> tuple[torch.Tensor, ...]:
    """Make the patch of a draft.

    Parameters
    ----------
    draft : Draft
        What it is made of.
    device : torch.device
        Where its voxels are computed.
    physical_share : float
        Probability of a physical contrast.

    Returns
    -------
    tuple of Tensor
        Image, code and structure.
    """
    anatomy, rng = load_anatomy(draft.anatomy), np.random.default_rng(draft.seed)
    while True:
        patch = make_patch(anatomy, rng, physical_share=physical_share, device=device)
        if torch.isfinite(patch.image).all():
            return patch.image, patch.code, patch.structure


class Patches(IterableDataset):
    """An endless stream of synthetic patches, or of drafts of them.

    Parameters
    ----------
    folder : Path
        Stored anatomies; new ones are found while the run goes on.
    settings : TrainingSettings
        Seed, shares, and who makes the patches.
    start : int
        New for every process and every start of a run, so that it sees new patches.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, start: int) -> None:
        self.folder, self.settings, self.start = folder, settings, start

    def __iter__(self) -> Iterator[Draft | tuple[torch.Tensor, ...]]:
        """Yield image, code and structure of one patch after the other, or their drafts.

        Yields
        ------
        tuple of Tensor, or Draft
            A training example.
        """
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.settings.seed, self.start, 0 if worker is None else worker.id])
        for made in itertools.count():
            if made % 50 == 0:
                paths = list_anatomies(self.folder)
            draft = Draft(paths[rng.integers(len(paths))], int(rng.integers(2**62)))
            if self.settings.render_on_device:
                yield draft
            else:
                yield render_patch(draft, torch.device("cpu"), physical_share=self.settings.physical_share)


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
        figures = overlap(logits.detach(), structure) if step % FIGURES_EVERY == 0 else {}
        return structure_loss(logits, structure, balance=balance), figures

    # All patches have one shape, for which the fastest convolutions are worth looking for.
    torch.backends.cudnn.benchmark = True
    return fit(
        network or SpineUNet(),
        lambda start: Patches(anatomies, settings, start),
        objective,
        out,
        settings,
        render=partial(render_patch, physical_share=settings.physical_share) if settings.render_on_device else None,
    )


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
