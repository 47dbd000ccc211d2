"""Contrast by two witnesses, and the image a radiologist would hang."""

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Acquisition, Grid, Image, Sequence, Source
from spondyl.io.acquisition import HeaderFacts
from spondyl.io.choose import confidence_flags, primaries, settle_contrast
from spondyl.io.volumes import Reading
from spondyl.io.words import found

SAGITTAL = np.array([[4.0, 0, 0, -20], [0, 0, 1, -60], [0, -1, 0, 90], [0, 0, 0, 1]])
AXIAL = np.array([[0, 0, 1.0, -20], [0, 1, 0, -60], [4, 0, 0, 0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def tissue():
    return np.random.default_rng(5).normal(200, 10, (12, 60, 50)).astype(np.float32)


def reading(
    array,
    sequence=Sequence.T1,
    text="",
    *,
    number=1,
    time=None,
    agent=False,
    fs=None,
    affine=SAGITTAL,
    b=None,
    sure=0.9,
):
    acquisition = Acquisition(acquired_s=time, fat_suppressed=fs, b_value_s_mm2=b)
    source = Source(f"1.2.{number}", number, evidence=("TE and TR",))
    grid = Grid(array.shape, affine, "1.2.9")
    return Reading(
        Image(array, grid, sequence, sure, acquisition, source), HeaderFacts(acquisition, said=found(text), agent=agent)
    )


def enhanced(array):
    """The same tissue with bright vessels."""
    bright = array.copy()
    bright[5, 20:40, 10:20] *= 2
    return bright


def sequences(readings):
    return [r.image.sequence for r in settle_contrast(readings)]


def test_agent_and_description_make_t1ce(tissue):
    (settled,) = settle_contrast([reading(tissue, text="T1 +GD", agent=True)])
    assert settled.image.sequence is Sequence.T1CE
    assert settled.image.acquisition.contrast_given
    assert len(settled.image.source.evidence) == 3


def test_a_description_alone_makes_t1ce_with_little_confidence(tissue):
    (settled,) = settle_contrast([reading(tissue, text="T1 post")])
    assert settled.image.sequence is Sequence.T1CE
    assert settled.image.sequence_confidence < 0.7


def test_an_agent_tag_alone_does_not(tissue):
    (settled,) = settle_contrast([reading(tissue, agent=True)])
    assert settled.image.sequence is Sequence.T1
    assert settled.image.sequence_confidence < 0.6


def test_an_agent_tag_filled_for_the_whole_study_leaves_the_first_t1_as_it_is(tissue):
    pair = [reading(tissue, time=10.0, agent=True), reading(enhanced(tissue), number=2, time=900.0, agent=True)]
    assert sequences(pair) == [Sequence.T1, Sequence.T1CE]


def test_agent_and_fat_suppression_make_t1ce(tissue):
    assert sequences([reading(tissue, agent=True, fs=True)]) == [Sequence.T1CE]


def test_pixels_and_description_make_t1ce_where_the_tag_is_empty(tissue):
    pair = [reading(tissue, time=10.0), reading(enhanced(tissue), "T1", number=2, time=900.0)]
    pair[1] = reading(enhanced(tissue), text="T1 KM", number=2, time=900.0)
    settled = settle_contrast(pair)
    assert [r.image.sequence for r in settled] == [Sequence.T1, Sequence.T1CE]
    assert any("brighter" in e for e in settled[1].image.source.evidence)


def test_a_description_that_says_before_wins_over_the_tag(tissue):
    assert sequences([reading(tissue, text="T1 nativ", agent=True, fs=True)]) == [Sequence.T1]


def test_a_repeated_t1_stays_t1(tissue):
    assert sequences([reading(tissue, time=10.0), reading(tissue + 1, number=2, time=90.0)]) == [Sequence.T1] * 2


def test_sagittal_comes_before_axial_and_more_slices_before_fewer(tissue):
    axial = reading(tissue, Sequence.T2, affine=AXIAL, number=9)
    few, many = reading(tissue[:6], Sequence.T2, number=2), reading(tissue, Sequence.T2, number=3)
    assert primaries([axial, few, many])[Sequence.T2] is many


def test_a_station_comes_before_the_composed_image(tissue):
    composed = reading(tissue, Sequence.T2, "T2 composed", number=8)
    station = reading(tissue, Sequence.T2, number=2)
    assert primaries([composed, station])[Sequence.T2] is station


def test_the_region_with_most_sequences_is_chosen(tissue):
    up = SAGITTAL + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 300], [0, 0, 0, 0]])
    neck = reading(tissue, Sequence.T2, affine=up, number=9)
    low = [reading(tissue, s, number=n) for n, s in enumerate((Sequence.T1, Sequence.T2, Sequence.STIR), 1)]
    assert primaries([neck, *low])[Sequence.T2] is low[1]


def test_plain_t1_comes_before_fat_suppressed_t1(tissue):
    plain, suppressed = reading(tissue, number=1), reading(tissue, number=5, fs=True)
    assert primaries([suppressed, plain])[Sequence.T1] is plain


def test_unknown_images_stand_in_only_when_nothing_is_known(tissue):
    unknown = reading(tissue, Sequence.UNKNOWN, sure=0.3)
    assert list(primaries([unknown])) == [Sequence.UNKNOWN]
    assert list(primaries([unknown, reading(tissue, number=2)])) == [Sequence.T1]


def test_doubtful_names_are_reported(tissue):
    flags = confidence_flags(primaries([reading(tissue, sure=0.5), reading(tissue, Sequence.T2, number=2)]))
    assert [(f.code, f.where) for f in flags] == [("low_sequence_confidence", "T1")]


def test_the_choice_does_not_depend_on_the_order_of_files(tissue):
    readings = [reading(tissue, Sequence.T2, number=n) for n in (1, 2, 3)]
    chosen = {primaries(order)[Sequence.T2].image.source.series_number for order in (readings, readings[::-1])}
    assert len(chosen) == 1


def test_another_frame_of_reference_is_another_region(tissue):
    mine, other = reading(tissue), reading(enhanced(tissue), text="T1 post", number=2)
    grid = Grid(other.image.grid.shape, other.image.grid.affine, "1.2.10")
    moved = replace(other, image=replace(other.image, grid=grid))
    assert not any("brighter" in e for e in settle_contrast([mine, moved])[1].image.source.evidence)
