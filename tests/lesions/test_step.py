"""Candidates come from probabilities: where, how large, how likely, in which vertebra and compartment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GrayLesionNetwork
from spondyl.core import Case, Grid, Image, LabelMap, Sequence, SettingsError, Structure, Vertebra
from spondyl.lesions import LesionSettings, candidates, find_lesions

GRID = Grid((16, 120, 60), np.array([[4.0, 0, 0, -30], [0, 0, 1.5, -40], [0, -1.5, 0, 90], [0, 0, 0, 1]]))
BODIES_MM = {1: (0.0, 0.0, 55.0), 2: (0.0, 0.0, 15.0), 3: (0.0, 0.0, -25.0)}
LEVELS = {1: "L2", 2: "L3", 3: "L4"}
BIG, SMALL, EPIDURAL, MUSCLE = (0.0, 0.0, 55.0), (6.0, 2.0, 15.0), (0.0, 23.0, -5.0), (0.0, 42.0, 15.0)


SETTINGS = LesionSettings(
    views=1, threshold=0.35, sure=0.6, sure_small=0.6, surest=0.6, contrast_sd=0.0, spot_sd=0.0, min_volume_mm3=120.0
)
"""Known thresholds, whatever the defaults are, and none that look at the images, which are empty."""


def _places(grid=GRID):
    return grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))


def _ball(center, radius, grid=GRID):
    return np.linalg.norm(_places(grid) - center, axis=-1) < radius


def _vertebra(number):
    return Vertebra(number, LEVELS[number], 0.9, False, "", BODIES_MM[number], 30000.0, 0.9)


def _case(*, images=(Sequence.T1, Sequence.STIR)):
    """Three bodies like boxes, and a canal behind them."""
    instances = np.zeros(GRID.shape, np.uint16)
    for number, center in BODIES_MM.items():
        instances[(np.abs(_places() - center) <= (20, 15, 13)).all(-1)] = number
    structures = np.where(instances > 0, Structure.BODY, Structure.BACKGROUND)
    structures[(np.abs(_places() - (0, 23, 15)) <= (10, 8, 60)).all(-1)] = Structure.CANAL
    return Case(
        "case-0a1b2c3d",
        {s: Image(np.ones(GRID.shape), GRID, s) for s in images},
        vertebrae=tuple(_vertebra(n) for n in BODIES_MM),
        labels={"structures": LabelMap(structures, GRID), "vertebrae": LabelMap(instances, GRID)},
        maps={"uncertainty": Image(np.full(GRID.shape, 0.1), GRID)},
    )


class _Spots(GrayLesionNetwork):
    """Sees the given spots, whatever it is shown: {(center, radius): (malignant, benign)}."""

    card = replace(GrayLesionNetwork.card, spacing_mm=(4.0, 1.5, 1.5))

    def __init__(self, spots):
        self.spots = spots

    def predict(self, channels, facts):
        out = np.zeros((3, *channels.shape[1:]), np.float32)
        for (center, radius), (malignant, benign) in self.spots.items():
            where = _ball(center, radius, self.grid)
            out[1][where], out[2][where] = benign, malignant
        out[0] = 1 - out[1] - out[2]
        return out


def _found(spots, *, case=None, settings=None):
    from spondyl.models.study import study_of

    network = _Spots(spots)
    case = case or _case()
    network.grid = study_of(case, network.card).grid
    return find_lesions(case, settings or SETTINGS, network=network)


def _volume(radius):
    return 4 / 3 * np.pi * radius**3


def test_each_candidate_lies_in_its_vertebra_most_suspicious_first():
    case = _found({(BIG, 9): (0.1, 0.8), (SMALL, 8): (0.75, 0.2)})
    assert [x.level for x in case.lesions] == ["L3", "L2"]
    assert [x.vertebra_instance for x in case.lesions] == [2, 1]
    assert {x.compartment for x in case.lesions} == {"bone"}
    for lesion, place, radius in zip(case.lesions, (SMALL, BIG), (8, 9), strict=True):
        np.testing.assert_allclose(lesion.centroid_lps_mm, place, atol=1.0)
        assert lesion.volume_mm3 == pytest.approx(_volume(radius), rel=0.12)
        assert lesion.longest_diameter_mm == pytest.approx(2 * radius, abs=2.5)
        where = case.labels["lesions"].array == lesion.label
        assert lesion.volume_mm3 == pytest.approx(where.sum() * GRID.voxel_volume_mm3)


def test_probabilities_sum_to_one_and_uncertainty_is_their_entropy():
    case = _found({(BIG, 9): (0.3, 0.4), (SMALL, 8): (0.95, 0.0)})
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
    [
        ({}, 2),
        ({"sure_small": 0.8}, 1),
        ({"sure": 0.95}, 1),
        ({"min_volume_mm3": 1500.0}, 1),
        ({"threshold": 0.9, "sure": 0.95, "sure_small": 0.95}, 0),
    ],
)
def test_thresholds_decide_what_is_reported(change, count):
    case = _found({(BIG, 9): (0.7, 0.2), (SMALL, 6): (0.7, 0.05)}, settings=replace(SETTINGS, **change))
    assert len(case.lesions) == count
    assert case.labels["lesions"].array.max() == count


def _shown(center, radius, *, signal):
    """The case with noise in its images and a ball of another signal."""
    rng, case = np.random.default_rng(0), _case()
    arrays = {k: rng.normal(1, 0.05, GRID.shape) for k in case.images}
    for array in arrays.values():
        array[_ball(center, radius)] *= signal
    return case.with_(images={k: Image(a, GRID, k) for k, a in arrays.items()})


def test_by_default_a_large_candidate_in_a_body_must_stand_out_in_the_image(monkeypatch):
    monkeypatch.setattr(candidates, "WHOLE_MM3", 1000.0)
    spots, settings = {(BIG, 9): (0.93, 0.0)}, LesionSettings(views=1)
    assert len(_found(spots, settings=settings, case=_shown(BIG, 7, signal=0.5)).lesions) == 1
    assert len(_found(spots, settings=settings, case=_shown(BIG, 7, signal=1.0)).lesions) == 0


def test_by_default_what_stands_out_far_is_told_though_the_network_passes_over_it():
    (lesion,) = _found({}, settings=LesionSettings(views=1), case=_shown(BIG, 7, signal=0.4)).lesions
    assert lesion.vertebra_instance == 1
    assert lesion.volume_mm3 == pytest.approx(_volume(7), rel=0.35)
    assert lesion.probabilities["normal"] == pytest.approx(0.5)


def test_the_canal_is_searched_and_soft_tissue_far_from_bone_is_not():
    case = _found({(EPIDURAL, 6): (0.9, 0.0), (MUSCLE, 5): (0.9, 0.0)})
    (lesion,) = case.lesions
    np.testing.assert_allclose(lesion.centroid_lps_mm, EPIDURAL, atol=1.5)
    assert (lesion.level, lesion.vertebra_instance) == (None, None)
    assert lesion.compartment in ("epidural", "intradural")
    assert case.maps["saliency"].array[_ball(MUSCLE, 5)].max() == 0


def test_a_candidate_in_bone_and_canal_belongs_to_the_vertebra_and_tells_its_epidural_part():
    (lesion,) = _found({((0.0, 14.0, -25.0), 9): (0.9, 0.0)}).lesions
    assert (lesion.level, lesion.compartment) == ("L4", "bone")
    volumes = {m.name: m.value for m in lesion.measurements}
    assert 0.1 * lesion.volume_mm3 < volumes["epidural_volume"] < 0.5 * lesion.volume_mm3


def test_one_lesion_across_two_vertebrae_says_so():
    spots = {((0.0, 12.0, 55.0), 9): (0.9, 0.0), ((0.0, 12.0, 15.0), 9): (0.9, 0.0), ((0.0, 19.0, 35.0), 16): (0.9, 0)}
    (lesion,) = _found(spots).lesions
    assert {m.name: m.value for m in lesion.measurements}["vertebrae_involved"] == 2


def test_small_candidates_are_said_to_be_unreliable():
    small = _found({(SMALL, 5): (0.9, 0.0)})
    assert small.lesions[0].volume_mm3 < 1000
    assert [f.code for f in small.quality] == ["small_candidates"]
    assert _found({(BIG, 9): (0.9, 0.0)}).quality == ()


def test_doubt_of_the_lesion_network_raises_the_uncertainty_map():
    case = _found({(BIG, 9): (0.4, 0.3)})
    doubt = case.maps["uncertainty"].array
    assert doubt[_ball(BIG, 6)].min() > 0.9
    assert doubt[_ball((0.0, 0.0, -25.0), 6)].max() == pytest.approx(0.1)


def test_the_sequences_looked_at_are_told():
    assert _found({(BIG, 9): (0.9, 0.0)}).lesions[0].sequences_used == ("T1", "STIR")


def test_no_probability_gives_no_lesion_and_an_empty_map():
    case = _found({})
    assert case.lesions == ()
    assert not case.labels["lesions"].array.any()
    assert case.maps["saliency"].array.max() == 0


def test_without_a_series_that_the_network_knows_nothing_is_sought_and_it_is_said():
    case = find_lesions(_case(images=(Sequence.PD,)), LesionSettings(), network=GrayLesionNetwork())
    assert case.lesions == ()
    assert [f.code for f in case.quality] == ["no_lesion_sequence"]
    assert case.history[-1].name == "lesions"


@pytest.mark.parametrize("change", [{"threshold": 0.0}, {"sure": 1.2}, {"min_volume_mm3": -1.0}, {"views": 3}])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match="lesions wants"):
        LesionSettings(**change)


def test_a_lesion_that_left_its_vertebra_for_the_canal_still_is_one_of_bone():
    case = _case(images=(Sequence.T1, Sequence.T2, Sequence.STIR))
    structures = case.labels["structures"].array.copy()
    structures[(np.abs(_places() - (0, 24, 15)) <= (5, 3, 60)).all(-1)] = Structure.CORD
    t2 = np.select([structures == Structure.CANAL, structures == Structure.CORD], [900.0, 400.0], 300.0)
    mass = (structures == Structure.CANAL) & (np.abs(_places()[..., 2] - 15) < 12)
    t2[mass] = 380.0
    t2 += np.random.default_rng(1).normal(0, 10, t2.shape)
    images = {**case.images, Sequence.T2: Image(t2, GRID, Sequence.T2)}
    case = case.with_(images=images, labels={**case.labels, "structures": LabelMap(structures, GRID)})
    spots = {((0.0, 8.0, 15.0), 6): (0.95, 0.02)}
    (lesion,) = _found(spots, case=case).lesions
    (alone,) = _found(spots, case=case, settings=replace(SETTINGS, epidural=False)).lesions
    assert lesion.compartment == alone.compartment == "bone"
    assert lesion.volume_mm3 > 3 * alone.volume_mm3
    (epidural,) = (m for m in lesion.measurements if m.name == "epidural_volume")
    assert epidural.value > 0.7 * float(mass.sum()) * GRID.voxel_volume_mm3
