"""The equations give what the textbook says."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.physics import signal


def test_a_spin_echo_recovers_and_decays_as_its_equation_says():
    s = signal.spin_echo(np.array(0.8), np.array(1000.0), np.array(50.0), repetition_time_ms=550, echo_time_ms=50)
    assert float(s) == pytest.approx(0.8 * (1 - np.exp(-0.5)) * np.exp(-1))


def test_inversion_recovery_nulls_at_t1_times_ln_2():
    t1 = 250.0
    s = signal.inversion_recovery(
        np.array(1.0),
        np.array(t1),
        np.array(80.0),
        repetition_time_ms=1e5,
        echo_time_ms=10,
        inversion_time_ms=t1 * np.log(2),
    )
    assert float(s) == pytest.approx(0, abs=1e-9)


def test_a_gradient_echo_is_strongest_at_the_ernst_angle():
    angle = np.degrees(np.arccos(np.exp(-10 / 500)))
    at = [
        float(
            signal.spoiled_gradient_echo(
                np.array(1.0),
                np.array(500.0),
                np.array(30.0),
                repetition_time_ms=10,
                echo_time_ms=2,
                flip_angle_deg=angle + step,
            )
        )
        for step in (-2, 0, 2)
    ]
    assert at[1] == max(at)


def test_fat_opposes_water_at_2_3_ms_and_rejoins_at_4_6_ms_at_1_5_t():
    assert signal.fat_phasor(2.3, 1.5).real < -0.7
    assert signal.fat_phasor(4.6, 1.5).real > 0.7
    assert signal.fat_phasor(0.0, 1.5) == pytest.approx(0.999, abs=0.01)


def test_fat_precesses_217_hz_slower_at_1_5_t():
    assert signal.fat_shift_hz(1.5) == pytest.approx(-217, abs=1)


def test_adc_comes_back_from_two_b_values():
    true = np.array([300.0, 1000.0, 2500.0])
    low, high = (signal.diffusion_weighted(np.ones(3), true, b_value_s_mm2=b) for b in (50, 800))
    adc = signal.adc_from_pair(low, high, b_low_s_mm2=50, b_high_s_mm2=800)
    np.testing.assert_allclose(adc, true, rtol=1e-9)


def test_adc_needs_two_different_b_values():
    with pytest.raises(ValueError, match="must be above"):
        signal.adc_from_pair(np.ones(2), np.ones(2), b_low_s_mm2=800, b_high_s_mm2=50)


def test_two_point_dixon_separates_water_and_fat():
    water, fat = signal.water_and_fat(np.array([1.0, 0.9]), np.array([0.4, 0.9]))
    np.testing.assert_allclose(water, [0.7, 0.9])
    np.testing.assert_allclose(fat, [0.3, 0.0])
