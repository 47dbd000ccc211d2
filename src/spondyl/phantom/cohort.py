"""Who is drawn for what: seeds that never meet, and studies as they come in practice.

A patient is its seed. Training, tests, benchmarks and demonstrations draw from ranges that do not overlap, and a
benchmark can be hidden: seeds made from a phrase that only its keeper knows lie where no range reaches. Scanners are
kept apart too: some makes, field strengths and timings are never drawn for training.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.patient import PatientSettings, SyntheticPatient, simulate_patient

if TYPE_CHECKING:
    from collections.abc import Mapping


class Purpose(StrEnum):
    """What patients are drawn for."""

    TRAINING = "training"
    VALIDATION = "validation"
    DEMONSTRATION = "demonstration"
    TESTING = "testing"
    BENCHMARK = "benchmark"
    HIDDEN = "hidden"


SEED_RANGES: Mapping[Purpose, range] = MappingProxyType(
    {
        Purpose.TRAINING: range(900_000),
        Purpose.VALIDATION: range(900_000, 1_000_000),
        Purpose.DEMONSTRATION: range(1_000_000, 2_000_000),
        Purpose.TESTING: range(2_000_000, 10_000_000),
        Purpose.BENCHMARK: range(10_000_000, 100_000_000),
        Purpose.HIDDEN: range(2**40, 2**60),
    }
)
"""Seeds of each purpose. Training and validation lie below one million, all that measures or shows lies above."""


class Scanner(NamedTuple):
    """A make and a field strength.

    Parameters
    ----------
    vendor : str
        Vendor family.
    field_strength_t : float
        Field strength in tesla.
    unseen_timing : bool
        Whether its TE and TR lie beyond all that training draws from.
    """

    vendor: str
    field_strength_t: float
    unseen_timing: bool = False


SEEN_SCANNERS = tuple(Scanner(v, f) for v in ("siemens", "ge", "philips") for f in (1.5, 3.0))
"""Scanners that patients for training and demonstration are taken on."""

UNSEEN_SCANNERS = (
    Scanner("canon", 1.5),
    Scanner("canon", 3.0, unseen_timing=True),
    Scanner("uih", 1.5, unseen_timing=True),
    Scanner("uih", 3.0),
    Scanner("siemens", 0.55),
)
"""Scanners that are kept for tests and benchmarks."""

REGION_SHARES = {"lumbar": 0.62, "thoracolumbar": 0.14, "thoracic": 0.07, "cervical": 0.09, "whole": 0.08}
"""Share of each part of the spine among the studies. Chosen by us."""

_S = Sequence

SEQUENCE_SETS: tuple[tuple[float, tuple[Sequence, ...]], ...] = (
    (0.28, (_S.T1, _S.T2, _S.STIR)),
    (0.18, (_S.T1, _S.T2, _S.STIR, _S.DWI, _S.T1CE)),
    (0.14, (_S.T1, _S.T2, _S.STIR, _S.T1CE)),
    (0.10, (_S.T1, _S.T2, _S.STIR, _S.DWI)),
    (0.10, (_S.T1, _S.T2)),
    (0.06, (_S.T2, _S.STIR)),
    (0.05, (_S.T1, _S.STIR)),
    (0.05, (_S.T1, _S.DIXON_WATER)),
    (0.04, (_S.T2,)),
)
"""How often each set of sequences is taken: guidelines ask for T1, T2 and STIR, practice for more and less. Chosen by
us."""

AXIAL_SHARE, COMPOSED_SHARE = 0.4, 0.5
"""Share of studies with an axial T2, and of whole spines whose stations were joined. Chosen by us."""


@dataclass(frozen=True)
class PatientDraw:
    """How one patient of a cohort is made.

    Parameters
    ----------
    seed : int
        The patient.
    purpose : Purpose
        What for.
    region : str
        Part of the spine.
    sequences : tuple of Sequence
        Sagittal series.
    scanner : Scanner
        What takes them.
    lesions : str
        How lesions are chosen, as in `build_anatomy`.
    settings : PatientSettings
        The rest.
    """

    seed: int
    purpose: Purpose
    region: str
    sequences: tuple[Sequence, ...]
    scanner: Scanner
    lesions: str
    settings: PatientSettings

    def simulate(self) -> SyntheticPatient:
        """Make the patient and take the images.

        Returns
        -------
        SyntheticPatient
            Images and truth.
        """
        return simulate_patient(
            self.seed,
            region=self.region,
            sequences=self.sequences,
            vendor=self.scanner.vendor,
            field_strength_t=self.scanner.field_strength_t,
            lesions=self.lesions,
            settings=self.settings,
        )


def cohort_seeds(purpose: Purpose | str, n: int, *, first: int = 0) -> range:
    """Give the seeds of a cohort.

    Parameters
    ----------
    purpose : Purpose or str
        What for; hidden cohorts take `hidden_seeds`.
    n : int
        Number of patients.
    first : int, optional
        Where in the purpose's range to begin, to tell cohorts of one purpose apart.

    Returns
    -------
    range
        `n` seeds that no other purpose has.

    Raises
    ------
    SettingsError
        If the purpose is not known or hidden, or its range does not hold as many.
    """
    known = [p for p in Purpose if p is not Purpose.HIDDEN]
    if purpose not in known:
        msg = f"a cohort's purpose is one of {', '.join(known)}, got {purpose!r}; hidden cohorts take hidden_seeds"
        raise SettingsError(msg)
    seeds = SEED_RANGES[Purpose(purpose)]
    if n < 0 or first < 0 or first + n > len(seeds):
        msg = f"{purpose} has {len(seeds)} seeds, got first={first} and n={n}"
        raise SettingsError(msg)
    return seeds[first : first + n]


def hidden_seeds(phrase: str, n: int) -> tuple[int, ...]:
    """Give the seeds of a cohort that only those who know a phrase can make.

    Parameters
    ----------
    phrase : str
        A secret of the benchmark's keeper.
    n : int
        Number of patients.

    Returns
    -------
    tuple of int
        Different seeds in the range kept for this, the same for the same phrase.

    Raises
    ------
    SettingsError
        If the phrase is empty or the number negative.
    """
    if not phrase or n < 0:
        msg = f"hidden seeds need a phrase and a number that is not negative, got {len(phrase)} characters and n={n}"
        raise SettingsError(msg)
    seeds = SEED_RANGES[Purpose.HIDDEN]
    digests = (hashlib.sha256(f"{number}:{phrase}".encode()).digest() for number in range(4 * n + 16))
    drawn = dict.fromkeys(seeds[int.from_bytes(d[:16], "big") % len(seeds)] for d in digests)
    return tuple(islice(drawn, n))


def purpose_of(seed: int) -> Purpose:
    """Say what a seed is for.

    Parameters
    ----------
    seed : int
        A patient.

    Returns
    -------
    Purpose
        The purpose whose range holds it.

    Raises
    ------
    SettingsError
        If none does.
    """
    for purpose, seeds in SEED_RANGES.items():
        if seed in seeds:
            return purpose
    msg = f"no purpose has seed {seed}; choose one from cohort_seeds or hidden_seeds"
    raise SettingsError(msg)


def sample_patient_settings(seed: int, *, lesions: str | None = None) -> PatientDraw:
    """Draw how a patient of a cohort is made: region, sequences, scanner and disease as they come in practice.

    Parameters
    ----------
    seed : int
        The patient; its purpose follows from it.
    lesions : str, optional
        How lesions are chosen, as in `build_anatomy`; by default as the purpose has it. Probabilities are calibrated
        on validation patients with ``"prevalence"``.

    Returns
    -------
    PatientDraw
        For training, validation and demonstration on `SEEN_SCANNERS` with enriched lesions; else on
        `UNSEEN_SCANNERS` with lesions as frequent as published, a third of the patients with malignant disease.

    Raises
    ------
    SettingsError
        If the seed belongs to no purpose.
    """
    purpose = purpose_of(seed)
    seen = purpose in (Purpose.TRAINING, Purpose.VALIDATION, Purpose.DEMONSTRATION)
    rng = np.random.default_rng([seed, 20])
    scanners = SEEN_SCANNERS if seen else UNSEEN_SCANNERS
    scanner = scanners[int(rng.integers(len(scanners)))]
    region = str(rng.choice(list(REGION_SHARES), p=list(REGION_SHARES.values())))
    shares = [share for share, _ in SEQUENCE_SETS]
    sequences = SEQUENCE_SETS[int(rng.choice(len(shares), p=shares))][1]
    settings = PatientSettings(
        axial_t2=bool(rng.random() < AXIAL_SHARE),
        composed=region == "whole" and bool(rng.random() < COMPOSED_SHARE),
        unseen_timing=scanner.unseen_timing,
    )
    lesions = lesions or ("mixed" if seen else "prevalence")
    return PatientDraw(seed, purpose, region, sequences, scanner, lesions, settings)
