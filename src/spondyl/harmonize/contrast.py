"""What a scan would have looked like at a reference acquisition: the signal equations, run both ways.

A voxel's signals on several sequences say roughly which mixture of water and fat, with which relaxation times, it may
hold. Over all tissues that could have given them, the mean ratio of the signal at the reference acquisition to the
signal at the own one corrects the voxel. Where several tissues fit, their spread says how sure that is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.stats import qmc

from spondyl.core import Acquisition, Sequence
from spondyl.physics.signal import (
    FAT_T2_GROWTH_PER_ECHO,
    MAX_ECHOES_FOR_FAT,
    inversion_recovery,
    spin_echo,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

REFERENCE_FIELD_T = 1.5

REFERENCE: dict[Sequence, Acquisition] = {
    Sequence.T1: Acquisition(REFERENCE_FIELD_T, 10.0, 600.0, echo_train_length=3),
    Sequence.T1CE: Acquisition(REFERENCE_FIELD_T, 10.0, 600.0, echo_train_length=3),
    Sequence.PD: Acquisition(REFERENCE_FIELD_T, 30.0, 3000.0, echo_train_length=8),
    Sequence.T2: Acquisition(REFERENCE_FIELD_T, 100.0, 3500.0, echo_train_length=16),
    Sequence.T2FS: Acquisition(REFERENCE_FIELD_T, 90.0, 3500.0, echo_train_length=16, fat_suppressed=True),
    Sequence.STIR: Acquisition(REFERENCE_FIELD_T, 60.0, 4500.0, 150.0, echo_train_length=12, fat_suppressed=True),
    Sequence.DWI: Acquisition(REFERENCE_FIELD_T, 70.0, 5000.0, fat_suppressed=True, b_value_s_mm2=800.0),
}
"""The acquisition each sequence is brought to: the middle of the practice parameter for spine MRI (ACR-ASNR-SABI-SSR
2023) and of MET-RADS-P (Padhani 2017, doi 10.1016/j.eururo.2016.05.033). Chosen by us."""

TELLING = (Sequence.T1, Sequence.T2, Sequence.STIR, Sequence.T2FS, Sequence.PD)
"""Sequences whose signals say what a voxel holds, in order; the first three that are there are used."""

MOST_TELLING = 3

LONGEST_GRADIENT_TR_MS = 100.0
"""Below this repetition time a series is a gradient echo, which these equations do not describe."""

FIELD_EXPONENT = 0.3
"""T1 of the water in tissue grows with the field strength to this power: 1/3 in Bottomley 1984 (Med Phys 11:425), 0.27
from the muscle, marrow and disc values of Gold 2004 and de Bazelaire 2004. Chosen by us between."""

FLUID_T2_MS = 400.0
"""Water with a longer T2 is fluid, whose T1 hardly depends on the field."""

FAT_T1_MS, FAT_T1_3T_MS, FAT_T2_MS = 288.0, 371.0, 68.0
"""Of subcutaneous fat: T1 at 1.5 and 3 T (Gold 2004, doi 10.2214/ajr.183.2.1830343), T2 in a single spin echo (de
Bazelaire 2004, doi 10.1148/radiol.2303021331)."""

FAT_RESIDUAL = 0.05
"""Share of the fat signal that suppression leaves, whatever the exact TI. Chosen by us."""

N_ATOMS = 4096
"""Tissues that are tried. Chosen by us; more change nothing in the third digit."""

NODES = 20
"""Nodes of the table along each sequence's logarithm of signal. Chosen by us."""

SIGNAL_RANGE = (0.004, 1.3)
"""Signals the table reaches over, relative to fully relaxed CSF protons."""

LOG_NOISE = 0.12
"""Standard deviation of the logarithm of a signal around its equation: noise, what is left of the bias field, and the
equations' own error. Chosen by us."""

LEAST_WEIGHT = 1e-7
"""Weight of every tissue everywhere, so that a signal that no tissue gives falls back on the mean of all."""


class Atoms(NamedTuple):
    """Tissues that could be in a voxel.

    Parameters
    ----------
    density : ndarray of float, shape (k,)
        Proton density relative to CSF.
    fat_fraction : ndarray of float, shape (k,)
        Share of the fat pool.
    t1_ms, t2_ms : ndarray of float, shape (k,)
        Relaxation times of the water pool at 1.5 T.
    """

    density: NDArray[np.float64]
    fat_fraction: NDArray[np.float64]
    t1_ms: NDArray[np.float64]
    t2_ms: NDArray[np.float64]


def atoms(*, enhanced: bool = False) -> Atoms:
    """Draw tissues evenly over what tissue can be.

    Parameters
    ----------
    enhanced : bool, optional
        Whether contrast agent may have shortened T1.

    Returns
    -------
    Atoms
        `N_ATOMS` tissues: density 0.3 to 1, any fat fraction, T1 450 (with agent 150) to 2500 ms, T2 25 to 250 ms, each
        evenly on its scale; one in eight is fluid, up to CSF. The spans hold the values of de Bazelaire 2004, Gold 2004
        and Stanisz 2005 (doi 10.1002/mrm.20605).
    """
    u = qmc.Sobol(5, scramble=False).random(N_ATOMS)
    fluid = u[:, 4] < 0.125
    t1 = np.exp(np.interp(u[:, 2], [0, 1], np.log([150.0 if enhanced else 450.0, 2500.0])))
    t2 = np.exp(np.interp(u[:, 3], [0, 1], np.log([25.0, 250.0])))
    t1 = np.where(fluid, np.exp(np.interp(u[:, 2], [0, 1], np.log([2000.0, 4300.0]))), t1)
    t2 = np.where(fluid, np.exp(np.interp(u[:, 3], [0, 1], np.log([250.0, 1800.0]))), t2)
    fat = np.where(fluid, 0.0, np.clip(1.04 * u[:, 1] - 0.02, 0.0, 0.97))
    return Atoms(np.where(fluid, 0.8 + 0.2 * u[:, 0], 0.3 + 0.7 * u[:, 0]), fat, t1, np.minimum(t2, t1))


ANCHORS: dict[str, Atoms] = {
    "csf": Atoms(*(np.array([v]) for v in (0.90, 0.0, 4000.0, 1500.0))),
    "disc": Atoms(*(np.array([v]) for v in (0.70, 0.0, 900.0, 70.0))),
    "muscle": Atoms(*(np.array([v]) for v in (0.80, 0.07, 1010.0, 37.0))),
    "fat": Atoms(*(np.array([v]) for v in (0.92, 0.92, 900.0, 35.0))),
}
"""Typical reference tissues. T1 and T2 of muscle: Stanisz 2005 and Gold 2004; of CSF and disc: Drake-Pérez 2018, AJNR
39:788. Densities, less what flow takes from CSF, and fat fractions chosen by us in their ranges."""

ANCHOR_SPREAD: dict[str, tuple[float, float, float, float]] = {
    "csf": (0.10, 0.0, 0.05, 0.30),
    "disc": (0.15, 0.0, 0.20, 0.35),
    "muscle": (0.05, 0.04, 0.10, 0.12),
    "fat": (0.05, 0.03, 0.10, 0.12),
}
"""How these differ between patients: relative standard deviations of density, T1 and T2 (first, third, fourth) and the
absolute one of fat fraction (second). Relaxation times about as in de Bazelaire 2004, table 2; discs from hydrated to
dry (Drake-Pérez 2018); the rest chosen by us."""

MEDIAN_NOISE, FLOOR = 0.08, 0.03
"""Errors of a tissue's median signal: relative, what the bias field leaves; and absolute, relative to the brightest
tissue: noise, ghosts and neighbors. Chosen by us."""

GAUSS_NEWTON_STEPS = 8
"""The equations are nearly linear in the logarithms; more steps change nothing. Chosen by us."""


def describable(sequence: Sequence, acquisition: Acquisition) -> bool:
    """Say whether the equations describe a series.

    Parameters
    ----------
    sequence : Sequence
        What it shows.
    acquisition : Acquisition
        How it was taken.

    Returns
    -------
    bool
        True for spin echoes, echo-planar ones among them, and inversion recovery with known TE, TR, field strength
        and, for STIR, TI.
    """
    needed = [acquisition.echo_time_ms, acquisition.repetition_time_ms, acquisition.field_strength_t]
    if sequence is Sequence.STIR:
        needed.append(acquisition.inversion_time_ms)
    return (
        sequence in REFERENCE
        and all(v is not None and v > 0 for v in needed)
        and (acquisition.repetition_time_ms or 0) > max(LONGEST_GRADIENT_TR_MS, acquisition.echo_time_ms or 0)
    )


def signal(tissue: Atoms, acquisition: Acquisition) -> NDArray[np.float64]:
    """Give the signal of tissues in one acquisition.

    Parameters
    ----------
    tissue : Atoms
        The tissues.
    acquisition : Acquisition
        With TE, TR, field strength, and TI where an inversion pulse was given.

    Returns
    -------
    ndarray of float, shape (k,)
        Magnitude relative to fully relaxed CSF protons.
    """
    field = float(acquisition.field_strength_t or REFERENCE_FIELD_T)
    tr, te = float(acquisition.repetition_time_ms or 0.0), float(acquisition.echo_time_ms or 0.0)
    times = {"repetition_time_ms": tr, "echo_time_ms": te}
    grows = np.where(tissue.t2_ms < FLUID_T2_MS, (field / REFERENCE_FIELD_T) ** FIELD_EXPONENT, 1.0)
    t1 = tissue.t1_ms * grows
    fat_t1 = np.full_like(t1, np.interp(field, [1.5, 3.0], [FAT_T1_MS, FAT_T1_3T_MS]))
    echoes = min(acquisition.echo_train_length or 1, MAX_ECHOES_FOR_FAT)
    fat_t2 = np.full_like(t1, FAT_T2_MS * (1 + FAT_T2_GROWTH_PER_ECHO * (echoes - 1)))
    water, fat = tissue.density * (1 - tissue.fat_fraction), tissue.density * tissue.fat_fraction
    if acquisition.inversion_time_ms is None:
        wet, oily = spin_echo(water, t1, tissue.t2_ms, **times), spin_echo(fat, fat_t1, fat_t2, **times)
        return wet + oily * (FAT_RESIDUAL if acquisition.fat_suppressed else 1.0)
    inversion = times | {"inversion_time_ms": float(acquisition.inversion_time_ms)}
    wet = inversion_recovery(water, t1, tissue.t2_ms, **inversion)
    if acquisition.fat_suppressed:
        return np.abs(wet) + FAT_RESIDUAL * spin_echo(fat, fat_t1, fat_t2, **times)
    return np.abs(wet + inversion_recovery(fat, fat_t1, fat_t2, **inversion))


def reference_of(sequence: Sequence, acquisition: Acquisition) -> Acquisition:
    """Give the acquisition that a series is brought to.

    Parameters
    ----------
    sequence : Sequence
        What it shows; one of `REFERENCE`.
    acquisition : Acquisition
        How it was taken.

    Returns
    -------
    Acquisition
        The reference, with the fat suppression of the series: to give fat back its signal would be invention.
    """
    reference = REFERENCE[sequence]
    if sequence in (Sequence.STIR, Sequence.T2FS):
        return reference
    return replace(reference, fat_suppressed=bool(acquisition.fat_suppressed))


def gains(
    medians: Mapping[Sequence, Mapping[str, float]], acquisitions: Mapping[Sequence, Acquisition]
) -> dict[Sequence, float]:
    """Find how many units of each image one unit of signal is, from the reference tissues on all of them.

    Parameters
    ----------
    medians : mapping of Sequence to mapping of str to float
        Median signal of each reference tissue in each image.
    acquisitions : mapping of Sequence to Acquisition
        How each was taken; those with TE, TR and field strength take part.

    Returns
    -------
    dict of Sequence to float
        For images with at least one usable tissue.

    Notes
    -----
    Gains and the patient's own tissue values are found together: the most probable ones, given the medians and how
    tissues differ between patients. A muscle that is bright on one sequence for its long T2 so does not change the
    scale of that sequence.
    """
    seen = [
        (s, name, value)
        for s, of_image in medians.items()
        if s in acquisitions
        for name, value in of_image.items()
        if value > 0 and name in ANCHORS
    ]
    sequences = sorted({s for s, _, _ in seen})
    names = sorted({name for _, name, _ in seen})
    if not seen:
        return {}

    def predicted(own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of each signal seen, one row for each row of `own`."""
        parts = {n: _of_patient(n, own[:, 4 * i : 4 * i + 4].T) for i, n in enumerate(names)}
        every = Atoms(*(np.concatenate(values) for values in zip(*(parts[n] for n in names), strict=True)))
        of_image = {s: _log_signal(every, acquisitions[s]).reshape(len(names), -1) for s in sequences}
        return np.stack([of_image[s][names.index(n)] for s, n, _ in seen], axis=1)

    own = np.zeros(4 * len(names))
    (typical,) = predicted(own[None])
    brightest = {s: max(v for v, (t, _, _) in zip(typical, seen, strict=True) if t == s) for s in sequences}
    relative = np.exp(typical - np.array([brightest[s] for s, _, _ in seen]))
    weight = 1 / np.hypot(MEDIAN_NOISE, FLOOR / relative)
    gain_columns = np.array([[float(s == t) for t in sequences] for s, _, _ in seen])
    logs = np.log([value for _, _, value in seen])
    for _ in range(GAUSS_NEWTON_STEPS):
        here, *moved = predicted(own + np.vstack([np.zeros(len(own)), 0.01 * np.eye(len(own))]))
        slopes = (np.stack(moved, axis=1) - here[:, None]) / 0.01
        system = np.hstack([gain_columns, slopes]) * weight[:, None]
        wanted = (logs - here + slopes @ own) * weight
        prior = np.diag(np.r_[np.zeros(len(sequences)), np.ones(len(own))])
        found = np.linalg.solve(system.T @ system + prior, system.T @ wanted)
        own = np.clip(found[len(sequences) :], -3.0, 3.0)
    return {s: float(np.exp(found[i])) for i, s in enumerate(sequences)}


def _of_patient(name: str, own: NDArray[np.float64]) -> Atoms:
    """A reference tissue of patients who are so many standard deviations (4, n) from the typical one."""
    typical, (density, fat, t1, t2) = ANCHORS[name], ANCHOR_SPREAD[name]
    return Atoms(
        typical.density * np.exp(own[0] * density),
        np.clip(typical.fat_fraction + own[1] * fat, 0.0, 0.98),
        typical.t1_ms * np.exp(own[2] * t1),
        typical.t2_ms * np.exp(own[3] * t2),
    )


@dataclass(frozen=True, eq=False)
class ContrastMap:
    """From signals to the correction of each sequence.

    Parameters
    ----------
    telling : tuple of Sequence
        Sequences whose signals are looked at.
    ratios : mapping of Sequence to ndarray of float, shape (NODES,) * len(telling)
        Mean logarithm of reference over own signal, for each sequence.
    spreads : mapping of Sequence to ndarray of float, the same shape
        Its standard deviation over the tissues that fit.
    """

    telling: tuple[Sequence, ...]
    ratios: Mapping[Sequence, NDArray[np.float64]]
    spreads: Mapping[Sequence, NDArray[np.float64]]

    def places(self, signals: Mapping[Sequence, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Find voxels in the tables.

        Parameters
        ----------
        signals : mapping of Sequence to ndarray of float, shape (n,)
            Signals of the telling sequences relative to fully relaxed CSF protons.

        Returns
        -------
        ndarray of float32, shape (len(telling), n)
            Their places, in nodes.
        """
        low, high = np.log(SIGNAL_RANGE)
        return np.stack(
            [
                (np.log(np.clip(signals[s], *SIGNAL_RANGE)) - np.float32(low)) * np.float32((NODES - 1) / (high - low))
                for s in self.telling
            ]
        )

    def factor(self, places: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
        """Look up what brings voxels to the reference acquisition.

        Parameters
        ----------
        places : ndarray of float32, shape (len(telling), n)
            From `places`.
        sequence : Sequence
            What is corrected.

        Returns
        -------
        ndarray of float32, shape (n,)
            By which the signal is to be multiplied.
        """
        return np.exp(_looked_up(self.ratios[sequence], places))

    def spread(self, places: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
        """Look up how sure `factor` is.

        Parameters
        ----------
        places : ndarray of float32, shape (len(telling), n)
            From `places`.
        sequence : Sequence
            What is corrected.

        Returns
        -------
        ndarray of float32, shape (n,)
            Relative standard deviation of the factor.
        """
        return _looked_up(self.spreads[sequence], places)


def _looked_up(table: NDArray[np.float64], places: NDArray[np.float32]) -> NDArray[np.float32]:
    found = map_coordinates(table.astype(np.float32), places, order=1, mode="nearest", output=np.float32)
    return np.asarray(found, np.float32)


def contrast_map(acquisitions: Mapping[Sequence, Acquisition]) -> ContrastMap | None:
    """Prepare the correction of a study.

    Parameters
    ----------
    acquisitions : mapping of Sequence to Acquisition
        How each series was taken; those that the equations do not describe are left out.

    Returns
    -------
    ContrastMap or None
        None where no series that tells tissues apart can be described.
    """
    known = {s: a for s, a in acquisitions.items() if describable(s, a)}
    telling = tuple(s for s in TELLING if s in known)[:MOST_TELLING]
    if not telling:
        return None
    nodes = np.linspace(np.log(SIGNAL_RANGE[0]), np.log(SIGNAL_RANGE[1]), NODES)
    plain, agent = atoms(), atoms(enhanced=True)
    near = [np.exp(-0.5 * ((nodes[:, None] - _log_signal(plain, known[s])) / LOG_NOISE) ** 2) for s in telling]
    names = list(known)
    logs = {s: _log_ratio(agent if s is Sequence.T1CE else plain, s, known[s]) for s in names}
    moments = np.stack([np.ones(N_ATOMS), *(m for s in names for m in (logs[s], logs[s] ** 2))])
    first = near[0] if len(near) == 1 else np.einsum("ak,bk->abk", near[0], near[1]).reshape(-1, N_ATOMS)
    last = moments if len(near) < 3 else (near[2][:, None, :] * moments).reshape(-1, N_ATOMS)
    sums = (first @ last.T).reshape(*(NODES,) * len(near), len(moments))
    sums += LEAST_WEIGHT * moments.mean(axis=1)
    ratios, spreads = {}, {}
    for number, s in enumerate(names):
        mean, square = (sums[..., 1 + 2 * number + i] / sums[..., 0] for i in (0, 1))
        ratios[s], spreads[s] = mean, np.sqrt(np.maximum(square - mean**2, 0.0))
    return ContrastMap(telling, ratios, spreads)


def _log_signal(tissue: Atoms, acquisition: Acquisition) -> NDArray[np.float64]:
    return np.log(np.maximum(signal(tissue, acquisition), SIGNAL_RANGE[0]))


def _log_ratio(tissue: Atoms, sequence: Sequence, acquisition: Acquisition) -> NDArray[np.float64]:
    return _log_signal(tissue, reference_of(sequence, acquisition)) - _log_signal(tissue, acquisition)
