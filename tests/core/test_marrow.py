"""Signs of marrow: what is new stands out, and gain, coil and another contrast do not."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Sequence
from spondyl.core.marrow import (
    SIGNS,
    SINCE_LAST,
    TREND,
    VISIT_SIGNS,
    WHOLE_SIGNS,
    _tails,
    beside_neighbors,
    visit_signs,
)

AT = {name: i for i, name in enumerate(VISIT_SIGNS)}


def _bodies(seed=0, *, noise=0.02, gain=1.0, sequences=(Sequence.T1, Sequence.STIR)):
    """Six vertebrae with a texture that is always the same, and noise that is not."""
    texture = np.random.default_rng(99).normal(0, 0.1, (len(Sequence), 6, 300))
    rng = np.random.default_rng(seed)
    order = list(Sequence)
    return {s: list(gain * 100 * np.exp(texture[order.index(s)] + rng.normal(0, noise, (6, 300)))) for s in sequences}


def _with_lesion(bodies, vertebra=2, places=6):
    for sequence, factor in ((Sequence.T1, 0.5), (Sequence.STIR, 2.5)):
        bodies[sequence][vertebra][:places] *= factor
    return bodies


def test_what_is_new_stands_out_where_it_is():
    table = visit_signs(_with_lesion(_bodies(1)), [_bodies(2)])
    for name in ("last_t1_dark", "last_stir_bright", "last_lytic", "trend_lytic"):
        values = np.abs(table[:, AT[name]])
        assert values.argmax() == 2
        assert values[2] > 4 * np.delete(values, 2).max()


def test_nothing_new_is_near_nothing():
    table = visit_signs(_bodies(1), [_bodies(2), _bodies(3)])
    new = [AT[f"{SINCE_LAST}{s}"] for s in SIGNS if "t1_" in s or "stir_" in s]
    assert np.nanmax(np.abs(table[:, new])) < 0.06


def test_gain_and_stretch_of_contrast_leave_changes_alone():
    now, then = _bodies(1, noise=0.0), _bodies(2, noise=0.0)
    stretched = {s: [7 * (v / 100) ** 1.4 for v in own] for s, own in then.items()}
    table = visit_signs(now, [stretched])
    # A regression without noise leaves nothing of the places; medians are only nearly alike.
    assert np.nanmax(np.abs(table[:, [AT["last_t1_dark"], AT["last_stir_bright"]]])) < 1e-5
    assert np.nanmax(np.abs(table[:, AT["last_t1_level"]])) < 0.01


def test_a_sequence_that_was_not_taken_is_not_known():
    table = visit_signs(_bodies(1), [_bodies(2, sequences=(Sequence.T1,))])
    assert np.isnan(table[:, AT["last_stir_bright"]]).all()
    assert np.isfinite(table[:, AT["last_t1_dark"]]).all()
    assert np.isnan(table[:, AT["t2_level"]]).all()


def test_a_sequence_not_taken_this_time_says_what_it_said_the_last_time():
    seen = visit_signs(_with_lesion(_bodies(1)), [_bodies(2)])
    later = visit_signs(_bodies(3, sequences=(Sequence.T1,)), [_bodies(2), _with_lesion(_bodies(1))])
    np.testing.assert_allclose(later[:, AT["last_stir_bright"]], seen[:, AT["last_stir_bright"]])
    assert np.isnan(later[:, AT["stir_bright"]]).all()


def test_the_latest_study_with_a_sequence_counts():
    old, recent = _bodies(2), _bodies(3, sequences=(Sequence.T1,))
    table = visit_signs(_with_lesion(_bodies(1)), [old, recent])
    assert np.isfinite(table[:, AT["last_stir_bright"]]).all()
    assert np.isnan(table[:, AT["held_stir_bright"]]).all()


def test_a_single_study_says_nothing_of_change():
    table = visit_signs(_bodies(1))
    assert np.isnan(table[:, len(SIGNS) + len(WHOLE_SIGNS) :]).all()
    assert np.isfinite(table[:, AT["t1_dark"]]).all()


def test_growth_over_many_studies_is_clearer_than_between_two():
    def visits(seed):
        studies = []
        for k in range(5):
            bodies = _bodies(10 * seed + k, noise=0.1)
            bodies[Sequence.T1][2][:6] *= 1 - 0.4 * 2.0 ** (k - 4)
            studies.append(bodies)
        return visit_signs(studies[-1], studies[:-1], [360, 270, 180, 90])

    tables = np.array([visits(seed) for seed in range(12)])

    def clear(name):
        others = np.delete(tables[:, :, AT[name]], 2, axis=1)
        return abs(tables[:, 2, AT[name]].mean()) / others.std()

    assert clear(f"{TREND}t1_dark") > clear("last_t1_dark")


def test_places_outside_an_image_and_bodies_not_shown_are_left_out():
    bodies = _bodies(1)
    bodies[Sequence.T1][0][:20] = np.nan
    bodies[Sequence.STIR][1] = None
    table = visit_signs(bodies, [_bodies(2)])
    assert np.isfinite(table[0, AT["last_t1_dark"]])
    assert np.isnan(table[1, AT["stir_level"]])


def test_signs_in_spreads_of_marrow_leave_the_neighbors_out():
    every = _bodies(1)
    for vertebra in (0, 1, 3, 4):
        every = _with_lesion(every, vertebra=vertebra, places=12)
    alone, among = (visit_signs(b, [_bodies(2)])[5] for b in (_bodies(1), every))
    assert among[AT["last_lytic"]] < alone[AT["last_lytic"]] - 2  # looks healthy only because the others do not
    assert among[AT["last_lytic_peak"]] == pytest.approx(alone[AT["last_lytic_peak"]], rel=0.15)


@pytest.mark.parametrize(("share", "places"), [("peak", 2), ("wide", 10)])
def test_small_lesions_are_told_by_the_peak_and_larger_ones_by_wide_tails(share, places):
    table = visit_signs(_with_lesion(_bodies(1), places=places), [_bodies(2)])
    values = table[:, AT[f"last_lytic_{share}"]]
    assert values.argmax() == 2
    assert values[2] > 2 * np.delete(values, 2).max()


def test_kinds_of_tumor_answer_to_their_own_signal():
    def found(factors):
        bodies = _bodies(1, sequences=(Sequence.T1, Sequence.T2, Sequence.STIR))
        for sequence, factor in factors.items():
            bodies[sequence][2][:6] *= factor
        table = visit_signs(bodies, [_bodies(2, sequences=(Sequence.T1, Sequence.T2, Sequence.STIR))])
        return {kind: table[2, AT[f"last_{kind}_peak"]] for kind in ("lytic", "mixed", "sclerotic")}

    lytic = found({Sequence.T1: 0.6, Sequence.STIR: 2.0})
    sclerotic = found({Sequence.T1: 0.5, Sequence.T2: 0.5})
    assert max(lytic, key=lytic.__getitem__) == "lytic"
    assert max(sclerotic, key=sclerotic.__getitem__) == "sclerotic"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_neighbors_say_nothing(count):
    assert np.isnan(beside_neighbors(np.ones((count, 3)))).all()


def test_an_empty_signal_is_not_known():
    bodies = {Sequence.T1: [np.zeros(50)] * 4}
    assert np.isnan(visit_signs(bodies)).all()


def test_a_body_without_any_known_place_has_no_tails():
    assert np.isnan(_tails(np.full(5, np.nan), 0.01)).all()
