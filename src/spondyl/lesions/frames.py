"""The own directions of each vertebra, and a body laid out in them: what heights, sides and zones are measured in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap

    Floats = NDArray[np.float64]

BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)

MIN_BODY_VOXELS = 20
"""A body of fewer voxels has no measurable form. Chosen by us."""

CANAL_REACH_MM = 45.0
"""How far behind the center of a body its canal is looked for, in mm. Chosen by us."""

POSTERIOR = np.array([0.0, 1.0, 0.0])


class Frame(NamedTuple):
    """Where a vertebra lies and how it is turned.

    Parameters
    ----------
    instance : int
        Its number.
    center_lps_mm : ndarray, shape (3,)
        Center of its body.
    axes : ndarray, shape (3, 3)
        Columns: unit vectors to the left, to posterior and upward of the vertebra, in LPS.
    """

    instance: int
    center_lps_mm: Floats
    axes: Floats

    def local(self, points_lps_mm: Floats) -> Floats:
        """Give points in the vertebra's coordinates.

        Parameters
        ----------
        points_lps_mm : ndarray, shape (..., 3)
            In LPS mm.

        Returns
        -------
        ndarray, shape (..., 3)
            To the left, to posterior and upward of its center, in mm.
        """
        moved: Floats = (points_lps_mm - self.center_lps_mm) @ self.axes
        return moved

    def world(self, local_mm: Floats) -> Floats:
        """Give points in LPS.

        Parameters
        ----------
        local_mm : ndarray, shape (..., 3)
            To the left, to posterior and upward of its center, in mm.

        Returns
        -------
        ndarray, shape (..., 3)
            In LPS mm.
        """
        points: Floats = self.center_lps_mm + local_mm @ self.axes.T
        return points

    def turned(self, slope: float) -> Frame:
        """Tip the frame about its left axis.

        Parameters
        ----------
        slope : float
            Rise of the new posterior axis over the old one.

        Returns
        -------
        Frame
            With the same center.
        """
        left, back, up = self.axes.T
        posterior = back + slope * up
        posterior /= np.linalg.norm(posterior)
        return self._replace(axes=np.column_stack([left, posterior, np.cross(left, posterior)]))


def bodies_of(structures: LabelMap, vertebrae: LabelMap) -> dict[int, NDArray[np.int_]]:
    """Find the voxels of each body.

    Parameters
    ----------
    structures, vertebrae : LabelMap
        On one grid.

    Returns
    -------
    dict of int to ndarray, shape (n, 3)
        Voxel indices by instance, for bodies large enough to have a form.
    """
    bodies = np.where(np.isin(structures.array, BODY), vertebrae.array, 0)
    found = {}
    for number, box in enumerate(ndimage.find_objects(bodies), start=1):
        if box is None:
            continue
        voxels = np.argwhere(bodies[box] == number) + [s.start for s in box]
        if len(voxels) >= MIN_BODY_VOXELS:
            found[number] = voxels
    return found


def frames_of(structures: LabelMap, vertebrae: LabelMap) -> dict[int, Frame]:
    """Find the frame of every vertebra: up along the column, back toward the canal.

    Parameters
    ----------
    structures, vertebrae : LabelMap
        On one grid.

    Returns
    -------
    dict of int to Frame
        By instance, from the head down.
    """
    grid = structures.grid
    centers = {n: grid.ijk_to_lps(v.mean(0)) for n, v in bodies_of(structures, vertebrae).items()}
    numbers = sorted(centers)
    canal = grid.ijk_to_lps(np.argwhere(np.isin(structures.array, (Structure.CANAL, Structure.CORD)))[::7])
    frames = {}
    for place, number in enumerate(numbers):
        above = centers[numbers[max(place - 1, 0)]]
        below = centers[numbers[min(place + 1, len(numbers) - 1)]]
        up = above - below if len(numbers) > 1 else np.array([0.0, 0.0, 1.0])
        frames[number] = Frame(number, centers[number], _axes(centers[number], up, canal))
    return frames


def _axes(center: Floats, up: Floats, canal_lps_mm: Floats) -> Floats:
    up = up / np.linalg.norm(up)
    away = canal_lps_mm - center
    height = away @ up
    beside = np.linalg.norm(away - height[:, None] * up, axis=1) if len(away) else np.zeros(0)
    near = away[(np.abs(height) < 8.0) & (beside < CANAL_REACH_MM)]
    back = near.mean(0) if len(near) >= 5 else POSTERIOR
    back = back - (back @ up) * up
    if np.linalg.norm(back) < 1.0 and len(near) >= 5:
        back = POSTERIOR - (POSTERIOR @ up) * up
    back /= np.linalg.norm(back)
    return np.column_stack([np.cross(back, up), back, up])


def layout(mask: NDArray[np.bool_], grid: Grid, frame: Frame, *, v_mm: Floats, u_mm: Floats, w_mm: Floats) -> Floats:
    """Sample a mask in a vertebra's coordinates.

    Parameters
    ----------
    mask : ndarray of bool, shape ``grid.shape``
        Voxels of a structure.
    grid : Grid
        Where they are.
    frame : Frame
        The vertebra.
    v_mm, u_mm, w_mm : ndarray
        Coordinates to the left, to posterior and upward.

    Returns
    -------
    ndarray of float, shape (len(v_mm), len(u_mm), len(w_mm))
        Share of the structure there, from 0 to 1, blended between voxels.
    """
    local = np.stack(np.meshgrid(v_mm, u_mm, w_mm, indexing="ij"), axis=-1)
    at = grid.lps_to_ijk(frame.world(local))
    first = np.maximum(np.floor(at.reshape(-1, 3).min(0)).astype(int) - 1, 0)
    last = np.minimum(np.ceil(at.reshape(-1, 3).max(0)).astype(int) + 2, mask.shape)
    if (last <= first).any():
        return np.zeros(local.shape[:3])
    part = mask[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].astype(np.float32)
    sampled: Floats = ndimage.map_coordinates(part, np.moveaxis(at - first, -1, 0), order=1, mode="constant")
    return sampled
