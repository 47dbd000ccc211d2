"""The biology of synthetic patients: latent subtypes that drive omics and the look of lesions, and what hides them.

Behind every patient stand a subtype and six programs, such as osteolysis, which vary around the subtype's mean. They
move features of the lesion's image, expression, mutations and the pathology embedding. On top lies what makes real
cohorts hard: scanners that shift and stretch features, and to which subtypes are not sent at random; a tissue of
origin that dominates expression; stains by site; sequences and whole modalities that are missing. The truth is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from spondyl.core import SettingsError
from spondyl.core.genes import DRIVERS, GENE_SETS, MEDIAN_TMB_PER_MB
from spondyl.phantom.biology_tables import (
    DRIVER_TILT,
    IMAGE_FEATURES,
    PRIMARY_SHARES,
    PROGRAM_SETS,
    PROGRAMS,
    QUIET_GENES,
    SUBTYPES,
    TISSUE_GENES,
)
from spondyl.phantom.missingness import PATTERNS, Circumstances, draw_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class ScannerSite(NamedTuple):
    """Where and on what a patient is scanned.

    Parameters
    ----------
    scanner, site, vendor : str
        The machine, the hospital, the make.
    field : str
        Field strength, in tesla.
    coil : str
        The receive coil.
    """

    scanner: str
    site: str
    vendor: str
    field: str
    coil: str


SCANNERS = (
    ScannerSite("scanner_1", "site_a", "siemens", "1.5", "spine_array"),
    ScannerSite("scanner_2", "site_a", "siemens", "3.0", "spine_array"),
    ScannerSite("scanner_3", "site_b", "ge", "1.5", "body_array"),
    ScannerSite("scanner_4", "site_b", "philips", "3.0", "spine_array"),
    ScannerSite("scanner_5", "site_c", "ge", "3.0", "body_array"),
    ScannerSite("scanner_6", "site_c", "philips", "1.5", "body_array"),
)
"""Six scanners in three hospitals. Chosen by us."""

CONFOUNDERS = ("coil", "vendor", "field", "site")
"""Columns that describe where a patient was scanned."""


@dataclass(frozen=True)
class BiologySettings:
    """What a synthetic cohort with omics is like.

    Parameters
    ----------
    confounding : float
        From 0, scanners are drawn at random, to 1, every subtype has scanners of its own.
    scanner_strength : float
        Standard deviation of the shift of a feature between scanners, in standard deviations between patients.
    missing_omics : float
        Share of omics tables that are missing.
    missing_pattern : str
        One of `spondyl.phantom.missingness.PATTERNS`.
    missing_sequences : float
        Share of patients in whom each of T1CE, DWI with ADC, and Dixon was not taken.
    within_subtype_sd : float
        Standard deviation of programs between patients of one subtype.
    pathology_dimension : int
        Numbers of a pathology embedding.
    bend : float
        How strongly image features follow squares of programs, beside programs themselves; 0 for straight lines.
    stain_strength : float
        Standard deviation of the shift of a pathology embedding between sites.
    world : int
        Which constants of nature: levels of genes, what programs do to them, what scanners and stains do. Cohorts of
        one world can be placed among each other; a benchmark draws a world for each.

    Raises
    ------
    SettingsError
        If one is out of range.
    """

    confounding: float = 0.5
    scanner_strength: float = 1.0
    missing_omics: float = 0.3
    missing_pattern: str = "random"
    missing_sequences: float = 0.2
    within_subtype_sd: float = 0.45
    pathology_dimension: int = 64
    bend: float = 0.0
    stain_strength: float = 0.5
    world: int = 0

    def __post_init__(self) -> None:
        shares = (self.confounding, self.missing_omics, self.missing_sequences)
        if any(not 0 <= share <= 1 for share in shares) or self.missing_pattern not in PATTERNS:
            msg = (
                "confounding, missing_omics and missing_sequences lie between 0 and 1 and missing_pattern is one of "
                f"{', '.join(PATTERNS)}, got {shares} and {self.missing_pattern!r}"
            )
            raise SettingsError(msg)
        if (
            min(self.scanner_strength, self.within_subtype_sd, self.stain_strength, self.bend) < 0
            or self.pathology_dimension < 1
        ):
            msg = "strengths must not be negative and pathology_dimension at least 1"
            raise SettingsError(msg)


@dataclass(frozen=True, eq=False)
class OmicsCohort:
    """Synthetic patients and their truth.

    Parameters
    ----------
    patients : DataFrame, shape (n, ...)
        Primary, site, scanner, vendor, field, coil, age; by patient id.
    modalities : dict of str to DataFrame
        ``imaging``, ``mutations`` (counts), ``expression`` (log2 of TPM + 1) and ``pathology``; rows by patient id,
        without the patients in whom it is missing.
    truth : DataFrame, shape (n, ...)
        Subtype and programs; by patient id.
    missing_probability : DataFrame, shape (n, 3)
        How probable it was that each of mutations, expression and pathology would be missing; by patient id.
    hidden : dict of str to DataFrame
        The rows that are missing from `modalities`, as they would have been.
    """

    patients: pd.DataFrame
    modalities: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    missing_probability: pd.DataFrame
    hidden: dict[str, pd.DataFrame]


def simulate_omics_cohort(n: int, seed: int, settings: BiologySettings | None = None) -> OmicsCohort:
    """Draw a cohort.

    Parameters
    ----------
    n : int
        Number of patients.
    seed : int
        The same seed gives the same patients; with other settings of confounding, the same patients elsewhere.
    settings : BiologySettings, optional
        What it is like.

    Returns
    -------
    OmicsCohort
        Tables and truth.

    Raises
    ------
    SettingsError
        If `n` is not positive.
    """
    settings = settings or BiologySettings()
    if n < 1:
        msg = f"a cohort has at least one patient, got n={n}"
        raise SettingsError(msg)
    ids = pd.Index([f"P{i:05d}" for i in range(n)], name="patient_id")
    subtype, programs, primary = _disease(n, np.random.default_rng([seed, 1]), settings)
    scanner = _assigned(subtype, np.random.default_rng([seed, 2]), settings.confounding)
    rows = [SCANNERS[s] for s in scanner]
    patients = pd.DataFrame(rows, index=ids, columns=list(ScannerSite._fields))
    patients.insert(0, "primary", primary)
    patients["age_years"] = np.random.default_rng([seed, 3]).normal(64, 11, n).clip(25, 92).round(1)
    site = patients["site"].to_numpy()
    modalities = {
        "imaging": _imaging(programs, scanner, np.random.default_rng([seed, 4]), settings),
        "mutations": _mutations(subtype, primary, np.random.default_rng([seed, 5])),
        "expression": _expression(programs, primary, np.random.default_rng([seed, 6]), settings),
        "pathology": _pathology(programs, primary, site, np.random.default_rng([seed, 7]), settings),
    }
    where = Circumstances(site, modalities["imaging"]["log_volume_mm3"].to_numpy())
    probability, gone = draw_missing(
        where, np.random.default_rng([seed, 8]), settings.missing_pattern, settings.missing_omics
    )
    full = {name: table.set_axis(ids, axis=0) for name, table in modalities.items()}
    present = {name: table[~gone[name]] if name in gone else table for name, table in full.items()}
    truth = pd.DataFrame(programs, index=ids, columns=list(PROGRAMS))
    truth.insert(0, "subtype", np.asarray(list(SUBTYPES))[subtype])
    chance = pd.DataFrame(probability, index=ids)
    return OmicsCohort(patients, present, truth, chance, {name: full[name][gone[name]] for name in gone})


def _disease(
    n: int, rng: np.random.Generator, settings: BiologySettings
) -> tuple[NDArray[np.intp], Floats, NDArray[np.str_]]:
    means = np.array(list(SUBTYPES.values()))
    subtype = rng.permutation(np.arange(n) % len(means))
    programs = means[subtype] + settings.within_subtype_sd * rng.normal(size=(n, len(PROGRAMS)))
    shares = np.array(list(PRIMARY_SHARES.values()))
    u = rng.random(n)
    cumulated = np.cumsum(shares / shares.sum(axis=0), axis=0)[:, subtype]
    return subtype, programs, np.asarray(list(PRIMARY_SHARES))[(u > cumulated).sum(axis=0).clip(0, len(shares) - 1)]


def _assigned(subtype: NDArray[np.intp], rng: np.random.Generator, confounding: float) -> NDArray[np.intp]:
    """Scanner of each patient: from the scanners that a subtype is sent to, or any."""
    k = len(SCANNERS)
    preferred = np.column_stack([subtype, (subtype + 1 + subtype // 2) % k])
    own = preferred[np.arange(len(subtype)), rng.integers(2, size=len(subtype))]
    return np.where(rng.random(len(subtype)) < confounding, own, rng.integers(k, size=len(subtype)))


def _imaging(
    programs: Floats, scanner: NDArray[np.intp], rng: np.random.Generator, settings: BiologySettings
) -> pd.DataFrame:
    """Features of the patient's main lesion as the scanner shows them."""
    features = list(IMAGE_FEATURES.values())
    pull = np.array([f.pull for f in features])
    groups = np.unique([f.group for f in features], return_inverse=True)
    n, p = len(programs), len(features)
    group_noise = rng.normal(size=(n, len(groups[0])))[:, groups[1]]
    own = np.sqrt(0.35) * group_noise + np.sqrt(0.65) * rng.normal(size=(n, p))
    z = programs @ pull.T + 0.75 * own
    if settings.bend:
        curved = np.random.default_rng([settings.world, 18]).normal(size=(programs.shape[1], p)) / np.sqrt(6)
        z += settings.bend * (programs**2 - (programs**2).mean(axis=0)) @ curved
    k, world = len(SCANNERS), np.random.default_rng([settings.world, 14])
    shift = np.sqrt(0.6) * world.normal(size=(k, len(groups[0])))[:, groups[1]] * world.choice([-1, 1], p)
    shift = settings.scanner_strength * (shift + np.sqrt(0.4) * world.normal(size=(k, p)))
    gain = np.exp(0.25 * settings.scanner_strength * world.normal(size=(k, len(groups[0])))[:, groups[1]])
    rigid = np.array([f.group for f in features]) == "shape"
    shift, gain = np.where(rigid, 0.15 * shift, shift), np.where(rigid, 1.0, gain)
    z = shift[scanner] + gain[scanner] * z
    values = np.array([f.mean for f in features]) + np.array([f.sd for f in features]) * z
    for taken in (("T1CE",), ("DWI", "ADC"), ("DIXON",)):
        absent = rng.random(n) < settings.missing_sequences
        own = np.array([i for i, f in enumerate(features) if f.group in taken])
        values[np.ix_(np.flatnonzero(absent), own)] = np.nan
    return pd.DataFrame(values, columns=list(IMAGE_FEATURES))


def _mutations(subtype: NDArray[np.intp], primary: NDArray[np.str_], rng: np.random.Generator) -> pd.DataFrame:
    """Count mutations per driver gene, and give the burden."""
    genes = sorted({gene for table in DRIVERS.values() for gene in table})
    names = list(SUBTYPES)
    passenger = 0.01
    counts = np.zeros((len(subtype), len(genes)))
    for row, (s, where) in enumerate(zip(subtype, primary, strict=True)):
        share = np.array([DRIVERS[str(where)].get(gene, passenger) for gene in genes])
        tilt = np.array([DRIVER_TILT[names[s]].get(gene, 0.0) for gene in genes])
        odds = share / (1 - share) * np.exp(tilt)
        counts[row] = (rng.random(len(genes)) < odds / (1 + odds)) * (1 + rng.poisson(0.1, len(genes)))
    table = pd.DataFrame(counts, columns=genes)
    median = np.array([MEDIAN_TMB_PER_MB[str(where)] for where in primary])
    table["tmb_per_mb"] = (median * np.exp(0.6 * rng.normal(size=len(subtype)))).round(2)
    return table


def _expression(
    programs: Floats, primary: NDArray[np.str_], rng: np.random.Generator, settings: BiologySettings
) -> pd.DataFrame:
    """Expression as log2 of transcripts per million plus one; purity moves tissue and stroma against each other."""
    genes = sorted({g for s in GENE_SETS.values() for g in s.genes} | {g for t in TISSUE_GENES.values() for g in t})
    genes += [gene for gene in QUIET_GENES if gene not in genes]
    n, place = len(programs), {gene: i for i, gene in enumerate(genes)}
    world = np.random.default_rng([settings.world, 16])
    level = world.normal(4.5, 1.6, len(genes)).clip(1.5)
    level[-len(QUIET_GENES) :] += 3.0
    z = 0.7 * rng.normal(size=(n, len(genes)))
    z += 0.5 * rng.normal(size=(n, 2)) @ world.normal(size=(2, len(genes)))
    for number, program in enumerate(PROGRAMS):
        for gene in (g for name in PROGRAM_SETS[program] for g in GENE_SETS[name].genes):
            z[:, place[gene]] += world.uniform(0.25, 0.65) * programs[:, number]
    purity = rng.normal(size=n)
    for where, own in TISSUE_GENES.items():
        for gene in own:
            z[:, place[gene]] += np.where(primary == where, world.uniform(3, 6) + purity, 0.0)
    return pd.DataFrame(np.maximum(level + z, 0.0), columns=genes)


def _pathology(
    programs: Floats,
    primary: NDArray[np.str_],
    site: NDArray[np.str_],
    rng: np.random.Generator,
    settings: BiologySettings,
) -> pd.DataFrame:
    """Slide embeddings: morphology of tissue and programs, and the stain of the laboratory."""
    n, d = len(programs), settings.pathology_dimension
    world = np.random.default_rng([settings.world, 17])
    z = 0.45 * programs @ world.normal(size=(programs.shape[1], d)) / np.sqrt(2)
    z += rng.normal(size=(n, d))
    z += rng.normal(size=(n, 4)) @ world.normal(size=(4, d)) * 0.4
    z += (0.6 * world.normal(size=(len(PRIMARY_SHARES), d)))[[list(PRIMARY_SHARES).index(str(w)) for w in primary]]
    sites = sorted({s.site for s in SCANNERS})
    z += (settings.stain_strength * world.normal(size=(len(sites), d)))[[sites.index(str(s)) for s in site]]
    return pd.DataFrame(z, columns=[f"e{i:03d}" for i in range(d)])
