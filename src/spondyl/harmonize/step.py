"""First step of the road: choose the image that carries the result, and derive what only needs arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl import __version__
from spondyl.core import Case, Image, InputError, QualityFlag, Sequence, SettingsError, StepRecord
from spondyl.core.at_once import at_once
from spondyl.harmonize.image_quality import image_flags, noise_flags
from spondyl.harmonize.motion import motion_flags

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

USABLE = (
    Sequence.T2,
    Sequence.T1,
    Sequence.STIR,
    Sequence.T2FS,
    Sequence.DIXON_WATER,
    Sequence.DIXON_IN,
    Sequence.PD,
    Sequence.T1CE,
    Sequence.DIXON_OUT,
    Sequence.DIXON_FAT,
    Sequence.UNKNOWN,
    Sequence.DWI,
    Sequence.ADC,
)
"""Sequences in the order in which they are chosen as reference: T2 shows canal and discs best. Chosen by us."""


MARROW = (Sequence.T1, Sequence.T1CE, Sequence.T2, Sequence.STIR, Sequence.T2FS)
"""Sequences on which lesions are looked for whichever is the reference, so that noise in any of them matters."""


@dataclass(frozen=True)
class HarmonizeSettings:
    """Settings of the step.

    Parameters
    ----------
    reference : str
        Sequence whose grid carries the result; empty to choose.
    min_b_value_s_mm2 : float
        Lowest b-value that counts as diffusion weighting when ADC is computed.

    Raises
    ------
    SettingsError
        If the reference is not a sequence.
    """

    reference: str = ""
    min_b_value_s_mm2: float = 200.0

    def __post_init__(self) -> None:
        if self.reference and self.reference not in [s.value for s in Sequence]:
            msg = f"harmonize.reference is one of {', '.join(s.value for s in Sequence)}, got {self.reference!r}"
            raise SettingsError(msg)


def harmonize(case: Case, settings: HarmonizeSettings) -> Case:
    """Choose the reference image and compute ADC where only b-value images came.

    Parameters
    ----------
    case : Case
        The images as read.
    settings : HarmonizeSettings
        How.

    Returns
    -------
    Case
        With `reference`, and ADC among the images where it could be computed.

    Raises
    ------
    InputError
        If there is no image, or not the one the settings name.
    """
    images = dict(case.images)
    computed = None
    if Sequence.ADC not in images:
        computed = _computed_adc([*images.values(), *case.others], settings.min_b_value_s_mm2)
        if computed is not None:
            images[Sequence.ADC] = computed
    reference = _choose_reference(images, settings.reference)
    methods = f"The {reference.value} series carries all results."
    if computed is not None:
        methods += " ADC was computed voxel by voxel from the lowest and highest b-value (mono-exponential)."
    record = StepRecord("harmonize", __version__, asdict(settings), methods=methods)
    case = case.with_(images=images, reference=reference, history=(*case.history, record))
    plane = images[reference].grid.plane
    if plane != "sagittal":
        text = f"No sagittal series: the {reference.value} series is {plane}, so outlines follow its thick slices."
        case = case.flagged(QualityFlag("no_sagittal_series", text, where=reference.value))
    others = [images[s] for s in MARROW if s in images and s is not reference]
    flags = [*image_flags(images[reference]), *(flag for image in others for flag in noise_flags(image))]
    moved = at_once(motion_flags, [images[reference], *others])
    return case.flagged(*flags, *(flag for found in moved for flag in found))


def _choose_reference(images: dict[Sequence, Image], wanted: str) -> Sequence:
    if not images:
        msg = "a study needs at least one MR image, got none; check the folder given"
        raise InputError(msg)
    if wanted:
        if Sequence(wanted) not in images:
            have = ", ".join(s.value for s in images)
            msg = f"the reference sequence {wanted} is wanted, the study has {have}; change harmonize.reference"
            raise InputError(msg)
        return Sequence(wanted)
    return min(images, key=lambda s: (images[s].grid.plane != "sagittal", USABLE.index(s)))


def _computed_adc(images: Ordered[Image], min_b: float) -> Image | None:
    """ADC in 10⁻⁶ mm²/s from the lowest and highest b-value on one grid, or None."""
    weighted = [i for i in images if i.sequence is Sequence.DWI and i.acquisition.b_value_s_mm2 is not None]
    weighted.sort(key=lambda i: i.acquisition.b_value_s_mm2 or 0.0)
    if len(weighted) < 2:
        return None
    low, high = weighted[0], weighted[-1]
    b_low, b_high = low.acquisition.b_value_s_mm2 or 0.0, high.acquisition.b_value_s_mm2 or 0.0
    if b_high < min_b or b_high - b_low < min_b or not low.grid.same_space(high.grid):
        return None
    floor = 1e-3 * float(np.percentile(low.array, 99.0)) + 1e-6
    ratio = np.log(np.maximum(low.array, floor) / np.maximum(high.array, floor))
    adc = np.clip(ratio / (b_high - b_low) * 1e6, 0, 4000)
    adc[low.array < 20 * floor] = 0
    return Image(
        adc.astype(np.float32),
        low.grid,
        Sequence.ADC,
        min(low.sequence_confidence, high.sequence_confidence),
        low.acquisition,
    )
