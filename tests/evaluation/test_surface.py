"""Surface distances against published values and an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spondyl.core.errors import GeometryError
from spondyl.evaluation.surface import Surface, element_areas, surface_distances


def mask(shape, *where):
    array = np.zeros(shape, bool)
    array[where] = True
    return array


def figure_10():
    """A square and a cross laid over it: Reinke 2024, doi 10.1038/s41592-023-02150-0, figure SN 2.10."""
    square = mask((11, 11), slice(3, 8), slice(3, 8))
    cross = square.copy()
    cross[5, 1:10] = cross[1:10, 5] = True
    return square, cross


@pytest.mark.parametrize(
    ("shape", "a", "b", "spacing"),
    [((100, 100), (50, 70), (50, 72), (2, 1)), ((100,) * 3, (50, 60, 70), (50, 60, 72), (3, 2, 1))],
)
def test_published_distances_of_single_voxels(shape, a, b, spacing):
    # surface-distance of Nikolov 2018, surface_distance_test.py: in a plane and in space.
    found = surface_distances(mask(shape, *a), mask(shape, *b), spacing)
    assert found.mean_mm == pytest.approx((1.5, 1.5))
    assert found.hausdorff_mm(100) == found.hausdorff_mm(95) == 2
    assert found.overlap(1) == pytest.approx((0.5, 0.5))
    assert found.surface_dice(1) == pytest.approx(0.5)


def test_published_distances_of_slabs():
    # As above: half the volume against half and one slice more.
    shape = (100,) * 3
    found = surface_distances(mask(shape, slice(50)), mask(shape, slice(51)), (2, 1, 1))
    assert np.round(found.mean_mm, 3).tolist() == [0.322, 0.339]
    assert found.hausdorff_mm(100) == found.hausdorff_mm(95) == 2
    assert np.round(found.overlap(1), 3).tolist() == [0.842, 0.830]
    assert round(found.surface_dice(1), 3) == 0.836


def test_published_distances_of_border_voxels():
    # Values of the figure, also in the tests of MetricsReloaded (test_pairwise_measures).
    found = surface_distances(*figure_10(), (1, 1), Surface.VOXELS)
    assert round(found.assd_mm, 2) == 0.44
    assert found.masd_mm == pytest.approx(0.425, abs=5e-4)
    assert round(found.surface_dice(1), 2) == 0.89
    assert found.surface_dice(2) == 1.0


def test_published_hausdorff_distance_of_an_outlier():
    # Figure SN 2.20 of the same paper: one pixel far away, half of it gone at the 95th percentile.
    square = mask((14, 14), slice(9, 12), slice(9, 12))
    outlier = square | mask((14, 14), 1, 1)
    found = surface_distances(outlier, square, (1, 1), Surface.VOXELS)
    assert round(found.hausdorff_mm(100), 2) == 11.31
    assert found.hausdorff_mm(95) == pytest.approx(6.79, abs=0.01)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.9, 4.0), (3.0, 0.5, 1.0)])
def test_areas_are_those_of_plane_faces_and_edges(spacing):
    a, b, c = spacing
    areas = element_areas(spacing)
    corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]

    def pattern(*inside):
        return sum(1 << n for n, corner in enumerate(corners) if corner in inside)

    assert areas[0] == areas[255] == 0
    faces = {0: b * c, 1: a * c, 2: a * b}
    for axis, area in faces.items():
        assert areas[pattern(*(p for p in corners if p[axis] == 0))] == pytest.approx(area)
    # An edge is a bevel: across half a voxel in two axes, a whole voxel along the third.
    assert areas[pattern((0, 0, 0), (0, 0, 1))] == pytest.approx(c * math.hypot(a, b) / 2)
    # A corner is a triangle through three half edges.
    triangle = math.sqrt((a * b) ** 2 + (a * c) ** 2 + (b * c) ** 2) / 8
    assert areas[pattern((0, 0, 0))] == pytest.approx(triangle)
    assert areas[pattern((0, 0, 0), (1, 1, 1))] == pytest.approx(2 * triangle)


def test_areas_do_not_depend_on_which_side_is_inside_unless_voxels_touch_by_an_edge():
    areas = element_areas((1.0, 1.0, 1.0))
    turned = areas[::-1]
    assert np.isclose(areas, turned).mean() > 0.6
    assert (areas >= 0).all()


def test_area_of_a_ball_comes_near_its_formula():
    grid = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij"))
    ball = (grid**2).sum(0) <= 15.3**2
    found = surface_distances(ball, ball, (1, 1, 1))
    # Polygons through midpoints overestimate a smooth surface by about 9 %.
    assert found.truth_weight.sum() == pytest.approx(4 * math.pi * 15.3**2 * 1.09, rel=0.03)
    assert found.assd_mm == found.hausdorff_mm() == 0


def test_boundary_in_a_plane_is_its_length():
    square = mask((9, 9), slice(2, 6), slice(3, 7))
    found = surface_distances(square, square, (2.0, 0.5))
    expected = 2 * 3 * 2.0 + 2 * 3 * 0.5 + 4 * math.hypot(2.0, 0.5) / 2
    assert found.truth_weight.sum() == pytest.approx(expected)


def test_distances_are_symmetric_and_scale_with_the_spacing(rng):
    from scipy import ndimage

    a, b = (ndimage.gaussian_filter(rng.normal(size=(20, 20, 8)), 2) > 0.02 for _ in range(2))
    found, swapped = surface_distances(a, b, (1, 2, 3)), surface_distances(b, a, (1, 2, 3))
    assert found.hausdorff_mm() == swapped.hausdorff_mm()
    assert found.assd_mm == pytest.approx(swapped.assd_mm)
    doubled = surface_distances(a, b, (2, 4, 6))
    assert doubled.hausdorff_mm() == pytest.approx(2 * found.hausdorff_mm())
    assert doubled.surface_dice(2) == pytest.approx(found.surface_dice(1))
    turned = surface_distances(a.transpose(2, 0, 1), b.transpose(2, 0, 1), (3, 1, 2))
    assert turned.assd_mm == pytest.approx(found.assd_mm)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_border_voxels_agree_with_monai(rng):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    from scipy import ndimage

    a, b = (ndimage.gaussian_filter(rng.normal(size=(24, 24, 10)), 2) > 0.02 for _ in range(2))
    found = surface_distances(a, b, (1.0, 0.7, 3.0), Surface.VOXELS)
    x, y = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b))
    spacing = {"spacing": (1.0, 0.7, 3.0)}
    hd95 = metrics.compute_hausdorff_distance(y, x, include_background=True, percentile=95, **spacing)
    assert found.hausdorff_mm() == pytest.approx(float(hd95), rel=1e-5)
    assd = metrics.compute_average_surface_distance(y, x, include_background=True, symmetric=True, **spacing)
    assert found.assd_mm == pytest.approx(float(assd), rel=1e-5)
    dice = metrics.compute_surface_dice(y, x, class_thresholds=[1.5], include_background=True, **spacing)
    assert found.surface_dice(1.5) == pytest.approx(float(dice), rel=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "spacing", "words"),
    [
        (np.ones((3, 3), bool), np.ones((3, 4), bool), (1, 1), "one grid"),
        (np.ones(3, bool), np.ones(3, bool), (1,), "two or three axes"),
        (np.ones((3, 3), bool), np.zeros((3, 3), bool), (1, 1), "not empty"),
        (np.ones((3, 3), bool), np.ones((3, 3), bool), (1, 0), "positive number for each of 2 axes"),
        (np.ones((3, 3), bool), np.ones((3, 3), bool), (1, 1, 1), "positive number for each of 2 axes"),
    ],
)
def test_bad_masks_are_named(a, b, spacing, words):
    with pytest.raises(GeometryError, match=words):
        surface_distances(a, b, spacing)
