"""Heights of vertebral bodies in front, in the middle and behind, in a slab around the midline.

What of them is lost is for `spondyl.lesions.height_loss` to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core.at_once import at_once
from spondyl.lesions.frames import bodies_of, frames_of, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap
    from spondyl.lesions.frames import Frame

    Floats = NDArray[np.float64]

SLAB_MM = 6.0
"""Half width of the slab that is measured, in mm. Chosen by us: wide enough to even out waves of the endplates."""

FRONT, MIDDLE, BACK = (0.08, 0.36), (0.36, 0.64), (0.64, 0.92)
"""Where heights are averaged, as shares of the depth from the front; the rounded rims are left out. Chosen by us:
thirds even out waves of the endplates, and the front third of a wedge still loses four fifths of what its front edge
does."""

STEP_MM = 0.5
"""Distance of samples, in mm."""


class Heights(NamedTuple):
    """Heights of one body.

    Parameters
    ----------
    front_mm, middle_mm, back_mm : float
        Mean heights of the front, middle and back third.
    depth_mm : float
        Depth at mid height.
    corners_mm : tuple of float
        Places to posterior of the center, in the vertebra's frame, of the back wall at the top and at the bottom.
    frame : Frame
        The vertebra, its back axis along its endplates.
    """

    front_mm: float
    middle_mm: float
    back_mm: float
    depth_mm: float
    corners_mm: tuple[float, float]
    frame: Frame


def body_heights(structures: LabelMap, vertebrae: LabelMap) -> dict[int, Heights]:
    """Measure all bodies.

    Parameters
    ----------
    structures, vertebrae : LabelMap
        On one grid.

    Returns
    -------
    dict of int to Heights
        By instance; bodies that are too small have none.
    """
    frames, voxels = frames_of(structures, vertebrae), bodies_of(structures, vertebrae)
    measured = at_once(lambda n: _measured(voxels[n], structures.grid, frames[n]), frames)
    return {number: heights for number, heights in zip(frames, measured, strict=True) if heights is not None}


def _measured(voxels: NDArray[np.int_], grid: Grid, frame: Frame) -> Heights | None:
    mask, grid, voxels = _alone(voxels, grid)
    reach = np.abs(frame.local(grid.ijk_to_lps(voxels))).max(0) + 6.0
    v = np.arange(-SLAB_MM, SLAB_MM + 0.1, 2.0)
    u, w = (np.arange(-r, r + STEP_MM, STEP_MM) for r in reach[1:])
    for _ in range(3):
        profile = layout(mask, grid, frame, v_mm=v, u_mm=u, w_mm=w).mean(0)
        heights = profile.sum(1) * STEP_MM
        if heights.max() < 2.0:
            return None
        middle = (profile * w).sum(1) / np.maximum(profile.sum(1), 1e-6)
        inner = np.flatnonzero(heights > 0.6 * np.median(heights[heights > 2.0]))
        cut = max(len(inner) // 8, 1)
        inner = inner[cut:-cut]
        if len(inner) < 6:
            return None
        frame = frame.turned(float(np.polyfit(u[inner], middle[inner], 1)[0]))
    profile = layout(mask, grid, frame, v_mm=v, u_mm=u, w_mm=w).mean(0)
    heights = profile.sum(1) * STEP_MM
    waist = profile[:, np.abs(w) < 0.2 * heights.max()].mean(1)
    depth = float(waist.sum() * STEP_MM)
    center = float((waist * u).sum() / max(waist.sum(), 1e-6))
    share = (u - center) / depth + 0.5
    front, waist_mm, back = (float(heights[(share >= a) & (share <= b)].mean()) for a, b in (FRONT, MIDDLE, BACK))
    top = float(np.median((profile * w).sum(1)[inner] / profile.sum(1)[inner]))
    half = 0.5 * back
    corners = tuple(_back_wall(profile, u, w, top + side * 0.6 * half) for side in (1, -1))
    return Heights(front, waist_mm, back, depth, (corners[0], corners[1]), frame)


def _alone(voxels: NDArray[np.int_], grid: Grid) -> tuple[NDArray[np.bool_], Grid, NDArray[np.int_]]:
    """Give a body alone: its mask with a border of at most a voxel, where that is, and its voxels in it."""
    first = np.maximum(voxels.min(0) - 1, 0)
    last = np.minimum(voxels.max(0) + 2, grid.shape)
    own = voxels - first
    mask = np.zeros(last - first, bool)
    mask[tuple(own.T)] = True
    return mask, grid.part(tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))), own


def _back_wall(profile: Floats, u: Floats, w: Floats, at_mm: float) -> float:
    """Place of the back wall near a height."""
    row = profile[:, np.abs(w - at_mm) < 2.0].mean(1)
    inside = np.flatnonzero(row > 0.5 * max(row.max(), 1e-6))
    return float(u[inside[-1]]) if len(inside) else float("nan")


def translation_mm(upper: Heights, lower: Heights) -> float:
    """Give the step of a body on the one below, along the back walls.

    Parameters
    ----------
    upper, lower : Heights
        Neighbors.

    Returns
    -------
    float
        Size of the step in mm; NaN where a back wall was not found.
    """
    bottom = upper.frame.world(np.array([0.0, upper.corners_mm[1], -0.5 * upper.back_mm]))
    return float(abs(lower.frame.local(bottom)[1] - lower.corners_mm[0]))
