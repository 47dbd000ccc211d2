"""Tissues whose signal is known beforehand: CSF, disc, muscle and fat, found from the outlines of the spine.

They set the scale of an image in place of its histogram, which disease changes. Marrow is not among them: it is what
is to be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from spondyl.core import Sequence, Structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap

FAT_IS_BRIGHT = (Sequence.T1, Sequence.DIXON_FAT, Sequence.PD, Sequence.T2, Sequence.DIXON_IN)
"""Sequences on which fat outshines muscle, best first (without fat suppression)."""

FLUID_IS_BRIGHT = (Sequence.T2, Sequence.STIR, Sequence.T2FS)

MIN_VOXELS = 150
"""Fewest voxels from which a tissue's signal is taken. Chosen by us."""

BEHIND_CANAL_MM = (6.0, 60.0)
"""Muscle and fat are sought this far behind the canal: beyond the laminae, before the skin. Chosen by us."""

BESIDE_COLUMN_MM = 45.0
"""And this far to both sides of it. Chosen by us."""

MIN_RATIO = 1.5
"""Fat is at least this much brighter than muscle where they are told apart; about 2 to 4 on T1 and T2 (de Bazelaire
2004, doi 10.1148/radiol.2303021331, by its T1 and T2)."""

AIR_SHARE = 0.12
"""Share of the 95th percentile, which is fat, below which a voxel behind the canal is air or cortex. Chosen by us:
muscle has 0.2 to 0.5 of the signal of fat."""

MARGIN = 0.12
"""Voxels within this share of the threshold belong to neither: they hold both tissues. Chosen by us."""


class Views(NamedTuple):
    """All images of a study on one grid.

    Parameters
    ----------
    grid : Grid
        The grid.
    arrays : mapping of Sequence to ndarray of float32, shape ``grid.shape``
        Signal; NaN outside an image's field of view.
    suppressed : frozenset of Sequence
        Those whose fat is suppressed.
    """

    grid: Grid
    arrays: Mapping[Sequence, NDArray[np.float32]]
    suppressed: frozenset[Sequence]


class TissuePlaces(NamedTuple):
    """Where tissues are looked for, whatever the images show.

    Parameters
    ----------
    canal, disc : ndarray of bool
        Without their outermost pixels.
    behind : ndarray of bool
        The soft tissue behind the canal.
    """

    canal: NDArray[np.bool_]
    disc: NDArray[np.bool_]
    behind: NDArray[np.bool_]


def tissue_places(structures: LabelMap) -> TissuePlaces:
    """Find where tissues are looked for.

    Parameters
    ----------
    structures : LabelMap
        Outlines of the spine (`Structure`).

    Returns
    -------
    TissuePlaces
        On the same grid.
    """
    labels, grid = structures.array, structures.grid
    through = int(np.argmax(grid.spacing_mm))
    return TissuePlaces(
        eroded(labels == Structure.CANAL, through),
        eroded(labels == Structure.DISC, through),
        _behind(labels, grid) & ~ndimage.binary_dilation(labels > 0, iterations=2),
    )


def reference_tissues(
    structures: LabelMap, views: Views, places: TissuePlaces | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Find tissues whose signal is known beforehand.

    Parameters
    ----------
    structures : LabelMap
        Outlines of the spine (`Structure`), on the grid of the views.
    views : Views
        The images.
    places : TissuePlaces, optional
        From `tissue_places`, of the same outlines.

    Returns
    -------
    dict of str to ndarray of bool, shape ``grid.shape``
        ``"csf"``, ``"disc"``, ``"muscle"`` and ``"fat"``, those of them that are large enough.
    """
    places = places or tissue_places(structures)
    found = {"csf": _fluid(places.canal, views), "disc": places.disc}
    found |= _muscle_and_fat(places.behind, views, int(np.argmax(views.grid.spacing_mm)))
    return {name: mask for name, mask in found.items() if mask.sum() >= MIN_VOXELS}


def eroded(mask: NDArray[np.bool_], through: int, *, pixels: int = 1) -> NDArray[np.bool_]:
    """Leave out the outermost pixels of each slice, which hold other tissues, too.

    Parameters
    ----------
    mask : ndarray of bool, shape (I, J, K)
        Where a tissue is.
    through : int
        Axis through the slices.
    pixels : int, optional
        How many.

    Returns
    -------
    ndarray of bool, shape (I, J, K)
        What is left.
    """
    cross = ndimage.generate_binary_structure(3, 1)
    keep = [slice(None)] * 3
    keep[through] = slice(1, 2)
    return np.asarray(ndimage.binary_erosion(mask, cross[tuple(keep)], iterations=pixels), bool)


def _fluid(core: NDArray[np.bool_], views: Views) -> NDArray[np.bool_]:
    """The half of the canal that looks like fluid, not like roots or fat."""
    for sequence in (*FLUID_IS_BRIGHT, Sequence.T1):
        if sequence not in views.arrays or not core.any():
            continue
        array = views.arrays[sequence]
        usable = core & np.isfinite(array)
        if usable.any():
            median = float(np.median(array[usable]))
            return usable & (array >= median if sequence in FLUID_IS_BRIGHT else array <= median)
    return np.zeros_like(core)


def _muscle_and_fat(region: NDArray[np.bool_], views: Views, through: int) -> dict[str, NDArray[np.bool_]]:
    for sequence in FAT_IS_BRIGHT:
        if sequence not in views.arrays or sequence in views.suppressed:
            continue
        array = views.arrays[sequence]
        inside = region & np.isfinite(array) & (array > 0)
        if not inside.any():
            continue
        inside &= array > AIR_SHARE * float(np.percentile(array[inside], 95))
        if inside.sum() < 4 * MIN_VOXELS:
            continue
        values = np.sqrt(array[inside])
        threshold = _two_classes(values)
        if not (values > threshold).any():
            continue
        fat, muscle = (np.median(part**2) for part in (values[values > threshold], values[values <= threshold]))
        if fat < MIN_RATIO * muscle:
            continue
        bright = inside & (array > (threshold * (1 + MARGIN / 2)) ** 2)
        dark = inside & (array < (threshold * (1 - MARGIN / 2)) ** 2) & (array > 0.4 * muscle)
        return {"fat": eroded(bright, through), "muscle": eroded(dark, through)}
    return {}


def _two_classes(values: NDArray[np.float32]) -> float:
    """Threshold halfway between the means of two classes that it makes (Ridler and Calvard 1978)."""
    threshold = float(np.mean(np.percentile(values, [5, 95])))
    for _ in range(50):
        low, high = values[values <= threshold], values[values > threshold]
        if not low.size or not high.size:
            break
        new = (float(low.mean()) + float(high.mean())) / 2
        if abs(new - threshold) < 1e-4 * abs(threshold):
            break
        threshold = new
    return threshold


def _behind(labels: NDArray[np.uint16], grid: Grid) -> NDArray[np.bool_]:
    """The soft tissue behind the canal, along the column."""
    canal = np.argwhere(np.isin(labels, (Structure.CANAL, Structure.CORD)))
    if len(canal) < MIN_VOXELS:
        return np.zeros(labels.shape, bool)
    lps = grid.ijk_to_lps(canal)
    order = np.argsort(lps[:, 2])
    # Center of the canal along the column, in steps of a centimeter.
    z, y, x = lps[order, 2], lps[order, 1], lps[order, 0]
    edges = np.arange(z[0], z[-1] + 10, 10)
    place = np.digitize(z, edges)
    known = np.unique(place)
    at, behind, middle = ([f(v[place == i]) for i in known] for v, f in ((z, np.mean), (y, np.max), (x, np.mean)))
    left, posterior, superior = _positions(grid)
    depth = posterior - np.interp(superior, at, behind)
    aside = np.abs(left - np.interp(superior, at, middle))
    along = (superior >= z[0]) & (superior <= z[-1])
    low, high = BEHIND_CANAL_MM
    return np.asarray(along & (depth > low) & (depth < high) & (aside < BESIDE_COLUMN_MM), bool)


def _positions(grid: Grid) -> list[NDArray[np.float32]]:
    """LPS coordinates of all voxels, one array for each; summed from the axes, which is much faster than one by one."""
    i, j, k = (np.arange(n, dtype=np.float32) for n in grid.shape)
    a = grid.affine.astype(np.float32)
    return [(a[row, 0] * i)[:, None, None] + (a[row, 1] * j)[:, None] + (a[row, 2] * k + a[row, 3]) for row in range(3)]
