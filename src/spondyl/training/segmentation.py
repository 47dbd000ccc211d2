"""Train the segmentation network on synthetic patients, on a CPU or a GPU, in one resumable run."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from spondyl.training.anatomies import list_anatomies, load_anatomy
from spondyl.training.losses import inside_spine, segmentation_loss
from spondyl.training.networks import N_STRUCTURES, SpineUNet
from spondyl.training.synthesis import IGNORED, make_patch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.toml"
"""Settings of a run, beside its checkpoint."""

LOG_EVERY = 50
"""Steps between checkpoints and lines of the log."""

BALANCE_EXPONENT = 0.5
"""Exponent of the inverse class share at the first step. Chosen by us: 0 and 1 learnt more slowly."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how to train.

    Parameters
    ----------
    steps : int
        Optimizer steps in all; a resumed run goes on to this number.
    batch_size : int
        Patches a step.
    learning_rate : float
        Until the decay begins.
    decay_share : float
        Share of the steps, at the end, over which the learning rate falls to zero.
    physical_share : float
        Share of patches with physical contrast; the rest is random.
    balanced_steps : int
        Steps over which rare classes count more, falling to none; see `spondyl.training.losses.segmentation_loss`.
    workers : int
        Processes that make patches.
    seed : int
        Seed of patches and of the network.
    precision : str
        As Lightning Fabric names it.
    """

    steps: int = 10_000
    batch_size: int = 2
    learning_rate: float = 8e-4
    decay_share: float = 0.35
    physical_share: float = 0.65
    balanced_steps: int = 1500
    workers: int = 1
    seed: int = 1
    precision: str = "bf16-mixed"


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
        """Yield image, code, structure and lesion of one patch after the other.

        Yields
        ------
        tuple of Tensor
            A training example.
        """
        torch.set_num_threads(1)
        worker = get_worker_info()
        number = 0 if worker is None else worker.id
        rng = np.random.default_rng([self.settings.seed, self.first_step, number])
        made, paths = 0, list_anatomies(self.folder)
        while True:
            if made % 50 == 0:
                paths = list_anatomies(self.folder)
            anatomy = load_anatomy(paths[rng.integers(len(paths))])
            patch = make_patch(anatomy, rng, physical_share=self.settings.physical_share)
            made += 1
            if torch.isfinite(patch.image).all():
                yield patch.image, patch.code, patch.structure, patch.lesion


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Give the learning rate of a step: a short warm-up, a plateau, a linear fall to zero.

    Parameters
    ----------
    step : int
        From 0.
    settings : TrainingSettings
        The run's settings.

    Returns
    -------
    float
        Learning rate.
    """
    left = (settings.steps - step) / max(1.0, settings.steps * settings.decay_share)
    return settings.learning_rate * min(1.0, (step + 1) / 50, max(left, 0.0))


def train(anatomies: Path, out: Path, settings: TrainingSettings) -> Path:
    """Train, or go on with, a segmentation network.

    Parameters
    ----------
    anatomies : Path
        Folder of stored anatomies.
    out : Path
        Folder of the run; a checkpoint in it is resumed.
    settings : TrainingSettings
        How long and how.

    Returns
    -------
    Path
        The checkpoint, with averaged weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / SETTINGS_FILE).write_text(tomli_w.dumps(asdict(settings)), encoding="utf-8")
    fabric = Fabric(accelerator="auto", devices="auto", precision=settings.precision)  # type: ignore[arg-type]
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    network = SpineUNet().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = copy.deepcopy(network).to(fabric.device).requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-3)
    model, optimizer = fabric.setup(network, optimizer)
    state: dict[str, Any] = {"model": model, "optimizer": optimizer, "average": average, "step": 0, "seconds": 0.0}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        fabric.load(checkpoint, state)
        _log.info("resumed at step %d", state["step"])
    loader = DataLoader(
        Patches(anatomies, settings, state["step"]),
        batch_size=settings.batch_size,
        num_workers=settings.workers,
        prefetch_factor=6 if settings.workers else None,
    )
    _loop(fabric, state, iter(fabric.setup_dataloaders(loader)), settings, checkpoint)
    return checkpoint


def _loop(
    fabric: Fabric, state: dict[str, Any], batches: Iterator, settings: TrainingSettings, checkpoint: Path
) -> None:
    model, optimizer, average = state["model"], state["optimizer"], state["average"]
    overlap, losses, started = np.zeros((N_STRUCTURES + 2, 2)), [], time.monotonic()
    while state["step"] < settings.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state["step"], settings)
        image, code, structure, lesion = next(batches)
        logits = model(image.contiguous(memory_format=torch.channels_last_3d), code)
        balance = BALANCE_EXPONENT * max(0.0, 1 - state["step"] / max(settings.balanced_steps, 1))
        loss = segmentation_loss(logits, structure, lesion, balance=balance)
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=2.0)
        optimizer.step()
        state["step"] += 1
        _average(average, model, min(0.995, 1 - 1 / (state["step"] * 0.2 + 1)))
        losses.append(float(loss.detach()))
        overlap += _overlap(logits.detach(), structure, inside_spine(lesion, structure))
        if state["step"] % LOG_EVERY == 0 or state["step"] == settings.steps:
            now = time.monotonic()
            state["seconds"], started = state["seconds"] + now - started, now
            dice = np.round(overlap[:, 0] / np.maximum(overlap[:, 1], 1), 3)[1:]
            _log.info("step %d, %.0f s, loss %.3f, dice %s", state["step"], state["seconds"], np.mean(losses), dice)
            overlap[:], losses = 0, []
            fabric.save(checkpoint.with_suffix(".part"), state)
            checkpoint.with_suffix(".part").rename(checkpoint)


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """Move the averaged weights toward the current ones."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value.to(mean.dtype), 1 - keep)
        else:
            mean.copy_(value)


def _overlap(logits: torch.Tensor, structure: torch.Tensor, lesion: torch.Tensor) -> np.ndarray:
    """Intersections and sums of each class, to follow the run; rows: structures, benign, malignant."""
    anatomy = logits[:, :N_STRUCTURES].argmax(1)
    disease = logits[:, N_STRUCTURES:].argmax(1)
    rows = []
    for predicted, truth, classes in ((anatomy, structure, range(N_STRUCTURES)), (disease, lesion, (1, 2))):
        valid = truth != IGNORED
        for c in classes:
            p, t = (predicted == c) & valid, truth == c
            rows.append([2 * int((p & t).sum()), int(p.sum()) + int(t.sum())])
    return np.array(rows, float)
