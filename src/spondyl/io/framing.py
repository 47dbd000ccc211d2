"""How much of a study a picture shows: the column, a lesion with its neighbors, the slices of a montage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SAGITTAL, reorient
from spondyl.io.views import column_sheet, sagittal_slice, sample_labels

if TYPE_CHECKING:
    from collections.abc import Sequence as Many

    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap, Lesion, Vertebra
    from spondyl.io.views import View

COLUMN_FRONT_MM, COLUMN_BACK_MM = 70.0, 85.0
"""What is shown before and behind the body centers, from the great vessels to the tips of the processes. Our choice."""

COLUMN_ABOVE_MM = 30.0
"""What is shown above and below the outermost body centers. Chosen by us."""

LESION_WINDOW_MM = 90.0
"""Least edge of the picture of a lesion: it shows a lumbar vertebra with both neighbors. Chosen by us."""

LESION_WINDOW_RATIO = 2.2
"""Least edge of the picture over the extent of the lesion. Chosen by us."""

MONTAGE_SLICES = 24
"""Most slices of the montage; a finer volume is thinned."""

_SEARCH_STEP = 4


def column_view(grid: Grid, vertebrae: Many[Vertebra]) -> View:
    """Lay the sheet on which the whole column is shown.

    Parameters
    ----------
    grid : Grid
        The grid whose planes are followed.
    vertebrae : sequence of Vertebra
        What must be on it.

    Returns
    -------
    View
        Sagittal, cropped around the column.
    """
    view = column_sheet(grid, [v.centroid_lps_mm for v in vertebrae])
    if not vertebrae:
        return view
    places = np.array([_pixel_of(view, v.centroid_lps_mm) for v in vertebrae])
    (top, front), (bottom, back) = places.min(0), places.max(0)
    ahead, behind, above = (mm / view.pixel_mm for mm in (COLUMN_FRONT_MM, COLUMN_BACK_MM, COLUMN_ABOVE_MM))
    return view.cropped((top - above, bottom + above), (front - ahead, back + behind))


def _pixel_of(view: View, point_lps_mm: tuple[float, float, float]) -> tuple[int, int]:
    """Give the pixel nearest to a point, to a few pixels: enough to lay a crop."""
    step = _SEARCH_STEP
    squared = ((view.points_lps_mm[::step, ::step] - np.asarray(point_lps_mm)) ** 2).sum(-1)
    row, column = np.unravel_index(int(np.argmin(squared)), squared.shape)
    return int(row) * step, int(column) * step


def largest_slice(grid: Grid, mask: NDArray[np.bool_]) -> View:
    """Lay a sagittal sheet where a mask is largest.

    Parameters
    ----------
    grid : Grid
        Where the voxels are.
    mask : ndarray of bool, shape of the grid
        Not empty.

    Returns
    -------
    View
        One slice.
    """
    areas = reorient(mask, grid.orientation, SAGITTAL).sum(axis=(1, 2))
    return sagittal_slice(grid, int(np.argmax(areas)))


def around(view: View, labels: LabelMap, lesion: Lesion) -> View:
    """Crop a sheet to a square around a lesion, moved inward at the border of the image.

    Parameters
    ----------
    view : View
        The sheet.
    labels : LabelMap
        All lesions.
    lesion : Lesion
        The one in the middle.

    Returns
    -------
    View
        A part of the sheet.
    """
    shown = sample_labels(labels, view) == lesion.label
    row, column = _pixel_of(view, lesion.centroid_lps_mm)
    extent = 0.0
    if shown.any():
        rows, columns = np.nonzero(shown)
        row, column = round(float(rows.mean())), round(float(columns.mean()))
        extent = float(max(np.ptp(rows), np.ptp(columns))) * view.pixel_mm
    half = max(LESION_WINDOW_MM, LESION_WINDOW_RATIO * extent) / view.pixel_mm / 2
    height, width = view.points_lps_mm.shape[:2]
    row_at, column_at = (
        np.clip(c, min(half, n / 2), max(n - half, n / 2)) for c, n in ((row, height), (column, width))
    )
    return view.cropped((row_at - half, row_at + half - 1), (column_at - half, column_at + half - 1))


def montage_slices(grid: Grid, vertebrae: Many[Vertebra]) -> list[int]:
    """Choose the slices of a montage.

    Parameters
    ----------
    grid : Grid
        The grid whose slices they are.
    vertebrae : sequence of Vertebra
        What must be on them, where there are too many slices.

    Returns
    -------
    list of int
        Sagittal slices, from the patient's right to left.
    """
    laid = grid.reoriented(SAGITTAL)
    first, last = 0, laid.shape[0] - 1
    if laid.shape[0] > MONTAGE_SLICES and vertebrae:
        across = laid.lps_to_ijk([v.centroid_lps_mm for v in vertebrae])[:, 0]
        margin = 30.0 / laid.spacing_mm[0]
        first, last = max(round(float(across.min()) - margin), 0), min(round(float(across.max()) + margin), last)
    count = min(MONTAGE_SLICES, last - first + 1)
    return sorted({round(float(n)) for n in np.linspace(first, last, count)})
