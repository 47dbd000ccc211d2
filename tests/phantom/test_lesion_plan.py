"""Patients have what people have: mimics as often as published, fractures with age, tumors by their primary."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom.kinds import MALIGNANT, Compartment, LesionKind, compartment_of
from spondyl.phantom.lesion_plan import HARDWARE_SHARE, INTRADURAL_SHARES, MIXES, PREVALENCE, PRIMARIES, make_plan
from spondyl.phantom.person import Person
from spondyl.phantom.spine import sample_spine

N = 600


@pytest.fixture(scope="module")
def hosts():
    person = Person(55.0, female=True)
    return [s for s in sample_spine(np.random.default_rng(3), top="T8", person=person) if s.level not in ("S3", "S4")]


def _plans(hosts, mix, person=None, n=N):
    person = person or Person(55.0, female=True)
    return [make_plan(np.random.default_rng(seed), hosts, mix, person) for seed in range(n)]


@pytest.mark.parametrize(
    "kinds",
    [
        {LesionKind.HEMANGIOMA, LesionKind.HEMANGIOMA_ATYPICAL},
        {LesionKind.FATTY},
        {LesionKind.BONE_ISLAND},
        {LesionKind.MODIC_1, LesionKind.MODIC_2, LesionKind.MODIC_3},
    ],
)
def test_mimics_are_as_common_as_published(hosts, kinds):
    shares = [any(p.kind in kinds for p in plan.lesions) for plan in _plans(hosts, "prevalence")]
    expected = 1 - np.prod([1 - PREVALENCE[k] for k in kinds])
    assert np.mean(shares) == pytest.approx(expected, abs=0.05)


def test_published_shares_stand_as_published():
    # Kasch 2019: hemangioma 28 %, fat 13 %, sclerosis 1.7 %.
    hemangioma = PREVALENCE[LesionKind.HEMANGIOMA] + PREVALENCE[LesionKind.HEMANGIOMA_ATYPICAL]
    assert hemangioma == pytest.approx(0.28, abs=0.005)
    assert PREVALENCE[LesionKind.FATTY] == 0.13
    assert PREVALENCE[LesionKind.BONE_ISLAND] == 0.017
    modic = [PREVALENCE[k] for k in (LesionKind.MODIC_1, LesionKind.MODIC_2, LesionKind.MODIC_3)]
    assert modic[1] == max(modic)
    assert modic[2] == min(modic)


def test_fractures_of_weak_bone_come_with_age(hosts):
    kinds = {LesionKind.OSTEOPOROTIC_FRACTURE, LesionKind.OSTEOPOROTIC_FRACTURE_OLD}
    young, old = (
        np.mean(
            [
                any(p.kind in kinds for p in plan.lesions)
                for plan in _plans(hosts, "prevalence", Person(age, female=True))
            ]
        )
        for age in (40.0, 82.0)
    )
    assert young == 0
    assert 0.1 < old < 0.35


def test_a_mix_holds_what_it_says(hosts):
    for mix, allowed in (("malignant", {True}), ("benign", {False}), ("mixed", {True, False}), ("none", set())):
        assert {p.kind in MALIGNANT for plan in _plans(hosts, mix, n=200) for p in plan.lesions} == allowed


def test_every_kind_is_drawn_for_training(hosts):
    drawn = {p.kind for plan in _plans(hosts, "mixed", n=4000) for p in plan.lesions}
    assert drawn == set(LesionKind)


def test_shares_add_up():
    assert sum(share for share, _ in PRIMARIES.values()) == pytest.approx(1)
    for _, kinds in PRIMARIES.values():
        assert sum(kinds.values()) == pytest.approx(1)
    assert sum(INTRADURAL_SHARES.values()) == pytest.approx(1)
    assert set(HARDWARE_SHARE) == set(MIXES)


def test_some_patients_have_metal_and_healthy_ones_none(hosts):
    assert any(plan.hardware.screws for plan in _plans(hosts, "malignant"))
    assert not any(plan.hardware.screws or plan.lesions for plan in _plans(hosts, "none"))
    for plan in _plans(hosts, "malignant"):
        assert set(plan.hardware.screws) <= {s.level for s in hosts}


def test_children_have_no_metastases(hosts):
    for plan in _plans(hosts, "mixed", Person(8.0, female=False), n=200):
        assert not any(p.kind in MALIGNANT and compartment_of(p.kind) is Compartment.BONE for p in plan.lesions)


def test_no_vertebra_breaks_twice(hosts):
    breaking = {
        LesionKind.OSTEOPOROTIC_FRACTURE,
        LesionKind.OSTEOPOROTIC_FRACTURE_OLD,
        LesionKind.PATHOLOGICAL_FRACTURE,
    }
    for plan in _plans(hosts, "mixed"):
        broken = [p.level for p in plan.lesions if p.kind in breaking]
        assert len(broken) == len(set(broken))


def test_a_radiation_field_covers_neighbors_with_the_same_edges(hosts):
    fields = [[p for p in plan.lesions if p.kind is LesionKind.RADIATION] for plan in _plans(hosts, "mixed", n=2000)]
    fields = [f for f in fields if f]
    assert fields
    for field in fields:
        assert len({p.span_mm for p in field}) == 1
        assert field[0].span_mm[0] < field[0].span_mm[1]
