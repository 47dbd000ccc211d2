"""Tumor that has left a vertebra for the canal, told by the T2 signal beside a candidate.

Networks outline lesions in bone and mostly stop at the back wall. What lies behind it shows on T2 images by itself:
fluid and fat in the canal are bright, and tissue that has taken their place is not. So the canal beside a candidate is
compared with the same canal above and below it, and what has become as dark as the cord, touches the candidate and is
not as dark as a disc or a ligament is taken for its epidural part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cc3d
import edt
import numpy as np
from scipy import ndimage

from spondyl.core import Sequence, Structure, reorient
from spondyl.lesions.candidates import BONE, host_of
from spondyl.lesions.compartments import BONE_SHARE
from spondyl.models.space import resample

if TYPE_CHECKING:
    from collections.abc import Sequence as Listed

    from numpy.typing import NDArray

    from spondyl.core import Case, Image
    from spondyl.lesions.candidates import Candidate

    Mask = NDArray[np.bool_]
    Floats = NDArray[np.floating]

SUSPICIOUS = 0.5
"""Probability of malignancy from which a candidate is looked at. Chosen by us: more likely than not."""

ORDER = "LIP"
"""Slices from the right, rows from the head, columns from anterior: what all arrays here are in."""

AWAY_MM = 15.0
"""How far above and below a candidate its epidural part may reach, in mm; the canal is compared with what lies beyond.
Chosen by us."""

COMPARED_MM = 35.0
"""Length of canal that is compared with at each end, in mm. Chosen by us: two or three vertebrae."""

FLUID_PERCENTILE = 75.0
"""Percentile of the signal beside the cord that is taken for fluid. Chosen by us: roots and walls are darker."""

LEAST_CONTRAST = 1.15
"""Signal of fluid over that of the cord from which a T2 image tells them apart. Chosen by us."""

SOFT = 0.5
"""Place of a voxel's signal between fluid, 0, and cord, 1, from which it is tissue. Chosen by us: half of a voxel."""

MORE_THAN_USUAL = 0.3
"""By how much more, on the same scale, than the same part of the canal elsewhere. Chosen by us."""

DARKEST = 0.65
"""Median signal over that of the cord below which tissue is a disc, a ligament or bone rather than tumor. Chosen by us
on 14 synthetic patients, whose epidural tumors lie above 0.7."""

MIN_ROWS_COMPARED = 8
"""Rows of canal at each end from which they say what fluid looks like. Chosen by us."""

USUAL_PERCENTILE = 75.0
"""Percentile of how dark the canal is elsewhere that still is usual. Chosen by us."""

DEPTHS = 12
"""Parts into which the depth of the canal is divided for the comparison. Chosen by us."""

MIN_VOXELS_COMPARED = 8
"""Voxels from which a part of the canal says what is usual there. Chosen by us."""

TOUCH_MM = 4.0
"""Distance from a candidate up to which tissue belongs to it, in mm. Chosen by us: the back wall, and a voxel or two
that the network leaves out."""

MIN_EPIDURAL_MM3 = 50.0
"""Smallest epidural part, in mm³. Chosen by us: below it borders of the outlines explain it."""

GRAZED = 0.01
"""Share of a piece that may lie where the canal is compared. Chosen by us: a few voxels of its tip."""

MIN_MASS_MM3 = 300.0
"""Smallest mass that belongs to a tumor in a vertebra without touching it, in mm³. Chosen by us on 30 synthetic
patients: less is found beside 95 of 100 bodies that are well."""


def epidural_part(
    t2: Floats,
    structures: NDArray[np.integer],
    tumor: Mask,
    spacing_mm: tuple[float, ...],
    *,
    body: Mask | None = None,
) -> Mask:
    """Tell which voxels of the canal belong to a tumor beside it.

    Parameters
    ----------
    t2 : ndarray
        T2-weighted signal; all arrays in the order of axes `ORDER`.
    structures : ndarray of int, same shape
        Values of `Structure`.
    tumor : ndarray of bool, same shape
        The tumor as far as it is known.
    spacing_mm : tuple of float
        Voxel size along each axis, in mm.
    body : ndarray of bool, same shape, optional
        Body of the vertebra that the tumor lies in. It may lie anywhere in it, so that its whole height is held against
        the canal above and below, and a mass of `MIN_MASS_MM3` that touches it belongs to the tumor.

    Returns
    -------
    ndarray of bool, same shape
        None is true where the image does not tell cord from fluid, or shows no canal to compare with.
    """
    found = np.zeros(tumor.shape, bool)
    either = tumor if body is None else tumor | body
    seen = _seen(t2, structures, either, spacing_mm)
    if seen is None:
        return found
    own, room, dark = tumor[seen.part], seen.canal & ~seen.cord, seen.dark
    usual = _usual(dark, seen.canal, room, seen.elsewhere)
    tissue = room & (dark > SOFT) & (dark > usual + MORE_THAN_USUAL)
    tissue = ndimage.binary_closing(tissue | (own & room), np.ones((1, 3, 3), bool)) & room
    beside_tumor, beside = _near(own, spacing_mm), _near(either[seen.part], spacing_mm)
    pieces, n = cc3d.connected_components(tissue, connectivity=26, return_N=True)
    least, mass = (mm3 / float(np.prod(spacing_mm)) for mm3 in (MIN_EPIDURAL_MM3, MIN_MASS_MM3))
    for number in range(1, n + 1):
        piece = pieces == number
        # What goes on where the canal is compared is how this canal is, or how the image fades.
        near = beside if piece.sum() >= mass else beside_tumor
        own_place = (piece & near).any() and piece[:, seen.elsewhere].sum() <= GRAZED * piece.sum()
        if own_place and piece.sum() >= least and np.median(dark[piece]) <= seen.darkest:
            found[seen.part] |= piece
    return found & ~tumor


def _near(where: Mask, spacing_mm: tuple[float, ...]) -> Mask:
    if not where.any():
        return where
    near: Mask = edt.edt(np.asfortranarray(~where), anisotropy=spacing_mm) <= TOUCH_MM
    return near


def fluid_around(case: Case, tumor: Mask) -> Mask | None:
    """Tell where T2 shows fluid, or fat, in the canal beside a tumor.

    Parameters
    ----------
    case : Case
        Localized.
    tumor : ndarray of bool
        The tumor on the grid of the structures.

    Returns
    -------
    ndarray of bool or None
        On the same grid; None where there is no T2 image, or it does not tell.
    """
    image, structures = case.images.get(Sequence.T2), case.labels["structures"]
    if image is None:
        return None
    grid = structures.grid
    t2, what, own = (
        reorient(array, grid.orientation, ORDER)
        for array in (resample(image.array, image.grid, grid), structures.array, tumor)
    )
    seen = _seen(t2, what, own, grid.reoriented(ORDER).spacing_mm)
    if seen is None:
        return None
    fluid = np.zeros(own.shape, bool)
    fluid[seen.part] = seen.canal & ~seen.cord & (seen.dark <= SOFT)
    return reorient(fluid, ORDER, grid.orientation)


class _Seen(NamedTuple):
    """The canal beside a tumor: which part of the image, what lies there, how dark, where on that scale `DARKEST` lies,
    and which rows are compared with."""

    part: tuple[slice, slice, slice]
    canal: Mask
    cord: Mask
    dark: Floats
    darkest: float
    elsewhere: Mask


def _seen(t2: Floats, structures: NDArray[np.integer], tumor: Mask, spacing_mm: tuple[float, ...]) -> _Seen | None:
    rows = np.flatnonzero(tumor.any(axis=(0, 2)))
    if not len(rows):
        return None
    far, reach = (int(np.ceil(mm / spacing_mm[1])) for mm in (AWAY_MM, COMPARED_MM))
    along = slice(max(rows[0] - far - reach, 0), rows[-1] + far + reach + 1)
    row = np.arange(tumor.shape[1])[along]
    above, below = row < rows[0] - far, row > rows[-1] + far
    places = ndimage.find_objects(np.isin(structures[:, along], (Structure.CANAL, Structure.CORD)).astype(np.uint8))
    if not places:
        return None
    # Beside the canal, nothing matters but a candidate that touches it.
    margin = [int(np.ceil(TOUCH_MM / mm)) + 2 for mm in spacing_mm]
    slices, _, columns = (slice(max(s.start - m, 0), s.stop + m) for s, m in zip(places[0], margin, strict=True))
    part = (slices, along, columns)
    what = structures[part]
    canal, cord = np.isin(what, (Structure.CANAL, Structure.CORD)), what == Structure.CORD
    scaled = _darkness(t2[part], canal, cord, (above, below))
    return None if scaled is None else _Seen(part, canal, cord, *scaled, above | below)


def _darkness(signal: Floats, canal: Mask, cord: Mask, ends: tuple[Mask, Mask]) -> tuple[Floats, float] | None:
    """Signal on a scale where fluid is 0 and the cord 1, and where on it `DARKEST` lies; None where nothing tells.

    Coils do not see all of the canal equally well, so that the signal of fluid is a line from above to below.
    """
    room, middles, fluids = canal & ~cord, [], []
    for end in ends:
        rows = np.flatnonzero(end & room.any(axis=(0, 2)))
        if len(rows) < MIN_ROWS_COMPARED:
            return None
        fluids.append(float(np.percentile(signal[:, rows][room[:, rows]], FLUID_PERCENTILE)))
        middles.append(float(rows.mean()))
    fluid = np.maximum(np.interp(np.arange(canal.shape[1]), middles, fluids), 1e-6)[None, :, None]
    relative, either = signal / fluid, ends[0] | ends[1]
    inner = ndimage.binary_erosion(cord, np.ones((1, 3, 3), bool)) & either[None, :, None]
    inner = inner if inner.any() else cord & either[None, :, None]
    level = float(np.median(relative[inner])) if inner.any() else 1.0
    if not 0 < level < 1 / LEAST_CONTRAST:
        return None
    return (1 - relative) / (1 - level), (1 - DARKEST * level) / (1 - level)


def _usual(dark: Floats, canal: Mask, room: Mask, elsewhere: Mask) -> Floats:
    """How dark the canal is elsewhere in the same slice and at the same depth; 1 where too little tells."""
    n = canal.shape[2]
    first, last = canal.argmax(axis=2), n - 1 - canal[:, :, ::-1].argmax(axis=2)
    share = (np.arange(n) - first[..., None] + 0.5) / np.maximum(last - first + 1, 1)[..., None]
    depth = np.clip(share * DEPTHS, 0, DEPTHS - 1).astype(np.intp)
    usual = np.ones((len(canal), DEPTHS))
    for number in range(len(canal)):
        known = room[number] & elsewhere[:, None]
        for step in range(DEPTHS):
            values = dark[number][known & (depth[number] == step)]
            if len(values) >= MIN_VOXELS_COMPARED:
                usual[number, step] = np.percentile(values, USUAL_PERCENTILE)
    spread: Floats = usual[np.arange(len(canal))[:, None, None], depth]
    return spread


def with_epidural_parts(candidates: Listed[Candidate], case: Case) -> list[Candidate]:
    """Let candidates of bone that are more likely malignant than not reach into the canal, where T2 shows it.

    Parameters
    ----------
    candidates : sequence of Candidate
        Most suspicious first, so that a voxel goes to that one.
    case : Case
        Localized.

    Returns
    -------
    list of Candidate
        In the same order.
    """
    image, structures = case.images.get(Sequence.T2), case.labels["structures"]
    if image is None or not any(c.malignant >= SUSPICIOUS for c in candidates):
        return list(candidates)
    free = np.ones(structures.array.shape, bool)
    for candidate in candidates:
        free[candidate.box] &= ~candidate.where
    canal, found = CanalOf(case, image), []
    for candidate in candidates:
        in_bone = np.isin(structures.array[candidate.box][candidate.where], BONE).mean() >= BONE_SHARE
        if candidate.malignant < SUSPICIOUS or not in_bone:
            found.append(candidate)
            continue
        whole = np.zeros(free.shape, bool)
        whole[candidate.box] = candidate.where
        taken = canal.part(whole, host_of(candidate, case)) & free
        free &= ~taken
        found.append(joined(candidate, whole | taken) if taken.any() else candidate)
    return found


class CanalOf:
    """The canal of a case on T2, in the order of axes that `epidural_part` wants.

    Parameters
    ----------
    case : Case
        Localized.
    image : Image
        T2-weighted.
    """

    def __init__(self, case: Case, image: Image) -> None:
        structures, self._vertebrae = case.labels["structures"], case.labels["vertebrae"].array
        self._grid = structures.grid
        self._body = structures.array == Structure.BODY
        t2 = resample(image.array, image.grid, self._grid).astype(np.float32)
        self._t2, self._what = (reorient(a, self._grid.orientation, ORDER) for a in (t2, structures.array))

    def room_mm(self, instance: int) -> float:
        """Say how far the canal is seen above and below a body, whichever is less.

        Parameters
        ----------
        instance : int
            The vertebra.

        Returns
        -------
        float
            In mm; below 0 where there is no such body, or no canal beside it.
        """
        own = reorient(self._body & (self._vertebrae == instance), self._grid.orientation, ORDER)
        canal = np.isin(self._what, (Structure.CANAL, Structure.CORD))
        seen, rows = (np.flatnonzero(a.any(axis=(0, 2))) for a in (canal, own))
        if not len(seen) or not len(rows):
            return -1.0
        return float(min(rows[0] - seen[0], seen[-1] - rows[-1]) * self._grid.reoriented(ORDER).spacing_mm[1])

    def part(self, tumor: Mask, instance: int) -> Mask:
        """Tell which voxels of the canal belong to a tumor.

        Parameters
        ----------
        tumor : ndarray of bool
            The tumor as far as it is known, on the grid of the structures; it may be empty.
        instance : int
            The vertebra that it lies in; 0 for none.

        Returns
        -------
        ndarray of bool, same shape
            From `epidural_part`.
        """
        body = self._body & (self._vertebrae == instance) if instance else np.zeros_like(tumor)
        own, beside = (reorient(a, self._grid.orientation, ORDER) for a in (tumor, body))
        spacing = self._grid.reoriented(ORDER).spacing_mm
        return reorient(epidural_part(self._t2, self._what, own, spacing, body=beside), ORDER, self._grid.orientation)


def joined(candidate: Candidate, where: Mask) -> Candidate:
    """Let a candidate reach into the canal.

    Parameters
    ----------
    candidate : Candidate
        The candidate.
    where : ndarray of bool
        It and its epidural part on the whole grid.

    Returns
    -------
    Candidate
        With both.
    """
    box = ndimage.find_objects(where.astype(np.uint8))[0]
    return candidate._replace(box=box, where=where[box], grown=True)
