"""Tumors inside the dura: on the meninges, on nerves, and in the cord."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.canvas import Field
    from spondyl.phantom.site import Site

SAC_TISSUES = (Tissue.CSF, Tissue.ROOTS)


def _in_sac(site: Site) -> NDArray[np.bool_]:
    return site.where(Structure.CANAL) & np.isin(site.tissue, SAC_TISSUES)


def _middle_of_canal(site: Site) -> tuple[float, float]:
    """Middle of the sac in the vertebra's frame: to the left and to posterior, in mm."""
    inside = _in_sac(site) | site.where(Structure.CORD)
    inside &= np.abs(site.w) < 4
    if not inside.any():
        return 0.0, site.back_mm + site.shape.canal_depth_mm / 2
    left, behind = (float(np.broadcast_to(x, inside.shape)[inside].mean()) for x in (site.v, site.u))
    return left, behind


def paint_meningioma(site: Site) -> None:
    """Paint a broad-based ball on the dura, evenly enhancing.

    Parameters
    ----------
    site : Site
        Where to.
    """
    u, (left, behind) = site.rng.uniform, _middle_of_canal(site)
    angle, off = u(0, 2 * np.pi), 0.35 * site.shape.canal_depth_mm
    center = (left + off * np.cos(angle) * 1.2, behind + off * np.sin(angle), u(-8, 8))
    d = site.blob(center, u(4, 8.5), 0.08)
    site.mark(_in_sac(site) & (d < 0), Tissue.MENINGEAL_TUMOR)


def paint_schwannoma(site: Site) -> None:
    """Paint a tumor of a nerve: a ball in the sac, a dumb-bell through the foramen, or beads on the roots.

    Parameters
    ----------
    site : Site
        Where to; the foramen below its pedicles.
    """
    u, (left, behind) = site.rng.uniform, _middle_of_canal(site)
    side, height = float(site.rng.choice([-1, 1])), -0.3 * site.shape.height_mm
    inner = site.blob((left + side * u(2, 6), behind + u(-2, 2), height), u(4, 8), 0.1)
    site.mark(_in_sac(site) & (inner < 0), Tissue.NERVE_TUMOR)
    if site.rng.random() < 0.55:
        reach = site.shape.canal_width_mm / 2
        neck = site.blob((side * (reach + 2), behind - 2, height), u(4, 6), 0.1)
        outer = site.blob((side * (reach + u(9, 16)), behind - u(2, 6), height - u(0, 5)), u(6, 12), 0.12)
        free = (site.structure == Structure.BACKGROUND) | site.where(Structure.CANAL)
        site.mark(free & ((neck < 0) | (outer < 0)), Tissue.NERVE_TUMOR)
        # It widens the foramen: bone gives way slowly and keeps its rim.
        arch = site.where(Structure.POSTERIOR) & ((neck < -1) | (outer < -1.5))
        site.mark(arch, Tissue.NERVE_TUMOR)
    if site.rng.random() < 0.4:
        site.mark((site.tissue == Tissue.NERVE_TUMOR) & (inner < -2.5), Tissue.FLUID)


def paint_leptomeningeal(site: Site) -> None:
    """Paint tumor that coats cord and roots and hangs on them as nodules.

    Parameters
    ----------
    site : Site
        Middle of the stretch that is coated.
    """
    u = site.rng.uniform
    sac = _in_sac(site)
    nodules = site.noise((2.5, 4.0, 2.5)) > u(1.3, 2.0)
    on_roots = (site.tissue == Tissue.ROOTS) & (site.noise(3.5) > u(0.4, 1.2))
    near_cord = _near_cord(site, 1.6)
    site.mark(
        sac & (near_cord & (site.noise(4.0) > u(-0.6, 0.6)) | (nodules & (near_cord | on_roots))), Tissue.TUMOR_SOFT
    )
    site.mark(sac & on_roots, Tissue.TUMOR_SOFT)


def _near_cord(site: Site, reach_mm: float) -> NDArray[np.bool_]:
    """Voxels within a reach of the cord, by shifting its mask along both axes of a slice."""
    cord = site.where(Structure.CORD)
    near = cord.copy()
    for axis in (0, 2):
        steps = max(1, round(reach_mm / site.canvas.grid.spacing_mm[axis]))
        for step in (*range(-steps, 0), *range(1, steps + 1)):
            near |= np.roll(cord, step, axis)
    return near & ~cord


def paint_cord_tumor(site: Site, *, kind: str) -> None:
    """Paint a tumor in the cord, which swells around it, with edema above and below.

    Parameters
    ----------
    site : Site
        Where to.
    kind : str
        ``"ependymoma"`` (central, sharp, with dark caps and cysts), ``"astrocytoma"`` (eccentric, without a clear
        edge) or ``"metastasis"`` (small, in much edema).
    """
    u = site.rng.uniform
    long, thick = {"ependymoma": (u(10, 22), 0.9), "astrocytoma": (u(12, 26), 0.75), "metastasis": (u(4, 8), 0.65)}[
        kind
    ]
    middle = u(-6, 6)
    cord = site.where(Structure.CORD)
    if not cord.any():
        return
    profile = np.exp(-(np.clip((site.w - middle) / long, -4, 4) ** 4))
    swollen = _near_cord(site, 1.5) & _in_sac(site) & (profile > 0.5)
    site.mark(swollen, Tissue.CORD_EDEMA, label=False)
    site.canvas.structure[site.box][swollen] = Structure.CORD
    cord = site.where(Structure.CORD)
    edema = np.exp(-(np.clip((site.w - middle) / (long * u(1.3, 2.2)), -4, 4) ** 4)) > 0.4
    site.mark(cord & edema & (site.noise(5.0) > -1.0), Tissue.CORD_EDEMA, label=False)
    r = _radius_in_cord(site, cord)
    ragged = 0.12 * site.noise(4.0) * (2.0 if kind == "astrocytoma" else 0.7)
    site.mark(cord & (profile > 0.5) & (r + ragged < thick), Tissue.CORD_TUMOR)
    if kind == "ependymoma":
        caps = cord & (np.abs(profile - 0.5) < 0.18) & (r < thick)
        site.mark(caps, Tissue.SCLEROSIS)
        beyond = np.abs(np.abs(site.w - middle) - long * 1.25) < u(2, 6)
        site.mark(cord & beyond & (r < 0.5), Tissue.FLUID, label=False)


def _radius_in_cord(site: Site, cord: NDArray[np.bool_]) -> Field:
    """Distance from the cord's middle in each row, relative to its edge there."""
    radius = np.full(cord.shape, np.inf, np.float32)
    v, u = (np.broadcast_to(x, cord.shape) for x in (site.v, site.u))
    for row in np.flatnonzero(cord.any(axis=(0, 2))):
        inside = cord[:, row]
        left, behind = v[:, row][inside], u[:, row][inside]
        wide, deep = max(np.ptp(left) / 2, 1.5), max(np.ptp(behind) / 2, 1.5)
        radius[:, row] = np.hypot((v[:, row] - left.mean()) / wide, (u[:, row] - behind.mean()) / deep)
    return radius
