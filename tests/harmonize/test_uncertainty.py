"""Intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from fake_cohorts import cohort
from spondyl.core import InputError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.uncertainty import interval, repeatability


@pytest.mark.parametrize(
    "settings", [{}, {"shrink": False}, {"parametric": False}], ids=["shrunk", "unshrunk", "non-parametric"]
)
def test_90_percent_intervals_of_the_scanner_correction_hold_the_truth(settings):
    held = []
    for seed in range(12):
        drawn = cohort(seed, n=120, k=6)
        model = HarmonySpine(site="scanner", keep=("age",), combat=ComBatSettings(**settings), dimension=None)
        got = model.fit(drawn.table).harmonize(drawn.table)
        low, high = interval(got.values, got.sd)
        held.append(np.mean((low < drawn.truth) & (drawn.truth < high)))
    assert 0.85 <= np.mean(held) <= 0.95


def test_more_patients_make_a_scanner_surer():
    sd = [np.median(_scanner_sd(cohort(4, n=n, k=4))) for n in (40, 160, 640)]
    assert sd[0] > 1.5 * sd[1] > 2.2 * sd[2]


def _scanner_sd(drawn):
    model = HarmonySpine(site="scanner", keep=("age",), dimension=None).fit(drawn.table)
    return model.harmonize(drawn.table).sd / drawn.table[drawn.names].std().to_numpy()


def _repeated(rng, n=60, noise=(0.2, 1.0, 3.0)):
    patients = np.repeat(np.arange(n), 2)
    own = np.repeat(rng.normal(0, 2, (n, 3)), 2, axis=0)
    return own + rng.normal(size=own.shape) * noise, patients, own


def test_repeatability_finds_noise_and_intraclass_correlation(rng):
    values, patients, _ = _repeated(rng, n=20000)
    got = repeatability(values + 10, patients)
    np.testing.assert_allclose(np.sqrt(got.variance), [0.2, 1.0, 3.0], rtol=0.05)
    np.testing.assert_allclose(got.icc, [4 / 4.04, 4 / 5, 4 / 13], atol=0.03)
    np.testing.assert_allclose(got.cv, np.sqrt(got.variance) / 10, rtol=0.03)
    assert got.freedom == 20000


def test_intraclass_correlation_of_shrout_and_fleiss():
    """Their table 2, six targets and four judges: ICC(1,1) is 0.17 (table 4)."""
    scores = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    got = repeatability(scores.reshape(-1, 1), np.repeat(np.arange(6), 4))
    assert got.icc[0] == pytest.approx(0.17, abs=0.005)


def test_missing_scans_and_single_visits_tell_nothing(rng):
    values, patients, _ = _repeated(rng)
    wanted = repeatability(values[2:], patients[2:])
    values[0, :] = np.nan
    got = repeatability(np.vstack([values, [[99.0, 99, 99]]]), np.append(patients, 1000))
    np.testing.assert_allclose(got.variance, wanted.variance)
    with pytest.raises(InputError, match="nobody was scanned twice"):
        repeatability(values, np.arange(len(values)))


def test_noisy_sequences_are_less_sure_and_repeats_set_the_measure(rng):
    values, patients, own = _repeated(rng, n=150, noise=(0.3, 0.6, 1.8))
    import pandas as pd

    table = pd.DataFrame(values, columns=["T1", "STIR", "ADC"])
    table["scanner"], table["who"] = np.where(rng.random(300) < 0.5, "a", "b"), patients
    model = HarmonySpine(site="scanner", subject="who", dimension=None).fit(table)
    got = model.harmonize(table)
    assert model.measurement_source_ == "repeated scans"
    median = np.median(got.sd, axis=0)
    assert median[0] < median[1] < median[2]
    np.testing.assert_allclose(median, [0.3, 0.6, 1.8], rtol=0.2)
    low, high = interval(got.values, got.sd)
    assert 0.85 <= np.mean((low < own) & (own < high)) <= 0.95
    few = table.drop_duplicates("who").iloc[:40]
    with pytest.raises(InputError, match=r"at least 5 repeated scans are wanted.*'who' shows 1"):
        HarmonySpine(site="scanner", subject="who").fit(pd.concat([few, table.iloc[[1]]]))


def test_levels_are_probabilities():
    low, high = interval(np.zeros(1), np.ones(1), level=0.95)
    assert high[0] == pytest.approx(1.959964, abs=1e-6)
    assert low[0] == -high[0]
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        interval(np.zeros(1), np.ones(1), level=95)
