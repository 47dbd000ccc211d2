"""Epidural tumor that presses on sac and cord to a wanted degree, so that grades of compression have a truth.

The other tumors of the phantom grow into the canal and end where the cord begins; here the sac gives way and the cord
is pushed back and flattened, as the grades of Bilsky describe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError, Structure
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.site import Site

    Mask = NDArray[np.bool_]

ESCC_GRADES = ("0", "1a", "1b", "1c", "2", "3")
"""Epidural spinal cord compression: bone only; epidural; sac deformed; cord touched; cord compressed with fluid in
sight; without (Bilsky 2010, J Neurosurg Spine 13:324)."""

SAC = (Tissue.CSF, Tissue.ROOTS, Tissue.CORD)

BONE_RADIUS_MM = (6.0, 10.0)
"""Radius of the part in the bone behind which the mass lies, in mm. Chosen by us."""

PUSH_MM = (2.0, 3.2)
"""How far a compressed cord is pushed back, in mm. Chosen by us."""

LEFT_MM = 1.2
"""Fluid that stays between a mass and the cord it does not touch, and behind a cord that is not wholly compressed, in
mm. Chosen by us: two pixels of an axial image."""

DENT_MM3 = 40.0
"""Volume of the sac that a dent takes at least, in mm³. Chosen by us."""

SMALLEST_SHARE = 0.45
"""Share of its area that the most compressed cord keeps at least. Chosen by us."""


def paint_compression(site: Site, grade: str) -> str:
    """Paint a lytic metastasis of the back of the body whose epidural part has a wanted grade.

    Parameters
    ----------
    site : Site
        Where to; from grade 1c on the cord must pass there.
    grade : str
        One of `ESCC_GRADES`.

    Returns
    -------
    str
        The grade that was reached: where there is hardly any room before the cord, 1b ends as 1a or 1c.

    Raises
    ------
    SettingsError
        If the grade is not known.
    """
    if grade not in ESCC_GRADES:
        msg = f"a grade of compression is one of {', '.join(ESCC_GRADES)}; got {grade!r}"
        raise SettingsError(msg)
    u, shape = site.rng.uniform, site.shape
    radius = min(u(*BONE_RADIUS_MM), 0.45 * shape.height_mm)
    depth = 0.35 if grade == "0" else 0.8
    d = site.blob((u(-0.2, 0.2) * shape.half_width_mm, depth * site.back_mm - 0.3 * radius, u(-2, 2)), radius, 0.1)
    site.grow(d, site.body, Tissue.TUMOR_LYTIC)
    if grade == "0":
        return grade
    return _press(site, grade, u(0.45, 0.6) * shape.height_mm, u(*PUSH_MM))


def _press(site: Site, grade: str, reach_mm: float, push_mm: float) -> str:
    canal = site.where(Structure.CANAL, Structure.CORD)
    cord, sac = site.where(Structure.CORD), canal & np.isin(site.tissue, SAC)
    front = np.broadcast_to(site.u - site.back_mm, sac.shape)
    ends = np.broadcast_to(np.sqrt(np.maximum(1 - (site.w / reach_mm) ** 2, 0)), sac.shape)
    # Only lines that cut the sac: beside it lies the fat of the recesses.
    pressed = canal & (ends > 0) & sac.any(axis=2, keepdims=True)
    dura, pia = _first(sac, front), _first(cord, front)
    # Beside the cord the mass reaches as far as in front of it.
    pia = np.minimum(pia, float(np.median(pia[np.isfinite(pia)]))) if cord.any() else dura + 6.0
    room = np.maximum(pia - dura, 0)
    after = cord
    if grade == "1a":
        mass = pressed & (front < dura)
    elif grade == "1b":
        mass = pressed & ~cord & (front < dura + np.clip(room - LEFT_MM, 0, 0.6 * room) * ends)
    elif grade == "1c":
        mass = pressed & ~cord & (front < np.where(ends > 0.6, pia, dura + 0.5 * room))
    else:
        if grade == "2":
            push_mm = min(push_mm, max(_behind_mm(cord, sac, site) - LEFT_MM, 0.8))
        after = _pushed(site, cord, sac, ends, push_mm)
        new = np.minimum(_first(after, front), pia + push_mm * ends + 3.0)
        mass = pressed & ~after & (front < np.minimum(new, pia + (push_mm + 0.5) * ends))
        if grade == "3":
            mass |= canal & ~after & (ends > 0.55)
    if grade == "1b" and (mass & sac).sum() * site.canvas.grid.voxel_volume_mm3 < DENT_MM3:
        grade = "1a"
    tissue, structure = site.tissue, site.structure
    lost = cord & ~after
    structure[lost] = Structure.CANAL
    tissue[lost & ~mass] = Tissue.CSF
    structure[after] = Structure.CORD
    tissue[after] = Tissue.CORD
    site.mark(mass, Tissue.TUMOR_SOFT)
    return grade


def _behind_mm(cord: Mask, sac: Mask, site: Site) -> float:
    """Usual depth of the fluid behind the cord."""
    step = site.canvas.grid.spacing_mm[2]
    behind = (sac & ~cord & (np.cumsum(cord, axis=2) > 0)).sum(axis=2)[cord.any(axis=2)]
    return float(np.median(behind)) * step if len(behind) else 0.0


def _first(mask: Mask, front: NDArray[np.floating]) -> NDArray[np.floating]:
    """Place of the front of a structure on every line from front to back; infinite where the line misses it."""
    least: NDArray[np.floating] = np.where(mask, front, np.inf).min(axis=2, keepdims=True)
    return least


def _pushed(site: Site, cord: Mask, sac: Mask, ends: NDArray[np.floating], push_mm: float) -> Mask:
    """The cord after it gave way: moved back, flattened by the mass, and kept inside the sac."""
    step = site.canvas.grid.spacing_mm[2]
    shift = np.rint(push_mm * ends / step).astype(np.intp)
    index = np.arange(cord.shape[2])[None, None, :] - shift
    moved = np.take_along_axis(cord, np.clip(index, 0, cord.shape[2] - 1), axis=2) & (index >= 0)
    moved &= sac
    pressed = ends > 0.3
    if moved[pressed].sum() < SMALLEST_SHARE * cord[pressed].sum():
        moved |= cord & sac & (np.cumsum(cord, axis=2) > 0.5 * cord.sum(axis=2, keepdims=True))
    return np.where(pressed, moved, cord)
