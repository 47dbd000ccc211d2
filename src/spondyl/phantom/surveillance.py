"""Patients under surveillance for years: what is in their marrow long before it is seen, and what becomes of them.

Lesions begin as a seed, grow unseen, become overt, answer treatment or not, swell after radiotherapy; mimics come and
go; vertebrae break, cords are pressed on, patients die, by hazards that follow biology and burden as in
`spondyl.phantom.outcome`. The truth is kept: when each lesion began, when it could first be seen by change, when it was
overt. Marrow is that of `spondyl.phantom.marrow_cells`. Nothing here is clinical knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import SettingsError
from spondyl.core.marrow import VISIT_SIGNS, visit_signs
from spondyl.phantom.course import (
    DOUBLING_DAYS,
    PSEUDO_GAIN,
    PSEUDO_PEAK_DAYS,
    RESPONSE_DAYS,
    RESPONSE_LEFT,
    TREATED_AFTER_DAYS,
    Fate,
    LesionCourse,
)
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import PRIMARIES
from spondyl.phantom.marrow_cells import LEVELS, TUMOR_TISSUE, Patch, body_ml, draw_marrow
from spondyl.phantom.outcome import DEATH_EFFECTS, DEATH_HAZARD_PER_MONTH
from spondyl.phantom.person import sample_person
from spondyl.phantom.schedule import DAYS_PER_MONTH, Rhythm, ScheduleSettings, draw_schedule
from spondyl.phantom.tissue import Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from spondyl.core import Sequence
    from spondyl.phantom.marrow_cells import MarrowCells
    from spondyl.phantom.schedule import PlannedVisit

    Floats = NDArray[np.float64]
    Bodies = dict[Sequence, list[Floats]]

SEED_ML, SUBTHRESHOLD_ML, OVERT_ML = 0.02, 0.1, 1.0
"""Volume with which a lesion begins, from which it counts as disease below the threshold, and from which it is overt:
below 1 mL detection is unreliable everywhere (Wuts 2025). The first two are chosen by us."""

INSIDE = (0.1, 0.9)
"""Part of a lesion that lies where marrow is measured: many begin at the back, near a pedicle. In images of small
lesions of the phantom it was 0.1 to 0.8."""

WINDOW_DAYS = (-420.0, 900.0)
"""When lesions begin, in days after the first visit. Chosen by us."""

NEARBY_SHARE = 0.3
"""Share of the later lesions that begin next to an earlier one. Chosen by us."""

THERAPY_AFTER_DAYS, ANSWERS, RADIOTHERAPY = 20.0, 0.45, 0.3
"""Days from the first overt lesion seen to systemic treatment, share of lesions that answer, and share of overt ones
that are irradiated, their neighbors lying in the field. Chosen by us."""

SWELLS = 0.35
"""Share of irradiated lesions that swell before they answer. Chosen by us."""

FATTY_AFTER_DAYS, FATTY_SHARE = 90.0, 0.5
"""When, and how much of, irradiated marrow turns to fat. Chosen by us; change is seen from weeks on."""

MIMICS_PER_YEAR, MIMIC_SHARE, MIMIC_DAYS = 0.06, (0.02, 0.25), (60.0, 240.0)
"""New edema of other cause (endplates, small fractures) per vertebra and year, its share of the body, and the time
constant with which it fades. Chosen by us."""

STEP_DAYS = 7.0
"""Time step of the hazards."""

FRACTURE_HAZARD_PER_MONTH, COMPRESSION_HAZARD_PER_MONTH = 0.012, 0.004
"""Of a vertebra with an overt lytic lesion of a tenth of its body, and of a lesion of 1 mL. Chosen by us."""

FOLLOW_UP_DAYS = (540.0, 1000.0)
"""Between these, evenly, the study ends for each patient."""

NONE, SUBTHRESHOLD, OVERT = 0, 1, 2
"""States of a vertebra."""


@dataclass(frozen=True)
class SurveillanceSettings:
    """What a cohort is like.

    Parameters
    ----------
    schedule : ScheduleSettings
        Of visits.
    irregular : float
        Share of patients who come as life has it instead.

    Raises
    ------
    SettingsError
        If the share does not lie between 0 and 1.
    """

    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    irregular: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.irregular <= 1:
            msg = f"irregular is a share between 0 and 1, got {self.irregular:g}"
            raise SettingsError(msg)


@dataclass(frozen=True, eq=False)
class Surveillance:
    """A cohort over time.

    Parameters
    ----------
    rows : DataFrame
        One row per patient, visit and vertebra: ``patient``, ``visit``, ``day``, ``vertebra``, ``level``,
        ``scanner``, ``earlier`` visits, ``days_since_last``, and `spondyl.core.marrow.VISIT_SIGNS` and ``FACTS``;
        truth in ``state``, ``volume_ml``, ``overt_day``.
    lesions : DataFrame
        Truth of each lesion: ``onset_day``, ``subthreshold_day``, ``overt_day`` (NaN: never), ``kind``, ``fate``.
    patients : DataFrame
        One row per patient: person, ``primary``, treatment, and the days of ``fracture``, ``compression``, ``death``
        and ``end`` of follow-up, NaN for what did not come; ``biology`` is the truth behind.
    """

    rows: pd.DataFrame
    lesions: pd.DataFrame
    patients: pd.DataFrame


class Focus(NamedTuple):
    """One lesion over time.

    Parameters
    ----------
    vertebra : int
        Its place in `LEVELS`.
    kind : LesionKind
        What it is.
    growth : LesionCourse
        How it emerges, relative to `OVERT_ML`.
    answer : LesionCourse or None
        What becomes of it from treatment on.
    place : float
        Where in the body, from 0 to 1.
    inside : float
        Part of it that lies where marrow is measured; the rest is at the rim, in pedicle or arch.
    """

    vertebra: int
    kind: LesionKind
    growth: LesionCourse
    answer: LesionCourse | None
    place: float
    inside: float

    def volume_ml(self, day: float) -> float:
        """Give its volume on a day.

        Parameters
        ----------
        day : float
            Days after the first visit.

        Returns
        -------
        float
            In mL, at most that of the body.
        """
        if self.answer is None or day <= self.answer.onset_days or self.answer.fate is Fate.GROWS:
            ratio = self.growth.volume_ratio(day)
        else:
            ratio = self.growth.volume_ratio(self.answer.onset_days) * self.answer.volume_ratio(day)
        return min(OVERT_ML * ratio, body_ml(LEVELS[self.vertebra]))

    def day_of(self, volume_ml: float) -> float:
        """Give the day on which it first has a volume.

        Parameters
        ----------
        volume_ml : float
            The volume.

        Returns
        -------
        float
            Days after the first visit; NaN where it never does within ten years.
        """
        grown = self.growth.onset_days + self.growth.time_days * np.log2(volume_ml / SEED_ML)
        stopped = self.answer is not None and self.answer.fate is not Fate.GROWS
        return float("nan") if stopped and grown > self.answer.onset_days else float(grown)  # type: ignore[union-attr]


@dataclass(eq=False)
class _Patient:
    """What happens to one patient, filled in as time passes."""

    number: int
    seed: int
    biology: float
    primary: str
    visits: tuple[PlannedVisit, ...]
    marrow: MarrowCells
    foci: list[Focus]
    mimics: list[tuple[float, Patch, float]]
    therapy_day: float = float("nan")
    field_day: Mapping[int, float] = field(default_factory=dict)
    end_day: float = 0.0
    death_day: float = float("nan")
    fracture_day: float = float("nan")
    compression_day: float = float("nan")


def simulate_surveillance(n_patients: int, seed: int, settings: SurveillanceSettings | None = None) -> Surveillance:
    """Draw a cohort and let years pass.

    Parameters
    ----------
    n_patients : int
        Patients with a known tumor under surveillance of the lower spine.
    seed : int
        The same seed gives the same patients.
    settings : SurveillanceSettings, optional
        What the cohort is like.

    Returns
    -------
    Surveillance
        Tables and truth.

    Raises
    ------
    SettingsError
        If there is no patient.
    """
    if n_patients < 1:
        msg = f"a cohort has at least one patient, got n_patients={n_patients}"
        raise SettingsError(msg)
    settings = settings or SurveillanceSettings()
    rows, lesions, patients = [], [], []
    for number in range(n_patients):
        patient = _draw(number, np.random.default_rng([seed, number]), settings)
        rows += _rows(patient, np.random.default_rng([seed, number, 1]))
        lesions += [_lesion_row(patient, focus) for focus in patient.foci]
        patients.append(_patient_row(patient))
    columns = ["patient", "level", "kind", "fate", "onset_day", "subthreshold_day", "overt_day"]
    import pandas as pd  # a compute node that trains networks has none

    return Surveillance(pd.DataFrame(rows), pd.DataFrame(lesions, columns=columns), pd.DataFrame(patients))


def _draw(number: int, rng: np.random.Generator, settings: SurveillanceSettings) -> _Patient:
    biology, spread = rng.normal(size=2)
    names = [n for n in PRIMARIES if set(PRIMARIES[n][1]) & set(TUMOR_TISSUE)]
    weights = np.array([PRIMARIES[n][0] for n in names])
    primary = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    rhythm = Rhythm.IRREGULAR if rng.random() < settings.irregular else settings.schedule.rhythm
    visits = draw_schedule(rng, replace(settings.schedule, rhythm=rhythm))
    tissues = int(rng.integers(2**31))
    marrow = draw_marrow(rng, sample_person(rng, malignant=True), tissues)
    mean = np.exp(1.0 + 0.45 * spread + 0.25 * biology)
    foci = _seeds(rng, int(rng.poisson(mean)), primary, biology)
    patient = _Patient(number, tissues, float(biology), primary, visits, marrow, foci, _mimics(rng))
    patient.end_day = float(rng.uniform(*FOLLOW_UP_DAYS))
    _treat(patient, rng)
    _live(patient, rng)
    return patient


def _seeds(rng: np.random.Generator, count: int, primary: str, biology: float) -> list[Focus]:
    """Lesions in the order in which they begin, at most one a vertebra."""
    kinds = {k: s for k, s in PRIMARIES[primary][1].items() if k in TUMOR_TISSUE}
    shares = np.array(list(kinds.values())) / sum(kinds.values())
    size = np.array([body_ml(level) for level in LEVELS])
    found: list[Focus] = []
    for onset in np.sort(rng.uniform(*WINDOW_DAYS, size=count)):
        taken = {f.vertebra for f in found}
        beside = {v + s for v in taken for s in (-1, 1)} & set(range(len(LEVELS))) - taken
        free = sorted(beside) if beside and rng.random() < NEARBY_SHARE else sorted(set(range(len(LEVELS))) - taken)
        if not free:
            break
        where = int(rng.choice(free, p=size[free] / size[free].sum()))
        kind = list(kinds)[int(rng.choice(len(kinds), p=shares))]
        doubling = float(rng.uniform(*DOUBLING_DAYS) * np.exp(-0.2 * np.clip(biology, -2, 2)))
        growth = LesionCourse(
            LEVELS[where], kind, Fate.EMERGES, time_days=doubling, amount=SEED_ML / OVERT_ML, onset_days=float(onset)
        )
        found.append(Focus(where, kind, growth, None, float(rng.random()), float(rng.uniform(*INSIDE))))
    return found


def _mimics(rng: np.random.Generator) -> list[tuple[float, Patch, float]]:
    """Edema of other cause: when it comes, what and where, and the time constant with which it fades."""
    found = []
    years = (FOLLOW_UP_DAYS[1] - WINDOW_DAYS[0]) / 365
    for vertebra, level in enumerate(LEVELS):
        for _ in range(rng.poisson(MIMICS_PER_YEAR * years)):
            volume = float(rng.uniform(*MIMIC_SHARE) * body_ml(level) / 2)
            patch = Patch(vertebra, ((Tissue.EDEMA, 1.0),), volume, float(rng.random()))
            day = float(rng.uniform(WINDOW_DAYS[0], FOLLOW_UP_DAYS[1]))
            found.append((day, patch, float(rng.uniform(*MIMIC_DAYS))))
    return found


def _treat(patient: _Patient, rng: np.random.Generator) -> None:
    """Treat from the first visit on at which a lesion is overt."""
    seen = {}
    for number, focus in enumerate(patient.foci):
        overt = focus.day_of(OVERT_ML)
        later = [v.day for v in patient.visits if v.day >= overt]
        if later:
            seen[number] = later[0]
    if not seen:
        return
    patient.therapy_day = min(seen.values()) + THERAPY_AFTER_DAYS
    fields: dict[int, float] = {}
    for number, focus in enumerate(patient.foci):
        day, fate = patient.therapy_day, Fate.RESPONDS if rng.random() < ANSWERS else Fate.GROWS
        if number in seen and rng.random() < RADIOTHERAPY:
            day, fate = seen[number] + THERAPY_AFTER_DAYS, Fate.PSEUDO if rng.random() < SWELLS else Fate.RESPONDS
            for vertebra in range(max(focus.vertebra - 1, 0), min(focus.vertebra + 2, len(LEVELS))):
                fields[vertebra] = min(day, fields.get(vertebra, day))
        time, amount = float(rng.uniform(*RESPONSE_DAYS)), float(rng.uniform(*RESPONSE_LEFT))
        if fate is Fate.PSEUDO:
            time, amount = float(rng.uniform(*PSEUDO_PEAK_DAYS)), float(rng.uniform(*PSEUDO_GAIN))
        if focus.growth.onset_days < day:  # what begins under treatment does so in spite of it
            answer = replace(focus.growth, fate=fate, time_days=time, amount=amount, onset_days=day)
            patient.foci[number] = focus._replace(answer=answer)
    patient.field_day = fields


def _live(patient: _Patient, rng: np.random.Generator) -> None:
    """Step through time until death or the end of follow-up, and note the first fracture and compression."""
    days = np.arange(0.0, patient.end_day, STEP_DAYS)
    months = STEP_DAYS / DAYS_PER_MONTH
    chance = rng.exponential(size=3)
    lived = np.zeros(3)
    for day in days:
        volumes = np.array([f.volume_ml(day) for f in patient.foci])
        overt = np.where(volumes >= OVERT_ML, volumes, 0.0)
        burden = (np.log(max(float(overt.sum()), 0.3)) - 1.9) / 1.1
        compressed = float(np.isfinite(patient.compression_day))
        log_death = sum(
            DEATH_EFFECTS[k] * v
            for k, v in (("biology", patient.biology), ("burden", burden), ("compression", compressed))
        )
        soft = np.array([1.0 if f.kind is not LesionKind.SCLEROTIC else 0.3 for f in patient.foci])
        size = np.array([body_ml(LEVELS[f.vertebra]) for f in patient.foci])
        fracture = FRACTURE_HAZARD_PER_MONTH * float((soft * 10 * overt / size).sum()) if len(size) else 0.0
        compression = COMPRESSION_HAZARD_PER_MONTH * float(overt.sum())
        # The hazard of death at the middle of everything is that of patients with overt disease; most here have less.
        lived += months * np.array([0.5 * DEATH_HAZARD_PER_MONTH * np.exp(log_death), fracture, compression])
        if lived[1] >= chance[1] and np.isnan(patient.fracture_day):
            patient.fracture_day = float(day)
        if lived[2] >= chance[2] and np.isnan(patient.compression_day):
            patient.compression_day = float(day)
        if lived[0] >= chance[0] and day > 0:
            patient.death_day = patient.end_day = float(day)
            return


def _patches(patient: _Patient, day: float) -> list[Patch]:
    """What is in the marrow on a day, in the order in which it lies over each other."""
    found = []
    for vertebra, since in patient.field_day.items():
        if day > since:
            share = FATTY_SHARE * (1 - np.exp(-(day - since) / FATTY_AFTER_DAYS))
            found.append(Patch(vertebra, ((Tissue.FATTY_MARROW, 1.0),), share * body_ml(LEVELS[vertebra]) / 2, 0.0))
    for begins, patch, fades in patient.mimics:
        if day >= begins:
            found.append(patch._replace(volume_ml=patch.volume_ml * float(np.exp(-(day - begins) / fades))))
    for focus in patient.foci:
        treated = focus.answer is not None and focus.answer.fate is Fate.RESPONDS
        old = treated and day - focus.answer.onset_days > TREATED_AFTER_DAYS  # type: ignore[union-attr]
        tissues = TUMOR_TISSUE[LesionKind.TREATED if old else focus.kind]
        found.append(Patch(focus.vertebra, tissues, focus.inside * focus.volume_ml(day), focus.place))
    return [patch for patch in found if patch.volume_ml > 0]


def _rows(patient: _Patient, rng: np.random.Generator) -> list[dict[str, object]]:
    """Measure every vertebra at every visit, alone and against earlier visits."""
    rows: list[dict[str, object]] = []
    earlier: list[Bodies] = []
    noise = rng.normal(size=1 + len(patient.visits))
    for number, visit in enumerate(v for v in patient.visits if v.day <= patient.end_day):
        bodies = patient.marrow.signals(rng, visit, _patches(patient, visit.day))
        table = visit_signs(bodies, earlier, [visit.day - v.day for v in patient.visits[:number]])
        earlier.append(bodies)
        volumes = {f.vertebra: f.volume_ml(visit.day) for f in patient.foci}
        overt_day = {f.vertebra: f.day_of(OVERT_ML) for f in patient.foci}
        overt = {v for v, day in overt_day.items() if day <= visit.day}
        marker = 0.5 * np.log1p(sum(volumes.values())) + 0.4 * noise[0] + 0.25 * noise[1 + number]
        for vertebra, level in enumerate(LEVELS):
            volume = volumes.get(vertebra, 0.0)
            state = OVERT if vertebra in overt else SUBTHRESHOLD if volume >= SUBTHRESHOLD_ML else NONE
            row: dict[str, object] = {
                "patient": patient.number,
                "visit": number,
                "day": visit.day,
                "vertebra": vertebra,
                "level": level,
                "scanner": f"{visit.scanner.vendor} {visit.scanner.field_strength_t:g} T",
                "earlier": number,
                "days_since_last": visit.day - patient.visits[number - 1].day if number else np.nan,
            }
            row |= {name: float(x) for name, x in zip(VISIT_SIGNS, table[vertebra], strict=True)}
            row |= {
                "age_years": patient.marrow.person.age_years,
                "female": float(patient.marrow.person.female),
                "sclerotic_primary": PRIMARIES[patient.primary][1].get(LesionKind.SCLEROTIC, 0.0),
                "overt_lesions": float(len(overt)),
                "overt_nearby": float(bool(overt & {vertebra - 1, vertebra + 1})),
                "irradiated": float(patient.field_day.get(vertebra, np.inf) < visit.day),
                "marker_log": float(marker),
                "state": state,
                "volume_ml": volume,
                "overt_day": overt_day.get(vertebra, np.nan),
            }
            rows.append(row)
    return rows


def _lesion_row(patient: _Patient, focus: Focus) -> dict[str, object]:
    return {
        "patient": patient.number,
        "level": LEVELS[focus.vertebra],
        "kind": focus.kind.value,
        "fate": (focus.answer or focus.growth).fate.value,
        "onset_day": focus.growth.onset_days,
        "subthreshold_day": focus.day_of(SUBTHRESHOLD_ML),
        "overt_day": focus.day_of(OVERT_ML),
    }


def _patient_row(patient: _Patient) -> dict[str, object]:
    person = patient.marrow.person
    return {
        "patient": patient.number,
        "age_years": person.age_years,
        "female": float(person.female),
        "primary": patient.primary,
        "biology": patient.biology,
        "n_visits": sum(v.day <= patient.end_day for v in patient.visits),
        "therapy_day": patient.therapy_day,
        "radiotherapy_day": min(patient.field_day.values(), default=float("nan")),
        "fracture_day": patient.fracture_day,
        "compression_day": patient.compression_day,
        "death_day": patient.death_day,
        "end_day": patient.end_day,
    }
