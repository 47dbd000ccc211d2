"""One patient at several visits: lesions that stay, grow, answer, swell after radiotherapy, appear and resolve.

Every lesion keeps its place and form; only its size, and under treatment its tissue, change with time. At each visit
the same patient lies differently in the scanner, so that a follow-up has to be registered as in life.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Grid, SettingsError
from spondyl.phantom.anatomy import build_anatomy
from spondyl.phantom.kinds import LesionKind
from spondyl.phantom.lesion_plan import NOT_HOSTS, PlannedLesion
from spondyl.phantom.patient import (
    EXTENT_MM,
    SPACING_MM,
    PatientSettings,
    SyntheticPatient,
    scan_study,
    simulate_patient,
)
from spondyl.phantom.placement import rotation
from spondyl.phantom.protocol import LUMBAR_SEQUENCES
from spondyl.phantom.relaxation import sample_parameters
from spondyl.phantom.schedule import PlannedVisit
from spondyl.phantom.study import spine_study

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from spondyl.core import Sequence as MrSequence
    from spondyl.phantom.pathology import LesionTruth

    Floats = NDArray[np.float64]


class Fate(StrEnum):
    """What becomes of a lesion."""

    STABLE = "stable"
    GROWS = "grows"
    RESPONDS = "responds"
    PSEUDO = "pseudo-progresses"
    APPEARS = "appears"
    EMERGES = "emerges"
    RESOLVES = "resolves"


FATE_SHARES = {
    Fate.STABLE: 0.2,
    Fate.GROWS: 0.2,
    Fate.RESPONDS: 0.2,
    Fate.PSEUDO: 0.13,
    Fate.APPEARS: 0.17,
    Fate.RESOLVES: 0.1,
}
"""Share of lesions with each fate: all often enough to be measured; those that emerge are drawn by
`spondyl.phantom.surveillance`, over years. Chosen by us."""

KIND_SHARES = {LesionKind.LYTIC: 0.55, LesionKind.MIXED: 0.25, LesionKind.SCLEROTIC: 0.2}
"""Kinds of lesions that a course is drawn for. Chosen by us."""

DOUBLING_DAYS = (60.0, 160.0)
"""Time in which the volume of a growing lesion doubles, in days. Chosen by us, within those of bone metastases."""

MOST_DOUBLINGS = 40.0
"""Doublings after which a lesion that emerges grows no further: far beyond a vertebra."""

RESPONSE_DAYS, RESPONSE_LEFT = (40.0, 90.0), (0.25, 0.5)
"""Time constant in days, and share of the volume that stays, of a lesion that answers. Chosen by us."""

PSEUDO_PEAK_DAYS, PSEUDO_GAIN = (90.0, 180.0), (1.5, 2.2)
"""When after radiotherapy a lesion is largest without having progressed, and how much larger its volume then is:
swelling is seen in the first half year (Maralani 2018, as reviewed; sizes chosen by us)."""

TREATED_AFTER_DAYS = 60.0
"""Days of treatment after which a lesion that answers has fat and dense bone in it. Chosen by us."""

TURN_DEG, MOVE_MM = 3.0, 12.0
"""Standard deviations of how differently a patient lies at a later visit. Chosen by us."""


@dataclass(frozen=True)
class LesionCourse:
    """One lesion over time.

    Parameters
    ----------
    level : str
        Where it grows.
    kind : LesionKind
        What it is.
    fate : Fate
        What becomes of it.
    scale : float
        Size at the first visit relative to the one drawn.
    time_days, amount : float
        Doubling time, time constant or time of the peak; gain or remainder of the volume where the fate has one, and
        the part of the full size that one begins with that emerges.
    onset_days : float
        When it appears, begins, or treatment does, in days after the first visit.
    """

    level: str
    kind: LesionKind
    fate: Fate
    scale: float = 1.0
    time_days: float = 90.0
    amount: float = 0.4
    onset_days: float = 0.0

    def volume_ratio(self, day: float) -> float:
        """Give its volume on a day relative to that of the first visit, or to its full size where it was not there.

        Parameters
        ----------
        day : float
            Days after the first visit.

        Returns
        -------
        float
            0 where it is not there.
        """
        since = day - self.onset_days
        if self.fate is Fate.APPEARS:
            return 0.0 if since < 0 else 1.0
        if self.fate is Fate.EMERGES:
            return 0.0 if since < 0 else float(self.amount * 2 ** min(since / self.time_days, MOST_DOUBLINGS))
        if since <= 0 or self.fate is Fate.STABLE:
            return 1.0
        if self.fate is Fate.GROWS:
            return float(2 ** (since / self.time_days))
        if self.fate is Fate.PSEUDO:
            # Rises to its peak and falls off as a gamma curve does.
            t = since / self.time_days
            return float(1 + (self.amount - 1) * t * np.exp(1 - t))
        left = self.amount + (1 - self.amount) * np.exp(-since / self.time_days)
        return 0.0 if self.fate is Fate.RESOLVES and since > 0.5 * self.time_days else float(left)

    def planned(self, day: float) -> PlannedLesion:
        """Give what is to be painted on a day.

        Parameters
        ----------
        day : float
            Days after the first visit.

        Returns
        -------
        PlannedLesion
            Of scale 0 where it is not there.
        """
        treated = self.fate is Fate.RESPONDS and day - self.onset_days > TREATED_AFTER_DAYS
        scale = self.scale * self.volume_ratio(day) ** (1 / 3)
        return PlannedLesion(self.level, LesionKind.TREATED if treated else self.kind, scale=scale)


@dataclass(frozen=True, eq=False)
class Visit:
    """One visit.

    Parameters
    ----------
    day : float
        Days after the first visit.
    patient : SyntheticPatient
        Images and truth, as the patient lay on that day.
    motion : ndarray, shape (4, 4)
        From the first visit's LPS to this one's.
    """

    day: float
    patient: SyntheticPatient
    motion: Floats

    def lesion(self, number: int) -> LesionTruth | None:
        """Find a lesion.

        Parameters
        ----------
        number : int
            Its place in the course, from 1.

        Returns
        -------
        LesionTruth or None
            None where it is not there on that day.
        """
        return next((x for x in self.patient.anatomy.lesions if x.number == number), None)


@dataclass(frozen=True, eq=False)
class Course:
    """A patient over time.

    Parameters
    ----------
    seed : int
        What the patient was drawn from.
    lesions : tuple of LesionCourse
        What becomes of each lesion.
    visits : tuple of Visit
        In order of time.
    radiotherapy : tuple of (str, float)
        Levels irradiated and the day.
    """

    seed: int
    lesions: tuple[LesionCourse, ...]
    visits: tuple[Visit, ...]
    radiotherapy: tuple[tuple[str, float], ...]


def draw_course(rng: np.random.Generator, levels: Sequence[str], *, n_lesions: int | None = None) -> list[LesionCourse]:
    """Draw what becomes of a patient's lesions.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    levels : sequence of str
        Levels that may carry a lesion; each carries at most one.
    n_lesions : int, optional
        How many; two to five where it is None.

    Returns
    -------
    list of LesionCourse
        Treatment begins on the day of the first visit.
    """
    u = rng.uniform
    count = min(int(rng.integers(2, 6)) if n_lesions is None else n_lesions, len(levels))
    drawn = []
    for level in rng.permutation(list(levels))[:count]:
        fate = list(FATE_SHARES)[int(rng.choice(len(FATE_SHARES), p=np.array([*FATE_SHARES.values()]) / _total()))]
        kind = list(KIND_SHARES)[int(rng.choice(len(KIND_SHARES), p=[*KIND_SHARES.values()]))]
        time, amount = u(*DOUBLING_DAYS), 1.0
        if fate in (Fate.RESPONDS, Fate.RESOLVES):
            time, amount = u(*RESPONSE_DAYS), u(*RESPONSE_LEFT)
        elif fate is Fate.PSEUDO:
            time, amount = u(*PSEUDO_PEAK_DAYS), u(*PSEUDO_GAIN)
        onset = 1.0 if fate is Fate.APPEARS else 0.0
        drawn.append(LesionCourse(str(level), kind, fate, time_days=time, amount=amount, onset_days=onset))
    return drawn


def _total() -> float:
    return float(sum(FATE_SHARES.values()))


def simulate_course(
    seed: int,
    days: Iterable[float | PlannedVisit] = (0.0, 90.0),
    *,
    region: str = "lumbar",
    sequences: Iterable[MrSequence] = LUMBAR_SEQUENCES,
    lesions: Sequence[LesionCourse] | None = None,
    settings: PatientSettings | None = None,
) -> Course:
    """Draw a patient and take one study at each visit.

    Parameters
    ----------
    seed : int
        The same seed and arguments give the same patient and images.
    days : iterable of float or of PlannedVisit, optional
        Days of the visits, ascending, the first one 0; a planned visit says its scanner and sequences, too.
    region : str, optional
        Part of the spine, as in `build_anatomy`.
    sequences : iterable of Sequence, optional
        Series to take at every visit that does not say its own.
    lesions : sequence of LesionCourse, optional
        What becomes of each lesion; drawn where it is None.
    settings : PatientSettings, optional
        What is rarely changed.

    Returns
    -------
    Course
        Visits with images and truth.

    Raises
    ------
    SettingsError
        If days are not ascending from 0.
    """
    planned, usual = list(days), tuple(sequences)
    times = [d.day if isinstance(d, PlannedVisit) else float(d) for d in planned]
    if not times or times[0] != 0 or not all(b > a for a, b in pairwise(times)):
        msg = f"days of visits must ascend from 0, got {', '.join(f'{d:g}' for d in times) or 'none'}"
        raise SettingsError(msg)
    rng = np.random.default_rng([seed, 20])
    if lesions is None:
        lesions = draw_course(rng, _hosts(seed, region))
    chosen = settings or PatientSettings()
    visits = []
    for number, (day, visit) in enumerate(zip(times, planned, strict=True)):
        plan = [lesion.planned(day) for lesion in lesions]
        own = replace(chosen, visit=number)
        if isinstance(visit, PlannedVisit):
            patient = _as_planned(seed, region, plan, visit, own)
        else:
            patient = simulate_patient(seed, region=region, sequences=usual, lesions=plan, settings=own)
        motion = _motion(rng) if number else np.eye(4)
        visits.append(Visit(day, moved(patient, motion), motion))
    irradiated = tuple((x.level, x.onset_days) for x in lesions if x.fate in (Fate.RESPONDS, Fate.PSEUDO))
    return Course(seed, tuple(lesions), tuple(visits), irradiated)


def _as_planned(
    seed: int, region: str, plan: Sequence[PlannedLesion], visit: PlannedVisit, settings: PatientSettings
) -> SyntheticPatient:
    """Take a visit on its own scanner: the draw of protocols must not change whose tissues they show."""
    machine = visit.scanner
    study = spine_study(
        np.random.default_rng([seed, 22, settings.visit]),
        region=region,
        sequences=visit.sequences,
        axial=settings.axial,
        vendor=machine.vendor,
        field_strength_t=machine.field_strength_t,
        unseen=machine.unseen_timing,
    )
    spacing = SPACING_MM[settings.fast or region == "whole"]
    anatomy = build_anatomy(seed, region=region, spacing_mm=spacing, extent_mm=EXTENT_MM[region], lesions=plan)
    person = anatomy.person
    parameters = sample_parameters(
        np.random.default_rng([seed, 21]),
        field_strength_t=machine.field_strength_t,
        age_years=person.age_years,
        female=person.female,
    )
    images, protocols = scan_study(
        anatomy, parameters, study, seed=seed, artifacts=settings.artifacts, visit=settings.visit
    )
    return SyntheticPatient(seed, images, protocols, anatomy, parameters, person.age_years, person.sex)


def _hosts(seed: int, region: str) -> list[str]:
    """Levels wholly in the field of view that may carry a lesion, and no fracture."""
    empty = build_anatomy(seed, region=region, spacing_mm=(4.0, 2.0, 2.0), lesions="none")
    inner = [v for v in empty.vertebrae[1:-1] if not v.collapse]
    return [v.level for v in inner if v.level not in NOT_HOSTS and v.level not in ("C2", "S2")]


def _motion(rng: np.random.Generator) -> Floats:
    turn = rng.normal(0.0, TURN_DEG, 3)
    motion = np.eye(4)
    motion[:3, :3] = rotation((float(turn[0]), float(turn[1]), float(turn[2])))
    motion[:3, 3] = rng.normal(0.0, MOVE_MM, 3)
    return motion


def moved(patient: SyntheticPatient, motion: Floats) -> SyntheticPatient:
    """Lay a patient differently: images, truth and all.

    Parameters
    ----------
    patient : SyntheticPatient
        As scanned.
    motion : ndarray, shape (4, 4)
        Rigid motion in LPS mm.

    Returns
    -------
    SyntheticPatient
        The same voxels elsewhere.
    """

    def laid(grid: Grid) -> Grid:
        return Grid(grid.shape, motion @ grid.affine, grid.frame_of_reference)

    def place(point: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = (float(c) for c in motion[:3, :3] @ np.asarray(point) + motion[:3, 3])
        return x, y, z

    vertebrae = tuple(replace(v, center_lps_mm=place(v.center_lps_mm)) for v in patient.anatomy.vertebrae)
    anatomy = replace(patient.anatomy, grid=laid(patient.anatomy.grid), vertebrae=vertebrae)
    images = tuple(replace(image, grid=laid(image.grid)) for image in patient.images)
    return replace(patient, images=images, anatomy=anatomy)
