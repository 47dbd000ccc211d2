"""What treatment leaves behind: screws and rods, cement, missing arches, irradiated and treated bone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.bones import capsule, pedicle_height_mm
from spondyl.phantom.site import CORTICAL
from spondyl.phantom.tissue import Tissue
from spondyl.phantom.tumors import place_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Canvas
    from spondyl.phantom.site import Site
    from spondyl.phantom.vertebra import VertebraShape

SCREW_RADIUS_MM = 3.0
"""Radius of a pedicle screw in mm: 6 mm screws are usual in the lumbar spine. Chosen by us."""

ROD_RADIUS_MM = 2.75
"""Radius of a rod in mm: rods of 5.5 mm are usual. Chosen by us."""


@dataclass(frozen=True)
class Hardware:
    """Metal in the spine.

    Parameters
    ----------
    screws : tuple of str
        Levels with a screw in either pedicle, from below upward; rods join them.
    laminectomy : tuple of str
        Levels whose laminae and spinous process were taken away.
    """

    screws: tuple[str, ...] = ()
    laminectomy: tuple[str, ...] = ()


def paint_treated_metastasis(site: Site) -> None:
    """Paint a metastasis that answered: a smaller core in a halo of fat, or one that turned to dense bone.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u = site.rng.uniform
    center, radius = place_of(site)
    d = site.blob(center, radius, 0.15)
    if site.rng.random() < 0.7:
        site.grow(d - u(1.5, 5), site.bone & ~np.isin(site.tissue, CORTICAL), Tissue.FATTY_MARROW, edge_mm=1.0)
    core = Tissue.TUMOR_SCLEROTIC if site.rng.random() < 0.35 else Tissue.TUMOR_TREATED
    site.grow(d, site.bone, core, edge_mm=u(0, 1.5))


def paint_radiation(site: Site, span_mm: tuple[float, float]) -> None:
    """Turn the marrow between two straight edges to fat.

    Parameters
    ----------
    site : Site
        Where to.
    span_mm : tuple of float
        Lower and upper edge of the radiation field (z, LPS mm).
    """
    z = np.broadcast_to(site.canvas.z[site.box], site.v.shape)
    inside = (z > span_mm[0]) & (z < span_mm[1]) & site.bone & ~np.isin(site.tissue, CORTICAL)
    site.mark(inside, Tissue.FATTY_MARROW)


def paint_cement(site: Site) -> None:
    """Paint the cement of a vertebroplasty: black everywhere, lobed, in the front half of the body.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, shape = site.rng.uniform, site.shape
    lobes = ((-1.0, 1.0) if site.rng.random() < 0.6 else (0.0,),)[0]
    marrow = site.body & ~np.isin(site.tissue, CORTICAL)
    for side in lobes:
        at = (side * u(0.25, 0.5) * shape.half_width_mm, -u(0.0, 0.4) * shape.half_depth_mm, u(-2, 2))
        d = site.blob(at, min(u(5, 10), 0.5 * shape.height_mm), 0.25)
        site.mark(marrow & (d < 0), Tissue.CEMENT)


def paint_hardware(
    rng: np.random.Generator, canvas: Canvas, shapes: dict[str, VertebraShape], hardware: Hardware
) -> None:
    """Paint screws, rods and what a laminectomy leaves.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        A finished anatomy, painted in place.
    shapes : dict of str to VertebraShape
        The vertebrae by level.
    hardware : Hardware
        What to paint.
    """
    for level in hardware.laminectomy:
        _take_away_arch(rng, canvas, shapes[level])
    heads: dict[float, list[NDArray[np.float64]]] = {-1.0: [], 1.0: []}
    for level in hardware.screws:
        for side, places in heads.items():
            places.append(_paint_screw(canvas, shapes[level], side))
    for places in heads.values():
        for lower, upper in pairwise(places):
            _paint_rod(canvas, lower, upper)


def _paint_screw(canvas: Canvas, shape: VertebraShape, side: float) -> NDArray[np.float64]:
    """Paint a screw through a pedicle, and give the place of its head in LPS mm."""
    a, root = shape.half_depth_mm, pedicle_height_mm(shape)
    at = shape.canal_width_mm / 2 + shape.pedicle_mm / 2
    behind = a * shape.back + 0.62 * shape.canal_depth_mm + shape.pillar_mm + 2
    tip, entry = (side * 0.45 * at, -0.45 * a, 0.7 * root), (side * (at + 1.5), behind, root)
    box = canvas.box(shape.center_lps_mm, (45, 40, 30), (45, 65, 30))
    if box is not None:
        d = capsule(*canvas.local(box, shape), (tip, entry), (SCREW_RADIUS_MM, SCREW_RADIUS_MM + 1.5))
        free = ~np.isin(canvas.structure[box], (Structure.CANAL, Structure.CORD))
        canvas.tissue[box][free & (d < 0)] = Tissue.METAL
    place: NDArray[np.float64] = shape.center_lps_mm + shape.axes @ np.array(entry)
    return place


def _paint_rod(canvas: Canvas, lower_mm: NDArray[np.float64], upper_mm: NDArray[np.float64]) -> None:
    ends = np.stack([lower_mm, upper_mm])
    box = canvas.box(ends.mean(0), *[tuple(np.ptp(ends, axis=0) / 2 + 8)] * 2)
    if box is None:
        return
    x, y, z = (c[box] for c in (canvas.x, canvas.y, canvas.z))
    d = capsule(x, y, z, (tuple(lower_mm), tuple(upper_mm)), (ROD_RADIUS_MM, ROD_RADIUS_MM))
    canvas.tissue[box][np.broadcast_to(d, canvas.tissue[box].shape) < 0] = Tissue.METAL


def _take_away_arch(rng: np.random.Generator, canvas: Canvas, shape: VertebraShape) -> None:
    """Replace laminae and spinous process by scar, and leave the scar of the way in."""
    tall = shape.height_mm * 1.2 + shape.spinous_mm * shape.spinous_drop
    box = canvas.box(shape.center_lps_mm, (30, 5, tall), (30, 110, 0.6 * shape.height_mm))
    if box is None:
        return
    v, u, w = canvas.local(box, shape)
    behind = shape.half_depth_mm * shape.back + 0.62 * shape.canal_depth_mm
    removed = (canvas.structure[box] == Structure.POSTERIOR) & (np.abs(v) < shape.canal_width_mm / 2 + 2) & (u > behind)
    canvas.paint(box, removed, tissue=Tissue.SCAR)
    soft = np.isin(
        canvas.tissue[box], (Tissue.MUSCLE, Tissue.LIGAMENT, Tissue.INTERMUSCULAR_FAT, Tissue.SUBCUTANEOUS_FAT)
    )
    track = soft & (np.abs(v) < rng.uniform(2, 9)) & (u > behind + 4) & (np.abs(w) < 0.6 * shape.height_mm)
    canvas.tissue[box][track] = Tissue.SCAR
    if rng.random() < 0.3:
        pool = removed & (np.abs(v) < 8)
        canvas.tissue[box][pool] = Tissue.FLUID
