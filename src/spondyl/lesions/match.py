"""Which lesion of an earlier study is which of the current one, once their vertebrae lie on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Lesion
    from spondyl.core.response import VertebraMatch

    Floats = NDArray[np.float64]

NEAR_MM = 2.5
"""Distance at which a voxel still lies on the other lesion, in mm: half a thick slice and the error of registration.
Chosen by us."""

MIN_OVERLAP = 0.2
"""Share of the smaller lesion that must lie on the other one. Chosen by us."""

CLOSE_MM = 6.0
"""Distance of middles from which two lesions without overlap are not the same. Chosen by us."""

MAX_POINTS = 4000
"""Voxels of a lesion that are looked at; more add nothing."""


class Matches(NamedTuple):
    """Which lesions belong together.

    Parameters
    ----------
    pairs : tuple of (Lesion, Lesion)
        Current and prior.
    new, resolved : tuple of Lesion
        Those without a partner where the other study shows the place.
    not_covered, prior_not_covered : tuple of Lesion
        Current and prior lesions at places that the other study does not show.
    """

    pairs: tuple[tuple[Lesion, Lesion], ...]
    new: tuple[Lesion, ...]
    resolved: tuple[Lesion, ...]
    not_covered: tuple[Lesion, ...]
    prior_not_covered: tuple[Lesion, ...]


def match_lesions(current: Case, prior: Case, vertebrae: Sequence[VertebraMatch]) -> Matches:
    """Match the lesions of two studies.

    Parameters
    ----------
    current, prior : Case
        With lesions and their label maps.
    vertebrae : sequence of VertebraMatch
        How their vertebrae lie on each other; at least one.

    Returns
    -------
    Matches
        Each lesion once; the pairs with the largest common overlap.
    """
    now = [_points(current, x) for x in current.lesions]
    then = [_laid(prior, x, vertebrae) for x in prior.lesions]
    overlap = np.array([[_overlap(a, b) for b in then] for a in now]).reshape(len(now), len(then))
    rows, columns = linear_sum_assignment(-overlap)
    kept = [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if overlap[i, j] > 0]
    paired_now, paired_then = {i for i, _ in kept}, {j for _, j in kept}
    alone = [x for i, x in enumerate(current.lesions) if i not in paired_now]
    gone = [(x, then[j]) for j, x in enumerate(prior.lesions) if j not in paired_then]
    covered = [x for x in alone if _inside(_back(x, current, vertebrae), _grid(prior))]
    left = [x for x, points in gone if _inside(points.mean(0), _grid(current))]
    return Matches(
        tuple((current.lesions[i], prior.lesions[j]) for i, j in kept),
        tuple(covered),
        tuple(left),
        tuple(x for x in alone if x not in covered),
        tuple(x for x, _ in gone if x not in left),
    )


def _grid(case: Case) -> Grid:
    return case.labels["lesions"].grid


def _points(case: Case, lesion: Lesion) -> Floats:
    labels = case.labels["lesions"]
    voxels = np.argwhere(labels.array == lesion.label)
    points = labels.grid.ijk_to_lps(voxels[:: max(len(voxels) // MAX_POINTS, 1)])
    return points if len(points) else np.asarray([lesion.centroid_lps_mm])


def _laid(prior: Case, lesion: Lesion, vertebrae: Sequence[VertebraMatch]) -> Floats:
    """Voxels of a prior lesion, laid on the current study."""
    motion = nearest_motion(lesion, prior, vertebrae, own="prior_instance")
    laid: Floats = _points(prior, lesion) @ motion[:3, :3].T + motion[:3, 3]
    return laid


def _back(lesion: Lesion, current: Case, vertebrae: Sequence[VertebraMatch]) -> Floats:
    """Middle of a current lesion, laid on the prior study."""
    motion = np.linalg.inv(nearest_motion(lesion, current, vertebrae, own="instance"))
    point: Floats = motion[:3, :3] @ np.asarray(lesion.centroid_lps_mm) + motion[:3, 3]
    return point


def nearest_motion(lesion: Lesion, case: Case, vertebrae: Sequence[VertebraMatch], *, own: str) -> Floats:
    """Give the motion of the vertebra that carries a lesion, or of the nearest one.

    Parameters
    ----------
    lesion : Lesion
        A lesion.
    case : Case
        The study it belongs to.
    vertebrae : sequence of VertebraMatch
        At least one.
    own : str
        ``"instance"`` or ``"prior_instance"``: whose numbers `case` has.

    Returns
    -------
    ndarray, shape (4, 4)
        From the prior to the current study, in LPS mm.
    """
    places = {v.instance: np.asarray(v.centroid_lps_mm) for v in case.vertebrae}
    by_number = {getattr(m, own): m for m in vertebrae}
    if lesion.vertebra_instance in by_number:
        return np.asarray(by_number[lesion.vertebra_instance].prior_to_current)
    middle = np.asarray(lesion.centroid_lps_mm)
    nearest = min(by_number, key=lambda n: float(np.linalg.norm(places[n] - middle)))
    return np.asarray(by_number[nearest].prior_to_current)


def _overlap(now: Floats, then: Floats) -> float:
    """Share of the smaller lesion that lies on the larger one, lowered where middles are apart; 0 for no match."""
    if np.linalg.norm(now.mean(0) - then.mean(0)) > 60.0:
        return 0.0
    near = [
        float((cKDTree(a).query(b, distance_upper_bound=NEAR_MM)[0] <= NEAR_MM).mean())
        for a, b in ((now, then), (then, now))
    ]
    apart = float(np.linalg.norm(now.mean(0) - then.mean(0)))
    best = max(near)
    if best < MIN_OVERLAP and apart > CLOSE_MM:
        return 0.0
    return max(best, 0.05) + min(near)


def _inside(point: Floats, grid: Grid) -> bool:
    index = grid.lps_to_ijk(point)
    return bool((index > -0.5).all() and (index < np.asarray(grid.shape) - 0.5).all())
