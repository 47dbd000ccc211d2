"""Mend a chain of bodies by what neighbors tell: fill gaps, split what is as long as two, and join halves of one.

Neighboring bodies are about equally high, and none is much higher than deep but the axis (C2) with its dens. Where two
lie as far apart as those above and below a third, there is a third, and its outline may be less sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]
    Probability = NDArray[np.float32]
    Bodies = NDArray[np.uint16]

REACH = 3
"""Bodies to each side that a body is compared with."""

UNIFORM = 12.0**0.5
"""Length of a bar over the standard deviation of its points."""

LONG, TALL = 1.35, 1.2
"""Height over the neighbors', and over the body's own depth, from which it may be two. Two cervical bodies and their
disc are 2.4 times as high as one and twice as high as deep; C2 without its dens is 1.2 times as high as deep. Chosen
by us."""

APART, APART_AT_END = 2.45, 1.3
"""Distance of the bodies above and below over the usual distance of neighbors, from which a long body is two: for one
it is 2, for two 3. At the ends of a chain there is one neighbor, for which it is 1 and 1.5. Chosen by us."""

TWICE_LONG, TWICE_TALL = 1.9, 1.9
"""The same from which a body is two however far apart its neighbors are, but for the uppermost. Chosen by us."""

GAP, GAP_AT_TOP = 1.45, 1.9
"""Distance of two neighbors over the usual one from which a body is sought between them. Chosen by us: with one missing
it is 2, and bodies beside it are often outlined too long; the uppermost may be the axis, whose center lies high."""

LEAST_PROBABILITY = 0.15
"""Probability of body from which a voxel in a gap belongs to the missing one: there must be one. Chosen by us."""

FILLED_VOLUME, FILLED_PLACE = 0.3, 0.2
"""Smallest volume of a body found in a gap over its neighbors' mean, and how far from its place its center may lie, in
distances of neighbors. Chosen by us."""

WAIST = 0.75
"""Area at the waist of the uppermost body, over the smaller of the areas above and below it, under which it is two: the
dens tapers, two bodies do not. Chosen by us."""

HIGH = 0.8
"""Height of a body over the distance of neighbors: discs take the rest. Chosen by us."""

DEEP = 0.7
"""Reach of a missing body to the front and back of the line between its neighbors, over their depth. Chosen by us."""

MIDDLE = (0.25, 0.75)
"""Part of a body's height in which it may be cut."""

CLOSE, WHOLE = 0.65, 1.25
"""Distance of two halves over the neighbors' distance, and height of both together over the neighbors', under which
they are one. Chosen by us: a collapsed body and its neighbor are higher together."""

PASSES = 8
"""Most changes to one chain."""

MIN_CHAIN = 4
"""Fewest bodies that tell what is usual."""


def mend_chain(bodies: Bodies, spacing_mm: tuple[float, float, float], probability: Probability) -> Bodies:
    """Fill gaps, split bodies that are as long as two, and join halves.

    Parameters
    ----------
    bodies : ndarray of uint16, orientation ``LIP``
        Numbered from the head down, from 1.
    spacing_mm : tuple of float
        Voxel size.
    probability : ndarray of float32, same shape
        Probability of body, which tells what may fill a gap.

    Returns
    -------
    ndarray of uint16
        The same voxels and those in gaps, numbered anew from the head down.
    """
    mended = bodies.copy()
    for _ in range(PASSES):
        if int(mended.max()) < MIN_CHAIN:
            break
        chain = _Chain(mended, spacing_mm)
        if not (chain.fill_gap(probability) or chain.split_longest() or chain.join_closest()):
            break
        mended = _numbered(mended)
    return mended


class _Chain:
    """Centers, heights and depths of a chain, and what may be done to it."""

    def __init__(self, bodies: Bodies, spacing_mm: tuple[float, float, float]) -> None:
        self.bodies, self.boxes = bodies, ndimage.find_objects(bodies)
        self.spacing = spacing = np.asarray(spacing_mm)
        self.points = [
            (np.argwhere(bodies[box] == i) + [s.start for s in box])[:, 1:] * spacing[1:]
            for i, box in enumerate(self.boxes, start=1)
        ]
        self.centers = np.array([p.mean(axis=0) for p in self.points])
        self.pixel_mm = float(spacing[1])
        way = np.gradient(self.centers, axis=0) if len(self.points) > 1 else np.array([[1.0, 0.0]])
        self.tangents = way / np.linalg.norm(way, axis=1, keepdims=True)
        self.heights = np.array([self._along(i).std() * UNIFORM for i in range(len(self))])
        self.depths = np.array([self._behind(i).std() * UNIFORM for i in range(len(self))])
        self.steps = np.linalg.norm(np.diff(self.centers, axis=0), axis=1)

    def __len__(self) -> int:
        return len(self.points)

    def _along(self, i: int) -> Points:
        along: Points = (self.points[i] - self.centers[i]) @ self.tangents[i]
        return along

    def _behind(self, i: int) -> Points:
        t, p = self.tangents[i]
        behind: Points = (self.points[i] - self.centers[i]) @ np.array([-p, t])
        return behind

    def _usual(self, values: Points, *but: int) -> float:
        """Median of the neighbors' values."""
        near = [j for j in range(but[0] - REACH, but[-1] + REACH + 1) if 0 <= j < len(values) and j not in but]
        return float(np.median(values[near]))

    def fill_gap(self, probability: Probability) -> bool:
        """Outline a body that is missing between two, if anything speaks for it."""
        usual = [self._usual(self.steps, i) for i in range(len(self.steps))]
        ratio = self.steps / np.asarray(usual)
        for i in np.argsort(-ratio):
            if ratio[i] < GAP:
                return False
            if i == 0 and ratio[i] < GAP_AT_TOP:
                continue
            n_missing = max(1, round(ratio[i]) - 1)
            if any(self._fill(int(i), (k + 1) / (n_missing + 1), usual[i], probability) for k in range(n_missing)):
                return True
        return False

    def _fill(self, i: int, place: float, usual_mm: float, probability: Probability) -> bool:
        """Outline what lies at a place between a body and the next, given as a share of the way, as a new body."""
        way, length = (self.centers[i + 1] - self.centers[i]) / self.steps[i], self.steps[i]
        box = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(self.boxes[i], self.boxes[i + 1], strict=True)
        )
        free = (self.bodies[box] == 0) & (probability[box] > LEAST_PROBABILITY)
        voxels = np.argwhere(free)
        points = (voxels + [s.start for s in box])[:, 1:] * self.spacing[1:] - self.centers[i]
        along, behind = points @ way, points @ np.array([-way[1], way[0]])
        ends = self._along(i).max(), length + self._along(i + 1).min()
        if ends[1] - ends[0] < HIGH * usual_mm:
            return False
        depth = (self.depths[i] + self.depths[i + 1]) / 2
        near = (along > ends[0]) & (along < ends[1]) & (np.abs(behind) < DEEP * depth)
        near &= np.abs(along - place * length) < HIGH * usual_mm / 2
        found = np.zeros(free.shape, bool)
        found[tuple(voxels[near].T)] = True
        labels, n = ndimage.label(found)
        if n == 0:
            return False
        own = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        center = float(along[own[tuple(voxels.T)]].mean())
        sizes = [int((self.bodies[self.boxes[j]] == j + 1).sum()) for j in (i, i + 1)]
        if own.sum() < FILLED_VOLUME * np.mean(sizes) or abs(center - place * length) > FILLED_PLACE * usual_mm:
            return False
        self.bodies[box][own] = int(self.bodies.max()) + 1
        return True

    def split_longest(self) -> bool:
        """Cut the body in two that is longest against its neighbors, if it is long enough."""
        usual = np.array([self._usual(self.heights, i) for i in range(len(self))])
        ratio = np.where(self.heights > TALL * self.depths, self.heights / usual, 0.0)
        for i in np.argsort(-ratio):
            if ratio[i] < LONG:
                return False
            twice = i > 0 and ratio[i] > TWICE_LONG and self.heights[i] > TWICE_TALL * self.depths[i]
            if (twice or self._room_for_two(int(i))) and self._cut(int(i)):
                return True
        return False

    def _room_for_two(self, i: int) -> bool:
        """Whether the neighbors are as far apart as they are with two bodies between them."""
        ways = self.steps[max(i - 1, 0) : i + 1]
        rest = [j for j in range(i - 1 - REACH, i + REACH + 1) if 0 <= j < len(self.steps) and j not in (i - 1, i)]
        limit = APART if len(ways) > 1 else APART_AT_END
        return bool(ways.sum() > limit * np.median(self.steps[rest]))

    def _cut(self, i: int) -> bool:
        along = self._along(i)
        edges = np.arange(along.min(), along.max() + 2 * self.pixel_mm, self.pixel_mm)
        area = ndimage.gaussian_filter1d(np.histogram(along, edges)[0].astype(float), 1.5, mode="nearest")
        first, last = (round(share * len(area)) for share in MIDDLE)
        if last - first < 1:
            return False
        at = first + int(np.argmin(area[first:last]))
        if i == 0 and area[at] > WAIST * min(area[: at + 1].max(), area[at:].max()):
            return False
        box, own = self.boxes[i], self.bodies[self.boxes[i]] == i + 1
        lower = np.zeros(own.shape, bool)
        lower[own] = along > edges[at] + 0.5 * self.pixel_mm
        if not lower.any() or lower.sum() == own.sum():
            return False
        self.bodies[self.bodies > i + 1] += 1
        self.bodies[box][lower] = i + 2
        return True

    def join_closest(self) -> bool:
        """Join the two neighbors that are closest, if together they are one."""
        if len(self) <= MIN_CHAIN:
            return False
        closeness = [s / self._usual(self.steps, i) for i, s in enumerate(self.steps)]
        for i in np.argsort(closeness):
            if closeness[i] > CLOSE:
                return False
            both = np.concatenate([self.points[i], self.points[i + 1]])
            height = float(((both - both.mean(axis=0)) @ self.tangents[i]).std() * UNIFORM)
            if height < WHOLE * self._usual(self.heights, int(i), int(i) + 1):
                self.bodies[self.bodies > i + 1] -= 1
                return True
        return False


def _numbered(bodies: Bodies) -> Bodies:
    """Number bodies by their height in the image, since a cut may change their order."""
    n = int(bodies.max())
    rows = ndimage.center_of_mass(bodies > 0, bodies, range(1, n + 1))
    renumber = np.zeros(n + 1, np.uint16)
    renumber[1 + np.argsort([r[1] for r in rows])] = np.arange(1, n + 1)
    return renumber[bodies]
