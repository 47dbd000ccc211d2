"""Lesions are painted where they belong, and their truth is what was painted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spondyl.core import Structure
from spondyl.phantom import pathology
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.pathology import MALIGNANT, LesionKind
from spondyl.phantom.tissue import Tissue

HOST = "L3"
MODIC = (LesionKind.MODIC_1, LesionKind.MODIC_2, LesionKind.MODIC_3)
GROWING = MALIGNANT - {LesionKind.SCLEROTIC, LesionKind.DIFFUSE}
"""Kinds that may pass the cortex."""


@pytest.fixture
def planted(monkeypatch, healthy):
    """Make a function that gives the healthy patient with lesions of chosen kinds in L3."""

    def plant(*kinds, seed=2_000_004):
        def plan(rng, hosts, mix):
            return [(next(s for s in hosts if s.level == HOST), kind) for kind in kinds]

        monkeypatch.setattr(pathology, "_plan", plan)
        return build_anatomy(seed, spacing_mm=healthy.grid.spacing_mm, lesions="mixed")

    return plant


@pytest.fixture
def host(healthy):
    """Number of the vertebra that gets the lesion."""
    return next(v.instance for v in healthy.vertebrae if v.level == HOST)


@pytest.mark.parametrize("kind", list(LesionKind), ids=lambda k: k.name)
def test_a_lesion_lies_in_its_vertebra_and_never_in_disc_or_cord(kind, planted, healthy, host):
    patient = planted(kind)
    (truth,) = patient.lesions
    where = patient.lesion == truth.label
    assert (truth.kind, truth.level, truth.instance) == (kind, HOST, host)
    assert truth.malignant == (kind in MALIGNANT)
    assert truth.volume_mm3 == pytest.approx(where.sum() * patient.grid.voxel_volume_mm3)
    assert not np.isin(healthy.structure[where], (Structure.DISC, Structure.CORD)).any()
    # A tumor may leave the bone; the bone it destroys is its host's, but for a neighboring joint.
    bone = where & (healthy.instance > 0)
    assert (healthy.instance[bone] == host).mean() > 0.85
    if kind not in GROWING:
        assert not np.isin(healthy.structure[where], (Structure.CANAL, Structure.BACKGROUND)).any()
    # Nothing but the lesion differs from the healthy patient.
    np.testing.assert_array_equal(patient.structure, healthy.structure)
    np.testing.assert_array_equal(patient.tissue[~where], healthy.tissue[~where])
    assert (patient.tissue[where] != healthy.tissue[where]).mean() > 0.8


@pytest.mark.parametrize("kind", MODIC, ids=lambda k: k.name)
def test_modic_changes_lie_along_one_endplate(kind, planted, healthy, host):
    patient = planted(kind)
    rows = np.argwhere(patient.lesion > 0)[:, 1]
    body = np.argwhere((healthy.instance == host) & np.isin(healthy.structure, (Structure.BODY, Structure.CORTEX)))[
        :, 1
    ]
    depth = np.abs(rows - (body.max() if rows.mean() > body.mean() else body.min()))
    # Within 13 mm of its rim: a band of up to 10 mm, hollow endplates and a tilt of a few degrees.
    assert np.percentile(depth, 95) * patient.grid.spacing_mm[1] < 17
    beside = ndimage.binary_dilation(patient.lesion > 0, iterations=2)
    assert (healthy.structure[beside] == Structure.CORTEX).any()


def test_a_schmorl_node_is_disc_tissue_open_to_the_disc(planted, healthy, host):
    patient = planted(LesionKind.SCHMORL)
    node = (patient.lesion > 0) & (patient.tissue == Tissue.ANNULUS)
    assert node.any()
    disc = np.isin(healthy.structure, (Structure.DISC,))
    assert (ndimage.binary_dilation(node, iterations=2) & disc).any()
    assert np.isin(healthy.structure[node], (Structure.BODY, Structure.CORTEX)).all()


def test_a_fracture_stays_below_its_own_upper_endplate(planted, healthy, host):
    for kind in (LesionKind.OSTEOPOROTIC_FRACTURE, LesionKind.PATHOLOGICAL_FRACTURE):
        for seed in (2_000_004, 2_000_001):
            patient = planted(kind, seed=seed)
            number = next(v.instance for v in patient.vertebrae if v.level == HOST)
            body = (patient.lesion > 0) & np.isin(patient.structure, (Structure.BODY, Structure.CORTEX))
            assert set(np.unique(patient.instance[body])) == {number}


def test_diffuse_disease_fills_the_marrow_and_spares_the_cortex(planted, healthy, host):
    patient = planted(LesionKind.DIFFUSE)
    own = healthy.instance == host
    marrow = own & np.isin(healthy.tissue, (Tissue.MARROW, Tissue.POSTERIOR_MARROW))
    assert (patient.lesion[marrow] > 0).mean() > 0.5
    assert not patient.lesion[own & (healthy.tissue == Tissue.CORTEX)].any()


def test_overlapping_lesions_share_their_voxels_as_their_truth_says(planted):
    patient = planted(LesionKind.DIFFUSE, LesionKind.LYTIC, LesionKind.HEMANGIOMA, LesionKind.DIFFUSE)
    assert [x.label for x in patient.lesions] == sorted(set(patient.lesion[patient.lesion > 0].tolist()))
    for truth in patient.lesions:
        volume = (patient.lesion == truth.label).sum() * patient.grid.voxel_volume_mm3
        assert truth.volume_mm3 == pytest.approx(volume)


@pytest.mark.parametrize(("mix", "malignant"), [("malignant", {True}), ("benign", {False})])
def test_a_mix_holds_what_it_says(mix, malignant):
    found = set()
    for seed in range(2_000_040, 2_000_043):
        patient = build_anatomy(seed, spacing_mm=(6.0, 2.5, 2.5), lesions=mix)
        found |= {x.malignant for x in patient.lesions}
    assert found == malignant
