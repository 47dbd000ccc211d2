"""ComBat gives the published numbers, and the same numbers whatever way the table comes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fake_cohorts import cohort, plain_combat
from spondyl.core import InputError, SettingsError
from spondyl.harmonize.combat import UNSEEN, ComBatSettings, Scanners, apply_combat, fit_combat

NONE = np.zeros((0, 0))


def _drawn(seed=1, n=60, p=25, k=3, q=2):
    rng = np.random.default_rng([2_000_100, seed])
    codes = np.arange(n) % k
    columns = rng.normal(size=(n, q))
    values = rng.normal(size=(n, p)) * rng.uniform(0.5, 2, p) + rng.normal(0, 0.8, (k, p))[codes] + 10
    return values, codes, columns - columns.mean(axis=0)


def _names(codes):
    return Scanners(tuple(f"s{i}" for i in range(codes.max() + 1)), codes)


def _done(values, codes, columns, **settings):
    return apply_combat(fit_combat(values, _names(codes), columns, ComBatSettings(**settings)), values, codes, columns)


VARIANTS = {
    "": {},
    "_meanonly": {"mean_only": True},
    "_noeb": {"shrink": False},
    "_noeb_meanonly": {"shrink": False, "mean_only": True},
}


@pytest.mark.real
@pytest.mark.parametrize("language", ["r", "python"])
@pytest.mark.parametrize("adjusted", ["adjusted", "unadjusted"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_of_the_reference_programs_are_reproduced(shared_data, variant, adjusted, language):
    folder = shared_data / "harmonization" / "combat_reference" / "Testing"
    values = pd.read_csv(folder / "inputData" / "testdata.csv").to_numpy().T
    codes = np.repeat([0, 1], 5)
    columns = np.tile([-0.5, 0.5], 5)[:, None][:, : int(adjusted == "adjusted")]
    file = folder / "outputData" / f"testdata_combat_parametric_{adjusted}{variant}_{language}.csv"
    wanted = pd.read_csv(file, header=0 if language == "r" else None).to_numpy()
    np.testing.assert_allclose(_done(values, codes, columns, **VARIANTS[variant]).T, wanted, rtol=0, atol=1e-10)


@pytest.mark.real
@pytest.mark.parametrize("language", ["r", "python"])
def test_applying_to_new_patients_of_unknown_sex_reproduces_the_reference_programs(shared_data, language):
    folder = shared_data / "harmonization" / "combat_reference" / "Testing"
    values = pd.read_csv(folder / "inputData" / "testdata.csv").to_numpy().T
    codes = np.repeat([0, 1], 5)
    fit = fit_combat(values, _names(codes), np.tile([-0.5, 0.5], 5)[:, None])
    rows = [0, 1, 5, 6]
    got = apply_combat(fit, values[rows], codes[rows], np.zeros((4, 1)))
    file = folder / "outputData" / f"training_test_scenario2_{language}.csv"
    wanted = pd.read_csv(file, header=0 if language == "r" else None).to_numpy()
    np.testing.assert_allclose(got.T, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("settings", [{}, {"mean_only": True}, {"parametric": False}])
def test_a_plain_transcription_of_the_paper_gives_the_same(settings):
    values, codes, columns = _drawn()
    wanted = plain_combat(values, codes, columns, **settings)
    np.testing.assert_allclose(_done(values, codes, columns, **settings), wanted, rtol=0, atol=1e-10)


def test_without_shrinkage_every_scanner_has_the_same_mean_and_spread():
    values, codes, _ = _drawn(q=0)
    done = _done(values, codes, np.zeros((60, 0)), shrink=False)
    by_scanner = [done[codes == s] for s in range(3)]
    for other in by_scanner[1:]:
        np.testing.assert_allclose(other.mean(axis=0), by_scanner[0].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(other.std(axis=0), by_scanner[0].std(axis=0), atol=1e-12)


def test_one_patient_at_a_time_is_the_same_as_all_at_once():
    values, codes, columns = _drawn()
    fit = fit_combat(values, _names(codes), columns)
    whole = apply_combat(fit, values, codes, columns)
    for row in range(0, 60, 7):
        one = slice(row, row + 1)
        np.testing.assert_allclose(apply_combat(fit, values[one], codes[one], columns[one]), whole[one], atol=1e-12)


def test_the_order_of_patients_and_scanners_does_not_matter():
    values, codes, columns = _drawn()
    done = _done(values, codes, columns)
    order = np.random.default_rng(5).permutation(60)
    turned = np.array([2, 0, 1])[codes]
    np.testing.assert_allclose(_done(values[order], turned[order], columns[order]), done[order], atol=1e-9)


def test_units_of_a_feature_do_not_matter():
    values, codes, columns = _drawn()
    factor, offset = np.linspace(0.01, 500, 25), np.linspace(-3, 9, 25)
    done = _done(values, codes, columns)
    np.testing.assert_allclose(_done(values * factor + offset, codes, columns), done * factor + offset, rtol=1e-9)


def test_the_reference_scanner_stays_to_the_last_bit_and_others_come_to_it():
    values, codes, columns = _drawn()
    done = _done(values, codes, columns, reference="s1", shrink=False)
    np.testing.assert_array_equal(done[codes == 1], values[codes == 1])
    fit = fit_combat(values, _names(codes), columns, ComBatSettings(reference="s1", shrink=False))
    for s in (0, 2):
        left = (done - fit.expected(columns))[codes == s]
        np.testing.assert_allclose(
            left.mean(axis=0), (values - fit.expected(columns))[codes == 1].mean(axis=0), atol=1e-9
        )


def test_a_single_scanner_is_left_alone():
    values, _, columns = _drawn()
    codes = np.zeros(60, dtype=int)
    np.testing.assert_array_equal(_done(values, codes, columns), values)


def test_patients_of_a_scanner_not_learned_pass_unchanged():
    values, codes, columns = _drawn()
    fit = fit_combat(values, _names(codes), columns)
    np.testing.assert_array_equal(apply_combat(fit, values, np.full(60, UNSEEN), columns), values)


def test_a_constant_feature_passes_unchanged_and_disturbs_no_other():
    values, codes, columns = _drawn()
    wanted = _done(values, codes, columns)
    done = _done(np.insert(values, 4, 7.3, axis=1), codes, columns)
    np.testing.assert_array_equal(done[:, 4], 7.3)
    np.testing.assert_allclose(np.delete(done, 4, axis=1), wanted, atol=1e-12)


def test_a_feature_constant_on_one_scanner_stays_finite():
    values, codes, columns = _drawn()
    values[codes == 2, 3] = 1.0
    for settings in ({}, {"shrink": False}, {"parametric": False}):
        assert np.isfinite(_done(values, codes, columns, **settings)).all()


def test_a_scanner_with_one_patient_is_shifted_but_not_stretched():
    values, codes, columns = _drawn()
    codes[0] = 3
    fit = fit_combat(values, _names(codes), columns)
    assert np.isfinite(fit.effects.shift).all()
    np.testing.assert_array_equal(fit.effects.scale[3], 1.0)
    # One observation weighs as much as the prior allows: the shift lies between it and the prior mean.
    hat, star, mean = fit.estimates.shift[3], fit.effects.shift[3], fit.priors[3].shift_mean
    assert (np.abs(star - mean) < np.abs(hat - mean)).all()


def test_missing_values_stay_missing_and_leave_complete_features_as_they_are():
    values, codes, columns = _drawn()
    holed = values.copy()
    holed[::7, :5] = np.nan
    holed[3, 5:8] = np.nan
    settings = {"shrink": False}  # with shrinkage every feature tells the others' prior
    done, wanted = _done(holed, codes, columns, **settings), _done(values, codes, columns, **settings)
    np.testing.assert_array_equal(np.isnan(done), np.isnan(holed))
    np.testing.assert_allclose(done[:, 8:], wanted[:, 8:], atol=1e-12)


def test_a_feature_with_gaps_is_fitted_on_the_patients_who_have_it():
    values, codes, columns = _drawn()
    rows = np.setdiff1d(np.arange(60), np.arange(0, 60, 7))
    holed = values.copy()
    holed[::7] = np.nan
    done = _done(holed, codes, columns)[rows]
    columns = columns[rows]
    np.testing.assert_allclose(done, _done(values[rows], codes[rows], columns), atol=1e-9)


def test_a_feature_that_a_scanner_never_measured_is_harmonized_between_the_others():
    values, codes, columns = _drawn()
    values[codes == 2, 0] = np.nan
    done = _done(values, codes, columns)
    assert np.isfinite(done[codes != 2, 0]).all()
    means = [done[codes == s, 0].mean() for s in (0, 1)]
    assert abs(means[0] - means[1]) < abs(values[codes == 0, 0].mean() - values[codes == 1, 0].mean())


def test_the_table_given_stays_as_it_was():
    values, codes, columns = _drawn()
    values[2, 2] = np.nan
    before = values.copy()
    _done(values, codes, columns)
    np.testing.assert_array_equal(values, before)


def test_removal_brings_patients_nearer_to_the_truth():
    drawn = cohort(1)
    codes = drawn.table.scanner.str[1:].astype(int).to_numpy()
    age = (drawn.table.age - drawn.table.age.mean()).to_numpy()[:, None] / 12
    values = drawn.table[drawn.names].to_numpy()
    before = np.abs(values - drawn.truth).mean()
    assert np.abs(_done(values, codes, age) - drawn.truth).mean() < 0.5 * before


def test_nonsense_is_refused_in_words():
    values, codes, columns = _drawn()
    with pytest.raises(InputError, match="'s9' is not in the table, which has 's0', 's1', 's2'"):
        _done(values, codes, columns, reference="s9")
    with pytest.raises(SettingsError, match="shrink=False"):
        ComBatSettings(shrink=False, parametric=False)
    values[codes == 0, 1] = np.nan
    with pytest.raises(InputError, match="reference scanner needs at least two"):
        _done(values, codes, columns, reference="s0")
