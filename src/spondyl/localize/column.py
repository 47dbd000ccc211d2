"""Put every voxel of arch and disc to the vertebra it belongs to, by its height along the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARCH_DROP = 0.3
"""Posterior elements hang below their body's center by this part of the distance to the next body. Chosen by us."""


class Column:
    """The curve through the bodies' centers in the sagittal plane.

    Parameters
    ----------
    centers_mm : ndarray, shape (n, 3)
        Centers from the head down, along left, inferior and posterior, in mm of the grid's axes.
    """

    def __init__(self, centers_mm: NDArray[np.float64]) -> None:
        self.centers = np.asarray(centers_mm, dtype=np.float64)
        n = len(self.centers)
        if n > 1:
            steps = np.gradient(self.centers[:, 1:], axis=0)
            self.lengths = np.linalg.norm(np.diff(self.centers[:, 1:], axis=0), axis=1)
        else:
            steps, self.lengths = np.array([[1.0, 0.0]]), np.array([30.0])
        self.tangents = steps / np.linalg.norm(steps, axis=1, keepdims=True)

    def rank(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the fractional body number of points: 0 at the uppermost center, growing downward.

        Parameters
        ----------
        points_mm : ndarray, shape (m, 3)
            Along left, inferior and posterior, in mm.

        Returns
        -------
        ndarray, shape (m,)
            The rank; the plane through each center, normal to the column, is a whole number.
        """
        n = len(self.centers)
        offset = points_mm[:, None, 1:] - self.centers[None, :, 1:]
        along = np.einsum("mnc,nc->mn", offset, self.tangents)
        # The planes turn from body to body; a point lies between the last plane it is below and the next one.
        below = np.clip((along > 0).sum(1) - 1, 0, max(n - 2, 0))
        rows = np.arange(len(points_mm))
        upper = along[rows, below]
        if n == 1:
            return upper / self.lengths[0]
        lower = along[rows, below + 1]
        return below + upper / np.where(np.abs(upper - lower) < 1e-6, 1e-6, upper - lower)


def assign_arches(
    mask: NDArray[np.bool_], column: Column, spacing_mm: tuple[float, float, float], n_bodies: int
) -> NDArray[np.uint16]:
    """Give each voxel of the posterior elements its vertebra's number.

    Parameters
    ----------
    mask : ndarray of bool
        Posterior elements.
    column : Column
        The bodies.
    spacing_mm : tuple of float
        Voxel size.
    n_bodies : int
        Highest number.

    Returns
    -------
    ndarray of uint16
        Numbers from 1.
    """
    points = np.argwhere(mask) * np.asarray(spacing_mm)
    out = np.zeros(mask.shape, np.uint16)
    if len(points):
        rank = column.rank(points) - ARCH_DROP
        out[mask] = np.clip(np.rint(rank), 0, n_bodies - 1).astype(np.uint16) + 1
    return out


def assign_discs(
    mask: NDArray[np.bool_], column: Column, spacing_mm: tuple[float, float, float], n_bodies: int
) -> NDArray[np.uint16]:
    """Give each voxel of the discs the number of the body above.

    Parameters
    ----------
    mask : ndarray of bool
        Discs.
    column : Column
        The bodies.
    spacing_mm : tuple of float
        Voxel size.
    n_bodies : int
        Highest number.

    Returns
    -------
    ndarray of uint16
        Numbers from 1; a disc above the uppermost body is left out.
    """
    points = np.argwhere(mask) * np.asarray(spacing_mm)
    out = np.zeros(mask.shape, np.uint16)
    if len(points):
        number = np.floor(column.rank(points)).astype(int) + 1
        out[mask] = np.where((number >= 1) & (number <= n_bodies), number, 0).astype(np.uint16)
    return out
