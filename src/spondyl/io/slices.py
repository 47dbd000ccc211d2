"""From array axes to slices, rows and columns, by direction and never by the name of a plane.

DICOM stores slices whose rows run down and whose columns run right along two given directions (PS3.3 section
C.7.6.2.1.1). An array in memory may have its axes in any order and direction; which of them are slices, rows and
columns follows from its affine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import GeometryError
from spondyl.core.geometry import SAME_SPACE_TOLERANCE_MM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid

PARALLEL_COSINE = 0.9999
"""Array axes within 0.8 degrees of given rows and columns count as these; headers round cosines to 6 digits."""

USUAL_DIRECTIONS = {"sagittal": ("I", "P"), "coronal": ("I", "L"), "axial": ("P", "L")}
"""Direction in which rows and columns follow each other on slices as scanners send them (PS3.3 section C.7.6.1.1.1)."""

_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


@dataclass(frozen=True, eq=False)
class SliceLayout:
    """How an array becomes slices.

    Parameters
    ----------
    order : tuple of int
        The array axes along which slices, rows and columns follow each other.
    flips : tuple of bool
        Whether each of these runs against its array axis.
    affine : ndarray of float, shape (4, 4)
        From slice, row and column index to LPS mm, voxel centers, axes at right angles.
    shape : tuple of int
        Number of slices, rows and columns.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    def slices_of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn voxels into slices.

        Parameters
        ----------
        array : ndarray, shape of the grid
            Voxels in the order of the image.

        Returns
        -------
        ndarray, shape (slices, rows, columns)
            A view of the same voxels.
        """
        moved = array.transpose(self.order)
        return moved[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def box_of(self, box: tuple[slice, slice, slice]) -> tuple[slice, slice, slice]:
        """Say where a part of the array lies among the slices.

        Parameters
        ----------
        box : tuple of slice
            The part, along the axes of the array; `slices_of` turns its voxels.

        Returns
        -------
        tuple of slice
            Slices, rows and columns.
        """
        spans = ((box[axis].start, box[axis].stop) for axis in self.order)
        sides = zip(spans, self.shape, self.flips, strict=True)
        slices, rows, columns = (slice(n - b, n - a) if flip else slice(a, b) for (a, b), n, flip in sides)
        return slices, rows, columns


def layout_along(grid: Grid, cosines: NDArray[np.float64]) -> SliceLayout | None:
    """Lay an image out like the series it came from.

    Parameters
    ----------
    grid : Grid
        Grid of the image.
    cosines : ndarray of float, shape (2, 3)
        Directions along a row and down a column in LPS (ImageOrientationPatient).

    Returns
    -------
    SliceLayout or None
        None where the grid is not parallel to them.

    Raises
    ------
    GeometryError
        If the axes of the grid are not at right angles.
    """
    along_row, along_column = cosines
    dots = np.stack([np.cross(along_row, along_column), along_column, along_row]) @ grid.directions
    order = tuple(int(a) for a in np.argmax(np.abs(dots), axis=1))
    if len(set(order)) < 3 or np.abs(dots).max(axis=1).min() < PARALLEL_COSINE:
        return None
    return _layout(grid, order, tuple(bool(dots[i, a] < 0) for i, a in enumerate(order)))


def usual_layout(grid: Grid) -> SliceLayout:
    """Lay an image out as a scanner would: slices along the coarsest axis, the patient upright or supine in them.

    Parameters
    ----------
    grid : Grid
        Grid of the image.

    Returns
    -------
    SliceLayout
        Rows and columns in the usual directions, slices so that the three are right-handed.

    Raises
    ------
    GeometryError
        If the axes of the grid are not at right angles.
    """
    through = int(np.argmax(np.round(grid.spacing_mm, 3)))
    down, right = USUAL_DIRECTIONS[grid.plane]
    have = grid.orientation
    rows, columns = (
        next(a for a, c in enumerate(have) if c in (wanted, _OPPOSITE[wanted])) for wanted in (down, right)
    )
    signs = {rows: 1 if have[rows] == down else -1, columns: 1 if have[columns] == right else -1}
    normal = np.cross(grid.directions[:, columns] * signs[columns], grid.directions[:, rows] * signs[rows])
    backwards = bool(normal @ grid.directions[:, through] < 0)
    return _layout(grid, (through, rows, columns), (backwards, signs[rows] < 0, signs[columns] < 0))


def _layout(grid: Grid, order: tuple[int, ...], flips: tuple[bool, ...]) -> SliceLayout:
    affine = grid.affine[:, [*order, 3]].copy()
    shape = tuple(grid.shape[a] for a in order)
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            affine[:3, axis] *= -1
    # Headers round cosines; the nearest axes at right angles (polar decomposition) undo that.
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    u, _, vt = np.linalg.svd(affine[:3, :3] / spacing)
    square = (u @ vt) * spacing
    moved_mm = float(np.linalg.norm((square - affine[:3, :3]) @ (np.asarray(shape) - 1.0)))
    if moved_mm > SAME_SPACE_TOLERANCE_MM:
        msg = (
            "results can only be drawn on slices stacked at right angles, got a sheared grid "
            f"({moved_mm:.2f} mm off); resample the reference image to a regular grid first"
        )
        raise GeometryError(msg)
    affine[:3, :3] = square
    return SliceLayout(order, flips, affine, shape)  # type: ignore[arg-type]
