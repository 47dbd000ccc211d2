"""The cascade that names a sequence: physics, words, and what they say together."""

import pytest

from spondyl.core import Acquisition, Sequence
from spondyl.io.acquisition import HeaderFacts
from spondyl.io.cues import PixelCues
from spondyl.io.recognize import DISAGREE, PHYSICS_ONLY, confirm, reason_to_set_aside, recognize
from spondyl.io.words import found


def facts(te=None, tr=None, ti=None, *, scanning=("SE",), text="", fs=None, field=1.5, b=None, fa=None, **more):
    acquisition = Acquisition(
        field_strength_t=field,
        echo_time_ms=te,
        repetition_time_ms=tr,
        inversion_time_ms=ti,
        fat_suppressed=fs,
        b_value_s_mm2=b,
        flip_angle_deg=fa,
    )
    return HeaderFacts(acquisition, scanning=frozenset(scanning), said=found(text), **more)


CASES = {
    "T1 TSE": (facts(11, 560), Sequence.T1),
    "T1 at 3 T": (facts(9, 1400, field=3.0), Sequence.T1),
    "T1 FLAIR is T1": (facts(24, 2400, 900, scanning=("SE", "IR"), text="Sag T1 FLAIR"), Sequence.T1),
    "T1 FLAIR without words": (facts(12, 2000, 780, scanning=("SE", "IR")), Sequence.T1),
    "T2 TSE": (facts(102, 3600), Sequence.T2),
    "3-D T2": (facts(130, 1500), Sequence.T2),
    "STIR": (facts(38, 4200, 160, scanning=("SE", "IR")), Sequence.STIR),
    "STIR at 3 T": (facts(50, 4000, 220, scanning=("SE", "IR"), field=3.0), Sequence.STIR),
    "STIR by words, TI missing": (facts(60, 4500, text="SAG STIR"), Sequence.STIR),
    "STIR by words with a short echo": (facts(38, 4200, text="tirm_sag"), Sequence.STIR),
    "T2 TIRM": (facts(70, 4200, 160, scanning=("SE", "IR"), text="t2_ir"), Sequence.STIR),
    "SPAIR with a delay": (facts(80, 4000, 110, text="T2 SPAIR", fs=True), Sequence.T2FS),
    "T2 with fat suppression": (facts(90, 4000, fs=True), Sequence.T2FS),
    "PD": (facts(30, 2500), Sequence.PD),
    "VIBE": (facts(2.0, 5.0, scanning=("GR",), fa=10), Sequence.T1),
    "T2 star": (facts(15, 500, scanning=("GR",), fa=30), Sequence.UNKNOWN),
    "DWI": (facts(70, 4000, scanning=("EP", "SE"), b=800.0), Sequence.DWI),
    "b = 0": (facts(70, 4000, scanning=("EP", "SE"), b=0.0), Sequence.DWI),
    "Philips writes b = 0 everywhere": (facts(100, 3500, b=0.0), Sequence.T2),
    "ADC": (facts(70, 4000, image_type=("DERIVED", "PRIMARY", "ADC")), Sequence.ADC),
    "Siemens water": (facts(2.4, 6, scanning=("GR",), image_type=("DERIVED", "WATER")), Sequence.DIXON_WATER),
    "water by words": (facts(2.5, 6.4, scanning=("GR",), text="mDIXON_W"), Sequence.DIXON_WATER),
    "in phase by TE at 1.5 T": (facts(4.6, 150, scanning=("GR",), n_echoes=2), Sequence.DIXON_IN),
    "opposed by TE at 1.5 T": (facts(2.3, 150, scanning=("GR",), n_echoes=2), Sequence.DIXON_OUT),
    "in phase by TE at 3 T": (facts(2.3, 150, scanning=("GR",), n_echoes=2, field=3.0), Sequence.DIXON_IN),
    "T2 Dixon water": (facts(90, 4000, image_type=("W",)), Sequence.T2FS),
    "T2 Dixon in phase": (facts(90, 4000, image_type=("IN_PHASE",)), Sequence.T2),
    "enhanced MR's own word": (facts(contrast="STIR"), Sequence.STIR),
    "nothing": (facts(), Sequence.UNKNOWN),
}


@pytest.mark.parametrize("name", CASES)
def test_a_header_names_its_sequence(name):
    given, expected = CASES[name]
    assert recognize(given).sequence is expected


def test_words_and_physics_together_are_surer_than_either_and_contradiction_is_unsure():
    both = recognize(facts(11, 560, text="t1 tse")).confidence
    physics = recognize(facts(11, 560)).confidence
    contradiction = recognize(facts(11, 560, text="t2 tse"))
    assert both > physics > contradiction.confidence
    assert contradiction.sequence is Sequence.T1
    assert contradiction.confidence == DISAGREE


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (facts(image_type=("ORIGINAL", "LOCALIZER")), "localizer"),
        (facts(text="survey"), "localizer"),
        (facts(image_type=("DERIVED", "SECONDARY", "PROJECTION IMAGE")), "projection"),
        (facts(text="T1 subtraction"), "derived"),
        (facts(image_type=("DERIVED", "MPR")), "reformatted"),
        (facts(image_type=("ORIGINAL", "PRIMARY", "P")), "phase"),
        (facts(120, 9000, 2500, text="T2 dark fluid"), "FLAIR"),
        (facts(text="T2 FLAIR"), "FLAIR"),
        (facts(image_type=("FAT_FRACTION",)), "fat-fraction"),
    ],
)
def test_useless_images_are_set_aside_with_a_reason(given, reason):
    assert reason in reason_to_set_aside(given)


@pytest.mark.parametrize("name", [n for n in CASES if n != "nothing"])
def test_useful_images_are_not_set_aside(name):
    assert reason_to_set_aside(CASES[name][0]) is None


def test_pixels_confirm_or_doubt_a_header():
    named = recognize(facts(102, 3600))
    assert confirm(named, PixelCues(fluid_bright=True, strength=1.0)).confidence > named.confidence
    doubted = confirm(named, PixelCues(fluid_bright=False, strength=1.0))
    assert doubted.sequence is Sequence.T2
    assert doubted.confidence < 0.6
    assert "not expected" in doubted.evidence[-1]


def test_pixels_answer_where_the_header_is_silent():
    answer = confirm(recognize(facts()), PixelCues(fluid_bright=False, strength=0.9))
    assert answer.sequence is Sequence.T1
    assert answer.confidence < PHYSICS_ONLY
