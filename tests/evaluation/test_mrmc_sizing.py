"""Power and sizes, against published values and drawn studies."""

import numpy as np
import pytest

from reader_fakes import example_study
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.mrmc import analyze_study
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_figures import MrmcSettings
from spondyl.evaluation.mrmc_sizing import Goal, PlanningValues, cases_needed, planning_values, power, size_table

# Van Dyke's study with the jackknife (Smith & Hillis, MRMCaov), the pilot of the published powers below.
VAN_DYKE = PlanningValues(0.0002004025, 0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284, 45, 69)
EFFECT = -0.043800322
SHARE = 45 / 114


@pytest.mark.parametrize(
    ("population", "n_readers", "n_cases", "published"),
    [
        (Population.BOTH, 10, 165, 0.80541995),
        (Population.CASES, 10, 131, 0.80091813),
        (Population.READERS, 10, 53, 0.80496663),
        (Population.BOTH, 6, 111, 0.5526116),
    ],
)
def test_power_as_published(population, n_readers, n_cases, published):
    # RJafroc, tests of SsPowerGivenJK on dataset02; the components above are printed with seven digits.
    goal = Goal(EFFECT, population=population)
    got = power(VAN_DYKE, goal, n_readers, n_cases * SHARE, n_cases * (1 - SHARE))
    assert got == pytest.approx(published, abs=3e-7)


def test_cases_needed_as_published():
    # RJafroc: 251 cases with six readers, power 0.801.
    size = cases_needed(VAN_DYKE, Goal(EFFECT), 6)
    assert (size.n_cases, round(size.power, 3)) == (251, 0.801)
    assert size.n_positive == round(251 * SHARE)
    assert size.readings_per_reader == 502


def test_more_readers_or_cases_give_more_power():
    goal = Goal(0.04)
    assert power(VAN_DYKE, goal, 6, 50, 50) < power(VAN_DYKE, goal, 8, 50, 50) < power(VAN_DYKE, goal, 8, 60, 50)


def test_the_level_is_kept_without_effect():
    tiny = Goal(1e-9, alpha=0.05)
    for population in Population:
        goal = Goal(1e-9, population=population)
        assert power(VAN_DYKE, goal, 6, 50, 60) == pytest.approx(tiny.alpha, abs=1e-6)
    assert power(VAN_DYKE, Goal(-0.05 + 1e-9, margin=0.05, alpha=0.025), 6, 50, 60) == pytest.approx(0.025, abs=1e-6)


def test_non_inferiority_of_fixed_readers_is_the_normal_formula():
    goal = Goal(0.0, margin=0.05, alpha=0.025, population=Population.CASES)
    below = 0.0008022883 - 0.0003466137 + 5 * (0.0003440748 - 0.0002390284)
    from statistics import NormalDist

    expected = NormalDist().cdf(0.05 / np.sqrt(2 * below / 6) - NormalDist().inv_cdf(0.975))
    assert power(VAN_DYKE, goal, 6, 45, 69) == pytest.approx(expected, rel=1e-9)


def test_groups_of_readers_need_fewer_readings_each():
    crossed = cases_needed(VAN_DYKE, Goal(0.05), 8)
    split = cases_needed(VAN_DYKE, Goal(0.05, n_groups=2), 8)
    assert split.n_cases > crossed.n_cases
    assert split.readings_per_reader < crossed.readings_per_reader


@pytest.mark.parametrize("n_readers", [2, 7])
def test_groups_must_be_filled(n_readers):
    with pytest.raises(SettingsError, match="equally many readers each"):
        power(VAN_DYKE, Goal(0.05, n_groups=2), n_readers, 50, 50)


def test_what_no_study_can_show_is_said():
    assert cases_needed(VAN_DYKE, Goal(0.005), 3) is None
    assert "more than 20000" in str(size_table(VAN_DYKE, Goal(0.005), [3]))


def test_the_example_is_a_pilot():
    result = analyze_study(example_study())
    values = planning_values(result)
    assert (values.n_positive, values.n_negative) == (40, 40)
    # The same size and its own difference: the power of what was done.
    assert 0.3 < power(values, Goal(0.07275), 5, 40, 40) < 0.5
    assert "pilot of 5 readers" in values.source


@pytest.mark.parametrize("settings", [MrmcSettings(analysis="ustat"), MrmcSettings(analysis="dbm")])
def test_a_pilot_needs_components(settings):
    with pytest.raises(InputError, match="analyzed with 'or'"):
        planning_values(analyze_study(example_study(), settings))


@pytest.mark.parametrize(
    "given",
    [{"effect": 0.0}, {"effect": 0.05, "alpha": 0}, {"effect": -0.1, "margin": 0.05}, {"effect": 0.1, "n_groups": 0}],
)
def test_goals_are_checked(given):
    with pytest.raises(SettingsError):
        Goal(**given)


def test_planning_values_are_checked():
    with pytest.raises(InputError, match="error variance above 0"):
        PlanningValues(0.0, 0.0, 0.0, 0.0, 0.0, 40, 40)
    with pytest.raises(SettingsError, match="between 0 and 1, got 1"):
        cases_needed(VAN_DYKE, Goal(0.05), 6, positive_share=1.0)
