"""Figures of a site: counted by hand, and unmoved by what must not matter."""

import math

import pytest

from spondyl.core import InputError
from spondyl.evaluation.roc import roc_areas
from spondyl.evaluation.site import failures, site_performance
from spondyl.evaluation.site_cases import FoundLesion, FoundStudy, FoundVertebra, TrueLevel, TrueStudy, pair_study


def _study(number, rows, patient=None, **more):
    """Rows of (level, kind, probability, prediction set); a probability of None is not judged."""
    truth = tuple(TrueLevel(level, kind) for level, kind, *_ in rows)
    found = tuple(FoundVertebra(i, r[0], (0.0, 0.0, 0.0), r[2], r[3]) for i, r in enumerate(rows, 1))
    groups = more.pop("groups", {})
    return pair_study(TrueStudy(number, patient or f"p{number}", truth, groups=groups), FoundStudy(found, **more))


MARKED = FoundStudy(
    (FoundVertebra(1, "L3", (0.0, 0.0, 0.0), 0.2, ("normal",)),),
    (FoundLesion("L3", 1, 0.2, 0.9), FoundLesion(None, None, 0.4, 0.3)),
)
"""A hit and a mark outside bone."""


@pytest.fixture
def four():
    return [
        _study(1, [("L1", "malignant", 0.9, ("malignant",)), ("L2", "normal", 0.2, ("normal",))], groups={"sex": "F"}),
        _study(2, [("L1", "malignant", 0.3, ("normal",)), ("C2", "normal", 0.6, ("normal", "malignant"))]),
        _study(3, [("L1", "benign", 0.1, ("benign",)), ("L2", "normal", None, ())], groups={"sex": "M"}),
        _study(4, [("L1", "malignant", 0.0, ())], failed=True),
    ]


def test_figures_are_what_counting_says(four):
    found = site_performance(four, 0.5)
    scores = found.vertebrae.scores
    assert (scores.true_positive, scores.false_positive, scores.false_negative, scores.true_negative) == (1, 1, 2, 3)
    flow = found.flow
    assert (flow.n_studies, flow.n_failed, flow.n_malignant_studies, flow.n_vertebrae) == (4, 1, 3, 7)
    assert (flow.n_malignant, flow.n_benign, flow.n_not_judged) == (3, 1, 1)
    # A wrong set (study 2, L1) among six that were judged; the fourth study's vertebra has an empty one.
    assert found.set_coverage.value == pytest.approx(4 / 6)
    assert found.indeterminate.value == pytest.approx(2 / 6)


def test_the_area_is_that_of_clustered_vertebrae(four):
    truth, score = [1, 0, 1, 0, 0, 0, 1], [0.9, 0.2, 0.3, 0.6, 0.1, 0.0, 0.0]
    expected = roc_areas(truth, score, patients=[1, 1, 2, 2, 3, 3, 4])
    assert site_performance(four, 0.5).vertebrae.area == expected.estimate()


def test_a_failed_study_without_disease_does_not_improve_specificity(four):
    before = site_performance(four, 0.5).studies.scores
    after = site_performance([*four, _study(5, [], failed=True)], 0.5).studies.scores
    assert (before.true_negative, before.specificity) == (after.true_negative, after.specificity)


def test_groups_come_from_headers_truth_and_region_and_single_ones_are_left_out(four):
    rows = site_performance(four, 0.5).groups.rows
    assert {(r.variable, r.group) for r in rows} == {
        ("sex", "F"),
        ("sex", "M"),
        ("sex", "not known"),
        ("region", "cervical"),
        ("region", "lumbar"),
    }


def test_the_order_of_studies_does_not_matter(four):
    one, other = site_performance(four, 0.5), site_performance(four[::-1], 0.5)
    assert str(one) == str(other)


def test_one_class_only_and_one_patient_only_are_told_not_guessed(four):
    alone = site_performance([_study(1, [("L1", "normal", 0.2, ("normal",)), ("L2", "normal", 0.3, ("normal",))])], 0.5)
    assert math.isnan(alone.vertebrae.area.value)
    assert math.isnan(alone.vertebrae.scores.sensitivity.value)
    assert alone.vertebrae.scores.specificity.value == 1
    one = site_performance(four[:1], 0.5)
    assert one.vertebrae.area.value == 1
    assert any("doubtful" in flag for flag in one.vertebrae.flags)
    assert any("one patient" in flag for flag in one.vertebrae.calibration.flags)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(InputError, match="no vertebra could be compared"):
        site_performance([_study(1, [])], 0.5)


def test_failures_take_turns_and_each_study_comes_once_before_any_comes_twice(four):
    assert [(v.study, v.level) for v in failures(four, 0.5, 9)] == [(4, "L1"), (2, "C2"), (2, "L1")]
    many = [
        _study(1, [("L1", "malignant", 0.0, ()), ("L2", "malignant", 0.1, ())]),
        _study(2, [("L1", "malignant", 0.2, ())]),
    ]
    assert [(v.study, v.level) for v in failures(many, 0.5, 9)] == [(1, "L1"), (2, "L1"), (1, "L2")]
    assert len(failures(many, 0.5, 2)) == 2


def test_marks_are_counted_per_study(four):
    found = site_performance(four, 0.5)
    assert found.false_marks.value == 0
    assert found.lesion_sensitivity.value == 0  # four lesions, none marked
    marked = [*four, pair_study(TrueStudy(5, "p5", (TrueLevel("L3", "benign", 0.5),)), MARKED)]
    found = site_performance(marked, 0.5)
    assert found.lesion_sensitivity.value == 1 / 5
    assert found.false_marks.value == 1 / 5
    assert found.lesion_sensitivity_by_size[0].n_lesions == 5
