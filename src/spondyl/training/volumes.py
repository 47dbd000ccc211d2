"""Annotated images of real patients as training sees them: in the network's space, and as patches drawn from there.

Who reads the files hands in `AnnotatedImage` records; this module knows no file format.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.transforms import Compose, RandAdjustContrast, RandBiasField, RandGaussianNoise, RandGaussianSmooth
from torch.nn import functional
from torch.utils.data import IterableDataset, get_worker_info

from spondyl.core import SAGITTAL, InputError, reorient
from spondyl.models.contrast_code import code_of, one_hot
from spondyl.models.inputs import input_channels
from spondyl.models.space import WorkingSpace, resample, to_working_space, working_grid
from spondyl.training.partial import ANY_VALUE, EVERYTHING
from spondyl.training.render import IN_PLANE_MM, PATCH_SHAPE, SLICE_MM, Pose, smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from spondyl.core import Image, LabelMap

WORKING_SPACE = WorkingSpace((sum(SLICE_MM) / 2, IN_PLANE_MM, IN_PLANE_MM), SLICE_MM)
"""Where the network that outlines the spine works."""

OUTLINED_SHARE = 0.8
"""Share of the patches whose center is drawn from what is outlined; the rest lies anywhere. Chosen by us."""

INTENSITY_SHARE = 0.4
"""Share of the patches that each change of intensity is applied to. Chosen by us."""


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image with what was outlined on it.

    Parameters
    ----------
    number : int
        Its place in the data set, from 1; what messages and tables call it.
    patient : str
        Whose it is; images of a patient are never split between training and testing, and the name is never written.
    image : Image
        The image.
    labels : LabelMap
        On the image's voxels.
    meanings : mapping of int to int
        What each value allows; see `spondyl.training.partial.read_meanings`.
    """

    number: int
    patient: str
    image: Image
    labels: LabelMap
    meanings: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class WorkingVolume:
    """An annotated image in the space that the network works in.

    Parameters
    ----------
    number : int
        Its place in the data set.
    patient : str
        Whose it is.
    array : ndarray of float32, shape (n_left, n_inferior, n_posterior)
        Signal.
    target : ndarray of int16, same shape
        What each voxel may be; see `spondyl.training.partial.allowed`.
    spacing_mm : tuple of float
        Voxel size.
    code : ndarray of float32, shape (4,)
        Kind of contrast.
    """

    number: int
    patient: str
    array: NDArray[np.float32]
    target: NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    code: NDArray[np.float32]


def prepare(annotated: AnnotatedImage) -> WorkingVolume:
    """Bring an annotated image into the space that the network works in.

    Parameters
    ----------
    annotated : AnnotatedImage
        In any orientation and spacing.

    Returns
    -------
    WorkingVolume
        Signal and target.

    Raises
    ------
    InputError
        If a value of the label map has no meaning, or nothing is outlined.
    """
    image, labels = annotated.image, annotated.labels
    grid = working_grid(image.grid, WORKING_SPACE)
    turned = image.grid.reoriented(SAGITTAL)
    values = resample(reorient(labels.array, image.grid.orientation, SAGITTAL), turned, grid, order=0)
    target = _target(values, annotated.meanings, annotated.number)
    if not (target & 1 == 0).any():
        msg = f"nothing is outlined on image {annotated.number} of the data; leave it out, or check its labels' meaning"
        raise InputError(msg)
    code = one_hot(code_of(image.sequence))[0]
    return WorkingVolume(
        annotated.number, annotated.patient, to_working_space(image, grid), target, grid.spacing_mm, code
    )


def _target(values: NDArray, meanings: Mapping[int, int], number: int) -> NDArray[np.int16]:
    target = np.zeros(values.shape, np.int16)
    for value in np.unique(values):
        meaning = meanings.get(int(value), meanings.get(ANY_VALUE) if value else None)
        if meaning is None:
            msg = f"value {value} in the labels of image {number} of the data has no meaning; give it one, or use *"
            raise InputError(msg)
        target[values == value] = meaning
    return target


class AnnotatedPatches(IterableDataset):
    """An endless stream of patches of annotated examples.

    Parameters
    ----------
    examples : sequence
        Where they are drawn from, all alike often.
    seed, start : int
        Of the run; `start` is new for every process and every start of a run.
    draw : callable
        Draws one patch of an example.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        seed: int,
        start: int,
        *,
        draw: Callable[[Any, np.random.Generator], tuple[torch.Tensor, ...]],
    ) -> None:
        self.examples, self.seed, self.start, self.draw = examples, seed, start, draw

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield one patch after the other.

        Yields
        ------
        tuple of Tensor
            A training example.
        """
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, self.start, 0 if worker is None else worker.id])
        while True:
            yield self.draw(self.examples[int(rng.integers(len(self.examples)))], rng)


def draw_patch(volume: WorkingVolume, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Draw one patch.

    Parameters
    ----------
    volume : WorkingVolume
        Where it is drawn from.
    rng : numpy.random.Generator
        Source of all variation.

    Returns
    -------
    image : Tensor of float32, shape (2, *PATCH_SHAPE)
        Network input.
    code : Tensor of float32, shape (4,)
        Kind of contrast.
    target : Tensor of int64, shape PATCH_SHAPE
        What each voxel may be; everything outside the image.
    """
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    index = _places(_sample_pose(volume, rng), volume.spacing_mm, rng, noise)
    size = index.new_tensor(volume.array.shape)[:, None, None, None]
    outside = ((index < -0.5) | (index > size - 0.5)).any(0)
    image = _interpolate(torch.from_numpy(volume.array), index, size)
    nearest = [index[a].round().long().clamp(0, n - 1) for a, n in enumerate(volume.target.shape)]
    target = torch.from_numpy(volume.target)[tuple(nearest)].long()
    target[outside] = EVERYTHING
    image = _changed(image, int(rng.integers(2**31)))
    channels = input_channels(image, (volume.spacing_mm[0], IN_PLANE_MM, IN_PLANE_MM))
    channels[0] = channels[0] * float(np.exp(rng.normal(0, 0.08))) + float(rng.normal(0, 0.05))
    return channels, torch.from_numpy(volume.code), target


VolumePatches = partial(AnnotatedPatches, draw=draw_patch)
"""Patches of annotated images, moved, turned, mirrored and changed in intensity."""


def _sample_pose(volume: WorkingVolume, rng: np.random.Generator) -> Pose:
    spacing, size = np.asarray(volume.spacing_mm), np.asarray(volume.array.shape)
    outlined = np.argwhere(volume.target[::2, ::4, ::4] & 1 == 0) * [2, 4, 4]
    if len(outlined) and rng.random() < OUTLINED_SHARE:
        center = outlined[rng.integers(len(outlined))] * spacing + rng.uniform([-8, -20, -30], [8, 20, 30])
    else:
        center = rng.uniform(0, 1, 3) * size * spacing
    # Patches that reach far beyond the image would teach nothing there.
    half = np.asarray(PATCH_SHAPE) / 2 * [volume.spacing_mm[0], IN_PLANE_MM, IN_PLANE_MM]
    low, high = np.minimum(half, size * spacing / 2) * 0.9, np.maximum(size * spacing - half, size * spacing / 2)
    center = np.clip(center, low, np.maximum(high, low))
    turn = [_turned(axis, np.radians(rng.normal(0, sigma))) for axis, sigma in ((0, 8), (1, 4), (2, 4))]
    mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1, 1])
    zoom = np.exp(rng.normal(0, 0.05, 3)) * np.exp(rng.normal(0, 0.08))
    return Pose(center, turn[0] @ turn[1] @ turn[2] @ mirror / zoom, volume.spacing_mm[0], volume.spacing_mm[0])


def _turned(axis: int, angle: float) -> NDArray[np.float64]:
    """Rotate about one axis."""
    i, j = (a for a in range(3) if a != axis)
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _places(
    pose: Pose, spacing_mm: tuple[float, float, float], rng: np.random.Generator, noise: torch.Generator
) -> torch.Tensor:
    """Voxel index in the volume of every patch voxel, slightly bent."""
    steps = (pose.slice_mm, IN_PLANE_MM, IN_PLANE_MM)
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip(PATCH_SHAPE, steps, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).float()
    places = torch.einsum("ab,bijk->aijk", torch.as_tensor(pose.matrix, dtype=torch.float32), grid)
    places = places + torch.as_tensor(pose.center_mm, dtype=torch.float32)[:, None, None, None]
    if rng.random() < 0.5:
        places = places + smooth((3, *PATCH_SHAPE), rng.uniform(20, 40), noise, grid.device) * rng.uniform(0, 1.0)
    return places / places.new_tensor(spacing_mm)[:, None, None, None]


def _interpolate(values: torch.Tensor, index: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    at = (2 * index / (size - 1).clamp_min(1) - 1).flip(0).permute(1, 2, 3, 0)[None]
    found = functional.grid_sample(values[None, None], at, mode="bilinear", padding_mode="border", align_corners=True)
    return found[0, 0]


def _changed(image: torch.Tensor, seed: int) -> torch.Tensor:
    """Change shading, contrast, sharpness and noise, as scanners differ in them."""
    low, high = torch.quantile(image[:, ::3, ::3], torch.tensor([0.005, 0.985]))
    scaled = ((image - low) / (high - low + 1e-6)).clamp(0, 3)
    change = Compose(
        [
            RandBiasField(degree=2, coeff_range=(-0.3, 0.3), prob=INTENSITY_SHARE),
            RandAdjustContrast(prob=INTENSITY_SHARE, gamma=(0.7, 1.5)),
            RandGaussianSmooth((0.01, 0.3), (0.3, 0.9), (0.3, 0.9), prob=INTENSITY_SHARE),
            RandGaussianNoise(prob=INTENSITY_SHARE, std=0.06),
        ]
    ).set_random_state(seed)
    changed = change(scaled[None])
    return torch.as_tensor(changed)[0].float()
