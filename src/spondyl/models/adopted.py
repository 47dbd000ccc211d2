"""Run a network that was made elsewhere: an nnU-Net or MONAI model, as a graph with a card that tells its ways.

Such a network takes images of its own orientation, spacing and scale in patches of a fixed size. What the card says
under ``adopted`` is followed here; the rest of the road sees probabilities on a grid, as from a network of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, ModelError, Sequence, Structure, reorient
from spondyl.models.space import resample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Grid, Image
    from spondyl.models.card import ModelCard

    Floats = NDArray[np.float32]

TABLE = "adopted"
"""Table of the card."""

OVERLAP = 0.5
"""Share by which neighboring patches overlap, as nnU-Net has it (Isensee 2021, doi 10.1038/s41592-020-01008-z)."""

GAUSSIAN_SHARE = 1 / 8
"""Standard deviation of the weight of a patch's voxels over its size, as nnU-Net has it."""

LESION_WORDS = ("malignant", "benign", "lesion")
"""Words for classes of a network that outlines lesions; of the last nobody knows which of the two it is."""

BACKGROUND_WORDS = ("rest", "ignored")


@dataclass(frozen=True)
class Scaling:
    """How the signal of one channel is scaled.

    Parameters
    ----------
    kind : str
        ``"zscore"``, ``"unit"`` (smallest to 0, largest to 1), ``"window"`` (`low` to 0, `high` to 1), ``"clipped"``
        (cut at `low` and `high`, then less `mean` over `deviation`) or ``"none"``.
    nonzero : bool
        Whether mean and deviation are those of voxels that are not 0, and the others stay 0.
    low, high, mean, deviation : float
        As the kind needs them.
    """

    kind: str = "zscore"
    nonzero: bool = False
    low: float = 0.0
    high: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0


class Ways(NamedTuple):
    """What a card tells of an adopted network.

    Parameters
    ----------
    orientation : str
        Direction in which each axis of its input grows.
    spacing_mm : tuple of float
        Along these axes.
    patch : tuple of int
        Size of its input.
    channels : tuple of tuple of Sequence
        Sequences that may fill each channel, the preferred one first.
    scalings : tuple of Scaling
        One a channel.
    scale_first : bool
        Whether signal is scaled before it is resampled.
    crop : bool
        Whether the image is cropped to what is not 0 first.
    sigmoid : bool
        Whether classes are told independently.
    classes : tuple of str
        Meaning of the outputs.
    """

    orientation: str
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    channels: tuple[tuple[Sequence, ...], ...]
    scalings: tuple[Scaling, ...]
    scale_first: bool
    crop: bool
    sigmoid: bool
    classes: tuple[str, ...]


def is_adopted(card: ModelCard) -> bool:
    """Say whether a card is that of a network made elsewhere.

    Parameters
    ----------
    card : ModelCard
        Any card.

    Returns
    -------
    bool
        True if it tells ways of its own.
    """
    return TABLE in card.details


def ways_of(card: ModelCard) -> Ways:
    """Read what a card tells of an adopted network.

    Parameters
    ----------
    card : ModelCard
        The card.

    Returns
    -------
    Ways
        How to run it.

    Raises
    ------
    ModelError
        If something is missing or not known.
    """
    table: Mapping[str, Any] = card.details.get(TABLE, {})
    try:
        channels = tuple(tuple(Sequence(s) for s in names) for names in table["channels"])
        ways = Ways(
            str(table["orientation"]),
            tuple(float(s) for s in table["spacing_mm"]),  # type: ignore[arg-type]
            tuple(int(n) for n in table["patch"]),  # type: ignore[arg-type]
            channels,
            tuple(Scaling(**s) for s in table["scalings"]),
            bool(table["scale_first"]),
            bool(table["crop"]),
            bool(table["sigmoid"]),
            tuple(table["classes"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the card of {card.name} does not tell how to run it ({type(error).__name__}: {error}); adopt it again"
        raise ModelError(msg) from error
    if len(ways.channels) != len(ways.scalings) or not ways.channels or not ways.classes:
        msg = f"the card of {card.name} must tell a scaling for each channel, and its classes; adopt it again"
        raise ModelError(msg)
    return ways


def sequences_for(ways: Ways, images: Mapping[Sequence, Image]) -> tuple[Sequence, ...]:
    """Choose the sequence for each channel.

    Parameters
    ----------
    ways : Ways
        What the network takes.
    images : mapping of Sequence to Image
        What the study has.

    Returns
    -------
    tuple of Sequence
        One a channel; empty where one cannot be filled.
    """
    chosen = [next((s for s in names if s in images), None) for names in ways.channels]
    return tuple(s for s in chosen if s is not None) if None not in chosen else ()


class Graph(Protocol):
    """What runs a patch; `spondyl.models.OpenVinoNetwork` is one."""

    @property
    def card(self) -> ModelCard:
        """What it is and how it is run."""

    def run(self, *inputs: Floats) -> list[Floats]:
        """Run the graph.

        Parameters
        ----------
        *inputs : ndarray of float32
            The patch, shape (1, n_channels, *patch).

        Returns
        -------
        list of ndarray of float32
            Logits, shape (1, n_classes, *patch).
        """


def look(images: Mapping[Sequence, Image], network: Any) -> tuple[Grid, Floats, tuple[Sequence, ...]]:
    """Run an adopted network on a study.

    Parameters
    ----------
    images : mapping of Sequence to Image
        What the study has.
    network : Graph
        The network.

    Returns
    -------
    grid : Grid
        Orientation ``LIP``, with the spacing at which the network works.
    probabilities : ndarray of float32, shape (n_classes, *grid.shape)
        Of each class.
    sequences : tuple of Sequence
        What it looked at.

    Raises
    ------
    ModelError
        If the study lacks a sequence that the network takes, or its card does not fit its graph.
    """
    ways = ways_of(network.card)
    chosen = sequences_for(ways, images)
    if not chosen:
        wanted = ", ".join("/".join(names) for names in ways.channels)
        msg = f"{network.card.name} looks at {wanted}, the study has {', '.join(images)}; name another model"
        raise ModelError(msg)
    volume, grid = prepared([images[s] for s in chosen], ways)
    logits = tiled(volume, network, ways)
    return *_turned(_probabilities(logits, ways), grid), chosen


def prepared(images: list[Image], ways: Ways) -> tuple[Floats, Grid]:
    """Bring images to what an adopted network takes.

    Parameters
    ----------
    images : list of Image
        One a channel; all are brought onto the grid of the first.
    ways : Ways
        What it takes.

    Returns
    -------
    volume : ndarray of float32, shape (n_channels, i, j, k)
        Scaled signal.
    grid : Grid
        Where its voxels are, in the network's orientation.
    """
    grid = images[0].grid.reoriented(ways.orientation)
    arrays = []
    for image in images:
        own = image.grid.reoriented(ways.orientation)
        turned = reorient(np.asarray(image.array, np.float32), image.grid.orientation, ways.orientation)
        arrays.append(turned if own.same_space(grid) else resample(turned, own, grid))
    volume = np.stack(arrays).astype(np.float32)
    if ways.crop:
        volume, grid = _cropped(volume, grid)
    if ways.scale_first:
        volume = _scaled(volume, ways)
    coarse = grid.resampled(ways.spacing_mm)
    volume = np.stack([resample(channel, grid, coarse) for channel in volume]).astype(np.float32)
    return (volume if ways.scale_first else _scaled(volume, ways)), coarse


def _cropped(volume: Floats, grid: Grid) -> tuple[Floats, Grid]:
    boxes = ndimage.find_objects((volume != 0).any(0).astype(np.uint8))
    if not boxes:
        return volume, grid
    affine = grid.affine.copy()
    affine[:3, 3] = grid.ijk_to_lps([s.start for s in boxes[0]])
    part = volume[(slice(None), *boxes[0])]
    shape = (int(part.shape[1]), int(part.shape[2]), int(part.shape[3]))
    return part, type(grid)(shape, affine, grid.frame_of_reference)


def _scaled(volume: Floats, ways: Ways) -> Floats:
    return np.stack([scaled(c, s) for c, s in zip(volume, ways.scalings, strict=True)]).astype(np.float32)


def scaled(channel: Floats, scaling: Scaling) -> Floats:
    """Scale the signal of one channel.

    Parameters
    ----------
    channel : ndarray of float32
        Signal.
    scaling : Scaling
        How.

    Returns
    -------
    ndarray of float32
        Scaled signal.

    Raises
    ------
    ModelError
        If the kind is not known.
    """
    if scaling.kind == "none":
        return channel
    if scaling.kind == "unit":
        low, high = float(channel.min()), float(channel.max())
        return np.asarray((channel - low) / max(high - low, 1e-8), np.float32)
    if scaling.kind == "window":
        return np.clip((channel - scaling.low) / max(scaling.high - scaling.low, 1e-8), 0, 1).astype(np.float32)
    if scaling.kind == "clipped":
        moved = np.clip(channel, scaling.low, scaling.high) - scaling.mean
        return np.asarray(moved / max(scaling.deviation, 1e-8), np.float32)
    if scaling.kind != "zscore":
        msg = f"a scaling of kind {scaling.kind!r} is not known; adopt the network again with this version"
        raise ModelError(msg)
    counted = channel[channel != 0] if scaling.nonzero and (channel != 0).any() else channel
    moved = ((channel - counted.mean()) / max(float(counted.std()), 1e-8)).astype(np.float32)
    return np.asarray(np.where(channel != 0, moved, 0) if scaling.nonzero else moved, np.float32)


def tiled(volume: Floats, network: Any, ways: Ways) -> Floats:
    """Run a network patch by patch and blend what overlaps.

    Parameters
    ----------
    volume : ndarray of float32, shape (n_channels, i, j, k)
        Input of any size.
    network : Graph
        Runs a patch.
    ways : Ways
        Tells its size.

    Returns
    -------
    ndarray of float32, shape (n_classes, i, j, k)
        Logits, or whatever the graph gives.

    Raises
    ------
    ModelError
        If the graph gives another number of classes than the card tells.
    """
    shape = volume.shape[1:]
    padded = np.pad(volume, [(0, 0), *((0, max(p - n, 0)) for n, p in zip(shape, ways.patch, strict=True))])
    total = np.zeros((len(ways.classes), *padded.shape[1:]), np.float32)
    weight, counted = _gaussian(ways.patch), np.zeros(padded.shape[1:], np.float32)
    for corner in product(*(_steps(n, p) for n, p in zip(padded.shape[1:], ways.patch, strict=True))):
        box = tuple(slice(c, c + p) for c, p in zip(corner, ways.patch, strict=True))
        (found, *_) = network.run(np.ascontiguousarray(padded[(slice(None), *box)])[None])
        if found.shape != (1, len(ways.classes), *ways.patch):
            msg = f"{network.card.name} gives shape {found.shape}, its card tells {len(ways.classes)} classes"
            raise ModelError(msg)
        total[(slice(None), *box)] += found[0] * weight
        counted[box] += weight
    return np.asarray(total / counted, np.float32)[:, : shape[0], : shape[1], : shape[2]]


def _steps(size: int, patch: int) -> list[int]:
    """Corners of patches along an axis, evenly spread, overlapping at least as wanted."""
    n = int(np.ceil((size - patch) / (patch * (1 - OVERLAP)))) + 1 if size > patch else 1
    return [round(float(c)) for c in np.linspace(0, size - patch, n)]


def _gaussian(patch: tuple[int, int, int]) -> Floats:
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * GAUSSIAN_SHARE)) ** 2) for n in patch]
    weight = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None]
    return np.maximum(weight, weight.max() * 1e-3).astype(np.float32)


def _probabilities(logits: Floats, ways: Ways) -> Floats:
    if ways.sigmoid:
        return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    shifted = np.exp(logits - logits.max(axis=0))
    return np.asarray(shifted / shifted.sum(axis=0), np.float32)


def _turned(probabilities: Floats, grid: Grid) -> tuple[Grid, Floats]:
    turned = grid.reoriented(SAGITTAL)
    return turned, np.stack([reorient(p, grid.orientation, SAGITTAL) for p in probabilities])


def as_structures(probabilities: Floats, ways: Ways) -> Floats:
    """Give probabilities of classes as those of structures.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n_classes, ...)
        Of each class.
    ways : Ways
        Tells their meaning; of joined structures the first takes it all.

    Returns
    -------
    ndarray of float32, shape (n_structures, ...)
        Summing to 1.
    """
    found = np.zeros((len(Structure), *probabilities.shape[1:]), np.float32)
    for p, meaning in zip(probabilities, ways.classes, strict=True):
        if meaning not in BACKGROUND_WORDS:
            found[Structure[meaning.split("+")[0].upper()]] += p
    total = found.sum(0)
    found /= np.maximum(total, 1)
    found[Structure.BACKGROUND] += 1 - np.minimum(total, 1)
    return found


def as_lesions(probabilities: Floats, ways: Ways) -> Floats:
    """Give probabilities of classes as those of normal, benign and malignant.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n_classes, ...)
        Of each class.
    ways : Ways
        Tells their meaning; a lesion of which nobody knows what it is counts half as either.

    Returns
    -------
    ndarray of float32, shape (3, ...)
        Summing to 1.
    """
    found = np.zeros((3, *probabilities.shape[1:]), np.float32)
    shares = {"benign": (1.0, 0.0), "malignant": (0.0, 1.0), "lesion": (0.5, 0.5)}
    for p, meaning in zip(probabilities, ways.classes, strict=True):
        if meaning in shares:
            found[1] += shares[meaning][0] * p
            found[2] += shares[meaning][1] * p
    total = found.sum(0)
    found /= np.maximum(total, 1)
    found[0] = 1 - np.minimum(total, 1)
    return found
