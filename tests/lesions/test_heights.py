"""Heights of drawn bodies, what they lost, and grades at their thresholds."""

import numpy as np
import pytest

from spondyl.core import Grid, LabelMap, Structure, Vertebra
from spondyl.lesions.height_loss import POSTERIOR_HEIGHT_MM, genant_grade, height_losses
from spondyl.lesions.heights import body_heights, translation_mm

LEVELS = ("T12", "L1", "L2", "L3", "L4")


def column(heights_front_back, *, slip_mm=0.0, orientation=None):
    """Boxes of given heights in front and behind, one above the other, with a canal behind them."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = 4.0, -1.0, 1.0, 1.0
    affine[:3, 3] = (-20.0, -30.0, 100.0)
    grid = Grid((11, 220, 90), affine)
    at = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    structure, instance = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.uint16)
    structure[(np.abs(at[..., 0]) < 9) & (at[..., 1] > 18) & (at[..., 1] < 32)] = Structure.CANAL
    places = []
    for number, (front, back) in enumerate(heights_front_back, start=1):
        z = 80.0 - 34.0 * (number - 1)
        y = at[..., 1] - (slip_mm if number <= 2 else 0.0)
        half = (front + (back - front) * (y + 15) / 30) / 2
        body = (np.abs(at[..., 0]) < 18) & (np.abs(y) < 15) & (np.abs(at[..., 2] - z) < half)
        structure[body], instance[body] = Structure.BODY, number
        places.append((0.0, 0.0, z))
    vertebrae = [
        Vertebra(n, level, 1.0, False, "", place, 1.0, 1.0)
        for n, (level, place) in enumerate(zip(LEVELS, places, strict=False), start=1)
    ]
    return LabelMap(structure, grid), LabelMap(instance, grid), vertebrae


def test_heights_of_boxes_are_measured_to_half_a_millimeter():
    structures, instances, _ = column([(25, 25)] * 5)
    for found in body_heights(structures, instances).values():
        np.testing.assert_allclose(found[:3], 25, atol=0.5)
        assert found.depth_mm == pytest.approx(30, abs=1.5)


@pytest.mark.parametrize("turn", ["RAS", "SPL", "PIR"])
def test_another_order_of_axes_changes_nothing(turn):
    from spondyl.core import reorient

    structures, instances, _ = column([(26, 26), (26, 26), (18, 26), (26, 26), (26, 26)])
    turned = [
        LabelMap(reorient(m.array, m.grid.orientation, turn), m.grid.reoriented(turn)) for m in (structures, instances)
    ]
    plain, other = body_heights(structures, instances), body_heights(*turned)
    for number, found in plain.items():
        np.testing.assert_allclose(found[:3], other[number][:3], atol=0.2)


def test_a_wedge_has_lost_in_front_what_its_neighbors_tell():
    structures, instances, vertebrae = column([(26, 26), (26, 26), (15.6, 26), (26, 26), (26, 26)])
    losses = height_losses(body_heights(structures, instances), vertebrae)
    # The front third of a wedge that lost 40 % at its edge has lost 31 % on average.
    assert losses[3].percent == pytest.approx(31, abs=4)
    assert losses[3].shape == "wedge"
    assert losses[3].low < losses[3].percent < losses[3].high
    assert max(abs(losses[n].percent) for n in (1, 2, 4, 5)) < 8


def test_a_crushed_body_has_lost_everywhere():
    structures, instances, vertebrae = column([(26, 26), (26, 26), (13, 13), (26, 26), (26, 26)])
    loss = height_losses(body_heights(structures, instances), vertebrae)[3]
    assert loss.percent == pytest.approx(50, abs=4)
    assert loss.shape == "crush"


def test_bodies_that_are_cut_or_sacral_are_not_compared():
    structures, instances, vertebrae = column([(26, 26)] * 5)
    from dataclasses import replace

    changed = [replace(vertebrae[0], at_edge=True), *vertebrae[1:4], replace(vertebrae[4], level="S1")]
    assert set(height_losses(body_heights(structures, instances), changed)) == {2, 3, 4}


def test_two_bodies_tell_nothing():
    structures, instances, vertebrae = column([(26, 26)] * 2)
    assert height_losses(body_heights(structures, instances), vertebrae) == {}


def test_a_step_between_bodies_is_measured():
    structures, instances, _ = column([(26, 26)] * 5, slip_mm=6.0)
    heights = body_heights(structures, instances)
    assert translation_mm(heights[2], heights[3]) == pytest.approx(6, abs=2)
    assert translation_mm(heights[3], heights[4]) < 2


@pytest.mark.parametrize(
    ("percent", "grade"), [(-5, 0), (19.9, 0), (20, 1), (24.9, 1), (25, 2), (39.9, 2), (40, 3), (90, 3)]
)
def test_genant_grades_begin_where_the_paper_says(percent, grade):
    assert genant_grade(percent) == grade


def test_a_loss_since_a_prior_study_is_told_against_the_same_body():
    from spondyl.lesions.change import height_change

    before, after = (
        body_heights(*column([(26, 26), (26, 26), (front, 26), (26, 26), (26, 26)])[:2]) for front in (26, 15.6)
    )
    change = height_change(after[3], before[3])
    # The front third of a wedge that lost 40 % at its edge has lost 31 % on average.
    assert change.percent == pytest.approx(-31, abs=4)
    assert (change.verdict, change.note) == ("decreased", "front third")
    still = height_change(after[2], before[2])
    assert still.verdict == "unchanged"
    assert abs(still.percent) < 3


def heights_mm(rows):
    from spondyl.lesions.heights import Heights

    return {n: Heights(*row, 30.0, (0.0, 0.0), None) for n, row in enumerate(rows, start=1)}


def spine_of(levels):
    return [Vertebra(n, level, 1.0, False, "", (0.0, 0.0, 0.0), 1.0, 1.0) for n, level in enumerate(levels, start=1)]


def test_intervals_of_losses_hold_the_truth_as_often_as_they_promise():
    rng = np.random.default_rng(11)
    inside, errors, levels = [], [], ("T10", "T11", "T12", "L1", "L2", "L3", "L4")
    usual = np.array([[POSTERIOR_HEIGHT_MM[level]] for level in levels])
    scatter = np.linalg.cholesky(0.05**2 * np.array([[1, 0.7, 0.45], [0.7, 1, 0.75], [0.45, 0.75, 1]]))
    for _ in range(150):
        rows = usual * np.exp(rng.normal(0, 1, (7, 3)) @ scatter.T)
        lost = rng.uniform(0.1, 0.5)
        rows[3] *= 1 - lost * np.array([[1, 0.64, 0.28], [1, 1, 1], [0.5, 1, 0.5]])[rng.integers(3)]
        loss = height_losses(heights_mm(rows), spine_of(levels))[4]
        inside.append(loss.low <= 100 * lost <= loss.high)
        errors.append(loss.percent - 100 * lost)
    assert 0.84 <= np.mean(inside) <= 0.97
    assert np.mean(np.abs(errors)) < 6


def test_a_second_broken_body_does_not_hide_the_first():
    rows = np.full((7, 3), 25.0)
    rows[2] *= (0.6, 0.75, 0.9)
    rows[3] *= (0.7, 0.7, 0.7)
    losses = height_losses(heights_mm(rows), spine_of(("L2",) * 7))
    assert losses[3].percent == pytest.approx(40, abs=5)
    assert losses[4].percent == pytest.approx(30, abs=5)
    assert max(losses[n].percent for n in (1, 2, 5, 6, 7)) < 6


def test_a_patient_whose_bodies_differ_gets_wider_intervals():
    even = np.full((7, 3), 25.0)
    uneven = even * np.array([1, 1.12, 0.9, 1, 1.1, 0.88, 1.05])[:, None]
    narrow, wide = (height_losses(heights_mm(r), spine_of(("L2",) * 7))[4] for r in (even, uneven))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
