"""From lesion probabilities to candidates: pure functions on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cc3d
import edt
import numpy as np
from scipy import ndimage

from spondyl.core import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        Mean probabilities over the core, the voxels above the seed threshold.
    peak : float
        Highest probability of any lesion.
    """

    box: tuple[slice, ...]
    where: NDArray[np.bool_]
    malignant: float
    benign: float
    peak: float

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
    extent, seed : float
        Probability of any lesion from which a voxel belongs to a candidate, and which it must reach somewhere.
    min_volume_mm3 : float
        Smallest candidate.
    """

    extent: float
    seed: float
    min_volume_mm3: float


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
    voxel_mm3: float,
    thresholds: Thresholds,
) -> list[Candidate]:
    """Find connected voxels of high probability, grown to where it stays raised.

    Parameters
    ----------
    malignant, benign : ndarray of float32
        Probabilities.
    region : ndarray of bool
        Where candidates are sought.
    voxel_mm3 : float
        Volume of a voxel, in mm³.
    thresholds : Thresholds
        What makes a candidate.

    Returns
    -------
    list of Candidate
        Most suspicious first.

    References
    ----------
    Canny 1986, A computational approach to edge detection, doi 10.1109/TPAMI.1986.4767851: two thresholds.
    """
    lesion = np.where(region, malignant + benign, 0)
    labels, n = cc3d.connected_components(lesion > thresholds.extent, connectivity=18, return_N=True)
    found = []
    for label, box in enumerate(ndimage.find_objects(labels, n), start=1):
        if box is None:
            continue
        where = labels[box] == label
        core = where & (lesion[box] > thresholds.seed)
        if not core.any() or where.sum() * voxel_mm3 < thresholds.min_volume_mm3 or where.sum() < MIN_VOXELS:
            continue
        means = float(malignant[box][core].mean()), float(benign[box][core].mean())
        found.append(Candidate(box, where, *means, float(lesion[box][core].max())))
    return sorted(found, key=lambda c: -c.malignant)


MIN_VOXELS = 3
"""Fewer voxels than this are noise on any grid. Chosen by us."""
