"""What a patient's tissues are like: the MR properties that the signal equations need, drawn for one patient.

Marrow is two pools, water and fat, with a fat fraction that follows age and sex; one T1 and one T2 for "marrow" would
get STIR, Dixon and opposed-phase images wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import SettingsError
from spondyl.phantom.arrays import constant, namespace
from spondyl.phantom.tissue import N_TISSUES, Tissue
from spondyl.phantom.tissue_values import TISSUE_VALUES

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_TEXTURE_LEVELS = 64
"""Steps of the texture scale; a step is a tenth of a standard deviation, finer than any noise level. Chosen by us."""

TEXTURE_SPAN_SD = 3.2
"""Texture runs from minus to plus this many standard deviations. Chosen by us."""

NATURAL_SPREAD = 0.10
"""Relative standard deviation of tissue values between patients; about the spread in de Bazelaire 2004, table 2."""

FAT_T1_MS = {1.5: 265.0, 3.0: 345.0}
"""Effective T1 of the fat pool in ms: below the 288-382 ms of de Bazelaire 2004, as the inversion times in clinical use
(140-175 ms at 1.5 T) null it. Chosen by us between the two."""

FAT_T2_MS = 68.0
"""T2 of the fat pool in a single spin echo, in ms (subcutaneous fat, de Bazelaire 2004)."""

FAT_ADC_UM2_S = 60.0
"""ADC of the fat pool in 10⁻⁶ mm²/s: lipid hardly diffuses at the b-values in use. Chosen by us."""

RELAXIVITY_R1 = {1.5: 4.8, 3.0: 5.0}
"""r1 of gadobutrol in plasma at 37 °C in L/mmol/s (Szomolanyi 2019, Invest Radiol 54:559)."""

RELAXIVITY_R2 = 5.5
"""r2 of a gadolinium chelate in L/mmol/s; between 5 and 6 for the macrocyclic agents. Chosen by us."""

FLOW_TEXTURE = 0.9
"""Relative spread of the flow void along a vessel or the CSF, per standard deviation of texture: CSF, at 12 % on
average, then shows streaks that lose up to half their signal, as pulsation makes them on T2. Chosen by us."""

_MARROW_SHIFT = {
    Tissue.MARROW: 0.0,
    Tissue.POSTERIOR_MARROW: 0.05,
    Tissue.SACRAL_MARROW: 0.08,
    Tissue.RIB_MARROW: -0.04,
}
"""Fat fraction of each marrow relative to the lumbar bodies. Chosen by us."""


@dataclass(frozen=True, eq=False)
class TissueParameters:
    """MR properties of every tissue of one patient at one field strength.

    Each array has shape (N_TISSUES,), or (N_TISSUES, N_TEXTURE_LEVELS) after `textured`.

    Parameters
    ----------
    fat_fraction : ndarray of float32
        Share of the fat pool, 0 to 1.
    t1_water_ms, t2_water_ms, t2star_ms : ndarray of float32
        Relaxation times of the water pool in ms.
    proton_density : ndarray of float32
        Relative to CSF.
    adc_um2_s : ndarray of float32
        Apparent diffusion coefficient of the water pool in 10⁻⁶ mm²/s.
    flow_void : ndarray of float32
        Share of the signal lost to flow in spin echoes.
    gadolinium_mmol_l : ndarray of float32
        Concentration a few minutes after the injection, in mmol/L.
    texture_sd : ndarray of float32, shape (N_TISSUES, 3)
        Spread inside each tissue of fat fraction (absolute), proton density (relative) and T2 (log scale).
    fat_t1_ms, fat_t2_ms, fat_adc_um2_s : float
        The fat pool, the same everywhere.
    field_strength_t : float
        Field strength in tesla.
    """

    fat_fraction: Any
    t1_water_ms: Any
    t2_water_ms: Any
    t2star_ms: Any
    proton_density: Any
    adc_um2_s: Any
    flow_void: Any
    gadolinium_mmol_l: Any
    texture_sd: Any
    fat_t1_ms: float
    fat_t2_ms: float
    fat_adc_um2_s: float
    field_strength_t: float

    def with_(self, **changes: Any) -> TissueParameters:
        """Give parameters with some fields replaced.

        Parameters
        ----------
        **changes : object
            New values by field name.

        Returns
        -------
        TissueParameters
            The changed parameters; these stay as they are.
        """
        return replace(self, **changes)

    def with_contrast(self, dose: float = 1.0) -> TissueParameters:
        """Give the parameters a few minutes after gadolinium.

        Parameters
        ----------
        dose : float, optional
            Dose relative to 0.1 mmol/kg.

        Returns
        -------
        TissueParameters
            With shorter T1 and slightly shorter T2 where the agent went.
        """
        xp = namespace(self.t1_water_ms)
        r1 = RELAXIVITY_R1[3.0] if self.field_strength_t > 2 else RELAXIVITY_R1[1.5]
        agent = self.gadolinium_mmol_l * dose
        if agent.ndim < self.t1_water_ms.ndim:
            agent = xp.reshape(agent, (-1, 1))
        rate1 = 1 / self.t1_water_ms + r1 * agent / 1000
        rate2 = 1 / self.t2_water_ms + RELAXIVITY_R2 * agent / 1000
        return self.with_(t1_water_ms=1 / rate1, t2_water_ms=1 / rate2)

    def textured(self) -> TissueParameters:
        """Give the parameters at every step of the texture scale.

        Returns
        -------
        TissueParameters
            Arrays of shape (N_TISSUES, N_TEXTURE_LEVELS): fat fraction, proton density and T2 vary with the texture
            in the way each tissue does, so that a trabecula's fat is bright on T1 and missing on STIR at one place.
        """
        xp = namespace(self.fat_fraction)
        steps = constant(texture_levels_sd(), self.fat_fraction)[None, :]
        sd = self.texture_sd

        def column(values: Any) -> Any:
            return xp.reshape(values, (-1, 1)) + 0 * steps

        return self.with_(
            fat_fraction=xp.clip(column(self.fat_fraction) + sd[:, 0:1] * steps, 0.0, 0.97),
            proton_density=column(self.proton_density) * xp.clip(1 + sd[:, 1:2] * steps, 0.0, 2.0),
            t2_water_ms=column(self.t2_water_ms) * xp.exp(sd[:, 2:3] * steps),
            t1_water_ms=column(self.t1_water_ms) * xp.exp(0.25 * sd[:, 2:3] * steps),
            t2star_ms=column(self.t2star_ms) * xp.exp(sd[:, 2:3] * steps),
            adc_um2_s=column(self.adc_um2_s) * xp.exp(0.5 * sd[:, 2:3] * steps),
            flow_void=xp.clip(column(self.flow_void) * (1 + FLOW_TEXTURE * steps), 0.0, 0.98),
            gadolinium_mmol_l=column(self.gadolinium_mmol_l),
        )


def texture_levels_sd() -> NDArray[np.float32]:
    """Give the texture scale.

    Returns
    -------
    ndarray of float32, shape (N_TEXTURE_LEVELS,)
        Standard deviations of each level.
    """
    return np.linspace(-TEXTURE_SPAN_SD, TEXTURE_SPAN_SD, N_TEXTURE_LEVELS, dtype=np.float32)


def at_field(value_1_5t: Any, value_3t: Any, field_strength_t: float) -> Any:
    """Interpolate a relaxation time by a power law of the field.

    Parameters
    ----------
    value_1_5t, value_3t : float or ndarray
        The time at 1.5 and at 3 T, positive.
    field_strength_t : float
        Field strength in tesla.

    Returns
    -------
    float or ndarray
        The time there, in the unit it was given in.

    References
    ----------
    Bottomley 1984, Med Phys 11:425: T1 grows with a power of the field.
    """
    return value_1_5t * (value_3t / value_1_5t) ** (math.log(field_strength_t / 1.5) / math.log(2.0))


def marrow_fat_fraction(age_years: float, *, female: bool) -> float:
    """Give the mean fat fraction of lumbar bodies at an age.

    Parameters
    ----------
    age_years : float
        Age in years.
    female : bool
        Women keep red marrow longer and catch up after the menopause.

    Returns
    -------
    float
        Fat fraction, 0 to 1.

    References
    ----------
    Baum 2018, Front Endocrinol 9:563 (PDFF of L1-L4, third and fourth decade); Ishijima 1996, AJR 167:355 (water
    fraction from childhood to old age).
    """
    ages = [5.0, 15.0, 25.0, 35.0, 50.0, 60.0, 80.0]
    men = [0.20, 0.26, 0.32, 0.355, 0.42, 0.46, 0.52]
    women = [0.19, 0.24, 0.27, 0.275, 0.38, 0.48, 0.56]
    return float(np.interp(age_years, ages, women if female else men))


def _typical(field_strength_t: float) -> dict[str, NDArray[np.float32]]:
    rows = [TISSUE_VALUES[tissue] for tissue in Tissue]
    columns = {name: np.array([getattr(r, name) for r in rows], np.float32) for name in rows[0]._fields}
    # Trabecular bone shortens T2* with the field: 0.6 at 3 T relative to 1.5 T (the ratio of de Bazelaire 2004's and
    # Gold 2004's marrow line widths); other tissue is treated alike.
    star = at_field(columns["t2star_1_5t_ms"], 0.6 * columns["t2star_1_5t_ms"], field_strength_t)
    t1 = at_field(columns["t1_1_5t_ms"], columns["t1_3t_ms"], field_strength_t)
    return columns | {"t2star_ms": star, "t1_water_ms": t1}


def typical_parameters(field_strength_t: float = 1.5) -> TissueParameters:
    """Give the parameters of a typical adult, without natural spread.

    Parameters
    ----------
    field_strength_t : float, optional
        Field strength in tesla, from 0.2 to 7.

    Returns
    -------
    TissueParameters
        Arrays of shape (N_TISSUES,).

    Raises
    ------
    SettingsError
        If the field strength is out of range.
    """
    if not 0.2 <= field_strength_t <= 7:
        msg = f"field_strength_t must lie between 0.2 and 7 tesla, got {field_strength_t}"
        raise SettingsError(msg)
    c = _typical(field_strength_t)
    return TissueParameters(
        fat_fraction=c["fat_fraction"],
        t1_water_ms=c["t1_water_ms"],
        t2_water_ms=c["t2_ms"],
        t2star_ms=c["t2star_ms"],
        proton_density=c["proton_density"],
        adc_um2_s=c["adc_um2_s"],
        flow_void=c["flow_void"],
        gadolinium_mmol_l=c["gadolinium_mmol_l"],
        texture_sd=c["texture"],
        fat_t1_ms=float(at_field(FAT_T1_MS[1.5], FAT_T1_MS[3.0], field_strength_t)),
        fat_t2_ms=FAT_T2_MS,
        fat_adc_um2_s=FAT_ADC_UM2_S,
        field_strength_t=field_strength_t,
    )


def sample_parameters(
    rng: np.random.Generator,
    *,
    field_strength_t: float = 1.5,
    age_years: float = 60.0,
    female: bool = False,
    disc_degeneration: float | None = None,
    spread: float = NATURAL_SPREAD,
) -> TissueParameters:
    """Draw the tissue parameters of one patient.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    field_strength_t : float, optional
        Field strength in tesla.
    age_years : float, optional
        Sets the fat fraction of the marrow.
    female : bool, optional
        Sex of the patient.
    disc_degeneration : float, optional
        State of the nuclei that are not yet dry, from 0 (hydrated) to 1; drawn between 0 and 0.5 where it is None, as
        the anatomy gives worn discs tissues of their own.
    spread : float, optional
        Relative standard deviation between patients.

    Returns
    -------
    TissueParameters
        Arrays of shape (N_TISSUES,).
    """
    base = typical_parameters(field_strength_t)
    marrow = marrow_fat_fraction(age_years, female=female)
    # Between patients of one age the fat fraction spreads by 6 to 8 points (Baum 2018).
    marrow = float(np.clip(marrow + rng.normal(0.0, 0.065), 0.12, 0.72))
    degeneration = disc_degeneration
    if degeneration is None:
        degeneration = float(np.clip(rng.normal(0.1 + 0.003 * age_years, 0.12), 0.0, 0.5))

    def spread_of(values: NDArray[np.float32], scale: float = 1.0) -> NDArray[np.float32]:
        draw = np.clip(rng.normal(0.0, spread * scale, N_TISSUES), -2.2 * spread, 2.2 * spread)
        return (values * np.exp(draw)).astype(np.float32)

    fat = spread_of(base.fat_fraction, 1.5)
    for tissue, shift in _MARROW_SHIFT.items():
        fat[tissue] = marrow + shift
    fat[Tissue.RED_MARROW] = marrow * rng.uniform(0.5, 0.7)
    fat[Tissue.SUBCUTANEOUS_FAT] = rng.uniform(0.90, 0.95)
    fat[Tissue.HEMANGIOMA] = rng.uniform(0.45, 0.72)
    fat[Tissue.MUSCLE] = np.clip(0.02 + 0.0012 * age_years + rng.normal(0, 0.02), 0.02, 0.25)
    # Density varies less than relaxation: water content of a tissue is nearly the same in all of us.
    parameters = base.with_(
        fat_fraction=np.clip(fat, 0.0, 0.96).astype(np.float32),
        t1_water_ms=spread_of(base.t1_water_ms, 0.7),
        t2_water_ms=spread_of(base.t2_water_ms),
        t2star_ms=spread_of(base.t2star_ms),
        proton_density=spread_of(base.proton_density, 0.5),
        adc_um2_s=spread_of(base.adc_um2_s),
        gadolinium_mmol_l=spread_of(base.gadolinium_mmol_l, 2.0),
        fat_t1_ms=base.fat_t1_ms * float(np.exp(rng.normal(0, 0.04))),
        fat_t2_ms=base.fat_t2_ms * float(np.exp(rng.normal(0, 0.06))),
    )
    # Fatter marrow holds less diffusing water between its fat cells: 0.7 to 0.25 from red to yellow (Messiou 2011).
    for tissue in (*_MARROW_SHIFT, Tissue.RED_MARROW):
        parameters.adc_um2_s[tissue] *= float(np.clip(1.5 - 1.1 * fat[tissue], 0.6, 1.4))
    return degenerated(parameters, degeneration)


def degenerated(parameters: TissueParameters, degree: float) -> TissueParameters:
    """Give the parameters with discs between hydrated and desiccated.

    Parameters
    ----------
    parameters : TissueParameters
        Parameters on numpy arrays of shape (N_TISSUES,).
    degree : float
        From 0 (hydrated, T2 about 130 ms) to 1 (desiccated, T2 about 45 ms).

    Returns
    -------
    TissueParameters
        With a changed nucleus.

    References
    ----------
    Drake-Pérez 2018, AJNR 39:788: T1, T2 and proton density of normal, intermediate and desiccated discs.
    """
    t1, t2, density, adc = (np.array(getattr(parameters, n)) for n in _DISC_FIELDS)
    at = Tissue.NUCLEUS
    t1[at] *= np.interp(degree, [0, 0.5, 1], [1.10, 0.90, 0.62])
    t2[at] *= np.interp(degree, [0, 0.5, 1], [1.45, 0.90, 0.55])
    density[at] *= np.interp(degree, [0, 0.5, 1], [1.10, 0.97, 0.75])
    adc[at] *= np.interp(degree, [0, 0.5, 1], [1.15, 1.0, 0.8])
    return parameters.with_(t1_water_ms=t1, t2_water_ms=t2, proton_density=density, adc_um2_s=adc)


_DISC_FIELDS = ("t1_water_ms", "t2_water_ms", "proton_density", "adc_um2_s")
