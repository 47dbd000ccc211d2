"""The canal holds a cord of published size, and roots leave below their pedicles."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.canal import CORD_SIZE_MM
from spondyl.phantom.tissue import Tissue


@pytest.fixture(scope="module")
def patients():
    """Three narrow fields around the column, fine enough for roots and cord."""
    size = {"spacing_mm": (1.0, 1.0, 1.0), "extent_mm": (56.0, 280.0, 110.0), "region": "thoracolumbar"}
    return [build_anatomy(seed, lesions="none", age_years=50, **size) for seed in (2_000_060, 2_000_061, 2_000_062)]


@pytest.mark.slow
def test_the_cord_is_as_thick_as_measured(patients):
    ratios = []
    for patient in patients:
        grid, cord = patient.grid, patient.structure == Structure.CORD
        t11 = next(v for v in patient.vertebrae if v.level == "T11")
        row = round(float(grid.lps_to_ijk(t11.center_lps_mm)[1]))
        area = cord[:, row - 3 : row + 4].sum(axis=(0, 2)).mean() * grid.spacing_mm[0] * grid.spacing_mm[2]
        width, depth = CORD_SIZE_MM["T11"]
        ratios.append(area / (np.pi / 4 * width * depth))
    # Published standard deviations are 16 to 25 % of width and depth.
    assert 0.75 < np.mean(ratios) < 1.25
    assert 0.5 < min(ratios) <= max(ratios) < 1.5


def _heights_beside(patient, tissue, upper, lower):
    """Heights in mm of a tissue beside the canal, between two bodies."""
    center = {v.level: v.center_lps_mm for v in patient.vertebrae}
    (x0, y0, top), bottom = center[upper], center[lower][2]
    x, y, z = patient.grid.ijk_to_lps(np.argwhere(patient.tissue == tissue)).T
    return z[(np.abs(x - x0) > 12) & (np.abs(y - y0) < 45) & (z < top) & (z > bottom)]


@pytest.mark.slow
def test_roots_leave_through_fat_below_the_pedicle(patients):
    for patient in patients:
        roots, fat = (_heights_beside(patient, t, "T12", "L1") for t in (Tissue.ROOTS, Tissue.EPIDURAL_FAT))
        assert len(fat) > len(roots) > 10
        # In the upper part of the foramen, under the pedicle.
        assert roots.mean() > fat.mean()


def test_worn_patients_have_narrower_canals():
    def narrowest(age):
        patient = build_anatomy(2_000_063, spacing_mm=(3, 1.5, 1.5), lesions="none", age_years=age)
        canal = np.isin(patient.structure, (Structure.CANAL, Structure.CORD))
        return np.percentile(canal.sum(axis=(0, 2))[40:140], 5)

    assert narrowest(85) <= narrowest(25)
