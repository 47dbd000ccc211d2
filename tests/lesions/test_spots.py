"""A spot differs from its surroundings more than marrow does at that size, and is found where the network is silent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from marrow_boxes import SHAPE, SPACING_MM, marrow_boxes
from spondyl.lesions.conspicuity import conspicuity
from spondyl.lesions.spots import CORE_MM3, LEAST_SPREAD, find_spots, spot_contrast, within

SPOT = np.s_[4:7, 38:47, 13:22]
SPREAD = 0.2


@pytest.fixture(scope="module")
def bodies():
    return marrow_boxes()


def _marrow(bodies, *, spot=0.0, seed=0, grain_mm=0.0):
    """Uneven marrow of one spread, finely or coarsely grained."""
    grain = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    if grain_mm:
        grain = ndimage.gaussian_filter(grain, [grain_mm / mm for mm in SPACING_MM])
    image = grain * (SPREAD / grain.std()) + 1.0
    image[SPOT] += spot
    return np.where(bodies > 0, image, 3.0).astype(np.float32)


def _seen(bodies, *images):
    return conspicuity(images, bodies > 0, bodies, bodies < 0, SPACING_MM)


def _found(bodies, images, *, lesion=0.5, taken=None, least_sd=6.75):
    belief = np.full(SHAPE, lesion, np.float32)
    none = np.zeros(SHAPE, bool)
    return find_spots(_seen(bodies, *images), belief, none if taken is None else taken, SPACING_MM, least_sd=least_sd)


def test_a_faint_spot_in_finely_uneven_marrow_is_plain(bodies):
    image = _marrow(bodies, spot=SPREAD * 1.5)
    seen = _seen(bodies, image)
    assert np.median(seen.contrast_sd[0][SPOT]) < 2
    assert seen.spot_sd[0][SPOT].max() > 8


def test_the_same_spot_is_nothing_among_patches_of_its_size(bodies):
    fine, coarse = (
        _seen(bodies, _marrow(bodies, spot=SPREAD * 1.5, grain_mm=mm)).spot_sd[0][SPOT].max() for mm in (0.0, 3.5)
    )
    assert coarse < 0.6 * fine
    assert _found(bodies, [_marrow(bodies, spot=SPREAD * 1.5, grain_mm=3.5)]) == []


def test_dark_and_bright_gain_and_offset_are_alike(bodies):
    one, other = (_seen(bodies, _marrow(bodies, spot=s)).spot_sd[0][SPOT].max() for s in (0.8, -0.8))
    assert one == pytest.approx(other, rel=0.2)
    image = _marrow(bodies, spot=0.8, grain_mm=2.0)
    np.testing.assert_allclose(
        _seen(bodies, image).spot_sd, _seen(bodies, image * 2.5 - 7).spot_sd, rtol=1e-2, atol=1e-2
    )


def test_what_lies_outside_bodies_changes_nothing(bodies):
    image = _marrow(bodies, spot=0.8)
    other = np.where(bodies > 0, image, -50.0).astype(np.float32)
    np.testing.assert_allclose(_seen(bodies, image).spot_sd, _seen(bodies, other).spot_sd, atol=1e-3)
    assert _seen(bodies, image).spot_sd[0][~within(bodies > 0, SPACING_MM)].max() == 0


def test_even_marrow_is_not_taken_for_perfect(bodies):
    image = np.ones(SHAPE, np.float32)
    image[SPOT] = 1 + LEAST_SPREAD
    assert spot_contrast([image], bodies > 0, SPACING_MM).max() < 1.01


def test_without_bodies_nothing_is_known():
    assert not spot_contrast([np.ones(SHAPE, np.float32)], np.zeros(SHAPE, bool), SPACING_MM).any()


def test_a_spot_is_grown_to_half_of_its_contrast_and_not_beyond_the_body(bodies):
    ((box, where),) = _found(bodies, [_marrow(bodies, spot=2.0)])
    found, truth = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    found[box], truth[SPOT] = where, True
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.85
    assert not found[bodies == 0].any()


def test_the_network_makes_it_easier_or_harder(bodies):
    image = _marrow(bodies, spot=SPREAD * 1.2, seed=4)
    # So much of the spot reaches as many standard deviations.
    at = float(np.sort(_seen(bodies, image).spot_sd[0][SPOT], axis=None)[-2 * int(CORE_MM3 / np.prod(SPACING_MM))])
    assert len(_found(bodies, [image], lesion=0.5, least_sd=at)) == 1
    assert _found(bodies, [image], lesion=0.05, least_sd=at) == []
    assert _found(bodies, [image], lesion=0.5, least_sd=at + 1.5) == []
    assert len(_found(bodies, [image], lesion=0.99, least_sd=at + 1.5)) == 1


def test_with_several_series_a_second_one_must_show_the_spot(bodies):
    shown, other = _marrow(bodies, spot=1.0), _marrow(bodies, seed=1)
    assert _found(bodies, [shown, other]) == []
    assert len(_found(bodies, [shown, _marrow(bodies, spot=-0.7, seed=2)])) == 1


def test_spots_taken_already_are_none_nor_what_surrounds_them(bodies):
    taken = np.zeros(SHAPE, bool)
    taken[SPOT] = True
    assert _found(bodies, [_marrow(bodies, spot=2.0)], taken=taken) == []
