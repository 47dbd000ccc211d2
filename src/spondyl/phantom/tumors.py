"""Malignant tumors of bone, and their growth into the canal and beside the spine.

Metastases begin in the back of the body and reach pedicle and arch from there (Algra 1992, doi
10.1148/radiographics.12.1.1734475). In the canal the ligament behind the bodies holds them in the midline, so that they
bulge on both sides of it. They spare discs and never cross the dura here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.site import CORTICAL
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from spondyl.phantom.canvas import Field
    from spondyl.phantom.site import Site

RADIUS_MM = (8.0, 0.5)
"""Median and log-standard deviation of a metastasis' radius in mm: three in ten are below 1 mL. Chosen by us."""

RADIUS_RANGE_MM = (2.7, 24.0)
"""Limits of that radius in mm: from 5 mm across to more than a vertebra. Chosen by us."""

WHOLE_SHARE = 0.08
"""Share of metastases that replace the whole body, and a pedicle with it. Chosen by us."""

SOFT_TISSUE = (Structure.BACKGROUND,)


def place_of(site: Site) -> tuple[tuple[float, float, float], float]:
    """Draw where a tumor begins and how large it is.

    Parameters
    ----------
    site : Site
        The vertebra.

    Returns
    -------
    center_mm : tuple of float
        In the back half of the body three times in four.
    radius_mm : float
        Log-normal, within `RADIUS_RANGE_MM`.
    """
    u, shape = site.rng.uniform, site.shape
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    radius = float(np.clip(site.rng.lognormal(np.log(RADIUS_MM[0]), RADIUS_MM[1]), *RADIUS_RANGE_MM))
    behind = u(-0.3, 0.95) if site.rng.random() < 0.75 else u(-0.8, 0.5)
    center = (u(-0.75, 0.75) * b, behind * a, u(-0.35, 0.35) * h)
    if site.rng.random() < WHOLE_SHARE:
        return (u(-0.2, 0.2) * b, u(-0.1, 0.4) * a, u(-0.1, 0.1) * h), float(0.95 * b)
    return center, radius


def paint_lytic(site: Site) -> None:
    """Paint a lytic metastasis, necrotic in the middle where it is large.

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    d = site.blob(center, radius)
    site.grow(d, site.bone, Tissue.TUMOR_LYTIC, edge_mm=site.rng.uniform(0, 1.6))
    if radius > 11 and site.rng.random() < 0.3:
        site.mark(site.bone & (d < -radius * 0.55), Tissue.TUMOR_NECROSIS)
    grow_out(site, d)


def paint_sclerotic(site: Site) -> None:
    """Paint a sclerotic metastasis, in a bright rim more often than not in a bone island.

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    d = site.blob(center, radius, 0.22)
    if site.rng.random() < 0.5:
        site.grow(d - site.rng.uniform(1, 3), site.bone, Tissue.TUMOR_LYTIC, edge_mm=1.5)
    site.grow(d, site.bone, Tissue.TUMOR_SCLEROTIC, edge_mm=site.rng.uniform(0.3, 2.0))
    if site.rng.random() < 0.15:
        grow_out(site, d)


def paint_mixed(site: Site) -> None:
    """Paint a metastasis of lytic and sclerotic patches.

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    d = site.blob(center, radius * 1.15)
    site.grow(d, site.bone, Tissue.TUMOR_LYTIC, edge_mm=site.rng.uniform(0, 1.6))
    patches = site.noise(site.rng.uniform(4, 8)) > site.rng.uniform(-0.3, 0.6)
    site.mark((d < 0) & site.bone & patches, Tissue.TUMOR_SCLEROTIC)
    grow_out(site, d)


def paint_expansile(site: Site) -> None:
    """Paint a large, rounded tumor that blows up the bone, with vessels in it (kidney, thyroid).

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    radius = max(radius * 1.4, 11.0)
    d = site.blob(center, radius, 0.10)
    _expand(site, d, Tissue.TUMOR_LYTIC, Tissue.TUMOR_SOFT)
    vessels = site.noise((3.0, 9.0, 2.5)) > 1.9
    site.mark(vessels & (d < -1.0) & (site.bone | site.where(*SOFT_TISSUE)), Tissue.ARTERY)


def paint_bright(site: Site) -> None:
    """Paint a metastasis that is bright on T1 by blood or melanin, or has a bright part.

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    d = site.blob(center, radius)
    site.grow(d, site.bone, Tissue.TUMOR_LYTIC, edge_mm=0.8)
    bright = site.noise(max(5.0, radius * 0.7)) > site.rng.uniform(-2.0, 0.2)
    site.mark(bright & (d < -0.5) & site.bone, Tissue.TUMOR_BRIGHT)
    grow_out(site, d)


def paint_myeloma(site: Site) -> None:
    """Paint focal myeloma: round, sharply punched out, nowhere sclerotic.

    Parameters
    ----------
    site : Site
        Where to.
    """
    center, radius = place_of(site)
    d = site.blob(center, radius * 0.85, 0.07)
    site.grow(d, site.bone, Tissue.TUMOR_DIFFUSE if site.rng.random() < 0.4 else Tissue.TUMOR_LYTIC)
    if radius > 9:
        grow_out(site, d)


def paint_lymphoma(site: Site) -> None:
    """Paint lymphoma: it permeates the body, keeps the cortex, and wraps the bone in soft tissue.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, b = site.rng.uniform, site.shape.half_width_mm
    d = site.blob((u(-0.3, 0.3) * b, u(-0.2, 0.5) * site.shape.half_depth_mm, 0.0), u(0.6, 1.0) * b, 0.2)
    marrow = site.bone & ~np.isin(site.tissue, CORTICAL)
    site.grow(d, marrow, Tissue.TUMOR_LYTIC, edge_mm=u(1.0, 3.0))
    _epidural(site, u(3, 8), u(-6, 6))
    sleeve = site.distance.inside + 2.0 * site.noise(9.0)
    where = site.where(*SOFT_TISSUE) & (sleeve < u(3, 9)) & (d < u(6, 14)) & (site.distance.inside > 0)
    site.mark(where & (np.abs(site.w) < 0.6 * site.shape.height_mm), Tissue.TUMOR_SOFT)


def paint_diffuse(site: Site) -> None:
    """Paint infiltration of all the vertebra's marrow, even or patchy; the cortex stays.

    Parameters
    ----------
    site : Site
        Where to.
    """
    marrow = site.bone & ~np.isin(site.tissue, CORTICAL)
    patches = site.noise(site.rng.uniform(3, 9)) > -site.rng.uniform(0.6, 2.5)
    site.mark(marrow & patches, Tissue.TUMOR_DIFFUSE)


def paint_micronodular(site: Site) -> None:
    """Paint salt-and-pepper marrow: nodules of at most 5 mm all over; the label covers the marrow that holds them.

    Parameters
    ----------
    site : Site
        Where to.
    """
    marrow = site.bone & ~np.isin(site.tissue, CORTICAL)
    nodules = site.noise(site.rng.uniform(1.7, 2.8)) > site.rng.uniform(0.2, 0.8)
    site.canvas.lesion[site.box][marrow] = site.label
    site.mark(marrow & nodules, Tissue.TUMOR_DIFFUSE)


def paint_plasmacytoma(site: Site) -> None:
    """Paint one large expansile tumor with curved struts of thick cortex, as from a primary.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, b = site.rng.uniform, site.shape.half_width_mm
    d = site.blob((u(-0.3, 0.3) * b, u(-0.1, 0.4) * site.shape.half_depth_mm, 0.0), u(0.75, 1.05) * b, 0.08)
    _expand(site, d, Tissue.TUMOR_DIFFUSE, Tissue.TUMOR_SOFT)
    struts = np.abs(site.noise(11.0)) < 0.10
    site.mark(struts & (d < -1) & site.body, Tissue.CORTEX)


def paint_chordoma(site: Site) -> None:
    """Paint a lobulated, T2-bright tumor that leaves the bone to the front.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, a, b = site.rng.uniform, site.shape.half_depth_mm, site.shape.half_width_mm
    d = site.blob((u(-0.3, 0.3) * b, -u(0.2, 0.9) * a, u(-0.3, 0.3) * site.shape.height_mm), u(0.6, 1.1) * b, 0.2)
    _expand(site, d, Tissue.MYXOID, Tissue.MYXOID)
    septa = np.abs(site.noise(9.0)) < 0.12
    site.mark(septa & (d < -1) & (site.tissue == Tissue.MYXOID), Tissue.LIGAMENT)


def paint_epidural(site: Site) -> None:
    """Paint a metastasis of the epidural space without one of the bone beside it.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u = site.rng.uniform
    if site.rng.random() < 0.7:
        _epidural(site, u(3, 9), u(-1, 1) * site.shape.canal_width_mm * 0.4)
        return
    # Behind the sac: from the arch forward.
    behind = site.back_mm + site.shape.canal_depth_mm - site.u
    thick = u(3, 8) * np.sqrt(np.maximum(1 - (site.w / u(10, 24)) ** 2, 0))
    site.mark(site.where(Structure.CANAL) & (behind < thick) & (np.abs(site.v) < u(6, 13)), Tissue.TUMOR_SOFT)


def paint_paraspinal(site: Site) -> None:
    """Paint a mass beside the spine that only gnaws at the bone.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, side = site.rng.uniform, float(site.rng.choice([-1, 1]))
    radius = u(9, 20)
    center = (side * (site.shape.half_width_mm + 0.75 * radius), u(-0.4, 0.9) * site.shape.half_depth_mm, u(-8, 8))
    d = site.blob(center, radius, 0.14)
    site.mark(site.where(*SOFT_TISSUE) & (d < 0), Tissue.TUMOR_SOFT)
    site.mark(site.bone & (d < -u(1, 4)), Tissue.TUMOR_LYTIC)
    if radius > 13:
        site.mark(site.where(*SOFT_TISSUE) & (d < -0.5 * radius), Tissue.TUMOR_NECROSIS)


def paint_pathological_fracture(site: Site) -> None:
    """Paint tumor in a collapsed body with a convex back, in its pedicles, and around it.

    Parameters
    ----------
    site : Site
        Where to; its shape has collapsed already.
    """
    u, b = site.rng.uniform, site.shape.half_width_mm
    body = site.body
    d = site.blob((u(-0.3, 0.3) * b, u(-0.1, 0.5) * site.shape.half_depth_mm, 0.0), u(0.75, 1.2) * b, 0.15)
    tissue = Tissue.TUMOR_SCLEROTIC if site.rng.random() < 0.12 else Tissue.TUMOR_LYTIC
    site.grow(d, body, tissue, edge_mm=u(0.3, 2.0))
    arch = site.own & site.where(Structure.POSTERIOR) & (site.u < site.back_mm + 12)
    if site.rng.random() < 0.75:
        sides = (site.v > 0, site.v < 0, np.abs(site.v) > 0)
        site.mark(arch & sides[int(site.rng.choice(3, p=[0.35, 0.35, 0.3]))] & (d < u(4, 12)), tissue)
    if site.rng.random() < 0.7:
        _epidural(site, u(2.5, 8), u(-5, 5))
    if site.rng.random() < 0.5:
        _paraspinal(site, site.distance.inside, u(2, 6))


def grow_out(site: Site, d: Field) -> None:
    """Let a tumor pass the cortex, or not.

    Parameters
    ----------
    site : Site
        Where it grows.
    d : ndarray
        Signed distance to the tumor in mm.
    """
    at_back = bool(((d < 1.0) & (np.abs(site.u - site.back_mm) < 2.0) & site.body).any())
    if at_back and site.rng.random() < 0.55:
        touching = (d < 1.0) & (np.abs(site.u - site.back_mm) < 3.0)
        _epidural(
            site,
            float(np.clip(site.rng.lognormal(np.log(3.5), 0.5), 1.2, 12)),
            float(np.broadcast_to(site.v, d.shape)[touching].mean()) if touching.any() else 0.0,
            height_mm=float(np.broadcast_to(site.w, d.shape)[touching].mean()) if touching.any() else 0.0,
        )
    if site.rng.random() < 0.3:
        _paraspinal(site, d, site.rng.uniform(0.5, 5))


def _epidural(site: Site, thick_mm: float, left_mm: float, height_mm: float = 0.0) -> None:
    """Tumor between the back wall and the cord: two bulges beside the tethered midline, one larger than the other."""
    u = site.rng.uniform
    reach = u(0.45, 0.75) * site.shape.height_mm
    ends = np.sqrt(np.maximum(1 - ((site.w - height_mm) / reach) ** 2, 0))
    tether = 1 - u(0.3, 0.85) * np.exp(-((site.v / 2.3) ** 2))
    lean = 0.35 + 0.65 / (1 + np.exp(-np.clip(np.sign(left_mm) * site.v / 3.0, -30, 30)))
    if abs(left_mm) < 3:
        lean = np.ones_like(lean)
    front = site.u - site.back_mm
    where = site.where(Structure.CANAL) & (front < site.scale * thick_mm * ends * tether * lean)
    site.mark(where, Tissue.TUMOR_SOFT)


def _paraspinal(site: Site, d: Field, thick_mm: float) -> None:
    """Tumor in the soft tissue next to the bone, eccentric and rounded."""
    soft = site.where(*SOFT_TISSUE) & (site.tissue != Tissue.ARTERY)
    side = site.rng.choice([-1, 1])
    bulge = site.scale * thick_mm * np.clip(0.7 + 0.05 * side * site.v, 0, 1.3)
    site.mark(soft & (d < bulge) & (np.abs(site.w) < 0.75 * site.shape.height_mm), Tissue.TUMOR_SOFT)


def _expand(site: Site, d: Field, inside: Tissue, outside: Tissue) -> None:
    """A tumor that takes bone, canal and soft tissue alike, behind a thin shell of new bone."""
    free = site.where(*SOFT_TISSUE) & ~np.isin(site.tissue, (Tissue.ARTERY, Tissue.VEIN))
    site.grow(d, site.bone, inside)
    front = (site.u - site.back_mm) / site.shape.canal_depth_mm
    site.mark(site.where(Structure.CANAL) & (d < 0) & (front < site.rng.uniform(0.2, 0.9)), outside)
    site.mark(free & (d < 0), outside)
    shell = free & (d > -0.2) & (d < 1.0) & (site.noise(6.0) > -0.3) & (d.min() < -4)
    site.mark(shell, Tissue.CORTEX, label=False)
