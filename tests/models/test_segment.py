"""Segmenting looks from both sides and answers in the patient's space, whatever the image is."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import GrayNetwork, gray_image, sagittal_grid
from spondyl.core import Acquisition, Grid, Image, Sequence, Structure
from spondyl.models import ContrastCode, code_of, segment


class _Ramp(GrayNetwork):
    """Sees more bone toward the end of the first axis, whatever it is shown, and remembers the contrast it is told."""

    def predict(self, channels: np.ndarray, facts: np.ndarray) -> np.ndarray:
        self.told = facts
        out = np.zeros((12, *channels.shape[1:]), np.float32)
        out[1] = np.linspace(0, 1, channels.shape[1])[:, None, None]
        out[0], out[9] = 1 - out[1], 1
        return out


def test_the_gray_values_are_read_as_what_they_are():
    grid = sagittal_grid()
    prediction = segment(gray_image(Sequence.T2, grid), GrayNetwork(), views=1)
    at = tuple(np.round(prediction.grid.lps_to_ijk((0.0, 0.0, 120.0))).astype(int))
    assert prediction.structures[:, *at].argmax() == Structure.BODY
    np.testing.assert_allclose(prediction.structures.sum(0), 1, atol=1e-5)


def test_two_views_are_the_mean_of_the_image_and_its_mirror_image():
    image = gray_image(Sequence.T2, sagittal_grid())
    one, two = (segment(image, _Ramp(), views=n) for n in (1, 2))
    assert one.structures[1].std() > 0.25
    assert one.disagreement.max() == 0
    np.testing.assert_allclose(two.structures[1], 0.5, atol=1e-6)
    assert two.disagreement[0].mean() == pytest.approx(0.5)


def test_views_of_a_network_that_treats_sides_alike_agree():
    image = gray_image(Sequence.T2, sagittal_grid())
    one, two = (segment(image, GrayNetwork(), views=n) for n in (1, 2))
    np.testing.assert_allclose(one.structures, two.structures, atol=1e-5)
    assert two.disagreement.max() < 1e-5


@pytest.mark.parametrize(
    ("sequence", "code"),
    [
        (Sequence.T1, ContrastCode.T1),
        (Sequence.T2, ContrastCode.T2),
        (Sequence.STIR, ContrastCode.FAT_SUPPRESSED),
        (Sequence.T2FS, ContrastCode.FAT_SUPPRESSED),
        (Sequence.ADC, ContrastCode.OTHER),
    ],
)
def test_the_network_is_told_the_kind_of_contrast(sequence, code):
    network = _Ramp()
    segment(gray_image(sequence, sagittal_grid(slices=3)), network, views=1)
    assert network.told.argmax() == code_of(sequence) == code
    assert network.told.sum() == 1


def test_an_image_without_acquisition_can_be_segmented():
    grid = Grid((6, 32, 32), np.diag([4.0, 1.5, 1.5, 1.0]))
    image = Image(np.random.default_rng(0).normal(size=grid.shape), grid, acquisition=Acquisition())
    assert np.isfinite(segment(image, GrayNetwork()).structures).all()


def test_another_image_is_looked_at_around_the_spine_alone_and_in_the_same_place():
    grid = sagittal_grid()
    first = segment(gray_image(Sequence.T2, grid), GrayNetwork(), views=1)
    whole = segment(gray_image(Sequence.T1, grid), GrayNetwork(), views=1)
    part = segment(gray_image(Sequence.T1, grid), GrayNetwork(), views=1, around=first)
    assert np.prod(part.grid.shape) < np.prod(whole.grid.shape)
    start = np.round(whole.grid.lps_to_ijk(part.grid.ijk_to_lps((0, 0, 0)))).astype(int)
    same = tuple(slice(a, a + n) for a, n in zip(start, part.grid.shape, strict=True))
    np.testing.assert_array_equal(part.structures, whole.structures[(slice(None), *same)])
    assert (whole.structures[0] < 0.5).sum() == (part.structures[0] < 0.5).sum() > 0


def test_an_image_that_shows_no_spine_found_elsewhere_is_looked_at_whole():
    found = segment(gray_image(Sequence.T2, sagittal_grid()), GrayNetwork(), views=1)
    far = Grid((6, 64, 64), np.array([[4.0, 0, 0, 900], [0, 1.5, 0, 900], [0, 0, 1.5, 900], [0, 0, 0, 1]]))
    image = Image(np.random.default_rng(0).random(far.shape), far, Sequence.T1)
    assert segment(image, GrayNetwork(), around=found).grid.shape == segment(image, GrayNetwork()).grid.shape
