"""Where a training patch lies in a stored anatomy, and what lies there. Runs on whatever device it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from spondyl.core import Structure
from spondyl.training.anatomies import SPACING_MM, StoredAnatomy
from spondyl.training.contrast import N_INSTANCES

if TYPE_CHECKING:
    from torch import Tensor

PATCH_SHAPE = (16, 128, 112)
"""Voxels of a patch to the left, inferior and posterior."""

IN_PLANE_MM = 1.25
"""In-plane spacing of the network's input."""

SLICE_MM = (2.6, 5.2)
"""Range of slice spacing; images with slices in this range are not resampled across slices."""

OFF_CENTER = 0.21
"""Share of a patch's depth by which its middle may lie in front of or behind the column. Chosen by us."""

SACRUM_SHARE = 0.5
"""Share of the patches on the column that do not look for a lesion and look for the sacrum. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a patch lies in an anatomy.

    Parameters
    ----------
    center_mm : ndarray, shape (3,)
        Center in mm from the anatomy's first voxel, along left, inferior and posterior.
    matrix : ndarray, shape (3, 3)
        Rotation, zoom and mirroring from patch mm to anatomy mm.
    slice_mm, thickness_mm : float
        Distance of slices and their thickness.
    """

    center_mm: np.ndarray
    matrix: np.ndarray
    slice_mm: float
    thickness_mm: float


def sample_pose(
    anatomy: StoredAnatomy,
    rng: np.random.Generator,
    shape: tuple[int, int, int] = PATCH_SHAPE,
    *,
    lesion_share: float = 0.35,
) -> Pose:
    """Choose where a patch lies: on the column, near the sacrum or a lesion more often than chance.

    Parameters
    ----------
    anatomy : StoredAnatomy
        The patient.
    rng : numpy.random.Generator
        Source of all variation.
    shape : tuple of int, optional
        Voxels of the patch.
    lesion_share : float, optional
        Share of the patches on the column that look for a lesion; as many look for the sacrum first where it is small.

    Returns
    -------
    Pose
        Where the patch lies.
    """
    u = rng.uniform
    spacing = np.asarray(SPACING_MM)
    size = np.asarray(anatomy.tissue.shape) * spacing
    slice_mm = u(*SLICE_MM)
    center = _column_point(anatomy, rng, lesion_share) * spacing if u() < 0.88 else np.array([u(0, s) for s in size])
    center = center + np.array([u(-10, 10), 0, u(-1, 1) * OFF_CENTER * shape[2] * IN_PLANE_MM])
    half = np.array([shape[0] * slice_mm, shape[1] * IN_PLANE_MM, shape[2] * IN_PLANE_MM]) / 2
    if u() < 0.65:
        center[1:] = np.clip(center[1:], half[1:] * 0.9, np.maximum(size[1:] - half[1:] * 0.9, half[1:] * 0.9))
    zoom = np.exp(rng.normal(0, 0.06, 3)) * np.exp(rng.normal(0.03, 0.11))
    angles = np.radians([rng.normal(0, 9), rng.normal(0, 4), rng.normal(0, 4)])
    # Slices that were interpolated on their way here are blurred across as if they were thicker than their distance.
    thickness = u(1.0, 1.7) if u() < 0.25 else u(0.7, 1.0)
    mirror = np.diag([-1.0 if u() < 0.5 else 1.0, 1, 1])
    return Pose(center, _rotation(angles) @ mirror / zoom, slice_mm, slice_mm * thickness)


def _column_point(anatomy: StoredAnatomy, rng: np.random.Generator, lesion_share: float) -> np.ndarray:
    """Pick a place on the column; a small lesion is as likely as a large one."""
    n_rows = anatomy.structure.shape[1]
    thin = np.asarray(anatomy.structure[::4, ::4, ::4])
    draw = rng.random()
    if draw < lesion_share:
        lesions = np.asarray(anatomy.lesion[::2, ::2, ::2])
        labels = np.unique(lesions[lesions > 0])
        if len(labels):
            found = np.argwhere(lesions == rng.choice(labels))
            return found[rng.integers(len(found))] * 2.0
    elif draw < lesion_share + SACRUM_SHARE * (1 - lesion_share):
        found = np.argwhere(thin == Structure.S1)
        if len(found):
            return found.mean(0) * 4 + [0, rng.uniform(-45, 30), 0]
    row = rng.integers(0, n_rows)
    near = np.argwhere(
        np.isin(thin[:, min(row // 4, thin.shape[1] - 1)], (Structure.BODY, Structure.S1, Structure.SACRUM))
    )
    if not len(near):
        return np.asarray(anatomy.structure.shape) / 2
    left, posterior = near.mean(0) * 4
    return np.array([left, row, posterior])


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Rotate about the axes to the left, inferior and posterior, in this order."""
    (a, b, c), eye = angles, np.eye(3)
    out = eye
    for angle, (i, j) in zip((a, b, c), ((1, 2), (0, 2), (0, 1)), strict=True):
        r = eye.copy()
        r[i, i] = r[j, j] = np.cos(angle)
        r[i, j], r[j, i] = -np.sin(angle), np.sin(angle)
        out = out @ r
    return out


@dataclass(frozen=True, eq=False)
class View:
    """The voxels of a patch, looked up in a stored anatomy.

    Parameters
    ----------
    box : tuple of slice
        Part of the anatomy that the patch can reach.
    entry : Tensor of int64, shape of the box
        Place of each voxel of the box in a flattened contrast table.
    local : Tensor of float32, shape (3, *patch)
        Position of each patch voxel in the box, in its voxels.
    across : Tensor of float32, shape (3, 1, 1, 1)
        A third of the slice thickness, in voxels of the box.
    outside : Tensor of bool, shape of the patch
        Beyond the anatomy.
    """

    box: tuple[slice, ...]
    entry: Tensor
    local: Tensor
    across: Tensor
    outside: Tensor

    def averaged(self, tables: np.ndarray) -> Tensor:
        """Average signals over the thickness of the slices.

        Parameters
        ----------
        tables : ndarray of float32, shape (n, N_TISSUES, N_INSTANCES)
            Signal of every tissue of every vertebra.

        Returns
        -------
        Tensor of float32, shape (n, *patch)
            Interpolated signal.
        """
        values = torch.from_numpy(tables).to(self.entry.device).flatten(1)[:, self.entry]
        size = self.local.new_tensor(self.entry.shape)[:, None, None, None]
        return sum(_interpolate(values, self.local + step * self.across, size) for step in (-1, 0, 1)) / 3  # type: ignore[return-value]

    def at_centers(self, volume: np.ndarray) -> Tensor:
        """Look up a map of the anatomy at the voxel centers.

        Parameters
        ----------
        volume : ndarray of uint8
            A map of the whole anatomy.

        Returns
        -------
        Tensor of uint8, shape of the patch
            Its values.
        """
        part = torch.from_numpy(np.ascontiguousarray(volume[self.box])).to(self.entry.device)
        return part[self._centers()]

    def looked_up(self, table: np.ndarray) -> Tensor:
        """Look up a contrast table at the voxel centers.

        Parameters
        ----------
        table : ndarray of float32, shape (..., N_TISSUES, N_INSTANCES)
            Something that each tissue of each vertebra has.

        Returns
        -------
        Tensor of float32, shape (..., *patch)
            Its values.
        """
        return torch.from_numpy(table).to(self.entry.device).flatten(-2)[..., self.entry[self._centers()]]

    def _centers(self) -> tuple[Tensor, ...]:
        nearest = self.local.round().long()
        return tuple(nearest[a].clamp(0, n - 1) for a, n in enumerate(self.entry.shape))


def view_of(
    anatomy: StoredAnatomy,
    pose: Pose,
    rng: np.random.Generator,
    noise: torch.Generator,
    device: torch.device,
    shape: tuple[int, int, int] = PATCH_SHAPE,
) -> View:
    """Place a patch in an anatomy, slightly bent.

    Parameters
    ----------
    anatomy : StoredAnatomy
        The patient.
    pose : Pose
        Where the patch lies.
    rng : numpy.random.Generator
        Decides on the bend.
    noise : torch.Generator
        Shapes the bend.
    device : torch.device
        Where voxels are computed.
    shape : tuple of int, optional
        Voxels of the patch.

    Returns
    -------
    View
        Ready to look up signals and labels.
    """
    index = _places(pose, rng, noise, device, shape) / torch.tensor(SPACING_MM, device=device)[:, None, None, None]
    size = index.new_tensor(anatomy.tissue.shape)[:, None, None, None]
    outside = ((index < -0.5) | (index > size - 0.5)).any(0)
    first = [int(max(0, v)) for v in (index.amin((1, 2, 3)) - 2).floor().clamp_min(0)]
    last = [int(v) for v in torch.minimum(index.amax((1, 2, 3)) + 3, size[:, 0, 0, 0])]
    first = [min(f, n - 2) for f, n in zip(first, anatomy.tissue.shape, strict=True)]
    box = tuple(slice(f, max(e, f + 2)) for f, e in zip(first, last, strict=True))
    tissue, instance = (
        torch.from_numpy(np.ascontiguousarray(m[box])).to(device).int() for m in (anatomy.tissue, anatomy.instance)
    )
    across = pose.matrix[:, 0] / np.linalg.norm(pose.matrix[:, 0]) * pose.thickness_mm / 3 / np.asarray(SPACING_MM)
    local = index - index.new_tensor(first)[:, None, None, None]
    entry = (tissue * N_INSTANCES + instance).long()
    return View(box, entry, local, index.new_tensor(across)[:, None, None, None], outside)


def _interpolate(values: Tensor, local: Tensor, size: Tensor) -> Tensor:
    at = (2 * local / (size - 1) - 1).flip(0).permute(1, 2, 3, 0)[None]
    return functional.grid_sample(values[None], at, mode="bilinear", padding_mode="border", align_corners=True)[0]


def _places(
    pose: Pose,
    rng: np.random.Generator,
    noise: torch.Generator,
    device: torch.device,
    shape: tuple[int, int, int],
) -> Tensor:
    """Anatomy positions in mm of every patch voxel, shape (3, *shape), slightly bent."""
    steps = (pose.slice_mm, IN_PLANE_MM, IN_PLANE_MM)
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) * s for n, s in zip(shape, steps, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    matrix = torch.as_tensor(pose.matrix, dtype=torch.float32, device=device)
    places = torch.einsum("ab,bijk->aijk", matrix, grid.float())
    places = places + torch.as_tensor(pose.center_mm, dtype=torch.float32, device=device)[:, None, None, None]
    if rng.random() < 0.7:
        bend = smooth((3, *shape), rng.uniform(18, 40), noise, device)
        places = places + bend * float(rng.uniform(0, 1.3))
    return places


def smooth(shape: tuple[int, ...], pixels: float, noise: torch.Generator, device: torch.device) -> Tensor:
    """Make smooth noise of about unit variance.

    Parameters
    ----------
    shape : tuple of int
        Channels, then voxels.
    pixels : float
        In-plane pixels between independent values; a third of it across slices.
    noise : torch.Generator
        Source of the noise.
    device : torch.device
        Where it is computed.

    Returns
    -------
    Tensor of float32
        Of this shape.
    """
    channels, *size = shape
    steps = (max(1.0, pixels / 3), pixels, pixels)
    coarse = [max(2, int(np.ceil(n / s)) + 1) for n, s in zip(size, steps, strict=True)]
    field = torch.randn((1, channels, *coarse), generator=noise, device=device)
    field = functional.interpolate(field, size=size, mode="trilinear", align_corners=True)[0]
    return field / (field.std() + 1e-6)
