"""Does performance hold: in subgroups and sites of one data set, and from the place of development to another.

A model is seldom equally good everywhere; a table by scanner, site, sex and age shows where it is not. Small groups are
shown with their wide intervals, never left out. Their tests are adjusted for their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.calibration import Calibration, calibration
from spondyl.evaluation.classification import BinaryScores, scores_at
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.inputs import binary, finite_vector, patient_codes, same_length
from spondyl.evaluation.records import Difference, Estimate, Record, Table, flag_notes, show
from spondyl.evaluation.roc import compare_unpaired, roc_areas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MISSING = "not known"
"""Name of the group whose cases have no value."""


@dataclass(frozen=True, eq=False)
class Readings:
    """Scores of one model on one set of cases, with the truth.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious; where all lie from 0 to 1, they are taken for risks and their calibration measured.
    threshold : float
        A case is called positive at or above it. Fixed beforehand.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.

    Raises
    ------
    InputError
        If the columns do not fit.
    """

    truth: NDArray[np.bool_]
    score: Floats
    threshold: float
    patients: ArrayLike | None = None

    def __post_init__(self) -> None:
        truth, score = binary(self.truth), finite_vector(self.score, "score")
        n = same_length(truth=truth, score=score)
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "score", score)
        object.__setattr__(self, "patients", patient_codes(self.patients, n))

    def subset(self, which: NDArray[np.bool_]) -> Readings:
        """Give some of the cases.

        Parameters
        ----------
        which : ndarray of bool, shape (n_cases,)
            True for those wanted.

        Returns
        -------
        Readings
            Their readings.
        """
        return Readings(self.truth[which], self.score[which], self.threshold, np.asarray(self.patients)[which])


@dataclass(frozen=True, eq=False)
class Performance(Record):
    """How good one model is on one set of cases.

    Parameters
    ----------
    name : str
        Of the set.
    n_cases, n_positive, n_patients : int
        What it rests on.
    area : Estimate
        Area under the ROC curve; not assessable with one class.
    scores : BinaryScores
        At the threshold.
    calibration : Calibration or None
        None where the scores are no risks.
    flags : tuple of str
        What limits it.
    """

    name: str
    n_cases: int
    n_positive: int
    n_patients: int
    area: Estimate
    scores: BinaryScores
    calibration: Calibration | None
    flags: tuple[str, ...] = ()

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of a row of a table; see `HEAD`."""
        s, c = self.scores, self.calibration
        ratio = show(c.observed_to_expected) if c else ""
        counts = (self.name, str(self.n_cases), str(self.n_positive))
        return (*counts, str(self.area), str(s.sensitivity), str(s.specificity), ratio)

    def table(self) -> Table:
        """Show the performance.

        Returns
        -------
        Table
            One row.
        """
        return Table.of("Performance", HEAD, [self.row], flag_notes(self.flags))


HEAD = ("group", "cases", "positive", "AUC", "sensitivity", "specificity", "observed / expected")
"""Head of tables of `Performance.row`."""


def performance(readings: Readings, name: str = "all", confidence: float = 0.95) -> Performance:
    """Measure one model on one set of cases.

    Parameters
    ----------
    readings : Readings
        Scores and truth.
    name : str, optional
        What to call the set.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Performance
        Area, scores at the threshold, calibration.
    """
    truth, score, patients = readings.truth, readings.score, readings.patients
    both = bool(truth.any() and not truth.all())
    if both:
        area = roc_areas(truth, score, patients=patients).estimate(confidence=confidence)
    else:
        area = Estimate(math.nan, confidence=confidence, flags=("one class only: no area",))
    risks = bool(score.min() >= 0 and score.max() <= 1)
    return Performance(
        name,
        len(truth),
        int(truth.sum()),
        len(np.unique(np.asarray(patients))),
        area,
        scores_at(truth, score, readings.threshold, patients=patients, confidence=confidence),
        calibration(truth, score, patients=patients, confidence=confidence) if risks else None,
        area.flags,
    )


@dataclass(frozen=True, eq=False)
class SubgroupRow(Record):
    """One group of a table.

    Parameters
    ----------
    variable, group : str
        Such as ``"vendor"`` and ``"siemens"``.
    performance : Performance
        Of the group.
    against_rest : Difference or None
        Area of the group less that of all other cases; None where one of them has no area, or patients have cases in
        both, so that they are not independent.
    adjusted_p : float
        Its p value, adjusted by Holm over the whole table.
    """

    variable: str
    group: str
    performance: Performance
    against_rest: Difference | None
    adjusted_p: float


@dataclass(frozen=True, eq=False)
class SubgroupTable(Record):
    """Performance by subgroup.

    Parameters
    ----------
    whole : Performance
        Of all cases.
    rows : tuple of SubgroupRow
        By variable and group.
    flags : tuple of str
        What limits it.
    """

    whole: Performance
    rows: tuple[SubgroupRow, ...]
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the groups.

        Returns
        -------
        Table
            One row for all cases and one per group.
        """
        head = ("variable", *HEAD, "AUC less the rest", "p (Holm)")
        rows = [("", *self.whole.row, "", "")]
        for r in self.rows:
            gap = show(r.against_rest.value) if r.against_rest else ""
            rows.append((r.variable, *r.performance.row, gap, show(r.adjusted_p) if r.against_rest else ""))
        return Table.of("Subgroups", head, rows, flag_notes(self.flags))


def subgroups(readings: Readings, groups: Mapping[str, ArrayLike], confidence: float = 0.95) -> SubgroupTable:
    """Measure performance in every group of some variables.

    Parameters
    ----------
    readings : Readings
        Scores and truth.
    groups : mapping of str to (array_like, shape (n_cases,))
        Group of each case by variable, such as site, vendor or field strength; empty or missing values make a group.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    SubgroupTable
        One row per group, each tested against the rest.

    Raises
    ------
    InputError
        If a variable does not have one value per case.
    """
    rows: list[SubgroupRow] = []
    for variable, values in groups.items():
        labels = _labels(values, len(readings.truth), variable)
        for group in np.unique(labels):
            inside = labels == group
            found = performance(readings.subset(inside), str(group), confidence)
            gap = _against(readings, inside, str(group), confidence)
            rows.append(SubgroupRow(variable, str(group), found, gap, math.nan))
    adjusted = holm([r.against_rest.p_value if r.against_rest else math.nan for r in rows])
    done = tuple(
        SubgroupRow(r.variable, r.group, r.performance, r.against_rest, float(p))
        for r, p in zip(rows, adjusted, strict=True)
    )
    single = sum(r.against_rest is None for r in done)
    flags = (
        (f"{single} groups are not tested: one class only, or patients with cases in them and in the rest",)
        if single
        else ()
    )
    return SubgroupTable(performance(readings, "all", confidence), done, flags)


def _labels(values: ArrayLike, n: int, variable: str) -> NDArray[np.str_]:
    raw = np.asarray(values, dtype=object)
    if raw.shape != (n,):
        msg = f"{variable} must have one value per case ({n}), got shape {raw.shape}"
        raise InputError(msg)
    empty = [v is None or v == "" or (isinstance(v, float) and math.isnan(v)) for v in raw]
    return np.array([MISSING if e else str(v) for v, e in zip(raw, empty, strict=True)])


def _against(readings: Readings, inside: NDArray[np.bool_], name: str, confidence: float) -> Difference | None:
    parts = [readings.subset(which) for which in (inside, ~inside) if which.any()]
    if len(parts) < 2 or any(p.truth.all() or not p.truth.any() for p in parts):
        return None
    patients = np.asarray(readings.patients)
    if np.intersect1d(patients[inside], patients[~inside]).size:
        return None
    first, second = (roc_areas(p.truth, p.score, patients=p.patients) for p in parts)
    return compare_unpaired(first, second, confidence, (name, "rest"))


@dataclass(frozen=True, eq=False)
class Drop(Record):
    """What is lost from the place of development to another.

    Parameters
    ----------
    internal, external : Performance
        In both places.
    area : Difference or None
        Internal less external area; None where a place has one class only.
    """

    internal: Performance
    external: Performance
    area: Difference | None

    def table(self) -> Table:
        """Show both places.

        Returns
        -------
        Table
            One row each.
        """
        head = (*HEAD, "calibration intercept", "slope")
        rows = [(*p.row, *_weak(p.calibration)) for p in (self.internal, self.external)]
        notes = (str(self.area),) if self.area else ("one class only: no difference of areas",)
        return Table.of("Internal and external", head, rows, notes)


def _weak(found: Calibration | None) -> tuple[str, str]:
    return (str(found.intercept), str(found.slope)) if found else ("", "")


def external_drop(internal: Readings, external: Readings, confidence: float = 0.95) -> Drop:
    """Compare a model at its place of development and elsewhere.

    Parameters
    ----------
    internal : Readings
        Scores out of fold, or of held-out patients, where the model was made; never of patients it was trained on.
    external : Readings
        Scores elsewhere, of other patients.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Drop
        Performance in both places and the unpaired difference of the areas.
    """
    areas = None
    if all(r.truth.any() and not r.truth.all() for r in (internal, external)):
        first, second = (roc_areas(r.truth, r.score, patients=r.patients) for r in (internal, external))
        areas = compare_unpaired(first, second, confidence, ("internal", "external"))
    return Drop(performance(internal, "internal", confidence), performance(external, "external", confidence), areas)
