"""Studies whose lesions somebody outlined, as training sees them: in the network's channels, and as patches from there.

A study is brought to the network's channels once; patches are then cut from there, turned, mirrored and changed in
intensity, and sequences are left out at random, so that the network keeps working on any subset.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from spondyl.core import SAGITTAL, InputError, reorient
from spondyl.models.space import resample
from spondyl.models.study import inside
from spondyl.models.study_inputs import QUANTITATIVE, TISSUES, Slot
from spondyl.training.lesion_synthesis import LESION_SHARE, PATCH_SHAPE, REACH_PIXELS
from spondyl.training.render import IN_PLANE_MM
from spondyl.training.volumes import AnnotatedPatches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import LabelMap
    from spondyl.models.study import Study

NORMAL, BENIGN, MALIGNANT = 1, 2, 4
"""Bits of the network's classes in a target."""

LESION, UNKNOWN = BENIGN | MALIGNANT, NORMAL | BENIGN | MALIGNANT
"""A lesion of which nobody knows what it is; a voxel of which nothing is known."""

WORDS = {"malignant": MALIGNANT, "benign": BENIGN, "lesion": LESION}
"""Words for what is outlined; besides them ``rest`` and ``ignored``."""

OTHER_WORDS = {"rest": NORMAL, "ignored": UNKNOWN}

KEPT_SLOT_SHARE = 0.7
"""Share of a study's sequences that a patch keeps, on average; one at least. Chosen by us."""

GAIN, OFFSET, NOISE = 0.12, 0.08, 0.05
"""Standard deviations of the changes of intensity, relative to the spine's mean signal. Chosen by us."""


@dataclass(frozen=True, eq=False)
class WorkingStudy:
    """An annotated study in the space and channels that the network works in.

    Parameters
    ----------
    number : int
        Its place in the data set.
    patient : str
        Whose it is.
    channels : ndarray of float16, shape (N_CHANNELS, n_left, n_inferior, n_posterior)
        See `spondyl.models.study_inputs`.
    facts : ndarray of float32, shape (N_FACTS,)
        What is told of the whole study.
    target : ndarray of int16, shape (n_left, n_inferior, n_posterior)
        What each voxel may be: bits of `NORMAL`, `BENIGN` and `MALIGNANT`.
    spacing_mm : tuple of float
        Voxel size.
    """

    number: int
    patient: str
    channels: NDArray[np.float16]
    facts: NDArray[np.float32]
    target: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]

    @property
    def spine(self) -> NDArray[np.bool_]:
        """Where the spine is."""
        return np.asarray(self.channels[len(Slot) :].astype(np.float32).sum(0) > 0.5)


def names_lesions(words: Mapping[str, str]) -> bool:
    """Say whether the meaning of a label map speaks of lesions.

    Parameters
    ----------
    words : mapping of str to str
        What its values mean.

    Returns
    -------
    bool
        True if any value is one of `WORDS`.
    """
    return any(text.strip().lower() in WORDS for text in words.values())


def read_lesion_meanings(words: Mapping[str, str]) -> dict[str, int]:
    """Read what the values of a label map of lesions mean.

    Parameters
    ----------
    words : mapping of str to str
        For each value, or ``"*"`` for every other value: a word of `WORDS`, ``"rest"`` or ``"ignored"``. Value 0 is
        ``"rest"`` unless it is named.

    Returns
    -------
    dict of str to int
        What each value allows.

    Raises
    ------
    InputError
        If a value or word is not known.
    """
    known = WORDS | OTHER_WORDS
    given = {value.strip(): text.strip().lower() for value, text in {"0": "rest", **words}.items()}
    for value, text in given.items():
        if text not in known or not (value == "*" or value.isdigit()):
            msg = (
                f"a label map of lesions wants values that mean {', '.join(known)}, such as 1=malignant; got "
                f"{value}={text}; outlines of the spine and of its lesions are trained apart"
            )
            raise InputError(msg)
    return {value if value == "*" else str(int(value)): known[text] for value, text in given.items()}


def prepare_study(
    number: int, patient: str, study: Study, labels: LabelMap, meanings: Mapping[str, int]
) -> WorkingStudy:
    """Put a study and the outlines of its lesions together.

    Parameters
    ----------
    number : int
        Its place in the data set.
    patient : str
        Whose it is.
    study : Study
        From `spondyl.models.study.study_of`.
    labels : LabelMap
        Lesions, on the voxels of any image of the study.
    meanings : mapping of str to int
        From `read_lesion_meanings`.

    Returns
    -------
    WorkingStudy
        Far from the spine, and where the outlined image does not reach, nothing is known.

    Raises
    ------
    InputError
        If a value has no meaning, or a lesion lies nowhere near the spine that was found.
    """
    turned = labels.grid.reoriented(SAGITTAL)
    array = reorient(labels.array, labels.grid.orientation, SAGITTAL)
    values = resample(array, turned, study.grid, order=0)
    target, drawn = np.zeros(values.shape, np.int16), False
    for value in np.unique(array):
        meaning = meanings.get(str(int(value)), meanings.get("*") if value else None)
        if meaning is None:
            msg = f"value {value} in the labels of study {number} of the data has no meaning; give it one, or use *"
            raise InputError(msg)
        target[values == value] = meaning
        drawn |= meaning in WORDS.values()
    target[~inside(turned, study.grid)] = UNKNOWN
    made = WorkingStudy(number, patient, study.channels.astype(np.float16), study.facts, target, study.grid.spacing_mm)
    if drawn and not np.isin(target, (*WORDS.values(),)).any():
        msg = f"the lesions of study {number} of the data lie outside the spine that was found; check its labels"
        raise InputError(msg)
    near = ndimage.maximum_filter(made.spine, size=(3, 2 * REACH_PIXELS + 1, 2 * REACH_PIXELS + 1))
    target[~near & (target == NORMAL)] = UNKNOWN
    return made


def draw_study_patch(study: WorkingStudy, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Draw one patch.

    Parameters
    ----------
    study : WorkingStudy
        Where it is drawn from.
    rng : numpy.random.Generator
        Source of all variation.

    Returns
    -------
    channels : Tensor of float32, shape (N_CHANNELS, *PATCH_SHAPE)
        Network input.
    facts : Tensor of float32, shape (N_FACTS,)
        What is told of the whole study.
    target : Tensor of int64, shape PATCH_SHAPE
        What each voxel may be; everything outside the study.
    """
    index = _places(study, rng)
    size = index.new_tensor(study.target.shape)[:, None, None, None]
    outside = ((index < -0.5) | (index > size - 0.5)).any(0)
    at = (2 * index / (size - 1).clamp_min(1) - 1).flip(0).permute(1, 2, 3, 0)[None]
    whole = torch.from_numpy(study.channels.astype(np.float32))[None]
    channels = functional.grid_sample(whole, at, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
    nearest = [index[a].round().long().clamp(0, n - 1) for a, n in enumerate(study.target.shape)]
    target = torch.from_numpy(study.target)[tuple(nearest)].long()
    target[outside] = UNKNOWN
    channels, facts = _changed(channels, torch.from_numpy(study.facts.copy()), rng)
    return channels, facts, target


StudyPatches = partial(AnnotatedPatches, draw=draw_study_patch)
"""Patches of annotated studies."""


def _places(study: WorkingStudy, rng: np.random.Generator) -> torch.Tensor:
    """Voxel index in the study of every patch voxel: around a lesion, or else somewhere on the spine."""
    spacing, size = np.asarray(study.spacing_mm), np.asarray(study.target.shape)
    lesions = np.argwhere(np.isin(study.target, (*WORDS.values(),)))
    somewhere = lesions if len(lesions) and rng.random() < LESION_SHARE else np.argwhere(study.spine)
    center = somewhere[rng.integers(len(somewhere))] if len(somewhere) else size / 2
    center_mm = center * spacing + rng.uniform([-8, -25, -18], [8, 25, 18])
    # A patch that reaches far beyond the study would teach nothing there.
    half = np.asarray(PATCH_SHAPE) / 2 * [spacing[0], IN_PLANE_MM, IN_PLANE_MM]
    low = np.minimum(half, size * spacing / 2) * 0.9
    center_mm = np.clip(center_mm, low, np.maximum(size * spacing - low, low))
    turn = np.eye(3)
    for axis, sigma in ((0, 8), (1, 4), (2, 4)):
        turn = turn @ _turned(axis, np.radians(rng.normal(0, sigma)))
    mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1, 1])
    matrix = turn @ mirror / (np.exp(rng.normal(0, 0.05, 3)) * np.exp(rng.normal(0, 0.08)))
    steps = (float(spacing[0]), IN_PLANE_MM, IN_PLANE_MM)
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip(PATCH_SHAPE, steps, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).float()
    places = torch.einsum("ab,bijk->aijk", torch.as_tensor(matrix, dtype=torch.float32), grid)
    places = places + torch.as_tensor(center_mm, dtype=torch.float32)[:, None, None, None]
    return places / places.new_tensor(spacing)[:, None, None, None]


def _turned(axis: int, angle: float) -> NDArray[np.float64]:
    i, j = (a for a in range(3) if a != axis)
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _changed(
    channels: torch.Tensor, facts: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave out sequences, and change the intensity of the others; medians in the facts follow."""
    per_slot = 1 + len(TISSUES)
    table = facts.reshape(len(Slot), per_slot)
    given = [i for i in range(len(Slot)) if table[i, 0] > 0]
    keep = [i for i in given if rng.random() < KEPT_SLOT_SHARE] or [int(rng.choice(given))] if given else []
    for i, slot in enumerate(Slot):
        if i not in keep:
            channels[i], table[i] = 0, 0
            continue
        noise = torch.from_numpy(rng.normal(0, NOISE, tuple(channels[i].shape)).astype(np.float32))
        seen = (channels[i] != 0).float()
        gain, offset = (1.0, 0.0) if slot in QUANTITATIVE else (np.exp(rng.normal(0, GAIN)), rng.normal(0, OFFSET))
        channels[i] = (channels[i] * float(gain) + float(offset) + noise) * seen
        table[i, 1:] = table[i, 1:] * float(gain) + float(offset) * (table[i, 1:] != 0)
    return channels, table.reshape(-1)
