"""The canal and its doors: foramina with their roots, epidural space, sac, cauda equina and cord."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Canvas, Field
    from spondyl.phantom.centerline import Centerline, ColumnFrame

CORD_SIZE_MM = {"C2": (11.5, 8.0), "C5": (13.3, 7.4), "T2": (9.5, 6.8), "T8": (8.3, 6.3), "T11": (9.4, 7.0)}
"""Width and depth of the cord (Frostell 2016, doi 10.3389/fneur.2016.00238)."""


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
    rank = line.rank[k].astype(np.float32)
    half = (line.canal_depth_mm[k] / 2).astype(np.float32)
    wide = (line.canal_width_mm[k] / 2).astype(np.float32)
    front = line.half_depth_mm[k].astype(np.float32) + line.gap_mm[k].astype(np.float32)
    p, v = frame.behind - front - half, frame.left
    _paint_foramina(rng, canvas, line, frame, (p, v, rank))
    bony = _paint_epidural_space(rng, canvas, (p, v, rank), half, wide)
    sac = (p / half) ** 2 + (v / wide) ** 2 < 1
    sac &= rank > u(1.6, 3.2)
    canvas.tissue[sac] = Tissue.CSF
    _set(canvas, bony | sac, Structure.CANAL)
    if rng.random() < 0.75:
        f, shift = u(0.8, 2.0), u(0, 6)
        bundle = np.sin(v * f + shift + 0.3 * np.sin(k * 0.05)) + np.cos(
            frame.behind * f * 1.1 + 0.2 * np.sin(k * 0.04 + v)
        )
        roots = sac & (bundle > u(0.2, 1.3)) & (p > half * u(-0.5, 0.3)) & (rank < conus_rank + 0.3)
        canvas.tissue[roots] = Tissue.ROOTS
    _paint_cord(rng, canvas, (p, v, rank), half, conus_rank)


def _paint_foramina(
    rng: np.random.Generator, canvas: Canvas, line: Centerline, frame: ColumnFrame, at: tuple[Field, Field, Field]
) -> None:
    """Fat between the pedicles, the root under each pedicle, and the veins around it; bone is painted over later."""
    u, k = rng.uniform, frame.sample
    p, v, rank = at
    a, b = line.half_depth_mm[k].astype(np.float32), line.half_width_mm[k].astype(np.float32)
    half, wide = ((x[k] / 2).astype(np.float32) for x in (line.canal_depth_mm, line.canal_width_mm))
    side = np.abs(v)
    foramen = (frame.behind > a * 0.75) & (p < half * u(0.4, 1.1)) & (side < b * u(0.85, 1.1)) & (side > wide * 0.6)
    canvas.tissue[foramen] = Tissue.EPIDURAL_FAT
    veins = foramen & (_noise(rng, canvas, u(4, 7)) > u(1.1, 2.0))
    canvas.tissue[veins] = Tissue.EPIDURAL_VEIN
    # A root leaves below the pedicle of its vertebra and sinks on its way out.
    height = (rank - u(0.72, 0.80) + np.maximum(side - wide, 0) * np.float32(0.008) + 0.5) % 1.0 - 0.5
    root = (height / u(0.07, 0.11)) ** 2 + ((p - u(-4, 1)) / u(2.4, 3.8)) ** 2 < 1
    canvas.tissue[foramen & root & (side > wide)] = Tissue.ROOTS


def _paint_epidural_space(
    rng: np.random.Generator, canvas: Canvas, at: tuple[Field, Field, Field], half: Field, wide: Field
) -> NDArray[np.bool_]:
    """Fat behind the sac, thickest between the laminae, veins behind each body, and the yellow ligaments."""
    u = rng.uniform
    p, v, rank = at
    side = np.abs(v)
    between = 0.5 - 0.5 * np.cos(2 * np.pi * (rank - np.float32(u(-0.1, 0.1))))
    pad = np.where(p > 0, np.float32(u(0, 4.5)) * between * (1 - np.minimum(side / wide, 1)), 0)
    outer = half + np.float32(u(0.6, 2.5)) + pad
    reach = wide + np.float32(u(1, 4))
    bony = ((p / outer) ** 2 + (v / reach) ** 2 < 1) & (rank > -1)
    thick = np.float32(u(1.8, 4.0)) * np.clip(1.4 * between - 0.2, 0, 1)
    flavum = ((p / (outer + thick)) ** 2 + (v / (reach + 0.5 * thick)) ** 2 < 1) & ~bony & (p > 0) & (rank > 4)
    canvas.tissue[flavum] = Tissue.LIGAMENT
    canvas.tissue[bony] = Tissue.EPIDURAL_FAT
    canvas.tissue[bony & (p < 0) & (side < wide * 0.75) & (between < 0.6)] = Tissue.EPIDURAL_VEIN
    return bony


def _set(canvas: Canvas, where: NDArray[np.bool_], structure: Structure) -> None:
    canvas.structure[where] = structure
    canvas.instance[where] = 0


def _noise(rng: np.random.Generator, canvas: Canvas, wavelength_mm: float) -> Field:
    return smooth_noise(rng, canvas.grid.shape, canvas.grid.spacing_mm, wavelength_mm)


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
