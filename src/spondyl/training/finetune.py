"""Train a network on annotated images of real patients, and measure it by patient.

What is outlined, the spine or its lesions, is a `Task`; folds, runs that go on, figures and cards are the same.
"""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch.nn import functional

from spondyl.core import ModelError, SettingsError, Structure
from spondyl.evaluation.segmentation import score_labels
from spondyl.models.inputs import input_channels
from spondyl.training.export import load_average, run_facts, write_spine_model
from spondyl.training.folds import patient_folds
from spondyl.training.launch import is_main_process
from spondyl.training.loop import LoopSettings, fit
from spondyl.training.networks import SpineUNet
from spondyl.training.partial import annotated_objective, name_of
from spondyl.training.transfer import freeze, load_weights, unet_sizes
from spondyl.training.volumes import VolumePatches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch.utils.data import IterableDataset

    from spondyl.training.loop import Objective
    from spondyl.training.volumes import WorkingVolume

_log = logging.getLogger(__name__)

PRESETS = {"standard": ((32, 64, 96, 128, 160), 16), "tiny": ((8, 8, 12, 12, 16), 4)}
"""Sizes of a network that starts from nothing: widths of its resolutions and of its head."""

FROZEN = {"none": (), "encoder": ("code", "stem", "encoder")}
"""Parts that stay as they are."""

METRICS_FILE = "metrics.json"
"""Figures of a fold, or of all of them; written last, so that it says that a fold is done."""

SCORES = ("dice", "surface_dice", "hd95_mm", "assd_mm")
"""Figures of every structure of every image."""

OWN_LIMITS = [
    "Research use only, not for clinical diagnosis.",
    "Trained on the images of one data set: how it fares on other scanners and patients must be measured there.",
]
"""What the card of a model says that was trained on a user's data."""


@dataclass(frozen=True)
class FinetuneSettings(LoopSettings):
    """How long and how to train on annotated images.

    Parameters
    ----------
    steps, batch_size, learning_rate, decay_share, weight_decay, workers, seed
        As in `LoopSettings`.
    precision, devices, nodes, render_on_device, seconds, echo
        As in `LoopSettings`.
    folds : int
        Parts of the cross-validation by patient; 0 for none.
    final : bool
        Whether a network is trained on all images after the folds.
    freeze : str
        One of `FROZEN`.
    keep : float
        Weight of keeping, where outlines leave structures open, what the network knew at the start.
    preset : str
        One of `PRESETS`; where there are weights to start from, they decide.

    Raises
    ------
    SettingsError
        If a name is not known or a number is out of range.
    """

    steps: int = 1000
    learning_rate: float = 3e-4
    folds: int = 5
    final: bool = True
    freeze: str = "none"
    keep: float = 0.5
    preset: str = "standard"

    def __post_init__(self) -> None:
        for name, known in (("freeze", FROZEN), ("preset", PRESETS)):
            if getattr(self, name) not in known:
                msg = f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}"
                raise SettingsError(msg)
        if self.steps < 1 or self.batch_size < 1 or self.keep < 0 or not (self.final or self.folds):
            msg = "steps and batch size must be at least 1, keep at least 0, and folds or a final network be asked for"
            raise SettingsError(msg)


class Origin(NamedTuple):
    """Where a network starts.

    Parameters
    ----------
    name : str
        What the card says.
    weights : mapping of str to Tensor, or None
        From `spondyl.training.transfer.read_weights`; None for random weights.
    """

    name: str = "random weights"
    weights: Mapping[str, torch.Tensor] | None = None


def new_network(origin: Origin, settings: FinetuneSettings) -> SpineUNet:
    """Build the network that is trained.

    Parameters
    ----------
    origin : Origin
        Where it starts.
    settings : FinetuneSettings
        Its size, unless the weights tell, and what is frozen.

    Returns
    -------
    SpineUNet
        With its first weights.

    Raises
    ------
    ModelError
        If the weights are of another kind of network.
    """
    torch.manual_seed(settings.seed)
    if origin.weights is None:
        network = SpineUNet(*PRESETS[settings.preset])
    else:
        sizes = unet_sizes(origin.weights)
        if sizes is None:
            msg = f"{origin.name} is no network that outlines structures, or was exported without its weights' names"
            raise ModelError(msg)
        network = SpineUNet(*sizes)
        left = load_weights(network, origin.weights, source=origin.name)
        if left:
            _log.info("not in %s, so learnt anew: %s", origin.name, ", ".join(left))
    freeze(network, FROZEN[settings.freeze])
    return network


class Example(Protocol):
    """What is trained on: an image or a study."""

    @property
    def number(self) -> int:
        """Its place in the data set."""

    @property
    def patient(self) -> str:
        """Whose it is; never written."""


@dataclass(frozen=True)
class Task:
    """What a network learns to outline.

    Parameters
    ----------
    noun : str
        What the examples are, for the card.
    network : callable
        Gives the network with its first weights, of an `Origin` and settings.
    patches : callable
        Gives an endless stream of patches, of examples, a seed and a start.
    objective : callable
        Gives what is minimized, of the network at the start, or None where nothing is kept, and of the weight of
        keeping it.
    score : callable
        Measures a network on an example: one row of figures for each thing outlined.
    write : callable
        Writes graph and card.
    outlined : callable
        Names what is outlined on an example.
    limits : callable
        Gives what the card must say of examples and origin besides `OWN_LIMITS`.
    """

    noun: str
    network: Callable[[Origin, FinetuneSettings], torch.nn.Module]
    patches: Callable[[Sequence[Any], int, int], IterableDataset]
    objective: Callable[[torch.nn.Module | None, float], Objective]
    score: Callable[[torch.nn.Module, Any], list[dict[str, Any]]]
    write: Callable[..., Path]
    outlined: Callable[[Any], set[str]]
    limits: Callable[[Sequence[Any], Origin], list[str]]


def train_on_images(
    volumes: Sequence[Example],
    out: Path,
    settings: FinetuneSettings,
    *,
    origin: Origin,
    name: str,
    task: Task | None = None,
) -> Path:
    """Cross-validate by patient, then train on all images; what is finished is kept.

    Parameters
    ----------
    volumes : sequence of Example
        The images, or studies.
    out : Path
        Holds ``fold-1`` and so on, ``final``, ``metrics.json`` and ``metrics.csv`` afterward.
    settings : FinetuneSettings
        How long and how.
    origin : Origin
        Where networks start.
    name : str
        Of the models.
    task : Task, optional
        What is learnt; outlines of the spine by default.

    Returns
    -------
    Path
        Card of the final model, or of the first fold's where no final one was asked for.

    Raises
    ------
    InputError
        If there are too few patients for the folds.
    """
    task = task or SPINE_TASK
    cards, rows = [], []
    for number, tested in enumerate(patient_folds([v.patient for v in volumes], settings.folds, settings.seed), 1):
        seen = [v for i, v in enumerate(volumes) if i not in tested]
        held = [volumes[i] for i in tested]
        run = Run(f"fold-{number}", seen, held)
        cards.append(train_once(run, out, settings, origin=origin, name=name, task=task))
        rows += [{"fold": number, **row} for row in _rows(out / run.name)]
    if rows and is_main_process():
        _write_metrics(out, rows)
    if settings.final:
        n_patients = len({v.patient for v in volumes})
        of = f"{len(volumes)} {task.noun} of {n_patients} patients"
        measured = {"data": f"{settings.folds}-fold cross-validation by patient: {of}", **_means(rows)}
        run = Run("final", volumes, [], measured if rows else None)
        cards.insert(0, train_once(run, out, settings, origin=origin, name=name, task=task))
    return cards[0]


class Run(NamedTuple):
    """One training among those of a cross-validation.

    Parameters
    ----------
    name : str
        Of its folder.
    seen, held : sequence of Example
        Images to train on and to measure on.
    measured : mapping, optional
        Figures for the card where nothing is held back.
    """

    name: str
    seen: Sequence[Example]
    held: Sequence[Example]
    measured: Mapping[str, Any] | None = None


def train_once(
    run: Run, out: Path, settings: FinetuneSettings, *, origin: Origin, name: str, task: Task | None = None
) -> Path:
    """Train, measure and export one network; what is finished is kept.

    Parameters
    ----------
    run : Run
        Its images.
    out : Path
        Holds the run's folder.
    settings : FinetuneSettings
        How long and how.
    origin : Origin
        Where the network starts.
    name : str
        Of the model.
    task : Task, optional
        What is learnt; outlines of the spine by default.

    Returns
    -------
    Path
        Its card; figures of the images held back stand in ``metrics.json`` beside it.
    """
    folder = out / run.name
    card = folder / f"{name}.toml"
    if card.exists() and _finished(folder, settings):
        _log.info("%s is finished already", run.name)
        return card
    task = task or SPINE_TASK
    network = task.network(origin, settings)
    objective = task.objective(network if origin.weights is not None and settings.keep else None, settings.keep)
    stream = lambda start: task.patches(run.seen, settings.seed, start)  # noqa: E731
    checkpoint = fit(network, stream, objective, folder, settings)
    if not is_main_process():
        return card
    best, state = load_average(checkpoint, task.network(origin, settings))
    rows = [row for example in run.held for row in task.score(best, example)]
    measured = {"data": f"{len(run.held)} {task.noun} of patients kept aside", **_means(rows)} if rows else run.measured
    training = {
        "data": f"{len(run.seen)} annotated {task.noun} of {len({v.patient for v in run.seen})} patients",
        "start": origin.name,
        "outlined": sorted({n for v in run.seen for n in task.outlined(v)}),
        **run_facts(checkpoint, best, state),
    }
    limits = [*OWN_LIMITS, *task.limits(run.seen, origin)]
    task.write(best, folder, name=name, version="1", training=training, limits=limits, measured=measured)
    (folder / METRICS_FILE).write_text(json.dumps({"settings": asdict(settings), "images": rows}, indent=1))
    return card


def _finished(folder: Path, settings: FinetuneSettings) -> bool:
    try:
        done = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError):
        return False
    return {**done, "folds": 0, "final": True} == {**asdict(settings), "folds": 0, "final": True}


@torch.no_grad()
def probabilities(network: torch.nn.Module, volume: WorkingVolume) -> NDArray[np.float32]:
    """Run a network on a whole volume.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    volume : WorkingVolume
        The volume.

    Returns
    -------
    ndarray of float32, shape (9, *volume.array.shape)
        Probability of each structure.
    """
    device = next(network.parameters()).device
    channels = input_channels(torch.from_numpy(volume.array), volume.spacing_mm)[None]
    shape = volume.array.shape
    gaps = [-n % m for n, m in zip(shape, SpineUNet.multiple, strict=True)]
    padded = functional.pad(channels, (0, gaps[2], 0, gaps[1], 0, gaps[0]), mode="replicate").to(device)
    found = network(padded, torch.from_numpy(volume.code)[None].to(device)).softmax(1)[0]
    return found[:, : shape[0], : shape[1], : shape[2]].float().cpu().numpy()


def score_volume(network: torch.nn.Module, volume: WorkingVolume) -> list[dict[str, Any]]:
    """Measure a network on an image it never saw.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    volume : WorkingVolume
        The image.

    Returns
    -------
    list of dict
        For each structure, or group of them, that is outlined: the image's number, the structures, and `SCORES` in
        the working space, over the voxels whose truth is known.
    """
    found, rows = probabilities(network, volume), []
    for number in np.unique(volume.target):
        if number & 1:
            continue
        truth, known = volume.target & ~number == 0, (volume.target & ~number == 0) | (volume.target & number == 0)
        members = [c for c in range(len(found)) if number >> c & 1]
        predicted = (found[members].sum(0) > 0.5) & known
        (score,) = score_labels(
            truth.astype(np.uint8), predicted.astype(np.uint8), volume.spacing_mm, labels=[1]
        ).labels
        figures = {name: round(float(getattr(score, name)), 4) for name in SCORES}
        rows.append({"image": volume.number, "structures": name_of(int(number)), **figures})
    return rows


def _outlined(volume: WorkingVolume) -> set[str]:
    return {name_of(int(n)) for n in np.unique(volume.target) if not n & 1}


def _limits_of(volumes: Sequence[WorkingVolume], origin: Origin) -> list[str]:
    outlined = set().union(*(name.split("+") for v in volumes for name in _outlined(v)))
    if len(outlined) == len(Structure) - 1:
        return []
    rest = "the rest means nothing" if origin.weights is None else "the rest is as its start knew it"
    return [f"Learnt from {', '.join(sorted(outlined))} alone; {rest}."]


def _rows(folder: Path) -> list[dict[str, Any]]:
    if not is_main_process():
        return []
    return list(json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))["images"])


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean Dice of each structure over images; where there was nothing to outline there is none."""
    by_name: dict[str, list[float]] = {}
    for row in rows:
        if row["dice"] is not None:
            by_name.setdefault(row["structures"], []).append(row["dice"])
    return {"dice_mean": {name: round(float(np.mean(values)), 4) for name, values in sorted(by_name.items())}}


def _write_metrics(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with (out / "metrics.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (out / METRICS_FILE).write_text(json.dumps({**_means(rows), "images": list(rows)}, indent=1), encoding="utf-8")


SPINE_TASK = Task(
    "images",
    new_network,
    VolumePatches,
    annotated_objective,
    score_volume,
    write_spine_model,
    _outlined,
    _limits_of,
)
"""Outlines of the spine on single images."""
