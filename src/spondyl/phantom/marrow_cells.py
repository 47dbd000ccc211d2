"""The marrow of a column as a few hundred cells a vertebra: the phantom's tissues and signal equations without images.

A cohort of hundreds of patients over years needs no outlines, only what each vertebra would measure. Each cell is a
block of marrow of some 4 mm with the tissue, texture and fat that the phantom's anatomy would paint there; its signal
on every series is that of `spondyl.phantom.signal` under the protocol of the visit's scanner, and signs are taken from
cells as `spondyl.core.marrow` takes them from the smoothed places of an image. What images add, another position of
the slices, noise and coils, is added with the spread that whole images of the phantom show between two visits
(``benchmarks/early_detection.py images`` measures both and prints them side by side).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import Sequence
from spondyl.core.marrow import SIGN_SEQUENCES
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import PREVALENCE
from spondyl.phantom.levels import LEVEL_SIZES
from spondyl.phantom.relaxation import N_TEXTURE_LEVELS, TEXTURE_SPAN_SD, sample_parameters
from spondyl.phantom.signal import adc_from_pair, tissue_signal
from spondyl.phantom.skeleton import PATCHY_SHARE
from spondyl.phantom.study import spine_study
from spondyl.phantom.texture import mix_of
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

    from spondyl.phantom.person import Person
    from spondyl.phantom.protocol import Protocol
    from spondyl.phantom.relaxation import TissueParameters
    from spondyl.phantom.schedule import PlannedVisit

    Floats = NDArray[np.float64]

LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
"""Vertebrae that a lumbar study shows whole."""

N_CELLS = 200
"""Cells of a vertebra, of 50 to 80 mm³. Chosen by us: what smoothing leaves of detail."""

INNER_SHARE = 0.4
"""Part of a body that is measured, away from cortex and endplates, as in the images of the phantom."""

VEIN_CELLS, VEIN_PART = 0.03, 0.2
"""Share of the cells that a vein runs through, and part of them that it takes. Set to what the images show."""

STATIC_MIMICS = {
    LesionKind.HEMANGIOMA: (Tissue.HEMANGIOMA, (0.02, 0.3)),
    LesionKind.HEMANGIOMA_ATYPICAL: (Tissue.HEMANGIOMA_ATYPICAL, (0.02, 0.25)),
    LesionKind.FATTY: (Tissue.FATTY_MARROW, (0.03, 0.3)),
    LesionKind.RED_MARROW: (Tissue.RED_MARROW, (0.05, 0.4)),
    LesionKind.BONE_ISLAND: (Tissue.SCLEROSIS, (0.01, 0.06)),
    LesionKind.MODIC_2: (Tissue.FATTY_MARROW, (0.03, 0.15)),
    LesionKind.MODIC_1: (Tissue.EDEMA, (0.03, 0.15)),
}
"""What looks unlike its neighbors for good: tissue, and range of the share of the body. As frequent as in the images;
shares chosen by us."""

TUMOR_TISSUE = {
    LesionKind.LYTIC: ((Tissue.TUMOR_LYTIC, 1.0),),
    LesionKind.MIXED: ((Tissue.TUMOR_LYTIC, 0.5), (Tissue.TUMOR_SCLEROTIC, 0.5)),
    LesionKind.SCLEROTIC: ((Tissue.TUMOR_SCLEROTIC, 0.8), (Tissue.TUMOR_LYTIC, 0.2)),
    LesionKind.TREATED: ((Tissue.TUMOR_TREATED, 1.0),),
}
"""Tissues of a tumor, by kind, with their shares."""

BLURRED_ML = 0.12
"""Volume of a lesion of which a thick slice shows two thirds of the contrast. Set to what small lesions show in the
images of the phantom."""

NOISE_GAIN = 3.5
"""By what smoothing and slices raise the signal-to-noise ratio from a voxel to a cell. Chosen by us."""

CELL_SD: Mapping[Sequence, tuple[float, float]] = {
    Sequence.T1: (0.06, 0.01),
    Sequence.T2: (0.055, 0.025),
    Sequence.STIR: (0.045, 0.03),
    Sequence.T1CE: (0.05, 0.025),
    Sequence.ADC: (0.08, 0.08),
}
"""Standard deviation of the logarithm of a cell's signal between visits, toward dark and toward bright, beyond noise:
slices lie elsewhere. Set to what the images of the phantom show."""

UNEVEN = 0.4
"""Standard deviation of the logarithm by which one vertebra at one visit has more of it than another. Set likewise."""

LEVEL_SD: Mapping[Sequence, float] = {
    Sequence.T1: 0.032,
    Sequence.T2: 0.035,
    Sequence.STIR: 0.058,
    Sequence.T1CE: 0.03,
    Sequence.ADC: 0.025,
}
"""The same of a vertebra as a whole: coils and fat suppression are uneven along the column. Set likewise."""


class Patch(NamedTuple):
    """Tissue that takes part of a vertebra on one day.

    Parameters
    ----------
    vertebra : int
        Its place in `LEVELS`.
    tissues : tuple of (Tissue, float)
        What it is made of, with shares.
    volume_ml : float
        How much.
    place : float
        Where it begins, from 0 to 1 along the cells: patches at one place lie over each other.
    """

    vertebra: int
    tissues: tuple[tuple[Tissue, float], ...]
    volume_ml: float
    place: float


@dataclass(frozen=True, eq=False)
class MarrowCells:
    """The marrow of one patient.

    Parameters
    ----------
    person : Person
        Age and sex.
    seed : int
        Of the tissues.
    texture : ndarray of int, shape (n_levels, N_CELLS)
        Step on the texture scale.
    tissue : ndarray of int, shape (n_levels, N_CELLS)
        Values of `Tissue`.
    veins : ndarray of float, shape (n_levels, N_CELLS)
        Part of each cell that is a vein.
    """

    person: Person
    seed: int
    texture: NDArray[np.intp]
    tissue: NDArray[np.intp]
    veins: Floats

    def signals(
        self, rng: np.random.Generator, visit: PlannedVisit, patches: Ordered[Patch]
    ) -> dict[Sequence, list[Floats]]:
        """Take the signal of every cell at a visit.

        Parameters
        ----------
        rng : Generator
            Source of the visit's randomness.
        visit : PlannedVisit
            Scanner and sequences.
        patches : sequence of Patch
            What is in the marrow on that day.

        Returns
        -------
        dict of Sequence to list of ndarray of float, shape (N_CELLS,)
            What `spondyl.core.marrow.signs` takes.
        """
        machine = visit.scanner
        study = spine_study(
            rng,
            sequences=visit.sequences,
            vendor=machine.vendor,
            field_strength_t=machine.field_strength_t,
            unseen=machine.unseen_timing,
        )
        parameters = sample_parameters(
            np.random.default_rng([self.seed, 21]),
            field_strength_t=machine.field_strength_t,
            age_years=self.person.age_years,
            female=self.person.female,
        )
        taken = {(Sequence.ADC if p.sequence is Sequence.DWI else p.sequence): p for p in study}
        found: dict[Sequence, list[Floats]] = {}
        for sequence in SIGN_SEQUENCES:
            if sequence in taken:
                signal = self._signal(rng, parameters, taken[sequence], patches)
                drawn, each = rng.normal(size=signal.shape), rng.normal(size=(2, len(signal), 1))
                dark, bright = CELL_SD[sequence]
                moved = drawn * np.where(drawn < 0, dark, bright) * np.exp(UNEVEN * each[0])
                found[sequence] = list(signal * np.exp(moved + LEVEL_SD[sequence] * each[1]))
        return found

    def _signal(
        self, rng: np.random.Generator, parameters: TissueParameters, protocol: Protocol, patches: Ordered[Patch]
    ) -> Floats:
        """Signal of every cell; of a diffusion series, its ADC."""
        found = []
        for b in protocol.b_values_s_mm2 or (None,):
            acquisition = replace(protocol.acquisition, b_value_s_mm2=b)
            given = parameters.with_contrast() if acquisition.contrast_given else parameters
            parts = tissue_signal(
                given.textured(), acquisition, pulse=protocol.pulse, fat_residual=protocol.fat_residual
            )
            water, fat = (np.asarray(p, dtype=np.float64) for p in (parts.water, parts.fat))
            mixed = np.abs(sum(self._mixed(table, patches) for table in (water, fat)))
            noise = rng.normal(size=(2, *mixed.shape)) / (NOISE_GAIN * protocol.snr)
            found.append(np.hypot(mixed + noise[0], noise[1]))
        if len(found) == 1:
            return found[0]
        low, high = protocol.b_values_s_mm2
        adc: Floats = adc_from_pair(found[0], found[1], b_low_s_mm2=low, b_high_s_mm2=high)
        return adc

    def _mixed(self, table: Floats, patches: Ordered[Patch]) -> Floats:
        """Look the cells up, part of each replaced by veins and by what grows there."""
        signal: Floats = table[self.tissue, self.texture]
        middle = table[:, N_TEXTURE_LEVELS // 2]
        signal += self.veins * (middle[Tissue.BASIVERTEBRAL_VEIN] - signal)
        for patch in patches:
            own = sum(share * middle[tissue] for tissue, share in patch.tissues)
            part = cell_shares(patch)
            signal[patch.vertebra] += part * (own - signal[patch.vertebra])
        return signal


def body_ml(level: str) -> float:
    """Give the volume of a vertebral body.

    Parameters
    ----------
    level : str
        Its level.

    Returns
    -------
    float
        Of a cylinder of its mean sizes, in mL.
    """
    size = LEVEL_SIZES[level]
    return np.pi / 4 * size.width_mm * size.depth_mm * size.height_mm / 1000


def cell_shares(patch: Patch) -> Floats:
    """Give the part of each cell that a patch takes.

    Parameters
    ----------
    patch : Patch
        The patch.

    Returns
    -------
    ndarray of float, shape (N_CELLS,)
        From 0 to 1: most where it begins, blurred at its border, and less everywhere where it is smaller than a slice
        resolves; they sum to its volume.
    """
    share = min(patch.volume_ml / (INNER_SHARE * body_ml(LEVELS[patch.vertebra])), 1.0)
    if share <= 0:
        return np.zeros(N_CELLS)
    peak = 1 - np.exp(-patch.volume_ml / BLURRED_ML)
    rank = (np.arange(N_CELLS) + 0.5 - patch.place * N_CELLS) % N_CELLS / N_CELLS
    # A border as of a cubic law, whose integral is 1.2092 widths.
    return peak / (1 + (1.2092 * peak * rank / share) ** 3)


def draw_marrow(rng: np.random.Generator, person: Person, seed: int) -> MarrowCells:
    """Draw the marrow of a patient: texture, patches of fat and of red marrow, veins, and what will never change.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    person : Person
        Age and sex.
    seed : int
        Of the tissues.

    Returns
    -------
    MarrowCells
        As anatomy and texture of the phantom have it on average.
    """
    shape = (len(LEVELS), N_CELLS)
    mix = mix_of(Tissue.MARROW)
    coarse = rng.normal(size=shape)
    texture = mix.coarse * coarse + mix.bone * (0.8 * rng.normal(size=(len(LEVELS), 1)))
    step = np.round((texture + TEXTURE_SPAN_SD) / (2 * TEXTURE_SPAN_SD) * (N_TEXTURE_LEVELS - 1))
    tissue = np.full(shape, int(Tissue.MARROW))
    if rng.random() < PATCHY_SHARE:
        uneven, fat_above, red_below = rng.normal(size=shape), rng.uniform(1.3, 2.6), -rng.uniform(1.3, 2.8)
        tissue[uneven > fat_above], tissue[uneven < red_below] = int(Tissue.FATTY_MARROW), int(Tissue.RED_MARROW)
    crossed = np.arange(N_CELLS) < rng.uniform(0, 2 * VEIN_CELLS, (len(LEVELS), 1)) * N_CELLS
    veins = VEIN_PART * rng.uniform(0.5, 1.5, shape) * crossed
    for kind, (what, (least, most)) in STATIC_MIMICS.items():
        if rng.random() < PREVALENCE[kind]:
            for where in rng.integers(len(LEVELS), size=1 + rng.poisson(0.4)):
                count, first = round(rng.uniform(least, most) * N_CELLS), int(rng.integers(N_CELLS))
                tissue[where, (first + np.arange(count)) % N_CELLS] = int(what)
    return MarrowCells(person, seed, np.clip(step, 0, N_TEXTURE_LEVELS - 1).astype(np.intp), tissue, veins)
