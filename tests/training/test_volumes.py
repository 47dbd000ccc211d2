"""Annotated images come into the network's space with their labels in place, and patches of them are new views."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spondyl.core import Grid, Image, InputError, LabelMap, Sequence, Structure
from spondyl.models import ContrastCode
from spondyl.training.partial import EVERYTHING, allowed, read_meanings
from spondyl.training.render import PATCH_SHAPE
from spondyl.training.volumes import AnnotatedImage, VolumePatches, draw_patch, prepare

BODY = allowed([Structure.BODY, Structure.CORTEX])
MEANINGS = read_meanings({"*": "body+cortex"})


def _annotated(orientation="LIP", meanings=MEANINGS, value=3):
    """A bright box, which is what is outlined, on a dark ground."""
    affine = np.array([[4.0, 0, 0, -28], [0, 0, 1.5, -90], [0, -1.5, 0, 110], [0, 0, 0, 1]])
    grid = Grid((14, 150, 120), affine)
    array = np.full(grid.shape, 10.0, np.float32)
    array += np.random.default_rng(0).normal(0, 1, grid.shape)
    labels = np.zeros(grid.shape, np.uint16)
    labels[3:11, 60:90, 40:70] = value
    array[labels > 0] += 90
    turned = grid.reoriented(orientation)
    moved = [np.ascontiguousarray(_reorient(a, grid, orientation)) for a in (array, labels)]
    image = Image(moved[0], turned, Sequence.STIR)
    return AnnotatedImage(5, "somebody", image, LabelMap(moved[1], turned), meanings)


def _reorient(array, grid, orientation):
    from spondyl.core import reorient

    return reorient(array, grid.orientation, orientation)


def _dice(a, b):
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.mark.parametrize("orientation", ["LIP", "RAS", "PSL", "AIR"])
def test_labels_stay_on_what_they_outline_in_any_orientation(orientation):
    volume = prepare(_annotated(orientation))
    assert volume.spacing_mm == pytest.approx((4.0, 1.25, 1.25))
    assert set(np.unique(volume.target)) == {BODY, EVERYTHING & ~BODY}
    assert _dice(volume.array > 55, volume.target == BODY) > 0.97
    assert volume.code.tolist() == np.eye(4)[ContrastCode.FAT_SUPPRESSED].tolist()


def test_a_value_without_meaning_is_refused():
    with pytest.raises(InputError, match="value 3 in the labels of image 5"):
        prepare(_annotated(meanings=read_meanings({"1": "body"})))


def test_an_image_on_which_nothing_is_outlined_is_refused():
    with pytest.raises(InputError, match="nothing is outlined on image 5"):
        prepare(_annotated(value=0))


def test_messages_never_name_the_patient():
    for wrong in (_annotated(value=0), _annotated(meanings=read_meanings({"1": "body"}))):
        with pytest.raises(InputError) as error:
            prepare(wrong)
        assert "somebody" not in str(error.value)


@pytest.fixture(scope="module")
def patches():
    volume, rng = prepare(_annotated()), np.random.default_rng(4)
    return [draw_patch(volume, rng) for _ in range(8)]


def test_patches_are_what_the_network_takes(patches):
    for image, code, target in patches:
        assert tuple(image.shape) == (2, *PATCH_SHAPE)
        assert image.dtype == code.dtype == torch.float32
        assert torch.isfinite(image).all()
        assert tuple(target.shape) == PATCH_SHAPE
        assert set(target.unique().tolist()) <= {BODY, EVERYTHING & ~BODY, EVERYTHING}
    assert not torch.equal(patches[0][0], patches[1][0])


def test_labels_move_with_the_image(patches):
    scores = []
    for image, _, target in patches:
        body = target == BODY
        if body.sum() > 500:
            middle = (image[0][body].mean() + image[0][(target & BODY) == 0].mean()) / 2
            scores.append(_dice((image[0] > middle) & (target != EVERYTHING), body))
    assert len(scores) >= 4
    assert np.median(scores) > 0.85


def test_beyond_the_image_nothing_is_known(patches):
    assert any((target == EVERYTHING).any() for _, _, target in patches)
    assert all((target != EVERYTHING).float().mean() > 0.3 for _, _, target in patches)


def test_a_stream_is_seeded_and_new_for_every_start():
    volume = prepare(_annotated())

    def first(start):
        return next(iter(VolumePatches([volume], 1, start)))[0]

    assert torch.equal(first(0), first(0))
    assert not torch.equal(first(0), first(1))
