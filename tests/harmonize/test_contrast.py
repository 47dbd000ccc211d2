"""The signal equations run both ways: gains are found again, and tissues come to their signal at the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Acquisition, Sequence
from spondyl.harmonize.contrast import (
    ANCHORS,
    REFERENCE,
    Atoms,
    contrast_map,
    describable,
    gains,
    reference_of,
    signal,
)

OTHER = {
    Sequence.T1: Acquisition(3.0, 15.0, 780.0, echo_train_length=4),
    Sequence.T2: Acquisition(3.0, 120.0, 5000.0, echo_train_length=26),
    Sequence.STIR: Acquisition(3.0, 40.0, 3500.0, 210.0, echo_train_length=9, fat_suppressed=True),
}
"""A 3 T study far from the reference."""

TRUE_GAIN = {Sequence.T1: 1800.0, Sequence.T2: 640.0, Sequence.STIR: 2500.0}


def tissue(density: float, fat: float, t1_ms: float, t2_ms: float) -> Atoms:
    return Atoms(*(np.array([v]) for v in (density, fat, t1_ms, t2_ms)))


MARROW = tissue(0.75, 0.45, 1000.0, 55.0)
TUMOR = tissue(0.85, 0.02, 1150.0, 75.0)


def medians(tissues: dict[str, Atoms]) -> dict[Sequence, dict[str, float]]:
    return {s: {n: TRUE_GAIN[s] * float(signal(t, a)[0]) for n, t in tissues.items()} for s, a in OTHER.items()}


def test_signals_have_the_order_every_radiologist_knows():
    fluid, fat, muscle = ANCHORS["csf"], ANCHORS["fat"], ANCHORS["muscle"]
    t1, t2, stir = (REFERENCE[s] for s in (Sequence.T1, Sequence.T2, Sequence.STIR))
    assert signal(fat, t1) > signal(muscle, t1) > signal(fluid, t1)
    assert signal(fluid, t2) > signal(fat, t2) > signal(muscle, t2)
    assert signal(fluid, stir) > signal(muscle, stir) > signal(fat, stir)
    assert signal(TUMOR, t1) < signal(MARROW, t1)
    assert signal(TUMOR, stir) > signal(MARROW, stir)


def test_gains_of_typical_tissues_are_found_again():
    found = gains(medians(dict(ANCHORS)), OTHER)
    for s, gain in TRUE_GAIN.items():
        assert found[s] == pytest.approx(gain, rel=0.02)


def test_a_patient_with_odd_muscle_does_not_shift_the_scale_of_one_sequence():
    odd = dict(ANCHORS) | {"muscle": ANCHORS["muscle"]._replace(t2_ms=np.array([46.0]))}
    found = gains(medians(odd), OTHER)
    for s, gain in TRUE_GAIN.items():
        assert found[s] == pytest.approx(gain, rel=0.06)


def test_gains_need_a_tissue_and_take_what_there_is():
    assert gains({Sequence.T1: {}}, OTHER) == {}
    assert gains({Sequence.T1: {"marrow": 300.0}}, OTHER) == {}
    alone = gains({Sequence.T2: {"csf": 640.0 * float(signal(ANCHORS["csf"], OTHER[Sequence.T2])[0])}}, OTHER)
    assert alone[Sequence.T2] == pytest.approx(640.0, rel=0.05)


@pytest.mark.parametrize(("name", "what"), [("marrow", MARROW), ("tumor", TUMOR), ("muscle", ANCHORS["muscle"])])
def test_a_3_t_scan_comes_to_the_signal_at_the_reference(name, what):
    mapping = contrast_map(OTHER)
    own = {s: signal(what, a).astype(np.float32) for s, a in OTHER.items()}
    for s, a in OTHER.items():
        wanted = float(signal(what, reference_of(s, a))[0])
        got = float(own[s][0] * mapping.factor(mapping.places(own), s)[0])
        before, after = abs(float(own[s][0]) / wanted - 1), abs(got / wanted - 1)
        assert after < max(0.08, 0.5 * before), (name, s, before, after)


def test_the_spread_tells_how_many_tissues_fit():
    # One sequence alone says little about what a voxel holds.
    alone, three = contrast_map({Sequence.T2: OTHER[Sequence.T2]}), contrast_map(OTHER)
    own = {s: signal(MARROW, a).astype(np.float32) for s, a in OTHER.items()}
    assert alone.spread(alone.places(own), Sequence.T2)[0] > 1.3 * three.spread(three.places(own), Sequence.T2)[0]


def test_the_reference_acquisition_itself_is_left_as_it_is():
    sequences = (Sequence.T1, Sequence.T2, Sequence.STIR)
    mapping = contrast_map({s: REFERENCE[s] for s in sequences})
    own = {s: signal(MARROW, REFERENCE[s]).astype(np.float32) for s in sequences}
    for s in sequences:
        assert mapping.factor(mapping.places(own), s)[0] == pytest.approx(1.0, abs=1e-6)
        assert mapping.spread(mapping.places(own), s)[0] == pytest.approx(0.0, abs=1e-6)


def test_contrast_agent_is_taken_for_what_it_is():
    # An enhancing voxel has a T1 that plain tissue never has; the map of post-contrast T1 allows for it.
    study = {Sequence.T2: OTHER[Sequence.T2], Sequence.T1CE: replace(OTHER[Sequence.T1], contrast_given=True)}
    mapping = contrast_map(study)
    assert Sequence.T1CE in mapping.ratios
    assert Sequence.T1CE not in mapping.telling


def test_what_the_equations_do_not_describe_is_left_out():
    assert not describable(Sequence.DIXON_WATER, OTHER[Sequence.T1])
    assert not describable(Sequence.T1, replace(OTHER[Sequence.T1], repetition_time_ms=None))
    assert not describable(Sequence.T1, replace(OTHER[Sequence.T1], repetition_time_ms=8.0))  # a gradient echo
    assert not describable(Sequence.STIR, replace(OTHER[Sequence.STIR], inversion_time_ms=None))
    assert describable(Sequence.STIR, OTHER[Sequence.STIR])
    assert contrast_map({Sequence.DWI: REFERENCE[Sequence.DWI]}) is None  # it tells no tissues apart


def test_fat_that_was_suppressed_is_not_invented():
    own = replace(OTHER[Sequence.T1], fat_suppressed=True)
    assert reference_of(Sequence.T1, own).fat_suppressed
    assert not reference_of(Sequence.T1, OTHER[Sequence.T1]).fat_suppressed
