"""Stations of a long study: overlapping fields of view above each other, joined to one image.

A whole spine is longer than a scanner's field of view, so it is taken in two or three stations, between which the table
moves. Voxels and places in, voxels and place out; which images are stations of one sequence is for the reader to say.
Slices are never resampled along their normal: a slice of the joined image shows the nearest slice of each station.
Within slices stations may be shifted, scaled a little and turned; the image is that of the middle station, continued.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, GeometryError, Grid, reorient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spondyl.physics.arrays import Array

SPACING_TOLERANCE = 0.02
"""Spacings of stations that differ by no more than this part are one protocol's: rounding and distortion correction
stay below it. Chosen by us."""

MAX_SLICE_SHIFT = 0.45
"""Farthest that a slice may lie from the slice of the joined image that shows it, in slice spacings, corners included.
Below one half, so that the nearest slice is the same wherever one looks. Chosen by us."""

MAX_TILT_DEG = 2.0
"""Largest angle between the slices of two stations. Over a field of view of 400 mm even less moves a corner by half a
slice, which is what usually decides. Chosen by us."""

MAX_TURN_DEG = 20.0
"""Largest angle by which stations may be turned against each other within their slices. Chosen by us."""

MAX_GAP = 1.0
"""Widest gap between neighboring stations, in rows: they may touch, and nothing is made up between them. Our choice."""

MIN_SHARED_WIDTH = 0.5
"""Neighbors must share at least this part of the narrower one's columns and of the thinner one's slices. Our choice."""

TISSUE_SHARE = 0.15
"""Signal above this part of the 95th percentile is tissue, and below it air or bone. Chosen by us."""

MIN_COMPARED_VOXELS = 500
"""Fewest voxels of tissue that tell how two stations differ in brightness. Chosen by us."""

RIM_MM = 15.0
"""Height of the rims that are compared where stations overlap too little. Chosen by us."""

WHOLE = 0.02
"""Part of a voxel by which a place may miss a voxel center and still count as there, so that nothing is interpolated:
less than grids of one space may differ by. Chosen by us."""

BLOCK = 4
"""Rows and columns of the blocks whose means are compared when it is asked whether two stations agree: smaller than a
vertebral body, and large enough to average noise. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Part:
    """Where one station lies in the image that it is joined to.

    Parameters
    ----------
    box : tuple of slice
        Its slices, rows and columns there.
    matrix : ndarray, shape (2, 2)
        Turns rows and columns of the box into its own.
    offset : ndarray, shape (2,)
        Its own row and column of the first of the box.
    """

    box: tuple[slice, slice, slice]
    matrix: Array
    offset: Array


@dataclass(frozen=True, eq=False)
class Layout:
    """How stations lie in the image that they are joined to.

    Parameters
    ----------
    grid : Grid
        That image's, in the orientation `spondyl.core.SAGITTAL`.
    stations : tuple of Grid
        The stations', as given.
    parts : tuple of Part
        Where each of them lies in that image.
    """

    grid: Grid
    stations: tuple[Grid, ...]
    parts: tuple[Part, ...]


def line_up(stations: Sequence[Grid]) -> Layout:
    """Find the grid to which stations can be joined.

    Parameters
    ----------
    stations : sequence of Grid
        Sagittal ones of one frame of reference, from the head down, in any orientation of the axes.

    Returns
    -------
    Layout
        Over all that they show; slices, rows and columns continue those of the middle station.

    Raises
    ------
    GeometryError
        If they do not line up; the message says in which way.
    """
    laid = [grid.reoriented(SAGITTAL) for grid in stations]
    middle = laid[len(laid) // 2]
    steps = [np.linalg.inv(middle.affine) @ grid.affine for grid in laid]
    shifts = [_slice_shift(grid, middle, step) for grid, step in zip(laid, steps, strict=True)]
    spans = [_span(grid, step, shift) for grid, step, shift in zip(laid, steps, shifts, strict=True)]
    for above, below in pairwise(spans):
        _check_neighbors(above, below)
    low = np.min([span[0] for span in spans], axis=0)
    high = np.max([span[1] for span in spans], axis=0)
    first = np.floor(low + WHOLE).astype(int)
    shape = np.ceil(high - WHOLE).astype(int) - first + 1
    affine = middle.affine.copy()
    affine[:3, 3] = middle.ijk_to_lps(first)
    joined = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, middle.frame_of_reference)
    parts = [
        _part(grid, step, shift - first[0], first, joined.shape)
        for grid, step, shift in zip(laid, steps, shifts, strict=True)
    ]
    return Layout(joined, tuple(stations), tuple(parts))


def _slice_shift(grid: Grid, middle: Grid, step: Array) -> int:
    """Give the number of slices by which a station's first slice lies beyond that of the middle station."""
    spacing, wanted = np.asarray(grid.spacing_mm), np.asarray(middle.spacing_mm)
    if np.abs(spacing / wanted - 1).max() > SPACING_TOLERANCE:
        told = " and ".join(" x ".join(f"{s:.2f}" for s in one) for one in (spacing, wanted))
        msg = f"their voxels differ in size ({told} mm)"
        raise GeometryError(msg)
    normal, turned = (_angle_deg(*axes) for axes in zip(_axes(grid), _axes(middle), strict=True))
    if normal > MAX_TILT_DEG:
        msg = f"their slices are tilted against each other by {normal:.1f} degrees"
        raise GeometryError(msg)
    if turned > MAX_TURN_DEG:
        msg = f"they are turned against each other by {turned:.0f} degrees"
        raise GeometryError(msg)
    corners = grid.lps_to_ijk(grid.corners_lps_mm())
    moved = corners @ step[0, :3] + step[0, 3] - corners[:, 0]
    shift = round((moved.min() + moved.max()) / 2)
    if np.abs(moved - shift).max() > MAX_SLICE_SHIFT:
        msg = f"their slices lie up to {np.abs(moved - shift).max() * wanted[0]:.1f} mm beside each other"
        raise GeometryError(msg)
    return shift


def _axes(grid: Grid) -> tuple[Array, Array]:
    """Give the normal of the slices, and the direction in which rows follow each other."""
    rows, columns = grid.directions[:, 1], grid.directions[:, 2]
    normal = np.cross(rows, columns)
    return normal / np.linalg.norm(normal), rows


def _angle_deg(one: Array, other: Array) -> float:
    return float(np.rad2deg(np.arccos(np.clip(one @ other, -1, 1))))


def _span(grid: Grid, step: Array, shift: int) -> tuple[Array, Array]:
    """Give the first and last slice, row and column of a station, as indices of the middle station."""
    ends = np.array([(j, k) for j in (0, grid.shape[1] - 1) for k in (0, grid.shape[2] - 1)])
    center = (grid.shape[0] - 1) / 2
    within = ends @ step[1:3, 1:3].T + step[1:3, 0] * center + step[1:3, 3]
    low, high = within.min(axis=0), within.max(axis=0)
    return np.array([shift, *low]), np.array([shift + grid.shape[0] - 1, *high])


def _check_neighbors(above: tuple[Array, Array], below: tuple[Array, Array]) -> None:
    shared = np.minimum(above[1], below[1]) - np.maximum(above[0], below[0]) + 1
    sizes = np.minimum(above[1] - above[0], below[1] - below[0]) + 1
    if shared[1] < -MAX_GAP:
        msg = "there is a gap between them"
        raise GeometryError(msg)
    if (shared[[0, 2]] < MIN_SHARED_WIDTH * sizes[[0, 2]]).any():
        msg = "they do not lie above one another"
        raise GeometryError(msg)


def _part(grid: Grid, step: Array, first_slice: int, first: Array, shape: tuple[int, int, int]) -> Part:
    low, high = _span(grid, step, 0)
    starts = np.maximum(np.floor(low[1:] - 0.5).astype(int) - first[1:], 0)
    stops = np.minimum(np.ceil(high[1:] + 0.5).astype(int) - first[1:] + 1, shape[1:])
    box = (
        slice(int(first_slice), int(first_slice) + grid.shape[0]),
        slice(int(starts[0]), int(stops[0])),
        slice(int(starts[1]), int(stops[1])),
    )
    center = (grid.shape[0] - 1) / 2
    matrix = np.linalg.inv(step[1:3, 1:3])
    origin = step[1:3, 0] * center + step[1:3, 3]
    offset = matrix @ (starts + first[1:] - origin)
    return Part(box, matrix, offset)


@dataclass(frozen=True, eq=False)
class _Sampled:
    """A station in its box of the joined grid: its signal, where it has any, and how much it counts."""

    box: tuple[slice, slice, slice]
    array: Array
    weight: Array


class Mosaic:
    """Stations laid into the grid to which they are joined.

    Parameters
    ----------
    arrays : sequence of ndarray
        Voxels of the stations.
    layout : Layout
        Where they lie.
    """

    def __init__(self, arrays: Sequence[Array], layout: Layout) -> None:
        self.grid = layout.grid
        self._parts = [
            _sampled(reorient(array, grid.orientation, SAGITTAL), part)
            for array, grid, part in zip(arrays, layout.stations, layout.parts, strict=True)
        ]

    def gains(self) -> tuple[float, ...]:
        """Measure by which factors stations become equally bright.

        Returns
        -------
        tuple of float
            One for each station; that of the middle one is 1. The median ratio over tissue that two neighbors both
            show, or that of medians in their rims where they overlap too little; 1 where there is no tissue.
        """
        steps = [_gain(a, b, self.grid.spacing_mm[1]) for a, b in pairwise(self._parts)]
        gains = np.cumprod([1.0, *steps])
        return tuple(float(g) for g in gains / gains[len(gains) // 2])

    def agreement(self) -> tuple[float | None, ...]:
        """Say how well neighbors agree where they overlap.

        Returns
        -------
        tuple of float or None
            Correlation of blocks of voxels for each pair of neighbors; None where they overlap too little to tell.
        """
        return tuple(_correlation(a, b) for a, b in pairwise(self._parts))

    def joined(self, gains: Sequence[float] | None = None) -> Array:
        """Join the stations.

        Parameters
        ----------
        gains : sequence of float, optional
            Factors for the stations; none for values that mean something by themselves, such as ADC.

        Returns
        -------
        ndarray of float32, shape ``grid.shape``
            Each voxel from the station that shows it; the mean where several do, weighted by the distance from the end
            of each. 0 where none does.
        """
        total = np.zeros(self.grid.shape, np.float32)
        for part in self._parts:
            total[part.box] += part.weight
        joined = np.zeros(self.grid.shape, np.float32)
        for part, gain in zip(self._parts, gains or [1.0] * len(self._parts), strict=True):
            # A voxel of one station alone has a share of exactly 1, so its value stays.
            share = np.divide(part.weight, total[part.box], out=np.zeros_like(part.weight), where=part.weight > 0)
            share *= part.array
            joined[part.box] += share * np.float32(gain)
        return joined


def _sampled(array: Array, part: Part) -> _Sampled:
    rows, columns = (s.stop - s.start for s in part.box[1:])
    at = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1) @ part.matrix.T
    at += part.offset
    last = np.array(array.shape[1:]) - 1
    within = ((at >= -0.5) & (at <= last + 0.5)).all(axis=-1)
    ramp = np.where(within, np.minimum(at[..., 0], last[0] - at[..., 0]) + 1.0, 0.0).astype(np.float32)
    sampled = _rows_and_columns(array, part, (rows, columns))
    # Distortion correction and masking leave voxels of 0 in which nothing was measured: they count as not seen.
    seen = (array != 0).astype(np.float32)
    if not seen.all():
        share = _rows_and_columns(seen, part, (rows, columns))
        sampled = np.where(share > 0.5, sampled / np.maximum(share, 0.5), np.float32(0))
    return _Sampled(part.box, sampled, ramp * (sampled != 0))


def _rows_and_columns(array: Array, part: Part, shape: tuple[int, int]) -> Array:
    """Interpolate within slices, linearly; axis by axis, which is much faster, where a station is not turned."""
    turned = abs(part.matrix[0, 1]) * shape[1] > WHOLE or abs(part.matrix[1, 0]) * shape[0] > WHOLE
    if not turned:
        for axis in (0, 1):
            at = np.arange(shape[axis]) * part.matrix[axis, axis] + part.offset[axis]
            array = _interpolated(array, at, axis + 1)
        return array
    sampled = np.empty((len(array), *shape), np.float32)
    for own, found in zip(array, sampled, strict=True):
        ndimage.affine_transform(
            own, part.matrix, part.offset, output_shape=shape, output=found, order=1, mode="nearest"
        )
    return sampled


def _interpolated(array: Array, at: Array, axis: int) -> Array:
    last = array.shape[axis] - 1
    at = np.clip(at, 0, last)
    near = np.round(at)
    at = np.where(np.abs(at - near) < WHOLE, near, at)
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)
    below = np.take(array, low, axis=axis)
    if not share.any():
        return below
    share = share.reshape([-1 if a == axis else 1 for a in range(3)])
    mixed: Array = below + (np.take(array, np.minimum(low + 1, last), axis=axis) - below) * share
    return mixed


def _shared(a: _Sampled, b: _Sampled) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Give the box that two stations share, in each one's own voxels."""
    starts = [max(x.start, y.start) for x, y in zip(a.box, b.box, strict=True)]
    stops = [max(min(x.stop, y.stop), s) for x, y, s in zip(a.box, b.box, starts, strict=True)]

    def own(part: _Sampled) -> tuple[slice, ...]:
        return tuple(slice(s - x.start, e - x.start) for s, e, x in zip(starts, stops, part.box, strict=True))

    return own(a), own(b)


def _tissue(part: _Sampled, box: tuple[slice, ...]) -> Array:
    """Say which voxels of a box hold tissue."""
    array, known = part.array[box], part.weight[box] > 0
    if not known.any():
        return known
    tissue: Array = known & (array > TISSUE_SHARE * float(np.percentile(array[known], 95)))
    return tissue


def _gain(above: _Sampled, below: _Sampled, row_mm: float) -> float:
    """Give the factor that makes a station as bright as the one above."""
    own, other = _shared(above, below)
    both = _tissue(above, own) & _tissue(below, other)
    if both.sum() >= MIN_COMPARED_VOXELS:
        return float(np.median(above.array[own][both] / below.array[other][both]))
    rim = max(1, round(RIM_MM / row_mm))
    lower = (slice(None), slice(-rim, None), slice(None))
    upper = (slice(None), slice(rim), slice(None))
    tissue = _tissue(above, lower), _tissue(below, upper)
    if min(t.sum() for t in tissue) < MIN_COMPARED_VOXELS:
        return 1.0
    return float(np.median(above.array[lower][tissue[0]]) / np.median(below.array[upper][tissue[1]]))


def _correlation(above: _Sampled, below: _Sampled) -> float | None:
    own, other = _shared(above, below)
    known = (above.weight[own] > 0) & (below.weight[other] > 0)
    share = _blocks(known.astype(np.float32))
    filled = share > 0.5
    if filled.sum() * BLOCK**2 < MIN_COMPARED_VOXELS:
        return None
    arrays = (np.where(known, array, 0) for array in (above.array[own], below.array[other]))
    one, two = (_blocks(array)[filled] / share[filled] for array in arrays)
    if min(one.std(), two.std()) == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def _blocks(array: Array) -> Array:
    slices, rows, columns = array.shape[0], array.shape[1] // BLOCK, array.shape[2] // BLOCK
    cut = array[:, : rows * BLOCK, : columns * BLOCK].reshape(slices, rows, BLOCK, columns, BLOCK)
    means: Array = cut.mean(axis=(2, 4))
    return means
