"""Touching bodies come apart, single ones stay whole, and only the column is kept."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.localize.instances import BodyShape, ChainLimits, order_chain, settle_shapes, split_bodies

FINE, THICK = (1.5, 1.25, 1.25), (4.0, 1.25, 1.25)
HALF_MM = np.array([21.0, 13.0, 17.0])
"""Half size of a lumbar body along left, inferior and posterior."""


def _places(spacing, size_mm):
    shape = np.round(np.asarray(size_mm) / spacing).astype(int)
    return np.moveaxis(np.indices(shape), 0, -1) * np.asarray(spacing)


def _body(places, center, half=HALF_MM):
    """A body with rounded outline and waist: flat above and below, narrower at mid height."""
    d = (places - center) / half
    waist = 0.85 + 0.15 * np.minimum(np.abs(d[..., 1]), 1)
    return (np.abs(d[..., 1]) <= 1) & (np.abs(d[..., 0] / waist) ** 3 + np.abs(d[..., 2] / waist) ** 3 <= 1)


def _column(spacing, step_mm=32.0, n=4):
    places = _places(spacing, (60, n * step_mm + 10, 60))
    centers = [np.array([30.0, 20 + step_mm * i, 30.0]) for i in range(n)]
    return places, centers, [_body(places, c) for c in centers]


@pytest.mark.parametrize("spacing", [FINE, THICK], ids=["fine", "thick slices"])
def test_bodies_joined_by_a_bridge_come_apart(spacing):
    places, centers, bodies = _column(spacing)
    # Bony bridges in front, as osteophytes make them.
    bridge = (np.abs(places[..., 2] - 17) < 4) & (np.abs(places[..., 0] - 30) < 8)
    bridge &= (places[..., 1] > centers[0][1]) & (places[..., 1] < centers[-1][1])
    labels = split_bodies(np.logical_or.reduce([*bodies, bridge]), spacing)
    assert labels.max() == len(centers)
    for body in bodies:
        own = np.bincount(labels[body]).argmax()
        assert 2 * ((labels == own) & body).sum() / ((labels == own).sum() + body.sum()) > 0.9


@pytest.mark.parametrize("spacing", [FINE, THICK], ids=["fine", "thick slices"])
def test_touching_balls_come_apart_in_the_middle(spacing):
    places = _places(spacing, (50, 90, 50))
    balls = [np.linalg.norm(places - c, axis=-1) < 17 for c in ((25, 25, 25), (25, 57, 25))]
    labels = split_bodies(balls[0] | balls[1], spacing)
    assert labels.max() == 2
    assert len({int(np.bincount(labels[b & ~o]).argmax()) for b, o in (balls, balls[::-1])}) == 2


@pytest.mark.parametrize("spacing", [FINE, THICK, (3.0, 0.6, 0.6)], ids=str)
@pytest.mark.parametrize(
    "half", [HALF_MM, HALF_MM * (1, 0.4, 1), HALF_MM * (0.45, 0.5, 0.5)], ids=["whole", "flat", "small"]
)
def test_a_single_body_stays_whole(spacing, half):
    places = _places(spacing, (60, 50, 60))
    labels = split_bodies(_body(places, np.array([30.0, 25, 30]), half), spacing)
    assert labels.max() == 1


def test_the_pieces_cover_the_mask_and_nothing_else():
    _, _, bodies = _column(THICK)
    mask = np.logical_or.reduce(bodies)
    np.testing.assert_array_equal(split_bodies(mask, THICK) > 0, mask)


def test_a_speck_and_an_empty_mask_give_nothing():
    mask = np.zeros((10, 40, 40), bool)
    assert split_bodies(mask, THICK).max() == 0
    mask[5, 10, 10:12] = True
    assert split_bodies(mask, THICK).max() == 0


def test_the_chain_is_numbered_from_the_head_and_leaves_out_what_lies_apart():
    spacing = (4.0, 2.0, 2.0)
    places = _places(spacing, (200, 260, 220))
    labels = np.zeros(places.shape[:3], np.uint16)
    centers = [(60.0, 40 + 34 * i, 60 + 6 * i) for i in range(5)]
    for number, center in zip((4, 2, 5, 1, 3), centers, strict=True):
        labels[_body(places, np.array(center))] = number
    labels[np.linalg.norm(places - (170, 110, 180), axis=-1) < 18] = 6
    labels[np.linalg.norm(places - (60, 240, 200), axis=-1) < 4] = 7
    chain = order_chain(labels, spacing, ChainLimits())
    assert [int(np.bincount(chain[labels == n]).argmax()) for n in (4, 2, 5, 1, 3, 6, 7)] == [1, 2, 3, 4, 5, 0, 0]


def test_a_small_piece_between_bodies_is_left_out_but_a_cut_one_at_the_end_is_kept():
    spacing = (4.0, 2.0, 2.0)
    places = _places(spacing, (60, 200, 60))
    labels = np.zeros(places.shape[:3], np.uint16)
    labels[_body(places, np.array([30.0, 8, 30]), HALF_MM * (0.7, 0.25, 0.7))] = 1
    labels[_body(places, np.array([30.0, 40, 30]))] = 2
    labels[_body(places, np.array([30.0, 62, 30]), HALF_MM * (0.5, 0.25, 0.5))] = 3
    labels[_body(places, np.array([30.0, 90, 30]))] = 4
    labels[_body(places, np.array([30.0, 124, 30]))] = 5
    limits = ChainLimits(min_volume_mm3=500.0, min_relative_volume=0.2)
    chain = order_chain(labels, spacing, limits)
    assert [int(np.bincount(chain[labels == n]).argmax()) for n in (1, 2, 3, 4, 5)] == [1, 2, 0, 3, 4]


def test_bodies_side_by_side_are_no_column():
    spacing = (4.0, 2.0, 2.0)
    places = _places(spacing, (60, 60, 200))
    labels = np.zeros(places.shape[:3], np.uint16)
    for number in (1, 2, 3):
        labels[_body(places, np.array([30.0, 30, 50.0 * number - 20]))] = number
    assert order_chain(labels, spacing, ChainLimits()).max() == 1


def _two_bodies(spacing=THICK):
    _, _, (upper, lower) = _column(spacing, n=2)
    return np.where(upper, 1, np.where(lower, 2, 0)).astype(np.uint16)


def test_a_notch_is_filled_but_never_from_a_neighbor():
    bodies = _two_bodies()
    whole = bodies.copy()
    rows, columns = np.nonzero(bodies[7] == 1)
    row = int(np.median(rows))
    bodies[7, row : row + 2, columns.min() : columns.min() + 9] = 0
    sure = np.ones(bodies.shape, np.float32)
    settled = settle_shapes(bodies, sure, THICK, BodyShape())
    assert (settled[7][whole[7] == 1] == 1).mean() > 0.99
    assert (settled[whole == 2] == 2).all()
    np.testing.assert_array_equal(settle_shapes(bodies, sure, THICK, BodyShape(0, 0)), bodies)


@pytest.mark.parametrize(("probability", "kept"), [(0.7, False), (0.95, True)])
def test_a_small_outline_beside_a_body_stays_only_where_the_network_is_sure(probability, kept):
    bodies = _two_bodies()
    first = int(np.flatnonzero((bodies == 1).any(axis=(1, 2)))[0])
    bodies[first - 1, 14:20, 20:28] = 1
    sure = np.full(bodies.shape, 0.97, np.float32)
    sure[first - 1] = probability
    settled = settle_shapes(bodies, sure, THICK, BodyShape())
    assert (settled[first - 1] > 0).any() == kept
    assert (settled[first] == 1).any()


def test_a_body_unsure_throughout_keeps_its_middle():
    bodies = _two_bodies()
    unsure = np.full(bodies.shape, 0.7, np.float32)
    settled = settle_shapes(bodies, unsure, THICK, BodyShape())
    assert set(np.unique(settled)) == {0, 1, 2}
