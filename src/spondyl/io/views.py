"""Display planes laid in the patient, and images sampled on them.

A picture in the report is never an array shown as it lies in memory. It is a sheet of points in LPS mm, laid out as
radiologists expect it (sagittal: anterior to the left, head up; axial: the patient's right on the left, anterior up),
on which any image is sampled. So every sequence is shown at the same place whatever its grid, the aspect is true
because the points are evenly spaced, and the letters at the edges are computed from the directions of the sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

from spondyl.core import SAGITTAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.core import Grid, Image, LabelMap

AXIAL = "SPL"
"""Orientation of an axial display: slices from the feet, rows from anterior, columns from the patient's right."""

FINEST_PIXEL_MM, COARSEST_PIXEL_MM = 0.5, 1.2
"""Limits of the pixel of a picture: finer shows no more here, coarser looks like steps. Chosen by us."""

STRAIGHT_COLUMN_MM = 6.0
"""Sideways extent of the body centers up to which one slice shows the whole column. Chosen by us."""

CURVE_SMOOTHING_MM = 12.0
"""Standard deviation, along the column, of the smoothing of a curved sheet; about half a lumbar body. Chosen by us."""

OBLIQUE_LETTER = 0.34
"""Direction cosine from which a second letter is shown at an edge: 20 degrees off the body axis. Chosen by us."""

PARALLEL_VOXELS = 0.6
"""A series whose slice number changes by less than this over a sheet counts as parallel to it. Chosen by us."""

STACKED_RATIO = 1.5
"""Slice spacing over in-plane spacing from which a grid is a stack of slices and not a volume. Chosen by us."""


@dataclass(frozen=True, eq=False)
class View:
    """A sheet of evenly spaced points in the patient, as rows and columns of a picture.

    Parameters
    ----------
    points_lps_mm : ndarray of float, shape (rows, columns, 3)
        Center of each pixel in LPS mm.
    pixel_mm : float
        Edge of a pixel in mm.
    place : str
        Where the sheet lies, in words for a caption.
    """

    points_lps_mm: NDArray[np.float64]
    pixel_mm: float
    place: str

    @property
    def width_mm(self) -> float:
        """Width of the picture in mm."""
        return float(self.points_lps_mm.shape[1]) * self.pixel_mm

    @property
    def height_mm(self) -> float:
        """Height of the picture in mm."""
        return float(self.points_lps_mm.shape[0]) * self.pixel_mm

    @property
    def edges(self) -> tuple[str, str, str, str]:
        """Letters at the left, right, top and bottom edge, such as ``("A", "P", "S", "I")``."""
        middle = self.points_lps_mm[self.points_lps_mm.shape[0] // 2]
        right = middle[-1] - middle[0]
        down = self.points_lps_mm[-1].mean(0) - self.points_lps_mm[0].mean(0)
        return letters(-right), letters(right), letters(-down), letters(down)

    def cropped(self, rows: tuple[float, float], columns: tuple[float, float]) -> View:
        """Give a part of the sheet.

        Parameters
        ----------
        rows, columns : tuple of float
            First and last pixel wanted; limited to what there is.

        Returns
        -------
        View
            At least one pixel of this sheet.
        """
        parts = []
        for (first, last), count in zip((rows, columns), self.points_lps_mm.shape[:2], strict=True):
            start = int(np.clip(round(first), 0, count - 1))
            parts.append(slice(start, int(np.clip(round(last) + 1, start + 1, count))))
        return View(self.points_lps_mm[tuple(parts)], self.pixel_mm, self.place)


def letters(direction_lps: NDArray[np.float64]) -> str:
    """Name a direction in the patient.

    Parameters
    ----------
    direction_lps : ndarray of float, shape (3,)
        Direction in LPS; any length but 0.

    Returns
    -------
    str
        One letter of L, R, P, A, S, I, or two where the direction is oblique, the stronger first.
    """
    unit = direction_lps / np.linalg.norm(direction_lps)
    named = sorted(zip(np.abs(unit), unit, ("LR", "PA", "SI"), strict=True), reverse=True)
    shown = [pair[int(value < 0)] for size, value, pair in named if size >= OBLIQUE_LETTER]
    return "".join(shown[:2])


def sagittal_slice(grid: Grid, index: int) -> View:
    """Lay a sheet through one sagittal slice of a grid.

    Parameters
    ----------
    grid : Grid
        Any grid; oblique ones keep their own planes.
    index : int
        Slice number from the patient's right, from 0.

    Returns
    -------
    View
        Anterior to the left, head up.
    """
    laid = grid.reoriented(SAGITTAL)
    rows = _steps(laid, 1)
    return _sheet(laid, np.full(len(rows), float(index)), f"slice {index + 1} of {laid.shape[0]}")


def axial_slice(grid: Grid, index: int) -> View:
    """Lay a sheet through one axial slice of a grid.

    Parameters
    ----------
    grid : Grid
        Any grid.
    index : int
        Slice number from the feet, from 0.

    Returns
    -------
    View
        The patient's right on the left, anterior up.
    """
    laid = grid.reoriented(AXIAL)
    rows = _steps(laid, 1)
    return _sheet(laid, np.full(len(rows), float(index)), f"axial slice {index + 1} of {laid.shape[0]}")


def column_sheet(grid: Grid, centers_lps_mm: Sequence[tuple[float, float, float]]) -> View:
    """Lay a sagittal sheet through the vertebral column.

    Parameters
    ----------
    grid : Grid
        The grid whose planes are followed.
    centers_lps_mm : sequence of tuple of float
        Centers of the vertebral bodies in LPS mm; none gives the middle slice.

    Returns
    -------
    View
        One acquired slice where the column is straight enough, a sheet curved along the column otherwise.
    """
    laid = grid.reoriented(SAGITTAL)
    if not len(centers_lps_mm):
        return sagittal_slice(grid, laid.shape[0] // 2)
    across, down, _ = laid.lps_to_ijk(centers_lps_mm).T
    if np.ptp(across) * laid.spacing_mm[0] <= max(STRAIGHT_COLUMN_MM, laid.spacing_mm[0]):
        middle = int(np.clip(round(float(np.median(across))), 0, laid.shape[0] - 1))
        return sagittal_slice(grid, middle)
    order = np.argsort(down)
    rows = _steps(laid, 1)
    path = np.interp(rows, down[order], across[order])
    path = gaussian_filter1d(path, CURVE_SMOOTHING_MM / _pixel_mm(laid), mode="nearest")
    return _sheet(laid, np.clip(path, 0, laid.shape[0] - 1), "curved along the column")


def _pixel_mm(laid: Grid) -> float:
    return float(np.clip(min(laid.spacing_mm[1:]), FINEST_PIXEL_MM, COARSEST_PIXEL_MM))


def _steps(laid: Grid, axis: int) -> NDArray[np.float64]:
    """Voxel index of each picture pixel along an axis, from outer face to outer face."""
    pixel = _pixel_mm(laid) / laid.spacing_mm[axis]
    steps: NDArray[np.float64] = (
        np.arange(max(round(laid.shape[axis] / pixel), 1), dtype=np.float64) + 0.5
    ) * pixel - 0.5
    return steps


def _sheet(laid: Grid, slice_of_row: NDArray[np.float64], place: str) -> View:
    rows, columns = _steps(laid, 1), _steps(laid, 2)
    index = np.empty((len(rows), len(columns), 3))
    index[..., 0], index[..., 1], index[..., 2] = slice_of_row[:, None], rows[:, None], columns[None, :]
    return View(laid.ijk_to_lps(index), _pixel_mm(laid), place)


def sample(image: Image, view: View) -> NDArray[np.float32]:
    """Sample an image on a sheet.

    Between slices nothing is blended where the series runs parallel to the sheet: the nearest acquired slice is shown.

    Parameters
    ----------
    image : Image
        Any image, on its own grid.
    view : View
        Where to look.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        Signal; NaN where the image does not reach.
    """
    index = np.moveaxis(image.grid.lps_to_ijk(view.points_lps_mm), -1, 0)
    last = np.asarray(image.grid.shape, dtype=np.float64)[:, None, None] - 1
    outside = ((index < -0.5) | (index > last + 0.5)).any(axis=0)
    index = np.clip(index, 0, last)
    through = stack_axis(image.grid)
    if through is not None and np.ptp(index[through]) < PARALLEL_VOXELS:
        index[through] = round(float(np.median(index[through])))
    picture: NDArray[np.float32] = map_coordinates(image.array, index, order=1, mode="nearest", output=np.float32)
    picture[outside] = np.nan
    return picture


def stack_axis(grid: Grid) -> int | None:
    """Give the array axis along which slices are stacked.

    Parameters
    ----------
    grid : Grid
        Any grid.

    Returns
    -------
    int or None
        None where the voxels are about as thick as wide.
    """
    spacing = np.asarray(grid.spacing_mm)
    axis = int(np.argmax(spacing))
    return axis if spacing[axis] >= STACKED_RATIO * np.delete(spacing, axis).max() else None


def sample_labels(labels: LabelMap, view: View) -> NDArray[np.uint16]:
    """Look up a label map on a sheet.

    Parameters
    ----------
    labels : LabelMap
        Any label map, on its own grid.
    view : View
        Where to look.

    Returns
    -------
    ndarray of uint16, shape (rows, columns)
        Label of the voxel in which each point lies; 0 outside.
    """
    index = np.rint(np.moveaxis(labels.grid.lps_to_ijk(view.points_lps_mm), -1, 0)).astype(np.intp)
    last = np.asarray(labels.grid.shape)[:, None, None] - 1
    outside = ((index < 0) | (index > last)).any(axis=0)
    found: NDArray[np.uint16] = labels.array[tuple(np.clip(index, 0, last))].copy()
    found[outside] = 0
    return found
