"""The curve through the column, and places beside it."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom.canvas import Canvas
from spondyl.phantom.centerline import centerline, column_frame
from spondyl.phantom.spine import sample_spine


@pytest.fixture(scope="module")
def shapes():
    return sample_spine(np.random.default_rng(12), top="T6")


@pytest.fixture(scope="module")
def line(shapes):
    return centerline(np.random.default_rng(12), shapes)


def test_the_centerline_passes_every_body_at_its_rank(shapes, line):
    for rank, shape in enumerate(shapes):
        place = line.points_lps_mm[line.at_rank(rank)]
        assert np.linalg.norm(place - shape.center_lps_mm) < 1.0


def test_sizes_along_the_line_stay_positive_and_normals_point_back(line):
    for sizes in (line.canal_depth_mm, line.canal_width_mm, line.half_depth_mm, line.half_width_mm):
        assert sizes.min() > 0
    np.testing.assert_allclose(np.linalg.norm(line.normal_yz, axis=1), 1)
    assert line.normal_yz[:, 0].min() > 0


def test_behind_and_left_are_measured_from_the_column(healthy, shapes, line):
    canvas = Canvas.blank(healthy.grid, np.random.default_rng(0), roughness_mm=0.0)
    frame = column_frame(canvas, line, shapes)
    l3 = next(s for s in shapes if s.level == "L3")
    i, j, k = np.round(healthy.grid.lps_to_ijk(l3.center_lps_mm)).astype(int)
    assert abs(frame.behind[i, j, k]) < 3
    assert abs(frame.left[i, j, k]) < 4
    assert frame.behind[i, j, k + 10] == pytest.approx(frame.behind[i, j, k] + 15, abs=3)
    assert frame.left[i + 2, j, k] == pytest.approx(frame.left[i, j, k] + 8, abs=1)
