"""A case whose outlines are the truth of a synthetic patient: what a perfect analysis would have found.

It takes the place of the first steps where those after them are measured or tested by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Case, Image, Lesion, Sequence, Structure, Vertebra
from spondyl.lesions.measure import longest_diameter_mm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, LabelMap
    from spondyl.phantom.patient import SyntheticPatient

BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)

MIN_BODY_VOXELS, MIN_LESION_VOXELS = 30, 3
"""Voxels below which a body or a lesion is not seen on a grid. Chosen by us."""


def true_case(patient: SyntheticPatient, case_id: str = "case-true", *, malignant: float = 1.0) -> Case:
    """Give the case of a patient, with true outlines on the grid of its first T2 image.

    Parameters
    ----------
    patient : SyntheticPatient
        With images.
    case_id : str, optional
        What to call it.
    malignant : float, optional
        Probability of malignancy that every lesion is given; the rest is for benign.

    Returns
    -------
    Case
        As after the third step, without maps and history.
    """
    image = next((i for i in patient.images if i.sequence is Sequence.T2), patient.images[0])
    labels = patient.labels_on(image.grid)
    images: dict[Sequence, Image] = {}
    for i in patient.images:
        images.setdefault(i.sequence, i)
    return Case(
        case_id,
        images,
        reference=image.sequence,
        labels=labels,
        vertebrae=_vertebrae(patient, labels, image.grid),
        lesions=_lesions(patient, labels["lesions"].array, image.grid, malignant),
    )


def _vertebrae(patient: SyntheticPatient, labels: dict[str, LabelMap], grid: Grid) -> tuple[Vertebra, ...]:
    bodies = np.where(np.isin(labels["structures"].array, BODY), labels["vertebrae"].array, 0)
    found = []
    for truth in patient.anatomy.vertebrae:
        voxels = np.argwhere(bodies == truth.instance)
        if len(voxels) < MIN_BODY_VOXELS:
            continue
        edge = bool((voxels[:, 1] == 0).any() or (voxels[:, 1] == grid.shape[1] - 1).any())
        x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
        found.append(
            Vertebra(
                instance=truth.instance,
                level=truth.level,
                level_probability=1.0,
                level_uncertain=False,
                level_reason="",
                centroid_lps_mm=(x, y, z),
                volume_mm3=len(voxels) * grid.voxel_volume_mm3,
                detection_confidence=1.0,
                at_edge=edge,
            )
        )
    return tuple(found)


def _lesions(patient: SyntheticPatient, array: NDArray[np.integer], grid: Grid, malignant: float) -> tuple[Lesion, ...]:
    found = []
    for truth in patient.anatomy.lesions:
        voxels = np.argwhere(array == truth.label)
        if len(voxels) < MIN_LESION_VOXELS:
            continue
        x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
        found.append(
            Lesion(
                label=truth.label,
                vertebra_instance=truth.instance,
                level=truth.level,
                volume_mm3=len(voxels) * grid.voxel_volume_mm3,
                longest_diameter_mm=longest_diameter_mm(voxels, grid),
                centroid_lps_mm=(x, y, z),
                probabilities={"malignant": malignant, "benign": 1 - malignant, "normal": 0.0},
                confidence=1.0,
                uncertainty=0.0,
                sequences_used=("T2",),
                compartment=truth.compartment.value,
            )
        )
    return tuple(found)
