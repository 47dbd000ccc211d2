"""Vertebrae judged diseased in which nothing was found: disease of all their marrow has no border to find.

The network that outlines lesions and what stands out from the patient's own marrow need normal marrow beside disease.
The context transformer does not: it holds whole vertebrae against discs, muscle, each other, and all sequences. Where
it is sure of disease on several series and there is no candidate, the vertebra is looked at once more: what is
malignant takes the whole body, what is benign the largest part that the network deems least unlikely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cc3d
import numpy as np
from scipy import ndimage

from spondyl.core import Structure
from spondyl.lesions.candidates import Candidate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, Vertebra

TAKEN_SHARE = 0.05
"""Share of a body in candidates from which the disease of the vertebra was found. Chosen on synthetic validation
patients."""

LEAST_PROBABILITY = 0.1
"""Probability of any lesion from which a voxel of a vertebra judged benign belongs to the lesion. Chosen on synthetic
validation patients."""

LEAST_MM3 = 100.0
"""Smallest candidate. Chosen by us."""


def overlooked(case: Case, least: float) -> list[tuple[Vertebra, Candidate]]:
    """Find candidates in vertebrae that are judged diseased and hold none.

    Parameters
    ----------
    case : Case
        With lesions sought and vertebrae judged.
    least : float
        Probability of any lesion in a vertebra from which it is looked at once more.

    Returns
    -------
    list of tuple
        Such vertebrae with the candidate in each, which has the probabilities of the vertebra.
    """
    vertebrae, lesions = case.labels["vertebrae"].array, case.labels["lesions"].array
    structures = case.labels["structures"]
    any_lesion = case.maps["malignant"].array + case.maps["benign"].array
    boxes, found = ndimage.find_objects(vertebrae), []
    for vertebra in case.vertebrae:
        malignant, benign = (vertebra.probabilities.get(name, 0.0) for name in ("malignant", "benign"))
        box = boxes[vertebra.instance - 1] if vertebra.instance <= len(boxes) else None
        if malignant + benign < least or box is None:
            continue
        own, taken = vertebrae[box] == vertebra.instance, lesions[box] > 0
        body = own & np.isin(structures.array[box], (Structure.BODY, Structure.S1))
        if not body.any() or (taken & body).sum() > TAKEN_SHARE * body.sum():
            continue
        where = (body if malignant >= benign else _largest(own & (any_lesion[box] > LEAST_PROBABILITY))) & ~taken
        if where.sum() * structures.grid.voxel_volume_mm3 >= LEAST_MM3:
            found.append((vertebra, Candidate(box, where, malignant, benign, malignant + benign)))
    return found


def _largest(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part."""
    largest: NDArray[np.bool_] = cc3d.largest_k(where, k=1, connectivity=18) > 0
    return largest
