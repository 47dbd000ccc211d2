"""Distances between the surfaces of two masks, in mm, each piece of surface weighted by its area.

A mask's surface runs between voxels. In the *element* convention (Nikolov 2018) a surface element sits at every corner
where inside and outside meet among the 2 x 2 x 2 voxels around it, and weighs what a polygon through the midpoints of
the cut voxel edges measures in mm², so that thick slices do not count more than thin ones. In the *voxel* convention
of most toolkits the border voxels of the mask are points of equal weight; it is offered to compare with their numbers.

References
----------
Nikolov 2018, arXiv 1809.04430, section on surface Dice; Lorensen & Cline 1987, doi 10.1145/37402.37422 (polygons).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]


class Surface(StrEnum):
    """Where the surface of a mask is taken to be."""

    ELEMENTS = "elements"
    VOXELS = "voxels"


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance of each piece of one surface to the nearest of the other.

    Parameters
    ----------
    from_truth, from_prediction : ndarray of float
        Distances in mm of the pieces of each surface.
    truth_weight, prediction_weight : ndarray of float
        Areas of the pieces in mm² (lengths in mm in a plane); ones in the voxel convention.
    surface : Surface
        The convention.
    """

    from_truth: Floats
    from_prediction: Floats
    truth_weight: Floats
    prediction_weight: Floats
    surface: Surface = Surface.ELEMENTS

    @property
    def mean_mm(self) -> tuple[float, float]:
        """Mean distance from the truth to the prediction, and back, in mm."""
        return (
            float(np.average(self.from_truth, weights=self.truth_weight)),
            float(np.average(self.from_prediction, weights=self.prediction_weight)),
        )

    @property
    def assd_mm(self) -> float:
        """Average symmetric surface distance: mean over both surfaces together, in mm."""
        total = self.from_truth @ self.truth_weight + self.from_prediction @ self.prediction_weight
        return float(total / (self.truth_weight.sum() + self.prediction_weight.sum()))

    @property
    def masd_mm(self) -> float:
        """Mean of both mean distances, in mm: each surface counts one half, however large."""
        return sum(self.mean_mm) / 2

    def hausdorff_mm(self, percentile: float = 95.0) -> float:
        """Give the robust Hausdorff distance.

        Parameters
        ----------
        percentile : float, optional
            Share of each surface, in percent, that lies within the distance; 100 is the plain Hausdorff distance.

        Returns
        -------
        float
            The larger of both directions, in mm.
        """
        if self.surface is Surface.VOXELS:
            sides = (np.percentile(d, percentile) for d in (self.from_truth, self.from_prediction))
            return float(max(sides))
        return max(
            _weighted_percentile(self.from_truth, self.truth_weight, percentile),
            _weighted_percentile(self.from_prediction, self.prediction_weight, percentile),
        )

    def overlap(self, tolerance_mm: float) -> tuple[float, float]:
        """Give the share of each surface that lies within a tolerance of the other.

        Parameters
        ----------
        tolerance_mm : float
            The tolerance in mm.

        Returns
        -------
        of_truth, of_prediction : float
            From 0 to 1.
        """
        return (
            float(self.truth_weight[self.from_truth <= tolerance_mm].sum() / self.truth_weight.sum()),
            float(self.prediction_weight[self.from_prediction <= tolerance_mm].sum() / self.prediction_weight.sum()),
        )

    def surface_dice(self, tolerance_mm: float) -> float:
        """Give the share of both surfaces together that lies within a tolerance of the other.

        Parameters
        ----------
        tolerance_mm : float
            The tolerance in mm.

        Returns
        -------
        float
            From 0 to 1.
        """
        of_truth, of_prediction = self.overlap(tolerance_mm)
        a, b = self.truth_weight.sum(), self.prediction_weight.sum()
        return float((of_truth * a + of_prediction * b) / (a + b))


def surface_distances(
    truth: Mask, prediction: Mask, spacing_mm: Sequence[float], surface: Surface = Surface.ELEMENTS
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    Parameters
    ----------
    truth, prediction : ndarray of bool, shape (I, J) or (I, J, K)
        Masks on one grid; neither may be empty. Beyond the array is outside.
    spacing_mm : sequence of float
        Distance of voxel centers along each axis, in mm.
    surface : Surface, optional
        Where the surface is.

    Returns
    -------
    SurfaceDistances
        Distances in mm.

    Raises
    ------
    GeometryError
        If the shapes differ, the spacing does not fit, or a mask is empty.
    """
    spacing = checked_spacing(spacing_mm, truth.ndim)
    if truth.shape != prediction.shape or truth.ndim not in {2, 3}:
        msg = (
            f"both masks must lie on one grid of two or three axes, got {truth.shape} and {prediction.shape}: resample"
        )
        raise GeometryError(msg)
    box = _box(truth | prediction)
    if box is None or not truth.any() or not prediction.any():
        msg = "a surface needs a mask that is not empty: declare what an empty one scores (see EmptyMask)"
        raise GeometryError(msg)
    first, second = (_pieces(m[box].astype(bool), spacing, surface) for m in (truth, prediction))
    return SurfaceDistances(
        _distance_to(second > 0, spacing)[first > 0],
        _distance_to(first > 0, spacing)[second > 0],
        first[first > 0],
        second[second > 0],
        surface,
    )


def checked_spacing(spacing_mm: Sequence[float], n_axes: int) -> tuple[float, ...]:
    """Take a spacing.

    Parameters
    ----------
    spacing_mm : sequence of float
        Distance of voxel centers along each axis, in mm.
    n_axes : int
        Number of axes.

    Returns
    -------
    tuple of float
        The spacing.

    Raises
    ------
    GeometryError
        If there is not one positive number per axis.
    """
    spacing = tuple(float(s) for s in spacing_mm)
    if len(spacing) != n_axes or not all(math.isfinite(s) and s > 0 for s in spacing):
        msg = f"spacing_mm must be one positive number for each of {n_axes} axes, got {spacing}"
        raise GeometryError(msg)
    return spacing


def _box(mask: Mask) -> tuple[slice, ...] | None:
    axes = range(mask.ndim)
    spans = [np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    return None if not spans[0].size else tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)


def _pieces(mask: Mask, spacing: tuple[float, ...], surface: Surface) -> Floats:
    """Area of the piece of surface at each place, zero where there is none."""
    if surface is Surface.VOXELS:
        from scipy import ndimage

        return (mask & ~ndimage.binary_erosion(mask)).astype(np.float64)
    padded = np.pad(mask, 1).astype(np.uint8)
    code = np.zeros(tuple(n - 1 for n in padded.shape), np.uint8)
    for bit, corner in enumerate(product((0, 1), repeat=mask.ndim)):
        code |= padded[tuple(slice(c, c + n) for c, n in zip(corner, code.shape, strict=True))] << bit
    return element_areas(spacing)[code]


def _distance_to(places: Mask, spacing: tuple[float, ...]) -> Floats:
    import edt

    outside = np.ascontiguousarray(~places).view(np.uint8)
    return edt.edt(outside, anisotropy=spacing, black_border=False, order="C")


def _weighted_percentile(distances: Floats, weights: Floats, percentile: float) -> float:
    order = np.argsort(distances)
    reached = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(reached, percentile / 100))
    return float(distances[order][min(place, len(order) - 1)])


@lru_cache(maxsize=64)
def element_areas(spacing_mm: tuple[float, ...]) -> Floats:
    """Give the area of the surface element for each pattern of voxels around a corner.

    Parameters
    ----------
    spacing_mm : tuple of float
        Distance of voxel centers along each axis, in mm; two or three.

    Returns
    -------
    ndarray of float, shape (16,) or (256,)
        Area in mm² (length in mm in a plane) by pattern, in which bit n stands for the n-th corner of the unit square
        or cube, counted with the last axis changing fastest. Zero where no surface passes.
    """
    pieces = _element_vectors(len(spacing_mm))
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    # A segment scales with each axis; the normal of a triangle with the two other axes.
    scale = spacing if len(spacing) == 2 else spacing.prod() / spacing
    areas: Floats = np.array([np.linalg.norm(np.reshape(p, (-1, len(spacing))) * scale, axis=1).sum() for p in pieces])
    areas.setflags(write=False)
    return areas


@lru_cache(maxsize=2)
def _element_vectors(n_axes: int) -> list[list[Floats]]:
    """Segments, or area vectors of triangles, for each pattern on the unit square or cube."""
    corners = list(product((0, 1), repeat=n_axes))
    patterns = [{c for n, c in enumerate(corners) if code >> n & 1} for code in range(2 ** len(corners))]
    if n_axes == 2:
        ring = ((0, 0), (0, 1), (1, 1), (1, 0))
        return [[np.subtract(b, a) for a, b in _segments(ring, inside)] for inside in patterns]
    return [_triangles(inside) for inside in patterns]


def _segments(ring: Sequence[tuple[int, ...]], inside: set[tuple[int, ...]]) -> list[tuple[tuple[float, ...], ...]]:
    """Segments that part inside from outside corners of one face, between midpoints of its edges.

    Where inside corners face each other diagonally, each is cut off on its own: voxels that touch by an edge alone
    count as apart. Chosen by us.
    """
    sides = list(pairwise([*ring, ring[0]]))
    middle = {i: tuple((p + q) / 2 for p, q in zip(a, b, strict=True)) for i, (a, b) in enumerate(sides)}
    cut = [i for i, (a, b) in enumerate(sides) if (a in inside) != (b in inside)]
    if len(cut) == 4:
        return [(middle[i - 1 if i else 3], middle[i]) for i, corner in enumerate(ring) if corner in inside]
    return [(middle[cut[0]], middle[cut[1]])] if cut else []


def _triangles(inside: set[tuple[int, ...]]) -> list[Floats]:
    """Area vectors of the polygons in a cube, each cut into triangles around its center."""
    follows: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for axis, side in product(range(3), (0, 1)):
        ring = [tuple(np.insert(np.array(c), axis, side).tolist()) for c in ((0, 0), (0, 1), (1, 1), (1, 0))]
        for a, b in _segments(ring, inside):
            follows.setdefault(a, []).append(b)
            follows.setdefault(b, []).append(a)
    vectors: list[Floats] = []
    while follows:
        loop = _loop(follows)
        center = np.mean(loop, axis=0)
        vectors += [np.cross(a - center, b - center) / 2 for a, b in pairwise(np.array([*loop, loop[0]]))]
    return vectors


def _loop(follows: dict[tuple[float, ...], list[tuple[float, ...]]]) -> list[tuple[float, ...]]:
    """Take one closed polygon out of a graph in which every point has two neighbors."""
    start = next(iter(follows))
    loop, here = [start], follows.pop(start)[0]
    while here != start:
        loop.append(here)
        ahead = [p for p in follows.pop(here) if p not in loop]
        here = ahead[0] if ahead else start
    return loop
