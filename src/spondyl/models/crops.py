"""Cut what a class is asked for out of a study: one small box of all channels around each vertebra and each lesion.

Boxes follow the column's direction, so that endplates lie level in all of them, and a last channel says which bone or
lesion is meant. Written against the array API, so that training does exactly what inference does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spondyl.models.arrays import array_namespace
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, SHAPE_CHANNELS, TISSUES, Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

CROP_SHAPE = (10, 24, 32)
"""Voxels of a box to the left, inferior and posterior."""

CROP_SPACING_MM = (4.4, 2.6, 2.6)
"""Spacing of a box: 44 x 62 x 83 mm hold a lumbar vertebra with its processes and both endplates across its discs."""

POSTERIOR_SHIFT_MM = 14.0
"""A vertebra's box is centered this far behind its body's center, so that the posterior elements lie in it."""

STEEPEST_RAD = float(np.radians(70.0))
"""Largest tilt of a box; the sacrum of few patients is steeper."""

CROP_CHANNELS = N_CHANNELS + 1
"""Channels of a crop: those of the study, and the mask of what is meant."""

CROP_FACTS = N_FACTS + 1
"""Facts of a crop: those of the study, and whether a lesion is meant."""

TOKEN_CHANNELS = 2 + len(SHAPE_CHANNELS)
"""Channels of a token: one sequence, the shapes, and the mask of what is meant."""

TOKEN_FACTS = 2 + len(TISSUES)
"""Facts of a token: those of its sequence, and whether a lesion is meant."""


class Site(NamedTuple):
    """Where a class is asked for.

    Parameters
    ----------
    center : tuple of float
        Center of the box, as voxel index on the working grid.
    tilt_rad : float
        Angle by which the column leans backward on its way down, in radians.
    position : float
        Place along the column, in vertebrae from the uppermost one seen.
    is_lesion : bool
        True for a lesion, False for a whole vertebra.
    """

    center: tuple[float, float, float]
    tilt_rad: float
    position: float
    is_lesion: bool


def column_tilts(centers_mm: ArrayLike) -> NDArray[np.float64]:
    """Give the direction of the column at each body.

    Parameters
    ----------
    centers_mm : array_like of float, shape (n, 3)
        Body centers from the head down, in mm along left, inferior and posterior.

    Returns
    -------
    ndarray of float, shape (n,)
        Angle in radians by which the column leans backward on its way down; 0 for a single body.
    """
    centers = np.asarray(centers_mm, dtype=np.float64).reshape(-1, 3)
    if len(centers) < 2:
        return np.zeros(len(centers))
    down, back = np.gradient(centers[:, 1]), np.gradient(centers[:, 2])
    return np.clip(np.arctan2(back, np.maximum(down, 1e-6)), -STEEPEST_RAD, STEEPEST_RAD)


def vertebra_sites(centers: ArrayLike, spacing_mm: Sequence[float]) -> list[Site]:
    """Give the site of every vertebra.

    Parameters
    ----------
    centers : array_like of float, shape (n, 3)
        Body centers from the head down, as voxel indices on the working grid in orientation ``LIP``.
    spacing_mm : sequence of float
        Spacing of that grid, in mm.

    Returns
    -------
    list of Site
        One for each body.
    """
    centers = np.asarray(centers, dtype=np.float64).reshape(-1, 3)
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    sites = []
    for position, (center, tilt) in enumerate(zip(centers, column_tilts(centers * spacing), strict=True)):
        shift_mm = POSTERIOR_SHIFT_MM * np.array([0.0, -np.sin(tilt), np.cos(tilt)])
        left, inferior, posterior = (float(c) for c in center + shift_mm / spacing)
        sites.append(Site((left, inferior, posterior), float(tilt), float(position), is_lesion=False))
    return sites


def lesion_site(center: Sequence[float], vertebrae: Sequence[Site], spacing_mm: Sequence[float]) -> Site:
    """Give the site of a lesion, which takes direction and place of the nearest vertebra.

    Parameters
    ----------
    center : sequence of float
        Centroid as voxel index on the working grid.
    vertebrae : sequence of Site
        From `vertebra_sites`; may be empty.
    spacing_mm : sequence of float
        Spacing of that grid, in mm.

    Returns
    -------
    Site
        Where the lesion's class is asked for.
    """
    left, inferior, posterior = (float(c) for c in center)
    if not vertebrae:
        return Site((left, inferior, posterior), 0.0, 0.0, is_lesion=True)
    offsets = (np.array([v.center for v in vertebrae]) - center) * np.asarray(spacing_mm)
    nearest = vertebrae[int(np.argmin(np.linalg.norm(offsets, axis=1)))]
    return Site((left, inferior, posterior), nearest.tilt_rad, nearest.position, is_lesion=True)


def crop_index(site: Site, spacing_mm: Sequence[float]) -> NDArray[np.float32]:
    """Give the places of a box's voxels on the working grid.

    Parameters
    ----------
    site : Site
        Where the box lies.
    spacing_mm : sequence of float
        Spacing of the working grid, in mm.

    Returns
    -------
    ndarray of float32, shape (3, *CROP_SHAPE)
        Fractional voxel indices.
    """
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(CROP_SHAPE, CROP_SPACING_MM, strict=True)]
    left, down, back = np.meshgrid(*axes, indexing="ij")
    cos, sin = np.cos(site.tilt_rad), np.sin(site.tilt_rad)
    places_mm = np.stack([left, cos * down - sin * back, sin * down + cos * back])
    index = places_mm / np.asarray(spacing_mm).reshape(3, 1, 1, 1) + np.reshape(site.center, (3, 1, 1, 1))
    return index.astype(np.float32)


def crop_places(site: Site, index: ArrayLike, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """Give the places of working-grid voxels in a box; the inverse of `crop_index`.

    Parameters
    ----------
    site : Site
        Where the box lies.
    index : array_like of float, shape (n, 3)
        Voxel indices on the working grid.
    spacing_mm : sequence of float
        Spacing of the working grid, in mm.

    Returns
    -------
    ndarray of float, shape (n, 3)
        Fractional indices in the box; outside of it below 0 or beyond its size.
    """
    offset = (np.asarray(index, dtype=np.float64) - site.center) * np.asarray(spacing_mm)
    cos, sin = np.cos(site.tilt_rad), np.sin(site.tilt_rad)
    left, inferior, posterior = offset.T
    turned = np.stack([left, cos * inferior + sin * posterior, -sin * inferior + cos * posterior], axis=1)
    places: NDArray[np.float64] = turned / CROP_SPACING_MM + (np.asarray(CROP_SHAPE) - 1) / 2
    return places


def sample(volume: Any, index: Any) -> Any:
    """Interpolate channels linearly at fractional voxel indices.

    Parameters
    ----------
    volume : array of float32, shape (channels, a, b, c)
        The channels.
    index : array of float32, shape (3, ...)
        Places, of the kind of array that `volume` is.

    Returns
    -------
    array of float32, shape (channels, ...)
        Zero outside the volume.
    """
    xp = array_namespace(volume)
    size = volume.shape[1:]
    flat = xp.reshape(volume, (volume.shape[0], -1))
    inside, corners = True, []
    for axis, n in enumerate(size):
        at = index[axis]
        inside = inside & (at > -0.5) & (at < n - 0.5)
        at = xp.clip(at, 0.0, float(n - 1))
        low = xp.floor(at)
        weight = at - low
        low = xp.astype(low, xp.int64)
        corners.append(((low, 1 - weight), (xp.clip(low + 1, 0, n - 1), weight)))
    total = 0.0
    for i, wi in corners[0]:
        for j, wj in corners[1]:
            row = (i * size[1] + j) * size[2]
            for k, wk in corners[2]:
                values = xp.take(flat, xp.reshape(row + k, (-1,)), axis=1)
                total = total + values * xp.reshape(wi * wj * wk, (1, -1))
    seen = xp.where(xp.reshape(inside, (1, -1)), total, xp.zeros_like(total))
    return xp.reshape(seen, (volume.shape[0], *index.shape[1:]))


def cut(channels: Any, mask: Any, site: Site, spacing_mm: Sequence[float]) -> Any:
    """Cut one box out of a study.

    Parameters
    ----------
    channels : array of float32, shape (n_channels, n_left, n_inferior, n_posterior)
        From `spondyl.models.study_inputs.study_input`.
    mask : array of bool or float, shape (n_left, n_inferior, n_posterior)
        The vertebra or lesion that is meant.
    site : Site
        Where.
    spacing_mm : sequence of float
        Spacing of the working grid, in mm.

    Returns
    -------
    array of float32, shape (n_channels + 1, *CROP_SHAPE)
        The box; its last channel is the mask.
    """
    xp = array_namespace(channels)
    index = xp.asarray(crop_index(site, spacing_mm))
    meant = sample(xp.astype(mask, xp.float32)[None], index)
    return xp.concat([sample(channels, index), meant])


class Tokens(NamedTuple):
    """The crops of a study, taken apart into one for each site and sequence.

    Parameters
    ----------
    crops : array of float32, shape (n_tokens, TOKEN_CHANNELS, *CROP_SHAPE)
        One sequence, the shapes, and the mask.
    facts : array of float32, shape (n_tokens, TOKEN_FACTS)
        Facts of the sequence, and whether a lesion is meant.
    slot, site : array of int64, shape (n_tokens,)
        Which sequence it shows, and which crop it comes from; in order of the crops.
    """

    crops: Any
    facts: Any
    slot: Any
    site: Any


def tokens_of(crops: Any, facts: Any) -> Tokens:
    """Take crops apart into one for each sequence that was given.

    Parameters
    ----------
    crops : array of float32, shape (n, CROP_CHANNELS, *CROP_SHAPE)
        Crops of the sites.
    facts : array of float32, shape (n, CROP_FACTS)
        Their facts.

    Returns
    -------
    Tokens
        At least one for each site of a study with at least one sequence.
    """
    xp = array_namespace(crops)
    own = xp.reshape(facts[:, :N_FACTS], (facts.shape[0], len(Slot), -1))
    site, slot = xp.nonzero(own[:, :, 0] > 0)
    image = crops[site, slot][:, None]
    token_facts = xp.concat([own[site, slot], facts[site, N_FACTS:]], axis=1)
    return Tokens(xp.concat([image, crops[site, len(Slot) :]], axis=1), token_facts, slot, site)
