"""Who has what: which vertebra of a patient gets which lesion, by published frequency or enriched for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SettingsError
from spondyl.phantom.kinds import MALIGNANT, LesionKind
from spondyl.phantom.treatment import Hardware

if TYPE_CHECKING:
    from spondyl.phantom.person import Person
    from spondyl.phantom.vertebra import VertebraShape

MIXES = ("mixed", "malignant", "benign", "prevalence", "none")
"""Ways to fill a patient: all kinds, enriched for training; malignant ones alone; benign ones alone; as frequent as
published; none."""

_K = LesionKind

PRIMARIES: dict[str, tuple[float, dict[LesionKind, float]]] = {
    "lung": (0.24, {_K.LYTIC: 0.7, _K.MIXED: 0.2, _K.SCLEROTIC: 0.1}),
    "breast": (0.17, {_K.LYTIC: 0.35, _K.MIXED: 0.45, _K.SCLEROTIC: 0.2}),
    "prostate": (0.17, {_K.SCLEROTIC: 0.8, _K.MIXED: 0.2}),
    "kidney": (0.08, {_K.EXPANSILE: 0.5, _K.LYTIC: 0.5}),
    "thyroid": (0.04, {_K.EXPANSILE: 0.4, _K.LYTIC: 0.6}),
    "melanoma": (0.04, {_K.HEMORRHAGIC: 0.7, _K.LYTIC: 0.3}),
    "gastrointestinal": (0.08, {_K.LYTIC: 0.5, _K.MIXED: 0.35, _K.SCLEROTIC: 0.15}),
    "myeloma": (0.10, {_K.MYELOMA: 1.0}),
    "lymphoma": (0.04, {_K.LYMPHOMA: 1.0}),
    "solitary": (0.04, {_K.PLASMACYTOMA: 0.5, _K.CHORDOMA: 0.5}),
}
"""Share of each primary among the patients, and what its lesions are like: western series, lung, breast and prostate
together 50 to 65 %; prostate 80 to 90 % sclerotic. Solitary ones are made more frequent than they are. Chosen by us."""

DIFFUSE_SHARE, MICRONODULAR_SHARE = 0.05, 0.03
"""Share of malignant patients whose whole marrow is infiltrated, evenly or as salt and pepper. Chosen by us."""

MORE_LESIONS = 1.8
"""Mean number of lesions beyond the first: more than half have several (Wang 2019: 39 % on three levels or more)."""

SPECIAL_SHARES = {
    _K.PATHOLOGICAL_FRACTURE: 0.10,
    _K.EPIDURAL: 0.03,
    _K.PARASPINAL: 0.03,
    _K.TREATED: 0.08,
}
"""Share of malignant lesions that are these, whatever the primary. Chosen by us."""

INTRADURAL_SHARES = {
    _K.MENINGIOMA: 0.24,
    _K.SCHWANNOMA: 0.30,
    _K.LEPTOMENINGEAL: 0.18,
    _K.EPENDYMOMA: 0.12,
    _K.ASTROCYTOMA: 0.08,
    _K.CORD_METASTASIS: 0.08,
}
"""Relative frequency of tumors inside the dura. Chosen by us."""

INTRADURAL_SHARE = {"mixed": 0.06, "malignant": 0.04, "benign": 0.05, "prevalence": 0.006}
"""Share of patients with one, by mix: 5 to 6 % of spinal metastases lie inside the dura. Chosen by us."""

BENIGN_SHARES = {
    _K.HEMANGIOMA: 0.18,
    _K.HEMANGIOMA_ATYPICAL: 0.08,
    _K.FATTY: 0.13,
    _K.RED_MARROW: 0.08,
    _K.BONE_ISLAND: 0.05,
    _K.MODIC_1: 0.11,
    _K.MODIC_2: 0.12,
    _K.MODIC_3: 0.03,
    _K.FACET_EDEMA: 0.05,
    _K.SCHMORL: 0.05,
    _K.SCHMORL_ACUTE: 0.05,
    _K.OSTEOPOROTIC_FRACTURE: 0.08,
    _K.OSTEOPOROTIC_FRACTURE_OLD: 0.03,
    _K.DISCITIS: 0.03,
}
"""Relative frequency of mimics where they are enriched: rare but hard ones more often than in life. Chosen by us."""

PREVALENCE = {
    _K.HEMANGIOMA: 0.25,
    _K.HEMANGIOMA_ATYPICAL: 0.03,
    _K.FATTY: 0.13,
    _K.BONE_ISLAND: 0.017,
    _K.RED_MARROW: 0.05,
    _K.MODIC_1: 0.10,
    _K.MODIC_2: 0.28,
    _K.MODIC_3: 0.02,
    _K.FACET_EDEMA: 0.08,
    _K.SCHMORL: 0.08,
    _K.SCHMORL_ACUTE: 0.015,
    _K.DISCITIS: 0.005,
}
"""Share of people of 55 years with at least one: hemangioma 28 %, fat 13 % and sclerosis 1.7 % of 3259 adults (Kasch
2019, doi 10.1007/s00586-019-05928-z); endplate changes in 43 % of patients with back pain (Jensen 2008, Eur Spine J
17:1407), type 2 the commonest and type 3 the rarest. The others are chosen by us."""

MALIGNANT_SHARE = {"mixed": 0.6, "prevalence": 0.35}
"""Share of patients with malignant disease: enriched, and as among those sent for suspected disease. Chosen by us."""

HARDWARE_SHARE = {"mixed": 0.03, "malignant": 0.06, "benign": 0.03, "prevalence": 0.03, "none": 0.0}
"""Share of patients with screws and rods. Chosen by us."""

CEMENT_SHARE, RADIATION_SHARE = 0.03, 0.05
"""Share of patients with a fracture or tumor who carry cement, and of those with a tumor who were irradiated. Chosen
by us."""

NOT_HOSTS = ("C1", "S3", "S4", "S5")
"""Levels that get no lesions: too small to tell what is what."""

_DISC_KINDS = (_K.MODIC_1, _K.MODIC_2, _K.MODIC_3, _K.DISCITIS, _K.FACET_EDEMA)
NO_HARDWARE = Hardware()

_COLLAPSING = (_K.OSTEOPOROTIC_FRACTURE, _K.OSTEOPOROTIC_FRACTURE_OLD)


@dataclass(frozen=True)
class PlannedLesion:
    """A lesion to be painted.

    Parameters
    ----------
    level : str
        The vertebra; the upper one of a disc's two.
    kind : LesionKind
        What it is.
    span_mm : tuple of float, optional
        Edges of a radiation field (z, LPS mm).
    scale : float, optional
        Size relative to the one drawn; the same lesion at another time.
    escc : str, optional
        Wanted grade of epidural compression, over what the kind would do; empty for none.
    """

    level: str
    kind: LesionKind
    span_mm: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    escc: str = ""


@dataclass(frozen=True)
class Plan:
    """What a patient has.

    Parameters
    ----------
    lesions : tuple of PlannedLesion
        In the order of painting.
    hardware : Hardware
        Metal and missing arches.
    """

    lesions: tuple[PlannedLesion, ...] = ()
    hardware: Hardware = NO_HARDWARE


def make_plan(rng: np.random.Generator, hosts: list[VertebraShape], mix: str, person: Person) -> Plan:
    """Choose which vertebra gets what.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all variation.
    hosts : list of VertebraShape
        Vertebrae in the field of view, from below upward.
    mix : str
        One of `MIXES`.
    person : Person
        Age and sex: weak bones break with age, in women more.

    Returns
    -------
    Plan
        Lesions and hardware.

    Raises
    ------
    SettingsError
        If the mix is not known.
    """
    if mix not in MIXES:
        msg = f"lesions are {', '.join(MIXES)}, or a list of levels and kinds; got {mix!r}"
        raise SettingsError(msg)
    hosts = [s for s in hosts if s.level not in NOT_HOSTS]
    if mix == "none" or not hosts:
        return Plan()
    sick = mix == "malignant" or (rng.random() < MALIGNANT_SHARE.get(mix, 0.0) and person.age_years > 17)
    planned: list[PlannedLesion] = []
    if mix in ("mixed", "benign"):
        planned += _enriched_mimics(rng, hosts, 2.0 if mix == "mixed" else 3.0)
    elif mix == "prevalence":
        planned += _usual_mimics(rng, hosts, person)
    if sick:
        planned = _malignant(rng, hosts) + planned
    if rng.random() < INTRADURAL_SHARE[mix]:
        planned += _inside_the_dura(rng, hosts, mix)
    planned, hardware = _treated(rng, hosts, planned, mix, sick=sick)
    return Plan(tuple(_one_collapse_each(planned)), hardware)


def _choose(rng: np.random.Generator, shares: dict[LesionKind, float]) -> LesionKind:
    weights = np.array(list(shares.values()))
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _by_marrow(rng: np.random.Generator, hosts: list[VertebraShape]) -> str:
    """Draw a level by the volume of its body: more marrow, more seeds."""
    weight = np.array([s.half_width_mm * s.half_depth_mm * s.height_mm for s in hosts])
    return hosts[int(rng.choice(len(hosts), p=weight / weight.sum()))].level


def _malignant(rng: np.random.Generator, hosts: list[VertebraShape]) -> list[PlannedLesion]:
    draw = rng.random()
    if draw < DIFFUSE_SHARE + MICRONODULAR_SHARE:
        kind = _K.DIFFUSE if draw < DIFFUSE_SHARE else _K.MICRONODULAR
        return [PlannedLesion(s.level, kind) for s in hosts]
    names = list(PRIMARIES)
    weights = np.array([PRIMARIES[n][0] for n in names])
    primary = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    kinds = PRIMARIES[primary][1]
    if primary == "solitary":
        sacral = [s for s in hosts if s.is_sacral] or hosts
        kind = _choose(rng, kinds)
        return [PlannedLesion(_by_marrow(rng, sacral if kind is _K.CHORDOMA else hosts), kind)]
    planned = []
    for _ in range(1 + rng.poisson(MORE_LESIONS)):
        special = rng.random() < sum(SPECIAL_SHARES.values())
        kind = _choose(rng, SPECIAL_SHARES if special else kinds)
        planned.append(PlannedLesion(_by_marrow(rng, hosts), kind))
    return planned


def _enriched_mimics(rng: np.random.Generator, hosts: list[VertebraShape], mean: float) -> list[PlannedLesion]:
    return [_mimic(rng, hosts, _choose(rng, BENIGN_SHARES)) for _ in range(rng.poisson(mean))]


def _usual_mimics(rng: np.random.Generator, hosts: list[VertebraShape], person: Person) -> list[PlannedLesion]:
    """Mimics as common as in people of this age; the shares hold at 55 years and grow with age."""
    growth = np.interp(person.age_years, [15, 55, 85], [0.2, 1.0, 1.4])
    found = [kind for kind, share in PREVALENCE.items() if rng.random() < share * growth]
    planned = []
    for kind in found:
        planned += [_mimic(rng, hosts, kind) for _ in range(1 + rng.poisson(0.4))]
    weak = np.interp(person.age_years, [50, 60, 85], [0.0, 0.05, 0.22]) * (1.0 if person.female else 0.5)
    if rng.random() < weak:
        planned.append(_mimic(rng, hosts, _COLLAPSING[int(rng.random() < 0.5)]))
    return planned


def _mimic(rng: np.random.Generator, hosts: list[VertebraShape], kind: LesionKind) -> PlannedLesion:
    """Put a mimic where it belongs: at worn discs, in the thoracolumbar spine, or anywhere."""
    mobile = [s for s in hosts if not s.is_sacral and s.level != "C2"] or hosts
    if kind in _DISC_KINDS:
        wear = np.array([0.05 + s.disc.degeneration**2 for s in mobile])
        return PlannedLesion(mobile[int(rng.choice(len(mobile), p=wear / wear.sum()))].level, kind)
    if kind in _COLLAPSING or kind in (_K.SCHMORL, _K.SCHMORL_ACUTE):
        hosts = [s for s in mobile if s.level[0] in "TL"] or mobile
    return PlannedLesion(hosts[int(rng.integers(len(hosts)))].level, kind)


def _inside_the_dura(rng: np.random.Generator, hosts: list[VertebraShape], mix: str) -> list[PlannedLesion]:
    fits = {"malignant": True, "benign": False}.get(mix)
    shares = {k: s for k, s in INTRADURAL_SHARES.items() if fits is None or (k in MALIGNANT) is fits}
    kind = _choose(rng, shares)
    above_conus = [s for s in hosts if s.level[0] in "CT"]
    if kind in (_K.EPENDYMOMA, _K.ASTROCYTOMA, _K.CORD_METASTASIS):
        hosts = above_conus
    hosts = [s for s in hosts if not s.is_sacral]
    return [PlannedLesion(hosts[int(rng.integers(len(hosts)))].level, kind)] if hosts else []


def _treated(
    rng: np.random.Generator, hosts: list[VertebraShape], planned: list[PlannedLesion], mix: str, *, sick: bool
) -> tuple[list[PlannedLesion], Hardware]:
    """Add cement, a radiation field, and screws around what was operated on."""
    levels = [s.level for s in hosts]
    focus = planned[0].level if planned else levels[int(rng.integers(len(levels)))]
    if mix != "malignant" and rng.random() < CEMENT_SHARE:
        planned = [p for p in planned if p.level != focus] + [PlannedLesion(focus, _K.CEMENT)]
    if sick and mix != "malignant" and rng.random() < RADIATION_SHARE:
        at = levels.index(focus)
        field = hosts[max(at - 1, 0) : at + 2]
        span = (
            float(field[0].center_lps_mm[2] - rng.uniform(0, 14)),
            float(field[-1].center_lps_mm[2] + rng.uniform(0, 14)),
        )
        planned = [PlannedLesion(s.level, _K.RADIATION, span) for s in field] + planned
    if rng.random() >= HARDWARE_SHARE[mix]:
        return planned, NO_HARDWARE
    mobile = [level for level in levels if level[0] in "TL" or level == "S1"]
    if not mobile:
        return planned, NO_HARDWARE
    at = mobile.index(focus) if focus in mobile else int(rng.integers(len(mobile)))
    reach = int(rng.integers(1, 3))
    spanned = mobile[max(at - reach, 0) : at + reach + 1]
    screws = tuple(s for s in spanned if s != mobile[at] or rng.random() < 0.3)
    opened = (mobile[at],) if mobile[at] != "S1" and rng.random() < 0.6 else ()
    return planned, Hardware(screws, opened)


def _one_collapse_each(planned: list[PlannedLesion]) -> list[PlannedLesion]:
    """Keep the first fracture of each vertebra: bones break once here."""
    broken: set[str] = set()
    kept = []
    for lesion in planned:
        if lesion.kind in (*_COLLAPSING, _K.PATHOLOGICAL_FRACTURE):
            if lesion.level in broken or lesion.level[0] == "S" or lesion.level == "C2":
                continue
            broken.add(lesion.level)
        kept.append(lesion)
    return kept
