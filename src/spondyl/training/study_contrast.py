"""Draw how bright one patient's tissues are in several series at once.

One draw of the tissues, several protocols: what is fat on T1 is fat on STIR too. Texture is shared between series as
well; each series answers to it with its own slope.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import Acquisition
from spondyl.phantom.relaxation import texture_levels_sd
from spondyl.phantom.signal import Pulse, tissue_signal
from spondyl.phantom.tissue import N_TISSUES, Tissue
from spondyl.training.contrast import (
    N_INSTANCES,
    dixon_signal,
    pd_signal,
    sample_patient,
    stir_signal,
    t1_enhanced_signal,
    t1_signal,
    t2_fat_suppressed_signal,
    t2_signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spondyl.phantom.relaxation import TissueParameters
    from spondyl.phantom.signal import TissueSignal

LOW_B, HIGH_B = (0.0, 50.0), (600.0, 1000.0)
"""Ranges of the b-values drawn, in s/mm² (800 to 900 in MET-RADS-P: Padhani 2017, doi 10.1016/j.eururo.2016.05.033)."""

_SOLID = tuple(t for t in Tissue if t.name.startswith("TUMOR_") and t is not Tissue.TUMOR_NECROSIS)

MIXED = (*_SOLID, Tissue.HEMANGIOMA, Tissue.HEMANGIOMA_ATYPICAL)
"""Tissues that may replace the marrow only in part."""

LESIONS = (*MIXED, Tissue.EDEMA, Tissue.INFLAMED, Tissue.SCLEROSIS)
"""Tissues of lesions in bone."""

HOSTS = (Tissue.MARROW, Tissue.POSTERIOR_MARROW, Tissue.SACRAL_MARROW, Tissue.RED_MARROW, Tissue.FATTY_MARROW)
"""Tissues whose fat differs from vertebra to vertebra."""

LEAST_INFILTRATION = 0.3
"""Smallest share of the marrow that a tumor or hemangioma replaces; what no series shows is not taught. Chosen by us.
"""

PARTIAL_SHARE = 0.7
"""Share of patients whose lesions leave marrow between them. Chosen by us."""

OTHER_TEXTURE = 0.2
"""Share of the texture of density and T2 that marrow keeps beside that of fat. Chosen by us."""

UNEVEN_MARROW, ODD_SHARE, ODD_MARROW = 2.0, 0.2, 2.0
"""How far normal marrow differs from vertebra to vertebra, at most and in standard deviations of its texture, the share
of patients with one vertebra that is odd, and how odd. Chosen by us, after looking at real lumbar volumes."""

LESION_TEXTURE = 0.6
"""Spread of the logarithm of how uneven lesions are: that a patch is smoother than marrow must not tell it. Chosen by
us."""

PLAY = 0.10
"""Spread of a tissue's signal beyond the equations, which know neither flow nor contents. Chosen by us."""


class Series(StrEnum):
    """A series of a study, which gives one or two images."""

    T1 = "T1"
    T1CE = "T1CE"
    T2 = "T2"
    FLUID = "FLUID"
    DIXON = "DIXON"
    DIFFUSION = "DIFFUSION"


class SeriesContrast(NamedTuple):
    """How bright each tissue of each vertebra is in the images of one series.

    Parameters
    ----------
    signal : ndarray of float32, shape (n_images, N_TISSUES, N_INSTANCES)
        Mean signal. Two images are water and fat of a Dixon series, or low and high b-value.
    slope : ndarray of float32, same shape
        Change of the signal with one standard deviation of the patient's texture, signed.
    b_values_s_mm2 : tuple of float
        Diffusion weightings; empty otherwise.
    """

    signal: NDArray[np.float32]
    slope: NDArray[np.float32]
    b_values_s_mm2: tuple[float, ...] = ()


def study_contrasts(rng: np.random.Generator, wanted: Sequence[Series]) -> dict[Series, SeriesContrast]:
    """Draw a patient, and what each of the wanted series shows of the patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    wanted : sequence of Series
        Series of the study.

    Returns
    -------
    dict of Series to SeriesContrast
        By series.
    """
    patient = _with_red_marrow(sample_patient(rng)).textured()
    marrow = rng.normal(0, UNEVEN_MARROW * rng.random() ** 2, N_INSTANCES)
    if rng.random() < ODD_SHARE:
        marrow[rng.integers(N_INSTANCES)] += rng.normal(0, ODD_MARROW)
    roughness = np.exp(rng.normal(0, LESION_TEXTURE))
    discs = rng.normal(0, rng.uniform(0.2, 1.0), N_INSTANCES)
    infiltration = rng.uniform(LEAST_INFILTRATION if rng.random() < PARTIAL_SHARE else 1, 1, N_INSTANCES)
    found = {}
    for series in wanted:
        signals, b_values = _PROTOCOLS[series](rng, patient)
        play = np.exp(rng.normal(0, PLAY, N_TISSUES))[:, None]
        mean, slope = (np.repeat(a[..., None], N_INSTANCES, axis=2) for a in _mean_and_slope(signals))
        slope[:, LESIONS] *= roughness
        mean[:, HOSTS] += slope[:, HOSTS] * marrow
        mean[:, Tissue.NUCLEUS] += slope[:, Tissue.NUCLEUS] * discs
        host = mean[:, [Tissue.MARROW]]
        mean[:, MIXED] = infiltration * mean[:, MIXED] + (1 - infiltration) * host
        scale = np.quantile(mean[0, :, 0], 0.9) + 1e-6
        mean, slope = np.clip(mean * play, 0, None) / scale, slope * play / scale
        found[series] = SeriesContrast(mean.astype(np.float32), slope.astype(np.float32), b_values)
    return found


def _with_red_marrow(patient: TissueParameters) -> TissueParameters:
    """Let the texture of marrow be one of fat alone: where there is more red marrow, T1 is darker and STIR brighter."""
    texture = patient.texture_sd.copy()
    texture[list(HOSTS), 1:] *= OTHER_TEXTURE
    return patient.with_(texture_sd=texture)


def _mean_and_slope(signals: list[NDArray]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signal at the middle of the texture scale and its change with a standard deviation, shape (n, N_TISSUES)."""
    levels = texture_levels_sd()
    low, middle, high = (int(np.abs(levels - z).argmin()) for z in (-1, 0, 1))
    stack = np.stack(signals).astype(np.float64)
    return stack[..., middle], (stack[..., high] - stack[..., low]) / (levels[high] - levels[low])


def _magnitude(signal: TissueSignal) -> NDArray:
    return np.abs(signal.water + signal.fat * signal.fat_phasor)


Images = tuple[list["NDArray"], tuple[float, ...]]


def _one_of(*choices: tuple[float, Callable[..., TissueSignal]]) -> Callable[..., Images]:
    """Make a series of one image from protocols and their shares."""
    shares = [share for share, _ in choices]

    def draw(rng: np.random.Generator, patient: TissueParameters) -> Images:
        return [_magnitude(choices[rng.choice(len(choices), p=shares)][1](rng, patient))], ()

    return draw


def _dixon(rng: np.random.Generator, patient: TissueParameters) -> Images:
    """Water and fat: of a gradient echo, or of a T1- or T2-weighted turbo spin echo."""
    draw = rng.random()
    make = dixon_signal if draw < 0.5 else t2_signal if draw < 0.8 else t1_signal
    signal = make(rng, patient)
    # The water part of a gradient echo may come without its fat; the patient's own fat fraction stands for it.
    if make is dixon_signal:
        echo = Acquisition(echo_time_ms=4.6, repetition_time_ms=rng.uniform(5, 10), flip_angle_deg=rng.uniform(3, 10))
        signal = tissue_signal(patient, echo, pulse=Pulse.GRADIENT_ECHO)
    return [np.abs(signal.water), np.abs(signal.fat)], ()


def _diffusion(rng: np.random.Generator, patient: TissueParameters) -> Images:
    """Fat-suppressed echo-planar images at a low and a high b-value."""
    te, residual = rng.uniform(58, 88), rng.uniform(0.01, 0.08)
    b_values = (float(rng.choice(LOW_B)), float(rng.uniform(*HIGH_B)))
    images = []
    for b in b_values:
        echo = Acquisition(echo_time_ms=te, repetition_time_ms=5000.0, b_value_s_mm2=b, fat_suppressed=True)
        images.append(_magnitude(tissue_signal(patient, echo, pulse=Pulse.DIFFUSION_EPI, fat_residual=residual)))
    return images, b_values


_PROTOCOLS: dict[Series, Callable[..., Images]] = {
    Series.T1: _one_of((0.82, t1_signal), (0.12, dixon_signal), (0.06, pd_signal)),
    Series.T1CE: _one_of((1.0, t1_enhanced_signal)),
    Series.T2: _one_of((1.0, t2_signal)),
    Series.FLUID: _one_of((0.75, stir_signal), (0.25, t2_fat_suppressed_signal)),
    Series.DIXON: _dixon,
    Series.DIFFUSION: _diffusion,
}

STUDIES = (
    (0.15, (Series.T1,)),
    (0.17, (Series.T2,)),
    (0.05, (Series.FLUID,)),
    (0.12, (Series.T1, Series.T2)),
    (0.10, (Series.T1, Series.FLUID)),
    (0.05, (Series.T2, Series.FLUID)),
    (0.32, (Series.T1, Series.T2, Series.FLUID)),
    (0.04, ()),
)
"""Shares of the usual studies; further series are added to them, and to the last one alone. Chosen by us."""

ADDED = {Series.T1CE: 0.15, Series.DIFFUSION: 0.15, Series.DIXON: 0.12}
"""Probability of each further series. Chosen by us."""


def sample_series(rng: np.random.Generator) -> tuple[Series, ...]:
    """Choose the series of a study; few series are frequent, since many users have few.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of Series
        At least one.
    """
    usual = STUDIES[rng.choice(len(STUDIES), p=[share for share, _ in STUDIES])][1]
    # A single series is mostly all there is: it must be learnt to stand alone.
    calm = 0.3 if len(usual) == 1 else 1.0
    further = tuple(series for series, share in ADDED.items() if rng.random() < share * calm)
    return (*usual, *further) or (Series.DIXON,)
