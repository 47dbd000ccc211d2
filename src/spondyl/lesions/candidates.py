"""From lesion probabilities to candidates: pure functions on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cc3d
import edt
import numpy as np
from scipy import ndimage

from spondyl.core import Structure
from spondyl.lesions.conspicuity import standing_out
from spondyl.lesions.spots import find_spots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.core import Case
    from spondyl.lesions.conspicuity import Conspicuity

BONE = (Structure.BODY, Structure.CORTEX, Structure.POSTERIOR, Structure.S1, Structure.SACRUM)
"""Structures made of bone."""

PARASPINAL_MM = 10.0
"""How far from bone soft tissue belongs to the search. Chosen by us: farther out, most masses do not come from it."""


class Candidate(NamedTuple):
    """Connected voxels that may be a lesion.

    Parameters
    ----------
    box : tuple of slice
        Where they lie.
    where : ndarray of bool, shape of the box
        The voxels.
    malignant, benign : float
        Mean probabilities over the core, the voxels of which the network is surest.
    peak : float
        Highest probability of any lesion.
    grown : bool
        Whether it reaches from bone into the canal by what an image shows there, so that most of it may lie outside.
    beside : int
        Instance of the vertebra beside which it was found in the canal by what an image shows there, so that it is
        epidural however deep it reaches; 0 for all others.
    """

    box: tuple[slice, ...]
    where: NDArray[np.bool_]
    malignant: float
    benign: float
    peak: float
    grown: bool = False
    beside: int = 0

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each class.

        Returns
        -------
        dict of str to float
            ``malignant``, ``benign`` and ``normal``, summing to 1.
        """
        return {
            "malignant": self.malignant,
            "benign": self.benign,
            "normal": max(0.0, 1 - self.malignant - self.benign),
        }


class Thresholds(NamedTuple):
    """What makes a candidate.

    Parameters
    ----------
    extent : float
        Probability of any lesion from which a voxel belongs to a candidate.
    sure : float
        Probability that it must reach somewhere.
    sure_small : float
        The same of one below `SMALL_MM3`.
    surest : float
        The same where the network errs more: where one series is all there is, and outside of vertebrae.
    contrast_sd : float
        Contrast to normal marrow, in standard deviations of that, from which a candidate in a body ends where its
        contrast does; 0 leaves everything to the network.
    spot_sd : float
        Contrast to the surroundings of what is a candidate by itself; infinite for none.
    min_volume_mm3 : float
        Smallest candidate.
    """

    extent: float
    sure: float
    sure_small: float
    surest: float
    contrast_sd: float
    spot_sd: float
    min_volume_mm3: float


CORE = 0.9
"""Probability of any lesion of what tells how far a candidate stands out, and of which class it is. Chosen by us."""

WHOLE_MM3 = 8000.0
"""From this volume on what the network draws in bodies must stand out from marrow: about half a lumbar body. Disease of
whole vertebrae is what it sees most often where there is none, and has a second reader. Chosen by us, on synthetic
validation patients and on real series without known disease."""

SMALL_MM3 = 1000.0
"""Lesions below 1 mL are told apart: detection below it is unreliable everywhere (Wuts 2025)."""

OUTSIDE_SHARE = 0.5
"""A candidate with less of it in vertebrae lies outside them, such as in the sacrum below S1. Chosen by us."""

EVEN_ODDS = 0.5
"""Least probability of any lesion told of what stands out far by itself: the network passes over it, the picture does
not. Chosen by us."""


def search_region(structures: NDArray[np.integer], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Say where candidates are sought: in bone, in the canal, and close to bone, but not in discs.

    Parameters
    ----------
    structures : ndarray of int
        Values of `Structure`.
    spacing_mm : tuple of float
        Voxel size along each axis, in mm.

    Returns
    -------
    ndarray of bool
        True where candidates are sought.
    """
    bone = np.isin(structures, BONE)
    if not bone.any():
        return bone
    reach = [int(np.ceil(PARASPINAL_MM / mm)) for mm in spacing_mm]
    found = ndimage.find_objects(bone.astype(np.uint8))[0]
    box = tuple(slice(max(s.start - r, 0), s.stop + r) for s, r in zip(found, reach, strict=True))
    region = np.isin(structures, (*BONE, Structure.CANAL, Structure.CORD))
    far = edt.edt(np.asfortranarray(~bone[box]), anisotropy=spacing_mm)
    region[box] |= (far < PARASPINAL_MM) & (structures[box] != Structure.DISC)
    return region


def find_candidates(
    malignant: NDArray[np.float32],
    benign: NDArray[np.float32],
    region: NDArray[np.bool_],
    spacing_mm: tuple[float, float, float],
    thresholds: Thresholds,
    *,
    seen: Conspicuity | None = None,
    vertebrae: NDArray[np.bool_] | None = None,
) -> list[Candidate]:
    """Find connected voxels of high probability as far as they stand out, and spots in bodies.

    Parameters
    ----------
    malignant, benign : ndarray of float32
        Probabilities.
    region : ndarray of bool
        Where candidates are sought.
    spacing_mm : tuple of float
        Voxel size.
    thresholds : Thresholds
        What makes a candidate.
    seen : Conspicuity, optional
        How far bodies stand out from normal marrow and from their surroundings; without it only `Thresholds.sure`
        decides.
    vertebrae : ndarray of bool, optional
        Where vertebrae lie; without it nothing lies outside them.

    Returns
    -------
    list of Candidate
        Most suspicious first.

    Notes
    -----
    On one series alone the network takes uneven marrow for disease, so that in bodies only spots count; on several it
    is believed. Its candidates there end where their contrast does, if they stand out; those that do not are left as
    they are as long as they are small, and from `WHOLE_MM3` on are left to a second reader, as disease is that leaves
    no normal marrow to stand out from; see `spondyl.lesions.verdicts`.

    References
    ----------
    Canny 1986, A computational approach to edge detection, doi 10.1109/TPAMI.1986.4767851: two thresholds.
    """
    lesion, voxel_mm3 = np.where(region, malignant + benign, 0), float(np.prod(spacing_mm))
    labels, n = cc3d.connected_components(lesion > thresholds.extent, connectivity=18, return_N=True)
    places = []
    for label, box in enumerate(ndimage.find_objects(labels, n), start=1):
        if box is None:
            continue
        where = labels[box] == label
        if not _too_small(where, voxel_mm3, thresholds):
            volume_mm3 = where.sum() * voxel_mm3
            alone = seen is not None and len(seen.contrast_sd) == 1
            outside = vertebrae is not None and (where & vertebrae[box]).sum() < OUTSIDE_SHARE * where.sum()
            sure = thresholds.sure_small if volume_mm3 < SMALL_MM3 else thresholds.sure
            if not (where & (lesion[box] > (thresholds.surest if alone or outside else sure))).any():
                continue
            core = where & (lesion[box] > min(CORE, sure))
            parts = _believed(box, where, core, thresholds.contrast_sd, seen, small=volume_mm3 < WHOLE_MM3)
            places += [(box, _filled(part, spacing_mm)) for part in parts]
    found = [
        _candidate(box, part, malignant, benign, core=CORE)
        for box, part in places
        if not _too_small(part, voxel_mm3, thresholds)
    ]
    if seen is not None and np.isfinite(thresholds.spot_sd):
        taken = np.zeros(lesion.shape, bool)
        for candidate in found:
            taken[candidate.box] |= candidate.where
        spots = find_spots(seen, lesion, taken, spacing_mm, least_sd=thresholds.spot_sd)
        found += [_even(_candidate(box, _filled(s, spacing_mm), malignant, benign, core=0.0)) for box, s in spots]
    return sorted(found, key=lambda c: -c.malignant)


def host_of(candidate: Candidate, case: Case) -> int:
    """Say to which vertebra a candidate belongs.

    Parameters
    ----------
    candidate : Candidate
        The candidate.
    case : Case
        Localized.

    Returns
    -------
    int
        Instance of the one it was found beside, or else of the one that holds most of it; 0 where there is none.
    """
    if candidate.beside:
        return candidate.beside
    inside = case.labels["vertebrae"].array[candidate.box][candidate.where]
    inside = inside[inside > 0]
    return int(np.bincount(inside).argmax()) if len(inside) else 0


def by_vertebra(
    candidates: Sequence[Candidate],
    instances: NDArray[np.integer],
    probabilities: tuple[NDArray[np.float32], NDArray[np.float32]],
    spacing_mm: tuple[float, float, float],
) -> list[Candidate]:
    """Take candidates apart that reach across several vertebrae: disease of the marrow is told vertebra by vertebra.

    Parameters
    ----------
    candidates : sequence of Candidate
        From `find_candidates`.
    instances : ndarray of int
        Number of each vertebra, 0 elsewhere.
    probabilities : tuple of ndarray of float32
        Malignant and benign.
    spacing_mm : tuple of float
        Voxel size.

    Returns
    -------
    list of Candidate
        Most suspicious first. What lies in no vertebra goes with the nearest that the candidate reaches. A candidate
        in two vertebrae stays one: infection and masses beside the spine do that.
    """
    voxel_mm3, parts = float(np.prod(spacing_mm)), list[Candidate]()
    for candidate in candidates:
        numbers = np.where(candidate.where, instances[candidate.box], 0)
        volumes = np.bincount(numbers.ravel()) * voxel_mm3
        reached = [n for n in range(1, len(volumes)) if volumes[n] >= REACHED_MM3]
        if len(reached) < SEVERAL:
            parts.append(candidate)
            continue
        own = np.where(np.isin(numbers, reached), numbers, 0)
        nearest = ndimage.distance_transform_edt(
            own == 0, sampling=spacing_mm, return_distances=False, return_indices=True
        )
        host = np.where(candidate.where, own[tuple(nearest)], 0)
        parts += [_candidate(candidate.box, host == n, *probabilities, core=CORE) for n in reached]
    return sorted(parts, key=lambda c: -c.malignant)


def _believed(
    box: tuple[slice, ...],
    where: NDArray[np.bool_],
    core: NDArray[np.bool_],
    contrast_sd: float,
    seen: Conspicuity | None,
    *,
    small: bool,
) -> list[NDArray[np.bool_]]:
    """What remains of connected voxels of which the network is sure."""
    if seen is None or not contrast_sd or not seen.mostly_body(box, where):
        return [where]
    if len(seen.contrast_sd) == 1:
        return []
    parts = standing_out(box, where, core, seen, least_sd=contrast_sd)
    return [where] if small and not parts else parts


def _filled(where: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Close what a candidate surrounds in its slices: single voxels like normal marrow are part of a lesion."""
    plane = ndimage.generate_binary_structure(3, 1)
    across = int(np.argmax(spacing_mm))
    plane[tuple(slice(None, None, 2) if axis == across else 1 for axis in range(3))] = False
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(where, plane)
    return filled


def _candidate(
    box: tuple[slice, ...],
    where: NDArray[np.bool_],
    malignant: NDArray[np.float32],
    benign: NDArray[np.float32],
    *,
    core: float,
) -> Candidate:
    inner = ndimage.find_objects(where.astype(np.uint8))[0]
    box = tuple(slice(b.start + i.start, b.start + i.stop) for b, i in zip(box, inner, strict=True))
    where, lesion = where[inner], malignant[box] + benign[box]
    surest = where & (lesion > core)
    surest = surest if surest.any() else where
    peak = float(lesion[where].max())
    return Candidate(box, where, float(malignant[box][surest].mean()), float(benign[box][surest].mean()), peak)


def _even(spot: Candidate) -> Candidate:
    """Give what stands out by itself at least even odds, shared as the network shares its own."""
    known = spot.malignant + spot.benign
    share, any_lesion = spot.malignant / known if known > 0 else 0.5, max(known, EVEN_ODDS)
    raised = share * any_lesion, (1 - share) * any_lesion
    return spot._replace(malignant=raised[0], benign=raised[1], peak=max(spot.peak, EVEN_ODDS))


def _too_small(where: NDArray[np.bool_], voxel_mm3: float, thresholds: Thresholds) -> bool:
    return bool(where.sum() * voxel_mm3 < thresholds.min_volume_mm3 or where.sum() < MIN_VOXELS)


SEVERAL = 3
"""Vertebrae from which on a candidate is taken apart. Chosen by us."""

REACHED_MM3 = 500.0
"""Volume in a vertebra from which a candidate reaches it: less grazes it. Chosen by us."""

MIN_VOXELS = 3
"""Fewer voxels than this are noise on any grid. Chosen by us."""
