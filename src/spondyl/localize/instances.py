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

MIN_CORE_MM3 = 60.0
"""Smallest eroded core that counts as a body of its own: a cervical body of 3 mL has this much 4.5 mm within. Chosen by
us."""

MIN_CORE_DISTANCE_MM = 9.0
"""Centers of two bodies are never closer: a small child's cervical bodies are about 9 mm apart."""

NEIGHBORS = 2
"""Bodies to each side that a body is compared with: from C3 to L4 volumes grow fifteenfold, over two steps at most by
half. Chosen by us."""

END_SLICE_PROBABILITY = 0.85
"""Mean probability of body below which a small outline in a body's end slices is dropped. Chosen by us on the same
volumes as `BodyShape`."""

CENTRAL_SLICES = 4
"""Slices whose mean area is a body's full one. Chosen by us: half of a lumbar body on thick slices."""


@dataclass(frozen=True)
class BodyShape:
    """How much of its ragged outline a body keeps.

    Parameters
    ----------
    closing_mm : float
        Gaps and notches narrower than twice this are filled within a slice; 0 fills none.
    end_slice_share : float
        Area of an end slice over the central ones below which it is dropped where the network is unsure of it; 0 drops
        none.
    """

    closing_mm: float = 3.0
    end_slice_share: float = 0.4


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
        Smallest volume relative to the median of the body and its neighbors, for bodies not at the edge of the field.
    """

    min_volume_mm3: float = 400.0
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
    sizes = np.array([volumes[found[i]] for i in chain])
    typical = [np.median(sizes[max(at - NEIGHBORS, 0) : at + NEIGHBORS + 1]) for at in range(len(chain))]
    ends = {0, len(chain) - 1}
    kept = [i for at, i in enumerate(chain) if at in ends or sizes[at] >= limits.min_relative_volume * typical[at]]
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


def settle_shapes(
    bodies: NDArray[np.uint16],
    probability: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    shape: BodyShape,
) -> NDArray[np.uint16]:
    """Make every body compact: fill notches within slices, and drop stray outlines from its end slices.

    Parameters
    ----------
    bodies : ndarray of uint16, orientation ``LIP``
        Numbered bodies.
    probability : ndarray of float32, same shape
        Probability of body.
    spacing_mm : tuple of float
        Voxel size.
    shape : BodyShape
        How much.

    Returns
    -------
    ndarray of uint16
        The same numbers; no body takes a voxel of another.
    """
    settled = bodies.copy()
    disk = _disk(shape.closing_mm, spacing_mm[1:])
    margin = [0, *(n // 2 for n in disk.shape)]
    for number, found in enumerate(ndimage.find_objects(bodies), start=1):
        if found is None:
            continue
        box = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(found, margin, strict=True))
        own = bodies[box] == number
        free = own | (settled[box] == 0)
        full = own | (np.stack([_closed(slice_, disk) for slice_ in own]) & free)
        kept = full & _kept_slices(full, probability[box], shape.end_slice_share)[:, None, None]
        settled[box][own & ~kept] = 0
        settled[box][kept] = number
    return settled


def _disk(radius_mm: float, pixel_mm: tuple[float, ...]) -> Mask:
    reach = [int(radius_mm / mm) for mm in pixel_mm]
    rows, columns = (np.arange(-r, r + 1) * mm for r, mm in zip(reach, pixel_mm, strict=True))
    disk: Mask = rows[:, None] ** 2 + columns**2 <= radius_mm**2
    return disk


def _closed(plane: Mask, disk: Mask) -> Mask:
    r, c = (n // 2 for n in disk.shape)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(plane, ((r, r), (c, c))), disk))
    inner: Mask = closed[r : closed.shape[0] - r, c : closed.shape[1] - c]
    return inner


def _kept_slices(body: Mask, probability: NDArray[np.float32], share: float) -> Mask:
    """Drop slices from both ends until one is large or sure enough."""
    areas = body.sum(axis=(1, 2))
    sums = np.where(body, probability, 0).sum(axis=(1, 2))
    full = np.sort(areas)[-CENTRAL_SLICES:].mean()
    weak = (areas < share * full) & (sums < END_SLICE_PROBABILITY * areas)
    strong = np.flatnonzero(~weak & (areas > 0))
    kept = np.zeros(len(areas), bool)
    if len(strong):
        kept[strong[0] : strong[-1] + 1] = True
    return kept
