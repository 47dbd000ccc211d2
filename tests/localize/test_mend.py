"""Two bodies taken for one come apart, halves of one are joined, and all others are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.localize.mend import mend_chain

SPACING_MM = (4.0, 1.0, 1.0)
HALF_MM = (10.0, 6.0, 7.5)
"""Half size of a cervical body along left, inferior and posterior."""


def _column(n=7, *, step_mm=17.0, tilt=0.0, growth=0.0):
    """Numbered bodies one below the other, leaning backward by `tilt` mm per mm."""
    shape = (10, int(n * step_mm * (1 + growth * n) + 30), 60)
    points = np.moveaxis(np.indices(shape), 0, -1) * np.asarray(SPACING_MM)
    bodies, at = np.zeros(shape, np.uint16), 15.0
    for number in range(1, n + 1):
        scale = 1 + growth * (number - 1)
        offset = points - (18.0, at, 20.0 + tilt * (at - 15))
        offset[..., 2] -= tilt * offset[..., 1]
        bodies[(np.abs(offset) <= np.multiply(HALF_MM, scale)).all(axis=-1)] = number
        at += step_mm * (1 + growth * number)
    return bodies


def _with_disc(bodies, upper):
    """Fill the disc below a body with body, and give both one number."""
    merged = bodies.copy()
    above, below = (np.argwhere(bodies == upper + i) for i in (0, 1))
    columns = slice(above[:, 2].min() + 2, above[:, 2].max() - 1)
    merged[3:6, above[:, 1].max() : below[:, 1].min() + 1, columns] = upper
    merged[merged > upper] -= 1
    return merged


def _mended(bodies, probability=None):
    """Mend a chain of which the network is sure, and of nothing else unless told."""
    return mend_chain(bodies, SPACING_MM, (bodies > 0).astype(np.float32) if probability is None else probability)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_good_chain_is_left_alone(tilt):
    for bodies in (_column(tilt=tilt), _column(growth=0.08, tilt=tilt), _column(3)):
        np.testing.assert_array_equal(_mended(bodies), bodies)


@pytest.mark.parametrize("upper", [1, 3, 6])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_two_bodies_taken_for_one_come_apart_at_their_disc(upper, tilt):
    bodies = _column(tilt=tilt)
    mended = _mended(_with_disc(bodies, upper))
    assert mended.max() == bodies.max()
    for number in range(1, 8):
        assert np.bincount(mended[bodies == number]).argmax() == number


@pytest.mark.parametrize("missing", [(3,), (5,), (3, 4)])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_missing_bodies_are_found_where_the_network_is_unsure_of_them(missing, tilt):
    bodies = _column(tilt=tilt)
    seen = np.where(np.isin(bodies, missing), 0, bodies)
    numbers = np.unique(seen)
    seen = np.searchsorted(numbers, seen).astype(np.uint16)
    unsure = np.where(np.isin(bodies, missing), 0.3, bodies > 0).astype(np.float32)
    mended = _mended(seen, unsure)
    assert mended.max() == bodies.max()
    for number in missing:
        assert (mended[bodies == number] == number).mean() > 0.7


def test_a_gap_in_which_nothing_was_seen_stays_empty():
    bodies = _column()
    seen = np.where(bodies == 4, 0, bodies)
    seen[seen > 4] -= 1
    np.testing.assert_array_equal(_mended(seen), seen)


def test_little_in_a_gap_is_no_body():
    bodies = _column()
    seen = np.where(bodies == 4, 0, bodies)
    seen[seen > 4] -= 1
    unsure = (bodies > 0).astype(np.float32)
    unsure[(bodies == 4) & (np.arange(bodies.shape[2]) > 16)] = 0
    np.testing.assert_array_equal(_mended(seen, unsure), seen)


def test_a_body_as_tall_as_two_is_two_though_its_neighbors_are_close():
    bodies = _with_disc(_column(), 3)
    close = np.where(bodies == 3, bodies, 0)
    for part, shift in ((bodies < 3, 5), (bodies > 3, -5)):
        moved = np.roll(np.where(part, bodies, 0), shift, axis=1)
        close[moved > 0] = moved[moved > 0]
    assert _mended(close).max() == 7


def test_halves_of_one_body_are_joined():
    bodies = _column()
    halves = bodies.copy()
    middle = int(np.median(np.argwhere(bodies == 4)[:, 1]))
    lower = (bodies == 4) & (np.arange(bodies.shape[1])[:, None] > middle)
    halves[bodies > 4] += 1
    halves[lower] = 5
    np.testing.assert_array_equal(_mended(halves), bodies)


def test_a_tall_body_with_no_room_for_a_second_stays_whole():
    bodies = _column()
    dens = np.zeros(bodies.shape, bool)
    dens[4:5, :10, 18:23] = True
    bodies[dens] = 1
    np.testing.assert_array_equal(_mended(bodies), bodies)


def test_a_collapsed_body_is_not_joined_to_its_neighbor():
    bodies = _column()
    rows = np.flatnonzero((bodies == 4).any(axis=(0, 2)))
    bodies[:, rows[len(rows) // 2] :][bodies[:, rows[len(rows) // 2] :] == 4] = 0
    assert _mended(bodies).max() == 7


def test_nothing_comes_of_nothing():
    empty = np.zeros((4, 10, 10), np.uint16)
    np.testing.assert_array_equal(_mended(empty), empty)
