"""Scores of label maps: published values, the policy for empty masks, hostile input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core import Grid, LabelMap
from spondyl.core.errors import GeometryError, InputError, SettingsError
from spondyl.evaluation.bootstrap import Resampling
from spondyl.evaluation.segmentation import (
    MEASURES,
    EmptyMask,
    Outcome,
    Surface,
    score_label_maps,
    score_labels,
    summarize,
)
from spondyl.evaluation.surface import surface_distances


def boxes(shape=(24, 24, 8), **moves):
    """Three boxes with labels 1 to 3, each moved by so many voxels along the first axis."""
    array = np.zeros(shape, np.uint16)
    for label, start in ((1, 2), (2, 9), (3, 16)):
        shift = moves.get(f"move_{label}", 0)
        array[start + shift : start + shift + 5, 4:18, 2:6] = label
    return array


def test_published_overlap_of_a_square_and_a_cross():
    # Reinke 2024, doi 10.1038/s41592-023-02150-0, figure SN 2.10, as in the tests of MetricsReloaded.
    square = np.zeros((11, 11), np.uint8)
    square[3:8, 3:8] = 1
    cross = square.copy()
    cross[5, 1:10] = cross[1:10, 5] = 1
    found = score_labels(square, cross, (1, 1)).labels[0]
    assert round(found.dice, 3) == 0.862
    assert round(found.iou, 2) == 0.76


def test_published_scores_of_slabs():
    # surface-distance of Nikolov 2018, surface_distance_test.py.
    a, b = np.zeros((100,) * 3, bool), np.zeros((100,) * 3, bool)
    a[:50] = b[:51] = True
    found = score_labels(a, b, (2, 1, 1)).labels[0]
    assert round(found.dice, 3) == 0.990
    assert found.hd95_mm == 2.0
    assert round(found.surface_dice, 3) == 0.836
    assert found.truth_mm3 == 1e6
    assert found.volume_error_mm3 == pytest.approx(2e4)
    assert found.relative_volume_error == pytest.approx(0.02)


def test_the_same_map_is_perfect():
    found = score_labels(boxes(), boxes(), (1, 1, 4))
    for measure, ideal in zip(MEASURES, (1, 1, 0, 0, 1, 0, 0), strict=True):
        assert found.mean(measure) == ideal


def test_each_label_scores_as_if_it_were_alone():
    truth, prediction = boxes(), boxes(move_2=1, move_3=-2)
    found = score_labels(truth, prediction, (0.9, 0.9, 4))
    for score in found.labels:
        a, b = truth == score.label, prediction == score.label
        distances = surface_distances(a, b, (0.9, 0.9, 4))
        assert score.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert score.hd95_mm == pytest.approx(distances.hausdorff_mm())
        assert score.surface_dice == pytest.approx(distances.surface_dice(1.0))
        assert score.assd_mm == pytest.approx(distances.assd_mm)


def test_a_missed_and_an_extra_label_score_worst_and_an_absent_one_does_not_score():
    truth, prediction = boxes(), boxes()
    truth[truth == 3] = 0
    prediction[prediction == 2] = 0
    found = score_labels(truth, prediction, (1, 1, 4), labels=(1, 2, 3, 4))
    outcomes = [s.outcome for s in found.labels]
    assert outcomes == [Outcome.COMPARED, Outcome.MISSED, Outcome.EXTRA, Outcome.ABSENT]
    diagonal = math.hypot(24, 24, 32)
    for score in found.labels[1:3]:
        assert (score.dice, score.iou, score.surface_dice) == (0, 0, 0)
        assert score.hd95_mm == score.assd_mm == pytest.approx(diagonal)
    assert math.isnan(found.labels[3].dice)
    assert found.mean("dice") == pytest.approx(1 / 3)
    assert found.mean("relative_volume_error") == pytest.approx(0.5)
    assert "1 missed, 1 extra, 1 absent" in str(found)


def test_infinite_distances_are_there_on_request():
    # The convention of surface-distance for an empty prediction: infinite distance, surface Dice and Dice 0.
    found = score_labels(boxes(), boxes() * 0, (1, 1, 4), policy=(EmptyMask.INFINITE, Surface.ELEMENTS))
    assert math.isinf(found.labels[0].hd95_mm)
    assert math.isinf(found.mean("hd95_mm"))
    assert found.mean("surface_dice") == 0


@pytest.mark.parametrize("measure", ["dice", "iou", "surface_dice"])
def test_missing_a_label_never_betters_a_mean(rng, measure):
    truth = boxes()
    for _ in range(20):
        prediction = np.where(rng.random(truth.shape) < 0.3, 0, boxes(move_1=rng.integers(-2, 7), move_3=3))
        without = np.where(prediction == rng.integers(1, 4), 0, prediction)
        before, after = (score_labels(truth, p, (1, 1, 4), labels=(1, 2, 3)) for p in (prediction, without))
        assert after.mean(measure) <= before.mean(measure) + 1e-12
        for distance in ("hd95_mm", "assd_mm"):
            assert after.mean(distance) >= before.mean(distance) - 1e-9


def test_maps_of_the_record_must_lie_in_one_space():
    grid = Grid((24, 24, 8), np.diag([1, 1, 4, 1.0]))
    moved = Grid((24, 24, 8), np.array([[1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1.0]]))
    truth = LabelMap(boxes(), grid, {1: "L1"})
    found = score_label_maps(truth, LabelMap(boxes(move_1=1), grid), tolerance_mm=2.0)
    assert found.labels[0].name == "L1"
    assert found.labels[0].surface_dice == 1.0
    with pytest.raises(GeometryError, match=r"up to 3\.00 mm apart: resample"):
        score_label_maps(truth, LabelMap(boxes(), moved))
    with pytest.raises(GeometryError, match="their shapes differ"):
        score_label_maps(truth, LabelMap(boxes()[:20], Grid((20, 24, 8), grid.affine)))


@pytest.mark.parametrize(
    ("truth", "error", "words"),
    [
        (np.zeros((3, 4, 3), int), GeometryError, "one grid, got shapes"),
        (np.full((3, 3, 3), 0.5), InputError, "whole numbers"),
        (np.full((3, 3, 3), np.nan), InputError, "whole numbers"),
        (np.full((3, 3, 3), -1), InputError, "from 0 to 65535, got -1"),
        (np.full((3, 3, 3), 70000), InputError, "from 0 to 65535"),
    ],
)
def test_bad_maps_are_named(truth, error, words):
    with pytest.raises(error, match=words):
        score_labels(truth, np.zeros((3, 3, 3), int), (1, 1, 1))


def test_bad_settings_are_named():
    with pytest.raises(SettingsError, match="tolerance_mm"):
        score_labels(boxes(), boxes(), (1, 1, 4), tolerance_mm=-1)
    with pytest.raises(SettingsError, match="measure must be one of"):
        score_labels(boxes(), boxes(), (1, 1, 4)).mean("beauty")


def test_empty_maps_have_no_labels_and_no_mean():
    found = score_labels(boxes() * 0, boxes() * 0, (1, 1, 4))
    assert found.labels == ()
    assert math.isnan(found.mean("dice"))


def test_whole_numbers_of_any_type_are_labels():
    for kind in (np.float32, np.int64, np.uint8):
        assert score_labels(boxes().astype(kind), boxes(), (1, 1, 4)).mean("dice") == 1


def test_a_summary_means_over_studies_and_resamples_patients():
    studies = [score_labels(boxes(), boxes(move_1=m), (1, 1, 4)) for m in (0, 1, 2, 3)]
    empty = score_labels(boxes() * 0, boxes() * 0, (1, 1, 4))
    found = summarize([*studies, empty], patients=["a", "a", "b", "c", "d"], resampling=Resampling(100))
    assert found.means["dice"].value == pytest.approx(np.mean([s.mean("dice") for s in studies]))
    assert found.means["dice"].low < found.means["dice"].value < found.means["dice"].high
    assert (found.n_studies, found.n_patients) == (4, 3)
    assert found.outcomes["compared"] == 12
    assert any("1 studies hold no label" in f for f in found.flags)
    assert "4 studies of 3 patients" in str(found)
    with pytest.raises(InputError, match="at least one study with a label"):
        summarize([empty])
