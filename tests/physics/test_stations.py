"""Stations joined: every voxel in its place, one brightness, values untouched, and no image of what does not fit."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spondyl.core import SAGITTAL, GeometryError, Grid, reorient
from spondyl.physics.stations import Mosaic, line_up

STEP_MM = (4.0, 0.8, 0.9)
SHAPE = (7, 120, 70)
TOP_MM = 200.0
OFFSET_MM = 80 * STEP_MM[1]
"""A whole number of rows, so that 40 of them are shared."""


def station(z_mm, *, x_mm=-12.0, y_mm=-30.0, steps_mm=STEP_MM, turn_deg=0.0, tilt_deg=0.0, shape=SHAPE, frame="1.2"):
    """A sagittal field of view whose first row lies at a height; turned about its middle, in plane and out of it."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (steps_mm[0], 0, 0), (0, 0, -steps_mm[1]), (0, steps_mm[2], 0)
    turn = Rotation.from_euler("xz", [turn_deg, tilt_deg], degrees=True).as_matrix()
    affine[:3, :3] = turn @ affine[:3, :3]
    middle = (
        np.array([x_mm, y_mm, z_mm])
        + np.diag([1, 1, -1]) @ ((np.array(shape) - 1) / 2 * np.array(steps_mm)[[0, 1, 2]])[[0, 2, 1]]
    )
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine, frame)


def tissue(grid):
    """Signal that is a smooth function of place, brighter than nothing everywhere."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    x, y, z = np.moveaxis(grid.ijk_to_lps(np.stack([i, j, k], axis=-1)), -1, 0)
    return (500 + 9 * x + 150 * np.sin(y / 15) + 150 * np.cos(z / 18)).astype(np.float32)


def stations(**below):
    grids = [station(TOP_MM), station(TOP_MM - OFFSET_MM), station(TOP_MM - 2 * OFFSET_MM, **below)]
    return grids, [tissue(grid) for grid in grids]


def joined(grids, arrays, gains=None):
    layout = line_up(grids)
    return layout.grid, Mosaic(arrays, layout).joined(gains)


def test_aligned_stations_give_every_voxel_its_own_value():
    grid, array = joined(*stations())
    assert grid.shape == (7, 280, 70)
    np.testing.assert_allclose(grid.ijk_to_lps([0, 0, 0]), station(TOP_MM).ijk_to_lps([0, 0, 0]))
    np.testing.assert_array_equal(array[:, :80], tissue(grid)[:, :80])
    np.testing.assert_allclose(array, tissue(grid), rtol=1e-5)


@pytest.mark.parametrize(
    "moved",
    [{"x_mm": -12.0 + 8.0}, {"y_mm": -30.0 + 11.3}, {"turn_deg": 7.0}, {"steps_mm": (4.0, 0.805, 0.895)}],
)
def test_shifted_and_turned_stations_lie_where_they_were_taken(moved):
    grids, arrays = stations(**moved)
    grid, array = joined(grids, arrays)
    seen = array != 0
    assert seen.mean() > 0.7
    away = np.abs(array - tissue(grid))[seen]
    assert np.percentile(away, 98) < 1  # a voxel beside would be 8 away
    assert away.max() < 5  # at the rim by less than half a voxel
    for own in grids:
        corners = grid.lps_to_ijk(own.corners_lps_mm())
        assert (corners > -1).all()
        assert (corners < np.array(grid.shape)).all()


def test_slices_a_little_beside_each_other_are_taken_as_they_are():
    grids, arrays = stations(x_mm=-12.0 + 1.0)
    _, array = joined(grids, arrays)
    np.testing.assert_array_equal(array[:, -80:], arrays[2][:, -80:])


def test_the_order_and_direction_of_axes_do_not_matter():
    grids, arrays = stations()
    turned = [g.reoriented("PSR") for g in grids]
    swapped = [reorient(a, g.orientation, "PSR") for a, g in zip(arrays, grids, strict=True)]
    (grid, array), (again, other) = joined(grids, arrays), joined(turned, swapped)
    assert grid.orientation == SAGITTAL
    assert grid.same_space(again)
    np.testing.assert_array_equal(array, other)


def test_gains_make_stations_equally_bright():
    grids, arrays = stations()
    layout = line_up(grids)
    unequal = [a * np.float32(f) for a, f in zip(arrays, (0.4, 1.0, 2.5), strict=True)]
    mosaic = Mosaic(unequal, layout)
    np.testing.assert_allclose(mosaic.gains(), (2.5, 1.0, 0.4), rtol=1e-3)
    np.testing.assert_allclose(mosaic.joined(mosaic.gains()), tissue(layout.grid), rtol=1e-3)
    steps = np.abs(np.diff(mosaic.joined(), axis=1)).max()
    assert np.abs(np.diff(mosaic.joined(mosaic.gains()), axis=1)).max() < 0.5 * steps


def test_gains_of_stations_that_only_touch_come_from_their_rims():
    grids = [station(TOP_MM), station(TOP_MM - SHAPE[1] * STEP_MM[1])]
    arrays = [np.full(SHAPE, value, np.float32) for value in (300.0, 150.0)]
    mosaic = Mosaic(arrays, line_up(grids))
    assert mosaic.gains() == pytest.approx((0.5, 1.0))
    assert mosaic.agreement() == (None,)


def test_gains_are_not_drawn_by_noise_in_air(rng):
    grids, arrays = stations()
    for array in arrays:
        array[:, :, 30:] = rng.rayleigh(8.0, array[:, :, 30:].shape)
    arrays[0][:, :, :30] *= 2
    assert Mosaic(arrays, line_up(grids)).gains()[0] == pytest.approx(0.5, rel=1e-3)


def test_without_gains_values_stay_what_they_were():
    grids, arrays = stations()
    arrays[1] += 1000
    _, array = joined(grids, arrays)
    np.testing.assert_array_equal(array[:, :80], arrays[0][:, :80])
    np.testing.assert_array_equal(array[:, 120:160], arrays[1][:, 40:80])
    shared = array[:, 80:120]
    assert (shared >= arrays[0][:, 80:] - 0.01).all()
    assert (shared <= arrays[1][:, :40] + 0.01).all()


def test_the_overlap_goes_over_smoothly():
    grids = stations()[0]
    _, array = joined(grids, [np.full(SHAPE, value, np.float32) for value in (100.0, 200.0, 200.0)])
    profile = array[3, 75:125, 30]
    assert (np.diff(profile) >= -1e-3).all()
    assert np.diff(profile).max() < 100 / 30


def test_margins_without_signal_do_not_darken_the_overlap():
    grids, arrays = stations()
    arrays[0][:, 105:] = 0
    arrays[1][:, :15, :20] = 0
    grid, array = joined(grids, arrays)
    np.testing.assert_allclose(array[array != 0], tissue(grid)[array != 0], rtol=1e-5)
    assert (array == 0).sum() == 0


def test_a_masked_map_that_is_interpolated_keeps_its_values_at_the_rim():
    grids, arrays = stations(y_mm=-30.0 + 0.45)
    arrays = [np.full(SHAPE, 900, np.float32) for _ in arrays]
    arrays[2][:, 60:, :35] = 0
    _, array = joined(grids, arrays)
    assert set(np.unique(np.round(array))) <= {0.0, 900.0}


def test_agreement_tells_other_tissue_from_the_same(rng):
    grids, arrays = stations()
    noisy = [a + rng.normal(0, 100, a.shape).astype(np.float32) for a in arrays]
    assert min(Mosaic(noisy, line_up(grids)).agreement()) > 0.8
    noisy[2] = noisy[2][:, ::-1, ::-1].copy()
    assert Mosaic(noisy, line_up(grids)).agreement()[1] < 0.5


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        ({"x_mm": -12.0 + 2.0}, "beside each other"),
        ({"x_mm": -12.0 + 1.0, "tilt_deg": 1.9}, "beside each other"),
        ({"tilt_deg": 5.0}, "tilted"),
        ({"turn_deg": 30.0}, "turned"),
        ({"steps_mm": (4.0, 0.85, 0.9)}, "differ in size"),
        ({"y_mm": 20.0}, "above one another"),
        ({"x_mm": 8.0}, "above one another"),
    ],
)
def test_what_does_not_line_up_is_refused(below, reason):
    with pytest.raises(GeometryError, match=reason):
        line_up(stations(**below)[0])


def test_a_gap_is_refused():
    with pytest.raises(GeometryError, match="gap"):
        line_up([station(TOP_MM), station(TOP_MM - (SHAPE[1] + 3) * STEP_MM[1])])
