"""Where the slices lie on the patient, and the patient cut along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from spondyl.core import Grid, Structure
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.arrays import Array
    from spondyl.phantom.protocol import Protocol

MARGIN_MM = 30.0
"""Tissue kept beyond the field of view for it to fade and fold over, in mm. Chosen by us."""

_AXES = {
    "sagittal": ((1.0, 0, 0), (0, 0, -1.0), (0, 1.0, 0)),
    "axial": ((0, 0, -1.0), (0, 1.0, 0), (1.0, 0, 0)),
    "coronal": ((0, 1.0, 0), (0, 0, -1.0), (1.0, 0, 0)),
}
"""Directions of slice, row and column axis in LPS before any tilt."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Lines on the patient that the scanner's fields follow.

    Parameters
    ----------
    z_mm : ndarray, shape (N,)
        Heights in LPS mm, ascending.
    back_mm : ndarray, shape (N,)
        Position (y, LPS mm) of the skin of the back at each height.
    front_line : tuple of float
        Slope and offset of the line y = slope * z + offset along the front of the vertebral bodies.
    column_lps_mm : tuple of float
        Middle of the vertebral bodies.
    """

    z_mm: Array
    back_mm: Array
    front_line: tuple[float, float]
    column_lps_mm: tuple[float, float, float]

    def back_y_mm(self, z_mm: Array) -> Array:
        """Give the skin of the back.

        Parameters
        ----------
        z_mm : ndarray
            Heights (z, LPS mm).

        Returns
        -------
        ndarray
            Where the skin lies (y, LPS mm), in the shape of `z_mm`.
        """
        return np.interp(z_mm, self.z_mm, self.back_mm)

    def front_distance_mm(self, lps_mm: Array) -> Array:
        """Give how far in front of the vertebral bodies positions lie.

        Parameters
        ----------
        lps_mm : ndarray, shape (..., 3)
            Positions in LPS mm.

        Returns
        -------
        ndarray, shape (...)
            Distance in mm; negative behind them.
        """
        slope, offset = self.front_line
        distance: Array = (slope * lps_mm[..., 2] + offset - lps_mm[..., 1]) / np.hypot(1.0, slope)
        return distance


def find_landmarks(grid: Grid, tissue: Array, structure: Array) -> Landmarks:
    """Find the lines that the scanner's fields follow.

    Parameters
    ----------
    grid : Grid
        Orientation LIP, its axes along the world's.
    tissue, structure : ndarray of uint8, shape ``grid.shape``
        The patient.

    Returns
    -------
    Landmarks
        Smoothed; where there is no body, the grid's own middle serves.
    """
    z = grid.affine[2, 3] + grid.affine[2, 1] * np.arange(grid.shape[1])
    y = grid.affine[1, 3] + grid.affine[1, 2] * np.arange(grid.shape[2])
    middle: Array = tissue[grid.shape[0] // 2]
    last = middle.shape[1] - 1 - np.argmax(np.flip(middle, axis=1) != Tissue.AIR, axis=1)
    back = np.where((middle != Tissue.AIR).any(axis=1), y[last], y[-1])
    bone: Array = np.isin(structure, (Structure.BODY, Structure.CORTEX, Structure.S1))
    rows = np.flatnonzero(bone.any(axis=(0, 2)))
    if len(rows) < 2:
        center = grid.ijk_to_lps((np.asarray(grid.shape) - 1) / 2)
        front = (0.0, float(center[1]) - 18.0)
    else:
        silhouette: Array = np.any(bone, axis=0)
        first = y[np.argmax(silhouette[rows], axis=1)]
        slope, offset = np.polyfit(z[rows], first, 1)
        front = (float(slope), float(offset))
        at = np.argwhere(bone[::2, ::4, ::4]).mean(axis=0) * (2, 4, 4)
        center = grid.ijk_to_lps(at)
    smooth = gaussian_filter1d(back.astype(float), 6.0, mode="nearest")
    return Landmarks(z[::-1], smooth[::-1], front, (float(center[0]), float(center[1]), float(center[2])))


def rotation(tilt_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    """Give the rotation by small angles about the world's x, y and z axis.

    Parameters
    ----------
    tilt_deg : tuple of float
        Angles in degrees, applied in the order x, y, z.

    Returns
    -------
    ndarray, shape (3, 3)
        Rotation matrix.
    """
    total = np.eye(3)
    for axis, angle in enumerate(np.radians(tilt_deg)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        total = turn @ total
    return total


def place(
    protocol: Protocol,
    patient: Grid,
    center_lps_mm: tuple[float, float, float],
    *,
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    frame_of_reference: str = "",
) -> Grid:
    """Lay the slices of a protocol on a patient.

    Parameters
    ----------
    protocol : Protocol
        Plane, field of view, pixel and slices.
    patient : Grid
        The patient's grid; the field of view is made no larger than it, as there is nothing outside.
    center_lps_mm : tuple of float
        Middle of the stack in LPS mm; moved inward where the stack would leave the patient.
    tilt_deg : tuple of float, optional
        Rotation about the world's axes in degrees.
    frame_of_reference : str, optional
        Frame of Reference UID.

    Returns
    -------
    Grid
        Voxels of the series: slices, rows, columns.
    """
    axes = np.array(_AXES[protocol.plane]).T
    corners = patient.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    extent = np.abs(axes.T) @ (high - low)
    shown = np.array([protocol.n_slices * protocol.slice_spacing_mm, protocol.fov_mm, protocol.fov_mm])
    spacing = np.array([protocol.slice_spacing_mm, protocol.pixel_mm, protocol.pixel_mm])
    shown = np.minimum(shown, extent - 2)
    shape = np.maximum(np.floor(shown / spacing + 1e-6), 1).astype(int)
    shape[1:] += shape[1:] % 2
    half = np.abs(axes) @ (shape * spacing) / 2
    center = np.clip(center_lps_mm, np.minimum(low + half, (low + high) / 2), np.maximum(high - half, (low + high) / 2))
    affine = np.eye(4)
    affine[:3, :3] = rotation(tilt_deg) @ axes * spacing
    affine[:3, 3] = center - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, frame_of_reference)


def object_grid(patient: Grid, series: Grid) -> Grid:
    """Give the grid on which the patient is cut for a series.

    Parameters
    ----------
    patient : Grid
        The patient's grid.
    series : Grid
        The voxels to acquire.

    Returns
    -------
    Grid
        Axes parallel to the series', voxels of the patient's size, reaching `MARGIN_MM` beyond the field of view in
        plane; where the series is not tilted, its voxels coincide with the patient's.
    """
    directions = series.directions
    spacing = np.abs(directions.T @ patient.directions) @ np.asarray(patient.spacing_mm)
    margin = np.array([max(series.spacing_mm[0], 4.0), MARGIN_MM, MARGIN_MM])
    start = series.affine[:3, 3] - directions @ margin
    start = patient.ijk_to_lps(np.round(patient.lps_to_ijk(start)))
    length = np.asarray(series.shape) * np.asarray(series.spacing_mm) + 2 * margin
    shape = np.ceil(length / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = start
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, series.frame_of_reference)


def cut(volume: Array, patient: Grid, grid: Grid) -> Array:
    """Take the patient's voxels nearest to another grid's.

    Parameters
    ----------
    volume : ndarray, shape ``patient.shape``
        Labels or indices.
    patient : Grid
        Where they are.
    grid : Grid
        Where they are wanted; outside of the patient the nearest face goes on.

    Returns
    -------
    ndarray, shape ``grid.shape``
        The values there.
    """
    to_index = np.linalg.inv(patient.affine) @ grid.affine
    step, start = to_index[:3, :3], to_index[:3, 3]
    limits = np.asarray(patient.shape) - 1
    main = np.argmax(np.abs(step), axis=0)
    if np.allclose(np.abs(step).sum(axis=0), np.abs(step).max(axis=0), atol=1e-9):
        picks = [np.zeros(0, int)] * 3
        for axis in range(3):
            at = start[main[axis]] + step[main[axis], axis] * np.arange(grid.shape[axis])
            picks[main[axis]] = np.clip(np.rint(at), 0, limits[main[axis]]).astype(np.intp)
        taken = volume[np.ix_(*picks)]
        return np.ascontiguousarray(taken.transpose(*main))
    return _cut_oblique(volume, step.astype(np.float32), start.astype(np.float32), grid.shape)


def _cut_oblique(volume: Array, step: Array, start: Array, shape: tuple[int, int, int]) -> Array:
    out = np.empty(shape, volume.dtype)
    flat = volume.reshape(-1)
    strides = (volume.shape[1] * volume.shape[2], volume.shape[2], 1)
    j, k = (np.arange(n, dtype=np.float32) for n in shape[1:])
    in_plane = [start[a] + step[a, 1] * j[:, None] + step[a, 2] * k[None, :] + np.float32(0.5) for a in range(3)]
    for i in range(shape[0]):
        index = np.zeros(shape[1:], np.int32)
        for a in range(3):
            at = np.clip(in_plane[a] + step[a, 0] * np.float32(i), 0, volume.shape[a] - 1).astype(np.int32)
            index += at * np.int32(strides[a])
        out[i] = flat[index]
    return out
