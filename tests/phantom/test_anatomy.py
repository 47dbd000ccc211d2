"""A synthetic patient is the same on every grid, complete, and lies where patients lie."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from spondyl.core import LEVELS, SettingsError, Structure
from spondyl.phantom.anatomy import REGIONS, build_anatomy
from spondyl.phantom.placement import cut
from spondyl.phantom.tissue import STRUCTURE_OF_TISSUE, Tissue

BODY = (Structure.BODY, Structure.CORTEX, Structure.S1)

SHARED_TISSUES = (Tissue.BASIVERTEBRAL_VEIN, Tissue.ANNULUS)
"""Tissues that also occur in the sacrum, where the structure is the sacrum's."""


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def _same(a, b):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("tissue", "structure", "instance", "lesion"))


def test_the_same_seed_gives_the_same_patient_and_another_seed_another(healthy):
    arguments = {"spacing_mm": healthy.grid.spacing_mm, "lesions": "none"}
    assert _same(build_anatomy(2_000_004, **arguments), healthy)
    assert not _same(build_anatomy(2_000_005, **arguments), healthy)


def test_another_spacing_shows_the_same_bones(healthy):
    fine = build_anatomy(2_000_004, spacing_mm=(3.0, 1.2, 1.2), lesions="none")
    on_coarse = cut(fine.structure, fine.grid, healthy.grid)
    instance = cut(fine.instance, fine.grid, healthy.grid)
    for structures, least in ((BODY, 0.93), ((Structure.DISC,), 0.85), ((Structure.CANAL, Structure.CORD), 0.9)):
        assert _dice(np.isin(on_coarse, structures), np.isin(healthy.structure, structures)) > least
    number = next(v.instance for v in healthy.vertebrae if v.level == "L2")
    assert _dice(instance == number, healthy.instance == number) > 0.85
    assert [v.level for v in fine.vertebrae][-6:] == [v.level for v in healthy.vertebrae][-6:]


def test_lesions_keep_kind_and_level_on_another_spacing():
    coarse, fine = (build_anatomy(2_000_003, spacing_mm=s) for s in ((4.0, 1.5, 1.5), (3.0, 1.5, 1.5)))
    assert len(coarse.lesions) > 2
    assert [(x.kind, x.level) for x in coarse.lesions] == [(x.kind, x.level) for x in fine.lesions]


def test_every_visible_level_appears_once_from_the_head_down(healthy):
    levels = [v.level for v in healthy.vertebrae]
    numbers = [v.instance for v in healthy.vertebrae]
    places = [LEVELS.index(level) for level in levels]
    assert places == sorted(set(places))
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    height = [v.center_lps_mm[2] for v in healthy.vertebrae]
    assert height == sorted(height, reverse=True)
    bone = np.isin(healthy.structure, (*BODY, Structure.SACRUM))
    assert set(np.unique(healthy.instance[bone])) == set(numbers)


def test_the_truth_of_a_vertebra_is_what_was_painted(healthy):
    for vertebra in (v for v in healthy.vertebrae if v.level in ("L2", "L3", "L4")):
        body = (healthy.instance == vertebra.instance) & np.isin(healthy.structure, BODY)
        center = healthy.grid.ijk_to_lps(np.argwhere(body).mean(0))
        np.testing.assert_allclose(center, vertebra.center_lps_mm, atol=3.0)
        box = 2 * vertebra.half_width_mm * 2 * vertebra.half_depth_mm * vertebra.height_mm
        # A waisted ellipse with hollow endplates fills between half and nine tenths of its box.
        assert 0.5 < body.sum() * healthy.grid.voxel_volume_mm3 / box < 0.9
        pieces = np.bincount(cc3d.connected_components(body, connectivity=6).ravel())[1:]
        assert pieces.max() > 0.99 * pieces.sum()


def test_structures_agree_with_healthy_tissue(healthy):
    sacral = np.isin(healthy.structure, (Structure.S1, Structure.SACRUM))
    for tissue in np.flatnonzero(STRUCTURE_OF_TISSUE):
        where = (healthy.tissue == tissue) & ~(sacral & (tissue in SHARED_TISSUES))
        expected = {int(STRUCTURE_OF_TISSUE[tissue])}
        assert set(np.unique(healthy.structure[where]).tolist()) <= expected, Tissue(tissue).name
    assert set(np.unique(healthy.tissue[healthy.structure == Structure.BODY])) <= {
        Tissue.MARROW,
        Tissue.BASIVERTEBRAL_VEIN,
        Tissue.FATTY_MARROW,
        Tissue.RED_MARROW,
    }
    assert not healthy.lesion.any()


def test_a_disc_carries_the_number_of_the_body_above(healthy):
    by_level = {v.level: v for v in healthy.vertebrae}
    for upper, lower in (("L2", "L3"), ("L5", "S1")):
        disc = (healthy.structure == Structure.DISC) & (healthy.instance == by_level[upper].instance)
        height = healthy.grid.ijk_to_lps(np.argwhere(disc).mean(0))[2]
        assert by_level[lower].center_lps_mm[2] < height < by_level[upper].center_lps_mm[2]


def test_the_canal_runs_through_without_a_break_behind_the_bodies(healthy):
    canal = np.isin(healthy.structure, (Structure.CANAL, Structure.CORD))
    labels = cc3d.connected_components(canal, connectivity=26)
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.97 * sizes.sum()
    s1 = next(v for v in healthy.vertebrae if v.level == "S1")
    last_row = round(float(healthy.grid.lps_to_ijk(s1.center_lps_mm)[1]))
    assert canal[:, :last_row].any(axis=(0, 2)).all()
    body = np.argwhere(np.isin(healthy.structure, BODY))[:, 2].mean()
    assert np.argwhere(canal)[:, 2].mean() > body


def test_the_cord_ends_near_the_first_lumbar_vertebra():
    for seed in range(2_000_010, 2_000_014):
        patient = build_anatomy(seed, spacing_mm=(4.0, 2.0, 1.5), extent_mm=(60.0, 390.0, 160.0), lesions="none")
        tip = patient.grid.ijk_to_lps(np.argwhere(patient.structure == Structure.CORD).max(0))[2]
        center = {v.level: v.center_lps_mm[2] for v in patient.vertebrae}
        # Between the discs T11/T12 and L2/L3, as in nearly all adults.
        assert center["L3"] < tip < center.get("T11", np.inf)


def test_the_back_lies_where_the_grid_says_posterior_is(healthy):
    assert healthy.grid.orientation == "LIP"
    bodies, arches = (np.argwhere(np.isin(healthy.structure, s))[:, 2] for s in (BODY, [Structure.POSTERIOR]))
    assert bodies.mean() + 10 < arches.mean()
    assert (healthy.tissue[:, :, -1] == Tissue.AIR).mean() > 0.3


def test_the_liver_lies_on_the_right():
    for seed in range(2_000_020, 2_000_030):
        patient = build_anatomy(seed, region="thoracolumbar", spacing_mm=(6, 3, 3), extent_mm=(180, 312, 256))
        liver = np.argwhere(patient.tissue == Tissue.LIVER)
        if len(liver) > 2000:
            x = patient.grid.ijk_to_lps(liver)[:, 0]
            # Negative is the patient's right in LPS.
            assert np.mean(x) < np.mean([v.center_lps_mm[0] for v in patient.vertebrae])
            return
    pytest.fail("none of ten patients has a liver in the field of view")


@pytest.mark.slow
def test_the_whole_spine_runs_from_the_atlas_to_the_sacrum():
    patient = build_anatomy(2_000_006, region="whole", spacing_mm=(6, 2.5, 2.5), extent_mm=(108, 800, 300))
    levels = [v.level for v in patient.vertebrae]
    assert levels[0] == "C1"
    assert levels[-1] == "S5"
    assert {f"C{n}" for n in range(1, 8)} | {f"T{n}" for n in range(1, 11)} < set(levels)
    assert [LEVELS.index(name) for name in levels] == sorted(LEVELS.index(name) for name in levels)


@pytest.mark.parametrize(("region", "level"), [("cervical", "C4"), ("thoracic", "T5"), ("thoracolumbar", "T11")])
def test_a_region_shows_its_vertebrae(region, level):
    patient = build_anatomy(2_000_006, region=region, spacing_mm=(6.0, 2.5, 2.5), lesions="none")
    assert level in [v.level for v in patient.vertebrae]
    # The column does not end below the upper edge of the field, unless its head is in view.
    top = patient.grid.ijk_to_lps([0, 0, 0])[2]
    highest = patient.vertebrae[0]
    assert highest.level == "C1" or top - highest.center_lps_mm[2] < 45


@pytest.mark.parametrize("dealt", [False, True])
def test_ribs_lie_beside_the_vertebrae_that_bear_them(dealt):
    anatomy = build_anatomy(
        2_000_004, region="thoracolumbar", spacing_mm=(2.0, 1.5, 1.5), lesions="none", dealt_ribs=dealt
    )
    ribs = np.isin(anatomy.tissue, (Tissue.RIB_CORTEX, Tissue.RIB_MARROW))
    truth = [v for v in anatomy.vertebrae if v.level[0] in "TL"]
    beside = []
    for v in truth:
        # A rib's neck, beside the upper half of the body it belongs to.
        offset = np.array([[side * (v.half_width_mm + 8), v.half_depth_mm + 4, 0.25 * v.height_mm] for side in (1, -1)])
        at = np.round(anatomy.grid.lps_to_ijk(v.center_lps_mm + offset)).astype(int)
        around = [tuple(slice(max(i - 2, 0), i + 3) for i in place) for place in at]
        beside.append(any(ribs[box].any() for box in around))
    assert np.mean([b == v.bears_ribs for b, v in zip(beside, truth, strict=True)]) > 0.8
    assert all(v.bears_ribs == (v.level[0] == "T") for v in truth) is not dealt
    assert not any(v.bears_ribs for v in anatomy.vertebrae if v.level[0] == "S")


def test_an_unknown_region_or_mix_is_a_settings_error():
    with pytest.raises(SettingsError, match="'abdomen'"):
        build_anatomy(1, region="abdomen")
    with pytest.raises(SettingsError, match="'some'"):
        build_anatomy(1, spacing_mm=(8, 4, 4), lesions="some")
    assert "lumbar" in REGIONS
