"""How far marrow stands out from the patient's own marrow: what readers go by, and the network is held against.

A network that learned from synthetic patients takes marrow that is merely uneven for disease, draws what it finds too
wide, and passes over what it has never seen. So marrow is held against that of its vertebra and the two beside it. What
the network finds in a body and does not stand out is dropped, and what does keeps the part that stands out at least
half as far as its core, the usual edge between two intensities. What stands out far and compact is told of whatever
the network says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cc3d
import numpy as np
from scipy import ndimage

from spondyl.core.marrow import TO_SD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_SPREAD = 0.06
"""Marrow is never taken for evener than this, in units of the networks' channels, twice the square root of the signal
relative to the spine's: 6 % of the signal. Chosen by us: real marrow is hardly ever evener, and noise comes on top."""

TAILS, SD_BETWEEN_TAILS = (0.05, 0.95), 3.29
"""Quantiles of normal marrow whose distance tells its spread, too, and that distance in standard deviations of a normal
variable: patches of red marrow are few, and stand out from the rest without being disease."""

REFERENCE_SHARE = 0.25
"""Least share of unsuspicious marrow in three vertebrae for it to stand for what is normal; below it all their marrow
does, so that only what differs from most of it stands out. Chosen by us."""

REFERENCE_VOXELS = 150
"""Fewer voxels tell no spread; the marrow of all vertebrae then does. Chosen by us."""

EDGE_SHARE = 0.5
"""Part of the core's contrast at which a candidate ends: halfway between two intensities."""

CORE_QUANTILE = 0.9
"""Quantile over the core of a candidate that stands for its contrast: the network's core is wider than a small lesion.
Chosen by us."""

GROWN_MM = 2.5
"""How far what stands out by itself is followed beyond its core, down to half of its contrast. Chosen by us."""

BLUR_MM = 0.5
"""Blur in the plane of slices before contrast is looked at: single noisy pixels decide nothing. Chosen by us."""

BODY_SHARE = 0.5
"""A candidate with less of it in vertebral bodies is left as it is: the marrow of arches, and what is no marrow, has no
such reference. Chosen by us."""


class Conspicuity(NamedTuple):
    """How far bodies stand out from normal marrow.

    Parameters
    ----------
    contrast_sd : ndarray of float32, shape (n_series, n_i, n_j, n_k)
        Distance from the normal marrow around, in standard deviations of that, without sign; 0 where there is none.
    body : ndarray of bool, shape (n_i, n_j, n_k)
        Where it is known.
    """

    contrast_sd: NDArray[np.float32]
    body: NDArray[np.bool_]

    def mostly_body(self, box: tuple[slice, ...], where: NDArray[np.bool_]) -> bool:
        """Say whether contrast can judge a candidate.

        Parameters
        ----------
        box : tuple of slice
            Where it lies.
        where : ndarray of bool, shape of the box
            Its voxels.

        Returns
        -------
        bool
            True where enough of it lies in bodies, and a series is known.
        """
        return bool(len(self.contrast_sd) and (where & self.body[box]).sum() >= BODY_SHARE * where.sum())


def conspicuity(
    series: Sequence[NDArray[np.floating]],
    body: NDArray[np.bool_],
    instances: NDArray[np.integer],
    suspicious: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
) -> Conspicuity:
    """Measure how far every voxel of the bodies stands out from the patient's own marrow.

    Parameters
    ----------
    series : sequence of ndarray, shape (n_i, n_j, n_k)
        Images without shading, such as the channels of a lesion network.
    body : ndarray of bool, same shape
        Vertebral bodies.
    instances : ndarray of int, same shape
        Number of each vertebra from the head down, 0 elsewhere.
    suspicious : ndarray of bool, same shape
        What may be diseased, and does not tell what is normal.
    spacing_mm : tuple of float
        Voxel size; slices lie along the largest.

    Returns
    -------
    Conspicuity
        For each series, in the order given.
    """
    numbers = np.where(body, instances, 0)
    across = int(np.argmax(spacing_mm))
    inner = ndimage.binary_erosion(body, np.ones([1 if axis == across else 3 for axis in range(3)]))
    boxes = ndimage.find_objects(numbers)
    found = np.zeros((len(series), *body.shape), np.float32)
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        near = _joined([b for b in boxes[max(number - 2, 0) : number + 1] if b is not None])
        own = inner[near] & (np.abs(numbers[near].astype(int) - number) <= 1)
        normal = own & ~suspicious[near]
        if normal.sum() < REFERENCE_SHARE * own.sum():
            normal = own
        where = numbers[box] == number
        for image, contrast in zip(series, found, strict=True):
            marrow = image[near][normal] if normal.sum() >= REFERENCE_VOXELS else image[inner]
            if not len(marrow):
                continue
            middle = float(np.median(marrow))
            contrast[box][where] = (image[box][where] - middle) / _spread(marrow, middle)
    blur = [0.0 if axis == across else BLUR_MM / mm for axis, mm in enumerate(spacing_mm)]
    return Conspicuity(np.where(body, np.abs(ndimage.gaussian_filter(found, (0.0, *blur))), 0), body)


def standing_out(
    box: tuple[slice, ...],
    where: NDArray[np.bool_],
    core: NDArray[np.bool_],
    seen: Conspicuity,
    *,
    least_sd: float,
) -> list[NDArray[np.bool_]]:
    """Give the parts of a candidate in a body that stand out.

    Parameters
    ----------
    box : tuple of slice
        Where it lies.
    where : ndarray of bool, shape of the box
        The candidate.
    core : ndarray of bool, shape of the box
        What the network is surest of.
    seen : Conspicuity
        Of the whole image.
    least_sd : float
        Contrast that the core must reach in one series.

    Returns
    -------
    list of ndarray of bool, shape of the box
        Connected parts that hold some of the core, possibly none.
    """
    inside, body = where & seen.body[box], seen.body[box]
    contrast = seen.contrast_sd[(slice(None), *box)]
    at = core & inside if (core & inside).any() else inside
    reached = np.quantile(contrast[:, at], CORE_QUANTILE, axis=1)
    best = int(np.argmax(reached))
    if reached[best] < least_sd:
        return []
    kept = where & ((contrast[best] > EDGE_SHARE * reached[best]) | ~body)
    labels, n = cc3d.connected_components(kept, connectivity=18, return_N=True)
    return [part for i in range(1, n + 1) if ((part := labels == i) & core).any()]


def compact_spots(
    seen: Conspicuity,
    taken: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    *,
    least_sd: float,
    second_sd: float,
    least_mm3: float,
) -> list[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
    """Find what stands out far by itself within bodies.

    Parameters
    ----------
    seen : Conspicuity
        Of the whole image.
    taken : ndarray of bool, shape of the image
        Where there is a candidate already.
    spacing_mm : tuple of float
        Voxel size; slices lie along the largest.
    least_sd : float
        Contrast that every voxel of the core has in one series.
    second_sd : float
        The same in a second series, where there are several: chance and artifacts stand out in one.
    least_mm3 : float
        Volume of the smallest core.

    Returns
    -------
    list of tuple
        A box and its voxels for each.
    """
    if not len(seen.contrast_sd):
        return []
    across, voxel_mm3 = int(np.argmax(spacing_mm)), float(np.prod(spacing_mm))
    # The outermost pixels of a body hold cortex and disc in part.
    inner = ndimage.binary_erosion(seen.body, np.ones([1 if axis == across else 3 for axis in range(3)]))
    order = np.sort(seen.contrast_sd, axis=0)[::-1]
    far = inner & ~taken & (order[0] > least_sd)
    if len(order) > 1:
        far &= order[1] > second_sd
    labels, n = cc3d.connected_components(far, connectivity=6, return_N=True)
    reach = [int(np.ceil(GROWN_MM / mm)) for mm in spacing_mm]
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, n), start=1):
        if box is None or (labels[box] == number).sum() * voxel_mm3 < least_mm3:
            continue
        wide = tuple(
            slice(max(s.start - r, 0), min(s.stop + r, size)) for s, r, size in zip(box, reach, far.shape, strict=True)
        )
        core = labels[wide] == number
        contrast = seen.contrast_sd[(slice(None), *wide)]
        medians = np.median(contrast[:, core], axis=1)
        best = int(np.argmax(medians))
        around = (contrast[best] > EDGE_SHARE * medians[best]) & seen.body[wide] & ~taken[wide]
        parts, _ = cc3d.connected_components(around | core, connectivity=6, return_N=True)
        found.append((wide, parts == np.bincount(parts[core]).argmax()))
    return found


def _spread(marrow: NDArray[np.floating], middle: float) -> float:
    """Standard deviation of marrow by its middle or its tails, whichever is larger."""
    around = TO_SD * float(np.median(np.abs(marrow - middle)))
    low, high = np.quantile(marrow, TAILS)
    return max(around, float(high - low) / SD_BETWEEN_TAILS, LEAST_SPREAD)


def _joined(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box that holds all."""
    axes = zip(*boxes, strict=True)
    return tuple(slice(min(s.start for s in a), max(s.stop for s in a)) for a in axes)
