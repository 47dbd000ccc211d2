"""Epidural spinal cord compression: the Bilsky grade from outlines of tumor, canal, cord and, where there is one, sac.

The grade is defined on axial T2 images at the levels of the cord, at the worst place. Below the cord it is not defined;
there the share of the canal that tumor has taken is told instead. A narrow canal without tumor in it is no compression
by tumor, so everything here begins with tumor in the canal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

GRADES = ("0", "1a", "1b", "1c", "2", "3")
"""Bone only; epidural without deformation of the sac; sac deformed; cord touched; cord compressed with fluid in sight;
cord compressed without (Bilsky 2010, J Neurosurg Spine 13:324)."""

REFERENCE = "Bilsky 2010, J Neurosurg Spine 13:324"

MIN_EPIDURAL_MM3 = 50.0
"""Tumor in the canal that counts, in mm³. Chosen by us: below it the border of the outlines explains it."""

MIN_CONTACT_MM2 = 8.0
"""Surface that tumor and cord share from which they touch, in mm². Chosen by us."""

CONTACT_VOXELS = 1
"""Voxels that may lie between tumor and cord that touch: pia and the blur of the border. Chosen by us."""

FINE_MM = 1.5
"""Spacing up to which neighboring voxels touch. Chosen by us."""

WALL_MM = (2.0, 3.2)
"""Depth of tumor from the wall of the canal up to which the sac may be unharmed, and from which it must be deformed,
where the sac itself was not outlined. Chosen by us: the epidural space in front of the sac is about as deep."""

MIN_DENT_MM2 = 4.0
"""Area of tumor inside the hull of the sac from which it dents it, in mm². Chosen by us."""

SAC_LOSS = 0.07
"""Share of its area that a deformed sac has lost against its neighborhood. Chosen by us."""

CORD_LOSS = 0.12
"""Share of its area that a compressed cord has lost against its neighborhood. Chosen by us."""

GONE_SHARE = 0.15
"""Share of its usual area below which the cord has vanished between tumor. Chosen by us."""

CORD_SHIFT_MM = 1.2
"""How far a compressed cord has been pushed from where it lies above and below, in mm. Chosen by us."""

FLUID_LEFT = 0.10
"""Share of the usual room around the cord from which fluid is in sight. Chosen by us."""

NEIGHBORHOOD_MM = 30.0
"""How far above and below the tumor the unharmed canal is looked at, in mm. Chosen by us."""

MIN_CORD_MM2 = 15.0
"""Area of cord in a slice from which the cord passes there. Chosen by us: below the conus only the last threads do."""


class Canal(NamedTuple):
    """Outlines on one grid, slices first, then rows from anterior, then columns from the right.

    Parameters
    ----------
    tumor : ndarray of bool
        Tumor, in bone or not.
    canal : ndarray of bool
        Everything in the bony canal: cord, fluid, fat, tumor.
    cord : ndarray of bool
        The cord without tumor.
    sac : ndarray of bool or None
        Cord and fluid inside the dura without tumor; None where the sac was not outlined.
    spacing_mm : tuple of float
        Distance of slices, rows and columns.
    fluid : ndarray of bool or None
        Where an image shows fluid in the canal; None where none was looked at, and what neither tumor nor cord takes of
        the sac, or of the canal, counts as fluid.
    """

    tumor: Mask
    canal: Mask
    cord: Mask
    sac: Mask | None
    spacing_mm: tuple[float, float, float]
    fluid: Mask | None = None


class Compression(NamedTuple):
    """What tumor does to canal and cord.

    Parameters
    ----------
    grades : tuple of str
        The grade; two where outlines cannot tell which; empty below the cord.
    epidural_mm3 : float
        Tumor in the canal.
    canal_percent : float
        Greatest share of the canal's area that tumor takes in a slice.
    cord_percent : float or None
        Area that the cord keeps at the worst place, in percent of its neighborhood; None without a cord.
    why : str
        What decided, in words.
    """

    grades: tuple[str, ...]
    epidural_mm3: float
    canal_percent: float
    cord_percent: float | None
    why: str


def compression(parts: Canal) -> Compression:
    """Grade the compression by tumor in the canal.

    Parameters
    ----------
    parts : Canal
        Outlines.

    Returns
    -------
    Compression
        At the worst slice.
    """
    inside = parts.tumor & parts.canal
    volume = float(inside.sum() * np.prod(parts.spacing_mm))
    if volume < MIN_EPIDURAL_MM3:
        return Compression(("0",), volume, 0.0, None, "no tumor in the canal")
    slices = np.flatnonzero(inside.any(axis=(1, 2)))
    area = parts.spacing_mm[1] * parts.spacing_mm[2]
    taken = inside.sum(axis=(1, 2)) / np.maximum(parts.canal.sum(axis=(1, 2)), 1)
    percent = 100 * float(taken[slices].max())
    around = _neighborhood(slices, len(taken), parts.spacing_mm[0])
    cord_mm2 = parts.cord.sum(axis=(1, 2)) * area
    usual = np.median(cord_mm2[around]) if len(around) else 0.0
    if usual < MIN_CORD_MM2 and cord_mm2[slices].max() < MIN_CORD_MM2:
        return Compression((), volume, percent, None, "the cord does not pass here, so the grade is not defined")
    usual = usual if usual >= MIN_CORD_MM2 else float(cord_mm2[slices].max())
    kept = 100 * float(cord_mm2[slices].min()) / usual
    if cord_mm2[slices].min() < GONE_SHARE * usual:
        return Compression(("3",), volume, percent, kept, "no cord can be seen where it passes above and below")
    grades, why = _at_cord(parts, slices, around, usual)
    return Compression(grades, volume, percent, kept, why)


def _at_cord(
    parts: Canal, slices: NDArray[np.intp], around: NDArray[np.intp], usual_mm2: float
) -> tuple[tuple[str, ...], str]:
    """Grade tumor beside a cord that can be seen."""
    inside = parts.tumor & parts.canal
    cord_mm2 = parts.cord.sum(axis=(1, 2)) * parts.spacing_mm[1] * parts.spacing_mm[2]
    contact = {k: _contact_mm2(inside[k], parts.cord[k], parts.spacing_mm) for k in slices.tolist()}
    if sum(contact.values()) < MIN_CONTACT_MM2:
        return _sac(parts, inside, slices, around)
    pressed = [k for k, mm2 in contact.items() if mm2 > 0 and _deformed(parts, k, cord_mm2[k], usual_mm2, around)]
    if not pressed:
        return ("1c",), "tumor touches a cord of usual place and shape"
    room = _room(parts, inside)
    usual_room = float(np.median(room[around])) if len(around) else float(room.max())
    if min(room[k] for k in pressed) < FLUID_LEFT * max(usual_room, 1e-6):
        return ("3",), "cord compressed, no fluid around it"
    return ("2",), "cord compressed, fluid still around it"


def _neighborhood(slices: NDArray[np.intp], n: int, step_mm: float) -> NDArray[np.intp]:
    """Slices above and below the tumor, a slice apart from it."""
    reach = max(round(NEIGHBORHOOD_MM / step_mm), 2)
    every = np.arange(max(slices[0] - reach, 0), min(slices[-1] + reach + 1, n))
    return every[(every < slices[0] - 1) | (every > slices[-1] + 1)]


def _contact_mm2(tumor: Mask, cord: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Surface of the cord in a slice that tumor lies against."""
    near = np.zeros((2 * CONTACT_VOXELS + 1,) * 2, bool)
    for axis, step in enumerate(spacing_mm[1:]):
        # Thick voxels that lie side by side may be a slice apart: only fine ones tell of touch.
        near[tuple(slice(None) if a == axis and step <= FINE_MM else CONTACT_VOXELS for a in (0, 1))] = True
    grown = ndimage.binary_dilation(tumor, structure=near)
    rim = cord & ~ndimage.binary_erosion(cord)
    return float((rim & grown).sum() * spacing_mm[0] * np.sqrt(spacing_mm[1] * spacing_mm[2]))


def _deformed(parts: Canal, k: int, cord_mm2: float, usual_mm2: float, around: NDArray[np.intp]) -> bool:
    """Whether the cord in a slice is smaller than above and below, or lies elsewhere in the canal."""
    if cord_mm2 < (1 - CORD_LOSS) * usual_mm2:
        return True
    offsets = [_offset_mm(parts, j) for j in around.tolist()]
    shifts = [s for s in offsets if s is not None]
    here = _offset_mm(parts, k)
    if here is None or not shifts:
        return False
    return bool(np.linalg.norm(here - np.median(shifts, axis=0)) >= CORD_SHIFT_MM)


def _offset_mm(parts: Canal, k: int) -> NDArray[np.float64] | None:
    """Place of the cord in the canal of a slice."""
    if not parts.cord[k].any():
        return None
    spacing = np.asarray(parts.spacing_mm[1:])
    offset: NDArray[np.float64] = (_middle(parts.cord[k]) - _middle(parts.canal[k])) * spacing
    return offset


def _middle(mask: Mask) -> NDArray[np.float64]:
    """Middle of the bounding box: it stays when a part is taken away less than the centroid does."""
    places = np.argwhere(mask)
    middle: NDArray[np.float64] = places.mean(axis=0)
    return middle


def _room(parts: Canal, tumor: Mask) -> NDArray[np.float64]:
    """Area of fluid around the cord, by slice."""
    inside = parts.fluid if parts.fluid is not None else parts.sac if parts.sac is not None else parts.canal
    free = inside & ~tumor & ~parts.cord
    room: NDArray[np.float64] = free.sum(axis=(1, 2)).astype(np.float64)
    return room


def _sac(parts: Canal, tumor: Mask, slices: NDArray[np.intp], around: NDArray[np.intp]) -> tuple[tuple[str, ...], str]:
    """Say whether the sac is deformed where tumor does not touch the cord."""
    if parts.sac is not None:
        usual = np.median(parts.sac[around].sum(axis=(1, 2))) if len(around) else np.inf
        for k in slices:
            dented = _hull(parts.sac[k]) & tumor[k]
            if dented.sum() * parts.spacing_mm[1] * parts.spacing_mm[2] >= MIN_DENT_MM2:
                return ("1b",), "tumor dents the sac and does not reach the cord"
            if np.isfinite(usual) and parts.sac[k].sum() < (1 - SAC_LOSS) * usual and tumor[k].sum() > 4:
                return ("1b",), "the sac is narrower than above and below"
        return ("1a",), "tumor beside a sac of usual shape"
    wall = ndimage.distance_transform_edt(parts.canal, sampling=parts.spacing_mm)
    deepest = float(np.percentile(wall[tumor], 98))
    if deepest < WALL_MM[0]:
        return ("1a",), "tumor lies along the wall of the canal"
    if deepest < WALL_MM[1]:
        return ("1a", "1b"), "whether the sac is deformed cannot be told without its outline"
    return ("1b",), "tumor reaches deeper than the epidural space and does not touch the cord"


def _hull(mask: Mask) -> Mask:
    """Convex hull of the voxels of a slice."""
    places = np.argwhere(mask)
    try:
        hull = ConvexHull(places)
    except (QhullError, ValueError):
        return np.zeros_like(mask)
    low, high = places.min(0), places.max(0) + 1
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    inside = (grid @ hull.equations[:, :2].T + hull.equations[:, 2] <= 1e-9).all(-1)
    filled = np.zeros_like(mask)
    filled[low[0] : high[0], low[1] : high[1]] = inside
    return filled


def worst(grades: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Give the worst of several grades.

    Parameters
    ----------
    grades : iterable of tuple of str
        Each one or two neighboring grades.

    Returns
    -------
    tuple of str
        The one with the highest end; empty without any.
    """
    graded = [g for g in grades if g]
    return max(graded, key=lambda g: (GRADES.index(g[-1]), GRADES.index(g[0])), default=())
