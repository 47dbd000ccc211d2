"""Train the network that outlines lesions on the series of a study, on synthetic patients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional
from torch.utils.data import IterableDataset, get_worker_info

from spondyl.models.study_inputs import QUANTITATIVE, Slot
from spondyl.training.anatomies import MALIGNANT, list_anatomies, load_anatomy
from spondyl.training.lesion_synthesis import make_lesion_patch
from spondyl.training.loop import FIGURES_EVERY, LoopSettings, fit
from spondyl.training.losses import IGNORED, soft_dice_loss
from spondyl.training.networks import LesionUNet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOUND_SHARE = 0.3
"""A lesion counts as found in the log when this share of it is outlined. Chosen by us."""

COUNTED_VOXELS = 30
"""Outlines with fewer voxels are no alarm in the log: about 0.2 mL. Chosen by us."""


FIRST_BALANCE = 6.0
"""Weight of lesion voxels at the first step: a young network then leaves the answer that all is normal sooner. Chosen
by us."""


JITTER, SHIFT = 0.1, 0.03
"""Spread of the logarithm of each slot's contrast, and of what is added to it, whenever an example is used. Chosen by
us."""


@dataclass(frozen=True)
class LesionTrainingSettings(LoopSettings):
    """How long and how to train the network that outlines lesions.

    Parameters
    ----------
    steps, batch_size, learning_rate, decay_share, weight_decay, workers, seed
        As in `LoopSettings`.
    precision, devices, nodes, render_on_device, seconds, echo
        As in `LoopSettings`.
    balanced_steps : int
        Steps over which lesion voxels count more, falling to none, so that an old network keeps its probabilities
        honest; 0 for one that goes on from good weights.
    """

    balanced_steps: int = 1100


class LesionPatches(IterableDataset):
    """An endless stream of synthetic studies.

    Parameters
    ----------
    folder : Path
        Stored anatomies; new ones are found while the run goes on.
    seed : int
        Of the stream.
    first_step : int
        Where a resumed run stands, so that it sees new patches.
    """

    def __init__(self, folder: Path, seed: int, first_step: int) -> None:
        self.folder, self.seed, self.first_step = folder, seed, first_step

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield channels, facts, target and weight of one patch after the other.

        Yields
        ------
        tuple of Tensor
            A training example.
        """
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, self.first_step, 0 if worker is None else worker.id])
        made, paths = 0, list_anatomies(self.folder)
        while True:
            if made % 50 == 0:
                paths = list_anatomies(self.folder)
            patch = make_lesion_patch(load_anatomy(paths[rng.integers(len(paths))]), rng)
            made += 1
            if torch.isfinite(patch.channels).all():
                # Half the bytes on their way between processes and to the device.
                yield patch.channels.half(), patch.facts, patch.target, patch.weight.half()


def train_lesions(
    anatomies: Path, out: Path, settings: LesionTrainingSettings, network: torch.nn.Module | None = None
) -> Path:
    """Train, or go on with, the network that outlines lesions.

    Parameters
    ----------
    anatomies : Path
        Folder of stored anatomies.
    out : Path
        Folder of the run; a checkpoint in it is resumed.
    settings : LesionTrainingSettings
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
        channels, facts, target, weight = varied(*batch)
        logits = model(channels.contiguous(memory_format=torch.channels_last_3d), facts)
        balance = 1 + (FIRST_BALANCE - 1) * max(0.0, 1 - step / max(settings.balanced_steps, 1))
        weight = torch.where(target > 0, weight * balance, weight)
        figures = lesion_figures(logits.detach(), target) if step % FIGURES_EVERY == 0 else {}
        return lesion_loss(logits, target, weight), figures

    stream = lambda step: LesionPatches(anatomies, settings.seed, step)  # noqa: E731
    # All patches have one shape, for which the fastest convolutions are worth looking for.
    torch.backends.cudnn.benchmark = True
    return fit(network or LesionUNet(), stream, objective, out, settings)


@torch.no_grad()
def varied(
    channels: torch.Tensor, facts: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Vary a batch on its device, so that an example that is used again is not the same.

    Parameters
    ----------
    channels, facts, target, weight : Tensor
        As `LesionPatch` has them, with a batch axis.

    Returns
    -------
    tuple of Tensor
        The same in single precision: half of the examples mirrored, gray values of each slot stretched and shifted a
        little; classes as int64.
    """
    n, n_slots, device = len(channels), len(Slot), channels.device
    channels = channels.float()
    scaled = torch.tensor([slot not in QUANTITATIVE for slot in Slot], device=device)
    gain = torch.where(scaled, (JITTER * torch.randn(n, n_slots, device=device)).exp(), 1.0)
    shift = torch.where(scaled, SHIFT * torch.randn(n, n_slots, device=device), 0.0)
    gain, shift = gain[..., None, None, None], shift[..., None, None, None]
    images = channels[:, :n_slots]
    # Zero is where nothing was seen.
    images = torch.where(images == 0, images, images * gain + shift)
    channels = torch.cat([images, channels[:, n_slots:]], dim=1)
    table = facts.reshape(n, n_slots, -1)
    medians = torch.where(table[..., 1:] == 0, table[..., 1:], table[..., 1:] * gain[..., 0, 0] + shift[..., 0, 0])
    facts = torch.cat([table[..., :1], medians], dim=-1).reshape(n, -1)
    mirrored = torch.rand(n, device=device) < 0.5

    def turned(volumes: torch.Tensor) -> torch.Tensor:
        return torch.where(mirrored.reshape(-1, *[1] * (volumes.ndim - 1)), volumes.flip(-3), volumes)

    return turned(channels), facts, turned(target.long()), turned(weight.float())


@torch.no_grad()
def start_from_spine(network: LesionUNet, weights: Mapping[str, torch.Tensor], *, head: slice | None = None) -> None:
    """Start a lesion network where a spine network of the same width stands.

    Each slot is first looked at as the spine network looks at its one image; what is told of the study starts at
    nothing.

    Parameters
    ----------
    network : LesionUNet
        Takes the weights.
    weights : mapping of str to Tensor
        State of a `spondyl.training.networks.SpineUNet`.
    head : slice, optional
        Rows of its output that stand for normal, benign and malignant, if it had any.
    """
    own = network.state_dict()
    for name, value in weights.items():
        if name in own and own[name].shape == value.shape:
            own[name].copy_(value)
    n_seen = own["edge.0.weight"].shape[1] - network.n_input
    own["stem.weight"].mul_(0.3)
    own["edge.0.weight"][:, :n_seen] = weights["edge.0.weight"][:, :n_seen]
    for slot in range(len(Slot)):
        scaled, local = weights["stem.weight"][:, :4], weights["stem.weight"][:, 4:8]
        own["stem.weight"][:, 4 * slot : 4 * slot + 4] = SLOT_GAIN * (local + scaled / 2)
        own["edge.0.weight"][:, n_seen + slot] = SLOT_GAIN * weights["edge.0.weight"][:, n_seen + 1]
    own["code.weight"].zero_()
    own["code.bias"].copy_(weights["code.bias"] + weights["code.weight"].mean(1))
    if head is not None:
        own["out.weight"].copy_(weights["out.weight"][head])
        own["out.bias"].copy_(weights["out.bias"][head])


SLOT_GAIN = 0.8
"""Gain of a slot relative to the locally scaled channel of the spine network: two or three of them add up. Chosen by
us."""


def lesion_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Give the loss of the lesion network.

    Cross-entropy keeps the probabilities honest; the Dice loss of any lesion rewards finding it, that of both classes
    telling them apart.

    Parameters
    ----------
    logits : Tensor, shape (batch, 3, ...)
        Network output: normal, benign, malignant.
    target : Tensor of int64, shape (batch, ...)
        True classes; `IGNORED` where they are not known.
    weight : Tensor of float32, shape (batch, ...)
        How much each voxel counts in the cross-entropy.

    Returns
    -------
    Tensor, scalar
        The loss.
    """
    logits, valid = logits.float(), target != IGNORED
    weight = weight * valid
    entropy = functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    classes = logits.softmax(1)
    either = torch.stack([classes[:, 0], classes[:, 1:].sum(1)], dim=1)
    mean = (entropy * weight).sum() / weight.sum().clamp_min(1)
    dice = soft_dice_loss(classes, target, valid) + soft_dice_loss(either, target.clamp_max(1), valid)
    return 2 * mean + 0.5 * dice


def lesion_figures(logits: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Give what a run is followed by: overlap, lesions found, false alarms.

    Parameters
    ----------
    logits : Tensor, shape (batch, 3, ...)
        Network output.
    target : Tensor of int64, shape (batch, ...)
        True classes; `IGNORED` where they are not known.

    Returns
    -------
    dict of str to float
        Dice of any lesion, share of lesions found, share of them given their class, and false alarms a patch; NaN
        where there is none.
    """
    classes, lesion = logits.argmax(1), (target > 0) & (target != IGNORED)
    found = (classes > 0) & (target != IGNORED)
    overlap = float(2 * (found & lesion).sum() / (found.sum() + lesion.sum()).clamp_min(1))
    hits, right, n, alarms = 0, 0, 0, 0
    for f, t, c in zip(found.cpu().numpy(), (target * lesion).cpu().numpy(), classes.cpu().numpy(), strict=True):
        parts, count = _components(t)
        for i in range(1, count + 1):
            where = parts == i
            if where.sum() < COUNTED_VOXELS:
                continue
            n += 1
            if f[where].mean() > FOUND_SHARE:
                hits += 1
                malignant = (c[where] == MALIGNANT).sum() > (c[where] > 0).sum() / 2
                right += int(malignant == (t[where][0] == MALIGNANT))
        parts, count = _components(f)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        touched = np.unique(parts[t > 0])
        alarms += sum(1 for i in range(1, count + 1) if sizes[i - 1] >= COUNTED_VOXELS and i not in touched)
    return {
        "dice": overlap if lesion.any() else float("nan"),
        "sensitivity": hits / n if n else float("nan"),
        "class_right": right / hits if hits else float("nan"),
        "alarms": alarms / len(target),
    }


def _components(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected parts of equal value; SciPy does, so that a bare compute node can follow a run."""
    parts, count = np.zeros(labels.shape, np.int32), 0
    for value in np.unique(labels[labels > 0]):
        own, n = ndimage.label(labels == value, ndimage.generate_binary_structure(3, 2))
        parts[own > 0] = own[own > 0] + count
        count += n
    return parts, count
