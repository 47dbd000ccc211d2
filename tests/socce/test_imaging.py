"""Features say what is in the image: known contrasts, textures, fat and places come back as such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fake_case import analyzed_case
from spondyl.core import Image, Sequence, StepRecord, Structure
from spondyl.phantom.biology_tables import IMAGE_FEATURES
from spondyl.socce.imaging import CONTRASTS, OF_LESION, OF_SEQUENCE, is_aligned, lesion_features


def case_with(**arrays):
    """A case whose images are given by sequence, on the grid of its label maps."""
    case = analyzed_case()
    grid = case.labels["lesions"].grid
    images = {Sequence(name): Image(a.astype(np.float32), grid, Sequence(name)) for name, a in arrays.items()}
    return case.with_(images=images, reference=next(iter(images)))


@pytest.fixture
def parts():
    case = analyzed_case()
    lesion = case.labels["lesions"].array == 1
    body = case.labels["structures"].array == Structure.BODY
    return lesion, body


def measured(case):
    return lesion_features(case, case.lesions[0])


def test_contrast_is_the_logarithm_over_own_marrow(parts):
    lesion, body = parts
    image = np.where(lesion, 50.0, np.where(body, 200.0, 10.0))
    found = measured(case_with(T1=image))
    assert found["T1_contrast"] == pytest.approx(np.log(0.25), abs=1e-5)
    assert found["T1_variation"] == pytest.approx(0)


def test_a_scanner_that_stretches_the_image_changes_no_feature_of_it(parts, rng):
    lesion, body = parts
    image = np.where(lesion, 80.0, np.where(body, 150.0, 20.0)) + rng.uniform(0, 20, lesion.shape)
    one, other = measured(case_with(T2=image)), measured(case_with(T2=7 * image))
    for name in (n for n in one if n.startswith("T2_")):
        assert one[name] == pytest.approx(other[name], abs=1e-4), name


def test_rough_lesions_have_more_entropy_and_less_alike_neighbors(parts, rng):
    lesion, body = parts
    _, j, k = np.indices(lesion.shape)
    smooth = np.where(lesion | body, 100.0 + j + k, 1.0)
    rough = np.where(lesion | body, 100.0 + rng.permutation(np.arange(lesion.size)).reshape(lesion.shape) % 40, 1.0)
    even, odd = measured(case_with(STIR=smooth)), measured(case_with(STIR=rough))
    assert odd["STIR_entropy"] > even["STIR_entropy"]
    assert odd["STIR_inverse_difference"] < even["STIR_inverse_difference"]
    assert odd["STIR_uniformity"] < even["STIR_uniformity"]


def test_fat_fraction_of_fat_and_water_and_of_two_phases(parts):
    lesion, _ = parts
    fat, water = np.where(lesion, 30.0, 5.0), np.where(lesion, 70.0, 95.0)
    assert measured(case_with(DIXON_FAT=fat, DIXON_WATER=water))["fat_fraction_percent"] == pytest.approx(30, abs=1e-3)
    phases = measured(case_with(DIXON_IN=fat + water, DIXON_OUT=water - fat))
    assert phases["fat_fraction_percent"] == pytest.approx(30, abs=1e-3)


def test_diffusion_is_given_in_its_unit(parts):
    lesion, _ = parts
    found = measured(case_with(ADC=np.where(lesion, 800.0, 300.0)))
    assert found["ADC_mean_um2_s"] == pytest.approx(800)
    assert found["ADC_percentile_10_um2_s"] == pytest.approx(800)


def test_places_in_the_vertebra():
    case = analyzed_case()
    lesion, host = case.lesions[0], case.vertebrae[3]
    left, back, up = host.centroid_lps_mm
    for shift, name in ((8.0, "posterior_position"), (-8.0, "posterior_position")):
        moved = replace(lesion, centroid_lps_mm=(left, back + shift, up))
        assert np.sign(lesion_features(case, moved)[name]) == np.sign(shift)
    upper = lesion_features(case, replace(lesion, centroid_lps_mm=(left, back, up + 6.0)))
    assert upper["superior_position"] > 0.3
    assert 0 <= measured(case)["level_position"] <= 1


def test_aligned_maps_are_measured_instead_of_images_and_then_the_mean_counts(parts):
    lesion, body = parts
    case = case_with(T1=np.where(lesion, 50.0, np.where(body, 200.0, 10.0)))
    grid = case.labels["lesions"].grid
    aligned = Image(np.where(lesion, 400.0, np.where(body, 800.0, 10.0)).astype(np.float32), grid, Sequence.T1)
    record = StepRecord("align", "1", {"scale": "physics"})
    done = case.with_(maps={"aligned_T1": aligned}, history=(*case.history, record))
    assert is_aligned(done)
    assert measured(done)["T1_contrast"] == pytest.approx(np.log(0.5), abs=1e-5)
    assert measured(done)["T1_mean"] == pytest.approx(400)
    assert "T1_mean" not in measured(case)
    z_scored = case.with_(maps={"aligned_T1": aligned}, history=(StepRecord("align", "1", {"scale": "z-score"}),))
    assert measured(z_scored)["T1_contrast"] == pytest.approx(np.log(0.25), abs=1e-5)


def test_what_is_not_shown_is_left_out(parts):
    found = measured(case_with(T1=np.zeros(parts[0].shape)))
    assert not [name for name in found if name.startswith(("T1", "ADC", "fat"))]
    case = analyzed_case()
    assert lesion_features(case.with_(labels={}), case.lesions[0]) == {}
    assert lesion_features(case, replace(case.lesions[0], label=99)) == {}


def test_every_name_is_described_and_every_feature_of_the_cohort_is_one_of_them(parts, rng):
    lesion, body = parts
    names = ("T1", "T2", "STIR", "T1CE", "DWI", "ADC", "DIXON_FAT", "DIXON_WATER")
    noise = {n: np.where(lesion | body, 100.0, 10.0) + rng.uniform(0, 30, lesion.shape) for n in names}
    described = {f"{s}_{n}" for s in CONTRASTS for n in OF_SEQUENCE} | set(OF_LESION)
    assert set(measured(case_with(**noise))) <= described
    assert set(IMAGE_FEATURES) <= described
    missing = set(IMAGE_FEATURES) - set(measured(case_with(**noise)))
    assert not missing
