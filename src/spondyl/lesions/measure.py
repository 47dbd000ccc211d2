"""Measures of a lesion's size, in patient space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid


def longest_diameter_mm(voxels: NDArray[np.int_], grid: Grid) -> float:
    """Give the longest diameter of a lesion inside one acquired slice, as in RECIST 1.1.

    Parameters
    ----------
    voxels : ndarray of int, shape (n, 3)
        Voxel indices of the lesion.
    grid : Grid
        Their grid; slices are stacked along its coarsest axis.

    Returns
    -------
    float
        Largest distance between outer pixel edges in any slice, in mm.

    References
    ----------
    Eisenhauer 2009, New response evaluation criteria in solid tumours, doi 10.1016/j.ejca.2008.10.026.
    """
    through = int(np.argmax(grid.spacing_mm))
    plane = [a for a in range(3) if a != through]
    spacing = np.asarray(grid.spacing_mm)[plane]
    best = 0.0
    for index in np.unique(voxels[:, through]):
        points = voxels[voxels[:, through] == index][:, plane]
        corners = (points[:, None] + np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])).reshape(
            -1, 2
        ) * spacing
        try:
            corners = corners[ConvexHull(corners).vertices]
        except QhullError:
            corners = np.unique(corners, axis=0)
        best = max(best, float(pdist(corners).max()))
    return best
