"""What lies around a body is looked at in the body's own direction and scale, on both sides alike."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Grid, Image, reorient
from spondyl.localize.regions import (
    BESIDE_MM,
    BOX_SHAPE,
    LIMIT,
    REGION_NAMES,
    TYPICAL_DEPTH_MM,
    RegionModel,
    boxes,
    places_of,
    region_log_odds,
    region_of,
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
    size = int(np.prod(BOX_SHAPE))
    weights = rng.normal(0, 0.1, (size, 4)), rng.normal(0, 1, (4, len(REGION_NAMES)))
    return RegionModel(weights, (np.zeros(4), np.zeros(len(REGION_NAMES))), np.full(len(REGION_NAMES), 0.2))


@pytest.mark.parametrize(
    ("level", "name"),
    [
        ("C2", "axis"),
        ("C7", "neck"),
        ("T1", "chest"),
        ("T13", "chest"),
        ("L1", "loin"),
        ("S1", "sacrum"),
    ],
)
def test_every_level_lies_in_one_part(level, name):
    assert REGION_NAMES[region_of(level)] == name


def test_boxes_follow_the_side_and_the_back():
    rib = _image(lambda x, y, z: ((np.abs(np.abs(x) - 22) < 5) & (np.abs(y - 20) < 8) & (np.abs(z) < 6)).astype(float))
    seen = boxes(rib, _places())
    assert seen.shape == (3, 2, *BOX_SHAPE)
    side, _, behind = np.unravel_index(np.argmax(seen[1, 0]), BOX_SHAPE)
    assert BESIDE_MM[side] == 22
    # 20 mm behind the center are 0.67 depths: between the fourth and the fifth of eight values from -1 to 2.2.
    assert behind in (3, 4)
    assert seen[1].max() > 3 * max(seen[0].max(), seen[2].max(), 0.1)


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
        odds = region_log_odds([image], places, _model(np.random.default_rng(3)))
        np.testing.assert_allclose(odds, odds[:1].repeat(3, axis=0))


def test_odds_are_bounded_and_belong_to_probabilities():
    model = _model(np.random.default_rng(1))
    odds = model.log_odds(np.random.default_rng(2).normal(0, 1, (3, 2, *BOX_SHAPE)).astype(np.float32))
    np.testing.assert_allclose((np.exp(odds) * model.prior).sum(axis=-1), 1)
    sure = RegionModel((100 * model.weights[0], 100 * model.weights[1]), model.biases, model.prior)
    image = _image(lambda x, y, z: x + y * z)
    assert np.abs(region_log_odds([image, image], _places(), sure)).max() <= LIMIT


def test_what_was_not_measured_is_filled_in():
    np.testing.assert_array_equal(_places((np.nan, 20.0, 40.0)).depths_mm, [30, 20, 40])
    alone = places_of(IN_GRID_MM[:1], CENTERS_LPS_MM[:1], np.array([np.nan]))
    assert alone.depths_mm == alone.steps_mm == TYPICAL_DEPTH_MM
    assert boxes(_image(lambda x, _y, _z: x), alone).shape == (1, 2, *BOX_SHAPE)
