"""A case comes to the working grid with each sequence in its slot, and what is not seen is said to be missing."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import GrayLesionNetwork, gray_case, gray_image, reoriented_case, sagittal_grid
from spondyl.core import Case, Grid, Image, LabelMap, Sequence, Structure
from spondyl.localize import LocalizeSettings, localize
from spondyl.models.study import MARGIN_MM, dixon_pair, inside, structure_shares, study_of
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot

CARD = GrayLesionNetwork.card


@pytest.fixture(scope="module")
def localized():
    from fakes import GrayNetwork

    return localize(gray_case(sequences=(Sequence.T1, Sequence.STIR)), LocalizeSettings(), network=GrayNetwork())


def test_the_grid_holds_the_spine_with_a_margin_and_little_more(localized):
    study = study_of(localized, CARD)
    assert study.grid.orientation == "LIP"
    labels = localized.labels["structures"]
    spine = labels.grid.ijk_to_lps(np.argwhere(labels.array > 0))
    box = study.grid.ijk_to_lps([[0, 0, 0], np.asarray(study.grid.shape) - 1])
    low, high = box.min(0), box.max(0)
    assert (spine.min(0) >= low - 2).all()
    assert (spine.max(0) <= high + 2).all()
    assert (spine.min(0) - low < MARGIN_MM + 6)[1:].all()


def test_each_sequence_fills_its_slot_and_others_stay_empty(localized):
    study = study_of(localized, CARD)
    assert study.slots == (Slot.T1, Slot.FLUID)
    assert study.sequences == (Sequence.T1, Sequence.STIR)
    assert study.channels.shape == (N_CHANNELS, *study.grid.shape)
    assert study.facts.shape == (N_FACTS,)
    given = study.facts.reshape(len(Slot), -1)[:, 0]
    assert given.tolist() == [float(s in study.slots) for s in Slot]
    for number, slot in enumerate(Slot):
        assert bool(study.channels[number].any()) == (slot in study.slots)


def test_the_array_axes_of_the_images_make_no_difference(localized):
    turned = reoriented_case(localized, "SAR")
    labels = {n: _turned(m, "SAR") for n, m in localized.labels.items()}
    one, two = study_of(localized, CARD), study_of(turned.with_(labels=labels), CARD)
    assert one.grid.same_space(two.grid)
    np.testing.assert_allclose(one.channels, two.channels, atol=1e-4)


def _turned(labels, orientation):
    from spondyl.core import reorient

    array = reorient(np.asarray(labels.array), labels.grid.orientation, orientation)
    return LabelMap(array, labels.grid.reoriented(orientation))


def test_outside_its_field_of_view_a_sequence_is_zero_and_the_rest_is_as_before(localized):
    grid = localized.images[Sequence.T1].grid
    half = Grid((grid.shape[0], grid.shape[1] // 2, grid.shape[2]), grid.affine)
    short = Image(np.asarray(localized.images[Sequence.STIR].array)[:, : half.shape[1]], half, Sequence.STIR)
    whole = study_of(localized, CARD)
    cut = study_of(localized.with_(images={**localized.images, Sequence.STIR: short}), CARD)
    seen = inside(half, cut.grid)
    fluid = list(Slot).index(Slot.FLUID)
    assert not cut.channels[fluid][~seen].any()
    assert cut.channels[fluid][seen].any()
    np.testing.assert_array_equal(cut.channels[0], whole.channels[0])


def test_a_series_that_misses_the_spine_is_left_out(localized):
    far = localized.images[Sequence.STIR].grid
    affine = far.affine.copy()
    affine[2, 3] += 500
    moved = Image(localized.images[Sequence.STIR].array, Grid(far.shape, affine), Sequence.STIR)
    study = study_of(localized.with_(images={**localized.images, Sequence.STIR: moved}), CARD)
    assert study.slots == (Slot.T1,)


@pytest.mark.parametrize("first", [Sequence.DIXON_WATER, Sequence.DIXON_IN])
def test_a_dixon_pair_gives_water_and_the_fat_fraction(localized, first):
    grid = localized.images[Sequence.T1].grid
    water, fat = np.full(grid.shape, 300.0), np.full(grid.shape, 100.0)
    pair = (water, fat) if first is Sequence.DIXON_WATER else (water + fat, water - fat)
    second = Sequence.DIXON_FAT if first is Sequence.DIXON_WATER else Sequence.DIXON_OUT
    images = {first: Image(pair[0], grid, first), second: Image(pair[1], grid, second)}
    assert dixon_pair(images) == (first, second)
    study = study_of(localized.with_(images=images), CARD)
    assert {Slot.WATER, Slot.FAT_FRACTION} <= set(study.slots)
    middle = tuple(n // 2 for n in study.grid.shape)
    fraction = study.channels[list(Slot).index(Slot.FAT_FRACTION)][middle]
    assert fraction == pytest.approx(2 * 0.25 - 1, abs=1e-3)


def test_without_a_spine_or_a_known_sequence_there_is_no_study(localized):
    grid = sagittal_grid()
    unknown = localized.with_(images={Sequence.PD: gray_image(Sequence.PD, grid)})
    assert study_of(unknown, CARD) is None
    empty = Case("case-0", localized.images, labels={"structures": LabelMap(np.zeros(grid.shape), grid)})
    assert study_of(empty, CARD) is None


def test_structure_shares_add_up_to_one_on_any_grid(localized):
    labels = localized.labels["structures"]
    grid = labels.grid.resampled((4.0, 1.1, 2.3))
    shares = structure_shares(labels, grid)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    volume = shares[Structure.BODY].sum() * grid.voxel_volume_mm3
    assert volume == pytest.approx((labels.array == Structure.BODY).sum() * labels.grid.voxel_volume_mm3, rel=0.03)


def test_networks_that_look_alike_share_what_they_see_and_cannot_change_it(localized):
    study = study_of(localized, CARD)
    assert study_of(localized.with_(lesions=()), CARD) is study
    assert not study.channels.flags.writeable
    other = study_of(localized.with_(images={Sequence.T1: localized.images[Sequence.T1]}), CARD)
    assert other.sequences == (Sequence.T1,)
