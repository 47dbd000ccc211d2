"""One loop for every network: resumable, averaged, on one processor or many GPUs, followed in TensorBoard."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from spondyl.training.launch import launcher
from spondyl.training.tables import toml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from torch.utils.data import IterableDataset

_log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.toml"
"""Settings of a run, beside its checkpoint."""

CHECKPOINT_FILE = "checkpoint.pt"
"""Everything that a run needs to go on."""

PROGRESS_FILE = "progress.jsonl"
"""One line of figures for every line of the log, for whoever has no TensorBoard."""

LOG_EVERY = 50
"""Steps between lines of the log."""

FIGURES_EVERY = 20
"""Steps between those whose figures are kept: reading them makes a GPU wait."""

SAVE_SECONDS = 20.0
"""Least time between checkpoints; there is always one at the end. Chosen by us."""

ECHO_BATCHES = 16
"""Fresh batches from whose examples repeated ones are drawn. Chosen by us."""

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
    render_on_device : bool
        Whether examples are made in the main process on its device, as pays on a GPU; workers then only choose them.
    seconds : float
        If above zero, the longest that the run may take, earlier parts of it counted in: whichever of time and steps
        is nearer its end then says where the learning rate stands.
    echo : int
        How often each example is used, where making them is slower than learning from them (data echoing: Choi et al.
        2019, arXiv 1907.05550).
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
    render_on_device: bool = False
    seconds: float = 0.0
    echo: int = 1


class Objective(Protocol):
    """What a run minimizes."""

    def __call__(self, model: torch.nn.Module, batch: Batch, step: int, /) -> tuple[torch.Tensor, Mapping[str, float]]:
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


class Render(Protocol):
    """What makes an example in the main process."""

    def __call__(self, draft: Any, device: torch.device) -> Batch:
        """Make one example.

        Parameters
        ----------
        draft : object
            What the stream gave.
        device : torch.device
            Where to make it.

        Returns
        -------
        tuple of Tensor
            The example, without batch axis, on the device.
        """


def progress(step: int, seconds: float, settings: LoopSettings) -> float:
    """Say how much of a run is done.

    Parameters
    ----------
    step : int
        Steps done.
    seconds : float
        Time they took.
    settings : LoopSettings
        The run's settings.

    Returns
    -------
    float
        1 at the end, and above it.
    """
    return max(step / settings.steps, seconds / settings.seconds if settings.seconds > 0 else 0.0)


def learning_rate(step: int, settings: LoopSettings, *, seconds: float = 0.0) -> float:
    """Give the learning rate of a step: a short warm-up, a plateau, a linear fall to zero.

    Parameters
    ----------
    step : int
        From 0.
    settings : LoopSettings
        The run's settings.
    seconds : float, optional
        Time that the run took so far.

    Returns
    -------
    float
        Learning rate.
    """
    left = (1 - progress(step, seconds, settings)) / max(1 / settings.steps, settings.decay_share)
    return settings.learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS, max(left, 0.0))


def fit(
    network: torch.nn.Module,
    examples: Callable[[int], IterableDataset],
    objective: Objective,
    out: Path,
    settings: LoopSettings,
    *,
    render: Render | None = None,
) -> Path:
    """Train, or go on with, a network.

    Parameters
    ----------
    network : Module
        With its first weights; those of a checkpoint in `out` replace them. Parts without a parameter that requires a
        gradient stay as they are, their batch statistics too.
    examples : callable
        Gives an endless stream of examples for a number that is new for every process and every start of the run: the
        step it stands at, on one device.
    objective : Objective
        What is minimized.
    out : Path
        Folder of the run.
    settings : LoopSettings
        How long and how.
    render : Render, optional
        Turns what the stream gives into examples, in the main process and on its device, so that worker processes only
        load.

    Returns
    -------
    Path
        The checkpoint, with averaged weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    fabric = launcher(devices=settings.devices, nodes=settings.nodes, precision=settings.precision)
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    if fabric.is_global_zero:
        (out / SETTINGS_FILE).write_text(toml_text(asdict(settings)), encoding="utf-8")
    network = _ready(network)
    average = copy.deepcopy(network).to(fabric.device).requires_grad_(requires_grad=False)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    model, optimizer = fabric.setup(network, optimizer)
    state: dict[str, Any] = {"model": model, "optimizer": optimizer, "average": average, "step": 0, "seconds": 0.0}
    checkpoint = out / CHECKPOINT_FILE
    if checkpoint.exists():
        fabric.load(checkpoint, state)
        _log.info("resumed at step %d", state["step"])
    start = state["step"] * fabric.world_size + fabric.global_rank
    batches = _batches(fabric, examples(start), settings, render)
    if settings.echo > 1:
        batches = echoed(batches, settings.echo, torch.Generator().manual_seed(settings.seed + start))
    _loop(fabric, state, batches, objective, settings, out)
    return checkpoint


def echoed(batches: Iterator[Batch], times: int, draw: torch.Generator) -> Iterator[Batch]:
    """Use every example several times, each time in other company.

    Parameters
    ----------
    batches : iterator of tuple of Tensor
        Fresh batches.
    times : int
        Batches given for each fresh one.
    draw : torch.Generator
        Chooses them.

    Yields
    ------
    tuple of Tensor
        Batches of the examples of the last `ECHO_BATCHES` fresh ones.
    """
    kept: deque[list[Batch]] = deque(maxlen=ECHO_BATCHES)
    for batch in batches:
        size = len(batch[0])
        kept.append(list(zip(*(part.unbind() for part in batch), strict=True)))
        pool = [example for fresh in kept for example in fresh]
        for _ in range(times):
            chosen = torch.randperm(len(pool), generator=draw)[:size].tolist()
            yield tuple(torch.stack(parts) for parts in zip(*(pool[i] for i in chosen), strict=True))


def _ready(network: torch.nn.Module) -> torch.nn.Module:
    """Set what learns to training and what is frozen to evaluation."""
    network.train()
    for part in network.modules():
        parameters = list(part.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            part.eval()
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def _batches(fabric: Any, stream: IterableDataset, settings: LoopSettings, render: Render | None) -> Iterator[Batch]:
    loader: Iterable[Any] = DataLoader(
        stream,
        batch_size=settings.batch_size,
        num_workers=settings.workers,
        prefetch_factor=6 if settings.workers else None,
        collate_fn=list if render else None,
    )
    if render is None:
        yield from fabric.setup_dataloaders(loader)
        return
    for drafts in loader:
        yield tuple(torch.stack(parts) for parts in zip(*(render(d, fabric.device) for d in drafts), strict=True))


def _loop(
    fabric: Any,
    state: dict[str, Any],
    batches: Iterator[Batch],
    objective: Objective,
    settings: LoopSettings,
    out: Path,
) -> None:
    model, optimizer, average = state["model"], state["optimizer"], state["average"]
    board = _Board(out) if fabric.is_global_zero else None
    figures, started, saved = _Means(), time.monotonic(), time.monotonic()
    done = progress(state["step"], state["seconds"], settings)
    while done < 1:
        step = state["step"]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings, seconds=state["seconds"])
        loss, seen = objective(model, next(batches), step)
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=MAX_GRADIENT_NORM)
        optimizer.step()
        state["step"] = step + 1
        _average(average, model, min(LONGEST_AVERAGE, 1 - 1 / (state["step"] * 0.2 + 1)))
        if step % FIGURES_EVERY == 0:
            figures.add({"loss": float(loss.detach()), **seen})
        now = time.monotonic()
        state["seconds"], started = state["seconds"] + now - started, now
        done = progress(state["step"], state["seconds"], settings)
        if state["step"] % LOG_EVERY == 0 or done >= 1:
            if board is not None:
                figures.write(board, state["step"], state["seconds"])
            figures = _Means()
        if now - saved > SAVE_SECONDS or done >= 1:
            _save(fabric, state, out / CHECKPOINT_FILE)
            saved = now
    if board is not None:
        board.close()


def _save(fabric: Any, state: Mapping[str, Any], checkpoint: Path) -> None:
    """Write beside the old checkpoint, then replace it, so that an interrupted run keeps one."""
    partial = checkpoint.with_suffix(".part")
    fabric.save(partial, dict(state))
    if fabric.is_global_zero:
        partial.replace(checkpoint)
    fabric.barrier()


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    """Move the averaged weights toward the current ones, all at once."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    means, values = zip(*((m, v) for m, v in pairs if m.dtype.is_floating_point), strict=True)
    get_ema_multi_avg_fn(keep)(list(means), [v.to(m.dtype) for m, v in zip(means, values, strict=True)], 0)
    for mean, value in pairs:
        if not mean.dtype.is_floating_point:
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

    def write(self, board: _Board, step: int, seconds: float) -> None:
        means = {name: total / n for name, (total, n) in self.sums.items() if n}
        board.add(step, seconds, means)
        text = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        _log.info("step %d, %.0f s, %s", step, seconds, text)


class _Board:
    """Keeps the figures of a run, in TensorBoard where that is installed."""

    def __init__(self, out: Path) -> None:
        self.lines = out / PROGRESS_FILE
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.writer = None
        else:
            self.writer = SummaryWriter(str(out))

    def add(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        with self.lines.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, "seconds": round(seconds, 1), **figures}) + "\n")
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
