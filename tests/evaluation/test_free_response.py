"""Figures of merit of free response against their definition and a jackknife over patients."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core.errors import InputError
from spondyl.evaluation.detection import FALSE_POSITIVE, Marks, Study
from spondyl.evaluation.free_response import FigureOfMerit, free_response_areas
from spondyl.evaluation.roc import roc_areas


def simulated(rng, n=90, per_patient=1, gain=1.0):
    studies = []
    for i in range(n):
        n_lesions, n_false = rng.integers(0, 4), rng.poisson(0.8)
        found = [j for j in range(n_lesions) if rng.random() < 0.7]
        scores = [*np.round(rng.normal(size=n_false), 1), *np.round(rng.normal(gain, 1, len(found)), 1)]
        weights = rng.random(n_lesions) + 0.1
        hits = [FALSE_POSITIVE] * n_false + found
        studies.append(Study(f"p{i // per_patient:03d}", np.ones(n_lesions), scores, hits, weights))
    return studies


def by_definition(studies, figure):
    """Chakraborty & Zhai 2016: the mean over pairs of studies, written as loops."""
    marks = Marks.of(studies)
    diseased = sorted(set(marks.lesion_study.tolist()))
    normal = [k for k in range(marks.n_studies) if figure.all_studies or k not in diseased]
    weights = marks.lesion_weight / len(diseased) if figure.weighted else np.full(len(marks.lesion_ml), 1.0)
    total = 0.0
    for k in normal:
        for score, weight in zip(marks.lesion_score, weights, strict=True):
            false = marks.highest_false[k]
            total += weight * (1.0 if score > false else 0.5 if score == false else 0.0)
    return total / len(normal) / weights.sum()


@pytest.mark.parametrize("figure", FigureOfMerit)
def test_each_figure_is_its_definition(rng, figure):
    studies = simulated(rng)
    assert free_response_areas([studies], figure=figure).areas[0] == pytest.approx(by_definition(studies, figure))


@pytest.mark.parametrize("figure", FigureOfMerit)
@pytest.mark.parametrize("per_patient", [1, 3])
def test_variance_comes_near_that_of_a_jackknife_over_patients(rng, figure, per_patient):
    studies = simulated(rng, n=60 * per_patient, per_patient=per_patient)
    found = free_response_areas([studies], figure=figure)
    patients = sorted({s.patient for s in studies})
    parts = ([s for s in studies if s.patient != p] for p in patients)
    without = [free_response_areas([part], figure=figure).areas[0] for part in parts]
    n = len(patients)
    jackknife = (n - 1) ** 2 / n * np.var(without, ddof=1)
    assert found.covariance[0, 0] == pytest.approx(jackknife, rel=0.15)


def test_one_lesion_and_one_mark_per_study_give_the_roc_area(rng):
    truth = rng.random(80) < 0.5
    score = np.round(rng.normal(size=80) + truth, 1)
    studies = [
        Study(f"p{i:02d}", [1.0], [s], [0]) if t else Study(f"p{i:02d}", [], [s], [FALSE_POSITIVE])
        for i, (t, s) in enumerate(zip(truth, score, strict=True))
    ]
    plain = roc_areas(truth, score)
    for figure in (FigureOfMerit.JAFROC, FigureOfMerit.WAFROC):
        found = free_response_areas([studies], figure=figure)
        assert found.areas == pytest.approx(plain.areas)
        assert found.covariance == pytest.approx(plain.covariance)


def test_two_models_are_compared_on_the_same_studies(rng):
    studies = simulated(rng, n=200, gain=0.5)
    raised = [[v + (h >= 0) for v, h in zip(s.mark_score, s.mark_lesion, strict=True)] for s in studies]
    better = [
        Study(s.patient, s.lesion_ml, scores, s.mark_lesion, s.lesion_weight)
        for s, scores in zip(studies, raised, strict=True)
    ]
    found = free_response_areas([better, studies], names=["better", "plain"])
    difference = found.compare("better", "plain")
    assert difference.value > 0
    assert difference.p_value < 0.01
    # Paired readings vary less together than apart.
    assert difference.standard_error < np.sqrt(np.trace(found.covariance))


def test_a_perfect_and_an_empty_reading():
    lesion, normal = ("a", [1.0], [2.0], [0]), ("b", [], [1.0], [FALSE_POSITIVE])
    assert free_response_areas([[Study(*lesion), Study(*normal)]]).areas[0] == 1.0
    silent = [Study("a", [1.0], [], []), Study("b", [], [], [])]
    assert free_response_areas([silent]).areas[0] == 0.5


def test_studies_that_do_not_fit_are_named():
    with_lesion, normal = Study("a", [1.0], [2.0], [0]), Study("b", [], [], [])
    with pytest.raises(InputError, match="model 2 differs"):
        free_response_areas([[with_lesion, normal], [normal, with_lesion]])
    with pytest.raises(InputError, match="1 with and 0 without; JAFROC1 and wAFROC1 need no normal ones"):
        free_response_areas([[with_lesion]])
    found = free_response_areas([[with_lesion, Study("c", [1.0], [], [])]], figure=FigureOfMerit.WAFROC1)
    assert found.areas[0] == pytest.approx((1 + 0.5) / 2)
