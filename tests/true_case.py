"""A case whose outlines are the truth of a synthetic patient: what a perfect analysis would have found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Case, Lesion, Sequence, Structure, Vertebra
from spondyl.lesions.measure import longest_diameter_mm

if TYPE_CHECKING:
    from spondyl.phantom.patient import SyntheticPatient

BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)


def true_case(patient: SyntheticPatient, case_id: str = "case-true", *, malignant: float = 1.0) -> Case:
    """The case of a patient, with true outlines on the grid of its first T2 image."""
    image = next((i for i in patient.images if i.sequence is Sequence.T2), patient.images[0])
    grid, labels = image.grid, patient.labels_on(image.grid)
    voxel = grid.voxel_volume_mm3
    bodies = np.where(np.isin(labels["structures"].array, BODY), labels["vertebrae"].array, 0)
    vertebrae = []
    for truth in patient.anatomy.vertebrae:
        voxels = np.argwhere(bodies == truth.instance)
        if len(voxels) < 30:
            continue
        edge = bool((voxels[:, 1] == 0).any() or (voxels[:, 1] == grid.shape[1] - 1).any())
        x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
        volume = len(voxels) * voxel
        vertebrae.append(Vertebra(truth.instance, truth.level, 1.0, False, "", (x, y, z), volume, 1.0, at_edge=edge))
    lesions = []
    for truth in patient.anatomy.lesions:
        voxels = np.argwhere(labels["lesions"].array == truth.label)
        if len(voxels) < 3:
            continue
        x, y, z = (float(c) for c in grid.ijk_to_lps(voxels.mean(0)))
        p = {"malignant": malignant, "benign": 1 - malignant, "normal": 0.0}
        diameter = longest_diameter_mm(voxels, grid)
        lesions.append(
            Lesion(
                truth.label,
                truth.instance,
                truth.level,
                len(voxels) * voxel,
                diameter,
                (x, y, z),
                p,
                1.0,
                0.0,
                ("T2",),
                compartment=truth.compartment.value,
            )
        )
    images = {}
    for i in patient.images:
        images.setdefault(i.sequence, i)
    return Case(
        case_id, images, reference=image.sequence, labels=labels, vertebrae=tuple(vertebrae), lesions=tuple(lesions)
    )
