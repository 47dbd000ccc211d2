"""The skeleton in voxels: bodies, discs, posterior elements with their joints, ribs and sacral wings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.bones import arch_distance, body_distance, capsule, sacral_wing_distance
from spondyl.phantom.canvas import smooth_noise
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.bones import BodyDistance
    from spondyl.phantom.canvas import Box, Canvas, Field
    from spondyl.phantom.vertebra import Disc, VertebraShape

HYDRATED_BELOW, DRY_ABOVE = 0.4, 0.72
"""Degeneration below which a nucleus is bright on T2 and above which the whole disc is dark. Chosen by us."""

PATCHY_SHARE = 0.3
"""Share of patients whose marrow is visibly uneven, with islets of fatty and of red marrow all over. Chosen by us."""

DEALT_SHARES = (0.3, 0.5, 0.7)
"""Share of vertebrae that bear ribs where ribs are dealt out, one of them for each patient. Chosen by us."""

JOINT_MM = 0.8
"""Thickness of cartilage and fluid between two facets, in mm. Chosen by us."""


def instance_numbers(shapes: list[VertebraShape]) -> list[int]:
    """Give the instance number of each vertebra: 1 is the topmost.

    Parameters
    ----------
    shapes : list of VertebraShape
        The column, from S5 upward.

    Returns
    -------
    list of int
        In the same order.
    """
    return [len(shapes) - i for i in range(len(shapes))]


def rib_bearers(rng: np.random.Generator, shapes: list[VertebraShape], *, dealt: bool) -> frozenset[str]:
    """Say which vertebrae bear ribs.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance; not used where ribs are not dealt out.
    shapes : list of VertebraShape
        The column.
    dealt : bool
        Whether ribs are dealt out by chance to any vertebra above the sacrum.

    Returns
    -------
    frozenset of str
        Levels: the thoracic ones, for ribs are what makes them so, or those that chance gave ribs.
    """
    if not dealt:
        return frozenset(s.level for s in shapes if s.level.startswith("T"))
    share = rng.choice(DEALT_SHARES)
    return frozenset(s.level for s in shapes if not s.is_sacral and rng.random() < share)


def paint_bones(canvas: Canvas, shapes: list[VertebraShape], ribs: frozenset[str]) -> None:
    """Paint all bones, discs and joints.

    Parameters
    ----------
    canvas : Canvas
        Painted in place.
    shapes : list of VertebraShape
        The column, from S5 upward.
    ribs : frozenset of str
        Levels that bear ribs.
    """
    numbers = instance_numbers(shapes)
    for shape, number in zip(shapes, numbers, strict=True):
        _paint_arch(canvas, shape, number)
        if shape.level in ribs:
            _paint_ribs(canvas, shape)
    for i in range(1, len(shapes)):
        _paint_disc(canvas, shapes[i - 1], shapes[i], numbers[i])
    for shape, number in zip(shapes, numbers, strict=True):
        _paint_body(canvas, shape, number)


def paint_marrow_patches(rng: np.random.Generator, canvas: Canvas) -> None:
    """Scatter islets of fatty and of red marrow through the bones of some patients: normal, and hard to read.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    canvas : Canvas
        Bones, painted in place.
    """
    u = rng.uniform
    uneven, wavelength, fat_above, red_below = rng.random() < PATCHY_SHARE, u(4, 12), u(1.3, 2.6), -u(1.3, 2.8)
    if not uneven:
        return
    noise = smooth_noise(rng, canvas.grid.shape, canvas.grid.spacing_mm, wavelength)
    marrow = np.isin(canvas.tissue, (Tissue.MARROW, Tissue.POSTERIOR_MARROW, Tissue.SACRAL_MARROW))
    canvas.tissue[marrow & (noise > fat_above)] = Tissue.FATTY_MARROW
    canvas.tissue[marrow & (noise < red_below)] = Tissue.RED_MARROW


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
    painted = canvas.structure[box]
    inside = (d < 0) & (painted != Structure.CANAL) & (painted != Structure.CORD)
    joint = (d < JOINT_MM) & (painted == Structure.POSTERIOR) & (canvas.instance[box] == number + 1)
    canvas.paint(box, inside, tissue=cortex, structure=structure, instance=number)
    canvas.paint(box, inside & (d < -shape.cortex_mm), tissue=marrow, structure=structure, instance=number)
    canvas.paint(box, joint & (d > -JOINT_MM), tissue=Tissue.CARTILAGE)
    if shape.level in ("S1", "S2", "S3"):
        _paint_sacral_foramina(canvas, box, (v, u, w), shape)


def _paint_sacral_foramina(canvas: Canvas, box: Box, at: tuple[Field, Field, Field], shape: VertebraShape) -> None:
    """Fat and a root in the openings between the lateral masses of neighboring sacral bodies."""
    v, u, w = at
    b, a, h = shape.half_width_mm, shape.half_depth_mm, shape.height_mm
    ends = ((b * 0.72, -1.6 * a, -0.56 * h), (b * 0.62, 1.7 * a, -0.5 * h))
    radius = 0.2 * h
    d = capsule(np.abs(v), u, w, ends, (radius, radius * 0.8))
    bone = canvas.structure[box] == Structure.SACRUM
    canvas.paint(box, bone & (d < 0), tissue=Tissue.EPIDURAL_FAT)
    canvas.paint(box, bone & (d < -0.5 * radius), tissue=Tissue.ROOTS)


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
    box = canvas.box(center, (b + 8, a + 14, tall), (b + 8, a + 16, tall))
    if box is None:
        return
    vl, ul, wl = canvas.local(box, below)
    vu, uu, wu = canvas.local(box, above)
    lower, upper = body_distance(vl, ul, wl, below), body_distance(vu, uu, wu, above)
    v, u = (vl + vu) * np.float32(0.5), (ul + uu) * np.float32(0.5) + np.float32(0.03 * a)
    inside = (lower.top > 0) & (upper.bottom > 0) & (wl > 0) & (wu < 0)
    inside &= _disc_radius(v, u, (a, b)) < _disc_edge(v, u, lower, upper, disc, a)
    inside &= canvas.structure[box] != Structure.CORD
    structure = Structure.SACRUM if above.is_sacral else Structure.DISC
    canvas.paint(box, inside, tissue=Tissue.ANNULUS, structure=structure, instance=number)
    if not above.is_sacral:
        _fill_disc(canvas, box, (v, u), (lower, upper), (disc, a, b, inside))


def _disc_radius(v: Field, u: Field, half_mm: tuple[float, float]) -> Field:
    """Radius seen from above, 1 on the outline: a superellipse with a flat or hollow back."""
    a, b = half_mm
    r = np.power(np.power(np.abs(u) / (0.95 * a), 2.4) + np.power(np.abs(v) / b, 2.4), 1 / 2.4)
    back = (u - a * 0.93 + np.maximum(1 - (v / (0.6 * b)) ** 2, 0)) / a + 1
    return np.where(u > 0, np.maximum(r, back), r).astype(np.float32)


def _disc_edge(v: Field, u: Field, lower: BodyDistance, upper: BodyDistance, disc: Disc, half_depth_mm: float) -> Field:
    """Radius at which the disc ends: rounded between the endplates, wider where it bulges or herniates."""
    bulge = np.where(u > 0, np.float32(disc.bulge_posterior), np.float32(disc.bulge_anterior))
    gap = lower.top + upper.bottom
    edge = disc.radius + bulge - 0.1 * ((lower.top - upper.bottom) / (np.abs(gap) + 0.1)) ** 2
    if disc.herniation_mm:
        focus = np.exp(-(((v - disc.herniation_left_mm) / 6.5) ** 2))
        edge = edge + np.where(u > 0, focus * (disc.herniation_mm / half_depth_mm), 0)
    return edge.astype(np.float32)


def _fill_disc(
    canvas: Canvas,
    box: Box,
    at: tuple[Field, Field],
    bodies: tuple[BodyDistance, BodyDistance],
    disc_of: tuple[Disc, float, float, NDArray[np.bool_]],
) -> None:
    """Nucleus, cleft, gas and torn annulus, by the state of the disc."""
    (v, u), (lower, upper), (disc, a, b, inside) = at, bodies, disc_of
    nucleus = Tissue.NUCLEUS if disc.degeneration < HYDRATED_BELOW else Tissue.DISC_INTERMEDIATE
    radius = disc.nucleus_radius
    if disc.degeneration > DRY_ABOVE:
        nucleus, radius = Tissue.DISC_DRY, min(radius + 0.15, 0.95)
    r = np.sqrt(((u - disc.nucleus_offset * a) / a) ** 2 + (v / b) ** 2)
    off_plates = np.minimum(lower.top, upper.bottom)
    core = inside & (r < radius) & (off_plates > min(0.9, disc.height_mm * 0.15))
    tissue = canvas.tissue[box]
    tissue[core] = nucleus
    off_middle = np.abs(lower.top - upper.bottom)
    if disc.degeneration < DRY_ABOVE:
        tissue[core & (off_middle < disc.cleft_mm) & (r < radius * 0.8)] = Tissue.DISC_CLEFT
    if disc.vacuum_mm:
        tissue[core & (off_middle < 2 * disc.vacuum_mm) & (r < radius * 0.75)] = Tissue.VACUUM
    if disc.fissure:
        spot = ((u - 0.84 * a) / 2.0) ** 2 + ((v - disc.herniation_left_mm) / 4) ** 2 + (off_middle / 3.5) ** 2 < 1
        tissue[inside & spot] = Tissue.FLUID


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
    elif not shape.is_sacral:
        _paint_segmental_vessels(canvas, box, (u, w, d), shape)
    inside = d < 0
    to_plate = np.maximum(distance.top, distance.bottom)
    growing = inside & (to_plate > -shape.cartilage_mm)
    rim = (d > -shape.cortex_mm) | (to_plate > -(shape.endplate_mm + shape.cartilage_mm))
    structure, marrow, cortex = _materials(shape)
    canvas.paint(box, inside, tissue=marrow, structure=structure[0], instance=number)
    canvas.paint(box, inside & rim, tissue=cortex, structure=structure[1], instance=number)
    canvas.tissue[box][growing] = Tissue.CARTILAGE
    start, height, thick, wide = shape.vein
    at = (u > start) & (np.abs(w - height) < thick * (0.3 + 0.7 * np.clip((u - start) / 8, 0, 1)))
    at &= (np.abs(v) < wide * (1.1 - 0.3 * u / shape.half_depth_mm)) & inside & ~rim
    canvas.tissue[box][at] = Tissue.BASIVERTEBRAL_VEIN


def _paint_segmental_vessels(canvas: Canvas, box: Box, at: tuple[Field, Field, Field], shape: VertebraShape) -> None:
    """Artery and vein that run around the waist of each body."""
    u, w, d = at
    near = (d > 0) & (d < 3.2) & (u < 0.7 * shape.half_depth_mm) & (canvas.structure[box] == Structure.BACKGROUND)
    canvas.tissue[box][near & (np.abs(w + 1.2) < 1.3)] = Tissue.ARTERY
    canvas.tissue[box][near & (np.abs(w - 1.6) < 1.4)] = Tissue.VEIN


def _materials(shape: VertebraShape) -> tuple[tuple[Structure, Structure], Tissue, Tissue]:
    if shape.level == "S1":
        return (Structure.S1, Structure.S1), Tissue.SACRAL_MARROW, Tissue.SACRAL_CORTEX
    if shape.is_sacral:
        return (Structure.SACRUM, Structure.SACRUM), Tissue.SACRAL_MARROW, Tissue.SACRAL_CORTEX
    return (Structure.BODY, Structure.CORTEX), Tissue.MARROW, Tissue.CORTEX
