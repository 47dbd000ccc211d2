"""Candidates come from probabilities: where, how large, how likely, and in which vertebra."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Case, Grid, Image, LabelMap, Sequence, SettingsError, Structure, Vertebra
from spondyl.lesions import LesionSettings, find_lesions

GRID = Grid((16, 120, 60), np.array([[4.0, 0, 0, -30], [0, 0, 1.5, -40], [0, -1.5, 0, 90], [0, 0, 0, 1]]))
BODIES_MM = {1: (0.0, 0.0, 55.0), 2: (0.0, 0.0, 15.0), 3: (0.0, 0.0, -25.0)}
LEVELS = {1: "L2", 2: "L3", 3: "L4"}
BIG, SMALL, EPIDURAL, MUSCLE = (0.0, 0.0, 55.0), (6.0, 2.0, 15.0), (0.0, 23.0, -5.0), (0.0, 40.0, 15.0)


def _places():
    return GRID.ijk_to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1))


def _ball(center, radius):
    return np.linalg.norm(_places() - center, axis=-1) < radius


def _vertebra(number):
    return Vertebra(number, LEVELS[number], 0.9, False, "", BODIES_MM[number], 30000.0, 0.9)


def _case(spots, *, images=(Sequence.T1, Sequence.DWI)):
    """Three bodies like boxes, and spots: {(center, radius): (malignant, benign)}."""
    instances = np.zeros(GRID.shape, np.uint16)
    for number, center in BODIES_MM.items():
        instances[(np.abs(_places() - center) <= (20, 15, 13)).all(-1)] = number
    malignant, benign = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.float32)
    for (center, radius), (m, b) in spots.items():
        where = _ball(center, radius)
        malignant[where], benign[where] = m, b
    structures = np.where(instances > 0, Structure.BODY, Structure.BACKGROUND)
    structures[(np.abs(_places() - (0, 23, 15)) <= (10, 8, 60)).all(-1)] = Structure.CANAL
    return Case(
        "case-0a1b2c3d",
        {s: Image(np.zeros(GRID.shape), GRID, s) for s in images},
        vertebrae=tuple(_vertebra(n) for n in BODIES_MM),
        labels={"structures": LabelMap(structures, GRID), "vertebrae": LabelMap(instances, GRID)},
        maps={"malignant": Image(malignant, GRID), "benign": Image(benign, GRID)},
    )


def _volume(radius):
    return 4 / 3 * np.pi * radius**3


def test_each_candidate_lies_in_its_vertebra_most_suspicious_first():
    case = find_lesions(_case({(BIG, 9): (0.1, 0.8), (SMALL, 8): (0.75, 0.2)}), LesionSettings())
    assert [x.level for x in case.lesions] == ["L3", "L2"]
    assert [x.vertebra_instance for x in case.lesions] == [2, 1]
    for lesion, place, radius in zip(case.lesions, (SMALL, BIG), (8, 9), strict=True):
        np.testing.assert_allclose(lesion.centroid_lps_mm, place, atol=1.0)
        assert lesion.volume_mm3 == pytest.approx(_volume(radius), rel=0.12)
        assert lesion.longest_diameter_mm == pytest.approx(2 * radius, abs=2.5)
        where = case.labels["lesions"].array == lesion.label
        assert lesion.volume_mm3 == pytest.approx(where.sum() * GRID.voxel_volume_mm3)


def test_probabilities_sum_to_one_and_uncertainty_is_their_entropy():
    case = find_lesions(_case({(BIG, 9): (0.3, 0.4), (SMALL, 8): (0.95, 0.0)}), LesionSettings())
    sure, unsure = case.lesions
    for lesion in case.lesions:
        assert sum(lesion.probabilities.values()) == pytest.approx(1)
    assert dict(unsure.probabilities) == pytest.approx({"malignant": 0.3, "benign": 0.4, "normal": 0.3}, abs=1e-5)
    p = np.array([0.3, 0.4, 0.3])
    assert unsure.uncertainty == pytest.approx(-(p * np.log(p)).sum() / np.log(3), abs=1e-4)
    assert sure.uncertainty < 0.3 < unsure.uncertainty
    assert sure.confidence == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("change", "count"),
    [({}, 2), ({"threshold": 0.85}, 1), ({"min_probability": 0.8}, 1), ({"min_volume_mm3": 1500.0}, 1)],
)
def test_thresholds_decide_what_is_reported(change, count):
    case = find_lesions(_case({(BIG, 9): (0.7, 0.2), (SMALL, 6): (0.7, 0.05)}), LesionSettings(**change))
    assert len(case.lesions) == count
    assert case.labels["lesions"].array.max() == count


def test_without_a_marrow_sequence_more_is_asked_of_a_candidate():
    case = _case({(BIG, 9): (0.4, 0.1)})
    image = next(iter(case.images.values()))
    counts = [
        len(find_lesions(case.with_(images={s: image}), LesionSettings()).lesions) for s in (Sequence.T1, Sequence.T2)
    ]
    assert counts == [1, 0]


def test_bone_and_canal_are_searched_and_soft_tissue_is_not():
    spots = {(EPIDURAL, 6): (0.9, 0.0), (MUSCLE, 8): (0.9, 0.0)}
    case = find_lesions(_case(spots), LesionSettings())
    (epidural,) = case.lesions
    np.testing.assert_allclose(epidural.centroid_lps_mm, EPIDURAL, atol=1.5)
    assert (epidural.level, epidural.vertebra_instance) == (None, None)
    assert case.maps["saliency"].array[_ball(MUSCLE, 8)].max() == 0


def test_a_candidate_in_bone_and_canal_belongs_to_the_vertebra():
    case = find_lesions(_case({((0.0, 14.0, -25.0), 9): (0.9, 0.0)}), LesionSettings())
    assert [x.level for x in case.lesions] == ["L4"]


def test_small_candidates_are_said_to_be_unreliable():
    small = find_lesions(_case({(SMALL, 5): (0.9, 0.0)}), LesionSettings())
    assert small.lesions[0].volume_mm3 < 1000
    assert [f.code for f in small.quality] == ["small_candidates"]
    large = find_lesions(_case({(BIG, 9): (0.9, 0.0)}), LesionSettings())
    assert large.quality == ()


def test_the_sequences_looked_at_leave_out_diffusion():
    case = find_lesions(_case({(BIG, 9): (0.9, 0.0)}), LesionSettings())
    assert case.lesions[0].sequences_used == ("T1",)


def test_no_probability_gives_no_lesion_and_an_empty_map():
    case = find_lesions(_case({}), LesionSettings())
    assert case.lesions == ()
    assert not case.labels["lesions"].array.any()
    assert case.maps["saliency"].array.max() == 0


@pytest.mark.parametrize("change", [{"threshold": 0.0}, {"min_probability": 1.2}, {"min_volume_mm3": -1.0}])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match="lesions wants"):
        LesionSettings(**change)
