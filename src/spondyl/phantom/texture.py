"""What makes a tissue look like tissue: trabeculae, fat lobules, streaks, and vertebrae that differ from each other.

Texture is part of the patient, so it is the same in every sequence: it is drawn once as a number per voxel, in standard
deviations, and each tissue's parameters say what that number changes (`TissueParameters.textured`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage

from spondyl.phantom.relaxation import N_TEXTURE_LEVELS, TEXTURE_SPAN_SD
from spondyl.phantom.tissue import N_TISSUES, Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.arrays import Array

TILE_MM = (60.0, 190.0, 190.0)
"""Size of the repeating block of noise along R-L, S-I and A-P; farther apart than any two neighboring vertebrae."""


class Mix(NamedTuple):
    """How a tissue's texture is put together; the squares are scaled to sum to one.

    Parameters
    ----------
    fine, coarse, streak, bone : float
        Weight of noise of about 1 mm, of about 6 mm, of streaks along the body, and of a value for each bone or disc.
    """

    fine: float
    coarse: float
    streak: float
    bone: float


_MARROW_MIX = Mix(0.50, 0.60, 0.15, 0.45)
_MIXES: dict[Tissue, Mix] = {
    Tissue.MARROW: _MARROW_MIX,
    Tissue.POSTERIOR_MARROW: _MARROW_MIX,
    Tissue.SACRAL_MARROW: _MARROW_MIX,
    Tissue.RIB_MARROW: _MARROW_MIX,
    Tissue.NUCLEUS: Mix(0.10, 0.35, 0.0, 0.85),
    Tissue.DISC_INTERMEDIATE: Mix(0.15, 0.45, 0.0, 0.8),
    Tissue.DISC_DRY: Mix(0.15, 0.5, 0.0, 0.75),
    Tissue.ANNULUS: Mix(0.20, 0.5, 0.0, 0.7),
    Tissue.MUSCLE: Mix(0.25, 0.40, 0.90, 0.0),
    Tissue.SUBCUTANEOUS_FAT: Mix(0.45, 0.6, 0.2, 0.0),
    Tissue.VISCERAL_FAT: Mix(0.45, 0.8, 0.0, 0.0),
    Tissue.HEMANGIOMA: Mix(0.35, 0.2, 0.95, 0.0),
    Tissue.HEMANGIOMA_ATYPICAL: Mix(0.45, 0.4, 0.7, 0.0),
    Tissue.TUMOR_DIFFUSE: Mix(0.55, 0.7, 0.0, 0.4),
    Tissue.BOWEL_CONTENT: Mix(0.15, 0.98, 0.0, 0.0),
    Tissue.CSF: Mix(0.1, 0.7, 0.7, 0.0),
}
_DEFAULT_MIX = Mix(0.55, 0.8, 0.0, 0.0)
"""Relative weights of noise of about 1 mm, of about 6 mm, of streaks along the body, and of a value for each vertebra
or disc. Chosen by us so that synthetic bodies look like real ones side by side."""


def noise_tile(rng: np.random.Generator, shape: tuple[int, ...], sigma_voxels: tuple[float, ...]) -> Array:
    """Draw smooth noise that repeats without a seam.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape : tuple of int
        Shape of the tile.
    sigma_voxels : tuple of float
        Width of the Gaussian smoothing along each axis, in voxels.

    Returns
    -------
    ndarray of float32, shape `shape`
        Zero mean, unit standard deviation, periodic.
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = scipy.fft.rfftn(white)
    for axis, (n, sigma) in enumerate(zip(shape, sigma_voxels, strict=True)):
        f = scipy.fft.rfftfreq(n) if axis == len(shape) - 1 else scipy.fft.fftfreq(n)
        gain = np.exp(-2 * (np.pi * sigma * f) ** 2).astype(np.float32)
        spectrum *= gain.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    spectrum[(0,) * len(shape)] = 0
    tile = scipy.fft.irfftn(spectrum, s=shape)
    scaled: Array = (tile / (tile.std() + 1e-12)).astype(np.float32)
    return scaled


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, ...], *, cells: tuple[int, ...], spread: float = 1.0
) -> Array:
    """Draw a field that varies slowly over a whole volume.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape : tuple of int
        Shape of the volume.
    cells : tuple of int
        Number of independent values along each axis.
    spread : float, optional
        Standard deviation of those values.

    Returns
    -------
    ndarray of float32, shape `shape`
        Coarse noise, interpolated.
    """
    field = rng.normal(0.0, spread, cells).astype(np.float32)
    for axis, n in enumerate(shape):
        m = field.shape[axis]
        at = np.linspace(0, m - 1, n) if m > 1 else np.zeros(n)
        low = np.minimum(at.astype(int), max(m - 2, 0))
        weight = (at - low).astype(np.float32)
        # A raised-cosine ramp has no kinks at the nodes, which a linear one would print into a flat image.
        weight = (1 - np.cos(np.pi * weight)) / 2
        weight = weight.reshape([-1 if a == axis else 1 for a in range(field.ndim)])
        below, above = np.take(field, low, axis), np.take(field, np.minimum(low + 1, m - 1), axis)
        field = below + (above - below) * weight
    return field.astype(np.float32)


def mix_of(tissue: Tissue) -> Mix:
    """Give how a tissue's texture is put together.

    Parameters
    ----------
    tissue : Tissue
        The tissue.

    Returns
    -------
    Mix
        Weights whose squares sum to one.
    """
    mix = np.array(_MIXES.get(tissue, _DEFAULT_MIX))
    fine, coarse, streak, bone = (mix / np.sqrt((mix**2).sum())).tolist()
    return Mix(fine, coarse, streak, bone)


def _mix_tables() -> NDArray[np.float32]:
    table = np.zeros((4, N_TISSUES), np.float32)
    for tissue in Tissue:
        table[:, tissue] = mix_of(tissue)
    return table


def texture_volume(
    rng: np.random.Generator, tissue: Array, instance: Array, spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Draw the texture of a patient.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    tissue : ndarray of uint8, shape (I, J, K)
        Tissue of each voxel, in orientation LIP.
    instance : ndarray of uint8, shape (I, J, K)
        Number of the vertebra or disc, 0 elsewhere.
    spacing_mm : tuple of float
        Voxel size in mm.

    Returns
    -------
    ndarray of uint8, shape (I, J, K)
        Step on the texture scale, below `N_TEXTURE_LEVELS`; the middle is the tissue's mean.
    """
    spacing = np.asarray(spacing_mm)
    shape = tuple(int(n) for n in np.maximum(np.round(np.asarray(TILE_MM) / spacing), 8))
    tiles = [
        noise_tile(rng, shape, tuple(np.asarray(sigma_mm) / spacing))
        for sigma_mm in ((0.75, 0.75, 0.75), (4.5, 4.5, 4.5), (1.0, 9.0, 0.9))
    ]
    weights = _mix_tables()
    per_bone = rng.standard_normal(256).astype(np.float32)
    # The fat fraction rises from L1 to L5 (Baum 2018): a slow trend along the column on top of chance.
    per_bone = 0.8 * per_bone + 0.25 * np.linspace(-1, 1, 25)[np.minimum(np.arange(256), 24)].astype(np.float32)
    levels = np.empty(tissue.shape, np.uint8)
    scale = N_TEXTURE_LEVELS / (2 * TEXTURE_SPAN_SD)
    cover = [-(-n // m) for n, m in zip(tissue.shape[1:], shape[1:], strict=True)]
    for i in range(tissue.shape[0]):
        kinds = tissue[i]
        value = weights[3][kinds] * per_bone[instance[i]]
        for tile, weight in zip(tiles, weights[:3], strict=True):
            noise = np.tile(tile[i % shape[0]], cover)[: tissue.shape[1], : tissue.shape[2]]
            value += weight[kinds] * noise
        np.clip((value + TEXTURE_SPAN_SD) * scale, 0, N_TEXTURE_LEVELS - 1, out=value)
        levels[i] = value
    return levels


def cells_of(tissue: Array, texture: Array) -> NDArray[np.uint16]:
    """Join tissue and texture into one number, the index into a signal table.

    Parameters
    ----------
    tissue, texture : ndarray of uint8
        Tissue and step on the texture scale, one shape.

    Returns
    -------
    ndarray of uint16
        ``tissue * N_TEXTURE_LEVELS + texture``.
    """
    cells: Array = tissue.astype(np.uint16) * np.uint16(N_TEXTURE_LEVELS) + texture
    return cells
