"""Axis, neck, chest, loin or sacrum: which part of the spine a body belongs to, by what the image shows around it.

Ribs are what tells most, and sagittal slices cut them beside the bodies. A small network looks at a box to each
side of every body, in the body's own direction and scale; it was trained on synthetic patients alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core.anatomy import CERVICAL, LUMBAR, THORACIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.core import Image

    Array = NDArray[np.float64]

REGION_NAMES = ("axis", "neck", "chest", "loin", "sacrum")
"""Parts of the spine, from the head down; the axis is C2, and with it the little that is ever outlined of C1."""

BESIDE_MM = (2.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0)
"""Distances from the middle of a body, to either side, at which the image is looked at. Chosen by us: a rib's head and
neck lie 12 to 35 mm from the midline, and sagittal slices seldom reach farther than 30."""

ALONG = (-0.7, 0.7, 12)
"""Reach of a box along the column, in distances to the neighboring bodies, and number of samples. Chosen by us."""

BEHIND = (-1.0, 2.2, 16)
"""Reach of a box toward posterior, in depths of the body, and number of samples. Chosen by us."""

POOLED = 2
"""Samples along either axis of which the mean is taken."""

BOX_SHAPE = (len(BESIDE_MM), ALONG[2] // POOLED, BEHIND[2] // POOLED)
"""Values of one box: to the side, inferior and posterior."""

TYPICAL_DEPTH_MM = 25.0
"""Depth of a body where none could be measured. Chosen by us."""

LIMIT = 3.0
"""Largest logarithm of odds that one body may give. Chosen by us: what one image hides, no network sees."""


def region_of(level: str) -> int:
    """Give the part of the spine that a level belongs to.

    Parameters
    ----------
    level : str
        Level name.

    Returns
    -------
    int
        Index into `REGION_NAMES`.
    """
    parts = (CERVICAL[:2], CERVICAL[2:], THORACIC, LUMBAR)
    return next((number for number, part in enumerate(parts) if level in part), len(parts))


class Places(NamedTuple):
    """Where the bodies of a column lie, how they are turned, and how large they are.

    Parameters
    ----------
    centers_lps_mm : ndarray, shape (n, 3)
        Centers, from the head down, in LPS mm.
    tangents : ndarray, shape (n, 2)
        Direction of the column at each body, unit vectors along inferior and posterior.
    steps_mm, depths_mm : ndarray, shape (n,)
        Distance to the neighboring bodies, and depth of the body.
    """

    centers_lps_mm: Array
    tangents: Array
    steps_mm: Array
    depths_mm: Array


def places_of(centers_mm: Array, centers_lps_mm: Array, depths_mm: Array) -> Places:
    """Describe a column as boxes need it.

    Parameters
    ----------
    centers_mm : ndarray, shape (n, 3)
        Centers in mm along the axes of a grid in orientation ``LIP``, from the head down.
    centers_lps_mm : ndarray, shape (n, 3)
        The same in LPS mm.
    depths_mm : ndarray, shape (n,)
        Depth of each body; NaN where it was not measured.

    Returns
    -------
    Places
        With what is missing filled in.
    """
    known = depths_mm[np.isfinite(depths_mm)]
    depths = np.where(np.isfinite(depths_mm), depths_mm, np.median(known) if len(known) else TYPICAL_DEPTH_MM)
    if len(centers_mm) < 2:
        return Places(centers_lps_mm, np.array([[1.0, 0.0]]), np.array([TYPICAL_DEPTH_MM]), depths)
    way = np.gradient(centers_mm[:, 1:], axis=0)
    steps = np.linalg.norm(way, axis=1)
    return Places(centers_lps_mm, way / steps[:, None], steps, depths)


def boxes(image: Image, places: Places) -> NDArray[np.float32]:
    """Cut a box to the left and one to the right of every body, the right ones mirrored.

    Parameters
    ----------
    image : Image
        In any orientation.
    places : Places
        The bodies.

    Returns
    -------
    ndarray of float32, shape (n, 2, *BOX_SHAPE)
        Signal with a mean of 0 and a standard deviation of 1 over the image's boxes; 0 outside the image.
    """
    side = np.array([[1.0], [-1.0]]) * BESIDE_MM
    left, along, behind = np.meshgrid(side, np.linspace(*ALONG), np.linspace(*BEHIND), indexing="ij")
    center, (down, back) = places.centers_lps_mm[:, :, None, None, None], places.tangents.T[:, :, None, None, None]
    along = along * places.steps_mm[:, None, None, None]
    behind = behind * places.depths_mm[:, None, None, None]
    points = (
        center[:, 0] + left,
        center[:, 1] + along * back + behind * down,
        center[:, 2] - along * down + behind * back,
    )
    shape = points[1].shape
    index = image.grid.lps_to_ijk(np.stack([np.broadcast_to(p, shape) for p in points], -1).reshape(-1, 3))
    signal = ndimage.map_coordinates(image.array, index.T, order=1, cval=np.nan, prefilter=False).reshape(shape)
    if not np.isfinite(signal).any():
        return np.zeros((len(places.centers_lps_mm), 2, *BOX_SHAPE), np.float32)
    spread = float(np.nanstd(signal))
    even = np.nan_to_num((signal - np.nanmean(signal)) / (spread if spread > 0 else 1.0))
    n_side, n_along, n_behind = BOX_SHAPE
    pooled = even.reshape(-1, 2, n_side, n_along, POOLED, n_behind, POOLED).mean((4, 6))
    return pooled.astype(np.float32)


@dataclass(frozen=True, eq=False)
class RegionModel:
    """A network of one hidden layer that tells parts of the spine.

    Parameters
    ----------
    weights : tuple of ndarray
        Of the hidden and of the last layer, inputs first.
    biases : tuple of ndarray
        Of both.
    prior : ndarray, shape (len(REGION_NAMES),)
        Share of each part among the bodies that it was trained on.
    """

    weights: tuple[Array, Array]
    biases: tuple[Array, Array]
    prior: Array

    def log_odds(self, box: NDArray[np.float32]) -> Array:
        """Look at boxes.

        Parameters
        ----------
        box : ndarray, shape (..., *BOX_SHAPE)
            From `boxes`.

        Returns
        -------
        ndarray, shape (..., len(REGION_NAMES))
            Logarithm of each part's probability over its prior.
        """
        flat = box.reshape(*box.shape[: -len(BOX_SHAPE)], -1).astype(np.float64)
        hidden = np.maximum(flat @ self.weights[0] + self.biases[0], 0.0)
        score = hidden @ self.weights[1] + self.biases[1]
        score -= score.max(axis=-1, keepdims=True)
        log_probability: Array = score - np.log(np.exp(score).sum(axis=-1, keepdims=True))
        return log_probability - np.log(self.prior)


def region_log_odds(images: Iterable[Image], places: Places, model: RegionModel) -> Array:
    """Say of every body which part of the spine its surroundings look like.

    Parameters
    ----------
    images : iterable of Image
        At least one.
    places : Places
        The bodies.
    model : RegionModel
        What tells.

    Returns
    -------
    ndarray, shape (n, len(REGION_NAMES))
        Logarithm of each part's probability over its prior, the mean of both sides and all images, bounded by `LIMIT`.
    """
    seen = np.stack([model.log_odds(boxes(image, places)) for image in images])
    return np.clip(seen.mean(axis=(0, 2)), -LIMIT, LIMIT)
