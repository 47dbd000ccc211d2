"""What is taken for a tumor and is none: hemangioma, marrow islands, wear, fractures of weak bone and infection.

Frequencies stand in `spondyl.phantom.lesion_plan`; the looks follow Gaudino 2015 (Skeletal Radiol 44:25) for
hemangiomas, Modic 1988 (doi 10.1148/radiology.166.1.3336678) for endplates, Baker 1990 (Radiology 174:495) for benign
fractures. Each painter takes the site of its vertebra and, where the lesion spans a disc, the site below it.
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

AGGRESSIVE_SHARE = 0.12
"""Share of atypical hemangiomas that fill the body and bulge into the canal. Chosen by us."""

BULLS_EYE_SHARE = 0.5
"""Share of red-marrow islands with fat in the middle. Chosen by us."""

FLUID_SIGN_SHARE = 0.3
"""Share of fresh benign fractures with a fluid-filled cleft: 40 % of 80 in Baur 2002 (doi 10.1148/radiol.2253011413),
fewer in mixed series. Chosen by us."""


def _spot_in_body(site: Site, radius_mm: tuple[float, float], lumps: float) -> Field:
    u, shape = site.rng.uniform, site.shape
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    center = (u(-0.7, 0.7) * b, u(-0.7, 0.7) * a, u(-0.35, 0.35) * h)
    median = float(np.sqrt(radius_mm[0] * radius_mm[1]))
    radius = float(np.clip(site.rng.lognormal(np.log(median), 0.35), *radius_mm))
    return site.blob(center, min(radius, 0.6 * h), lumps)


def paint_hemangioma(site: Site) -> None:
    """Paint a typical hemangioma: fat and slow blood between thick vertical trabeculae.

    Parameters
    ----------
    site : Site
        Where to.
    """
    site.grow(_spot_in_body(site, (3, 14), 0.1), site.body, Tissue.HEMANGIOMA)


def paint_atypical_hemangioma(site: Site) -> None:
    """Paint a hemangioma with little fat; now and then one that fills the body and passes its back wall.

    Parameters
    ----------
    site : Site
        Where to.
    """
    if site.rng.random() > AGGRESSIVE_SHARE:
        site.grow(_spot_in_body(site, (3, 14), 0.1), site.body, Tissue.HEMANGIOMA_ATYPICAL)
        return
    site.grow(site.distance.inside + site.rng.uniform(0, 3), site.bone, Tissue.HEMANGIOMA_ATYPICAL)
    behind = site.where(Structure.CANAL) & (site.u - site.back_mm < site.rng.uniform(2, 6))
    site.mark(behind & (np.abs(site.w) < 0.4 * site.shape.height_mm), Tissue.HEMANGIOMA_ATYPICAL)


def paint_fatty(site: Site) -> None:
    """Paint focal fatty marrow.

    Parameters
    ----------
    site : Site
        Where to.
    """
    site.grow(_spot_in_body(site, (2.5, 12), 0.25), site.body, Tissue.FATTY_MARROW, edge_mm=site.rng.uniform(0, 1.5))


def paint_red_marrow(site: Site) -> None:
    """Paint an island of red marrow, often with fat in its middle.

    Parameters
    ----------
    site : Site
        Where to.
    """
    d = _spot_in_body(site, (3.5, 12), 0.25)
    site.grow(d, site.body & ~np.isin(site.tissue, CORTICAL), Tissue.RED_MARROW, edge_mm=site.rng.uniform(0.5, 2.5))
    if site.rng.random() < BULLS_EYE_SHARE:
        site.mark(site.body & (d < 0.65 * d.min()), Tissue.FATTY_MARROW)


def paint_bone_island(site: Site) -> None:
    """Paint a bone island: small, dark on all images, spiculated, without edema.

    Parameters
    ----------
    site : Site
        Where to.
    """
    site.grow(_spot_in_body(site, (2, 6), 0.35), site.body, Tissue.SCLEROSIS, edge_mm=0.6)


def paint_modic(site: Site, below: Site | None, tissue: Tissue) -> None:
    """Paint a band along the endplates of one disc.

    Parameters
    ----------
    site : Site
        The vertebra above the disc.
    below : Site or None
        The vertebra below it; None where the column ends.
    tissue : Tissue
        Edema, fat or sclerosis, for types 1, 2 and 3.
    """
    u = site.rng.uniform
    depth, front, side = u(3, 11), u(-0.3, 1.0), u(-1.5, 1.5)
    for part in (site, below):
        if part is None:
            continue
        near = part.distance.bottom if part is site else part.distance.top
        share = 1.0 if part is site else u(0.5, 1.1)
        reach = depth * share * (1 + 0.3 * part.noise(8.0))
        # Strongest where the disc is worst: in front or behind, and toward one side.
        fade = np.clip(1.2 - 0.4 * np.abs(part.v / part.shape.half_width_mm - side), 0.2, 1)
        where = (near > -reach * fade) & (near < 1) & (part.u < front * part.shape.half_depth_mm) & part.body
        marrow = where & ~np.isin(part.tissue, CORTICAL)
        part.mark(marrow & (near < 0), tissue)
        if tissue == Tissue.EDEMA and u() < 0.4:
            part.mark(marrow & (near < -0.75 * reach * fade), Tissue.FATTY_MARROW)


def paint_facet_edema(site: Site) -> None:
    """Paint edema of the articular processes around a joint with fluid.

    Parameters
    ----------
    site : Site
        The upper of the two vertebrae.
    """
    u, shape = site.rng.uniform, site.shape
    sides = (-1.0, 1.0) if site.rng.random() < 0.4 else (float(site.rng.choice([-1, 1])),)
    for side in sides:
        at = side * (shape.canal_width_mm / 2 + shape.pedicle_mm / 2)
        joint = (at, site.back_mm + 0.7 * shape.canal_depth_mm + 0.3 * shape.pillar_mm, -0.6 * shape.height_mm)
        d = site.blob(joint, u(6, 13), 0.2)
        arch = site.where(Structure.POSTERIOR)
        site.grow(d, arch & (site.tissue == Tissue.POSTERIOR_MARROW), Tissue.EDEMA, edge_mm=1.5)
        gap = (site.tissue == Tissue.CARTILAGE) & (site.structure == Structure.BACKGROUND)
        site.mark(gap & (d < 0), Tissue.FLUID, label=False)


def paint_schmorl(site: Site, *, acute: bool) -> None:
    """Paint disc tissue that broke through an endplate, with edema around it while it is fresh.

    Parameters
    ----------
    site : Site
        Where to.
    acute : bool
        Whether it is fresh; an old one has a dark rim alone.
    """
    u, shape = site.rng.uniform, site.shape
    a, b = shape.half_depth_mm, shape.half_width_mm
    near = site.distance.bottom if site.rng.random() < 0.6 else site.distance.top
    left, behind, r = u(-0.4, 0.4) * b, u(-0.3, 0.4) * a, u(3, 8)
    q = np.sqrt((site.v - left) ** 2 + (site.u - behind) ** 2 + (np.minimum(near, 0) * u(0.8, 1.4)) ** 2)
    body = site.body & (near < 1)
    if acute:
        halo = q - r - u(2, 7) * (1 + 0.3 * site.noise(6.0))
        site.grow(halo, body & ~np.isin(site.tissue, CORTICAL), Tissue.EDEMA, edge_mm=1.5)
    site.mark(body & (q < r), Tissue.CORTEX)
    site.mark(body & (q < r - u(0.8, 1.8)), Tissue.DISC_INTERMEDIATE if site.rng.random() < 0.5 else Tissue.DISC_DRY)


def paint_osteoporotic_fracture(site: Site, *, old: bool) -> None:
    """Paint a collapsed body of weak bone: an edge of edema under an endplate and a dark line in it, or their healing.

    Parameters
    ----------
    site : Site
        Where to; its shape has collapsed already.
    old : bool
        Whether it has healed: then a dense line and a little fat are all that is left.
    """
    u, shape = site.rng.uniform, site.shape
    upper = site.rng.random() < 0.75
    near = site.distance.top if upper else site.distance.bottom
    body = site.body & (near < 0)
    noise = site.noise(8.0)
    line = np.abs(near + u(2.5, 6) + 0.9 * noise) < u(0.6, 1.1)
    if old:
        band = body & (near > -u(3, 7) * (1 + 0.2 * noise)) & ~np.isin(site.tissue, CORTICAL)
        site.mark(band, Tissue.FATTY_MARROW)
        site.mark(body & line & (noise > -0.5), Tissue.SCLEROSIS)
        return
    depth = shape.height_mm * u(0.25, 0.95)
    marrow = ~np.isin(site.tissue, CORTICAL)
    site.grow(-near - depth * (1 + 0.15 * noise), body & marrow, Tissue.EDEMA, edge_mm=u(1.0, 3.0))
    site.mark(body & line, Tissue.FRACTURE_LINE)
    if site.rng.random() < FLUID_SIGN_SHARE:
        cleft = np.abs(near + u(2, 5)) < u(0.8, 2.0)
        wide = (np.abs(site.v) < 0.6 * shape.half_width_mm) & (site.u < u(0.0, 0.6) * shape.half_depth_mm)
        site.mark(body & cleft & wide, Tissue.FLUID if site.rng.random() < 0.7 else Tissue.VACUUM)
    if site.rng.random() < 0.3:
        # A thin, even rim of blood around the front, unlike a tumor's eccentric mass.
        rim = site.where(Structure.BACKGROUND) & (site.distance.inside > 0) & (site.distance.inside < u(1, 3))
        site.mark(rim & (site.u < 0.3 * shape.half_depth_mm), Tissue.EDEMA, label=False)


def paint_discitis(site: Site, below: Site | None) -> None:
    """Paint infection: a bright, eaten disc, both endplates gone, inflamed bodies, phlegmon and sometimes pus.

    Parameters
    ----------
    site : Site
        The vertebra above the disc.
    below : Site or None
        The vertebra below it; None where the column ends.
    """
    u = site.rng.uniform
    site.mark(site.own & site.where(Structure.DISC) & (site.noise(5.0) > -1.6), Tissue.INFLAMED)
    fluid = site.own & site.where(Structure.DISC) & (site.noise(6.0) > u(-0.4, 0.8))
    site.mark(fluid, Tissue.FLUID)
    for part in (site, below):
        if part is None:
            continue
        near = part.distance.bottom if part is site else part.distance.top
        extent = u(0.35, 1.0) * part.shape.height_mm * (1 + 0.2 * part.noise(8.0))
        part.grow(-near - extent, part.body & (near < 1), Tissue.INFLAMED, edge_mm=u(1.0, 3.0))
        eaten = part.body & (near > -u(0.5, 4) * (1 + 0.8 * part.noise(4.0)))
        part.mark(eaten, Tissue.FLUID if u() < 0.4 else Tissue.INFLAMED)
    level = site.w + 0.5 * site.shape.height_mm + 0.5 * site.shape.disc.height_mm
    ring = np.abs(level) < u(12, 26) * (1 + 0.2 * site.noise(10.0))
    outside = site.where(Structure.BACKGROUND) & (site.distance.side > 0) & (site.distance.side < u(3, 9))
    site.mark(outside & ring & (site.u < site.shape.half_depth_mm), Tissue.INFLAMED)
    canal = site.where(Structure.CANAL) & (site.u - site.back_mm < u(0, 6) * np.exp(-((level / u(8, 18)) ** 2)))
    site.mark(canal, Tissue.INFLAMED)
    if site.rng.random() < 0.45:
        side = float(site.rng.choice([-1, 1]))
        where = (side * (site.shape.half_width_mm + u(7, 13)), u(-3, 8), -0.5 * site.shape.height_mm - u(0, 12))
        pocket = site.blob(where, u(5, 11), 0.15)
        site.mark(site.where(Structure.BACKGROUND) & (pocket < 2), Tissue.INFLAMED)
        site.mark(site.where(Structure.BACKGROUND) & (pocket < 0), Tissue.PUS)
