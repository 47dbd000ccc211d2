"""Contrast is told against the marrow of neighbors, whatever the scanner, and only what stands out remains."""

from __future__ import annotations

import numpy as np
import pytest

from marrow_boxes import SHAPE, SPACING_MM, marrow_boxes
from spondyl.lesions.conspicuity import (
    LEAST_SPREAD,
    Conspicuity,
    conspicuity,
    standing_out,
)
from spondyl.lesions.spots import EDGE_SHARE

SPOT = np.s_[4:7, 38:46, 12:22]
SPREAD = 0.2


@pytest.fixture(scope="module")
def bodies():
    return marrow_boxes()


def _marrow(bodies, *, spot=0.0, seed=0):
    image = np.random.default_rng(seed).normal(0, SPREAD, SHAPE).astype(np.float32) + 1.0
    image[SPOT] += spot
    return np.where(bodies > 0, image, 3.0)


def _contrast(bodies, image, *, suspicious=None):
    none = np.zeros(SHAPE, bool)
    return conspicuity([image], bodies > 0, bodies, none if suspicious is None else suspicious, SPACING_MM)


def test_contrast_is_in_standard_deviations_of_the_marrow(bodies):
    seen = _contrast(bodies, _marrow(bodies, spot=1.6))
    assert np.median(seen.contrast_sd[0][SPOT]) == pytest.approx(1.6 / SPREAD, rel=0.1)
    assert np.median(seen.contrast_sd[0][bodies == 3]) < 1


def test_dark_stands_out_as_bright_does(bodies):
    bright, dark = (_contrast(bodies, _marrow(bodies, spot=s)).contrast_sd[0][SPOT] for s in (1.5, -1.5))
    np.testing.assert_allclose(np.median(bright), np.median(dark), rtol=0.1)


def test_gain_and_offset_change_nothing(bodies):
    image = _marrow(bodies, spot=1.5)
    one, other = _contrast(bodies, image), _contrast(bodies, image * 2.5 - 7)
    np.testing.assert_allclose(one.contrast_sd, other.contrast_sd, rtol=1e-3, atol=1e-3)


def test_even_marrow_is_not_taken_for_perfect(bodies):
    image = np.ones(SHAPE, np.float32)
    image[SPOT] = 1.3
    assert _contrast(bodies, image).contrast_sd[0][5, 42, 17] == pytest.approx(0.3 / LEAST_SPREAD, rel=0.01)


def test_patches_that_marrow_has_anyway_stand_out_less(bodies):
    image = _marrow(bodies, spot=1.6)
    patchy = np.where(np.random.default_rng(9).random(SHAPE) < 0.12, image + 0.8, image)
    even, uneven = (np.median(_contrast(bodies, i).contrast_sd[0][SPOT]) for i in (image, patchy))
    assert uneven < 0.7 * even


def test_nothing_is_known_outside_bodies_and_without_series(bodies):
    seen = _contrast(bodies, _marrow(bodies))
    assert seen.contrast_sd[0][:, 28:31].max() == 0
    assert len(conspicuity([], bodies > 0, bodies, bodies < 0, SPACING_MM).contrast_sd) == 0


def test_where_most_is_suspicious_all_marrow_tells_what_is_normal(bodies):
    image = _marrow(bodies, spot=1.6)
    seen = _contrast(bodies, image, suspicious=bodies > 0)
    assert np.median(seen.contrast_sd[0][SPOT]) == pytest.approx(1.6 / SPREAD, rel=0.15)


def test_a_candidate_is_trimmed_at_half_of_its_contrast():
    contrast = np.zeros((1, 6, 40, 40), np.float32)
    contrast[0, 2:4, 10:20, 10:20] = 8.0
    contrast[0, 2:4, 20:24, 10:20] = 8.0 * EDGE_SHARE - 0.1
    seen = Conspicuity(contrast, 0 * contrast, np.ones(contrast.shape[1:], bool))
    where = np.zeros(contrast.shape[1:], bool)
    where[1:5, 8:30, 8:30] = True
    core = where & (contrast[0] > 7)
    box = tuple(slice(0, n) for n in where.shape)
    (part,) = standing_out(box, where, core, seen, least_sd=4.0)
    assert np.array_equal(part, contrast[0] > 7)
    assert standing_out(box, where, core, seen, least_sd=8.5) == []
