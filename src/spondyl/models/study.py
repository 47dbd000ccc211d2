"""Bring a localized case to the grid and channels of the networks that look at whole studies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, Grid, Sequence, Structure, reorient
from spondyl.models.space import needed, resample, to_working_space, working_grid
from spondyl.models.study_inputs import Slot, study_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Case, Image, LabelMap
    from spondyl.models.card import ModelCard
    from spondyl.models.space import WorkingSpace

SOURCES: dict[Slot, tuple[Sequence, ...]] = {
    Slot.T1: (Sequence.T1, Sequence.DIXON_IN),
    Slot.T1CE: (Sequence.T1CE,),
    Slot.T2: (Sequence.T2,),
    Slot.FLUID: (Sequence.STIR, Sequence.T2FS),
    Slot.WATER: (Sequence.DIXON_WATER,),
    Slot.DWI: (Sequence.DWI,),
    Slot.ADC: (Sequence.ADC,),
}
"""Sequences that can fill a slot, the preferred one first."""

MARGIN_MM = 15.0
"""How far around the spine the networks look. Chosen by us: beyond it nothing is reported."""

SEEN_SHARE = 0.2
"""Share of the spine that a series must show to be used. Chosen by us."""

DIM_SHARE = 0.05
"""Voxels darker than this share of the bright ones have no fat fraction worth the name. Chosen by us."""


class Study(NamedTuple):
    """A study as networks see it.

    Parameters
    ----------
    grid : Grid
        The working grid around the spine, in orientation ``LIP``.
    channels : ndarray of float32, shape (N_CHANNELS, *grid.shape)
        See `spondyl.models.study_inputs`.
    facts : ndarray of float32, shape (N_FACTS,)
        What is told of the whole study.
    slots : tuple of Slot
        Slots that were filled.
    sequences : tuple of Sequence
        Sequences that filled them.
    """

    grid: Grid
    channels: NDArray[np.float32]
    facts: NDArray[np.float32]
    slots: tuple[Slot, ...]
    sequences: tuple[Sequence, ...]


def study_of(case: Case, card: ModelCard | WorkingSpace) -> Study | None:
    """Give a localized case as networks see it.

    Parameters
    ----------
    case : Case
        With the label map ``"structures"``.
    card : ModelCard or WorkingSpace
        Tells the spacing of the working grid.

    Returns
    -------
    Study or None
        None where no sequence fits a slot, or there is no spine.
    """
    labels, images = case.labels["structures"], tuple(case.images.values())
    known, asked = _seen.setdefault(labels, {}), (card.spacing_mm, card.slice_range_mm, images)
    if asked not in known:
        known[asked] = _study_of(case, card)
    return known[asked]


def _study_of(case: Case, card: ModelCard | WorkingSpace) -> Study | None:
    labels = case.labels["structures"]
    grid = _around_spine(labels, working_grid(labels.grid, card))
    if grid is None:
        return None
    structures = structure_shares(labels, grid)
    spine = structures[int(Structure.BACKGROUND)] < 0.5
    images, used = _slot_images(case.images, grid)
    seen = {slot: float(np.isfinite(image)[spine].mean()) if spine.any() else 0.0 for slot, image in images.items()}
    images = {slot: image for slot, image in images.items() if seen[slot] >= SEEN_SHARE}
    if not images:
        return None
    channels, facts = study_input(images, structures, grid.spacing_mm)
    sequences = tuple(dict.fromkeys(s for slot in images for s in used[slot]))
    study = Study(grid, np.asarray(channels, np.float32), np.asarray(facts, np.float32), tuple(images), sequences)
    study.channels.setflags(write=False)  # several steps look at it
    study.facts.setflags(write=False)
    return study


_seen: WeakKeyDictionary[LabelMap, dict[tuple[object, ...], Study | None]] = WeakKeyDictionary()
"""By the outlines they were cut around, as long as these are in use: networks look at a case one after another, and
several want the same."""


def structure_shares(labels: LabelMap, grid: Grid) -> NDArray[np.float32]:
    """Sample a structure map on a working grid.

    Parameters
    ----------
    labels : LabelMap
        Values of `Structure`.
    grid : Grid
        Where they are wanted.

    Returns
    -------
    ndarray of float32, shape (n_structures, *grid.shape)
        Share of each structure; 1 or 0 but at borders.
    """
    turned = labels.grid.reoriented(SAGITTAL)
    array, near = needed(reorient(labels.array, labels.grid.orientation, SAGITTAL), turned, grid)
    shares = np.zeros((len(Structure), *grid.shape), np.float32)
    for structure in Structure:
        if structure is not Structure.BACKGROUND:
            shares[structure] = resample((array == structure).astype(np.float32), near, grid)
    seen = inside(turned, grid)
    shares *= seen
    shares[Structure.BACKGROUND] = 1 - shares.sum(0)
    return shares


def inside(source: Grid, target: Grid) -> NDArray[np.bool_]:
    """Say which voxel centers of one grid lie in the field of view of another.

    Parameters
    ----------
    source : Grid
        The field of view.
    target : Grid
        The voxels asked about.

    Returns
    -------
    ndarray of bool, shape ``target.shape``
        True where they do, half a voxel beyond the outermost centers included.
    """
    step = np.linalg.inv(source.affine) @ target.affine
    axes = [np.arange(n).reshape([-1 if a == b else 1 for b in range(3)]) for a, n in enumerate(target.shape)]
    found = np.ones(target.shape, bool)
    for row, n in zip(step[:3], source.shape, strict=True):
        at = row[0] * axes[0] + row[1] * axes[1] + row[2] * axes[2] + row[3]
        found &= (at > -0.75) & (at < n - 0.25)
    return found


def _around_spine(labels: LabelMap, grid: Grid) -> Grid | None:
    """The part of a working grid that holds the spine and its margin."""
    boxes = ndimage.find_objects((labels.array > 0).astype(np.uint8))
    if not boxes:
        return None
    corners = np.stack(np.meshgrid(*[[s.start - 0.5, s.stop - 0.5] for s in boxes[0]], indexing="ij"), -1)
    ends = grid.lps_to_ijk(labels.grid.ijk_to_lps(corners.reshape(-1, 3)))
    margin = MARGIN_MM / np.asarray(grid.spacing_mm)
    first = np.clip(np.floor(ends.min(0) - margin).astype(int), 0, np.asarray(grid.shape) - 1)
    last = np.clip(np.ceil(ends.max(0) + margin).astype(int) + 1, first + 1, grid.shape)
    return grid.part(tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True)))


def _slot_images(
    images: Mapping[Sequence, Image], grid: Grid
) -> tuple[dict[Slot, NDArray[np.float32]], dict[Slot, tuple[Sequence, ...]]]:
    """The image of each slot on the grid, NaN outside its field of view, and the sequences it was made of."""

    def on_grid(sequence: Sequence) -> NDArray[np.float32]:
        image = images[sequence]
        sampled = to_working_space(image, grid)
        return np.where(inside(image.grid, grid), sampled, np.float32(np.nan)).astype(np.float32)

    found: dict[Slot, NDArray[np.float32]] = {}
    used: dict[Slot, tuple[Sequence, ...]] = {}
    for slot, sources in SOURCES.items():
        chosen = next((s for s in sources if s in images), None)
        if chosen is not None:
            found[slot], used[slot] = on_grid(chosen), (chosen,)
    pair = dixon_pair(images)
    if pair is not None:
        first, second = (on_grid(s) for s in pair)
        opposed = pair[0] is Sequence.DIXON_IN
        half = np.float32(0.5)
        water, fat = (half * (first + second), half * (first - second)) if opposed else (first, second)
        found.setdefault(Slot.WATER, water)
        used.setdefault(Slot.WATER, pair)
        found[Slot.FAT_FRACTION], used[Slot.FAT_FRACTION] = _fat_fraction(water, fat), pair
    return {slot: found[slot] for slot in Slot if slot in found}, used


def dixon_pair(images: Mapping[Sequence, Image]) -> tuple[Sequence, Sequence] | None:
    """Say which two images give a fat fraction.

    Parameters
    ----------
    images : mapping of Sequence to Image
        Images of a study.

    Returns
    -------
    tuple of Sequence or None
        Water and fat, or in and opposed phase; None where neither pair is there.
    """
    pairs = ((Sequence.DIXON_WATER, Sequence.DIXON_FAT), (Sequence.DIXON_IN, Sequence.DIXON_OUT))
    return next((pair for pair in pairs if all(s in images for s in pair)), None)


def _fat_fraction(water: NDArray[np.float32], fat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fat over the sum; NaN where both are missing, and near zero where both are dark."""
    total = np.abs(water) + np.abs(fat)
    bright = float(np.nanquantile(total, 0.95)) if np.isfinite(total).any() else 0.0
    return np.clip(np.maximum(fat, 0) / np.maximum(total, DIM_SHARE * bright + 1e-6), 0, 1).astype(np.float32)
