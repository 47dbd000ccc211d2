"""Probes find scanners that can be told apart, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import InputError
from spondyl.harmonize.probes import KINDS, discrepancy, probe, probe_task


def _features(shift=0.0, scale=1.0, n=90):
    rng = np.random.default_rng(2_000_600)
    codes = np.arange(n) % 3
    values = rng.normal(size=(n, 5))
    return np.where((codes == 1)[:, None], values * scale + shift, values), codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_is_found_and_nothing_is_found_in_noise(kind):
    shifted, codes = _features(shift=2.0)
    found = probe(shifted, probe_task(codes), kind, n_permutations=3)
    assert found.above_chance
    assert found.p_value == pytest.approx(1 / 4)
    assert found.chance == pytest.approx(1 / 3)
    noise, codes = _features()
    assert probe(noise, probe_task(codes), kind, n_permutations=0).balanced_accuracy < 0.47


def test_a_difference_in_spread_is_seen_by_the_boosted_probe_alone():
    values, codes = _features(scale=5.0, n=150)
    linear, boosted = (probe(values, probe_task(codes), kind, n_permutations=0) for kind in KINDS)
    assert linear.balanced_accuracy < 0.5
    assert boosted.balanced_accuracy > 0.55


def test_the_same_patient_is_never_in_training_and_test():
    """Patients can be told by their own value; a probe that saw them in training would name their scanner."""
    rng = np.random.default_rng(5)
    patients = np.repeat(np.arange(40), 4)
    scanners = np.repeat(rng.integers(0, 2, 40), 4)
    values = np.repeat(rng.normal(size=(40, 6)), 4, axis=0) + rng.normal(0, 0.01, (160, 6))
    score = probe(values, probe_task(scanners, patients), "boosted", n_permutations=0).balanced_accuracy
    assert score < 0.7
    assert probe(values, probe_task(scanners), "boosted", n_permutations=0).balanced_accuracy > 0.8


def test_travelling_subjects_exchange_scanners_within_patients():
    rng = np.random.default_rng(6)
    patients, scanners = np.repeat(np.arange(30), 3), np.tile([0, 1, 2], 30)
    values = np.repeat(rng.normal(0, 5, (30, 3)), 3, axis=0) + scanners[:, None] * 4.0
    found = probe(values, probe_task(scanners, patients), n_permutations=6)
    assert found.balanced_accuracy > found.high


def test_harmonization_inside_the_fold_sees_exchanged_scanners():
    values, codes = _features(shift=2.0)
    seen = []

    def fold(train, test, source):
        seen.append(source.copy())
        own = codes[source]
        means = np.stack([values[train][own[train] == c].mean(axis=0) for c in range(3)])
        return values[train] - means[own[train]], values[test] - means[own[test]]

    found = probe(fold, probe_task(codes), n_permutations=2)
    assert found.balanced_accuracy < 0.45
    assert len(seen) == 15
    assert all((s == np.arange(90)).all() for s in seen[:5])
    assert not any((s == np.arange(90)).all() for s in seen[5:])
    np.testing.assert_array_equal(np.sort(seen[5]), np.arange(90))


def test_small_classes_do_not_take_part_and_two_must_remain():
    codes = np.array([0] * 20 + [1] * 20 + [2] * 4)
    task = probe_task(codes)
    assert len(task.rows) == 40
    with pytest.raises(InputError, match="at least two classes with 5 patients each, got 1"):
        probe_task(np.array([0] * 20 + [1] * 3))
    with pytest.raises(InputError, match="got 0"):
        probe_task(codes, np.zeros(44))


def test_many_columns_and_gaps_are_no_obstacle():
    rng = np.random.default_rng(7)
    codes = np.arange(60) % 2
    values = rng.normal(size=(60, 150)) + codes[:, None]
    values[rng.random(values.shape) < 0.1] = np.nan
    for kind in KINDS:
        assert probe(values, probe_task(codes), kind, n_permutations=0).balanced_accuracy > 0.9


def test_discrepancy_grows_with_the_distance_and_is_none_by_chance():
    found = [discrepancy(_features(shift=s)[0], _features()[1], n_permutations=50) for s in (0, 0.7, 2)]
    assert found[0].mmd2 < found[1].mmd2 < found[2].mmd2
    assert found[0].p_value > 0.05
    assert found[2].p_value == pytest.approx(1 / 51)


def test_discrepancy_does_not_depend_on_units_and_bears_gaps():
    values, codes = _features(shift=1.0)
    wanted = discrepancy(values, codes, n_permutations=10)
    assert discrepancy(values * [1, 1e3, 1e-3, 7, 1] + 5, codes, n_permutations=10).mmd2 == pytest.approx(wanted.mmd2)
    values[::9, 2] = np.nan
    assert discrepancy(values, codes, n_permutations=10).mmd2 == pytest.approx(wanted.mmd2, rel=0.2)
    large = np.random.default_rng(8).normal(size=(1700, 3))
    assert discrepancy(large, np.arange(1700) % 4, n_permutations=20).p_value > 0.01
