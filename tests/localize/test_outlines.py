"""Outlines lie on the image's own grid, at the place of the probabilities, in the convention asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fakes import GrayNetwork
from spondyl.core import Grid, Structure
from spondyl.localize.outlines import on_whole_grid, outline
from spondyl.models import Prediction, working_grid

IMAGE = Grid((12, 90, 80), np.array([[4.0, 0, 0, -22], [0, 0, 1.0, -40], [0, -1.0, 0, 45], [0, 0, 0, 1]]))
CENTER_MM = np.array([2.0, -1.0, 3.0])
RADIUS_MM, CORTEX_MM = 20.0, 3.0


def _prediction(image=IMAGE):
    """A ball of marrow in a shell of cortex, with soft edges."""
    grid = working_grid(image, GrayNetwork.card)
    distance = np.linalg.norm(grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1)) - CENTER_MM, axis=-1)
    labels = np.where(distance < RADIUS_MM - CORTEX_MM, Structure.BODY, Structure.CORTEX)
    labels = np.where(distance < RADIUS_MM, labels, Structure.BACKGROUND)
    structures = np.stack([ndimage.gaussian_filter((labels == s).astype(np.float32), 0.4) for s in Structure])
    return Prediction(grid, structures, np.zeros(grid.shape, np.float32))


def _radius_mm(mask, grid):
    return (mask.sum() * grid.voxel_volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)


@pytest.mark.parametrize(
    ("share", "radius_mm"), [(1.0, RADIUS_MM), (0.0, RADIUS_MM - CORTEX_MM)], ids=["outer edge", "marrow alone"]
)
def test_a_body_ends_where_the_convention_says(share, radius_mm):
    outlines = outline(_prediction(), IMAGE, cortex_share=share)
    body = np.isin(outlines.structures, (Structure.BODY, Structure.CORTEX))
    assert _radius_mm(body, IMAGE) == pytest.approx(radius_mm, abs=0.8)


def test_a_larger_share_of_cortex_never_makes_a_body_smaller():
    sizes = []
    for share in (0.0, 0.3, 0.5, 0.7, 1.0):
        structures = outline(_prediction(), IMAGE, cortex_share=share).structures
        sizes.append(int(np.isin(structures, (Structure.BODY, Structure.CORTEX)).sum()))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_cortex_keeps_its_name():
    structures = outline(_prediction(), IMAGE, cortex_share=1.0).structures
    marrow = structures == Structure.BODY
    assert _radius_mm(marrow, IMAGE) == pytest.approx(RADIUS_MM - CORTEX_MM, abs=1.0)
    assert (structures == Structure.CORTEX).sum() > 500


@pytest.mark.parametrize("orientation", ["LIP", "RAS", "PSR", "AIL"])
def test_everything_stays_at_its_place_in_any_orientation(orientation):
    image = IMAGE.reoriented(orientation)
    outlines = outline(_prediction(image), image, cortex_share=1.0)
    for part in (outlines.structures > 0, outlines.structures == Structure.BODY):
        whole = on_whole_grid(part.astype(np.uint8), outlines, image.orientation)
        assert whole.shape == image.shape
        center = image.ijk_to_lps(np.argwhere(whole).mean(0))
        np.testing.assert_allclose(center, CENTER_MM, atol=0.7)


def test_only_the_part_with_the_spine_is_worked_on():
    outlines = outline(_prediction(), IMAGE, cortex_share=1.0)
    assert outlines.structures.shape == tuple(s.stop - s.start for s in outlines.box)
    assert outlines.structures.size < 0.7 * np.prod(IMAGE.shape)
    assert 0 <= outlines.uncertainty.min() <= outlines.uncertainty.max() <= 1


def test_uncertainty_is_highest_at_the_edge():
    outlines = outline(_prediction(), IMAGE, cortex_share=1.0)
    body = np.isin(outlines.structures, (Structure.BODY, Structure.CORTEX))
    edge = body ^ ndimage.binary_erosion(body)
    core = ndimage.binary_erosion(body, iterations=2)
    assert outlines.uncertainty[edge].mean() > 4 * outlines.uncertainty[core].mean() + 0.05


def test_no_bone_gives_no_outlines():
    prediction = _prediction()
    empty = np.zeros_like(prediction.structures)
    empty[0] = 1
    nothing = Prediction(prediction.grid, empty, prediction.disagreement)
    assert outline(nothing, IMAGE, cortex_share=1.0) is None
