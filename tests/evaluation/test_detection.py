"""FROC curves, sensitivity by size, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.detection import FALSE_POSITIVE, Marks, Study, froc, sensitivity_by_size

FEW = Resampling(200, seed=1)

HAND = (
    Study("a", [0.5, 3.0], [0.9, 0.8, 0.7, 0.3], [0, FALSE_POSITIVE, 1, 0]),
    Study("b", [], [0.6], [FALSE_POSITIVE]),
    Study("c", [0.2], [], []),
    Study("a", [8.0], [0.5, 0.4], [0, FALSE_POSITIVE]),
)
"""Four studies of three patients: four lesions, three found, three false positives."""


def simulated(rng, n=120):
    """Studies in which lesions are marked higher than false positives; two studies per patient."""
    studies = []
    for i in range(n):
        n_lesions, n_false = rng.integers(0, 3), rng.poisson(1)
        found = [j for j in range(n_lesions) if rng.random() < 0.8]
        scores = [*rng.normal(size=n_false), *rng.normal(1.2, 1, len(found))]
        studies.append(Study(f"p{i // 2}", rng.gamma(2, 1, n_lesions), scores, [FALSE_POSITIVE] * n_false + found))
    return studies


def test_the_curve_by_hand():
    found = froc(HAND, resampling=FEW)
    assert found.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert found.sensitivity.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert found.false_positives.tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75]
    assert [e.value for e in found.at_rates] == [0.25, 0.5, 0.75, 0.75, 0.75, 0.75, 0.75]
    assert found.mean_sensitivity.value == pytest.approx(4.5 / 7)
    assert (found.n_studies, found.n_patients, found.n_lesions, found.n_false) == (4, 3, 4, 3)


def test_of_several_marks_on_a_lesion_the_highest_counts():
    marks = Marks.of(HAND)
    assert marks.lesion_score.tolist() == [0.9, 0.7, -np.inf, 0.5]
    assert marks.highest_false.tolist() == [0.8, 0.6, -np.inf, 0.4]


def test_the_curve_rises_and_depends_on_ranks_alone(rng):
    studies = simulated(rng)
    found = froc(studies, resampling=FEW)
    assert (np.diff(found.sensitivity) >= 0).all()
    assert (np.diff(found.false_positives) >= 0).all()
    moved = [
        Study(s.patient, s.lesion_ml, np.exp(s.mark_score), s.mark_lesion) if len(s.mark_score) else s for s in studies
    ]
    other = froc(moved, resampling=FEW)
    assert other.at_rates == found.at_rates


@pytest.mark.slow
def test_the_curve_agrees_with_monai(rng):
    froc_module = pytest.importorskip("monai.metrics.froc")
    studies = simulated(rng)
    marks = Marks.of(studies)
    hit = marks.lesion_score[marks.lesion_score > -np.inf]
    rates, sensitivity = froc_module.compute_froc_curve_data(
        fp_probs=marks.false_score, tp_probs=hit, num_targets=len(marks.lesion_ml), num_images=len(studies)
    )
    found = froc(studies, resampling=FEW)
    # MONAI goes from low thresholds to high and leaves the lowest out.
    assert found.false_positives[:-1] == pytest.approx(rates[::-1])
    assert found.sensitivity[:-1] == pytest.approx(sensitivity[::-1])


def test_intervals_hold_the_value_are_seeded_and_widen_with_copies(rng):
    studies = simulated(rng)
    first, second = (froc(studies, resampling=FEW) for _ in range(2))
    assert first.at_rates == second.at_rates
    assert all(e.low <= e.value <= e.high for e in first.at_rates)
    copies = [s for s in studies for _ in range(3)]
    same = froc(copies, resampling=FEW).mean_sensitivity
    assert same.value == pytest.approx(first.mean_sensitivity.value)
    assert same.high - same.low == pytest.approx(first.mean_sensitivity.high - first.mean_sensitivity.low, rel=0.25)


def test_an_unmarked_study_counts_as_a_study(rng):
    studies = simulated(rng)
    more = [*studies, *(Study(f"n{i}", [], [], []) for i in range(120))]
    assert froc(more, resampling=FEW).false_positives[-1] == pytest.approx(
        froc(studies, resampling=FEW).false_positives[-1] / 2
    )


def test_nothing_marked_finds_nothing():
    found = froc([Study("a", [1.0], [], []), Study("b", [], [], [])], resampling=FEW)
    assert found.mean_sensitivity.value == 0
    assert found.thresholds.tolist() == [np.inf]


def test_small_lesions_are_reported_apart():
    groups = sensitivity_by_size(HAND, 0.6)
    assert [g.name for g in groups] == ["0 to 1 mL", "1 to 5 mL", "5 mL or more"]
    assert [g.n_lesions for g in groups] == [2, 1, 1]
    assert [g.sensitivity.value for g in groups] == [0.5, 1.0, 0.0]
    empty = sensitivity_by_size(HAND, 0.6, edges_ml=(0, 0.1, 1))[0]
    assert math.isnan(empty.sensitivity.value)


def test_scores_may_tie(rng):
    studies = [Study("a", [1.0], [1.0, 1.0], [0, FALSE_POSITIVE]), Study("b", [1.0], [1.0], [0])]
    found = froc(studies, resampling=FEW)
    assert found.thresholds.tolist() == [np.inf, 1.0]
    assert found.sensitivity.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", [1.0], [0.5], []), "each mark needs a score and a lesion, got 1 and 0"),
        (("a", [1.0], [0.5], [1]), "count from 0 among the study's 1 lesions"),
        (("a", [1.0], [math.nan], [0]), "mark_score must be finite"),
        (("a", [-1.0], [], []), "volumes in mL"),
        (("a", [1.0], [], [], [0.0]), "not all 0"),
        (("a", [1.0], [], [], [1.0, 1.0]), "lesion_weight must be 1 numbers"),
    ],
)
def test_bad_studies_are_named(arguments, words):
    with pytest.raises(InputError, match=words):
        Study(*arguments)


def test_no_study_and_no_lesion_are_refused():
    with pytest.raises(InputError, match="at least one study"):
        froc([])
    with pytest.raises(InputError, match="at least one lesion"):
        froc([Study("a", [], [0.5], [FALSE_POSITIVE])])


def test_the_table_says_what_it_rests_on():
    text = str(froc(HAND, resampling=FEW))
    assert "4 lesions and 3 false positives in 4 studies of 3 patients" in text
    assert "mean" in text


def test_a_lesion_without_a_mark_is_missed_at_every_threshold():
    groups = sensitivity_by_size([Study("p", [2.0, 2.0], [0.1], [0])], -math.inf, edges_ml=(0, math.inf))
    assert groups[0].sensitivity.value == 0.5
