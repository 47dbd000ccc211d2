"""Lesion detection: sensitivity against false positives per study, by size, and the figures of merit of free response.

A *mark* is a place with a score that a reader or a network gives. It hits a lesion or is a false positive; of several
marks on one lesion the highest counts, the others count neither way. Studies are the unit of false positives, patients
the unit of chance: every interval resamples or sums over patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, draw_counts, percentile_estimate
from spondyl.evaluation.inputs import finite_vector
from spondyl.evaluation.proportions import clustered_proportion
from spondyl.evaluation.records import Estimate, Record, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.intp]

FALSE_POSITIVE = -1
"""In `Study.mark_lesion`: this mark hits no lesion."""

REFERENCE_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per study at which sensitivity is read and averaged (Setio 2017, doi 10.1016/j.media.2017.06.015)."""

SIZE_EDGES_ML = (0.0, 1.0, 5.0, math.inf)
"""Groups of lesion size in mL; below 1 mL is reported apart, where most are missed. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Study:
    """Marks and lesions of one study.

    Parameters
    ----------
    patient : str
        Pseudonym of the patient.
    lesion_ml : sequence of float
        Volume of each true lesion, in mL; empty for a study without.
    mark_score : sequence of float
        Score of each mark, higher is more suspicious.
    mark_lesion : sequence of int
        The lesion that each mark hits, counted from 0, or `FALSE_POSITIVE`.
    lesion_weight : sequence of float, optional
        Clinical weight of each lesion, scaled to a sum of 1; equal where left out.

    Raises
    ------
    InputError
        If marks and scores differ in number, a score is not finite, or a mark names a lesion that is not there.
    """

    patient: str
    lesion_ml: Sequence[float]
    mark_score: Sequence[float]
    mark_lesion: Sequence[int]
    lesion_weight: Sequence[float] | None = None

    def __post_init__(self) -> None:
        n = len(self.lesion_ml)
        if len(self.mark_score) != len(self.mark_lesion):
            msg = f"each mark needs a score and a lesion, got {len(self.mark_score)} and {len(self.mark_lesion)}"
            raise InputError(msg)
        if len(self.mark_score):
            finite_vector(self.mark_score, "mark_score")
        if any(not FALSE_POSITIVE <= m < n for m in self.mark_lesion):
            msg = (
                f"mark_lesion must count from 0 among the study's {n} lesions, or be {FALSE_POSITIVE} (false positive)"
            )
            raise InputError(msg)
        if any(not v >= 0 for v in self.lesion_ml):
            msg = "lesion_ml must be volumes in mL from 0"
            raise InputError(msg)
        weights = self.lesion_weight
        if weights is not None and (len(weights) != n or any(not w >= 0 for w in weights) or (n and not sum(weights))):
            msg = f"lesion_weight must be {n} numbers from 0, not all 0"
            raise InputError(msg)


@dataclass(frozen=True, eq=False)
class Marks:
    """Marks and lesions of many studies as flat columns, for the statistics below.

    Parameters
    ----------
    study_patient : ndarray of int, shape (n_studies,)
        Patient of each study, from 0.
    lesion_study : ndarray of int, shape (n_lesions,)
        Study of each lesion.
    lesion_ml, lesion_weight, lesion_score : ndarray of float, shape (n_lesions,)
        Volume in mL; weight, summing to 1 in each study; highest score of a mark on it, -inf where unmarked.
    false_study : ndarray of int, shape (n_false,)
        Study of each false positive.
    false_score : ndarray of float, shape (n_false,)
        Its score.
    """

    study_patient: Numbers
    lesion_study: Numbers
    lesion_ml: Floats
    lesion_weight: Floats
    lesion_score: Floats
    false_study: Numbers
    false_score: Floats

    @classmethod
    def of(cls, studies: Sequence[Study]) -> Marks:
        """Collect studies.

        Parameters
        ----------
        studies : sequence of Study
            The studies, those without lesion or mark included.

        Returns
        -------
        Marks
            Their columns.

        Raises
        ------
        InputError
            If there is no study.
        """
        if not studies:
            msg = "at least one study is needed, got none"
            raise InputError(msg)
        sizes = [len(s.lesion_ml) for s in studies]
        first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        study = np.repeat(np.arange(len(studies)), [len(s.mark_score) for s in studies])
        score = np.concatenate([np.asarray(s.mark_score, dtype=np.float64) for s in studies])
        lesion = np.concatenate([np.asarray(s.mark_lesion, dtype=np.intp) for s in studies])
        hit = lesion != FALSE_POSITIVE
        best = np.full(first[-1], -np.inf)
        np.maximum.at(best, first[study[hit]] + lesion[hit], score[hit])
        return cls(
            np.unique([s.patient for s in studies], return_inverse=True)[1],
            np.repeat(np.arange(len(studies)), sizes),
            np.concatenate([np.asarray(s.lesion_ml, dtype=np.float64) for s in studies]),
            np.concatenate([_weights(s) for s in studies]),
            best,
            study[~hit],
            score[~hit],
        )

    @property
    def n_studies(self) -> int:
        """Number of studies."""
        return len(self.study_patient)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return int(self.study_patient.max()) + 1

    @property
    def highest_false(self) -> Floats:
        """Highest score of a false positive in each study, -inf where there is none, shape (n_studies,)."""
        highest = np.full(self.n_studies, -np.inf)
        np.maximum.at(highest, self.false_study, self.false_score)
        return highest


def _weights(study: Study) -> Floats:
    weights = np.ones(len(study.lesion_ml)) if study.lesion_weight is None else np.asarray(study.lesion_weight, float)
    return weights / weights.sum() if len(weights) else weights


@dataclass(frozen=True)
class SizeGroup(Record):
    """Sensitivity for lesions of one size.

    Parameters
    ----------
    from_ml, to_ml : float
        Volume from (included) and to (not included), in mL.
    n_lesions : int
        Lesions of that size.
    sensitivity : Estimate
        Share found at the operating point.
    """

    from_ml: float
    to_ml: float
    n_lesions: int
    sensitivity: Estimate

    @property
    def name(self) -> str:
        """Name of the group."""
        return f"{self.from_ml:g} to {self.to_ml:g} mL" if math.isfinite(self.to_ml) else f"{self.from_ml:g} mL or more"


@dataclass(frozen=True, eq=False)
class Froc(Record):
    """Sensitivity for lesions against false positives per study.

    Parameters
    ----------
    thresholds, false_positives, sensitivity : ndarray of float, shape (n_points,)
        The curve, thresholds falling from infinity: mean false positives per study, share of lesions found.
    rates : tuple of float
        False positives per study at which the sensitivity was read.
    at_rates : tuple of Estimate
        The sensitivity there: of the most sensitive operating point with no more false positives.
    mean_sensitivity : Estimate
        Mean over `rates` (competition performance metric).
    n_studies, n_patients, n_lesions, n_false : int
        What the curve rests on.
    """

    thresholds: Floats
    false_positives: Floats
    sensitivity: Floats
    rates: tuple[float, ...]
    at_rates: tuple[Estimate, ...]
    mean_sensitivity: Estimate
    n_studies: int
    n_patients: int
    n_lesions: int
    n_false: int

    def table(self) -> Table:
        """Show the sensitivities.

        Returns
        -------
        Table
            One row per rate and one for their mean.
        """
        rows = [(f"{r:g}", str(e)) for r, e in zip(self.rates, self.at_rates, strict=True)]
        rows.append(("mean", str(self.mean_sensitivity)))
        of = f"{self.n_studies} studies of {self.n_patients} patients"
        note = f"{self.n_lesions} lesions and {self.n_false} false positives in {of}"
        return Table.of("Free-response ROC", ("false positives per study", "sensitivity"), rows, (note,))


def froc(
    studies: Sequence[Study] | Marks,
    *,
    rates: Sequence[float] = REFERENCE_RATES,
    resampling: Resampling = STANDARD,
) -> Froc:
    """Give the free-response ROC curve with intervals over patients.

    Parameters
    ----------
    studies : sequence of Study, or Marks
        The studies, those without lesion or mark included: they count as studies.
    rates : sequence of float, optional
        False positives per study at which sensitivity is read.
    resampling : Resampling, optional
        How the intervals are made.

    Returns
    -------
    Froc
        Curve, sensitivities and their mean.

    Raises
    ------
    InputError
        If there is no study or no lesion.

    References
    ----------
    Bunch 1978, J Appl Photogr Eng 4:166; Setio 2017, doi 10.1016/j.media.2017.06.015.
    """
    marks = studies if isinstance(studies, Marks) else Marks.of(studies)
    if not len(marks.lesion_ml):
        msg = "a sensitivity needs at least one lesion, got none: report false positives alone"
        raise InputError(msg)
    counts = _Counts.of(marks)
    ones = np.ones((1, marks.n_patients))
    false_positives, sensitivity = (c[0] for c in counts.curve(ones))
    value = counts.read(ones, rates)[0]
    blocks = draw_counts(marks.n_patients, resampling, row_size=len(counts.thresholds))
    drawn = np.concatenate([counts.read(block, rates) for block in blocks])
    return Froc(
        counts.thresholds,
        false_positives,
        sensitivity,
        tuple(float(r) for r in rates),
        tuple(percentile_estimate(float(v), d, resampling) for v, d in zip(value, drawn.T, strict=True)),
        percentile_estimate(float(value.mean()), drawn.mean(axis=1), resampling),
        marks.n_studies,
        marks.n_patients,
        len(marks.lesion_ml),
        len(marks.false_score),
    )


@dataclass(frozen=True, eq=False)
class _Counts:
    """Lesions found and false positives of each patient at or above each threshold."""

    thresholds: Floats
    found: Floats
    false: Floats
    n_lesions: Floats
    n_studies: Floats

    @classmethod
    def of(cls, marks: Marks) -> _Counts:
        marked = marks.lesion_score > -np.inf
        distinct = np.unique(np.concatenate([marks.lesion_score[marked], marks.false_score]))[::-1]
        thresholds = np.concatenate([[np.inf], distinct])
        lesion_patient = marks.study_patient[marks.lesion_study]
        found = _reached(thresholds, marks.lesion_score[marked], lesion_patient[marked], marks.n_patients)
        false = _reached(thresholds, marks.false_score, marks.study_patient[marks.false_study], marks.n_patients)
        n_lesions = np.bincount(lesion_patient, minlength=marks.n_patients)
        n_studies = np.bincount(marks.study_patient, minlength=marks.n_patients)
        return cls(thresholds, found, false, n_lesions.astype(float), n_studies.astype(float))

    def curve(self, weights: Floats) -> tuple[Floats, Floats]:
        """False positives per study and sensitivity for each row of patient weights."""
        lesions, studies = weights @ self.n_lesions, weights @ self.n_studies
        # A resample may hold no lesion: it then has no sensitivity.
        lesions = np.where(lesions > 0, lesions, np.nan)
        return (weights @ self.false) / studies[:, None], (weights @ self.found) / lesions[:, None]

    def read(self, weights: Floats, rates: Sequence[float]) -> Floats:
        """Sensitivity at each rate for each row of patient weights."""
        false, sensitivity = self.curve(weights)
        last = [(false <= rate + 1e-12).sum(axis=1) - 1 for rate in rates]
        return np.stack([sensitivity[np.arange(len(weights)), at] for at in last], axis=1)


def _reached(thresholds: Floats, score: Floats, patient: Numbers, n_patients: int) -> Floats:
    """Number of scores of each patient at or above each falling threshold, shape (n_patients, n_thresholds)."""
    place = np.searchsorted(-thresholds, -score, side="left")
    flat = np.bincount(patient * len(thresholds) + place, minlength=n_patients * len(thresholds))
    return np.cumsum(flat.reshape(n_patients, len(thresholds)), axis=1).astype(np.float64)


def sensitivity_by_size(
    studies: Sequence[Study] | Marks,
    threshold: float,
    *,
    edges_ml: Sequence[float] = SIZE_EDGES_ML,
    confidence: float = 0.95,
) -> tuple[SizeGroup, ...]:
    """Give the sensitivity at an operating point for groups of lesion size.

    Parameters
    ----------
    studies : sequence of Study, or Marks
        The studies.
    threshold : float
        A lesion is found by a mark at or above it.
    edges_ml : sequence of float, optional
        Rising edges of the groups, in mL.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    tuple of SizeGroup
        Sensitivity with an interval that allows for several lesions of one patient; empty groups are not assessable.
    """
    marks = studies if isinstance(studies, Marks) else Marks.of(studies)
    patient = marks.study_patient[marks.lesion_study]
    found = (marks.lesion_score >= threshold) & (marks.lesion_score > -math.inf)  # unmarked: minus infinity
    groups = []
    for low, high in pairwise(edges_ml):
        inside = (marks.lesion_ml >= low) & (marks.lesion_ml < high)
        estimate = clustered_proportion(found[inside], patient[inside], confidence)
        groups.append(SizeGroup(float(low), float(high), int(inside.sum()), estimate))
    return tuple(groups)
