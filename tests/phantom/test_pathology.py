"""Lesions are painted where they belong, and their truth is what was painted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spondyl.core import SettingsError, Structure
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.kinds import CLASS_OF_KIND, MALIGNANT, Compartment, LesionKind, compartment_of
from spondyl.phantom.tissue import Tissue

HOST, SEED = "L3", 2_000_004
IN_CORD = (LesionKind.EPENDYMOMA, LesionKind.ASTROCYTOMA, LesionKind.CORD_METASTASIS)
FRACTURES = (
    LesionKind.PATHOLOGICAL_FRACTURE,
    LesionKind.OSTEOPOROTIC_FRACTURE,
    LesionKind.OSTEOPOROTIC_FRACTURE_OLD,
)
ACROSS_DISC = (LesionKind.MODIC_1, LesionKind.MODIC_2, LesionKind.MODIC_3, LesionKind.DISCITIS, LesionKind.FACET_EDEMA)
IN_BONE_ONLY = (
    LesionKind.DIFFUSE,
    LesionKind.MICRONODULAR,
    LesionKind.HEMANGIOMA,
    LesionKind.FATTY,
    LesionKind.RED_MARROW,
    LesionKind.BONE_ISLAND,
    LesionKind.MODIC_1,
    LesionKind.MODIC_2,
    LesionKind.MODIC_3,
    LesionKind.FACET_EDEMA,
    LesionKind.SCHMORL,
    LesionKind.SCHMORL_ACUTE,
    LesionKind.CEMENT,
    LesionKind.RADIATION,
)
BODY = (Structure.BODY, Structure.CORTEX)


@pytest.fixture(scope="module")
def plant(healthy):
    """Make a function that gives the healthy patient with lesions of chosen kinds, in L3 or where the cord is."""
    made = {}

    def _plant(*lesions, seed=SEED):
        if (lesions, seed) not in made:
            made[lesions, seed] = build_anatomy(seed, spacing_mm=healthy.grid.spacing_mm, lesions=lesions)
        return made[lesions, seed]

    return _plant


def _host_of(kind):
    return "T11" if kind in IN_CORD else HOST


@pytest.mark.parametrize("kind", list(LesionKind), ids=lambda k: k.name)
def test_the_truth_of_a_lesion_is_what_was_painted(kind, plant, healthy):
    level = _host_of(kind)
    patient = plant((level, kind))
    (truth,) = patient.lesions
    where = patient.lesion == truth.label
    host = next(v.instance for v in healthy.vertebrae if v.level == level)
    assert (truth.kind, truth.level, truth.instance) == (kind, level, host)
    assert (truth.malignant, truth.lesion_class) == (kind in MALIGNANT, CLASS_OF_KIND[kind])
    assert truth.compartment is compartment_of(kind)
    assert truth.volume_mm3 == pytest.approx(where.sum() * patient.grid.voxel_volume_mm3)
    assert truth.volume_mm3 > 40
    assert host in truth.instances or truth.compartment is not Compartment.BONE
    allowed = {host, host + 1} if kind in ACROSS_DISC else {host}
    if truth.compartment is Compartment.BONE:
        assert set(truth.instances) <= allowed
    near = np.array(next(v for v in patient.vertebrae if v.level == level).center_lps_mm)
    middle = patient.grid.ijk_to_lps(np.argwhere(where)).mean(0)
    assert np.linalg.norm(middle - near) < 60


@pytest.mark.parametrize("kind", [k for k in LesionKind if k not in FRACTURES], ids=lambda k: k.name)
def test_nothing_far_from_a_lesion_changes(kind, plant, healthy):
    patient = plant((_host_of(kind), kind))
    changed = patient.tissue != healthy.tissue
    # The label of salt-and-pepper marrow covers the marrow between the nodules.
    least = 0.1 if kind is LesionKind.MICRONODULAR else 0.3
    assert changed.sum() > least * (patient.lesion > 0).sum()
    reach = ndimage.distance_transform_edt(patient.lesion == 0, sampling=patient.grid.spacing_mm)
    # Edema, caps and rims belong to a lesion's company, not to its outline.
    assert reach[changed].max() < 45
    if kind not in IN_CORD:
        np.testing.assert_array_equal(patient.structure, healthy.structure)


@pytest.mark.parametrize("kind", IN_BONE_ONLY, ids=lambda k: k.name)
def test_what_grows_in_bone_stays_in_bone(kind, plant, healthy):
    where = plant((HOST, kind)).lesion > 0
    outside = (Structure.DISC, Structure.CANAL, Structure.CORD, Structure.BACKGROUND)
    assert not np.isin(healthy.structure[where], outside).any()


@pytest.mark.parametrize("kind", sorted(MALIGNANT - set(IN_CORD) - {LesionKind.LEPTOMENINGEAL} - set(FRACTURES)))
def test_tumors_of_bone_spare_disc_and_cord(kind, plant, healthy):
    for seed in (SEED, 2_000_005):
        patient = plant((HOST, kind), seed=seed)
        assert not np.isin(patient.structure[patient.lesion > 0], (Structure.DISC, Structure.CORD)).any()


@pytest.mark.parametrize("kind", IN_CORD, ids=lambda k: k.name)
def test_cord_tumors_lie_in_a_cord_that_swells(kind, plant, healthy):
    patient = plant(("T11", kind))
    assert (patient.structure[patient.lesion > 0] == Structure.CORD).all()
    cord, before = (a.structure == Structure.CORD for a in (patient, healthy))
    assert cord[before].all()
    assert cord.sum() > before.sum()


@pytest.mark.parametrize("kind", ACROSS_DISC[:3], ids=lambda k: k.name)
def test_modic_changes_lie_along_both_endplates_of_one_disc(kind, plant, healthy):
    patient = plant((HOST, kind))
    (truth,) = patient.lesions
    host = truth.instance
    assert truth.instances == (host, host + 1)
    disc = np.argwhere((healthy.structure == Structure.DISC) & (healthy.instance == host))[:, 1].mean()
    rows = np.argwhere(patient.lesion > 0)[:, 1]
    away = np.abs(rows - disc) * patient.grid.spacing_mm[1]
    # Half a disc, a rim, a tilt and a band of up to 11 mm.
    assert np.percentile(away, 95) < 24


def test_discitis_takes_the_disc_and_both_endplates(plant, healthy):
    patient = plant((HOST, LesionKind.DISCITIS))
    (truth,) = patient.lesions
    disc = (healthy.structure == Structure.DISC) & (healthy.instance == truth.instance)
    assert (patient.lesion[disc] > 0).mean() > 0.8
    assert truth.instances == (truth.instance, truth.instance + 1)


def test_a_schmorl_node_is_disc_tissue_open_to_the_disc(plant, healthy):
    for kind in (LesionKind.SCHMORL, LesionKind.SCHMORL_ACUTE):
        patient = plant((HOST, kind))
        node = (patient.lesion > 0) & np.isin(patient.tissue, (Tissue.DISC_DRY, Tissue.DISC_INTERMEDIATE))
        assert node.any()
        assert (ndimage.binary_dilation(node, iterations=2) & (healthy.structure == Structure.DISC)).any()
        edema = (patient.tissue == Tissue.EDEMA).any()
        assert edema == (kind is LesionKind.SCHMORL_ACUTE)


@pytest.mark.parametrize("kind", FRACTURES, ids=lambda k: k.name)
def test_a_fracture_lowers_its_own_body_and_no_other(kind, plant, healthy):
    for seed in (SEED, 2_000_001):
        patient, whole = plant((HOST, kind), seed=seed), plant(seed=seed)
        (truth,) = patient.lesions
        body = (patient.lesion > 0) & np.isin(patient.structure, BODY)
        assert set(np.unique(patient.instance[body])) == {truth.instance}
        volumes = [
            np.bincount(a.instance[np.isin(a.structure, BODY)], minlength=truth.instance + 2) for a in (patient, whole)
        ]
        assert volumes[0][truth.instance] < 0.97 * volumes[1][truth.instance]
        assert volumes[0][truth.instance + 1] == pytest.approx(volumes[1][truth.instance + 1], rel=0.03)
        assert next(v for v in patient.vertebrae if v.level == HOST).collapse


def test_a_malignant_fracture_pushes_the_back_wall_out_and_a_benign_one_does_not():
    slim = {"spacing_mm": (4.0, 1.0, 1.0), "extent_mm": (60.0, 290.0, 120.0)}

    def bulge(kind):
        patient = build_anatomy(2_000_007, **slim, lesions=[(HOST, kind)])
        truth = next(v for v in patient.vertebrae if v.level == HOST)
        i, j, _ = np.round(patient.grid.lps_to_ijk(truth.center_lps_mm)).astype(int)
        own = (patient.instance == truth.instance) & np.isin(patient.structure, BODY)
        rows = np.flatnonzero(own[i].any(1))
        back = {int(row): int(np.flatnonzero(own[i, row]).max()) for row in rows[2:-2]}
        return back[int(j)] - np.mean([back[min(back)], back[max(back)]])

    assert bulge(LesionKind.PATHOLOGICAL_FRACTURE) > bulge(LesionKind.OSTEOPOROTIC_FRACTURE)


def test_diffuse_disease_fills_the_marrow_and_spares_the_cortex(plant, healthy):
    patient = plant((HOST, LesionKind.DIFFUSE))
    own = healthy.instance == patient.lesions[0].instance
    marrow = own & np.isin(healthy.tissue, (Tissue.MARROW, Tissue.POSTERIOR_MARROW))
    assert (patient.lesion[marrow] > 0).mean() > 0.5
    assert not patient.lesion[own & (healthy.tissue == Tissue.CORTEX)].any()


def test_epidural_tumor_bulges_on_both_sides_of_a_tethered_midline():
    slim = {"spacing_mm": (1.0, 1.5, 1.5), "extent_mm": (60.0, 290.0, 120.0)}
    patient = build_anatomy(2_000_008, **slim, lesions=[("L2", LesionKind.PATHOLOGICAL_FRACTURE)])
    (truth,) = patient.lesions
    tumor = (patient.lesion > 0) & (patient.structure == Structure.CANAL)
    assert truth.epidural
    x = patient.grid.ijk_to_lps(np.argwhere(tumor))[:, 0]
    thickness = np.histogram(x - np.median(x), bins=np.arange(-9, 10, 2))[0]
    assert thickness[4] < thickness[2:7].max()


def test_radiation_change_ends_at_straight_edges(plant, healthy):
    patient = plant((HOST, LesionKind.RADIATION))
    marrow = (patient.lesion > 0) & (patient.tissue == Tissue.FATTY_MARROW)
    assert marrow.any()
    heights = patient.grid.ijk_to_lps(np.argwhere(marrow))[:, 2]
    own = healthy.instance == patient.lesions[0].instance
    inside = own & (healthy.tissue == Tissue.MARROW)
    # Everything between the edges is fat: none of the marrow there stayed.
    z = patient.grid.ijk_to_lps(np.argwhere(inside))[:, 2]
    kept = patient.tissue[inside] == Tissue.MARROW
    assert not kept[(z > heights.min() + 2) & (z < heights.max() - 2)].any()


def test_overlapping_lesions_share_their_voxels_as_their_truth_says(plant):
    kinds = (LesionKind.DIFFUSE, LesionKind.LYTIC, LesionKind.HEMANGIOMA, LesionKind.DIFFUSE)
    patient = plant(*((HOST, kind) for kind in kinds))
    assert [x.label for x in patient.lesions] == sorted(set(patient.lesion[patient.lesion > 0].tolist()))
    for truth in patient.lesions:
        volume = (patient.lesion == truth.label).sum() * patient.grid.voxel_volume_mm3
        assert truth.volume_mm3 == pytest.approx(volume)


def test_every_kind_has_a_class():
    assert set(CLASS_OF_KIND) == set(LesionKind)


@pytest.mark.parametrize(
    ("lesions", "message"),
    [
        ([("L3", "wart")], "a LesionKind, got 'L3' and 'wart'"),
        ([("C2", LesionKind.LYTIC)], "a level in the field of view"),
        ([("L3", LesionKind.FATTY)] * 256, "at most 255 lesions, got 256"),
        ("plenty", "got 'plenty'"),
    ],
)
def test_lesions_that_cannot_be_made_are_a_settings_error(lesions, message):
    with pytest.raises(SettingsError, match=message):
        build_anatomy(SEED, spacing_mm=(8, 4, 4), lesions=lesions)
