"""Everything around the bones: canal, cord, fat, muscle, vessels, organs and skin, laid out along the column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from spondyl.core import Structure
from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Canvas
    from spondyl.phantom.spine import VertebraShape

    Field = NDArray[np.float32]

CORD_SIZE_MM = {"C2": (11.5, 8.0), "C5": (13.3, 7.4), "T2": (9.5, 6.8), "T8": (8.3, 6.3), "T11": (9.4, 7.0)}
"""Width and depth of the cord (Frostell 2016, doi 10.3389/fneur.2016.00238)."""


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
    depth = along([x.canal_depth_mm for x in shapes]) - u(1.0, 3.5)
    depth *= 1 + 0.06 * np.sin(at / u(7, 12) + u(0, 6))
    gap = u(0.2, 1.5) + np.interp(rank, [s1 - 1, s1, s1 + 1, s1 + 3], [u(2, 6), u(1.5, 6), u(0.5, 3), 0])
    for i in range(s1 + 1, len(shapes)):
        if rng.random() < 0.1:
            narrow = u(0.25, 0.6) * np.exp(-(((rank - i + 0.5) / 0.18) ** 2))
            gap, depth = gap + narrow * depth * 0.4, depth * (1 - narrow * 0.7)
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
    """

    sample: NDArray[np.intp]
    behind: Field
    left: Field


def column_frame(canvas: Canvas, line: Centerline) -> ColumnFrame:
    """Give every voxel its place relative to the column.

    Parameters
    ----------
    canvas : Canvas
        The voxels.
    line : Centerline
        The column.

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
    return ColumnFrame(sample[None], behind[None] + bend, left)


def paint_surroundings(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Fill the canvas with the body around the spine.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        Painted in place.
    line : Centerline
        The column.
    frame : ColumnFrame
        Coordinates relative to it.
    """
    _paint_organs(rng, canvas, line, frame)
    _paint_pelvis(rng, canvas)
    _paint_front_wall(rng, canvas, line)
    _paint_prevertebral(rng, canvas, line, frame)
    _paint_back(rng, canvas, line, frame)


def _noise(rng: np.random.Generator, canvas: Canvas, wavelength_mm: float) -> Field:
    return smooth_noise(rng, canvas.grid.shape, canvas.grid.spacing_mm, wavelength_mm)


def _paint_organs(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Loops and lobes in front of the column: what they are matters little, that they vary matters."""
    u, tissue = rng.uniform, canvas.tissue
    tissue[:] = rng.choice([Tissue.VISCERAL_FAT, Tissue.BOWEL_WALL])
    recipes = (
        (Tissue.BOWEL_WALL, (14, 45), (-0.2, 0.6)),
        (Tissue.BOWEL_CONTENT, (12, 32), (0.2, 1.0)),
        (Tissue.VISCERAL_FAT, (8, 30), (-0.1, 0.8)),
        (Tissue.MUSCLE, (8, 22), (0.8, 1.5)),
        (Tissue.BOWEL_GAS, (14, 30), (1.1, 1.8)),
        (Tissue.VEIN, (5, 9), (1.0, 1.6)),
    )
    for kind, wavelength, threshold in recipes:
        tissue[_noise(rng, canvas, u(*wavelength)) > u(*threshold)] = kind
    rank = line.rank[frame.sample]
    if rng.random() < 0.6:
        top = u(8.5, 12.5)
        liver = (rank > top + 0.4 * _noise(rng, canvas, 40)) & (frame.left < u(-25, 40)) & (frame.behind < -u(30, 45))
        tissue[liver] = Tissue.LIVER
    if rng.random() < 0.7:
        chest = (rank > u(12.5, 14.5)) & (np.abs(frame.left) > u(14, 30) + 6 * _noise(rng, canvas, 30))
        tissue[chest & (frame.behind < u(10, 30))] = Tissue.LUNG
    for side in (-1, 1):
        if rng.random() < 0.5:
            at, half = u(7.0, 9.0), u(1.2, 1.9)
            center, behind = side * u(48, 62), u(-12, 12)
            q = (
                ((rank - at) / half) ** 2
                + ((frame.left - center) / u(18, 26)) ** 2
                + ((frame.behind - behind) / u(18, 26)) ** 2
            )
            tissue[q < 1] = Tissue.KIDNEY
            tissue[q < u(0.1, 0.3)] = Tissue.VISCERAL_FAT


def _paint_pelvis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Bladder, uterus and a rectum in front of the sacrum: round things that must not be taken for sacral bodies."""
    u = rng.uniform
    for kind, count in ((Tissue.BLADDER, 1), (Tissue.MUSCLE, 1), (Tissue.BOWEL_GAS, 2), (Tissue.BOWEL_CONTENT, 2)):
        for _ in range(count):
            if rng.random() < 0.35:
                continue
            large = kind in (Tissue.BLADDER, Tissue.MUSCLE)
            center = np.array([u(-20, 20), u(-75, -20) if large else u(-35, 25), u(-100, -25)])
            radii = rng.uniform(18, 38, 3) if large else rng.uniform(7, 16, 3)
            box = canvas.box(center, tuple(radii * 1.3), tuple(radii * 1.3))
            if box is None:
                continue
            q = ((canvas.x[box] - center[0]) / radii[0]) ** 2 + ((canvas.y[box] - center[1]) / radii[1]) ** 2
            q = q + ((canvas.z[box] - center[2]) / radii[2]) ** 2
            canvas.tissue[box][q < 1.2] = Tissue.BOWEL_WALL
            canvas.tissue[box][q < 1] = kind


def _paint_front_wall(rng: np.random.Generator, canvas: Canvas, line: Centerline) -> None:
    u = rng.uniform
    if rng.random() < 0.45:
        return
    front = line.points_lps_mm[:, 1].min() - u(60, 125)
    depth = canvas.y - np.float32(front) + 12 * np.sin(canvas.z / np.float32(u(60, 120)) + np.float32(u(0, 6)))
    fat, muscle = u(5, 40), u(5, 12)
    for limit, kind in (
        (fat + muscle, Tissue.MUSCLE),
        (fat, Tissue.SUBCUTANEOUS_FAT),
        (2, Tissue.SKIN),
        (0, Tissue.AIR),
    ):
        canvas.tissue[depth < limit] = kind


def _paint_prevertebral(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Fat, ligament, great vessels and psoas beside and before the bodies."""
    u, k = rng.uniform, frame.sample
    a, b = line.half_depth_mm[k].astype(np.float32), line.half_width_mm[k].astype(np.float32)
    rank = line.rank[k].astype(np.float32)
    p, v = frame.behind, frame.left
    near = np.sqrt((p / (a + u(3, 12))) ** 2 + (v / (b + u(2, 10))) ** 2) < 1
    canvas.tissue[near & (p < 4)] = Tissue.VISCERAL_FAT
    canvas.tissue[(p > -(a + u(0.8, 2.5))) & (p < 0) & (np.abs(v) < b * 0.85)] = Tissue.LIGAMENT
    r = u(6.5, 11.5)
    sway = 4 * np.sin(rank * 0.9 + u(0, 6))
    aorta = ((p + a + r + u(1, 6)) / r) ** 2 + ((v - u(-2, 17) - sway) / r) ** 2 < 1
    q = u(7, 12)
    cava = ((p + a + q + u(0, 8)) / (q * u(0.5, 1))) ** 2 + ((v + u(6, 20) - sway) / q) ** 2 < 1
    split = u(5.6, 6.8)
    if rng.random() < 0.85:
        canvas.tissue[aorta & (rank > split)] = Tissue.ARTERY
    if rng.random() < 0.85:
        canvas.tissue[cava & (rank > split) & (rank < u(11, 15))] = Tissue.VEIN
    s1 = 4
    size = np.clip((u(10, 12) - rank) / 4, 0, 1) * u(16, 28)
    psoas = (np.abs(v) - b - size * 0.75) ** 2 + ((p + u(-6, 6)) * 0.85) ** 2 < size * size
    canvas.tissue[psoas & (rank > s1 - 1.5)] = Tissue.MUSCLE


def _paint_back(rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame) -> None:
    """Back muscles with fatty streaks, fascia, subcutaneous fat, skin and the air behind."""
    u, k = rng.uniform, frame.sample
    a = line.half_depth_mm[k].astype(np.float32)
    p, v = frame.behind, frame.left
    behind = p > a * u(0.2, 0.5)
    canvas.tissue[behind] = Tissue.MUSCLE
    canvas.tissue[behind & (np.abs(v) < u(0.6, 4))] = (
        Tissue.LIGAMENT if rng.random() < 0.5 else Tissue.INTERMUSCULAR_FAT
    )
    streak = _noise(rng, canvas, u(3, 8)) > u(0.8, 2.4)
    canvas.tissue[streak & (canvas.tissue == Tissue.MUSCLE)] = Tissue.INTERMUSCULAR_FAT
    z = line.points_lps_mm[:, 2]
    order = np.argsort(z)
    rows = canvas.grid.affine[2, 3] + np.arange(canvas.grid.shape[1]) * canvas.grid.affine[2, 1]
    curve = np.interp(rows, z[order], line.points_lps_mm[order, 1])
    flat = gaussian_filter1d(curve, u(8, 40), mode="nearest")
    level = np.maximum(flat * u(0.5, 1) + u(46, 66), curve + u(40, 54))
    muscle = gaussian_filter1d(level, 8, mode="nearest")
    thickness = np.interp(rows, [-120, -20, 60, 200], [u(8, 60), u(5, 55), u(3, 28), u(2, 20)]) * u(0.4, 1.1)
    thickness = gaussian_filter1d(thickness, 12, mode="nearest") + 2
    x = canvas.grid.affine[0, 3] + np.arange(canvas.grid.shape[0]) * canvas.grid.affine[0, 0]
    groove = u(-8, 2) * np.exp(-((x / u(8, 16)) ** 2)) - (x / u(45, 80)) ** 2 * u(0, 12)
    depth = canvas.y - (muscle[None, :, None] + 0.6 * groove[:, None, None]).astype(np.float32)
    skin = (thickness[None, :, None] - 0.3 * groove[:, None, None]).astype(np.float32)
    canvas.tissue[depth > 0] = Tissue.SUBCUTANEOUS_FAT
    canvas.tissue[(depth > -1.4) & (depth < 0.3)] = Tissue.LIGAMENT
    canvas.tissue[depth > skin - 1.8] = Tissue.SKIN
    canvas.tissue[depth > skin] = Tissue.AIR


def paint_canal(
    rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame, conus_rank: float
) -> None:
    """Paint foramina, epidural space, sac, roots and cord.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        Painted in place.
    line : Centerline
        The column.
    frame : ColumnFrame
        Coordinates relative to it.
    conus_rank : float
        Fractional vertebra index of the conus' tip.
    """
    u, k = rng.uniform, frame.sample
    a = line.half_depth_mm[k].astype(np.float32)
    b = line.half_width_mm[k].astype(np.float32)
    half = (line.canal_depth_mm[k] / 2).astype(np.float32)
    wide = (line.canal_width_mm[k] / 2).astype(np.float32)
    rank = line.rank[k].astype(np.float32)
    center = a + line.gap_mm[k].astype(np.float32) + half
    p, v = frame.behind - center, frame.left
    side = np.abs(v)
    foramen = (frame.behind > a * 0.75) & (p < half * u(0.2, 0.9)) & (side < b * u(0.8, 1.0)) & (side > wide * 0.6)
    canvas.tissue[foramen] = Tissue.EPIDURAL_FAT
    phase = (rank + u(0.2, 0.4)) % 1.0
    root = ((phase - 0.5) / u(0.09, 0.13)) ** 2 + ((p + u(0, 3)) / u(2.5, 4)) ** 2 < 1
    canvas.tissue[foramen & root & (side > wide)] = Tissue.ROOTS
    gland = foramen & (_noise(rng, canvas, u(3, 6)) > u(1.0, 1.8))
    canvas.tissue[gland] = Tissue.EPIDURAL_VEIN
    bony = ((p / (half + u(0.8, 3.5))) ** 2 + (v / (wide + u(1, 4))) ** 2 < 1) & (rank > -1)
    canvas.tissue[bony] = Tissue.EPIDURAL_FAT
    canvas.tissue[bony & (p < 0) & (side < wide * 0.75)] = Tissue.EPIDURAL_VEIN
    _set(canvas, bony, Structure.CANAL)
    sac = (p / half) ** 2 + (v / wide) ** 2 < 1
    sac &= rank > u(1.6, 3.2)
    canvas.tissue[sac] = Tissue.CSF
    _set(canvas, sac, Structure.CANAL)
    if rng.random() < 0.75:
        f, shift = u(0.8, 2.0), u(0, 6)
        bundle = np.sin(v * f + shift + 0.3 * np.sin(k * 0.05)) + np.cos(
            frame.behind * f * 1.1 + 0.2 * np.sin(k * 0.04 + v)
        )
        canvas.tissue[sac & (bundle > u(0.2, 1.3)) & (p > half * u(-0.5, 0.3)) & (rank < conus_rank + 0.3)] = (
            Tissue.ROOTS
        )
    _paint_cord(rng, canvas, (p, v, rank), half, conus_rank)


def _set(canvas: Canvas, where: NDArray[np.bool_], structure: Structure) -> None:
    canvas.structure[where] = structure
    canvas.instance[where] = 0


def _paint_cord(
    rng: np.random.Generator, canvas: Canvas, at: tuple[Field, Field, Field], half: Field, conus_rank: float
) -> None:
    p, v, rank = at
    u = rng.uniform
    n_levels = 29
    ranks = [n_levels - 2, n_levels - 5, n_levels - 9, n_levels - 15, n_levels - 18]
    widths, depths = zip(*CORD_SIZE_MM.values(), strict=True)
    scale = u(0.88, 1.12)
    taper = np.clip((rank - conus_rank) / u(0.6, 1.1), 0, 1)
    width = np.interp(rank, ranks[::-1], widths[::-1]).astype(np.float32) * (scale / 2) * taper
    depth = np.minimum(np.interp(rank, ranks[::-1], depths[::-1]) * (scale / 2), half * 0.85).astype(np.float32) * taper
    shift = half * u(-0.25, 0.25)
    cord = ((p - shift) / np.maximum(depth, 0.1)) ** 2 + (v / np.maximum(width, 0.1)) ** 2 < 1
    cord &= (rank > conus_rank) & (canvas.tissue == Tissue.CSF) | (
        cord & (canvas.tissue == Tissue.ROOTS) & (rank > conus_rank)
    )
    canvas.tissue[cord] = Tissue.CORD
    _set(canvas, cord, Structure.CORD)
