"""What the synthetic patient is made of: one number per tissue, the same for anatomy, signal and training."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from spondyl.core import Structure


class Tissue(IntEnum):
    """Tissue of a voxel of the phantom."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    MUSCLE = 3
    INTERMUSCULAR_FAT = 4
    LIGAMENT = 5
    MARROW = 6
    CORTEX = 7
    BASIVERTEBRAL_VEIN = 8
    NUCLEUS = 9
    ANNULUS = 10
    DISC_CLEFT = 11
    CSF = 12
    CORD = 13
    ROOTS = 14
    EPIDURAL_FAT = 15
    EPIDURAL_VEIN = 16
    POSTERIOR_MARROW = 17
    POSTERIOR_CORTEX = 18
    CARTILAGE = 19
    SACRAL_MARROW = 20
    SACRAL_CORTEX = 21
    RIB_MARROW = 22
    RIB_CORTEX = 23
    ARTERY = 24
    VEIN = 25
    LIVER = 26
    KIDNEY = 27
    SPLEEN = 28
    BOWEL_WALL = 29
    BOWEL_CONTENT = 30
    BOWEL_GAS = 31
    VISCERAL_FAT = 32
    BLADDER = 33
    LUNG = 34
    TRACHEA = 35
    TUMOR_LYTIC = 36
    TUMOR_SCLEROTIC = 37
    TUMOR_DIFFUSE = 38
    TUMOR_SOFT = 39
    TUMOR_NECROSIS = 40
    HEMANGIOMA = 41
    HEMANGIOMA_ATYPICAL = 42
    FATTY_MARROW = 43
    RED_MARROW = 44
    EDEMA = 45
    SCLEROSIS = 46
    FRACTURE_LINE = 47
    FLUID = 48
    METAL = 49
    DISC_INTERMEDIATE = 50
    DISC_DRY = 51
    VACUUM = 52
    TUMOR_BRIGHT = 53
    TUMOR_TREATED = 54
    MYXOID = 55
    MENINGEAL_TUMOR = 56
    NERVE_TUMOR = 57
    CORD_TUMOR = 58
    CORD_EDEMA = 59
    INFLAMED = 60
    PUS = 61
    CEMENT = 62
    SCAR = 63


N_TISSUES = len(Tissue)

_STRUCTURE = {
    Tissue.MARROW: Structure.BODY,
    Tissue.BASIVERTEBRAL_VEIN: Structure.BODY,
    Tissue.CORTEX: Structure.CORTEX,
    Tissue.NUCLEUS: Structure.DISC,
    Tissue.ANNULUS: Structure.DISC,
    Tissue.DISC_CLEFT: Structure.DISC,
    Tissue.DISC_INTERMEDIATE: Structure.DISC,
    Tissue.DISC_DRY: Structure.DISC,
    Tissue.CSF: Structure.CANAL,
    Tissue.CORD: Structure.CORD,
    Tissue.POSTERIOR_MARROW: Structure.POSTERIOR,
    Tissue.POSTERIOR_CORTEX: Structure.POSTERIOR,
}

STRUCTURE_OF_TISSUE = np.zeros(N_TISSUES, np.uint8)
"""Structure of each healthy tissue that has one of its own, outside the sacrum.

Roots are not in it, for they run through canal and foramina. Lesions keep the structure of the place they grow in.
"""
for _tissue, _structure in _STRUCTURE.items():
    STRUCTURE_OF_TISSUE[_tissue] = _structure
