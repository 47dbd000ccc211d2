"""How far marrow stands out from the patient's own marrow: what readers go by, and the network is held against.

A network that learned from synthetic patients takes marrow that is merely uneven for disease, draws what it finds too
wide, and passes over what it has never seen. So marrow is held against that of its vertebra and the two beside it. What
the network finds in a body and does not stand out is dropped, and what does keeps the part that stands out at least
half as far as its core, the usual edge between two intensities. What differs from its surroundings is found besides,
whatever the network says (`spondyl.lesions.spots`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cc3d
import numpy as np
from scipy import ndimage

from spondyl.core.at_once import at_once
from spondyl.core.marrow import TO_SD
from spondyl.lesions.spots import EDGE_SHARE, spot_contrast, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLUR_REACH_SD = 4.0
"""Standard deviations at which the blur of the contrast ends."""

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

CORE_QUANTILE = 0.9
"""Quantile over the core of a candidate that stands for its contrast: the network's core is wider than a small lesion.
Chosen by us."""

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
        Distance from the normal marrow of the vertebra and its neighbors, in standard deviations of that, without sign;
        0 where there is none.
    spot_sd : ndarray of float32, shape (n_series, n_i, n_j, n_k)
        Difference from the surroundings; see `spondyl.lesions.spots.spot_contrast`.
    body : ndarray of bool, shape (n_i, n_j, n_k)
        Where both are known.
    """

    contrast_sd: NDArray[np.float32]
    spot_sd: NDArray[np.float32]
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
    across, inner = int(np.argmax(spacing_mm)), within(body, spacing_mm)
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
    blur = np.array([0.0 if axis == across else BLUR_MM / mm for axis, mm in enumerate(spacing_mm)])
    known = [b for b in boxes if b is not None]
    if known:
        reach = np.ceil(BLUR_REACH_SD * blur).astype(int) + 1
        ends = zip(_joined(known), reach, body.shape, strict=True)
        near = tuple(slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in ends)
        blurred = at_once(lambda c: ndimage.gaussian_filter(c[near], blur, truncate=BLUR_REACH_SD), found)
        for contrast, smooth in zip(found, blurred, strict=True):
            contrast[near] = np.where(body[near], np.abs(smooth), 0)
    return Conspicuity(found, spot_contrast(series, body, spacing_mm), body)


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


def _spread(marrow: NDArray[np.floating], middle: float) -> float:
    """Standard deviation of marrow by its middle or its tails, whichever is larger."""
    around = TO_SD * float(np.median(np.abs(marrow - middle)))
    low, high = np.quantile(marrow, TAILS)
    return max(around, float(high - low) / SD_BETWEEN_TAILS, LEAST_SPREAD)


def _joined(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box that holds all."""
    axes = zip(*boxes, strict=True)
    return tuple(slice(min(s.start for s in a), max(s.stop for s in a)) for a in axes)
