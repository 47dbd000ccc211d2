"""The synthetic patient's anatomy on a grid: bones, discs, canal, soft tissue, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError, Structure
from spondyl.core.geometry import Grid
from spondyl.phantom.bones import arch_distance, body_distance, capsule, sacral_wing_distance
from spondyl.phantom.canvas import Canvas
from spondyl.phantom.pathology import LesionTruth, paint_lesions
from spondyl.phantom.soft_tissue import centerline, column_frame, paint_canal, paint_surroundings
from spondyl.phantom.spine import sample_spine
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.spine import VertebraShape

REGIONS = {
    "lumbar": ("T6", (-110.0, -20.0)),
    "thoracolumbar": ("T4", (30.0, 130.0)),
    "thoracic": ("C5", (180.0, 260.0)),
    "cervical": ("C1", (400.0, 440.0)),
    "whole": ("C1", (-110.0, -90.0)),
}
"""For each region: the uppermost level made, and how high above S1's center, in mm, the field of view may begin."""


@dataclass(frozen=True)
class VertebraTruth:
    """What is true of one vertebra of the phantom.

    Parameters
    ----------
    instance : int
        Its number in the instance map.
    level : str
        Level name.
    center_lps_mm : tuple of float
        Center of the body.
    height_mm, half_depth_mm, half_width_mm : float
        Size of the body.
    """

    instance: int
    level: str
    center_lps_mm: tuple[float, float, float]
    height_mm: float
    half_depth_mm: float
    half_width_mm: float


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient on a grid.

    Parameters
    ----------
    grid : Grid
        Orientation ``LIP``.
    tissue : ndarray of uint8
        Values of `Tissue`.
    structure : ndarray of uint8
        Values of `Structure`; a lesion keeps the structure it grows in.
    instance : ndarray of uint8
        Number of the vertebra from the head down, 0 for none; a disc carries the number of the body above.
    lesion : ndarray of uint8
        `LesionTruth.label`, 0 for none.
    vertebrae : tuple of VertebraTruth
        Those whose body lies in the grid, from the head down.
    lesions : tuple of LesionTruth
        Those that cover at least one voxel.
    """

    grid: Grid
    tissue: NDArray[np.uint8]
    structure: NDArray[np.uint8]
    instance: NDArray[np.uint8]
    lesion: NDArray[np.uint8]
    vertebrae: tuple[VertebraTruth, ...]
    lesions: tuple[LesionTruth, ...]


def build_anatomy(
    seed: int,
    *,
    region: str = "lumbar",
    spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0),
    extent_mm: tuple[float, float, float] = (88.0, 312.0, 256.0),
    lesions: str = "mixed",
) -> Anatomy:
    """Make one patient.

    Parameters
    ----------
    seed : int
        The same seed gives the same patient on every grid of the same region.
    region : str, optional
        A key of `REGIONS`.
    spacing_mm : tuple of float, optional
        Voxel size to the left, inferior and posterior.
    extent_mm : tuple of float, optional
        Size of the field.
    lesions : str, optional
        ``"mixed"``, ``"malignant"``, ``"benign"`` or ``"none"``.

    Returns
    -------
    Anatomy
        The patient; S1's center lies at (0, 0, 0) mm, or would.

    Raises
    ------
    SettingsError
        If the region is not known.
    """
    if region not in REGIONS:
        msg = f"a region is one of {', '.join(REGIONS)}; got {region!r}"
        raise SettingsError(msg)
    body, surface = (np.random.default_rng([seed, part]) for part in (1, 2))
    top, floor_range = REGIONS[region]
    shapes = sample_spine(body, top=top)
    grid = _place_grid(body, shapes, floor_range, spacing_mm, extent_mm)
    canvas = Canvas.blank(grid, surface, roughness_mm=body.uniform(0.3, 1.1))
    line = centerline(body, shapes)
    frame = column_frame(canvas, line)
    paint_surroundings(surface, canvas, line, frame)
    conus = [s.level for s in shapes].index("L1") + body.normal(0, 0.6)
    paint_canal(surface, canvas, line, frame, conus)
    _paint_bones(body, canvas, shapes)
    truths = paint_lesions(np.random.default_rng([seed, 3]), canvas, shapes, lesions)
    return Anatomy(
        grid, canvas.tissue, canvas.structure, canvas.instance, canvas.lesion, _visible(canvas, shapes), truths
    )


def _place_grid(
    rng: np.random.Generator,
    shapes: list[VertebraShape],
    floor_range: tuple[float, float],
    spacing_mm: tuple[float, float, float],
    extent_mm: tuple[float, float, float],
) -> Grid:
    """Put the field of view where a technician would: the column a little behind its middle."""
    n = [max(4, round(e / s)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    floor = rng.uniform(*floor_range)
    inside = [
        s.center_lps_mm for s in shapes if floor - 10 < s.center_lps_mm[2] < floor + extent_mm[1] and s.level[0] != "S"
    ]
    middle = np.mean(inside, axis=0) if inside else np.zeros(3)
    low_y = middle[1] - extent_mm[2] * rng.uniform(0.44, 0.6)
    low_x = middle[0] - extent_mm[0] / 2 + rng.uniform(-7, 7)
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1
    affine[:3, 3] = low_x, low_y, floor + extent_mm[1]
    return Grid((n[0], n[1], n[2]), affine)


def _numbers(shapes: list[VertebraShape]) -> list[int]:
    """Instance number of each shape: 1 is the topmost."""
    return [len(shapes) - i for i in range(len(shapes))]


def _paint_bones(rng: np.random.Generator, canvas: Canvas, shapes: list[VertebraShape]) -> None:
    numbers = _numbers(shapes)
    for shape, number in zip(shapes, numbers, strict=True):
        _paint_arch(canvas, shape, number)
        if shape.level.startswith("T") and rng.random() < 0.9:
            _paint_ribs(canvas, shape)
    for i in range(1, len(shapes)):
        _paint_disc(canvas, shapes[i - 1], shapes[i], numbers[i])
    for shape, number in zip(shapes, numbers, strict=True):
        _paint_body(canvas, shape, number)


def _paint_arch(canvas: Canvas, shape: VertebraShape, number: int) -> None:
    reach = 0.5 * shape.half_depth_mm + shape.canal_depth_mm + shape.spinous_mm + 18
    wide = shape.canal_width_mm / 2 + shape.pedicle_mm + shape.transverse_mm + 14
    if shape.is_sacral:
        wide = max(wide, shape.half_width_mm * 2.4)
    tall = shape.height_mm * 1.1 + shape.spinous_mm * shape.spinous_drop + 8
    box = canvas.box(shape.center_lps_mm, (wide, 25.0, tall), (wide, reach + shape.half_depth_mm, tall * 0.9))
    if box is None:
        return
    v, u, w = canvas.local(box, shape)
    d = arch_distance(v, u, w, shape)
    marrow, cortex, structure = Tissue.POSTERIOR_MARROW, Tissue.POSTERIOR_CORTEX, Structure.POSTERIOR
    if shape.is_sacral:
        marrow, cortex, structure = Tissue.SACRAL_MARROW, Tissue.SACRAL_CORTEX, Structure.SACRUM
        if shape.level != "S5":
            d = np.minimum(d, sacral_wing_distance(v, u, w, shape))
    inside = (d < 0) & (canvas.structure[box] != Structure.CANAL) & (canvas.structure[box] != Structure.CORD)
    canvas.paint(box, inside, tissue=cortex, structure=structure, instance=number)
    canvas.paint(box, inside & (d < -shape.cortex_mm), tissue=marrow, structure=structure, instance=number)


def _paint_ribs(canvas: Canvas, shape: VertebraShape) -> None:
    """The ribs' heads and necks, which fill the lateral slices of a thoracic study."""
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    box = canvas.box(shape.center_lps_mm, (b + 45, a + 10, 40.0), (b + 45, a + 45, h))
    if box is None:
        return
    v, u, w = canvas.local(box, shape)
    side = np.abs(v)
    d = capsule(side, u, w, ((b * 1.02, a * 0.7, h * 0.4), (b + 17, a + 13, h * 0.1)), (5.0, 4.2))
    d = np.minimum(d, capsule(side, u, w, ((b + 17, a + 13, h * 0.1), (b + 42, a + 15, -h * 0.8)), (4.2, 5.0)))
    canvas.paint(box, d < 0, tissue=Tissue.RIB_CORTEX)
    canvas.paint(box, d < -1.2, tissue=Tissue.RIB_MARROW)


def _paint_disc(canvas: Canvas, below: VertebraShape, above: VertebraShape, number: int) -> None:
    disc = above.disc
    a = (above.half_depth_mm + below.half_depth_mm) / 2
    b = (above.half_width_mm + below.half_width_mm) / 2
    center = (above.center_lps_mm + below.center_lps_mm) / 2
    tall = (above.height_mm + below.height_mm) / 4 + disc.height_mm + 12
    box = canvas.box(center, (b + 8, a + 12, tall), (b + 8, a + 14, tall))
    if box is None:
        return
    vl, ul, wl = canvas.local(box, below)
    vu, uu, wu = canvas.local(box, above)
    lower, upper = body_distance(vl, ul, wl, below), body_distance(vu, uu, wu, above)
    u, v = (ul + uu) * 0.5 + 0.03 * a, (vl + vu) * 0.5
    r = np.power(np.power(np.abs(u) / (0.95 * a), 2.4) + np.power(np.abs(v) / b, 2.4), 1 / 2.4)
    back = (u - a * 0.93 + np.maximum(1 - (v / (0.6 * b)) ** 2, 0)) / a + 1
    r = np.where(u > 0, np.maximum(r, back), r)
    edge = disc.radius + np.where(u > 0, disc.bulge_posterior, disc.bulge_anterior)
    gap = lower.top + upper.bottom
    edge = edge - 0.1 * ((lower.top - upper.bottom) / (np.abs(gap) + 0.1)) ** 2
    if disc.herniation_mm:
        focus = np.exp(-(((v - disc.herniation_left_mm) / 6.5) ** 2))
        edge = edge + np.where(u > 0, focus * (disc.herniation_mm / a), 0)
    inside = (lower.top > 0) & (upper.bottom > 0) & (r < edge) & (wl > 0) & (wu < 0)
    inside &= canvas.structure[box] != Structure.CORD
    sacral = above.is_sacral
    structure = Structure.SACRUM if sacral else Structure.DISC
    canvas.paint(box, inside, tissue=Tissue.ANNULUS, structure=structure, instance=number)
    rn = np.sqrt(((u - disc.nucleus_offset * a) / a) ** 2 + (v / b) ** 2)
    core = inside & (rn < disc.nucleus_radius) & (np.minimum(lower.top, upper.bottom) > min(0.9, disc.height_mm * 0.15))
    if not sacral:
        canvas.tissue[box][core] = Tissue.NUCLEUS
        cleft = core & (np.abs(lower.top - upper.bottom) < disc.cleft_mm) & (rn < disc.nucleus_radius * 0.8)
        canvas.tissue[box][cleft] = Tissue.DISC_CLEFT


def _paint_body(canvas: Canvas, shape: VertebraShape, number: int) -> None:
    reach = (shape.half_width_mm * 1.3 + 4, shape.half_depth_mm * 1.5 + 6, shape.height_mm * 0.75 + 8)
    box = canvas.box(shape.center_lps_mm, reach, reach)
    if box is None:
        return
    v, u, w = canvas.local(box, shape)
    distance = body_distance(v, u, w, shape)
    d = distance.inside
    if shape.level == "C2":
        d = np.minimum(
            d, capsule(v, u, w, ((0, -1, shape.height_mm * 0.4), (0, 0, shape.height_mm * 1.25)), (5.5, 4.5))
        )
    elif shape.level == "C1":
        d = np.maximum(d, 2.5 - np.hypot(v, u - 2))
    inside = d < 0
    rim = (d > -shape.cortex_mm) | (np.maximum(distance.top, distance.bottom) > -shape.endplate_mm)
    structure, marrow, cortex = _materials(shape)
    canvas.paint(box, inside, tissue=marrow, structure=structure[0], instance=number)
    canvas.paint(box, inside & rim, tissue=cortex, structure=structure[1], instance=number)
    start, height, thick, wide = shape.vein
    at = (u > start) & (np.abs(w - height) < thick * (0.3 + 0.7 * np.clip((u - start) / 8, 0, 1)))
    at &= (np.abs(v) < wide * (1.1 - 0.3 * u / shape.half_depth_mm)) & inside & ~rim
    canvas.tissue[box][at] = Tissue.BASIVERTEBRAL_VEIN


def _materials(shape: VertebraShape) -> tuple[tuple[Structure, Structure], Tissue, Tissue]:
    if shape.level == "S1":
        return (Structure.S1, Structure.S1), Tissue.SACRAL_MARROW, Tissue.SACRAL_CORTEX
    if shape.is_sacral:
        return (Structure.SACRUM, Structure.SACRUM), Tissue.SACRAL_MARROW, Tissue.SACRAL_CORTEX
    return (Structure.BODY, Structure.CORTEX), Tissue.MARROW, Tissue.CORTEX


def _visible(canvas: Canvas, shapes: list[VertebraShape]) -> tuple[VertebraTruth, ...]:
    bodies = np.isin(canvas.structure, (Structure.BODY, Structure.CORTEX, Structure.S1, Structure.SACRUM))
    present = set(np.unique(canvas.instance[bodies]).tolist())
    rows = []
    for shape, number in zip(shapes[::-1], _numbers(shapes)[::-1], strict=True):
        if number in present:
            x, y, z = (float(c) for c in shape.center_lps_mm)
            rows.append(
                VertebraTruth(number, shape.level, (x, y, z), shape.height_mm, shape.half_depth_mm, shape.half_width_mm)
            )
    return tuple(rows)
