"""The curve through the column, and every voxel's place beside it: soft tissue is laid out along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Canvas, Field
    from spondyl.phantom.vertebra import VertebraShape


@dataclass(frozen=True, eq=False)
class Centerline:
    """The curve through the bodies' centers, sampled every millimeter, and sizes along it.

    Parameters
    ----------
    points_lps_mm : ndarray, shape (n, 3)
        From below upward.
    normal_yz : ndarray, shape (n, 2)
        Unit vector to posterior in the sagittal plane.
    rank : ndarray, shape (n,)
        Fractional index into the list of vertebrae.
    half_depth_mm, half_width_mm : ndarray, shape (n,)
        Size of the bodies.
    canal_depth_mm, canal_width_mm, gap_mm : ndarray, shape (n,)
        Sac size and its distance behind the bodies.
    """

    points_lps_mm: NDArray[np.float64]
    normal_yz: NDArray[np.float64]
    rank: NDArray[np.float64]
    half_depth_mm: NDArray[np.float64]
    half_width_mm: NDArray[np.float64]
    canal_depth_mm: NDArray[np.float64]
    canal_width_mm: NDArray[np.float64]
    gap_mm: NDArray[np.float64]

    def at_rank(self, rank: float) -> int:
        """Give the sample nearest a fractional vertebra index.

        Parameters
        ----------
        rank : float
            Fractional index into the list of vertebrae.

        Returns
        -------
        int
            Index of the sample.
        """
        return int(np.argmin(np.abs(self.rank - rank)))


def centerline(rng: np.random.Generator, shapes: list[VertebraShape]) -> Centerline:
    """Lay the curve through the column and sample the sac's size along it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of sac size, stenosis and epidural fat.
    shapes : list of VertebraShape
        The column, from below.

    Returns
    -------
    Centerline
        The curve, prolonged by 80 mm at both ends.
    """
    u = rng.uniform
    centers = np.stack([s.center_lps_mm for s in shapes])
    ends = np.vstack([centers[0] - 80 * shapes[0].axes[:, 2], centers, centers[-1] + 80 * shapes[-1].axes[:, 2]])
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ends, axis=0), axis=1))])
    spline = CubicSpline(s, ends)
    at = np.arange(0, s[-1], 1.0)
    tangent = spline(at, 1)
    yz = tangent[:, 1:] / np.linalg.norm(tangent[:, 1:], axis=1, keepdims=True)

    def along(values: list[float]) -> NDArray[np.float64]:
        return PchipInterpolator(s, [values[0], *values, values[-1]])(at)

    rank = np.interp(at, s, [-2, *range(len(shapes)), len(shapes) + 1])
    s1 = [x.level for x in shapes].index("S1")
    depth = along([x.canal_depth_mm for x in shapes]) - u(1.5, 5.0)
    depth *= 1 + 0.06 * np.sin(at / u(7, 12) + u(0, 6))
    gap = u(0.2, 1.5) + np.interp(rank, [s1 - 1, s1, s1 + 1, s1 + 3], [u(2, 6), u(1.5, 6), u(0.5, 3), 0])
    for i in range(s1 + 1, len(shapes)):
        if rng.random() < 0.04 + 0.16 * shapes[i].disc.degeneration ** 2:
            narrow = u(0.25, 0.6) * np.exp(-(((rank - i + 0.5) / 0.18) ** 2))
            gap, depth = gap + narrow * depth * 0.4, depth * (1 - narrow * 0.7)
    # The ligament holds the sac to the discs; behind the bodies veins part them.
    gap = np.where(rank > s1 + 0.7, gap * (0.65 + 0.35 * np.cos(2 * np.pi * rank)), gap)
    taper = np.clip((rank - s1 + u(1.0, 2.2)) / 1.5, 0.12, 1)
    return Centerline(
        points_lps_mm=spline(at),
        normal_yz=np.stack([yz[:, 1], -yz[:, 0]], axis=1),
        rank=rank,
        half_depth_mm=along([x.half_depth_mm * x.back for x in shapes]),
        half_width_mm=along([x.half_width_mm for x in shapes]),
        canal_depth_mm=np.maximum(depth * taper, 2),
        canal_width_mm=np.maximum((along([x.canal_width_mm for x in shapes]) - u(3, 6)) * taper, 2),
        gap_mm=gap,
    )


@dataclass(frozen=True, eq=False)
class ColumnFrame:
    """Coordinates of every voxel relative to the column.

    Parameters
    ----------
    sample : ndarray of int, shape (1, n_rows, n_columns)
        Nearest sample of the centerline in the sagittal plane.
    behind, left : ndarray of float32, shape ``grid.shape``
        Distance to posterior and to the left of the centerline, in mm.
    tips_yz : ndarray, shape (n, 2)
        Ends of the spinous processes in LPS mm, from below upward.
    """

    sample: NDArray[np.intp]
    behind: Field
    left: Field
    tips_yz: NDArray[np.float64]


def column_frame(canvas: Canvas, line: Centerline, shapes: list[VertebraShape]) -> ColumnFrame:
    """Give every voxel its place relative to the column.

    Parameters
    ----------
    canvas : Canvas
        The voxels.
    line : Centerline
        The column.
    shapes : list of VertebraShape
        Its bones, from S5 upward.

    Returns
    -------
    ColumnFrame
        The coordinates.
    """
    affine, (_, rows, columns) = canvas.grid.affine, canvas.grid.shape
    y = affine[1, 3] + np.arange(columns) * affine[1, 2]
    z = affine[2, 3] + np.arange(rows) * affine[2, 1]
    zz, yy = np.meshgrid(z, y, indexing="ij")
    plane = line.points_lps_mm[:, 1:]
    _, sample = cKDTree(plane).query(np.stack([yy, zz], axis=-1))
    offset = np.stack([yy, zz], axis=-1) - plane[sample]
    behind = np.einsum("ijk,ijk->ij", offset, line.normal_yz[sample]).astype(np.float32)
    bend = canvas.y - yy[None].astype(np.float32)
    left = canvas.x - line.points_lps_mm[sample, 0][None].astype(np.float32)
    tips = np.stack([s.spinous_tip_lps_mm[1:] for s in shapes])
    # Long processes may overlap their neighbors': heights must rise for the line through them to be a function.
    tips[:, 1] = np.maximum.accumulate(tips[:, 1] + 1e-3 * np.arange(len(tips)))
    return ColumnFrame(sample[None], behind[None] + bend, left, tips)
