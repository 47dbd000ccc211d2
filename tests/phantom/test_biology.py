import numpy as np
import pandas as pd
import pytest

from spondyl.core import SettingsError
from spondyl.phantom.biology import CONFOUNDERS, SCANNERS, BiologySettings, simulate_omics_cohort


def association(a, b) -> float:
    """Cramer's V."""
    table = pd.crosstab(a, b).to_numpy(float)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / table.sum() / (min(table.shape) - 1)))


def test_the_same_seed_gives_the_same_cohort():
    a, b = simulate_omics_cohort(40, 7), simulate_omics_cohort(40, 7)
    for name in a.modalities:
        pd.testing.assert_frame_equal(a.modalities[name], b.modalities[name])
    pd.testing.assert_frame_equal(a.truth, b.truth)


def test_confounding_ties_scanners_to_subtypes_and_none_leaves_them_apart():
    tied = simulate_omics_cohort(600, 1, BiologySettings(confounding=0.8))
    free = simulate_omics_cohort(600, 1, BiologySettings(confounding=0.0))
    assert association(tied.truth["subtype"], tied.patients["scanner"]) > 0.5
    assert association(free.truth["subtype"], free.patients["scanner"]) < 0.15
    pd.testing.assert_frame_equal(tied.truth, free.truth)


def test_scanners_shift_images_but_not_expression_or_mutations():
    near = simulate_omics_cohort(200, 2, BiologySettings(scanner_strength=0.0))
    far = simulate_omics_cohort(200, 2, BiologySettings(scanner_strength=1.0))
    for name in ("expression", "mutations"):
        pd.testing.assert_frame_equal(near.modalities[name], far.modalities[name])
    assert (near.modalities["imaging"]["T1_contrast"] - far.modalities["imaging"]["T1_contrast"]).abs().max() > 0.05


def test_about_the_asked_share_of_omics_is_missing():
    cohort = simulate_omics_cohort(1000, 3, BiologySettings(missing_omics=0.3))
    for name in ("mutations", "expression", "pathology"):
        assert abs(len(cohort.modalities[name]) - 700) < 60
    assert len(cohort.modalities["imaging"]) == 1000


def test_patients_can_lack_all_omics_together():
    cohort = simulate_omics_cohort(300, 4, BiologySettings(missing_pattern="patient"))
    ids = [set(cohort.modalities[m].index) for m in ("mutations", "expression", "pathology")]
    assert ids[0] == ids[1] == ids[2]


def test_values_are_what_their_units_allow():
    cohort = simulate_omics_cohort(300, 5)
    assert (cohort.modalities["expression"].to_numpy() >= 0).all()
    assert (cohort.modalities["mutations"]["tmb_per_mb"] > 0).all()
    assert 700 < cohort.modalities["imaging"]["ADC_mean_um2_s"].median() < 1200
    assert set(CONFOUNDERS) <= set(cohort.patients.columns)
    assert set(cohort.patients["scanner"]) == {s.scanner for s in SCANNERS}


@pytest.mark.parametrize("bad", [{"confounding": 1.5}, {"missing_pattern": "odd"}, {"scanner_strength": -1.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(SettingsError):
        BiologySettings(**bad)


def test_a_cohort_of_none_is_refused():
    with pytest.raises(SettingsError, match="at least one patient"):
        simulate_omics_cohort(0, 1)
