"""From tissue to signal: the sequence equations for all tissues of a patient.

An image is a look-up of these signals in the tissue map. Water and fat stay apart until the scanner has shifted,
suppressed or dephased the fat; only then are they added.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from spondyl.physics.arrays import namespace
from spondyl.physics.signal import (
    FAT_T2_GROWTH_PER_ECHO,
    GYROMAGNETIC_MHZ_T,
    MAX_ECHOES_FOR_FAT,
    adc_from_pair,
    diffusion_weighted,
    fat_phasor,
    fat_shift_hz,
    inversion_recovery,
    spin_echo,
    spoiled_gradient_echo,
    water_and_fat,
)

if TYPE_CHECKING:
    from spondyl.core import Acquisition
    from spondyl.phantom.relaxation import TissueParameters

__all__ = [
    "GYROMAGNETIC_MHZ_T",
    "Pulse",
    "TissueSignal",
    "adc_from_pair",
    "diffusion_weighted",
    "fat_phasor",
    "fat_shift_hz",
    "inversion_recovery",
    "spin_echo",
    "spoiled_gradient_echo",
    "tissue_signal",
    "water_and_fat",
]

INFLOW_GAIN = 0.35
"""Blood that flows into a gradient-echo slice is fresh: gain per unit of flow void. Chosen by us."""


class Pulse(StrEnum):
    """The kinds of pulse sequence."""

    SPIN_ECHO = "spin echo"
    INVERSION_RECOVERY = "inversion recovery"
    GRADIENT_ECHO = "gradient echo"
    DIFFUSION_EPI = "diffusion echo-planar"


class TissueSignal(NamedTuple):
    """Signal of every tissue, water and fat apart.

    Parameters
    ----------
    water, fat : ndarray or Tensor
        Real signal of each pool relative to fully relaxed CSF protons; shape of the parameters.
    fat_phasor : complex
        Phase and dephasing of fat against water at the echo; 1 in a spin echo.
    """

    water: Any
    fat: Any
    fat_phasor: complex


def tissue_signal(
    parameters: TissueParameters, acquisition: Acquisition, *, pulse: Pulse, fat_residual: float = 0.04
) -> TissueSignal:
    """Give the signal of every tissue in one acquisition.

    Parameters
    ----------
    parameters : TissueParameters
        Tissues of the patient, contrast agent included where it was given.
    acquisition : Acquisition
        TE, TR, TI, flip angle, b-value, echo train length and whether fat is suppressed.
    pulse : Pulse
        Kind of pulse sequence.
    fat_residual : float, optional
        Share of the fat signal that suppression leaves; STIR nulls the same way, whatever its exact TI.

    Returns
    -------
    TissueSignal
        Water and fat apart, in the shape of the parameters. Where fat is suppressed, `fat` is what is left of it.
    """
    p, xp = parameters, namespace(parameters.fat_fraction)
    water_density = p.proton_density * (1 - p.fat_fraction)
    fat_density = p.proton_density * p.fat_fraction
    te, tr = float(acquisition.echo_time_ms or 10.0), float(acquisition.repetition_time_ms or 1000.0)
    echoes = min(acquisition.echo_train_length or 1, MAX_ECHOES_FOR_FAT)
    fat_t1 = p.fat_t1_ms + 0 * fat_density
    fat_t2 = p.fat_t2_ms * (1 + FAT_T2_GROWTH_PER_ECHO * (echoes - 1)) + 0 * fat_density
    times = {"repetition_time_ms": tr, "echo_time_ms": te}
    phasor = complex(1.0)
    suppressed = bool(acquisition.fat_suppressed)
    flow = 1 - p.flow_void
    if pulse is Pulse.GRADIENT_ECHO:
        times["flip_angle_deg"] = float(acquisition.flip_angle_deg or 10.0)
        water = spoiled_gradient_echo(water_density, p.t1_water_ms, p.t2star_ms, **times)
        fat = spoiled_gradient_echo(fat_density, fat_t1, p.t2star_ms, **times)
        phasor = fat_phasor(te, p.field_strength_t)
        flow = 1 + INFLOW_GAIN * p.flow_void
    elif pulse is Pulse.INVERSION_RECOVERY and not suppressed:
        times["inversion_time_ms"] = float(acquisition.inversion_time_ms or 800.0)
        water = inversion_recovery(water_density, p.t1_water_ms, p.t2_water_ms, **times)
        fat = inversion_recovery(fat_density, fat_t1, fat_t2, **times)
    elif pulse is Pulse.INVERSION_RECOVERY:
        # The scanner's own TI nulls the patient's fat: what is left has no sign to trust, so it adds to the magnitude.
        fat = spin_echo(fat_density, fat_t1, fat_t2, **times)
        times["inversion_time_ms"] = float(acquisition.inversion_time_ms or 160.0)
        water = xp.abs(inversion_recovery(water_density, p.t1_water_ms, p.t2_water_ms, **times))
    else:
        water = spin_echo(water_density, p.t1_water_ms, p.t2_water_ms, **times)
        fat = spin_echo(fat_density, fat_t1, fat_t2, **times)
    if pulse is Pulse.DIFFUSION_EPI:
        b = float(acquisition.b_value_s_mm2 or 0.0)
        water = diffusion_weighted(water, p.adc_um2_s, b_value_s_mm2=b)
        fat = diffusion_weighted(fat, p.fat_adc_um2_s + 0 * fat, b_value_s_mm2=b)
    return TissueSignal(water * flow, fat * (fat_residual if suppressed else 1.0), phasor)
