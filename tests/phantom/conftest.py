"""A patient of blocks: enough tissue for the scanner, made in milliseconds."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Structure
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.bench import Subject
from spondyl.phantom.placement import find_landmarks
from spondyl.phantom.texture import cells_of, texture_volume
from spondyl.phantom.tissue import Tissue

COARSE_MM = (4.0, 1.5, 1.5)
"""Voxels large enough that a patient takes half a second."""

HEALTHY_SEED = 2_000_004


@pytest.fixture(scope="session")
def blocks():
    """Grid, tissue, structure and instance map of a column of five bodies in muscle, fat behind and air around."""
    grid = Grid((24, 120, 100), [[3, 0, 0, -36], [0, 0, 1.5, -60], [0, -1.5, 0, 90], [0, 0, 0, 1]])
    tissue = np.full(grid.shape, Tissue.MUSCLE, np.uint8)
    structure, instance = (np.zeros(grid.shape, np.uint8) for _ in range(2))
    tissue[:, :, 88:] = Tissue.AIR
    tissue[:, :, 76:88] = Tissue.SUBCUTANEOUS_FAT
    tissue[:, :, 56:64] = Tissue.CSF
    structure[:, :, 56:64] = Structure.CANAL
    for n in range(5):
        top = 4 + 23 * n
        tissue[6:18, top : top + 17, 32:54] = Tissue.MARROW
        structure[6:18, top : top + 17, 32:54] = Structure.BODY
        tissue[6:18, top + 17 : top + 23, 32:54] = Tissue.NUCLEUS
        structure[6:18, top + 17 : top + 23, 32:54] = Structure.DISC
        instance[6:18, top : top + 23, 32:54] = n + 1
    return grid, tissue, structure, instance


@pytest.fixture(scope="session")
def subject(blocks):
    """The patient of blocks, ready to be scanned in untilted sagittal slices."""
    grid, tissue, structure, instance = blocks
    texture = texture_volume(np.random.default_rng(5), tissue, instance, grid.spacing_mm)
    return Subject(cells_of(tissue, texture), grid, find_landmarks(grid, tissue, structure))


@pytest.fixture(scope="session")
def healthy():
    """A patient without lesions, in voxels of 4 x 1.5 x 1.5 mm."""
    return build_anatomy(HEALTHY_SEED, spacing_mm=COARSE_MM, lesions="none")
