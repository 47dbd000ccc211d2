"""Further lesions lie in one vertebra each, are known to the truth, and leave the stored patient alone."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom.tissue import Tissue
from spondyl.training import implants
from spondyl.training.anatomies import BENIGN, MALIGNANT, SPACING_MM
from spondyl.training.implants import HOSTS, KINDS, lumpy_distance_mm, smooth_noise, with_implants


@pytest.fixture(scope="module")
def given(stored):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(implants, "DIFFUSE_SHARE", 0.0)
        found = [with_implants(stored, np.random.default_rng(n)) for n in range(40)]
    return [a for a in found if a is not stored]


def test_a_good_share_of_patches_is_given_lesions(given):
    assert 15 <= len(given) <= 33


def test_a_new_lesion_replaces_marrow_of_one_vertebra_and_nothing_else(stored, given):
    for anatomy in given:
        new = anatomy.lesion != stored.lesion
        assert not (stored.lesion[new] > 0).any()
        assert np.isin(stored.tissue[new], HOSTS).all()
        assert np.array_equal(anatomy.tissue != stored.tissue, new & (anatomy.tissue != stored.tissue))
        for label in np.unique(anatomy.lesion[new]):
            assert len(np.unique(stored.instance[anatomy.lesion == label])) == 1


def test_the_truth_tells_every_label_and_its_class(given):
    kinds = {tissue: malignant for _, tissues, malignant in KINDS for tissue in tissues}
    seen = set()
    for anatomy in given:
        classes = anatomy.lesion_classes()
        labels = np.unique(anatomy.lesion[anatomy.lesion > 0])
        assert (classes[labels] > 0).all()
        for label in labels[-1:]:
            tissue = int(np.bincount(anatomy.tissue[anatomy.lesion == label]).argmax())
            if tissue in kinds:
                seen.add(int(classes[label]))
                assert classes[label] == (MALIGNANT if kinds[tissue] else BENIGN)
    assert seen == {BENIGN, MALIGNANT}


def test_the_stored_patient_stays_as_it_is(stored):
    before = stored.tissue.copy(), stored.lesion.copy(), len(stored.truth["lesions"])
    for n in range(5):
        with_implants(stored, np.random.default_rng(n))
    assert np.array_equal(before[0], stored.tissue)
    assert np.array_equal(before[1], stored.lesion)
    assert before[2] == len(stored.truth["lesions"])


def test_a_patient_without_marrow_is_given_nothing(stored, monkeypatch):
    monkeypatch.setattr(implants, "HOSTS", (255,))
    assert with_implants(stored, np.random.default_rng(1)) is stored


def test_the_ball_has_about_its_radius_and_the_noise_unit_variance():
    rng = np.random.default_rng(3)
    sizes = []
    for _ in range(20):
        distance = lumpy_distance_mm((31, 61, 61), np.array([15, 30, 30]), 12.0, rng)
        sizes.append((distance < 0).sum() * np.prod(SPACING_MM))
    assert np.median(sizes) == pytest.approx(4 / 3 * np.pi * 12.0**3, rel=0.3)
    assert smooth_noise((20, 40, 40), 5.0, rng).std() == pytest.approx(1, abs=0.01)


def test_in_diffuse_disease_all_free_marrow_is_tumor_and_other_lesions_stay(stored, monkeypatch):
    monkeypatch.setattr(implants, "DIFFUSE_SHARE", 1.0)
    anatomy = with_implants(stored, np.random.default_rng(1))
    new = anatomy.lesion != stored.lesion
    assert np.array_equal(new, np.isin(stored.tissue, HOSTS) & (stored.lesion == 0))
    (label,) = np.unique(anatomy.lesion[new])
    assert anatomy.lesion_classes()[label] == MALIGNANT
    assert set(np.unique(anatomy.tissue[new])) == {int(Tissue.TUMOR_DIFFUSE)}
    assert np.array_equal(anatomy.tissue[~new], stored.tissue[~new])
