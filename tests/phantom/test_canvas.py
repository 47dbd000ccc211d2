"""The canvas knows where its voxels lie in the patient and in each vertebra."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Structure
from spondyl.phantom.canvas import Canvas, smooth_noise
from spondyl.phantom.spine import sample_spine
from spondyl.phantom.tissue import Tissue

GRID = Grid((12, 60, 50), np.array([[4.0, 0, 0, -22], [0, 0, 2, -50], [0, -2, 0, 60], [0, 0, 0, 1]]))


@pytest.fixture
def canvas(rng):
    return Canvas.blank(GRID, rng, roughness_mm=0.0)


def test_coordinates_without_roughness_are_those_of_the_grid(canvas):
    x, y, z = np.moveaxis(GRID.ijk_to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    for have, want in ((canvas.x, x), (canvas.y, y), (canvas.z, z)):
        np.testing.assert_allclose(np.broadcast_to(have, GRID.shape), want, atol=1e-4)


def test_roughness_moves_every_voxel_by_as_much_as_asked(rng, canvas):
    rough = Canvas.blank(GRID, rng, roughness_mm=0.8)
    for name in ("x", "y", "z"):
        moved = getattr(rough, name) - getattr(canvas, name)
        assert moved.std() == pytest.approx(0.8, rel=0.15)


def test_noise_has_unit_variance_and_is_smooth(rng):
    noise = smooth_noise(rng, (20, 80, 80), (4.0, 1.0, 1.0), 16.0)
    assert noise.std() == pytest.approx(1, rel=0.1)
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.15


def test_a_box_covers_its_point_and_none_comes_from_beside_the_grid(canvas):
    place = np.array([2.0, 10.0, -8.0])
    box = canvas.box(place, (5, 6, 7), (5, 6, 7))
    i, j, k = np.round(GRID.lps_to_ijk(place)).astype(int)
    assert all(s.start <= n < s.stop for s, n in zip(box, (i, j, k), strict=True))
    assert canvas.box(np.array([500.0, 0, 0]), (5, 5, 5), (5, 5, 5)) is None


def test_local_coordinates_are_zero_at_the_center_and_grow_left_back_and_up(canvas):
    s1 = next(s for s in sample_spine(np.random.default_rng(2)) if s.level == "S1")
    v, u, w = canvas.local((slice(None),) * 3, s1)
    at = tuple(np.round(GRID.lps_to_ijk(s1.center_lps_mm)).astype(int))
    assert max(abs(c[at]) for c in (v, u, w)) < 4
    assert v[-1, 30, 25] > v[0, 30, 25]
    assert u[5, 30, -1] > u[5, 30, 0]
    assert w[5, 0, 25] > w[5, -1, 25]


def test_painting_without_a_structure_clears_it(canvas):
    box = (slice(0, 2), slice(0, 2), slice(0, 2))
    everything = np.ones((2, 2, 2), bool)
    canvas.paint(box, everything, tissue=Tissue.MARROW, structure=Structure.BODY, instance=3)
    canvas.paint(box, everything, tissue=Tissue.RIB_MARROW)
    assert canvas.tissue[0, 0, 0] == Tissue.RIB_MARROW
    assert not canvas.structure.any()
    assert not canvas.instance.any()
