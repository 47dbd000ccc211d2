"""What lies around the bones is there, and where it belongs."""

from __future__ import annotations

import numpy as np

from spondyl.core import Structure
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.tissue import Tissue


def test_around_the_bodies_lie_muscle_fat_and_vessels(healthy):
    share = np.bincount(healthy.tissue.ravel(), minlength=len(Tissue)) / healthy.tissue.size
    for tissue in (Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT, Tissue.CSF, Tissue.VISCERAL_FAT):
        assert share[tissue] > 0.002, tissue.name


def test_no_spinous_process_pierces_the_subcutaneous_fat(healthy):
    bone = healthy.structure == Structure.POSTERIOR
    behind = np.zeros_like(bone)
    behind[:, :, 1:] = bone[:, :, :-1]
    beside = healthy.tissue[behind & ~bone]
    assert (beside == Tissue.SUBCUTANEOUS_FAT).mean() < 0.02
    assert (beside == Tissue.SKIN).sum() == 0


def test_old_backs_hold_more_fat_between_their_muscles():
    def share(age):
        counts = sum(
            np.bincount(build_anatomy(seed, **coarse, age_years=age).tissue.ravel(), minlength=len(Tissue))
            for seed in range(2_000_031, 2_000_035)
        )
        return counts[Tissue.INTERMUSCULAR_FAT] / counts[Tissue.MUSCLE]

    coarse = {"spacing_mm": (5, 2.5, 2.5), "lesions": "none"}
    assert share(85) > 1.2 * share(20)


def test_the_airway_lies_before_the_neck_and_nowhere_else(healthy):
    assert not (healthy.tissue == Tissue.TRACHEA).any()
    neck = build_anatomy(2_000_032, region="cervical", spacing_mm=(4, 2, 2), lesions="none")
    air = np.argwhere(neck.tissue == Tissue.TRACHEA)
    body = np.argwhere(neck.structure == Structure.BODY)
    assert len(air) > 100
    assert air[:, 2].max() < np.percentile(body[:, 2], 90)


def test_there_is_air_before_the_throat():
    neck = build_anatomy(2_000_032, region="cervical", spacing_mm=(4, 2, 2), lesions="none")
    c5 = next(v for v in neck.vertebrae if v.level == "C5")
    i, j, k = np.round(neck.grid.lps_to_ijk(c5.center_lps_mm)).astype(int)
    ahead = np.flatnonzero(neck.tissue[i, j, :k] == Tissue.AIR)
    # The skin of the throat lies 4 to 10 cm before the column.
    assert 40 < (k - ahead.max()) * neck.grid.spacing_mm[2] < 100
