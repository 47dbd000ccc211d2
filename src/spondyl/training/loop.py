"""One loop for every network: resumable, averaged, on one processor or many GPUs, followed in TensorBoard."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import tomli_w
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.tensorboard import SummaryWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.toml"
"""Settings of a run, beside its checkpoint."""

CHECKPOINT_FILE = "checkpoint.pt"
"""Everything that a run needs to go on."""

LOG_EVERY = 50
"""Steps between checkpoints and lines of the log."""

WARM_UP_STEPS = 50
"""Steps over which the learning rate rises from zero."""

LONGEST_AVERAGE = 0.998
"""Share of the averaged weights that a step keeps at most: an average over about the last 500 steps."""

MAX_GRADIENT_NORM = 2.0
"""Longer gradients are cut to this length."""

Batch = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class LoopSettings:
    """How long and how to train.

    Parameters
    ----------
    steps : int
        Optimizer steps in all; a resumed run goes on to this number.
    batch_size : int
        Examples a step.
    learning_rate : float
        Until the decay begins.
    decay_share : float
        Share of the steps, at the end, over which the learning rate falls to zero.
    weight_decay : float
        As AdamW means it.
    workers : int
        Processes that make examples.
    seed : int
        Seed of examples and of the network.
    precision : str
        As Lightning Fabric names it.
    devices : str
        Devices on each node, as Lightning Fabric names them.
    nodes : int
        Machines that train together.
    """

    steps: int = 10_000
    batch_size: int = 2
    learning_rate: float = 8e-4
    decay_share: float = 0.35
    weight_decay: float = 1e-3
    workers: int = 1
    seed: int = 1
    precision: str = "bf16-mixed"
    devices: str = "auto"
    nodes: int = 1


class Objective(Protocol):
    """What a run minimizes."""

    def __call__(self, model: torch.nn.Module, batch: Batch, step: int) -> tuple[torch.Tensor, Mapping[str, float]]:
        """Run the model on a batch.

        Parameters
        ----------
        model : Module
            The network.
        batch : tuple of Tensor
            Examples.
        step : int
            Steps done so far.

        Returns
        -------
        loss : Tensor, scalar
            To minimize.
        figures : mapping of str to float
            To follow the run by; averaged over `LOG_EVERY` steps, NaN left out.
        """


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Give the learning rate of a step: a short warm-up, a plateau, a linear fall to zero.

    Parameters
    ----------
    step : int
        From 0.
    settings : LoopSettings
        The run's settings.

    Returns
    -------
    float
        Learning rate.
    """
    left = (settings.steps - step) / max(1.0, settings.steps * settings.decay_share)
    return settings.learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS, max(left, 0.0))


def fit(
    network: torch.nn.Module,
    examples: Callable[[int], IterableDataset],
    objective: Objective,
    out: Path,
    settings: LoopSettings,
) -> Path:
    """Train, or go on with, a network.

    Parameters
    ----------
    network : Module
        With its first weights; those of a checkpoint in `out` replace them. Parameters that do not require a gradient
        stay as they are.
    examples : callable
        Gives an endless stream of examples for a run that stands at a step, so that a resumed run sees new ones.
    objective : Objective
        What is minimized.
    out : Path
        Folder of the run.
    settings : LoopSettings
        How long and how.

    Returns
    -------
    Path
        The checkpoint, with averaged weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    fabric = Fabric(
        accelerator="auto",
        devices=settings.devices,
        num_nodes=settings.nodes,
        precision=settings.precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    if fabric.is_global_zero:
        (out / SETTINGS_FILE).write_text(tomli_w.dumps(asdict(settings)), encoding="utf-8")
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = copy.deepcopy(network).to(fabric.device).requires_grad_(requires_grad=False)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    model, optimizer = fabric.setup(network, optimizer)
    state: dict[str, Any] = {"model": model, "optimizer": optimizer, "average": average, "step": 0, "seconds": 0.0}
    checkpoint = out / CHECKPOINT_FILE
    if checkpoint.exists():
        fabric.load(checkpoint, state)
        _log.info("resumed at step %d", state["step"])
    loader = DataLoader(
        examples(state["step"]),
        batch_size=settings.batch_size,
        num_workers=settings.workers,
        prefetch_factor=6 if settings.workers else None,
    )
    _loop(fabric, state, iter(fabric.setup_dataloaders(loader)), objective, settings, out)
    return checkpoint


def _loop(
    fabric: Fabric,
    state: dict[str, Any],
    batches: Iterator[Batch],
    objective: Objective,
    settings: LoopSettings,
    out: Path,
) -> None:
    model, optimizer, average = state["model"], state["optimizer"], state["average"]
    board = SummaryWriter(str(out)) if fabric.is_global_zero else None
    figures, started = _Means(), time.monotonic()
    while state["step"] < settings.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state["step"], settings)
        loss, seen = objective(model, next(batches), state["step"])
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=MAX_GRADIENT_NORM)
        optimizer.step()
        state["step"] += 1
        _average(average, model, min(LONGEST_AVERAGE, 1 - 1 / (state["step"] * 0.2 + 1)))
        figures.add({"loss": float(loss.detach()), **seen})
        if state["step"] % LOG_EVERY == 0 or state["step"] == settings.steps:
            now = time.monotonic()
            state["seconds"], started = state["seconds"] + now - started, now
            if board is not None:
                figures.write(board, state["step"], state["seconds"])
            figures = _Means()
            _save(fabric, state, out / CHECKPOINT_FILE)
    if board is not None:
        board.close()


def _save(fabric: Fabric, state: Mapping[str, Any], checkpoint: Path) -> None:
    """Write beside the old checkpoint, then replace it, so that an interrupted run keeps one."""
    partial = checkpoint.with_suffix(".part")
    fabric.save(partial, dict(state))
    if fabric.is_global_zero:
        partial.replace(checkpoint)
    fabric.barrier()


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """Move the averaged weights toward the current ones."""
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value.to(mean.dtype), 1 - keep)
        else:
            mean.copy_(value)


class _Means:
    """Running means of the figures of a run; what is not a number is left out."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            total, n = self.sums.get(name, (0.0, 0))
            if value == value:
                total, n = total + value, n + 1
            self.sums[name] = total, n

    def write(self, board: SummaryWriter, step: int, seconds: float) -> None:
        means = {name: total / n for name, (total, n) in self.sums.items() if n}
        for name, value in means.items():
            board.add_scalar(name, value, step)
        board.flush()
        text = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        _log.info("step %d, %.0f s, %s", step, seconds, text)
