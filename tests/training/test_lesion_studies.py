"""Outlined lesions are laid under the channels of their study; patches keep what is known and leave out sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fake_lesion_studies import GIVEN, SHAPE, STUDIES, study
from spondyl.core import Grid, InputError, LabelMap
from spondyl.models.study_inputs import Slot
from spondyl.training import lesion_studies
from spondyl.training.lesion_studies import (
    BENIGN,
    LESION,
    MALIGNANT,
    NORMAL,
    UNKNOWN,
    draw_study_patch,
    names_lesions,
    prepare_study,
    read_lesion_meanings,
)


@pytest.fixture(autouse=True, scope="module")
def _small_patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesion_studies, "PATCH_SHAPE", (4, 64, 64))
        yield


def test_words_for_lesions_are_told_from_words_for_the_spine():
    assert names_lesions({"1": "Malignant"})
    assert not names_lesions({"1": "body", "0": "ignored"})
    assert read_lesion_meanings({"01": "benign", "*": "lesion"}) == {"0": NORMAL, "1": BENIGN, "*": LESION}
    assert read_lesion_meanings({"0": "ignored", "2": "malignant"}) == {"0": UNKNOWN, "2": MALIGNANT}
    for words in ({"1": "body", "2": "malignant"}, {"x": "malignant"}):
        with pytest.raises(InputError, match="lesions wants values"):
            read_lesion_meanings(words)


def test_outlines_of_another_orientation_land_where_they_were_drawn():
    given = study()
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:5, 20:32, 20:32] = 7
    flipped = np.diag([-4.0, 1.25, 1.25, 1.0])
    flipped[0, 3] = 4.0 * (SHAPE[0] - 1)
    made = prepare_study(1, "p", given, LabelMap(labels[::-1].copy(), Grid(SHAPE, flipped)), {"0": NORMAL, "*": LESION})
    assert (made.target[3:5, 20:32, 20:32] == LESION).all()
    assert (made.target == LESION).sum() == 2 * 12 * 12
    assert made.target[4, 40, 30] == NORMAL


def test_far_from_the_spine_and_outside_the_outlined_image_nothing_is_known():
    given = study((8, 64, 96))
    short = Grid((8, 40, 96), given.grid.affine)
    made = prepare_study(1, "p", given, LabelMap(np.zeros(short.shape, np.uint16), short), {"0": NORMAL})
    assert (made.target[:, 45:] == UNKNOWN).all()
    assert (made.target[:, :30, 80:] == UNKNOWN).all()  # more than the reach behind the bodies
    assert made.target[4, 20, 30] == NORMAL


def test_labels_that_do_not_fit_are_told():
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, 0] = 3
    with pytest.raises(InputError, match="value 3 in the labels of study 5"):
        prepare_study(5, "p", study(), LabelMap(labels, study().grid), {"0": NORMAL, "1": LESION})
    away = study().grid.affine.copy()
    away[:3, 3] = 1000
    with pytest.raises(InputError, match="outside the spine"):
        prepare_study(5, "p", study(), LabelMap(labels, Grid(SHAPE, away)), {"0": NORMAL, "3": LESION})


def test_patches_hold_lesions_and_any_subset_of_the_sequences():
    rng = np.random.default_rng(0)
    seen, lesions = set(), 0
    for _ in range(40):
        channels, facts, target = draw_study_patch(STUDIES[0], rng)
        given = facts.reshape(len(Slot), -1)[:, 0] > 0
        filled = channels[: len(Slot)].flatten(1).abs().sum(1) > 0
        assert (filled <= given).all()
        assert given.any()
        seen.add(tuple(np.array(Slot)[given.numpy()]))
        lesions += bool((target == MALIGNANT).any())
        assert set(target.unique().tolist()) <= {NORMAL, MALIGNANT, UNKNOWN}
    assert seen == {(Slot.T1,), (Slot.FLUID,), GIVEN}
    assert lesions > 20
    assert STUDIES[0].facts.reshape(len(Slot), -1)[:, 0].sum() == 2  # the study itself is as it was


def test_the_same_seed_draws_the_same_patches():
    one, other = (draw_study_patch(STUDIES[0], np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
