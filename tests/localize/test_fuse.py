"""Sequences are averaged where they see, and a smaller field of view spoils nothing beyond it."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from spondyl.core import Grid
from spondyl.localize.fuse import fuse
from spondyl.models import Prediction

GRID = Grid((6, 40, 30), np.array([[4.0, 0, 0, -10], [0, 0, 1.5, -20], [0, -1.5, 0, 30], [0, 0, 0, 1]]))


def _even(grid, bone, disagreement=0.0):
    """One body probability everywhere."""
    structures = np.zeros((9, *grid.shape), np.float32)
    structures[0], structures[1] = 1 - bone, bone
    return Prediction(grid, structures, np.full(grid.shape, disagreement, np.float32))


def _lower_half():
    affine = GRID.affine.copy()
    affine[:3, 3] = GRID.ijk_to_lps([0, 20, 0])
    return Grid((6, 20, 30), affine)


def test_one_sequence_alone_stays_as_it_is():
    only = _even(GRID, 0.7, 0.1)
    fused = fuse([only])
    np.testing.assert_allclose(fused.structures, only.structures)
    np.testing.assert_allclose(fused.disagreement, 0.1)


def test_structures_are_averaged():
    fused = fuse([_even(GRID, 0.9), _even(GRID, 0.5)])
    assert fused.structures[1].mean() == pytest.approx(0.7)
    np.testing.assert_allclose(fused.structures.sum(0), 1, atol=1e-6)


def test_what_sequences_say_differently_counts_as_disagreement():
    fused = fuse([_even(GRID, 0.9), _even(GRID, 0.5)])
    assert fused.disagreement.mean() == pytest.approx(0.2)


def test_beyond_a_smaller_field_of_view_the_reference_alone_decides():
    small = _lower_half()
    fused = fuse([_even(GRID, 0.8), _even(small, 0.2)])
    np.testing.assert_allclose(fused.structures[1][:, :19], 0.8, atol=1e-6)
    np.testing.assert_allclose(fused.structures[1][:, 21:], 0.5, atol=1e-6)
    assert fused.grid is GRID


def test_predictions_on_another_grid_come_to_the_same_place(rng):
    coarse = GRID.resampled((4.0, 3.0, 3.0))
    ramp = [g.ijk_to_lps(np.moveaxis(np.indices(g.shape), 0, -1))[..., 2] / 100 + 0.4 for g in (GRID, coarse)]
    fine, other = _even(GRID, 0.0), _even(coarse, 0.0)
    for prediction, values in zip((fine, other), ramp, strict=True):
        prediction.structures[1], prediction.structures[0] = values, 1 - values
    fused = fuse([fine, other])
    inside = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(fused.structures[1][inside], ramp[0][inside], atol=1e-3)


def test_one_prediction_after_the_other_is_asked_for():
    alive = []

    def made():
        for bone in (0.9, 0.6, 0.3):
            prediction = _even(GRID, bone)
            alive.append(weakref.ref(prediction))
            yield prediction
            del prediction
            assert sum(ref() is not None for ref in alive[1:]) <= 1

    assert fuse(made()).structures[1].mean() == pytest.approx(0.6)
