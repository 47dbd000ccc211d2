"""Masses in the canal are candidates where no malignant one lies beside them: drawn T2 images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_canal import GRID, SPACING, candidate_of, drawn
from spondyl.core import Case, Image, LabelMap, Sequence, Structure, Vertebra
from spondyl.lesions.canal_mass import with_canal_masses
from spondyl.lesions.candidates import EVEN_ODDS
from spondyl.lesions.compartments import Compartment
from spondyl.lesions.described import described

VERTEBRA = Vertebra(
    instance=3,
    level="T8",
    level_probability=1.0,
    level_uncertain=False,
    level_reason="",
    centroid_lps_mm=(0.0, 0.0, 0.0),
    volume_mm3=1.0,
    detection_confidence=1.0,
    at_edge=False,
)


def case_of(**kwargs):
    """A column of bodies, with a mass of 1 mL behind the third unless told otherwise."""
    t2, structures, tumor, mass = drawn(**{"depth_mm": 6, "rows": slice(66, 84)} | kwargs)
    z = np.indices(GRID.shape)[1]
    instances = np.where(structures == Structure.BODY, z // 32 + 1, 0).astype(np.uint16)
    vertebrae = tuple(replace(VERTEBRA, instance=n, level=f"T{5 + n}", at_edge=n in (1, 5)) for n in range(1, 6))
    labels = {"structures": LabelMap(structures, GRID), "vertebrae": LabelMap(instances, GRID)}
    return (
        Case("case-drawn", {Sequence.T2: Image(t2, GRID, Sequence.T2)}, vertebrae=vertebrae, labels=labels),
        tumor,
        mass,
    )


def volume_mm3(mask):
    return mask.sum() * np.prod(SPACING)


def test_a_mass_without_a_candidate_becomes_one_beside_its_vertebra():
    case, _, mass = case_of()
    (found,) = with_canal_masses([], case)
    whole = np.zeros(GRID.shape, bool)
    whole[found.box] = found.where
    assert volume_mm3(whole ^ mass) < 0.2 * volume_mm3(mass)
    assert found.malignant == EVEN_ODDS
    lesion = described(1, found, case, ("T2",))
    assert (lesion.vertebra_instance, lesion.level) == (3, "T8")
    assert lesion.compartment == Compartment.EPIDURAL.value


def test_a_doubtful_candidate_in_the_vertebra_takes_the_mass_and_its_suspicion():
    case, tumor, mass = case_of()
    (found,) = with_canal_masses([candidate_of(tumor, GRID, malignant=0.3)], case)
    assert found.malignant == EVEN_ODDS
    assert found.malignant + found.benign <= 1
    assert found.grown
    assert volume_mm3(found.where) > volume_mm3(tumor) + 0.8 * volume_mm3(mass)


def test_a_malignant_candidate_stays_as_it_is():
    case, tumor, _ = case_of()
    given = candidate_of(tumor, GRID, malignant=0.9)
    assert with_canal_masses([given], case) == [given]


@pytest.mark.parametrize(
    "drawing",
    [{"depth_mm": 2}, {"inside": 900.0}, {"inside": 90.0}, {"rows": slice(0, 160)}],
    ids=["too small", "fluid", "as dark as a disc", "all along the canal"],
)
def test_what_is_no_mass_is_no_candidate(drawing):
    case, _, _ = case_of(**drawing)
    assert with_canal_masses([], case) == []


def test_nothing_is_sought_where_the_canal_ends_nearby():
    case, _, _ = case_of()
    structures = case.labels["structures"]
    cut = structures.array.copy()
    cut[:, 115:] = Structure.BACKGROUND
    case = case.with_(labels={**case.labels, "structures": LabelMap(cut, structures.grid)})
    assert with_canal_masses([], case) == []


def test_without_t2_nothing_is_sought():
    case, _, _ = case_of()
    image = case.images[Sequence.T2]
    case = case.with_(images={Sequence.T1: Image(image.array, image.grid, Sequence.T1)})
    assert with_canal_masses([], case) == []
