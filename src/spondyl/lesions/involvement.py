"""How much of a vertebra a tumor has taken: share of the body, sides of the arch, and the zones of the axial clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core import Structure
from spondyl.lesions.candidates import BONE
from spondyl.lesions.frames import BODY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid
    from spondyl.lesions.frames import Frame

    Mask = NDArray[np.bool_]
    Structures = NDArray[np.integer]

SIDE_MM3 = 100.0
"""Tumor in pedicle, facet or transverse process of a side from which it is involved, in mm³. Chosen by us: below it the
border between body and pedicle explains it."""

BESIDE_MIDLINE = 0.6
"""Distance from the midline, as a share of half the canal's width, from which the arch is posterolateral; nearer lies
the spinous process. Chosen by us."""

USUAL_HALF_CANAL_MM = 10.0
"""Half width of a canal that was not outlined, in mm. Chosen by us."""

ZONE_SHARE, ZONE_MM3 = 0.05, 150.0
"""Share or volume, in mm³, of a tumor in a zone or layer from which it is named, both needed. Chosen by us."""

LAYERS = {
    "A": "soft tissue beside the bone",
    "B": "bone, superficial",
    "C": "bone, deep",
    "D": "extradural",
    "E": "intradural",
}
"""Layers from outside to inside (Boriani 1997, Spine 22:1036), recalled."""


class Involvement(NamedTuple):
    """What tumor has taken of a vertebra.

    Parameters
    ----------
    body_percent : float
        Share of the body.
    sides : int or None
        Sides on which it reaches pedicle, facet or transverse process; None without outlines of them.
    side_mm3 : tuple of float
        Volume there, on the right and on the left.
    """

    body_percent: float
    sides: int | None
    side_mm3: tuple[float, float]


class Zones(NamedTuple):
    """Zones and layers of the axial clock.

    Parameters
    ----------
    zones : tuple of int
        1 to 12: from the left half of the spinous process by the left side and the front to its right half.
    layers : tuple of str
        Letters of `LAYERS`.
    """

    zones: tuple[int, ...]
    layers: tuple[str, ...]


def involvement(tumor: Mask, structures: Structures, own: Mask, grid: Grid, frame: Frame) -> Involvement:
    """Measure what tumor has taken of a vertebra.

    Parameters
    ----------
    tumor : ndarray of bool
        Tumor.
    structures : ndarray of int, same shape
        Values of `Structure`.
    own : ndarray of bool, same shape
        The vertebra's bone.
    grid : Grid
        Where the voxels are.
    frame : Frame
        The vertebra.

    Returns
    -------
    Involvement
        Share of the body and sides of the arch.
    """
    body = own & np.isin(structures, BODY)
    percent = 100 * float((body & tumor).sum()) / max(int(body.sum()), 1)
    arch = own & (structures == Structure.POSTERIOR)
    if not arch.any():
        return Involvement(percent, None, (0.0, 0.0))
    taken = frame.local(grid.ijk_to_lps(np.argwhere(arch & tumor)).reshape(-1, 3))
    limit = BESIDE_MIDLINE * half_canal_mm(structures, grid, frame)
    right, left = (
        float((side * taken[:, 0] > limit).sum()) * grid.voxel_volume_mm3 if len(taken) else 0.0 for side in (-1, 1)
    )
    return Involvement(percent, int(right >= SIDE_MM3) + int(left >= SIDE_MM3), (right, left))


def half_canal_mm(structures: Structures, grid: Grid, frame: Frame) -> float:
    """Give half the width of the canal behind a vertebra.

    Parameters
    ----------
    structures : ndarray of int
        Values of `Structure`.
    grid : Grid
        Where they are.
    frame : Frame
        The vertebra.

    Returns
    -------
    float
        In mm; a usual one where the canal was not outlined.
    """
    voxels = np.argwhere(np.isin(structures, (Structure.CANAL, Structure.CORD)))
    if len(voxels) == 0:
        return USUAL_HALF_CANAL_MM
    places = frame.local(grid.ijk_to_lps(voxels))
    near = places[(np.abs(places[:, 2]) < 8.0) & (places[:, 1] > 0) & (places[:, 1] < 60)]
    return float(np.percentile(np.abs(near[:, 0]), 95)) if len(near) >= 20 else USUAL_HALF_CANAL_MM


def zones(tumor: Mask, structures: Structures, grid: Grid, frame: Frame) -> Zones:
    """Name the zones and layers of the axial clock that a tumor takes.

    Parameters
    ----------
    tumor : ndarray of bool
        One tumor.
    structures : ndarray of int, same shape
        Values of `Structure`.
    grid : Grid
        Where the voxels are.
    frame : Frame
        The vertebra.

    Returns
    -------
    Zones
        Empty where the tumor is smaller than what is named.

    References
    ----------
    Boriani 1997, Primary bone tumors of the spine, Spine 22:1036.
    """
    voxels = np.argwhere(tumor)
    if len(voxels) == 0:
        return Zones((), ())
    places = frame.local(grid.ijk_to_lps(voxels))
    canal = np.argwhere(np.isin(structures, (Structure.CANAL, Structure.CORD)))
    behind = frame.local(grid.ijk_to_lps(canal)) if len(canal) else np.zeros((0, 3))
    behind = behind[(np.abs(behind[:, 2]) < 10) & (behind[:, 1] > 0) & (behind[:, 1] < 60)]
    middle = behind.mean(0)[:2] if len(behind) else np.array([0.0, 22.0])
    left, back = (places[:, :2] - middle).T
    angle = np.degrees(np.arctan2(left, back)) % 360
    numbers = (angle // 30).astype(int) + 1
    layers = _layers(voxels, structures, grid)
    return Zones(
        tuple(int(n) for n in range(1, 13) if _counts(numbers == n, grid.voxel_volume_mm3)),
        tuple(name for name in LAYERS if _counts(layers == name, grid.voxel_volume_mm3)),
    )


def _counts(where: Mask, voxel_mm3: float) -> bool:
    return bool(where.mean() >= ZONE_SHARE and where.sum() * voxel_mm3 >= ZONE_MM3)


def _layers(voxels: NDArray[np.int_], structures: Structures, grid: Grid) -> NDArray[np.str_]:
    """Layer of each voxel: bone nearer to the canal than to its outside is deep."""
    first = np.maximum(voxels.min(0) - 12, 0)
    part = structures[tuple(slice(a, b) for a, b in zip(first, voxels.max(0) + 13, strict=True))]
    bone = np.isin(part, BONE)
    canal = np.isin(part, (Structure.CANAL, Structure.CORD))
    at = tuple((voxels - first).T)
    here = part[at]
    layers = np.full(len(voxels), "A")
    layers[np.isin(here, (Structure.CANAL,))] = "D"
    layers[here == Structure.CORD] = "E"
    in_bone = np.isin(here, BONE)
    if canal.any():
        inner = ndimage.distance_transform_edt(~canal, sampling=grid.spacing_mm)[at]
        outer = ndimage.distance_transform_edt(bone | canal, sampling=grid.spacing_mm)[at]
        layers[in_bone] = np.where(inner[in_bone] < outer[in_bone], "C", "B")
    else:
        layers[in_bone] = "B"
    return layers
