"""What lies beside a body is looked at in the body's own direction and scale, on both sides alike."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Image, reorient
from spondyl.localize.ribs import (
    BESIDE_MM,
    BOX_SHAPE,
    BRIGHTEST,
    TYPICAL_DEPTH_MM,
    RibModel,
    boxes,
    places_of,
    rib_log_odds,
)

GRID = Grid((24, 100, 90), np.array([[3.0, 0, 0, -34.5], [0, 0, 1.5, -60], [0, -1.5, 0, 75], [0, 0, 0, 1]]))
CENTERS_LPS_MM = np.array([[0.0, 0, 30], [0, 0, 0], [0, 0, -30]])
IN_GRID_MM = np.array([[34.5, 45.0, 60], [34.5, 75, 60], [34.5, 105, 60]])


def _image(value_at):
    points = GRID.ijk_to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1))
    return Image(value_at(*np.moveaxis(points, -1, 0)).astype(np.float32), GRID)


def _places(depths=(30.0, 30.0, 30.0)):
    return places_of(IN_GRID_MM, CENTERS_LPS_MM, np.array(depths))


def _model(rng):
    first, second = rng.normal(0, 0.1, (3, BOX_SHAPE[0], 5, 5)), rng.normal(0, 0.1, (4, 3, 3, 3))
    return RibModel(
        (first, second), (rng.normal(0, 0.1, (80, 6)), rng.normal(0, 1, (6, 1))), tuple(map(np.zeros, (3, 4, 6, 1)))
    )


def test_boxes_follow_the_side_and_the_back():
    rib = _image(lambda x, y, z: ((np.abs(np.abs(x) - 22) < 5) & (np.abs(y - 20) < 8) & (np.abs(z) < 6)).astype(float))
    seen = boxes(rib, _places())
    assert seen.shape == (3, 2, *BOX_SHAPE)
    side = BESIDE_MM.index(22)
    # 20 mm behind the center are 0.67 depths: between the 12th and the 13th of 28 values from -0.344 to 1.872.
    assert (seen[1, :, side, 12, 11:13] > 1).all()
    assert not (seen[1, :, side, 12, :6] > 0).any()
    assert not (seen[[0, 2], :, side, 8:16] > 0).any()
    np.testing.assert_array_equal(seen[:, :, BESIDE_MM.index(34)], 0)


def test_both_sides_are_mirror_images():
    even = boxes(_image(lambda x, y, z: np.abs(x) + 0.2 * y + 0.1 * z), _places())
    np.testing.assert_allclose(even[:, 0], even[:, 1], atol=0.05)


def test_contrast_and_orientation_do_not_matter():
    image = _image(lambda x, y, z: np.sin(x / 9) + np.cos(y / 7) * np.sin(z / 11))
    turned = Image(reorient(image.array, "LIP", "PLS"), GRID.reoriented("PLS"))
    brighter = Image(3 * image.array + 100, GRID)
    for other in (turned, brighter):
        np.testing.assert_allclose(boxes(other, _places()), boxes(image, _places()), atol=1e-3)


def test_a_flat_image_and_one_that_shows_none_of_it_say_the_same_of_all():
    flat, elsewhere = _image(lambda x, _y, _z: 0 * x), _places()._replace(centers_lps_mm=CENTERS_LPS_MM + 900)
    for image, places in ((flat, _places()), (_image(lambda x, _y, _z: x), elsewhere)):
        np.testing.assert_array_equal(boxes(image, places), 0)
        odds = rib_log_odds([image], places, _model(np.random.default_rng(3)))
        np.testing.assert_allclose(odds, odds[:1].repeat(3))


def test_signal_is_even_at_each_distance_and_what_shines_is_cut():
    fading = _image(
        lambda x, y, z: np.exp(-np.abs(x) / 8) * (50 + 10 * np.sin(y / 3) * np.cos(z / 4)) + 1e4 * (y == 20)
    )
    seen = boxes(fading, _places())
    assert np.abs(seen).max() <= BRIGHTEST
    for side in range(len(BESIDE_MM)):
        assert np.abs(seen[:, :, side].mean()) < 0.3


def test_both_sides_add_up_and_images_are_averaged():
    model, image = _model(np.random.default_rng(1)), _image(lambda x, y, z: np.sin(x / 5 + y / 7) * np.cos(z / 6))
    sides = model.log_odds(boxes(image, _places()))
    assert sides.shape == (3, 2)
    np.testing.assert_allclose(rib_log_odds([image], _places(), model), sides.sum(axis=1))
    np.testing.assert_allclose(rib_log_odds([image, image], _places(), model), sides.sum(axis=1))


def test_the_network_is_the_one_that_was_trained():
    torch = pytest.importorskip("torch")
    model, rng = _model(np.random.default_rng(5)), np.random.default_rng(6)
    box = rng.normal(0, 1, (7, *BOX_SHAPE)).astype(np.float32)
    seen = torch.from_numpy(box).double()
    for kernel, bias in zip(model.filters, model.biases[:2], strict=True):
        seen = torch.relu(torch.nn.functional.conv2d(seen, torch.from_numpy(kernel), torch.from_numpy(bias), stride=2))
    hidden = torch.relu(seen.flatten(1) @ torch.from_numpy(model.weights[0]))
    np.testing.assert_allclose(model.log_odds(box), (hidden @ torch.from_numpy(model.weights[1]))[:, 0])


def test_what_was_not_measured_is_filled_in():
    np.testing.assert_array_equal(_places((np.nan, 20.0, 40.0)).depths_mm, [30, 20, 40])
    alone = places_of(IN_GRID_MM[:1], CENTERS_LPS_MM[:1], np.array([np.nan]))
    assert alone.depths_mm == alone.steps_mm == TYPICAL_DEPTH_MM
    assert boxes(_image(lambda x, _y, _z: x), alone).shape == (1, 2, *BOX_SHAPE)
