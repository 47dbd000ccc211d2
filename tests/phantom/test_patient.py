from __future__ import annotations

import re

import numpy as np
import pytest

from spondyl.core import Sequence, Structure
from spondyl.phantom.patient import PatientSettings, draw_artifacts, simulate_patient, synthetic_uid

FAST = PatientSettings(fast=True)


@pytest.fixture(scope="module")
def patient():
    return simulate_patient(
        7, sequences=(Sequence.T1, Sequence.T2, Sequence.DWI), lesions="malignant", settings=FAST, vendor="siemens"
    )


def test_a_study_has_its_series_in_one_frame_of_reference(patient):
    assert [i.sequence for i in patient.images] == ["T1", "T2", "DWI", "DWI", "ADC"]
    assert len(patient.protocols) == len(patient.images)
    assert len({i.grid.frame_of_reference for i in patient.images}) == 1
    assert len({i.source.series_uid for i in patient.images}) == 5
    assert {i.acquisition.vendor for i in patient.images} == {"siemens"}
    assert all(i.array.dtype == np.float32 and np.isfinite(i.array).all() for i in patient.images)


def test_truth_lies_on_what_the_image_shows(patient):
    t1, t2 = patient.images[:2]
    for image, brighter, darker in (
        (t2, Structure.CANAL, Structure.CORTEX),
        (t1, Structure.BODY, Structure.CORTEX),
        (t1, Structure.BODY, Structure.CANAL),
    ):
        structures = patient.labels_on(image.grid)["structures"].array
        middle = image.grid.shape[0] // 2
        median = [np.median(image.array[middle][structures[middle] == s]) for s in (brighter, darker)]
        assert median[0] > 1.1 * median[1]


def test_labels_name_levels_and_lesions(patient):
    labels = patient.labels_on(patient.images[0].grid)
    numbers = set(np.unique(labels["vertebrae"].array)) - {0}
    named = {v.instance: v.level for v in patient.anatomy.vertebrae}
    assert len(numbers & set(named)) >= 5
    assert dict(labels["vertebrae"].names) == named
    assert labels["lesions"].array.max() > 0
    assert not (labels["discs"].array > 0)[labels["vertebrae"].array > 0].any()


def test_the_same_seed_gives_the_same_images(patient):
    again = simulate_patient(
        7, sequences=(Sequence.T1, Sequence.T2, Sequence.DWI), lesions="malignant", settings=FAST, vendor="siemens"
    )
    assert again.age_years == patient.age_years
    for one, other in zip(patient.images, again.images, strict=True):
        np.testing.assert_array_equal(one.array, other.array)
        assert one.grid.same_space(other.grid)
        assert one.source == other.source


@pytest.mark.slow
def test_an_axial_series_can_be_added():
    patient = simulate_patient(3, sequences=(Sequence.T2,), settings=PatientSettings(axial_t2=True, fast=True))
    sagittal, axial = patient.images
    assert (sagittal.grid.plane, axial.grid.plane) == ("sagittal", "axial")
    assert min(n * s for n, s in zip(axial.grid.shape[1:], axial.grid.spacing_mm[1:], strict=True)) > 140


def test_a_synthetic_uid_is_a_dicom_uid():
    uid = synthetic_uid(1, "frame")
    assert re.fullmatch(r"2\.25\.[1-9]\d*", uid)
    assert len(uid) <= 64
    assert uid == synthetic_uid(1, "frame") != synthetic_uid(2, "frame")


def test_artifacts_stay_within_reason():
    drawn = [draw_artifacts(np.random.default_rng(s)) for s in range(300)]
    assert max(a.ghosting for a in drawn) < 0.4
    assert all(0 <= a.fat_failure <= 1 and a.noise > 0 for a in drawn)
