"""Matching of instances, panoptic quality, and levels per study."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import SettingsError
from spondyl.evaluation.instances import match_instances, score_levels, summarize_levels


def column(starts, height=4, shape=(60, 10)):
    array = np.zeros(shape, np.uint16)
    for label, start in enumerate(starts, 1):
        array[start : start + height] = label
    return array


def panoptic_figure():
    """Three true and four predicted objects of Reinke 2024, doi 10.1038/s41592-023-02150-0."""
    truth, prediction = np.zeros((21, 21), np.uint8), np.zeros((21, 21), np.uint8)
    truth[8:11, 3] = truth[9, 2:5] = 1
    truth[14:19, 7:13] = 2
    truth[2:7, 14:17] = truth[2:4, 12:14] = 3
    prediction[5:7, 2:5] = 1
    prediction[14:18, 4:6] = prediction[16, 3] = 2
    prediction[14:18, 7:12] = 3
    prediction[2:8, 13:16] = prediction[2:4, 12] = 4
    return truth, prediction


def test_panoptic_quality_of_the_published_figure():
    # Two of three objects are matched and two predictions are extra; intersections over union 20/30 and 14/25.
    found = match_instances(*panoptic_figure())
    assert [(t, p) for t, p, _ in found.pairs] == [(2, 3), (3, 4)]
    assert [iou for *_, iou in found.pairs] == pytest.approx([20 / 30, 14 / 25])
    assert found.recognition_quality == pytest.approx(2 / (2 + (1 + 2) / 2))
    assert found.panoptic_quality == pytest.approx((20 / 30 + 14 / 25) / 2 * 2 / 3.5)


def test_numbers_of_instances_need_not_agree():
    truth = column([0, 10, 20])
    renamed = np.array([0, 9, 5, 700])[truth].astype(np.uint16)
    found = match_instances(truth, renamed)
    assert [(t, p) for t, p, _ in found.pairs] == [(1, 9), (2, 5), (3, 700)]
    assert found.panoptic_quality == 1


def test_missed_and_extra_instances_are_listed():
    found = match_instances(column([0, 10, 20]), column([0, 30]))
    assert found.missed == (2, 3)
    assert found.extra == (2,)
    assert found.recognition_quality == pytest.approx(1 / 2.5)
    assert "extra" in str(found)


def test_a_split_instance_matches_one_piece_alone_below_one_half():
    truth, prediction = column([0], height=10), column([0, 5], height=5)
    assert match_instances(truth, prediction).pairs == ()
    found = match_instances(truth, prediction, threshold=0.4)
    assert len(found.pairs) == 1
    assert len(found.extra) == 1


def test_the_pairs_with_the_largest_sum_are_taken():
    # The first prediction overlaps both: greedily it would take the first truth and leave the second alone.
    truth, prediction = np.zeros(20, np.uint8), np.zeros(20, np.uint8)
    truth[0:8], truth[8:14] = 1, 2
    prediction[3:13], prediction[0:3] = 1, 2
    found = match_instances(truth, prediction, threshold=0.2)
    assert [(t, p) for t, p, _ in found.pairs] == [(1, 2), (2, 1)]


def test_nothing_at_all_has_no_quality_and_nothing_found_has_none():
    assert math.isnan(match_instances(column([]), column([])).panoptic_quality)
    assert match_instances(column([0]), column([])).panoptic_quality == 0


def test_thresholds_must_be_shares():
    with pytest.raises(SettingsError, match="threshold"):
        match_instances(column([0]), column([0]), threshold=1.0)


def test_levels_count_right_only_where_found_and_named():
    match = match_instances(column([0, 10, 20, 30]), column([0, 10, 20]))
    found = score_levels(match, {1: "T12", 2: "L1", 3: "L2", 4: "L3"}, {1: "T12", 2: "L2", 3: None})
    assert (found.n_truth, found.n_found, found.n_named, found.n_right) == (4, 3, 2, 1)
    assert found.wrong == (("L1", "L2"),)
    assert found.accuracy == 0.25
    assert not found.all_right


def test_a_summary_takes_the_study_as_unit():
    match = match_instances(column([0, 10]), column([0, 10]))
    right = score_levels(match, {1: "L1", 2: "L2"}, {1: "L1", 2: "L2"})
    shifted = score_levels(match, {1: "L1", 2: "L2"}, {1: "L2", 2: "L3"})
    unknown = score_levels(match, {}, {1: "L1"})
    found = summarize_levels([right, shifted, right, right, unknown], patients=list("aabcd"))
    assert found.n_studies == 4
    assert found.accuracy.value == 0.75
    assert found.all_right.value == 0.75
    assert found.right_when_named.low < 0.75
    assert "accuracy" in str(found)
