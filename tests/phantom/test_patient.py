from __future__ import annotations

import re

import numpy as np
import pytest

from spondyl.core import Sequence, Structure
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.patient import PatientSettings, draw_artifacts, simulate_patient, synthetic_uid
from spondyl.phantom.stations import compose

FAST = PatientSettings(fast=True)


@pytest.fixture(scope="module")
def patient():
    return simulate_patient(
        2_000_070,
        sequences=(Sequence.T1, Sequence.T2, Sequence.DWI),
        lesions="malignant",
        settings=FAST,
        vendor="siemens",
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
        2_000_070,
        sequences=(Sequence.T1, Sequence.T2, Sequence.DWI),
        lesions="malignant",
        settings=FAST,
        vendor="siemens",
    )
    assert again.age_years == patient.age_years
    for one, other in zip(patient.images, again.images, strict=True):
        np.testing.assert_array_equal(one.array, other.array)
        assert one.grid.same_space(other.grid)
        assert one.source == other.source


def test_a_synthetic_uid_is_a_dicom_uid():
    uid = synthetic_uid(1, "frame")
    assert re.fullmatch(r"2\.25\.[1-9]\d*", uid)
    assert len(uid) <= 64
    assert uid == synthetic_uid(1, "frame") != synthetic_uid(2, "frame")


def test_artifacts_stay_within_reason():
    drawn = [draw_artifacts(np.random.default_rng(s)) for s in range(300)]
    assert max(a.ghosting for a in drawn) < 0.4
    assert all(0 <= a.fat_failure <= 1 and a.noise > 0 for a in drawn)


@pytest.fixture(scope="module")
def whole_spine():
    """One sequence of a whole spine, station by station."""
    arguments = {"region": "whole", "sequences": (Sequence.T1,), "lesions": "none", "field_strength_t": 1.5}
    return simulate_patient(2_000_071, **arguments)


@pytest.mark.slow
def test_stations_of_a_whole_spine_reach_from_skull_to_sacrum_and_overlap(whole_spine):
    images = whole_spine.images
    assert len(images) == whole_spine.protocols[0].n_stations >= 2
    tops = [i.grid.ijk_to_lps([0, 0, 0])[2] for i in images]
    bottoms = [i.grid.ijk_to_lps([0, i.grid.shape[1] - 1, 0])[2] for i in images]
    assert all(bottom < top for bottom, top in zip(bottoms[:-1], tops[1:], strict=True))
    height = {v.level: v.center_lps_mm[2] for v in whole_spine.anatomy.vertebrae}
    assert tops[0] > height["C1"]
    assert bottoms[-1] < height["S2"]
    assert len({i.source.series_uid for i in images}) == len(images)


@pytest.mark.slow
def test_joined_stations_show_what_each_showed_at_the_same_place(whole_spine):
    (image,), (protocol,) = compose(whole_spine.images, whole_spine.protocols, np.random.default_rng(1))
    assert protocol.n_stations == 1
    assert image.grid.shape[1] > 1.5 * max(i.grid.shape[1] for i in whole_spine.images)
    for station in whole_spine.images:
        i, j, k = (n // 2 for n in station.grid.shape)
        at = np.round(image.grid.lps_to_ijk(station.grid.ijk_to_lps([i, j, k]))).astype(int)
        one = station.array[i, j - 20 : j + 20, k - 20 : k + 20]
        other = image.array[at[0], at[1] - 20 : at[1] + 20, at[2] - 20 : at[2] + 20]
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    structures = whole_spine.labels_on(image.grid)["structures"].array
    assert {int(Structure.BODY), int(Structure.CORD), int(Structure.S1)} <= set(np.unique(structures).tolist())


@pytest.mark.slow
def test_axial_slices_can_be_added_and_go_through_what_presses_on_the_sac():
    patient = simulate_patient(
        2_000_072,
        sequences=(Sequence.T2,),
        lesions=[("L1", LesionKind.PATHOLOGICAL_FRACTURE)],
        settings=PatientSettings(axial=(Sequence.T1,), fast=True),
    )
    assert patient.anatomy.lesions[0].epidural
    sagittal, axial = patient.images
    assert (sagittal.grid.plane, axial.grid.plane) == ("sagittal", "axial")
    assert axial.sequence is Sequence.T1
    assert min(n * s for n, s in zip(axial.grid.shape[1:], axial.grid.spacing_mm[1:], strict=True)) > 140
    host = next(v for v in patient.anatomy.vertebrae if v.level == "L1")
    assert 0 < axial.grid.lps_to_ijk(host.center_lps_mm)[0] < axial.grid.shape[0] - 1
