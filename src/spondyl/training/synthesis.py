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
from spondyl.training.contrast import Contrast, physical_contrast, random_contrast
from spondyl.training.render import IN_PLANE_MM, Pose, sample_pose, smooth, view_of

if TYPE_CHECKING:
    from torch import Tensor

    from spondyl.training.anatomies import StoredAnatomy

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


class Tissues(NamedTuple):
    """What lies at the voxels of a patch, before the scanner.

    Parameters
    ----------
    signal : Tensor of float32, shape PATCH_SHAPE
        Mean signal.
    fat : Tensor of float32, shape PATCH_SHAPE, or None
        Signal of fat, where it is to be shifted.
    spread : Tensor of float32, shape PATCH_SHAPE
        Standard deviation of the texture.
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
    pose = sample_pose(anatomy, rng)
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


def _render(
    anatomy: StoredAnatomy,
    contrast: Contrast,
    pose: Pose,
    rng: np.random.Generator,
    noise: torch.Generator,
    device: torch.device,
) -> Tissues:
    """Look up signal and labels at the places of the patch; partial volume comes from interpolation."""
    view = view_of(anatomy, pose, rng, noise, device)
    # Chemical shift moves fat alone and comes in a third of the images; only then is fat worth interpolating.
    shifted = rng.random() < SHIFTED_SHARE
    signal = view.averaged(np.stack([contrast.signal, contrast.fat][: 1 + shifted]))
    truth, kind = view.at_centers(anatomy.structure).long(), view.at_centers(anatomy.tissue)
    spread = view.looked_up(contrast.spread)
    # The cortex of S1 is cortex too, so that its body can be outlined on the marrow as the others can.
    truth[(truth == Structure.S1) & (kind == Tissue.SACRAL_CORTEX)] = int(Structure.CORTEX)
    return Tissues(signal[0], signal[1] if shifted else None, spread, truth, view.outside)


def _scan(seen: Tissues, rng: np.random.Generator, noise: torch.Generator) -> tuple[Tensor, Tensor]:
    """Add texture, chemical shift, scanner and the edges of the field of view."""
    u, device, shape = rng.uniform, seen.signal.device, tuple(seen.signal.shape)

    def field(pixels: float) -> Tensor:
        return smooth((1, *shape), pixels, noise, device)[0]

    image = seen.signal + seen.spread * (u(0.3, 1.0) * field(u(1, 2)) + u(0.2, 1.0) * field(u(3, 8)))
    if seen.fat is not None:
        image = image - seen.fat + seen.fat.roll(int(rng.choice([-1, 1])), 1 if u() < 0.7 else 2)
    return scanned(image[None], rng, noise)[0], field_of_view_cut(shape, rng, device)


def scanned(
    images: Tensor, rng: np.random.Generator, noise: torch.Generator, *, blur: float = 0.35, unrest: float = 1.0
) -> Tensor:
    """Add what the scanner does: blur, coil, ghosts, noise.

    Parameters
    ----------
    images : Tensor of float32, shape (n, *patch)
        Signal of images taken together, such as the echoes of one series.
    rng : numpy.random.Generator
        Source of all variation but voxel noise.
    noise : torch.Generator
        Source of voxel noise.
    blur : float, optional
        Smallest in-plane blur, in pixels.
    unrest : float, optional
        Factor on the noise.

    Returns
    -------
    Tensor of float32, shape (n, *patch)
        Magnitude images in one unit, in which the brightest of the first is about 1.
    """
    u, device, shape = rng.uniform, images.device, tuple(images.shape[1:])

    def field(pixels: float) -> Tensor:
        return smooth((1, *shape), pixels, noise, device)[0]

    images = _blur(images.clamp_min(0), blur + abs(rng.normal(0, 0.35)))
    images = images * _coil(shape, rng, field, device)
    if u() < 0.2:
        axis = int(rng.choice([1, 2]))
        images = images + u(0.02, 0.12) * images.roll(int(shape[axis] / rng.integers(2, 5)), axis + 1)
    images = images / (torch.quantile(images[0, :, ::3, ::3], 0.97) + 1e-6)
    level = float(np.exp(u(np.log(0.003), np.log(0.07)))) * unrest
    real, imaginary = (torch.randn((2, *images.shape), generator=noise, device=device) * level).unbind()
    if u() < 0.4:
        real, imaginary = _blur(real, 0.6) * 1.8, _blur(imaginary, 0.6) * 1.8
    images = torch.hypot(images + real, imaginary)
    return images + (u(0, 0.15) if u() < 0.3 else 0.0)


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


def field_of_view_cut(shape: tuple[int, ...], rng: np.random.Generator, device: torch.device) -> Tensor:
    """Say which voxels lie beyond the edge of the field of view.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the patch.
    rng : numpy.random.Generator
        Draws the edges.
    device : torch.device
        Where they are computed.

    Returns
    -------
    Tensor of bool, shape of the patch
        True where nothing was received.
    """
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


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Blur in plane; sums of shifted planes are many times faster than a convolution of a single channel."""
    reach = 3
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    planes = functional.pad(images.flatten(0, -3)[:, None], (reach,) * 4, mode="replicate")
    for axis in (2, 3):
        n = planes.shape[axis] - 2 * reach
        shifted = (float(w) * planes.narrow(axis, i, n) for i, w in enumerate(weights / weights.sum()))
        planes = sum(shifted)  # type: ignore[assignment]
    return planes.reshape(images.shape)
