"""Bring any subset of a study's sequences to the channels that the lesion networks take.

Each sequence has a place of its own (`Slot`); a missing one is zero and said to be missing. Intensities are relative to
the patient's own spine around them, which takes scanner units and coil shading away; ADC and fat fraction keep their
units. Written against the array API, so that training does exactly what inference does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from spondyl.core import Structure
from spondyl.models.arrays import array_namespace
from spondyl.models.inputs import box_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Slot(StrEnum):
    """A place for one kind of contrast in the input of a lesion network."""

    T1 = "T1"
    T1CE = "T1CE"
    T2 = "T2"
    FLUID = "FLUID"
    WATER = "WATER"
    DWI = "DWI"
    ADC = "ADC"
    FAT_FRACTION = "FAT_FRACTION"


QUANTITATIVE = {Slot.ADC: (1e-3, 1.0), Slot.FAT_FRACTION: (2.0, 1.0)}
"""Slots with a unit of their own: factor and offset that bring 10⁻⁶ mm²/s and a fraction to numbers around zero."""

NEIGHBORHOOD_MM = (24.0, 70.0, 70.0)
"""Size of the box, applied twice, over which the spine's signal is averaged: more than two vertebrae. Chosen by us."""

HIGHEST = 9.0
"""Intensities are cut at this multiple of the spine's mean."""

TISSUES = (
    (Structure.BODY,),
    (Structure.DISC,),
    (Structure.CANAL, Structure.CORD),
)
"""Tissues whose medians describe the contrast: marrow, discs, and what the canal holds."""

SHAPE_CHANNELS = (
    (Structure.BODY, Structure.CORTEX, Structure.S1),
    (Structure.POSTERIOR, Structure.SACRUM),
    (Structure.DISC,),
    (Structure.CANAL, Structure.CORD),
)
"""Structures whose probabilities are channels of the input, summed in groups."""

N_CHANNELS = len(Slot) + len(SHAPE_CHANNELS)
N_FACTS = len(Slot) * (1 + len(TISSUES))

MIN_VOXELS = 20
"""A tissue with fewer voxels than this has no median; zero stands for it."""


class StudyInput(NamedTuple):
    """What a lesion network takes of one study.

    Parameters
    ----------
    channels : array of float32, shape (N_CHANNELS, n_left, n_inferior, n_posterior)
        One channel for each `Slot`, then one for each group of `SHAPE_CHANNELS`.
    facts : array of float32, shape (N_FACTS,)
        For each slot: 1 where it was given, and the medians of `TISSUES` in its channel.
    """

    channels: Any
    facts: Any


def study_input(images: Mapping[Slot, Any], structures: Any, spacing_mm: Sequence[float]) -> StudyInput:
    """Turn the sequences of a study, on one grid, into network input.

    Parameters
    ----------
    images : mapping of Slot to array, each of shape (n_left, n_inferior, n_posterior)
        Signal in orientation ``LIP``; ADC in 10⁻⁶ mm²/s, fat fraction from 0 to 1; NaN outside the field of view.
    structures : array of float32, shape (n_structures, n_left, n_inferior, n_posterior)
        Probability of each `Structure`.
    spacing_mm : sequence of float
        Spacing along each axis, in mm.

    Returns
    -------
    StudyInput
        Channels and facts, of the kind of array that `structures` is.
    """
    xp = array_namespace(structures)
    spine = 1 - structures[int(Structure.BACKGROUND)]
    empty = xp.zeros_like(spine)
    channels, facts = [], []
    for slot in Slot:
        image = images.get(slot)
        if image is None:
            channels.append(empty)
            facts.append(xp.zeros(1 + len(TISSUES), dtype=xp.float32, device=structures.device))
            continue
        channel = slot_channel(slot, image, spine, spacing_mm)
        medians = [_median(channel, sum(structures[int(s)] for s in tissue) > 0.5) for tissue in TISSUES]
        channels.append(channel)
        facts.append(xp.stack([xp.ones_like(medians[0]), *medians]))
    shapes = [sum(structures[int(s)] for s in group) for group in SHAPE_CHANNELS]
    return StudyInput(xp.stack([*channels, *shapes]), xp.concat(facts))


def slot_channel(slot: Slot, image: Any, spine: Any, spacing_mm: Sequence[float]) -> Any:
    """Turn one sequence into its channel.

    Parameters
    ----------
    slot : Slot
        What the image shows.
    image : array, shape (n_left, n_inferior, n_posterior)
        Signal; NaN outside the field of view.
    spine : array of float32, same shape
        Probability of belonging to the spine.
    spacing_mm : sequence of float
        Spacing along each axis, in mm.

    Returns
    -------
    array of float32, same shape
        Zero at the spine's mean signal and outside the field of view; compressed above.
    """
    xp = array_namespace(image)
    image = xp.astype(image, xp.float32)
    seen = xp.isfinite(image)
    image = xp.where(seen, image, xp.zeros_like(image))
    if slot in QUANTITATIVE:
        factor, offset = QUANTITATIVE[slot]
        return xp.where(seen, xp.clip(image * factor - offset, -1.0, 3.0), xp.zeros_like(image))
    half = [max(1, round(size / s / 2)) for size, s in zip(NEIGHBORHOOD_MM, spacing_mm, strict=True)]
    weight = xp.where(seen, spine, xp.zeros_like(spine)) + 1e-4
    total = box_mean(box_mean(image * weight, half), half) / box_mean(box_mean(weight, half), half)
    floor = xp.max(total) * 1e-3 + 1e-12
    ratio = xp.clip(image / xp.clip(total, floor, None), 0.0, HIGHEST)
    return xp.where(seen, 2.0 * xp.sqrt(ratio) - 2.0, xp.zeros_like(image))


def _median(channel: Any, where: Any) -> Any:
    xp = array_namespace(channel)
    values = channel[where]
    if values.shape[0] < MIN_VOXELS:
        return xp.sum(channel[:1, :1, :1]) * 0.0
    return xp.sort(values)[values.shape[0] // 2]
