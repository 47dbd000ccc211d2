"""Saliency of the lesions of one study, and the marrow they are compared with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from spondyl.core import LabelMap, Sequence
from spondyl.harmonize.prominence import LESION_MARGIN_MM, measured_lesions, normal_marrow, study_saliency
from tissue_boxes import GRID, places, scanned

CASE = scanned("1.5 T")
MASKS = places()[0]


def image(marrow: float, tumor: float, *, noise: float = 20.0) -> np.ndarray:
    array = np.where(MASKS["tumor"], tumor, marrow) + np.random.default_rng(0).normal(0, noise, GRID.shape)
    return array.astype(np.float32)


def scored(values: dict[Sequence, np.ndarray], spread: float = 0.0):
    aligned = {s: (a, np.full(GRID.shape, spread, np.float32)) for s, a in values.items()}
    (score,) = [m for m in measured_lesions(CASE, aligned)[0].measurements if m.name == "saliency"]
    return score


def test_marrow_near_a_lesion_is_not_normal():
    marrow = normal_marrow(CASE)
    assert not (marrow & MASKS["tumor"]).any()
    spots = GRID.ijk_to_lps(np.argwhere(MASKS["tumor"]))
    near = GRID.ijk_to_lps(np.argwhere(marrow))
    closest = min(np.linalg.norm(spots - p, axis=1).min() for p in near[::97])
    assert closest > LESION_MARGIN_MM
    assert marrow.sum() > 0.4 * MASKS["marrow"].sum()


def test_without_lesions_all_marrow_inside_the_bodies_is_normal():
    bodies = MASKS["marrow"] | MASKS["tumor"]
    structures = CASE.labels["structures"]
    for labels in (
        {"structures": structures},
        {"structures": structures, "lesions": LabelMap(np.zeros(GRID.shape), GRID)},
    ):
        marrow = normal_marrow(CASE.with_(labels=labels))
        assert not (marrow & ~bodies).any()
        assert (marrow & MASKS["tumor"]).any()
        edge = bodies & ~ndimage.binary_erosion(bodies, np.ones((1, 3, 3)))
        assert not (marrow & edge).any()
        assert marrow.sum() > 0.4 * bodies.sum()


def test_darkening_on_t1_counts_and_brightening_does_not():
    assert scored({Sequence.T1: image(300, 150)}).value > 0.9
    assert scored({Sequence.T1: image(300, 450)}).value == 0


def test_the_parts_of_the_sequences_sum_to_the_score():
    score = scored({Sequence.T1: image(300, 240), Sequence.STIR: image(100, 150)})
    parts = [float(p.split()[-1]) for p in score.note.removeprefix("by sequence: ").split(", ")]
    assert sum(parts) == pytest.approx(score.value, abs=0.011)
    assert 0 < score.value < 1


def test_an_unsure_scale_makes_a_lesion_less_prominent():
    sure, unsure = (scored({Sequence.STIR: image(100, 170)}, spread=s).value for s in (0.0, 0.5))
    assert unsure < sure


def test_a_study_is_as_prominent_as_its_most_prominent_lesion():
    aligned = {Sequence.T1: (image(300, 150), np.zeros(GRID.shape, np.float32))}
    case = CASE.with_(lesions=measured_lesions(CASE, aligned))
    assert study_saliency(case).value == case.lesions[0].measurements[-1].value
    assert study_saliency(CASE.with_(lesions=())).value == 0


def test_where_nothing_can_be_compared_the_score_is_none_with_the_reason():
    nowhere = np.full(GRID.shape, np.nan, np.float32)
    score = scored({Sequence.T1: nowhere})
    assert score.value is None
    assert score.note
    case = CASE.with_(lesions=measured_lesions(CASE, {Sequence.T1: (nowhere, nowhere)}))
    assert study_saliency(case).value is None
