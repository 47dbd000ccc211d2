"""Spots in marrow: what differs from its surroundings more than the patient's marrow of that size does anyway.

A lesion of a centimeter may differ from the marrow around by little more than single voxels of uneven marrow differ
from each other, and is plain to the eye all the same, since marrow is uneven on a smaller scale, or on a larger one. So
bodies are looked at through differences of two blurs, from a few millimeters to a centimeter wide, and each size is
held against the spread of such differences over all bodies of the study (Lindeberg 1998, Feature detection with
automatic scale selection, doi 10.1023/A:1008045108935). What the network believes counts beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cc3d
import numpy as np
from scipy import ndimage
from scipy.special import expit, logit

from spondyl.core.at_once import at_once
from spondyl.core.marrow import TO_SD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.lesions.conspicuity import Conspicuity

    Volume = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SCALES_MM = (1.5, 2.4, 3.84, 6.14, 9.83)
"""Standard deviations of the blurs, each 1.6 times the one before, with which a difference comes closest to the
Laplacian (Marr and Hildreth 1980, Proc R Soc B 207:187). Chosen by us: spots from 4 to 20 mm across."""

ACROSS = 0.7
"""Blur across slices over that within them: slices are thick, and blur by themselves. Chosen by us."""

TRUNCATED = 3.0
"""Standard deviations after which a blur ends."""

LEAST_INSIDE = 0.2
"""Least share of a blur that lies in bodies; with less the difference is chance."""

TAILS, SD_BETWEEN_TAILS = (0.1, 0.9), 2.563
"""Quantiles whose distance tells the spread of differences, too, and that distance in standard deviations of a normal
variable."""

LEAST_SPREAD = 0.015
"""Differences never spread less than this, in units of the networks' channels: 1.5 % of the signal. Chosen by us."""

ODDS_WEIGHT, MOST_ODDS = 0.35, 6.2
"""Standard deviations that one unit of the logarithm of the network's odds is worth, and how large that can be: a
probability of 0.998. Chosen on real volumes with planted lesions and on synthetic validation patients."""

ALONE_SD = 3.0
"""Contrast below which nothing is a spot, however sure the network is. Chosen by us."""

SECOND_BEHIND_SD = 2.0
"""How far the contrast of a second series may lag behind the first, of several: chance and artifacts stand out in one.
Chosen by us."""

LEAST_SD = 1.0
"""Contrast to normal marrow that a spot has at least: what is closer to it is normal marrow. Chosen by us."""

CORE_MM3 = 80.0
"""Smallest volume that must stand out. Chosen by us."""

GROWN_MM = 2.5
"""How far a spot is followed beyond its core, down to half of its contrast. Chosen by us."""

EDGE_SHARE = 0.5
"""Part of the core's contrast at which a spot ends: halfway between two intensities."""


def spot_contrast(series: Sequence[Volume], body: Mask, spacing_mm: tuple[float, float, float]) -> Volume:
    """Measure how far each place in the bodies differs from its surroundings.

    Parameters
    ----------
    series : sequence of ndarray of float32, shape (n_i, n_j, n_k)
        Images without shading, such as the channels of a lesion network.
    body : ndarray of bool, same shape
        Vertebral bodies.
    spacing_mm : tuple of float
        Voxel size; slices lie along the largest.

    Returns
    -------
    ndarray of float32, shape (n_series, n_i, n_j, n_k)
        Without sign, in standard deviations of such differences over all bodies, at the size where that is largest; 0
        at the rim of bodies and outside.
    """
    found = np.zeros((len(series), *body.shape), np.float32)
    inner = within(body, spacing_mm)
    if not inner.any():
        return found
    box = ndimage.find_objects(inner.astype(np.uint8))[0]
    inside = inner[box]
    shares = [_blurred(inside.astype(np.float32), sigma, spacing_mm) for sigma in SCALES_MM]

    def contrast(image: Volume) -> Volume:
        marrow, most = np.where(inside, image[box], 0).astype(np.float32), np.zeros(inside.shape, np.float32)
        means = [
            _blurred(marrow, sigma, spacing_mm) / np.maximum(share, 1e-3)
            for sigma, share in zip(SCALES_MM, shares, strict=True)
        ]
        for fine, coarse, share in zip(means, means[1:], shares, strict=False):
            known = inside & (share > LEAST_INSIDE)
            if known.any():
                most = np.maximum(most, _standardized(fine - coarse, known))
        return most

    for whole, part in zip(found, at_once(contrast, series), strict=True):
        whole[box] = part
    return found


def within(body: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Leave out the outermost pixels of bodies, which hold cortex and disc in part.

    Parameters
    ----------
    body : ndarray of bool, shape (n_i, n_j, n_k)
        Vertebral bodies.
    spacing_mm : tuple of float
        Voxel size; slices lie along the largest.

    Returns
    -------
    ndarray of bool, same shape
        True inside.
    """
    across = int(np.argmax(spacing_mm))
    inner: Mask = ndimage.binary_erosion(body, np.ones([1 if axis == across else 3 for axis in range(3)]))
    return inner


def find_spots(
    seen: Conspicuity, lesion: Volume, taken: Mask, spacing_mm: tuple[float, float, float], *, least_sd: float
) -> list[tuple[tuple[slice, ...], Mask]]:
    """Find what differs from its surroundings, the more easily the more the network believes it.

    Parameters
    ----------
    seen : Conspicuity
        Of the whole image.
    lesion : ndarray of float32, shape of the image
        Probability of any lesion.
    taken : ndarray of bool, same shape
        Where there is a candidate already.
    spacing_mm : tuple of float
        Voxel size; slices lie along the largest.
    least_sd : float
        Contrast that makes a spot where the network is undecided.

    Returns
    -------
    list of tuple
        A box and its voxels for each.
    """
    if not len(seen.spot_sd):
        return []
    across, voxel_mm3 = int(np.argmax(spacing_mm)), float(np.prod(spacing_mm))
    far: Volume = np.zeros(taken.shape, np.float32)
    core: Mask = np.zeros(taken.shape, bool)
    # Nothing differs from its surroundings but in bodies.
    for part in ndimage.find_objects(seen.body.astype(np.uint8)):
        order = np.sort(seen.spot_sd[(slice(None), *part)], axis=0)[::-1]
        far[part] = order[0] if len(order) == 1 else np.minimum(order[0], order[1] + SECOND_BEHIND_SD)
        # The network's borders are a pixel off now and then.
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in part)
        near = ndimage.maximum_filter(lesion[around], [1 if axis == across else 3 for axis in range(3)])
        near = near[tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(part, around, strict=True))]
        odds = logit(np.clip(near, expit(-MOST_ODDS), expit(MOST_ODDS)))
        core[part] = (far[part] + ODDS_WEIGHT * odds > least_sd) & (far[part] > ALONE_SD) & ~taken[part]
    labels, n = cc3d.connected_components(core, connectivity=18, return_N=True)
    reach = [int(np.ceil(GROWN_MM / mm)) for mm in spacing_mm]
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, n), start=1):
        if box is None or (labels[box] == number).sum() * voxel_mm3 < CORE_MM3:
            continue
        wide = tuple(
            slice(max(s.start - r, 0), min(s.stop + r, size)) for s, r, size in zip(box, reach, core.shape, strict=True)
        )
        own = np.where(labels[wide] == number, far[wide], 0)
        spot = _grown(seen, own > EDGE_SHARE * own.max(), taken[wide], wide)
        if spot is not None:
            found.append((wide, spot))
    return found


def _grown(seen: Conspicuity, core: Mask, taken: Mask, box: tuple[slice, ...]) -> Mask | None:
    """Follow a spot to where its contrast to normal marrow has fallen to half; None where it is normal marrow itself.

    Around a strong spot, found already or not, its surroundings differ from it, too.
    """
    contrast = seen.contrast_sd[(slice(None), *box)]
    medians = np.median(contrast[:, core], axis=1)
    best = int(np.argmax(medians))
    if medians[best] < LEAST_SD:
        return None
    around = (contrast[best] > EDGE_SHARE * medians[best]) & seen.body[box] & ~taken
    parts = cc3d.connected_components(around | core, connectivity=6)
    grown: Mask = parts == np.bincount(parts[core]).argmax()
    return grown


def _blurred(image: Volume, sigma_mm: float, spacing_mm: tuple[float, float, float]) -> Volume:
    across = int(np.argmax(spacing_mm))
    sigmas = [sigma_mm / mm * (ACROSS if axis == across else 1) for axis, mm in enumerate(spacing_mm)]
    blurred: Volume = ndimage.gaussian_filter(image, sigmas, mode="constant", truncate=TRUNCATED)
    return blurred


def _standardized(difference: NDArray[np.floating], known: Mask) -> Volume:
    """Distance from the median, in standard deviations by the middle or by the tails, whichever is larger."""
    values = difference[known]
    middle = float(np.median(values))
    low, high = np.quantile(values, TAILS)
    around = TO_SD * float(np.median(np.abs(values - middle)))
    spread = max(around, float(high - low) / SD_BETWEEN_TAILS, LEAST_SPREAD)
    return np.where(known, np.abs(difference - middle) / spread, 0).astype(np.float32)
