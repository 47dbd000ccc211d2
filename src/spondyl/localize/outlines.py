"""From probabilities on the network's grid to labels on the image's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import SAGITTAL, Grid, Structure, reorient
from spondyl.models import Prediction, resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORTEX_REACH_MM = 2.5
"""Standard deviation of the blur by which cortex learns whether it covers a vertebral body or S1: more than the cortex
is thick, less than half a disc. Chosen by us."""

MARGIN_VOXELS = 4
"""Border kept around the spine when only its part of an image is worked on."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """Structures on the part of an image that holds the spine, in orientation ``LIP``.

    Parameters
    ----------
    grid : Grid
        The whole image's grid, turned to ``LIP``.
    box : tuple of slice
        The part of it that was worked on.
    structures : ndarray of uint8, shape of the box
        Values of `Structure`.
    body : ndarray of float32, shape of the box
        Probability of vertebral body or first sacral body, cortex included.
    uncertainty : ndarray of float32, shape of the box
        Voxel uncertainty.
    """

    grid: Grid
    box: tuple[slice, slice, slice]
    structures: NDArray[np.uint8]
    body: NDArray[np.float32]
    uncertainty: NDArray[np.float32]


def outline(prediction: Prediction, grid: Grid, *, cortex_share: float) -> Outlines | None:
    """Outline the structures on an image's grid.

    Parameters
    ----------
    prediction : Prediction
        From the network.
    grid : Grid
        The image's grid, in any orientation.
    cortex_share : float
        Part of the cortex' thickness that counts as vertebral body, from 0 (marrow alone) to 1 (outer edge).

    Returns
    -------
    Outlines or None
        None where there is no bone.
    """
    turned = grid.reoriented(SAGITTAL)
    box = _spine_box(prediction, turned)
    if box is None:
        return None
    part = turned.part(box)
    p = [resample(c, prediction.grid, part) for c in prediction.structures]
    structures = _hard(p, part.spacing_mm, cortex_share)
    body = p[Structure.BODY] + p[Structure.CORTEX] + p[Structure.S1]
    entropy = -sum(c * np.log(np.maximum(c, 1e-6)) for c in p) / np.log(len(p))
    spread = resample(prediction.disagreement, prediction.grid, part)
    uncertainty = np.clip(np.maximum(entropy, 2 * spread), 0, 1).astype(np.float32)
    return Outlines(turned, box, structures, body.astype(np.float32), uncertainty)


def _hard(p: list[NDArray], spacing_mm: tuple[float, float, float], cortex_share: float) -> NDArray[np.uint8]:
    """Structure of each voxel; the cortex, one class for all, goes to the body or the S1 that it covers."""
    marrow, cortex, s1 = p[Structure.BODY], p[Structure.CORTEX], p[Structure.S1]
    sigma = [0, *(CORTEX_REACH_MM / mm for mm in spacing_mm[1:])]
    near_body, near_s1 = (ndimage.gaussian_filter(m, sigma) for m in (marrow, s1))
    of_s1 = cortex * (near_s1 / np.maximum(near_body + near_s1, 1e-6))
    of_body = cortex - of_s1
    # With a share below one, the outer part of the cortex is given back to what surrounds it.
    classes = [p[0] + (1 - cortex_share) * cortex, marrow + cortex_share * of_body]
    classes += [p[s] for s in list(Structure)[Structure.POSTERIOR :]]
    classes[Structure.S1 - 1] = s1 + cortex_share * of_s1
    winner = np.argmax(np.stack(classes), axis=0).astype(np.uint8)
    structures = np.where(winner > 1, winner + 1, winner).astype(np.uint8)
    structures[(winner == 1) & (of_body > marrow)] = Structure.CORTEX
    return structures


def _spine_box(prediction: Prediction, grid: Grid) -> tuple[slice, slice, slice] | None:
    bone = 1 - prediction.structures[0] > 0.3
    if not bone.any():
        return None
    bounds = ndimage.find_objects(bone.astype(np.uint8))[0]
    corners = [[s.start - 0.5, s.stop - 0.5] for s in bounds]
    ends = grid.lps_to_ijk(
        prediction.grid.ijk_to_lps(np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, 3))
    )
    first = np.maximum(np.floor(ends.min(0)).astype(int) - MARGIN_VOXELS, 0)
    last = np.minimum(np.ceil(ends.max(0)).astype(int) + MARGIN_VOXELS + 1, grid.shape)
    if (last <= first).any():
        return None
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def on_whole_grid(part: NDArray, outlines: Outlines, orientation: str) -> NDArray:
    """Put an array of the worked-on part back into the whole image's array.

    Parameters
    ----------
    part : ndarray, shape of the box
        The values.
    outlines : Outlines
        Tells the box and the turned grid.
    orientation : str
        Orientation of the image's own grid.

    Returns
    -------
    ndarray
        Zero outside the box, in the image's own axes.
    """
    whole = np.zeros(outlines.grid.shape, part.dtype)
    whole[outlines.box] = part
    return np.ascontiguousarray(reorient(whole, SAGITTAL, orientation))
