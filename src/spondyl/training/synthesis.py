"""Turn a stored anatomy into a training patch: pose, contrast, scanner. Runs on whatever device it is given.

Random numbers that shape the patch come from a numpy generator; voxel noise comes from torch on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from spondyl.core import Structure
from spondyl.models.inputs import input_channels
from spondyl.phantom.tissue import Tissue
from spondyl.training.anatomies import SPACING_MM, StoredAnatomy
from spondyl.training.contrast import N_INSTANCES, Contrast, physical_contrast, random_contrast

if TYPE_CHECKING:
    from torch import Tensor

PATCH_SHAPE = (16, 128, 112)
"""Voxels of a patch to the left, inferior and posterior."""

IN_PLANE_MM = 1.25
"""In-plane spacing of the network's input."""

SLICE_MM = (2.6, 5.2)
"""Range of slice spacing; images with slices in this range are not resampled across slices."""

SHIFTED_SHARE = 0.35
"""Share of images with visible chemical shift of fat. Chosen by us."""


@dataclass(frozen=True)
class Patch:
    """One training example.

    Parameters
    ----------
    image : Tensor of float32, shape (2, *PATCH_SHAPE)
        Network input.
    code : Tensor of float32, shape (4,)
        Kind of contrast.
    structure : Tensor of int64, shape PATCH_SHAPE
        Values of `Structure`.
    """

    image: Tensor
    code: Tensor
    structure: Tensor


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


class Tissues(NamedTuple):
    """What lies at the voxels of a patch, before the scanner.

    Parameters
    ----------
    signal, spread : Tensor of float32, shape PATCH_SHAPE
        Mean signal and the standard deviation of its texture.
    fat : Tensor of float32, shape PATCH_SHAPE, or None
        Signal of fat, where it is to be shifted.
    structure : Tensor of int64, shape PATCH_SHAPE
        Values of `Structure` at the voxel centers.
    outside : Tensor of bool, shape PATCH_SHAPE
        Beyond the anatomy.
    """

    signal: Tensor
    fat: Tensor | None
    spread: Tensor
    structure: Tensor
    outside: Tensor


def make_patch(
    anatomy: StoredAnatomy, rng: np.random.Generator, *, physical_share: float, device: str | torch.device = "cpu"
) -> Patch:
    """Make one training example.

    Parameters
    ----------
    anatomy : StoredAnatomy
        The patient.
    rng : numpy.random.Generator
        Source of all variation.
    physical_share : float
        Probability of a physical contrast.
    device : str or torch.device, optional
        Where the voxels are computed.

    Returns
    -------
    Patch
        On `device`.
    """
    noise = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    contrast = physical_contrast(rng) if rng.random() < physical_share else random_contrast(rng)
    pose = _sample_pose(anatomy, rng)
    seen = _render(anatomy, contrast, pose, rng, noise, torch.device(device))
    image, hidden = _scan(seen, rng, noise)
    structure, hidden = seen.structure, hidden | seen.outside
    image = torch.where(hidden, image.new_tensor(rng.uniform(0, 0.15) if rng.random() < 0.3 else 0.0), image)
    if rng.random() < 0.6:
        image = image.clamp_min(0) ** float(np.exp(rng.normal(0, 0.25)))
    channels = input_channels(image, (pose.slice_mm, IN_PLANE_MM, IN_PLANE_MM))
    channels[0] = channels[0] * float(np.exp(rng.normal(0, 0.12))) + float(rng.normal(0, 0.08))
    structure[hidden] = int(Structure.BACKGROUND)
    code = torch.zeros(4, device=channels.device)
    code[int(contrast.code)] = 1
    return Patch(channels, code, structure)


def _sample_pose(anatomy: StoredAnatomy, rng: np.random.Generator) -> Pose:
    u = rng.uniform
    spacing = np.asarray(SPACING_MM)
    size = np.asarray(anatomy.tissue.shape) * spacing
    slice_mm = u(*SLICE_MM)
    center = _column_point(anatomy, rng) * spacing if u() < 0.88 else np.array([u(0, s) for s in size])
    center = center + np.array([u(-10, 10), 0, u(-30, 30)])
    half = np.array([PATCH_SHAPE[0] * slice_mm, PATCH_SHAPE[1] * IN_PLANE_MM, PATCH_SHAPE[2] * IN_PLANE_MM]) / 2
    if u() < 0.65:
        center[1:] = np.clip(center[1:], half[1:] * 0.9, np.maximum(size[1:] - half[1:] * 0.9, half[1:] * 0.9))
    zoom = np.exp(rng.normal(0, 0.06, 3)) * np.exp(rng.normal(0.03, 0.11))
    angles = np.radians([rng.normal(0, 9), rng.normal(0, 4), rng.normal(0, 4)])
    # Slices that were interpolated on their way here are blurred across as if they were thicker than their distance.
    thickness = u(1.0, 1.7) if u() < 0.25 else u(0.7, 1.0)
    mirror = np.diag([-1.0 if u() < 0.5 else 1.0, 1, 1])
    return Pose(center, _rotation(angles) @ mirror / zoom, slice_mm, slice_mm * thickness)


def _column_point(anatomy: StoredAnatomy, rng: np.random.Generator) -> np.ndarray:
    """Pick a place on the column, near the sacrum or a lesion more often than chance."""
    n_rows = anatomy.structure.shape[1]
    thin = np.asarray(anatomy.structure[::4, ::4, ::4])
    draw = rng.random()
    if draw < 0.35:
        found = np.argwhere(thin == Structure.S1)
        if len(found):
            return found.mean(0) * 4 + [0, rng.uniform(-45, 30), 0]
    elif draw < 0.7:
        found = np.argwhere(np.asarray(anatomy.lesion[::4, ::4, ::4]) > 0)
        if len(found):
            return found[rng.integers(len(found))] * 4.0
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


def _render(
    anatomy: StoredAnatomy,
    contrast: Contrast,
    pose: Pose,
    rng: np.random.Generator,
    noise: torch.Generator,
    device: torch.device,
) -> Tissues:
    """Look up signal and labels at the places of the patch; partial volume comes from interpolation."""
    places = _places(pose, rng, noise, device)
    index = places / places.new_tensor(SPACING_MM)[:, None, None, None]
    shape = index.new_tensor(anatomy.tissue.shape)[:, None, None, None]
    outside = ((index < -0.5) | (index > shape - 0.5)).any(0)
    first = [int(max(0, v)) for v in (index.amin((1, 2, 3)) - 2).floor().clamp_min(0)]
    last = [int(v) for v in torch.minimum(index.amax((1, 2, 3)) + 3, shape[:, 0, 0, 0])]
    first = [min(f, n - 2) for f, n in zip(first, anatomy.tissue.shape, strict=True)]
    box = tuple(slice(f, max(e, f + 2)) for f, e in zip(first, last, strict=True))
    tissue, structure, instance = (
        torch.from_numpy(np.ascontiguousarray(m[box])).to(device)
        for m in (anatomy.tissue, anatomy.structure, anatomy.instance)
    )
    # Chemical shift moves fat alone and comes in a third of the images; only then is fat worth interpolating.
    shifted = rng.random() < SHIFTED_SHARE
    table = torch.from_numpy(np.stack([contrast.signal, contrast.fat][: 1 + shifted])).to(device).flatten(1)
    entry = tissue.int() * N_INSTANCES + instance.int()
    values = table[:, entry]
    local = index - index.new_tensor(first)[:, None, None, None]
    size = local.new_tensor(tissue.shape)[:, None, None, None]
    across = pose.matrix[:, 0] / np.linalg.norm(pose.matrix[:, 0]) * pose.thickness_mm / 3 / np.asarray(SPACING_MM)
    axis = local.new_tensor(across)[:, None, None, None]
    signal = sum(_interpolate(values, local + step * axis, size) for step in (-1, 0, 1)) / 3
    nearest = local.round().long()
    i, j, k = (nearest[a].clamp(0, int(size[a]) - 1) for a in range(3))
    truth, kind = structure[i, j, k].long(), tissue[i, j, k]
    spread = torch.from_numpy(contrast.spread).to(device).flatten()[entry[i, j, k]]
    fat = signal[1] if shifted else None
    # The cortex of S1 is cortex too, so that its body can be outlined on the marrow as the others can.
    truth[(truth == Structure.S1) & (kind == Tissue.SACRAL_CORTEX)] = int(Structure.CORTEX)
    return Tissues(signal[0], fat, spread, truth, outside)


def _interpolate(values: Tensor, local: Tensor, size: Tensor) -> Tensor:
    at = (2 * local / (size - 1) - 1).flip(0).permute(1, 2, 3, 0)[None]
    return functional.grid_sample(values[None], at, mode="bilinear", padding_mode="border", align_corners=True)[0]


def _places(pose: Pose, rng: np.random.Generator, noise: torch.Generator, device: torch.device) -> Tensor:
    """Anatomy positions in mm of every patch voxel, shape (3, *PATCH_SHAPE), slightly bent."""
    steps = (pose.slice_mm, IN_PLANE_MM, IN_PLANE_MM)
    axes = [(torch.arange(n, device=device) - (n - 1) / 2) * s for n, s in zip(PATCH_SHAPE, steps, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    matrix = torch.as_tensor(pose.matrix, dtype=torch.float32, device=device)
    places = torch.einsum("ab,bijk->aijk", matrix, grid.float())
    places = places + torch.as_tensor(pose.center_mm, dtype=torch.float32, device=device)[:, None, None, None]
    if rng.random() < 0.7:
        bend = _smooth((3, *PATCH_SHAPE), rng.uniform(18, 40), noise, device)
        places = places + bend * float(rng.uniform(0, 1.3))
    return places


def _smooth(shape: tuple[int, ...], pixels: float, noise: torch.Generator, device: torch.device) -> Tensor:
    """Smooth noise of about unit variance; `pixels` between independent in-plane values, a quarter of it in slices."""
    channels, *size = shape
    steps = (max(1.0, pixels / 3), pixels, pixels)
    coarse = [max(2, int(np.ceil(n / s)) + 1) for n, s in zip(size, steps, strict=True)]
    field = torch.randn((1, channels, *coarse), generator=noise, device=device)
    field = functional.interpolate(field, size=size, mode="trilinear", align_corners=True)[0]
    return field / (field.std() + 1e-6)


def _scan(seen: Tissues, rng: np.random.Generator, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Add texture, chemical shift, blur, coil, ghosts, noise and the edges of the field of view."""
    mean, fat, spread = seen.signal, seen.fat, seen.spread
    u, device, shape = rng.uniform, mean.device, tuple(mean.shape)

    def field(pixels: float) -> Tensor:
        return _smooth((1, *shape), pixels, noise, device)[0]

    image = mean + spread * (u(0.3, 1.0) * field(u(1, 2)) + u(0.2, 1.0) * field(u(3, 8)))
    if fat is not None:
        image = image - fat + fat.roll(int(rng.choice([-1, 1])), 1 if u() < 0.7 else 2)
    image = _blur(image.clamp_min(0), 0.35 + abs(rng.normal(0, 0.35)))
    image = image * _coil(shape, rng, field, device)
    if u() < 0.2:
        axis = int(rng.choice([1, 2]))
        image = image + u(0.02, 0.12) * image.roll(int(shape[axis] / rng.integers(2, 5)), axis)
    image = image / (torch.quantile(image[:, ::3, ::3], 0.97) + 1e-6)
    level = float(np.exp(u(np.log(0.003), np.log(0.07))))
    real, imaginary = (torch.randn((2, *shape), generator=noise, device=device) * level).unbind()
    if u() < 0.4:
        real, imaginary = _blur(real, 0.6) * 1.8, _blur(imaginary, 0.6) * 1.8
    image = torch.hypot(image + real, imaginary)
    return image + (u(0, 0.15) if u() < 0.3 else 0.0), _cut(shape, rng, device)


def _coil(shape: tuple[int, ...], rng: np.random.Generator, field: object, device: torch.device) -> Tensor:
    """A surface coil's decay from the back, a smooth bias, and sometimes a saturation band in front."""
    u = rng.uniform
    y = torch.arange(shape[2], device=device) * IN_PLANE_MM
    z = torch.arange(shape[1], device=device)[:, None] * IN_PLANE_MM
    gain = torch.ones(shape[1:], device=device)
    if u() < 0.85:
        back = u(0.6, 1.1) * shape[2] * IN_PLANE_MM
        distance = torch.hypot((back - y).clamp_min(0) + 0 * z, u(0, 0.6) * (z - u(-20, 210)))
        gain = torch.exp(-distance / float(np.exp(u(np.log(28), np.log(250)))))
    if u() < 0.3:
        edge = u(0.05, 0.5) * shape[2] * IN_PLANE_MM + np.tan(np.radians(rng.normal(0, 8))) * (z - 90)
        gain = gain * (u(0.05, 0.6) + (1 - u(0.05, 0.6)) * torch.sigmoid((y - edge) / u(1.5, 6))).clamp(0, 1)
    return gain * torch.exp(field(u(30, 70)) * u(0, 0.35))  # type: ignore[operator]


def _cut(shape: tuple[int, ...], rng: np.random.Generator, device: torch.device) -> Tensor:
    """Say which voxels lie beyond the edge of the field of view."""
    hidden = torch.zeros(shape, dtype=torch.bool, device=device)
    if rng.random() < 0.15:
        hidden[:, :, : int(rng.uniform(0, 0.3) * shape[2])] = True
    if rng.random() < 0.2:
        hidden[:, : int(rng.uniform(0, 0.3) * shape[1])] = True
    if rng.random() < 0.2:
        hidden[:, shape[1] - int(rng.uniform(0, 0.3) * shape[1]) :] = True
    for end in (slice(None, 1), slice(-1, None)):
        if rng.random() < 0.1:
            hidden[end] = True
    return hidden


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Blur in plane."""
    reach = 3
    x = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    planes = functional.pad(image[:, None], (reach, reach, reach, reach), mode="replicate")
    planes = functional.conv2d(planes, kernel[None, None, :, None])
    return functional.conv2d(planes, kernel[None, None, None, :])[:, 0]
