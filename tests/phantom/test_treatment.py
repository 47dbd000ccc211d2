"""Screws go through pedicles, rods join them, and a laminectomy takes the arch away."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.phantom import anatomy
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import Plan, PlannedLesion
from spondyl.phantom.tissue import Tissue
from spondyl.phantom.treatment import Hardware

GRID = {"spacing_mm": (1.5, 1.5, 1.5), "extent_mm": (84.0, 290.0, 150.0)}
SEED = 2_000_080


@pytest.fixture(scope="module")
def before():
    return anatomy.build_anatomy(SEED, lesions="none", **GRID)


@pytest.fixture(scope="module")
def operated():
    plan = Plan((PlannedLesion("L3", LesionKind.LYTIC),), Hardware(("L4", "L2"), ("L3",)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anatomy, "plan_lesions", lambda *_: plan)
        return anatomy.build_anatomy(SEED, **GRID)


def _levels(patient, where):
    names = {v.instance: v.level for v in patient.vertebrae}
    return {names[n] for n in np.unique(patient.instance[where]) if n}


def test_screws_run_through_pedicle_and_body_of_their_levels_on_both_sides(before, operated):
    metal = operated.tissue == Tissue.METAL
    assert _levels(before, metal & (before.structure == Structure.BODY)) == {"L2", "L4"}
    assert {"L2", "L4"} <= _levels(before, metal & (before.structure == Structure.POSTERIOR))
    middle = next(v for v in operated.vertebrae if v.level == "L4").center_lps_mm[0]
    x = operated.grid.ijk_to_lps(np.argwhere(metal))[:, 0] - middle
    assert (x > 8).any()
    assert (x < -8).any()
    assert not np.isin(before.structure[metal], (Structure.CANAL, Structure.CORD)).any()


def test_rods_join_the_screws(operated):
    metal = np.argwhere(operated.tissue == Tissue.METAL)
    rows = np.unique(metal[:, 1])
    assert (np.diff(rows) == 1).all()


def test_a_laminectomy_leaves_scar_and_no_arch_behind_the_sac(before, operated):
    number = next(v.instance for v in before.vertebrae if v.level == "L3")
    arch = (before.structure == Structure.POSTERIOR) & (before.instance == number)
    gone = arch & (operated.structure == Structure.BACKGROUND)
    assert 0.2 < gone.sum() / arch.sum() < 0.95
    assert np.isin(operated.tissue[gone], (Tissue.SCAR, Tissue.FLUID, Tissue.METAL, Tissue.TUMOR_SOFT)).mean() > 0.95


def test_lesions_spare_metal(operated):
    assert not (operated.lesion[operated.tissue == Tissue.METAL] > 0).any()
