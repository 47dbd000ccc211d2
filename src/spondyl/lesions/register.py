"""Lay the vertebrae of an earlier study on those of the current one, each by itself: a spine bends, a vertebra does
not."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from spondyl.core.response import VertebraMatch
from spondyl.lesions.frames import BODY, bodies_of, frames_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Vertebra
    from spondyl.lesions.frames import Frame

    Floats = NDArray[np.float64]

LARGEST_SHIFT = 4
"""How many vertebrae the numbering of two fields of view may differ beyond their levels. Chosen by us."""

LEVEL_PENALTY = 0.05
"""What a pairing against the level names costs, in mean logarithms of size ratios. Chosen by us: names win unless sizes
speak clearly."""

DOUBTFUL_COST = 0.22
"""Mean difference of logarithms of volume and distance from which two columns hardly belong to one patient. Chosen by
us: the same bodies outlined twice differ by less than a tenth."""

MARGIN_MM = 14.0
"""Surroundings of a body in which distances to it are known, in mm."""

MAX_POINTS = 500
"""Points of a surface that are laid on the other; more add nothing."""

LARGEST_TURN_DEG, LARGEST_MOVE_MM = 15.0, 12.0
"""How far the fit may depart from where the column puts a vertebra. Chosen by us."""


class Pairing(NamedTuple):
    """Which vertebrae belong together.

    Parameters
    ----------
    pairs : tuple of (Vertebra, Vertebra)
        Current and prior.
    cost : float
        Mean difference of logarithms of volumes and distances.
    against_levels : bool
        Whether sizes spoke against the level names, and won.
    """

    pairs: tuple[tuple[Vertebra, Vertebra], ...]
    cost: float
    against_levels: bool


def pair_vertebrae(current: Sequence[Vertebra], prior: Sequence[Vertebra]) -> Pairing:
    """Find which vertebrae of two studies belong together: by name, unless sizes and distances speak against it.

    Parameters
    ----------
    current, prior : sequence of Vertebra
        From the head down.

    Returns
    -------
    Pairing
        Without pairs where the fields of view share no vertebra.
    """
    named = _named_shift(current, prior)
    usual = 0 if named is None else named
    best: tuple[float, int, Pairing] | None = None
    for shift in range(usual - LARGEST_SHIFT, usual + LARGEST_SHIFT + 1):
        if named is not None and abs(shift - named) > 1:
            continue
        pairs = tuple((c, prior[n + shift]) for n, c in enumerate(current) if 0 <= n + shift < len(prior))
        if len(pairs) < 2:
            continue
        cost = _cost(pairs)
        total = cost + (LEVEL_PENALTY if named is not None and shift != named else 0.0) + 0.02 / len(pairs)
        if best is None or total < best[0]:
            best = total, shift, Pairing(pairs, cost, named is not None and shift != named)
    return Pairing((), float("nan"), against_levels=False) if best is None else best[2]


def _named_shift(current: Sequence[Vertebra], prior: Sequence[Vertebra]) -> int | None:
    """Offset of the prior numbering that most level names agree on."""
    at = {v.level: n for n, v in enumerate(prior) if v.level is not None}
    shifts = [at[v.level] - n for n, v in enumerate(current) if v.level in at]
    if not shifts:
        return None
    values, counts = np.unique(shifts, return_counts=True)
    return int(values[np.argmax(counts)])


def _cost(pairs: Sequence[tuple[Vertebra, Vertebra]]) -> float:
    whole = [(c, p) for c, p in pairs if not c.at_edge and not p.at_edge]
    rows = whole if len(whole) >= 2 else list(pairs)
    sizes = [abs(np.log(c.volume_mm3 / p.volume_mm3)) for c, p in rows if c.volume_mm3 > 0 and p.volume_mm3 > 0]
    steps = []
    for (c0, p0), (c1, p1) in pairwise(rows):
        now = np.linalg.norm(np.subtract(c0.centroid_lps_mm, c1.centroid_lps_mm))
        then = np.linalg.norm(np.subtract(p0.centroid_lps_mm, p1.centroid_lps_mm))
        if now > 0 and then > 0:
            steps.append(abs(float(np.log(now / then))))
    # Neighbors differ by a few percent in volume and distance: the median keeps one fracture from deciding.
    parts = [float(np.median(part)) for part in (sizes, steps) if part]
    return float(np.mean(parts)) if parts else float("inf")


def register(current: Case, prior: Case, pairing: Pairing) -> tuple[VertebraMatch, ...]:
    """Lay each prior vertebra on its current one.

    Parameters
    ----------
    current, prior : Case
        Localized.
    pairing : Pairing
        Which belong together.

    Returns
    -------
    tuple of VertebraMatch
        From the head down; bodies too small to be laid are left out.
    """
    now = frames_of(current.labels["structures"], current.labels["vertebrae"])
    then = frames_of(prior.labels["structures"], prior.labels["vertebrae"])
    bodies = bodies_of(prior.labels["structures"], prior.labels["vertebrae"])
    structures, vertebrae = current.labels["structures"], current.labels["vertebrae"]
    masks = np.where(np.isin(structures.array, BODY), vertebrae.array, 0)
    boxes = ndimage.find_objects(masks)
    found = []
    for c, p in pairing.pairs:
        if c.instance not in now or p.instance not in then or boxes[c.instance - 1] is None:
            continue
        start = _between(now[c.instance], then[p.instance])
        surface = _surface(bodies[p.instance], prior.labels["structures"].grid)
        field = _distance_field(masks, c.instance, boxes[c.instance - 1], structures.grid)
        motion, residual = _fitted(start, surface, then[p.instance].center_lps_mm, field)
        rows = tuple((float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in motion)
        found.append(VertebraMatch(c.instance, p.instance, c.level, p.level, residual, rows))
    return tuple(found)


def _between(now: Frame, then: Frame) -> Floats:
    motion = np.eye(4)
    motion[:3, :3] = now.axes @ then.axes.T
    motion[:3, 3] = now.center_lps_mm - motion[:3, :3] @ then.center_lps_mm
    return motion


def _surface(voxels: NDArray[np.int_], grid: Grid) -> Floats:
    """Outermost voxels of a body, thinned."""
    first = voxels.min(0) - 1
    mask = np.zeros(voxels.max(0) - first + 2, bool)
    mask[tuple((voxels - first).T)] = True
    rim = np.argwhere(mask & ~ndimage.binary_erosion(mask)) + first
    return grid.ijk_to_lps(rim[:: max(len(rim) // MAX_POINTS, 1)])


class _Field(NamedTuple):
    """Signed distance to a body, negative inside, around it."""

    array: Floats
    first: NDArray[np.int_]
    grid: Grid
    usual: float

    def at(self, points_lps_mm: Floats) -> Floats:
        index = self.grid.lps_to_ijk(points_lps_mm) - self.first
        distance: Floats = ndimage.map_coordinates(self.array, index.T, order=1, mode="nearest")
        return distance - self.usual


def _distance_field(masks: NDArray[np.integer], number: int, box: tuple[slice, ...], grid: Grid) -> _Field:
    reach = np.ceil(MARGIN_MM / np.asarray(grid.spacing_mm)).astype(int)
    first = np.array([s.start for s in box]) - reach
    last = np.array([s.stop for s in box]) + reach
    low, high = np.maximum(first, 0), np.minimum(last, masks.shape)
    part = masks[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == number
    part = np.pad(part, [(a, b) for a, b in zip(low - first, last - high, strict=True)])
    outside = ndimage.distance_transform_edt(~part, sampling=grid.spacing_mm)
    inside = ndimage.distance_transform_edt(part, sampling=grid.spacing_mm)
    rim = part & ~ndimage.binary_erosion(part)
    signed = outside - inside
    return _Field(signed, first, grid, float(signed[rim].mean()))


def _fitted(start: Floats, surface: Floats, center: Floats, field: _Field) -> tuple[Floats, float]:
    """Move a surface onto a body from where the column puts it."""
    pivot = start[:3, :3] @ center + start[:3, 3]
    laid = surface @ start[:3, :3].T + start[:3, 3] - pivot

    def places(x: Floats) -> Floats:
        turned: Floats = laid @ Rotation.from_rotvec(x[:3]).as_matrix().T + pivot + x[3:]
        return turned

    limit = np.array([np.radians(LARGEST_TURN_DEG)] * 3 + [LARGEST_MOVE_MM] * 3)
    fit = least_squares(
        lambda x: field.at(places(x)), np.zeros(6), bounds=(-limit, limit), loss="soft_l1", x_scale=[0.1] * 3 + [2] * 3
    )
    own = Rotation.from_rotvec(fit.x[:3]).as_matrix()
    motion = np.eye(4)
    motion[:3, :3] = own @ start[:3, :3]
    motion[:3, 3] = own @ (start[:3, 3] - pivot) + pivot + fit.x[3:]
    return motion, float(np.abs(field.at(places(fit.x))).mean())
