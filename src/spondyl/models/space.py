"""Into the space a network works in, and back. Nothing outside this module moves voxels for a network.

Networks work on sagittal stacks in orientation ``LIP`` with a fixed in-plane spacing. Slices of a usual thickness stay
as they were acquired; thinner ones are averaged, axial and coronal stacks are resampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, Grid, Image, reorient

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from spondyl.models.card import ModelCard


REACH_SD = 3.0
"""Standard deviations at which the filter before a coarser sampling ends."""


class WorkingSpace(NamedTuple):
    """Where a network works, for whoever has no model card yet.

    Parameters
    ----------
    spacing_mm : tuple of float
        Spacing to the left, inferior and posterior.
    slice_range_mm : tuple of float
        Slice spacings that are kept.
    """

    spacing_mm: tuple[float, float, float]
    slice_range_mm: tuple[float, float]


def working_grid(grid: Grid, card: ModelCard | WorkingSpace) -> Grid:
    """Give the grid on which a network looks at an image.

    Parameters
    ----------
    grid : Grid
        The image's own grid.
    card : ModelCard or WorkingSpace
        Tells spacing and the range of slice spacings.

    Returns
    -------
    Grid
        Orientation ``LIP``, over the same extent.
    """
    turned = grid.reoriented(SAGITTAL)
    low, high = card.slice_range_mm
    slices = turned.spacing_mm[0]
    if not low <= slices <= high:
        # Thicker slices are interpolated to the coarsest spacing known; slices far too thin become usual ones.
        slices = high if slices > high else (low + high) / 2 if slices < low / 2 else low
    return turned.resampled((slices, card.spacing_mm[1], card.spacing_mm[2]))


def to_working_space(image: Image, grid: Grid) -> NDArray[np.float32]:
    """Sample an image on a working grid, averaging where that is coarser.

    Parameters
    ----------
    image : Image
        The image.
    grid : Grid
        From `working_grid`.

    Returns
    -------
    ndarray of float32, shape ``grid.shape``
        The voxels.
    """
    turned = image.grid.reoriented(SAGITTAL)
    array = reorient(image.array, image.grid.orientation, SAGITTAL)
    ratio = np.asarray(grid.spacing_mm) / np.asarray(turned.spacing_mm)
    # A box of the ratio's width has this standard deviation; a Gaussian of it keeps the samples free of aliasing.
    sigma = np.where(ratio > 1.05, np.sqrt(np.maximum(ratio**2 - 1, 0) / 12), 0.0)
    reach = np.ceil(REACH_SD * sigma).astype(int) + 1
    array, turned = needed(np.asarray(array, dtype=np.float32), turned, grid, reach=reach)
    if sigma.any():
        array = ndimage.gaussian_filter(array, sigma, mode="nearest", truncate=REACH_SD)
    return resample(array, turned, grid)


def needed(array: NDArray, source: Grid, target: Grid, *, reach: ArrayLike = (0, 0, 0)) -> tuple[NDArray, Grid]:
    """Leave out the voxels that samples at another grid do not depend on.

    Parameters
    ----------
    array : ndarray, shape ``source.shape``
        The voxels.
    source, target : Grid
        Where they are, and where samples are wanted.
    reach : array_like of int, shape (3,), optional
        Voxels on each side that a filter before the sampling looks at.

    Returns
    -------
    array : ndarray
        A view of the part that is needed; the nearest border where the grids do not meet.
    grid : Grid
        Where it is.
    """
    box = tuple(
        slice(max(s.start - int(r), 0), min(s.stop + int(r), n))
        for s, r, n in zip(source.box_of(target, beyond=0.0), np.asarray(reach), source.shape, strict=True)
    )
    return array[box], source.part(box)


def resample(array: NDArray, source: Grid, target: Grid, *, order: int = 1) -> NDArray:
    """Sample an array of one grid at the voxel centers of another.

    Parameters
    ----------
    array : ndarray, shape ``source.shape``
        The voxels.
    source, target : Grid
        Where they are, and where they are wanted.
    order : int, optional
        0 for the nearest voxel, 1 for linear interpolation.

    Returns
    -------
    ndarray, shape ``target.shape``
        Samples; border values continue outside.
    """
    if source.same_space(target, 1e-3):
        return array
    array, source = needed(array, source, target)
    step = np.linalg.inv(source.affine) @ target.affine
    diagonal = np.diag(np.diag(step[:3, :3]))
    matrix = step[:3, :3]
    if np.allclose(matrix, diagonal, atol=1e-6):
        return _separable(array, np.diag(matrix), step[:3, 3], target.shape, order)
    return ndimage.affine_transform(
        array, matrix, step[:3, 3], output_shape=target.shape, order=order, mode="nearest", prefilter=False
    )


def _separable(array: NDArray, scale: NDArray, offset: NDArray, shape: tuple[int, int, int], order: int) -> NDArray:
    """Interpolate axis by axis, which is several times faster than a general transform."""
    for axis in range(3):
        n = array.shape[axis]
        at = np.clip(np.arange(shape[axis]) * scale[axis] + offset[axis], 0, n - 1)
        if order == 0:
            array = np.take(array, np.rint(at).astype(np.intp), axis=axis)
            continue
        low = np.minimum(np.floor(at).astype(np.intp), max(n - 2, 0))
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        first = np.take(array, low, axis=axis)
        array = first + (np.take(array, np.minimum(low + 1, n - 1), axis=axis) - first) * weight
    return array
