"""Distances are true near the surface: negative inside, growing by one mm a mm outside."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom.bones import arch_distance, body_distance, capsule, smooth_max
from spondyl.phantom.spine import sample_spine


@pytest.fixture(scope="module")
def shape():
    """A third lumbar vertebra."""
    return next(s for s in sample_spine(np.random.default_rng(4), fractures=False) if s.level == "L3")


def _field(*values):
    return tuple(np.array([v], np.float32) for v in values)


def test_a_capsule_is_a_tapered_rod():
    ends, radii = ((0.0, 0.0, 0.0), (0.0, 0.0, 10.0)), (2.0, 4.0)
    assert capsule(*_field(5, 0, 0), ends, radii)[0] == pytest.approx(3.0)
    assert capsule(*_field(0, 0, 15), ends, radii)[0] == pytest.approx(1.0)
    assert capsule(*_field(0, 1, 5), ends, radii)[0] == pytest.approx(-2.0)


def test_the_smooth_maximum_only_rounds_the_edge():
    a, b = np.float32([-5, 3, 1, 0]), np.float32([2, -4, 1, -2])
    rounded = smooth_max(a, b, 2.0)
    np.testing.assert_allclose(rounded[[0, 1, 3]], [2, 3, 0])
    assert rounded[2] == pytest.approx(1.5)


def test_a_body_ends_at_its_half_sizes(shape):
    a, b, h = shape.half_depth_mm, shape.half_width_mm, shape.height_mm
    assert body_distance(*_field(0, 0, 0), shape).inside[0] < -5
    # Half way along each axis lies inside, a tenth beyond the rim outside.
    for v, u, w in ((0.5 * b, 0, 0), (0, -0.5 * a, 0), (0, 0.5 * a, 0), (0, 0, 0.35 * h), (0, 0, -0.35 * h)):
        assert body_distance(*_field(v, u, w), shape).inside[0] < 0
    for v, u, w in ((1.1 * b, 0, 0), (0, -1.1 * a, 0), (0, 1.1 * a, 0), (0, 0, 0.6 * h), (0, 0, -0.6 * h)):
        assert body_distance(*_field(v, u, w), shape).inside[0] > 0


def test_the_wall_distance_grows_by_one_mm_a_mm(shape):
    u = -shape.half_depth_mm - np.arange(0, 4, 1, dtype=np.float32)
    side = body_distance(np.zeros_like(u), u, np.zeros_like(u), shape).side
    np.testing.assert_allclose(np.diff(side), 1.0, atol=0.15)


def test_the_arch_leaves_the_canal_open_and_is_symmetric(shape):
    middle = shape.half_depth_mm + shape.canal_depth_mm / 2
    behind = shape.half_depth_mm + shape.canal_depth_mm + 2 + shape.spinous_mm / 2
    height = -0.3 * shape.height_mm - shape.spinous_mm / 2 * shape.spinous_drop
    assert arch_distance(*_field(0, middle, 0), shape)[0] > 3
    assert arch_distance(*_field(0, behind, height), shape)[0] < 0
    left, right = (arch_distance(*_field(side * 15, middle, 3), shape)[0] for side in (1, -1))
    assert left == right
