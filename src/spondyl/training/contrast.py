"""Draw how bright each tissue is: from the signal equations, or at random.

Random contrast makes the network look at shape; physical contrast teaches it what real sequences show, and is the only
one from which lesions can be learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Acquisition
from spondyl.models.contrast_code import ContrastCode
from spondyl.phantom.relaxation import sample_parameters
from spondyl.phantom.signal import Pulse, TissueSignal, tissue_signal
from spondyl.phantom.tissue import N_TISSUES, Tissue

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spondyl.phantom.relaxation import TissueParameters

LITTLE_FAT, MUCH_FAT, FAILED_SHARE = (0.01, 0.12), (0.12, 0.6), 0.3
"""Ranges of the share of fat's signal that its suppression leaves, and the share of series in which it mostly fails:
away from the middle of the magnet and at inversion times that do not fit it, fat stays bright (Delfaut 1999, doi
10.1148/radiographics.19.2.g99mr03373). Chosen by us."""

N_INSTANCES = 40
"""Columns of a contrast table: vertebra numbers from 0 (none) up to the longest column of 31 with variants."""

_MARROW = [Tissue.MARROW, Tissue.POSTERIOR_MARROW, Tissue.SACRAL_MARROW, Tissue.RIB_MARROW]
_BONE_LIKE = [*_MARROW, Tissue.RED_MARROW, Tissue.FATTY_MARROW, Tissue.EDEMA]
_CORTEX = [Tissue.CORTEX, Tissue.POSTERIOR_CORTEX, Tissue.SACRAL_CORTEX, Tissue.RIB_CORTEX]
_FAT = [Tissue.SUBCUTANEOUS_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.EPIDURAL_FAT, Tissue.VISCERAL_FAT]
_DARK = [Tissue.AIR, Tissue.BOWEL_GAS, Tissue.LUNG, Tissue.TRACHEA]


@dataclass(frozen=True, eq=False)
class Contrast:
    """How bright each tissue of each vertebra is in one image.

    Parameters
    ----------
    signal, fat, spread : ndarray of float32, shape (N_TISSUES, N_INSTANCES)
        Mean signal, the fat part of it, and the standard deviation of the texture.
    code : ContrastCode
        The kind of contrast that the network is told.
    teaches_lesions : bool
        Whether the contrast is physical, so that lesions look like lesions.
    """

    signal: NDArray[np.float32]
    fat: NDArray[np.float32]
    spread: NDArray[np.float32]
    code: ContrastCode
    teaches_lesions: bool


def random_contrast(rng: np.random.Generator) -> Contrast:
    """Draw a contrast that no scanner made, with the few relations that make a spine one.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Contrast
        Random signal of every tissue.
    """
    u = rng.uniform
    m = u(0.02, 1.0, N_TISSUES)
    marrow = u(0.05, 1.0)
    for tissue in _BONE_LIKE:
        m[tissue] = np.clip(marrow + rng.normal(0, 0.06), 0.02, 1) if u() < 0.88 else u(0.05, 1)
    cortex = u(0, 0.35) if u() < 0.85 else u(0, 1)
    m[_CORTEX] = cortex
    if abs(m[Tissue.ANNULUS] - marrow) < 0.08 and abs(cortex - marrow) < 0.15:
        m[Tissue.ANNULUS] = np.clip(marrow + rng.choice([-1, 1]) * u(0.1, 0.4), 0, 1)
    if u() < 0.4:
        m[Tissue.NUCLEUS] = m[Tissue.ANNULUS] + rng.normal(0, 0.08)
    m[Tissue.DISC_INTERMEDIATE], m[Tissue.DISC_DRY] = (
        share * m[Tissue.ANNULUS] + (1 - share) * m[Tissue.NUCLEUS] for share in (u(0.2, 0.8), u(0.5, 1.0))
    )
    m[Tissue.DISC_CLEFT] = m[Tissue.ANNULUS] if u() < 0.6 else m[Tissue.DISC_CLEFT]
    if u() < 0.6:
        m[_DARK] = u(0, 0.03)
    if u() < 0.5:
        m[_FAT] = m[Tissue.SUBCUTANEOUS_FAT] + rng.normal(0, 0.05, len(_FAT))
    m[Tissue.CORD] = m[Tissue.CORD] if u() < 0.7 else m[Tissue.CSF]
    m[Tissue.ROOTS] = m[Tissue.CORD] + rng.normal(0, 0.05)
    m[Tissue.BASIVERTEBRAL_VEIN] = marrow + rng.normal(0, 0.2)
    m = np.clip(m, 0, 1.2)
    fat = np.zeros(N_TISSUES)
    fat[_FAT], fat[_MARROW] = 0.95, 0.45
    spread = np.abs(rng.normal(0, 0.05, N_TISSUES)) + 0.005
    table = _per_vertebra(rng, m, np.full(N_TISSUES, m[Tissue.NUCLEUS]))
    code = ContrastCode(int(rng.integers(4)))
    fat_table = table * fat[:, None].astype(np.float32)
    return Contrast(table, fat_table, _spread(spread), code, teaches_lesions=False)


def physical_contrast(rng: np.random.Generator) -> Contrast:
    """Draw a patient's tissues and a protocol, and compute what a scanner would measure.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Contrast
        Signal from the sequence equations.
    """
    parameters = sample_patient(rng)
    code, protocol = _PROTOCOLS[rng.choice(len(_PROTOCOLS), p=_PROTOCOL_SHARES)]
    signal = protocol(rng, parameters)
    total = np.abs(signal.water + signal.fat * signal.fat_phasor).astype(np.float64)
    reference = np.quantile(total[_REFERENCE], 0.85) + 1e-6
    # Nothing in the equations knows of flow, contents and coils: leave some play around them.
    play = np.exp(rng.normal(0, 0.12, N_TISSUES))
    total = np.clip(total / reference * play, 0, 3)
    share = np.abs(signal.fat) / (np.abs(signal.fat) + np.abs(signal.water) + 1e-6)
    spread = (0.02 + np.abs(rng.normal(0, 0.03, N_TISSUES))) * (0.3 + total)
    spread[_BONE_LIKE] = rng.uniform(0.02, 0.12) * (0.2 + total[_BONE_LIKE])
    table = _per_vertebra(rng, total, np.full(N_TISSUES, total[Tissue.NUCLEUS]))
    shown = code if rng.random() < 0.88 else ContrastCode.OTHER
    fat_table = table * share[:, None].astype(np.float32)
    return Contrast(table, fat_table, _spread(spread), shown, teaches_lesions=True)


def sample_patient(rng: np.random.Generator) -> TissueParameters:
    """Draw the tissues of a patient of any age at 1.5 or 3 T, with more spread than patients have.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    TissueParameters
        Arrays of shape (N_TISSUES,).
    """
    field = 1.5 if rng.random() < 0.55 else 3.0
    age, female = rng.uniform(18, 88), bool(rng.random() < 0.5)
    return sample_parameters(rng, field_strength_t=field, age_years=age, female=female, spread=0.18)


_REFERENCE = [*_MARROW, *_FAT, Tissue.MUSCLE, Tissue.CSF, Tissue.NUCLEUS]


def _spread(spread: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.repeat(spread[:, None], N_INSTANCES, axis=1).astype(np.float32)


def _per_vertebra(
    rng: np.random.Generator, mean: NDArray[np.float64], nucleus: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Let marrow and discs differ from level to level, as they do."""
    table = np.repeat(mean[:, None], N_INSTANCES, axis=1)
    marrow = rng.normal(0, rng.uniform(0, 0.07), N_INSTANCES)
    if rng.random() < 0.1:
        marrow[rng.integers(N_INSTANCES)] += rng.normal(0, 0.2)
    table[_BONE_LIKE] += marrow * (0.3 + mean[Tissue.MARROW])
    disc = rng.normal(0, rng.uniform(0, 0.3), N_INSTANCES)
    table[[Tissue.NUCLEUS, Tissue.DISC_INTERMEDIATE, Tissue.DISC_DRY]] += disc * nucleus[0]
    return np.clip(table, 0, 3).astype(np.float32)


def t1_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a T1-weighted spin echo, or at 3 T its inversion-recovery kin.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    if parameters.field_strength_t > 2 and rng.random() < 0.3:
        flair = Acquisition(
            echo_time_ms=u(8, 25), repetition_time_ms=u(1800, 2800), inversion_time_ms=u(700, 1000), echo_train_length=5
        )
        return tissue_signal(parameters, flair, pulse=Pulse.INVERSION_RECOVERY)
    spin = Acquisition(echo_time_ms=u(7, 20), repetition_time_ms=u(400, 850), echo_train_length=int(u(1, 6)))
    return tissue_signal(parameters, spin, pulse=Pulse.SPIN_ECHO)


def t2_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a T2-weighted turbo spin echo.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    spin = Acquisition(echo_time_ms=u(75, 130), repetition_time_ms=u(2500, 5500), echo_train_length=int(u(10, 30)))
    return tissue_signal(parameters, spin, pulse=Pulse.SPIN_ECHO)


def draw_residual_fat(rng: np.random.Generator) -> float:
    """Draw how much of fat's signal its suppression leaves.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    float
        Share of it.
    """
    return float(rng.uniform(*(MUCH_FAT if rng.random() < FAILED_SHARE else LITTLE_FAT)))


def stir_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a short-TI inversion recovery, in which fat is nulled.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    ti = u(140, 175) if parameters.field_strength_t < 2 else u(190, 240)
    stir = Acquisition(
        echo_time_ms=u(30, 80),
        repetition_time_ms=u(3000, 6000),
        inversion_time_ms=ti,
        echo_train_length=int(u(8, 20)),
        fat_suppressed=True,
    )
    return tissue_signal(parameters, stir, pulse=Pulse.INVERSION_RECOVERY, fat_residual=draw_residual_fat(rng))


def t2_fat_suppressed_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a T2-weighted turbo spin echo with fat suppression.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    spin = Acquisition(
        echo_time_ms=u(55, 100), repetition_time_ms=u(2500, 5000), echo_train_length=int(u(10, 24)), fat_suppressed=True
    )
    return tissue_signal(parameters, spin, pulse=Pulse.SPIN_ECHO, fat_residual=draw_residual_fat(rng))


def t1_enhanced_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a T1-weighted spin echo after gadolinium.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    spin = Acquisition(
        echo_time_ms=u(7, 20), repetition_time_ms=u(450, 850), echo_train_length=3, fat_suppressed=bool(u() < 0.7)
    )
    enhanced = parameters.with_contrast(u(0.7, 1.3))
    return tissue_signal(enhanced, spin, pulse=Pulse.SPIN_ECHO, fat_residual=draw_residual_fat(rng))


def dixon_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a gradient echo: in phase, opposed, or its water part.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    echo = (2.3 if parameters.field_strength_t < 2 else 1.15) * rng.choice([1, 2])
    gradient = Acquisition(
        echo_time_ms=float(echo), repetition_time_ms=u(4, 12) if u() < 0.7 else u(120, 220), flip_angle_deg=u(3, 20)
    )
    signal = tissue_signal(parameters, gradient, pulse=Pulse.GRADIENT_ECHO)
    return signal._replace(fat=signal.fat * u(0, 0.1)) if u() < 0.5 else signal


def pd_signal(rng: np.random.Generator, parameters: TissueParameters) -> TissueSignal:
    """Draw a proton-density-weighted turbo spin echo.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the protocol.
    parameters : TissueParameters
        The patient.

    Returns
    -------
    TissueSignal
        Water and fat apart.
    """
    u = rng.uniform
    spin = Acquisition(echo_time_ms=u(10, 45), repetition_time_ms=u(1800, 4000), echo_train_length=int(u(4, 12)))
    return tissue_signal(parameters, spin, pulse=Pulse.SPIN_ECHO)


_PROTOCOLS: list[tuple[ContrastCode, Callable[..., TissueSignal]]] = [
    (ContrastCode.T1, t1_signal),
    (ContrastCode.T2, t2_signal),
    (ContrastCode.FAT_SUPPRESSED, stir_signal),
    (ContrastCode.FAT_SUPPRESSED, t2_fat_suppressed_signal),
    (ContrastCode.OTHER, t1_enhanced_signal),
    (ContrastCode.OTHER, dixon_signal),
    (ContrastCode.OTHER, pd_signal),
]
_PROTOCOL_SHARES = [0.26, 0.28, 0.17, 0.06, 0.06, 0.13, 0.04]
