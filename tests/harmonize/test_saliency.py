"""Saliency is 0 in normal marrow, 0.5 at three standard deviations, and says which sequence speaks."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError, Sequence
from spondyl.harmonize.saliency import TUMOR_DIRECTION, lesion_saliency, scan_saliency, table_saliency

T1, STIR, ADC, T2 = Sequence.T1, Sequence.STIR, Sequence.ADC, Sequence.T2


def _score(**z):
    sequences = [Sequence(name) for name in z]
    change = np.array([[float(v) for v in z.values()]])
    return lesion_saliency(change, np.ones_like(change), sequences)


def test_the_formula_by_hand():
    # One sequence with a direction: D^2 = 9.5 - 0.5.
    assert _score(T1=-np.sqrt(9.5)).score[0] == pytest.approx(0.5)
    # Two: D^2 = 16 + 9 - 1; score 1 - 2^(-24/9).
    got = _score(T1=-4, STIR=3)
    assert got.score[0] == pytest.approx(1 - 2 ** (-24 / 9))
    np.testing.assert_allclose(got.contributions[0], got.score[0] * np.array([16, 9]) / 25)


def test_normal_marrow_is_not_prominent_however_many_sequences():
    rng = np.random.default_rng(2_000_700)
    for count in (1, 4, len(TUMOR_DIRECTION)):
        sequences = list(TUMOR_DIRECTION)[:count]
        change = rng.normal(size=(4000, count))
        got = lesion_saliency(change, np.ones_like(change), sequences)
        assert np.mean(got.score) < 0.13
        assert np.mean(got.score > 0.5) < 0.05


def test_it_grows_with_change_in_the_direction_of_tumor_alone():
    scores = [_score(STIR=z).score[0] for z in (0, 1, 2, 4, 8)]
    assert scores == sorted(scores)
    assert scores[-1] > 0.98
    assert _score(STIR=-8).score[0] == 0
    assert _score(T1=8).score[0] == 0
    assert _score(T2=-8).score[0] == _score(T2=8).score[0] > 0.9


def test_scores_and_contributions_are_between_0_and_1_and_sum_up(rng):
    change, spread = rng.normal(0, 9, (300, 4)), rng.uniform(0.1, 3, (300, 4))
    change[rng.random(change.shape) < 0.3] = np.nan
    got = lesion_saliency(change, spread, [T1, STIR, ADC, T2])
    known = np.isfinite(change).any(axis=1)
    assert ((got.score[known] >= 0) & (got.score[known] <= 1)).all()
    np.testing.assert_allclose(got.contributions[known].sum(axis=1), got.score[known], atol=1e-12)
    assert not got.contributions[~np.isfinite(change)].any()
    assert np.isnan(got.score[~known]).all()


def test_units_do_not_matter():
    change, spread = np.array([[-300.0, 5.0]]), np.array([[80.0, 1.5]])
    a = lesion_saliency(change, spread, [T1, STIR])
    b = lesion_saliency(change * [1e-3, 40], spread * [1e-3, 40], [T1, STIR])
    assert a.score == pytest.approx(b.score)


def test_uncertain_measurements_are_less_prominent():
    names = ("T1_lesion", "T1_marrow", "T1_marrow_sd", "f1")
    values = np.array([[300.0, 500, 50, 1], [480, 500, 50, 1]])
    sure = table_saliency(names, values, np.ones((2, 4)))
    unsure = table_saliency(names, values, np.full((2, 4), 60.0))
    assert sure.score[0] > unsure.score[0] > 0.1
    assert sure.score[1] == 0


def test_a_table_without_pairs_has_no_saliency_and_spread_may_come_from_patients():
    assert (
        table_saliency(("T1_lesion", "STIR_marrow", "foo_lesion", "foo_marrow"), np.ones((2, 4)), np.ones((2, 4)))
        is None
    )
    rng = np.random.default_rng(1)
    marrow = rng.normal(500, 50, 60)
    values = np.stack([marrow - 300, marrow, np.full(60, np.nan), marrow], axis=1)
    got = table_saliency(("T1_lesion", "T1_marrow", "ADC_lesion", "ADC_marrow"), values, np.zeros((60, 4)))
    assert got.sequences == (T1, ADC)
    assert (got.score > 0.9).all()
    assert not got.contributions[:, 1].any()


def test_a_scan_is_as_prominent_as_its_most_prominent_lesion():
    assert scan_saliency(np.array([0.2, 0.9, np.nan])) == 0.9
    assert scan_saliency(np.array([])) == 0.0
    assert np.isnan(scan_saliency(np.array([np.nan])))


def test_what_has_no_direction_is_refused():
    with pytest.raises(InputError, match=r"got .* for UNKNOWN"):
        _score(UNKNOWN=2)
    with pytest.raises(InputError, match="one shape"):
        lesion_saliency(np.ones((1, 2)), np.ones((1, 1)), [T1, STIR])
