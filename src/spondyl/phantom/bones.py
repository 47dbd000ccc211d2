"""Distances to bone: signed distance functions of bodies, discs and posterior elements, in mm, negative inside.

All functions take coordinates in the vertebra's own frame: `v` to its left, `u` to its posterior, `w` upward, in mm
from the center of the body, as arrays that broadcast together. Distances are exact only near the surface, which is
where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.phantom.vertebra import Dent, VertebraShape

    Field = NDArray[np.float32]


SIDE_WAIST = 0.6
"""How much deeper the waist is at the sides than in front, where psoas fills it. Chosen by us: with equal waists the
lateral slices of lumbar bodies were too full."""


class BodyDistance(NamedTuple):
    """Distances of points to the parts of a body's surface, in mm.

    Parameters
    ----------
    side, top, bottom : ndarray
        Signed distance to the wall and to each endplate; negative on the body's side.
    outline : ndarray
        Superquadric radius seen from above; 1 on the outline.
    edge_mm : float
        Radius of the rounding between wall and endplates.
    """

    side: Field
    top: Field
    bottom: Field
    outline: Field
    edge_mm: float

    @property
    def inside(self) -> Field:
        """Signed distance to the whole surface, with rounded edges."""
        return smooth_max(self.side, smooth_max(self.top, self.bottom, 0.8), self.edge_mm)


def smooth_max(a: NDArray[np.floating], b: NDArray[np.floating], radius_mm: float) -> Field:
    """Give the larger of two distances, with the edge rounded.

    Parameters
    ----------
    a, b : ndarray
        Distances in mm.
    radius_mm : float
        Radius of the rounding.

    Returns
    -------
    ndarray
        Distance to the intersection.
    """
    h = np.maximum(radius_mm - np.abs(a - b), 0)
    return np.maximum(a, b) + h * h * np.float32(0.25 / radius_mm)


def body_distance(v: Field, u: Field, w: Field, shape: VertebraShape) -> BodyDistance:
    """Give the distances of points to a vertebral body.

    Parameters
    ----------
    v, u, w : ndarray
        Coordinates in the vertebra's frame, in mm.
    shape : VertebraShape
        The vertebra.

    Returns
    -------
    BodyDistance
        Distances to its wall and endplates.
    """
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    height = np.clip(w * np.float32(2 / h), -1, 1)
    q = height * height
    scale = 1 - np.float32(shape.waist) * (1 - q) + np.float32(shape.flare) * height
    n = shape.exponent
    au, av = np.abs(u) * np.float32(1 / a), np.abs(v) * np.float32(1 / b)
    sides = av / (1 - np.float32(SIDE_WAIST * shape.waist) * (1 - q))
    outline = np.power(np.power(au, n) + np.power(sides, n), np.float32(1 / n))
    wall = (outline - scale) * np.float32(min(a, b))
    hollow = np.maximum(1 - (v * np.float32(1 / (0.6 * b))) ** 2, 0) * np.float32(shape.back_concavity_mm)
    back = u - (np.float32(a * shape.back) * scale - hollow * (1.15 - 0.15 * q))
    side = smooth_max(wall, back, 3.0) - _spurs(u, height, q, shape)
    ahead = (u - np.float32(shape.apex * a)) * np.float32(1 / a)
    bowl = 1 - np.power(np.minimum(ahead * ahead + av * av, 1), np.float32(shape.rim))
    ripple = _ripple(v, u, shape)
    half = np.float32(h / 2) - np.float32(shape.wedge) * u - ripple
    top = w - (half - np.float32(shape.concavity_top_mm) * bowl - _dent(v, u, shape.dent_top))
    bottom = -w - (half - np.float32(shape.concavity_bottom_mm) * bowl - _dent(v, u, shape.dent_bottom))
    return BodyDistance(
        side.astype(np.float32), top.astype(np.float32), bottom.astype(np.float32), outline, shape.edge_mm
    )


def third_heights_mm(shape: VertebraShape, *, half_slab_mm: float = 6.0) -> tuple[float, float, float]:
    """Give the mean heights of a body's front, middle and back third around the midline, from its shape alone.

    Parameters
    ----------
    shape : VertebraShape
        The vertebra.
    half_slab_mm : float, optional
        Half width of the slab around the midline.

    Returns
    -------
    tuple of float
        In mm; the rounded rims, 8 % of the depth at either end, are left out.
    """
    v = np.arange(-half_slab_mm, half_slab_mm + 0.1, 2.0)
    u = np.arange(-1.4 * shape.half_depth_mm, 1.4 * shape.half_depth_mm, 0.5)
    w = np.arange(-shape.height_mm, shape.height_mm, 0.25)
    left, back, up = (x.astype(np.float32) for x in np.meshgrid(v, u, w, indexing="ij"))
    inside = body_distance(left, back, up, shape).inside < 0
    profile = inside.mean(0)
    heights = profile.sum(1) * 0.25
    waist = profile[:, np.abs(w) < 0.2 * heights.max()].mean(1)
    share = (u - (waist * u).sum() / waist.sum()) / (waist.sum() * 0.5) + 0.5
    front, middle, back = (float(heights[(share >= a) & (share <= a + 0.28)].mean()) for a in (0.08, 0.36, 0.64))
    return front, middle, back


def _spurs(u: Field, height: Field, q: Field, shape: VertebraShape) -> Field | float:
    """How far the rims stick out at each point's height, in mm: beaks that end a few mm from the endplate."""
    spurs = shape.spurs
    if not any(spurs):
        return 0.0
    front = np.clip(np.float32(0.5) - u * np.float32(0.7 / shape.half_depth_mm), 0, 1)
    near = q * q * q
    upper = front * np.float32(spurs.top_front) + (1 - front) * np.float32(spurs.top_back)
    lower = front * np.float32(spurs.bottom_front) + (1 - front) * np.float32(spurs.bottom_back)
    return near * np.where(height > 0, upper, lower)


def _ripple(v: Field, u: Field, shape: VertebraShape) -> Field:
    """Waves of the endplates in mm: no endplate is smooth, and worn ones least."""
    phase = shape.ripple_phase
    across = np.sin(v * np.float32(2 * np.pi / 13) + np.float32(phase))
    along = np.sin(u * np.float32(2 * np.pi / 9.5) + np.float32(2.3 * phase))
    return np.float32(shape.ripple_mm) * (across + along)


def _dent(v: Field, u: Field, dent: Dent) -> Field | float:
    if not dent.depth_mm:
        return 0.0
    square = (v - np.float32(dent.left_mm)) ** 2 + (u - np.float32(dent.behind_mm)) ** 2
    return np.float32(dent.depth_mm) * np.exp(-square * np.float32(1 / dent.radius_mm**2))


def capsule(
    v: Field,
    u: Field,
    w: Field,
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radii: tuple[float, float],
) -> Field:
    """Give the distances of points to a tapered capsule.

    Parameters
    ----------
    v, u, w : ndarray
        Coordinates in mm.
    ends : tuple of two points
        The axis' ends as (v, u, w) in mm.
    radii : tuple of float
        Radius at each end in mm.

    Returns
    -------
    ndarray
        Signed distance in mm.
    """
    (v0, u0, w0), (v1, u1, w1) = ends
    dv, du, dw = v1 - v0, u1 - u0, w1 - w0
    length2 = np.float32(max(dv * dv + du * du + dw * dw, 1e-6))
    pv, pu, pw = v - np.float32(v0), u - np.float32(u0), w - np.float32(w0)
    t = np.clip((pv * np.float32(dv) + pu * np.float32(du) + pw * np.float32(dw)) / length2, 0, 1)
    pv, pu, pw = pv - t * np.float32(dv), pu - t * np.float32(du), pw - t * np.float32(dw)
    return np.sqrt(pv * pv + pu * pu + pw * pw) - (np.float32(radii[0]) + t * np.float32(radii[1] - radii[0]))


def arch_distance(v: Field, u: Field, w: Field, shape: VertebraShape) -> Field:
    """Give the distances of points to the posterior elements of a vertebra.

    Pedicles, articular processes, laminae, transverse processes and the spinous process are joined by union. The two
    sides mirror each other.

    Parameters
    ----------
    v, u, w : ndarray
        Coordinates in the vertebra's frame, in mm.
    shape : VertebraShape
        The vertebra.

    Returns
    -------
    ndarray
        Signed distance in mm.
    """
    a, h = shape.half_depth_mm * shape.back, shape.height_mm
    canal, r = shape.canal_depth_mm, shape.pedicle_mm / 2
    side = np.abs(v)
    at = shape.canal_width_mm / 2 + r
    # Pedicles spring from the upper half of the body; what is left below them is the foramen.
    root = pedicle_height_mm(shape)
    squeeze = shape.pedicle_mm / shape.pedicle_height_mm
    pillar_u, rp = a + canal * 0.62, shape.pillar_mm
    pedicle = capsule(
        side, u, (w - np.float32(root)) * np.float32(squeeze), ((at * 0.95, 0.6 * a, 0.0), (at, pillar_u, 0.0)), (r, r)
    )
    # The upper facet reaches up and forward to behind the disc; the lower one hooks behind the next vertebra's.
    tip = pillar_u - shape.facet_forward_mm
    upper = capsule(side, u, w, ((at + 1, pillar_u, 0.15 * h), (at + 2.5, tip, 0.74 * h)), (rp * 0.95, rp * 0.72))
    lower = capsule(
        side, u, w, ((at, pillar_u + 1, 0.1 * h), (at - 1.5, pillar_u + rp, -0.78 * h)), (rp * 0.9, rp * 0.85)
    )
    d = np.minimum(np.minimum(pedicle, upper), lower)
    lamina_u = a + canal + shape.lamina_mm / 2 - 0.5
    lamina = capsule(
        side,
        u + (w + 0.2 * h) * 0.25,
        w * 0.32,
        ((0.0, lamina_u + 3, -0.09 * h), (at, pillar_u + 1, -0.05 * h)),
        (shape.lamina_mm / 2, shape.lamina_mm / 2),
    )
    d = np.minimum(d, lamina)
    if shape.transverse_mm > 0:
        end = (at + shape.transverse_mm, pillar_u + 2, 0.2 * h)
        d = np.minimum(d, capsule(side, u, w * 0.8, ((at, pillar_u - 2, 0.14 * h), end), (rp * 0.7, rp * 0.45)))
    return np.minimum(d, _spinous(side, u - (a + canal + 2), w, shape))


def pedicle_height_mm(shape: VertebraShape) -> float:
    """Give how high above the center of the body the pedicles' axes lie.

    Parameters
    ----------
    shape : VertebraShape
        The vertebra.

    Returns
    -------
    float
        Height in mm in the vertebra's frame: their upper edge lies just below the upper endplate.
    """
    return max(0.48 * shape.height_mm - shape.pedicle_height_mm / 2, 0.05 * shape.height_mm)


def _spinous(side: Field, along: Field, w: Field, shape: VertebraShape) -> Field:
    """Distance to the blade behind the laminae."""
    t = np.clip(along * np.float32(1 / shape.spinous_mm), 0, 1)
    middle = -0.3 * shape.height_mm - along * shape.spinous_drop
    half = shape.spinous_height_mm * (0.8 + 0.35 * t)
    width = shape.spinous_width_mm * (1 + 0.4 * t)
    blade = smooth_max(np.abs(w - middle) - half, side - width, 2.5)
    return smooth_max(blade, np.abs(along - shape.spinous_mm / 2) - shape.spinous_mm / 2, 6.0)


def sacral_wing_distance(v: Field, u: Field, w: Field, shape: VertebraShape) -> Field:
    """Give the distances of points to the lateral mass beside a sacral body.

    Parameters
    ----------
    v, u, w : ndarray
        Coordinates in the vertebra's frame, in mm.
    shape : VertebraShape
        S1 to S4.

    Returns
    -------
    ndarray
        Signed distance in mm.
    """
    b, a, h = shape.half_width_mm, shape.half_depth_mm, shape.height_mm
    side = np.abs(v)
    reach = b * 0.9 + 26 * b / 25
    slope = (side - b) * 0.25
    block = smooth_max(
        np.abs(side - (b * 0.8 + reach) / 2) - (reach - b * 0.8) / 2, np.abs(w + slope * 0.3) - h * 0.56, 3.0
    )
    return smooth_max(block, np.abs(u - a * 0.25 - slope) - a * 0.95, 4.0)
