"""Scanners that were not learned are refused, told apart, or learned from their own patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fake_cohorts import cohort
from spondyl.core import InputError, SettingsError
from spondyl.harmonize.combat import ComBatSettings
from spondyl.harmonize.harmony_spine import HarmonySpine
from spondyl.harmonize.unseen import UnseenSettings, learn_acquisitions


def _split(seed=3, k=8, n=400):
    drawn = cohort(seed, n=n, k=k, learned=k - 1)
    new = (drawn.table.scanner == "s7").to_numpy()
    return drawn, drawn.table[~new], drawn.table[new], drawn.truth[new]


@pytest.mark.parametrize("settings", [{"policy": "ignore"}, {"policy": "nearest"}, {"min_cases": 1}])
def test_settings_that_cannot_be_followed_are_refused(settings):
    with pytest.raises(SettingsError, match="got"):
        UnseenSettings(**settings)


def test_a_scanner_not_learned_is_refused_by_name():
    _, train, new, _ = _split()
    model = HarmonySpine(site="scanner", keep=("age",)).fit(train)
    with pytest.raises(InputError, match=r"'s7' in column 'scanner' was not in the training table.*pooled"):
        model.transform(new)


def test_pooled_patients_stay_as_measured_with_wide_uncertainty():
    drawn, train, new, truth = _split()
    model = HarmonySpine(site="scanner", keep=("age",), unseen="pooled", dimension=None).fit(train)
    got = model.harmonize(new)
    np.testing.assert_array_equal(got.values, new[drawn.names].to_numpy())
    assert set(got.flags) == {("scanner_pooled",)}
    known = model.harmonize(train)
    assert np.median(got.sd / model.stages_[0].combat.sd) > 2 * np.median(known.sd / model.stages_[0].combat.sd)
    assert 0.75 < np.mean(np.abs(got.values - truth) < 1.645 * got.sd) <= 1


def test_a_calibrated_scanner_comes_to_the_common_scale_and_says_so():
    held = []
    for seed in range(8):
        drawn, train, new, truth = _split(seed)
        model = HarmonySpine(site="scanner", keep=("age",), unseen="calibrate", dimension=None).fit(train)
        got = model.harmonize(new)
        assert np.abs(got.values - truth).mean() < 0.6 * np.abs(new[drawn.names] - truth).to_numpy().mean()
        assert set(got.flags) == {("scanner_calibrated",)}
        held.append(np.mean(np.abs(got.values - truth) < 1.645 * got.sd))
    assert 0.82 < np.mean(held) < 0.95


def test_calibration_leaves_known_scanners_and_the_model_as_they_were():
    _, train, new, _ = _split()
    model = HarmonySpine(site="scanner", keep=("age",)).fit(train)
    before = model.transform(train)
    more = model.calibrated(new)
    np.testing.assert_array_equal(more.transform(train), before)
    np.testing.assert_array_equal(model.transform(train), before)
    assert more.harmonize(new.iloc[:1]).flags == ((),)
    with pytest.raises(InputError, match="'s7'"):
        model.transform(new)


@pytest.mark.parametrize("combat", [{"shrink": False}, {"mean_only": True}, {"parametric": False}])
def test_every_member_of_the_family_can_be_calibrated(combat):
    drawn, train, new, truth = _split()
    model = HarmonySpine(site="scanner", keep=("age",), combat=ComBatSettings(**combat), dimension=None).fit(train)
    got = model.calibrated(new).transform(new)
    assert np.abs(got - truth).mean() < 0.8 * np.abs(new[drawn.names] - truth).to_numpy().mean()


def test_too_few_patients_to_calibrate_are_refused_with_the_number():
    _, train, new, _ = _split()
    model = HarmonySpine(site="scanner", unseen="calibrate").fit(train)
    with pytest.raises(InputError, match="10 of its patients are wanted to calibrate it, got 9"):
        model.transform(new.iloc[:9])
    assert np.isfinite(model.calibrated(new.iloc[:2], min_cases=2).transform(new)).all()


def test_the_scanner_that_acquires_most_alike_is_found():
    obs = pd.DataFrame({"vendor": ["ge"] * 4 + ["siemens"] * 4, "te": [80.0, 82, 110, 112, 80, 82, 110, 112]})
    usual = learn_acquisitions(obs, np.repeat([0, 1, 2, 3], 2), 4, ["vendor", "te"])
    new = pd.DataFrame({"vendor": ["siemens", "ge", None, "canon"], "te": [90.0, np.nan, 111, 108]})
    np.testing.assert_array_equal(usual.nearest(new), [2, 0, 1, 1])
    with pytest.raises(InputError, match="no value in 'te', 'vendor'"):
        usual.nearest(pd.DataFrame({"vendor": [None], "te": [np.nan]}))
    with pytest.raises(InputError, match="'te', wanted as part of an acquisition, is missing"):
        usual.nearest(new[["vendor"]])


def test_nearest_removes_the_effects_of_the_scanner_it_names():
    _, train, new, _ = _split()
    train, new = train.assign(coil=train.scanner.str[1:].astype(int)), new.assign(coil=4)
    unseen = UnseenSettings("nearest", ("coil",))
    model = HarmonySpine(site="scanner", unseen=unseen, dimension=None).fit(train)
    got = model.harmonize(new)
    assert set(got.flags) == {("scanner_nearest:s4",)}
    as_if = model.harmonize(new.assign(scanner="s4"))
    np.testing.assert_array_equal(got.values, as_if.values)
    assert (got.sd > as_if.sd).all()
