from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import SettingsError
from spondyl.phantom.relaxation import (
    N_TEXTURE_LEVELS,
    at_field,
    degenerated,
    marrow_fat_fraction,
    sample_parameters,
    typical_parameters,
)
from spondyl.phantom.tissue import N_TISSUES, Tissue
from spondyl.phantom.tissue_values import TISSUE_VALUES

ARRAYS = ("fat_fraction", "t1_water_ms", "t2_water_ms", "t2star_ms", "proton_density", "adc_um2_s")


def test_every_tissue_has_values():
    assert set(TISSUE_VALUES) == set(Tissue)


def test_values_are_physical():
    for field in (1.0, 1.5, 3.0):
        p = typical_parameters(field)
        assert (p.t1_water_ms > 0).all()
        assert (p.t2_water_ms <= p.t1_water_ms).all()
        assert (p.fat_fraction >= 0).all()
        assert (p.fat_fraction < 1).all()
        assert p.t1_water_ms.shape == (N_TISSUES,)


def test_t1_follows_the_field_between_and_at_the_measured_points():
    assert at_field(900.0, 1100.0, 1.5) == pytest.approx(900)
    assert at_field(900.0, 1100.0, 3.0) == pytest.approx(1100)
    assert 800 < at_field(900.0, 1100.0, 1.2) < 900


def test_a_field_out_of_range_is_refused():
    with pytest.raises(SettingsError, match=r"between 0\.2 and 7"):
        typical_parameters(12.0)


def test_marrow_gets_fatter_with_age_and_men_start_fatter():
    ages = (10, 25, 45, 70)
    for female in (False, True):
        values = [marrow_fat_fraction(a, female=female) for a in ages]
        assert values == sorted(values)
    # Third decade of Baum 2018: men 32.0 %, women 27.2 %.
    assert marrow_fat_fraction(25, female=False) == pytest.approx(0.320, abs=0.01)
    assert marrow_fat_fraction(25, female=True) == pytest.approx(0.272, abs=0.01)


def test_the_same_seed_gives_the_same_patient_and_another_seed_another():
    first, again, other = (sample_parameters(np.random.default_rng(s)) for s in (1, 1, 2))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.t1_water_ms, other.t1_water_ms)


def test_patients_spread_by_about_ten_percent():
    values = np.array([sample_parameters(np.random.default_rng(s)).t2_water_ms[Tissue.MUSCLE] for s in range(200)])
    assert 0.05 < values.std() / values.mean() < 0.15


def test_a_degenerate_disc_has_short_t2():
    healthy, dry = (degenerated(typical_parameters(), d) for d in (0.0, 1.0))
    assert healthy.t2_water_ms[Tissue.NUCLEUS] > 110
    assert dry.t2_water_ms[Tissue.NUCLEUS] < 50
    assert dry.t2_water_ms[Tissue.CSF] == healthy.t2_water_ms[Tissue.CSF]


def test_contrast_agent_shortens_t1_only_where_it_goes():
    before, after = typical_parameters(), typical_parameters().with_contrast()
    assert after.t1_water_ms[Tissue.TUMOR_LYTIC] < 0.4 * before.t1_water_ms[Tissue.TUMOR_LYTIC]
    assert after.t1_water_ms[Tissue.CORD] == pytest.approx(before.t1_water_ms[Tissue.CORD])


def test_texture_makes_fat_and_water_go_opposite_ways():
    p = typical_parameters().textured()
    assert p.fat_fraction.shape == (N_TISSUES, N_TEXTURE_LEVELS)
    fat = p.fat_fraction[Tissue.MARROW]
    assert (np.diff(fat) > 0).all()
    middle = fat[N_TEXTURE_LEVELS // 2]
    assert middle == pytest.approx(typical_parameters().fat_fraction[Tissue.MARROW], abs=0.01)


def test_contrast_and_texture_may_be_applied_in_either_order():
    one = typical_parameters().with_contrast().textured()
    other = typical_parameters().textured().with_contrast()
    np.testing.assert_allclose(one.t1_water_ms[Tissue.MARROW], other.t1_water_ms[Tissue.MARROW], rtol=0.02)


def test_flow_takes_csf_signal_in_streaks_but_never_adds_any():
    flow = typical_parameters().textured().flow_void[Tissue.CSF]
    assert flow.min() == 0
    assert 0.3 < flow.max() < 0.7
