"""Cues from pixels, on drawings of a canal between darker or brighter neighbors."""

import numpy as np
import pytest

from spondyl.core import SAGITTAL, Grid, Image, reorient
from spondyl.io.cues import enhances, fluid_cue, reads_sagittally

AFFINE = np.array([[4.0, 0, 0, -20], [0, 0, 1, -60], [0, -1, 0, 90], [0, 0, 0, 1]])


@pytest.fixture
def drawing(rng):
    """A sagittal block of tissue 200 mm high with a curved band 12 mm wide."""

    def draw(band):
        image = rng.normal(100, 5, (9, 200, 150))
        center = 80 + 12 * np.sin(np.arange(200) / 45)
        inside = np.abs(np.arange(150)[None] - center[:, None]) < 6
        image[:, inside] *= band
        return image.astype(np.float32), Grid(image.shape, AFFINE)

    return draw


@pytest.mark.parametrize(("band", "bright"), [(2.5, True), (0.4, False)])
def test_a_bright_or_dark_canal_is_seen(drawing, band, bright):
    assert fluid_cue(*drawing(band)).fluid_bright is bright


def test_the_order_of_axes_does_not_matter(drawing):
    array, grid = drawing(2.5)
    turned = grid.reoriented("SPR")
    assert fluid_cue(reorient(array, SAGITTAL, "SPR"), turned) == fluid_cue(array, grid)


def test_axial_small_and_constant_images_tell_nothing(drawing):
    array, grid = drawing(2.5)
    axial = Grid(grid.shape, np.diag([1.0, 1, 1, 1])[[1, 2, 0, 3]] @ np.diag([4.0, 1, 1, 1]))
    assert fluid_cue(array, axial).fluid_bright is None
    assert fluid_cue(array[:, :50], Grid((9, 50, 150), AFFINE)).fluid_bright is None
    assert fluid_cue(np.ones_like(array), grid).fluid_bright is None


def test_isotropic_volumes_can_be_looked_at_sagittally():
    assert reads_sagittally(Grid((5, 5, 5), np.eye(4)))
    assert not reads_sagittally(Grid((5, 5, 5), np.diag([1.0, 1.0, 5.0, 1.0])))


def test_bright_vessels_are_seen_and_another_gain_is_not(drawing):
    array, grid = drawing(1.0)
    vessels = array * 1.3
    vessels[3:6, 50:80, 20:40] *= 2
    assert enhances(Image(array, grid), Image(vessels, grid)) is True
    assert enhances(Image(array, grid), Image(array * 1.7, grid)) is False
    moved = Grid(grid.shape, grid.affine + np.array([[0, 0, 0, 9.0], [0] * 4, [0] * 4, [0] * 4]))
    assert enhances(Image(array, grid), Image(vessels, moved)) is None
