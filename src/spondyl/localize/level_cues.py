"""What tells one vertebra from another: sizes, tilt, disc, canal, arch and neighbors, measured on the outlines.

Everything is measured in a slab around the middle of each body, where thick sagittal slices are truest, and only on
what the field of view holds whole: a missing measurement is NaN and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]

CUES = ("depth", "height", "width", "taper", "step", "tilt", "canal", "arch", "disc", "sacrum")
"""Names of the measurements, in order.

Logarithms of the body's depth, height and width in mm, and of the lower half's depth over the upper half's; of the
distance to the next center in mm; the angle of the way there from vertical in radians, positive where the column runs
backward; logarithms of the canal's depth in mm, of the arch's area beside the midline plus 30 mm², and of the height of
the disc below plus 1 mm; square root of the volume of sacrum beside and behind the body over the body's.
"""

SLAB_MM = 8.0
"""Half width of the slab around a body's middle. Chosen by us: two thick slices to each side."""

UNIFORM = 12.0**0.5
"""Length of a bar over the standard deviation of its points."""

ARCH_FLOOR_MM2, DISC_FLOOR_MM, SACRUM_LIMIT = 30.0, 1.0, 1.5
"""What keeps logarithms finite and the share of sacrum bounded. Chosen by us."""

MIN_PIXELS = 12
"""Fewest pixels of half a body in the slab that are measured. Chosen by us."""

CUT_SHARE = 0.3
"""Area of a body in the rows at the edge of the field of view, over its mean, from which it is cut. Chosen by us."""

TINY = 1e-3
"""Smallest length whose logarithm is taken: an infinitely thin body is none."""

CORD_SHARE = 0.06
"""Share of cord in the canal from which the cord reaches a height. Chosen by us: half of what a whole cord has of the
bony canal between thick slices."""

CORD_BIN = 0.25
"""Height of a bin, in bodies, in which the cord is looked for. Chosen by us."""


@dataclass(frozen=True, eq=False)
class ColumnCues:
    """Measurements of one column, from the head down.

    Parameters
    ----------
    values : ndarray, shape (n, len(CUES))
        Measurements of each body; NaN where there is none.
    sacral_share : ndarray, shape (n,)
        Share of each body that was outlined as the first sacral one.
    cord_end : float
        Fractional number of the body, from 0, at which the cord ends; infinite where it leaves the field, negative
        infinite where there is none, NaN where the canal was not seen.
    middle : float
        Fractional number of the body in the middle of the field of view, continued beyond the ends.
    room_above, room_below : float
        Height of the field of view above the uppermost and below the lowest body, in heights of that body and its disc.
    cut_below : bool
        Whether the lower edge of the field cuts the lowest body.
    ribs : ndarray, shape (n,), optional
        Log odds that each body bears ribs, as `rib_log_odds` gives them; None where no image was looked at.
    """

    values: NDArray[np.float64]
    sacral_share: NDArray[np.float64]
    cord_end: float
    middle: float
    room_above: float
    room_below: float
    cut_below: bool
    ribs: NDArray[np.float64] | None = None


def measure_column(
    structures: NDArray[np.uint8],
    bodies: NDArray[np.uint16],
    spacing_mm: tuple[float, float, float],
    rows: tuple[int, int] | None = None,
) -> ColumnCues:
    """Measure every body of a column.

    Parameters
    ----------
    structures : ndarray of uint8, orientation ``LIP``
        Values of `Structure`.
    bodies : ndarray of uint16, same shape
        Bodies numbered from the head down, from 1; the first sacral one may be among them.
    spacing_mm : tuple of float
        Voxel size.
    rows : tuple of int, optional
        First row of the arrays in the field of view, and number of rows of that; the arrays' own by default.

    Returns
    -------
    ColumnCues
        The measurements.
    """
    first, n_rows = rows or (0, structures.shape[1])
    spacing = np.asarray(spacing_mm)
    n = int(bodies.max())
    numbers = range(1, n + 1)
    centers = np.array(ndimage.center_of_mass(bodies > 0, bodies, numbers)) * spacing
    steps = np.diff(centers, axis=0)
    tangents = _tangents(centers)
    boxes = ndimage.find_objects(bodies, n)
    kinds = {kind: np.argwhere(mask) * spacing for kind, mask in _kinds(structures).items()}
    values = np.full((n, len(CUES)), np.nan)
    shares, cut = np.zeros(n), np.zeros(n, bool)
    for i, box in enumerate(boxes):
        own = bodies[box] == i + 1
        points = (np.argwhere(own) + [s.start for s in box]) * spacing
        shares[i] = float((structures[box][own] == Structure.S1).mean())
        cut[i] = _cut(own, box[1].start + first <= 1, box[1].stop + first >= n_rows - 1)
        frame = _Frame(centers[i], tangents[i], float(np.prod(spacing)) / float(spacing[0]), float(spacing[0]))
        size = frame.body(points, whole=not cut[i], width=_inside(own, box, structures.shape))
        values[i] = [*size, *frame.neighbors(kinds, size, steps[i] if i < n - 1 else None, len(points))]
    # The center of a cut body lies too near its neighbor's.
    values[np.ix_(cut | np.append(cut[1:], [False]), [CUES.index("step"), CUES.index("disc")])] = np.nan
    heights = np.linalg.norm(steps[:, 1:], axis=1) if n > 1 else np.array([30.0])
    lowest = (boxes[-1][1].stop + first, boxes[0][1].start + first)
    return ColumnCues(
        values,
        shares,
        _cord_end(kinds, centers),
        _rank_of_row(centers[:, 1] / spacing[1] + first, (n_rows - 1) / 2),
        lowest[1] * spacing[1] / heights[0],
        (n_rows - lowest[0]) * spacing[1] / heights[-1],
        bool(cut[-1]),
    )


def _kinds(structures: NDArray[np.uint8]) -> dict[str, NDArray[np.bool_]]:
    return {
        "cord": structures == Structure.CORD,
        "canal": np.isin(structures, (Structure.CANAL, Structure.CORD)),
        "arch": structures == Structure.POSTERIOR,
        "disc": structures == Structure.DISC,
        "sacrum": structures == Structure.SACRUM,
    }


def _tangents(centers_mm: Points) -> Points:
    """Direction of the column at each body in the sagittal plane, unit vectors along inferior and posterior."""
    if len(centers_mm) < 2:
        return np.array([[1.0, 0.0]])
    way = np.gradient(centers_mm[:, 1:], axis=0)
    tangents: Points = way / np.linalg.norm(way, axis=1, keepdims=True)
    return tangents


def _cut(own: NDArray[np.bool_], at_top: bool, at_bottom: bool) -> bool:  # noqa: FBT001
    """Whether the edge of the field of view cuts a body, not just a thread of its outline."""
    rows = own.sum(axis=(0, 2)) / (own.sum() / own.shape[1])
    return bool((at_top and rows[:3].max() > CUT_SHARE) or (at_bottom and rows[-3:].max() > CUT_SHARE))


def _inside(own: NDArray[np.bool_], box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a body ends to both sides inside the field of view."""
    ends = [own[0]] * (box[0].start == 0) + [own[-1]] * (box[0].stop == shape[0])
    return all(end.sum() < 0.3 * own.sum() / len(own) for end in ends)


@dataclass(frozen=True)
class _Frame:
    """Coordinates of one body: along the column and behind it, in a slab around its middle."""

    center: Points
    tangent: Points
    pixel_mm2: float
    slice_mm: float

    def along(self, points: Points, slab_mm: float = SLAB_MM) -> tuple[Points, Points]:
        near = points[np.abs(points[:, 0] - self.center[0]) <= slab_mm]
        offset = near[:, 1:] - self.center[1:]
        t, p = self.tangent
        return offset @ np.array([t, p]), offset @ np.array([-p, t])

    def slices(self) -> int:
        """Count the slices whose middle lies in the slab."""
        left = self.center[0]
        first, last = np.ceil((left - SLAB_MM) / self.slice_mm), np.floor((left + SLAB_MM) / self.slice_mm)
        return max(1, int(last - first) + 1)

    def body(self, points: Points, *, whole: bool, width: bool) -> tuple[float, ...]:
        along, behind = self.along(points)
        upper, lower = behind[along < 0], behind[along > 0]
        if not whole or min(len(upper), len(lower)) < MIN_PIXELS:
            return (np.nan,) * 4
        wide = UNIFORM * points[:, 0].std() if width else np.nan
        sizes = (UNIFORM * behind.std(), UNIFORM * along.std(), wide, lower.std() / upper.std())
        return tuple(float(np.log(max(x, TINY))) for x in sizes)

    def neighbors(
        self, kinds: dict[str, Points], size: tuple[float, ...], step: Points | None, n_voxels: int
    ) -> tuple[float, ...]:
        depth, height = (float(np.exp(s)) for s in size[:2])
        length = float(np.linalg.norm(step[1:])) if step is not None else np.nan
        tilt = float(np.arctan2(step[2], step[1])) if step is not None else np.nan
        reach = length if step is not None else 1.25 * height
        return (
            float(np.log(length)),
            tilt,
            self._canal(kinds["canal"], reach),
            self._arch(kinds["arch"], reach) if not np.isnan(depth) else np.nan,
            self._disc(kinds["disc"], length, depth),
            self._sacrum(kinds["sacrum"], depth, height, n_voxels),
        )

    def _canal(self, canal: Points, reach: float) -> float:
        along, behind = self.along(canal)
        near = (np.abs(along) < 0.3 * reach) & (np.abs(behind) < 45)
        depth = near.sum() * self.pixel_mm2 / (0.6 * reach * self.slices())
        return float(np.log(depth)) if depth > 2.0 else np.nan

    def _arch(self, arch: Points, reach: float) -> float:
        along, behind = self.along(arch)
        # An arch hangs below its body's center.
        near = (np.abs(along - 0.3 * reach) < 0.5 * reach) & (behind > 0)
        return float(np.log(near.sum() * self.pixel_mm2 / self.slices() + ARCH_FLOOR_MM2))

    def _disc(self, disc: Points, length: float, depth: float) -> float:
        if np.isnan(length) or np.isnan(depth):
            return np.nan
        along, behind = self.along(disc)
        near = (along > 0) & (along < length) & (np.abs(behind) < 0.75 * depth)
        return float(np.log(near.sum() * self.pixel_mm2 / (self.slices() * depth) + DISC_FLOOR_MM))

    def _sacrum(self, sacrum: Points, depth: float, height: float, n_voxels: int) -> float:
        if np.isnan(depth):
            return np.nan
        along, behind = self.along(sacrum, 60.0)
        near = (np.abs(along) < 0.5 * height) & (np.abs(behind) < 1.2 * depth)
        return float(np.sqrt(min(near.sum() / n_voxels, SACRUM_LIMIT)))


def _cord_end(kinds: dict[str, Points], centers: Points) -> float:
    """Body number at which the cord ends: the height that splits the canal best into with and without cord."""
    if len(kinds["canal"]) == 0 or len(centers) < 2:
        return float("nan")
    edges = np.arange(-1.0, len(centers) + CORD_BIN, CORD_BIN)
    counts = [np.histogram(_ranks(kinds[k], centers), edges)[0] for k in ("canal", "cord")]
    seen = counts[0] > 0.1 * np.median(counts[0][counts[0] > 0]) if (counts[0] > 0).any() else counts[0] > 0
    if not seen.any():
        return float("nan")
    vote = np.where(seen, np.where(counts[1] > CORD_SHARE * counts[0], 1.0, -1.0), 0.0)
    split = int(np.argmax(np.concatenate([[0.0], np.cumsum(vote)])))
    first, last = np.flatnonzero(seen)[[0, -1]]
    if split <= first:
        return float("-inf")
    return float("inf") if split > last else float(edges[split])


def _ranks(points: Points, centers: Points) -> Points:
    """Fractional body number of points by the curve's height; close enough for quarter bodies."""
    height = points[:, 1]
    inside = np.interp(height, centers[:, 1], np.arange(len(centers)))
    top, bottom = centers[1, 1] - centers[0, 1], centers[-1, 1] - centers[-2, 1]
    above, below = (height - centers[0, 1]) / top, len(centers) - 1 + (height - centers[-1, 1]) / bottom
    return np.where(height < centers[0, 1], above, np.where(height > centers[-1, 1], below, inside))


def _rank_of_row(rows: Points, row: float) -> float:
    if len(rows) < 2:
        return float((row - rows[0]) * 0)
    points = np.array([[0.0, row, 0.0]])
    return float(_ranks(points, np.stack([rows * 0, rows, rows * 0], axis=1))[0])
