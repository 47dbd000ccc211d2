"""Ribs: whether a vertebra bears them, by what sagittal slices show beside its body.

Ribs tell more than anything else where the chest ends. Slices cut them beside the bodies, where each is an oval a few
voxels wide, next to a transverse process that is one too. A small convolutional network looks at a box to each side of
every body, in the body's own direction and scale. It was trained on synthetic patients alone, in whom ribs were dealt
out by chance to any vertebra, so that it knows ribs and not the vertebrae that usually bear them: what a vertebra
looks like is weighed elsewhere, and must not count twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.core import Image

    Array = NDArray[np.float64]

BESIDE_MM = (18.0, 22.0, 26.0, 30.0, 34.0)
"""Distances from the middle of a body, to either side, at which the image is looked at. Chosen by us: a rib's head and
neck lie 12 to 35 mm from the midline, and sagittal slices seldom reach farther than 30; where the column lies off their
middle, one side is seen farther out."""

ALONG = (-0.8, 0.8, 24)
"""Reach of a box along the column, in distances to the neighboring bodies, and number of samples. Chosen by us: about
2 mm apart, a quarter of a rib."""

BEHIND = (-0.344, 1.872, 28)
"""Reach of a box toward posterior, in depths of the body, and number of samples. Chosen by us: from the body's middle
to behind the transverse processes, nearly as fine."""

BOX_SHAPE = (len(BESIDE_MM), ALONG[2], BEHIND[2])
"""Values of one box: to the side, inferior and posterior."""

BRIGHTEST = 4.0
"""Standard deviations beyond which signal is cut, since vessels and fat may be very bright. Chosen by us."""

APART = (0, 1, 3, 4)
"""Axes of boxes, all but the distance to the side."""

STRIDE = 2
"""Samples by which a filter moves on."""

TYPICAL_DEPTH_MM = 25.0
"""Depth of a body where none could be measured. Chosen by us."""


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
        Signal with a mean of 0 and a standard deviation of 1 over all boxes at the same distance to the side, since
        coils see less far from the middle; 0 outside the image.
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
    seen = signal.reshape(-1, 2, *BOX_SHAPE)
    known = np.isfinite(seen)
    count = np.maximum(known.sum(axis=APART, keepdims=True), 1)
    off = np.where(known, seen, 0.0)
    off = np.where(known, off - off.sum(axis=APART, keepdims=True) / count, 0.0)
    spread = np.sqrt((off**2).sum(axis=APART, keepdims=True) / count)
    even = np.clip(off / np.where(spread > 0, spread, 1.0), -BRIGHTEST, BRIGHTEST)
    return even.astype(np.float32)


@dataclass(frozen=True, eq=False)
class RibModel:
    """A convolutional network that tells ribs.

    Parameters
    ----------
    filters : tuple of ndarray
        Of each convolutional layer, shape (outputs, inputs, size, size); the first layer's inputs are the distances to
        the side.
    weights : tuple of ndarray
        Of the hidden and of the last layer, inputs first.
    biases : tuple of ndarray
        Of all layers, convolutional ones first.
    """

    filters: tuple[Array, ...]
    weights: tuple[Array, Array]
    biases: tuple[Array, ...]

    def log_odds(self, box: NDArray[np.float32]) -> Array:
        """Look at boxes.

        Parameters
        ----------
        box : ndarray, shape (..., *BOX_SHAPE)
            From `boxes`.

        Returns
        -------
        ndarray, shape (...)
            Logarithm of how much more probable the box is beside a vertebra that bears ribs than beside another.
        """
        seen = box.reshape(-1, *BOX_SHAPE).astype(np.float64)
        for kernel, bias in zip(self.filters, self.biases, strict=False):
            seen = np.maximum(_filtered(seen, kernel) + bias[:, None, None], 0.0)
        hidden = np.maximum(seen.reshape(len(seen), -1) @ self.weights[0] + self.biases[-2], 0.0)
        odds: Array = hidden @ self.weights[1] + self.biases[-1]
        return odds.reshape(box.shape[: -len(BOX_SHAPE)])


def _filtered(seen: Array, kernel: Array) -> Array:
    """Correlate images, shape (n, inputs, h, w), with filters, every `STRIDE`-th place, no border added."""
    parts = sliding_window_view(seen, kernel.shape[2:], axis=(2, 3))[:, :, ::STRIDE, ::STRIDE]
    found: Array = np.tensordot(parts, kernel, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return found


def rib_log_odds(images: Iterable[Image], places: Places, model: RibModel) -> Array:
    """Say of every body whether it seems to bear ribs.

    Parameters
    ----------
    images : iterable of Image
        At least one.
    places : Places
        The bodies.
    model : RibModel
        What tells.

    Returns
    -------
    ndarray, shape (n,)
        As `RibModel.log_odds`, put together by `sum_of_sides`.
    """
    return sum_of_sides(np.stack([model.log_odds(boxes(image, places)) for image in images]))


def sum_of_sides(odds: Array) -> Array:
    """Put together what was seen to either side in several images.

    Parameters
    ----------
    odds : ndarray, shape (n_images, n, 2)
        From `RibModel.log_odds`.

    Returns
    -------
    ndarray, shape (n,)
        Sum of both sides, which are separate witnesses, and mean of the images, which are not.
    """
    together: Array = odds.sum(axis=-1).mean(axis=0)
    return together
