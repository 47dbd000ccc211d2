"""Truth and answer of one study: who belongs to whom, and what counts when nobody does."""

import math

from spondyl.evaluation.detection import FALSE_POSITIVE
from spondyl.evaluation.site_cases import (
    SAME_VERTEBRA_MM,
    FoundLesion,
    FoundStudy,
    FoundVertebra,
    TrueLevel,
    TrueStudy,
    pair_study,
)


def _found(instance, level, z=0.0, probability=0.2):
    return FoundVertebra(instance, level, (0.0, 0.0, z), probability, ("normal",))


def _paired(levels, vertebrae=(), lesions=(), **more):
    return pair_study(TrueStudy(1, "p", tuple(levels)), FoundStudy(tuple(vertebrae), tuple(lesions), **more))


def test_levels_the_truth_does_not_name_are_normal():
    paired = _paired([TrueLevel("L1", "malignant")], [_found(1, "T12"), _found(2, "L1", probability=0.9)])
    assert [(v.level, v.kind, v.probability) for v in paired.vertebrae] == [
        ("L1", "malignant", 0.9),
        ("T12", "normal", 0.2),
    ]


def test_a_malignant_vertebra_that_was_not_found_or_not_judged_has_probability_0():
    paired = _paired([TrueLevel("L1", "malignant"), TrueLevel("L2", "malignant")], [_found(1, "L1", probability=None)])
    assert [v.probability for v in paired.vertebrae] == [0.0, 0.0]
    assert [v.found is None for v in paired.vertebrae] == [False, True]


def test_a_vertebra_at_its_place_is_recognized_under_a_wrong_name():
    truth = [
        TrueLevel("L1", "malignant", center_lps_mm=(0, 0, 50)),
        TrueLevel("L2", "normal", center_lps_mm=(0, 0, 15)),
    ]
    paired = _paired(truth, [_found(1, "T12", 48, 0.8), _found(2, "L1", 14, 0.1)])
    assert [(v.level, v.probability) for v in paired.vertebrae] == [("L1", 0.8), ("L2", 0.1)]
    assert (paired.levels.n_right, paired.levels.wrong) == (0, (("L1", "T12"), ("L2", "L1")))


def test_by_name_alone_a_shift_of_one_level_is_two_errors():
    paired = _paired([TrueLevel("L1", "malignant")], [_found(1, "T12", 48, 0.8), _found(2, "L1", 14, 0.1)])
    assert [(v.level, v.kind, v.probability) for v in paired.vertebrae] == [
        ("L1", "malignant", 0.1),
        ("T12", "normal", 0.8),
    ]
    assert paired.levels is None


def test_the_nearest_pairs_are_taken_first_and_far_ones_never():
    truth = [TrueLevel("C3", "normal", center_lps_mm=(0, 0, 0)), TrueLevel("C4", "normal", center_lps_mm=(0, 0, 9))]
    paired = _paired(truth, [_found(1, "C4", 8)])
    assert [v.found is not None for v in paired.vertebrae] == [False, True]
    far = _paired(truth[:1], [_found(1, "C3", SAME_VERTEBRA_MM + 0.1)])
    assert far.vertebrae[0].found is None


def test_an_unnamed_vertebra_compares_with_no_truth_and_is_counted():
    paired = _paired([], [_found(1, None, probability=0.9), _found(2, "L1")])
    assert ([v.level for v in paired.vertebrae], paired.n_unnamed) == (["L1"], 1)


def test_of_a_failed_study_only_malignant_vertebrae_count():
    paired = _paired([TrueLevel("L1", "malignant"), TrueLevel("L2", "normal")], failed=True)
    assert [(v.level, v.probability) for v in paired.vertebrae] == [("L1", 0.0)]
    assert paired.found.score == 0.0


def test_a_candidate_hits_a_lesion_by_lying_in_its_vertebra():
    truth = [TrueLevel("L1", "benign", 0.7), TrueLevel("L2", "normal"), TrueLevel("L3", "malignant")]
    lesions = [FoundLesion("L1", 1, 0.1, 0.8), FoundLesion("L2", 2, 0.2, 0.6), FoundLesion(None, None, 0.9, 0.5)]
    paired = _paired(truth, [_found(1, "L1"), _found(2, "L2", 30)], lesions)
    assert list(paired.marks.mark_lesion) == [0, FALSE_POSITIVE, FALSE_POSITIVE]
    assert list(paired.marks.lesion_ml) == [0.7, 0.0]
    assert list(paired.marks.mark_score) == [0.8, 0.6, 0.5]


def test_the_answer_of_a_study_is_its_highest_probability_wherever_it_lies():
    paired = _paired([], [_found(1, "L1", probability=0.3)], [FoundLesion(None, None, 0.7, 0.4)])
    assert paired.found.score == 0.7
    assert paired.true.malignant is False
    assert TrueStudy(1, "p", malignant_elsewhere=True).malignant
    assert math.isnan(paired.true.when)
