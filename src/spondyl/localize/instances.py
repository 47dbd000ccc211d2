"""From a mask of all vertebral bodies to one number per body, in order along the column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cc3d
import edt
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

CORE_DEPTHS_MM = (1.5, 2.5, 3.5, 4.5, 5.5, 6.5)
"""Depths to which the mask is eroded in turn, looking for bodies that come apart."""

MIN_CORE_MM3 = 150.0
"""Smallest eroded core that counts as a body of its own."""

MIN_CORE_DISTANCE_MM = 12.0
"""Centers of two bodies are never closer: a child's cervical bodies are about 12 mm apart."""


@dataclass(frozen=True)
class ChainLimits:
    """What a chain of vertebral bodies looks like.

    Parameters
    ----------
    min_volume_mm3 : float
        Smallest body, cut ones included.
    max_gap_mm : float
        Largest distance of neighboring centers; two missing lumbar discs' worth.
    min_relative_volume : float
        Smallest volume relative to the median body, for bodies not at the edge of the field.
    """

    min_volume_mm3: float = 1200.0
    max_gap_mm: float = 58.0
    min_relative_volume: float = 0.2


def split_bodies(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.uint16]:
    """Give each vertebral body its own number.

    Bodies that touch are told apart by eroding the mask step by step until it falls into pieces whose centers are far
    enough apart; the pieces then grow back over the mask.

    Parameters
    ----------
    mask : ndarray of bool
        All bodies.
    spacing_mm : tuple of float
        Voxel size.

    Returns
    -------
    ndarray of uint16
        Numbers from 1, in no particular order.
    """
    depth = edt.edt(np.ascontiguousarray(mask), anisotropy=spacing_mm, black_border=False, parallel=1)
    # Thick slices make the depth toward left and right coarse; a smooth field splits more evenly.
    depth = ndimage.gaussian_filter(depth, [0.4, 0.6, 0.6])
    seeds = np.zeros(mask.shape, np.uint16)
    voxel = float(np.prod(spacing_mm))
    pieces = _Pieces(depth, seeds, spacing_mm, MIN_CORE_MM3 / voxel)
    first, n = cc3d.connected_components(mask & (depth > 0.5), connectivity=6, return_N=True)
    for i, box in enumerate(ndimage.find_objects(first, n), start=1):
        pieces.split(first[box] == i, box, 0)
    return _grow(seeds, mask, spacing_mm)


class _Pieces:
    """Recursive erosion, writing one seed per body."""

    def __init__(
        self, depth: NDArray, seeds: NDArray, spacing_mm: tuple[float, float, float], min_voxels: float
    ) -> None:
        self.depth, self.seeds, self.min_voxels = depth, seeds, min_voxels
        self.spacing = np.asarray(spacing_mm)
        self.count = 0

    def split(self, piece: Mask, box: tuple[slice, ...], at: int) -> None:
        if piece.sum() < self.min_voxels:
            return
        for index in range(at, len(CORE_DEPTHS_MM)):
            cores, n = cc3d.connected_components(
                piece & (self.depth[box] > CORE_DEPTHS_MM[index]), connectivity=6, return_N=True
            )
            sizes = np.bincount(cores.ravel(), minlength=n + 1)[1:]
            large = [i + 1 for i in range(n) if sizes[i] >= self.min_voxels]
            if not large:
                break
            if len(large) > 1 and self._apart(cores, large):
                for i in large:
                    self.split(cores == i, box, index + 1)
                return
        self.count += 1
        self.seeds[box][piece] = self.count

    def _apart(self, cores: NDArray, labels: list[int]) -> bool:
        centers = np.array(ndimage.center_of_mass(cores > 0, cores, labels)) * self.spacing
        distance = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
        return bool(distance[~np.eye(len(labels), dtype=bool)].min() >= MIN_CORE_DISTANCE_MM)


def _grow(seeds: NDArray[np.uint16], mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.uint16]:
    """Give every voxel of the mask to the nearest seed of its own piece of the mask.

    All seeds of a piece were eroded to about the same depth, so the nearest one is the one it was taken from.
    """
    pieces, n = cc3d.connected_components(mask, connectivity=6, return_N=True)
    grown = seeds.copy()
    for i, box in enumerate(ndimage.find_objects(pieces, n), start=1):
        own = pieces[box] == i
        inside = np.where(own, seeds[box], 0)
        bare = own & (inside == 0)
        if not inside.any() or not bare.any():
            continue
        nearest = ndimage.distance_transform_edt(
            inside == 0, sampling=spacing_mm, return_distances=False, return_indices=True
        )
        grown[box][bare] = inside[tuple(nearest)][bare]
    return grown


def order_chain(
    labels: NDArray[np.uint16], spacing_mm: tuple[float, float, float], limits: ChainLimits
) -> NDArray[np.uint16]:
    """Keep the bodies that form one column and number them from the head down.

    Parameters
    ----------
    labels : ndarray of uint16, orientation ``LIP``
        From `split_bodies`.
    spacing_mm : tuple of float
        Voxel size.
    limits : ChainLimits
        What a column looks like.

    Returns
    -------
    ndarray of uint16
        Numbers from 1, the uppermost first; zero for everything outside the column.
    """
    n = int(labels.max())
    volumes = np.bincount(labels.ravel(), minlength=n + 1) * np.prod(spacing_mm)
    found = [i for i in range(1, n + 1) if volumes[i] >= limits.min_volume_mm3]
    if not found:
        return np.zeros_like(labels)
    centers = np.array(ndimage.center_of_mass(labels > 0, labels, found)) * spacing_mm
    chain = _best_chain(centers, volumes[found], limits.max_gap_mm)
    typical = float(np.median([volumes[found[i]] for i in chain]))
    ends = {chain[0], chain[-1]}
    kept = [i for i in chain if i in ends or volumes[found[i]] >= limits.min_relative_volume * typical]
    renumber = np.zeros(n + 1, np.uint16)
    for number, i in enumerate(kept, start=1):
        renumber[found[i]] = number
    return renumber[labels]


def _best_chain(centers: NDArray[np.float64], volumes: NDArray[np.float64], max_gap_mm: float) -> list[int]:
    """Walk down through the bodies so that the volume on the way is largest and no step is too long or too steep."""
    order = np.argsort(centers[:, 1])
    best, before = volumes.copy(), np.full(len(centers), -1)
    for position, i in enumerate(order):
        for j in order[:position]:
            step = centers[i] - centers[j]
            length = np.linalg.norm(step)
            plausible = 8.0 < length < max_gap_mm and step[1] > 0.35 * length and abs(step[0]) < 0.6 * length
            gain = best[j] + volumes[i] - 15.0 * length
            if plausible and gain > best[i]:
                best[i], before[i] = gain, j
    chain = [int(np.argmax(best))]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return chain[::-1]
