"""The signal equations of magnetic resonance, on numpy and torch alike.

One place for what the synthetic scanner applies and what harmonization inverts. Each function takes a pool of protons
by itself; water and fat are added by whoever knows how they stand to each other.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

from spondyl.physics.arrays import namespace

GYROMAGNETIC_MHZ_T = 42.577
"""Gyromagnetic ratio of the proton over 2 pi, in MHz/T (CODATA)."""

FAT_PEAKS_PPM = (-3.80, -3.40, -2.60, -1.94, -0.39, 0.60)
FAT_PEAK_AMPLITUDES = (0.087, 0.693, 0.128, 0.004, 0.039, 0.048)
"""Six-peak spectrum of human fat relative to water (Hamilton 2011, NMR Biomed 24:784)."""

MAIN_FAT_SHIFT_PPM = -3.4
"""The methylene peak, which chemical shift and fat saturation go by (Hamilton 2011)."""

FAT_T2_GROWTH_PER_ECHO = 0.035
"""A long echo train undoes the J-coupling of fat: its T2 seems to grow. Set so that 25 echoes nearly double it, inside
the 41-143 ms that Pai 2008, J Magn Reson Imaging 28:453, measured by different sequences. Chosen by us."""

MAX_ECHOES_FOR_FAT = 25
"""Echoes after which fat's apparent T2 grows no further. Chosen by us."""


def spin_echo(density: Any, t1_ms: Any, t2_ms: Any, *, repetition_time_ms: float, echo_time_ms: float) -> Any:
    """Give the signal of a spin echo or turbo spin echo at its effective echo time.

    Parameters
    ----------
    density, t1_ms, t2_ms : ndarray or Tensor
        Proton density, T1 and T2 in ms; one shape.
    repetition_time_ms, echo_time_ms : float
        TR and effective TE in ms.

    Returns
    -------
    ndarray or Tensor
        Signal in the unit of the density.
    """
    xp = namespace(density, t1_ms, t2_ms)
    recovered = 1 - xp.exp(-(repetition_time_ms - echo_time_ms) / t1_ms)
    return density * recovered * xp.exp(-echo_time_ms / t2_ms)


def inversion_recovery(
    density: Any, t1_ms: Any, t2_ms: Any, *, repetition_time_ms: float, echo_time_ms: float, inversion_time_ms: float
) -> Any:
    """Give the signed signal of an inversion-recovery spin echo.

    Parameters
    ----------
    density, t1_ms, t2_ms : ndarray or Tensor
        Proton density, T1 and T2 in ms; one shape.
    repetition_time_ms, echo_time_ms, inversion_time_ms : float
        TR, TE and TI in ms.

    Returns
    -------
    ndarray or Tensor
        Signal in the unit of the density; negative where the protons are still inverted.
    """
    xp = namespace(density, t1_ms, t2_ms)
    recovered = 1 - 2 * xp.exp(-inversion_time_ms / t1_ms) + xp.exp(-repetition_time_ms / t1_ms)
    return density * recovered * xp.exp(-echo_time_ms / t2_ms)


def spoiled_gradient_echo(
    density: Any, t1_ms: Any, t2star_ms: Any, *, repetition_time_ms: float, echo_time_ms: float, flip_angle_deg: float
) -> Any:
    """Give the steady-state signal of a spoiled gradient echo.

    Parameters
    ----------
    density, t1_ms, t2star_ms : ndarray or Tensor
        Proton density, T1 and T2* in ms; one shape.
    repetition_time_ms, echo_time_ms : float
        TR and TE in ms.
    flip_angle_deg : float
        Flip angle in degrees.

    Returns
    -------
    ndarray or Tensor
        Signal in the unit of the density.

    References
    ----------
    Ernst and Anderson 1966, Rev Sci Instrum 37:93.
    """
    xp = namespace(density, t1_ms, t2star_ms)
    angle = math.radians(flip_angle_deg)
    # expm1, as TR is a hundredth of T1 and 1 - exp would lose half of float32's digits.
    recovered = -xp.expm1(-repetition_time_ms / t1_ms)
    steady = math.sin(angle) * recovered / (1 - math.cos(angle) + math.cos(angle) * recovered)
    return density * steady * xp.exp(-echo_time_ms / t2star_ms)


def diffusion_weighted(signal: Any, adc_um2_s: Any, *, b_value_s_mm2: float) -> Any:
    """Attenuate a signal by diffusion.

    Parameters
    ----------
    signal : ndarray or Tensor
        Signal at b = 0.
    adc_um2_s : ndarray or Tensor
        ADC in 10⁻⁶ mm²/s.
    b_value_s_mm2 : float
        Diffusion weighting in s/mm².

    Returns
    -------
    ndarray or Tensor
        Signal at this b-value.

    References
    ----------
    Stejskal and Tanner 1965, J Chem Phys 42:288.
    """
    xp = namespace(signal, adc_um2_s)
    return signal * xp.exp(-b_value_s_mm2 * adc_um2_s * 1e-6)


def adc_from_pair(low: Any, high: Any, *, b_low_s_mm2: float, b_high_s_mm2: float, floor: float = 1e-6) -> Any:
    """Compute the apparent diffusion coefficient from two diffusion-weighted images.

    Parameters
    ----------
    low, high : ndarray or Tensor
        Signal at the lower and the higher b-value, one shape.
    b_low_s_mm2, b_high_s_mm2 : float
        Their b-values in s/mm².
    floor : float, optional
        Signals below are taken as this.

    Returns
    -------
    ndarray or Tensor
        ADC in 10⁻⁶ mm²/s, not below 0.

    Raises
    ------
    ValueError
        If the second b-value is not higher than the first.
    """
    if b_high_s_mm2 <= b_low_s_mm2:
        msg = f"b_high_s_mm2 must be above b_low_s_mm2, got {b_high_s_mm2} and {b_low_s_mm2}"
        raise ValueError(msg)
    xp = namespace(low, high)
    ratio = xp.clip(low, floor, None) / xp.clip(high, floor, None)
    return xp.clip(xp.log(ratio) / (b_high_s_mm2 - b_low_s_mm2) * 1e6, 0.0, None)


def fat_phasor(echo_time_ms: float, field_strength_t: float) -> complex:
    """Give how fat stands to water at an echo time of a gradient echo.

    Parameters
    ----------
    echo_time_ms : float
        TE in ms.
    field_strength_t : float
        Field strength in tesla.

    Returns
    -------
    complex
        Sum of the six fat peaks; about 1 in phase and about -0.8 in opposed phase.

    References
    ----------
    Hamilton 2011, NMR Biomed 24:784.
    """
    turn = 2j * math.pi * GYROMAGNETIC_MHZ_T * field_strength_t * echo_time_ms * 1e-3
    peaks = zip(FAT_PEAKS_PPM, FAT_PEAK_AMPLITUDES, strict=True)
    return sum((a * cmath.exp(turn * ppm) for ppm, a in peaks), 0j)


def fat_shift_hz(field_strength_t: float) -> float:
    """Give the frequency of the main fat peak relative to water, in Hz (negative).

    Parameters
    ----------
    field_strength_t : float
        Field strength in tesla.

    Returns
    -------
    float
        About -217 Hz at 1.5 T.
    """
    return MAIN_FAT_SHIFT_PPM * GYROMAGNETIC_MHZ_T * field_strength_t


def water_and_fat(in_phase: Any, opposed_phase: Any) -> tuple[Any, Any]:
    """Separate water and fat by the two-point Dixon method on magnitude images.

    Parameters
    ----------
    in_phase, opposed_phase : ndarray or Tensor
        Magnitude images, one shape; water must outweigh fat, as magnitudes hide which is larger.

    Returns
    -------
    water, fat : ndarray or Tensor
        Half sum and half difference.

    References
    ----------
    Dixon 1984, Radiology 153:189.
    """
    return (in_phase + opposed_phase) / 2, (in_phase - opposed_phase) / 2
