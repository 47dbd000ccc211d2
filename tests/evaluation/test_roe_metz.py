"""Drawn studies have the areas and the components that they should."""

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.evaluation.mrmc_components import components
from spondyl.evaluation.mrmc_covariance import covariance
from spondyl.evaluation.mrmc_merit import auc_merits
from spondyl.evaluation.roe_metz import STRUCTURES, RoeMetz, draw_study, expected_values


def test_the_same_seed_gives_the_same_study():
    areas = {"unaided": 0.8, "aided": 0.85}
    one, same, other = (
        draw_study(STRUCTURES["HL"], areas, 3, (10, 12), seed) for seed in (1_000_001, 1_000_001, 1_000_002)
    )
    np.testing.assert_array_equal(one.scores, same.scores)
    assert (one.scores != other.scores).all()
    assert (one.n_positive, one.n_negative) == (10, 12)


@pytest.mark.parametrize("structure", ["HH", "LL"])
def test_areas_and_components_are_those_expected(structure):
    # Hillis 2018 gives the expectations; unbiased estimates over many draws must meet them.
    model, areas = STRUCTURES[structure], (0.80, 0.88)
    expected = expected_values(model, areas, 25, 30)
    means, made = [], []
    for seed in range(1_000_000, 1_000_250):
        merits = auc_merits(draw_study(model, {"a": areas[0], "b": areas[1]}, 4, (25, 30), seed))
        c = components(merits.values, covariance(merits, "unbiased"))
        means.append(merits.values.mean(axis=1))
        made.append((c.var_interaction, c.variance, c.cov1, c.cov2, c.cov3))
    wanted = (expected.var_interaction, expected.variance, expected.cov1, expected.cov2, expected.cov3)
    errors = np.std(made, axis=0) / np.sqrt(len(made))
    assert (np.abs(np.mean(made, axis=0) - wanted) < 4 * errors).all()
    np.testing.assert_allclose(np.mean(means, axis=0), areas, atol=0.015)


def test_one_case_more_matters_less_and_less():
    small, large = (expected_values(STRUCTURES["LL"], (0.8, 0.8), n, n) for n in (50, 500))
    np.testing.assert_allclose(small.variance / large.variance, 10, rtol=0.02)


def test_what_cannot_be_is_refused():
    with pytest.raises(SettingsError, match="between 0 and 1, got 1"):
        STRUCTURES["HL"].separation(1.0)
    with pytest.raises(SettingsError, match="sum to 1"):
        RoeMetz(0.01, 0.01, 0.5, 0.5, 0.5, 0.5)
