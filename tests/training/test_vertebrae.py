"""Synthetic crops hold what their truth says, and are the same for the same patient."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.models.crops import CROP_CHANNELS, CROP_SHAPE
from spondyl.phantom.kinds import MALIGNANT, LesionKind
from spondyl.training.vertebrae import (
    CLASSES,
    GROUPS,
    SUBTYPES,
    UNKNOWN,
    SiteTruth,
    load_cohort,
    make_cohort,
    make_patient,
)

SEED = 1_000_501


@pytest.fixture(scope="module")
def patient():
    return make_patient(SEED)


def test_every_site_has_a_finite_crop_and_a_mask(patient):
    assert patient.crops.shape == (len(patient.sites), CROP_CHANNELS, *CROP_SHAPE)
    assert np.isfinite(patient.crops).all()
    assert (patient.crops[:, -1].max(axis=(1, 2, 3)) > 0.2).all()


def test_positions_count_vertebrae_from_the_head_down(patient):
    vertebrae = [s.position for s in patient.sites if not s.is_lesion]
    assert vertebrae == list(range(len(vertebrae)))


def test_a_vertebra_with_a_tumor_is_malignant(patient):
    sick = {s.position for s in patient.sites if not s.is_lesion and s.group == 2}
    large = {s.position for s in patient.sites if s.is_lesion and s.group == 2 and s.volume_mm3 > 4000}
    assert large <= sick


@pytest.mark.parametrize("kind", LesionKind)
def test_every_kind_the_phantom_paints_has_a_subtype_of_its_class(kind):
    group = CLASSES.index("malignant" if kind in MALIGNANT else "benign")
    site = SiteTruth(kind.name, group, True, 0.0, "", 1000.0)
    assert GROUPS[site.subtype] == group


def test_a_class_without_a_kind_has_an_unknown_subtype():
    assert SiteTruth("", 2, True, 0.0, "", 1.0).subtype == UNKNOWN
    assert list(SUBTYPES)[SiteTruth("", 0, False, 0.0, "L1", 0.0).subtype] == "normal"


def test_what_is_there_is_not_made_again(tmp_path, patient, monkeypatch):
    monkeypatch.setattr("spondyl.training.vertebrae.make_patient", lambda _seed: patient)
    assert make_cohort(tmp_path, range(SEED, SEED + 2)) == 2
    assert make_cohort(tmp_path, range(SEED, SEED + 2)) == 0
    back = load_cohort(tmp_path)[SEED]
    np.testing.assert_array_equal(back.crops, patient.crops)
    assert back.sites == patient.sites
    assert "kind" in json.loads((tmp_path / f"{SEED:07d}.json").read_text())["sites"][0]


def test_an_empty_folder_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="make some first"):
        load_cohort(tmp_path)
