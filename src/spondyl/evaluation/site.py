"""How an analysis fares on the patients of one hospital: performance with intervals, by scanner and subgroup, failures.

A figure from elsewhere promises nothing here: scanners, protocols and patients differ (Zech 2018,
doi 10.1371/journal.pmed.1002683). These are the figures of a site's own studies, with intervals over its patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.bootstrap import STANDARD, mean_estimate
from spondyl.evaluation.detection import SIZE_EDGES_ML, sensitivity_by_size
from spondyl.evaluation.generalization import MISSING, Readings, performance, subgroups
from spondyl.evaluation.inputs import patient_codes
from spondyl.evaluation.instances import summarize_levels
from spondyl.evaluation.proportions import clustered_proportion
from spondyl.evaluation.records import Estimate, Record, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spondyl.evaluation.detection import SizeGroup
    from spondyl.evaluation.generalization import Performance, SubgroupTable
    from spondyl.evaluation.instances import LevelSummary
    from spondyl.evaluation.site_cases import PairedStudy, PairedVertebra

REGIONS = {"C": "cervical", "T": "thoracic", "L": "lumbar", "S": "sacral"}
"""Part of the spine by the first letter of a level."""

REGION = "region"
"""Name of the grouping by part of the spine."""

MOST_GROUPS = 8
"""A variable with more groups than this is no grouping, such as a number of each patient. Chosen by us."""


@dataclass(frozen=True)
class Flow(Record):
    """What became of the studies.

    Parameters
    ----------
    n_studies, n_patients : int
        Studies with a truth, and their patients.
    n_failed : int
        Studies that could not be analyzed.
    n_malignant_studies : int
        Studies with malignant disease.
    n_vertebrae, n_malignant, n_benign : int
        Vertebrae compared, and those that are malignant or benign.
    n_not_found, n_not_judged, n_unnamed : int
        True vertebrae that were not found; vertebrae found that got no class; vertebrae found that got no name.
    """

    n_studies: int
    n_patients: int
    n_failed: int
    n_malignant_studies: int
    n_vertebrae: int
    n_malignant: int
    n_benign: int
    n_not_found: int
    n_not_judged: int
    n_unnamed: int


@dataclass(frozen=True, eq=False)
class SitePerformance(Record):
    """How an analysis fares at a site.

    Parameters
    ----------
    flow : Flow
        What the figures rest on.
    vertebrae, studies : Performance
        Malignancy of single vertebrae, and of whole studies by their highest probability.
    lesion_sensitivity : Estimate
        Share of benign and malignant lesions in whose vertebra a candidate was marked.
    lesion_sensitivity_by_size : tuple of SizeGroup
        The same by volume; empty where the truth gives none.
    false_marks : Estimate
        Candidates per study that lie in no lesion's vertebra.
    levels : LevelSummary or None
        Names of vertebrae; None where the truth gives no places.
    set_coverage : Estimate
        Share of vertebrae whose prediction set holds the true kind.
    indeterminate : Estimate
        Share of vertebrae whose prediction set holds any number of kinds but one.
    groups : SubgroupTable
        Vertebrae by scanner and subgroup.
    """

    flow: Flow
    vertebrae: Performance
    studies: Performance
    lesion_sensitivity: Estimate
    lesion_sensitivity_by_size: tuple[SizeGroup, ...]
    false_marks: Estimate
    levels: LevelSummary | None
    set_coverage: Estimate
    indeterminate: Estimate
    groups: SubgroupTable

    def table(self) -> Table:
        """Show the figures.

        Returns
        -------
        Table
            One row per measure, for single vertebrae and for whole studies.
        """
        both = [self.vertebrae, self.studies]
        rows = [("AUC", *(str(p.area) for p in both))]
        names = ("sensitivity", "specificity", "ppv", "npv")
        rows += [(n.upper() if n.endswith("pv") else n, *(str(getattr(p.scores, n)) for p in both)) for n in names]
        return Table.of("Malignancy", ("measure", "vertebrae", "studies"), rows)


def site_performance(studies: Sequence[PairedStudy], threshold: float, confidence: float = 0.95) -> SitePerformance:
    """Measure an analysis at a site.

    Parameters
    ----------
    studies : sequence of PairedStudy
        Truth and answer of each study.
    threshold : float
        Probability of malignancy from which a vertebra or study is called malignant; fixed beforehand.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    SitePerformance
        The figures; what needs a class that does not occur is not assessable.

    Raises
    ------
    InputError
        If no vertebra can be compared.
    """
    rows = [v for s in studies for v in s.vertebrae]
    if not rows:
        msg = "no vertebra could be compared with the truth: no study was analyzed, or none of its vertebrae was named"
        raise InputError(msg)
    vertebrae = vertebra_readings(studies, threshold)
    counted = [s for s in studies if not s.found.failed or s.true.malignant]
    whole = study_readings(counted, threshold)
    marks = [s.marks for s in studies]
    patients = patient_codes([s.true.patient for s in studies], len(studies))
    sized = any(not math.isnan(t.volume_ml) for s in studies for t in s.true.levels)
    false = np.array([sum(m < 0 for m in s.marks.mark_lesion) for s in studies], dtype=np.float64)
    scored = [s.levels for s in studies if s.levels is not None]
    of_scored = [s.true.patient for s in studies if s.levels is not None]
    coverage, undecided = _sets(studies, confidence)
    return SitePerformance(
        _flow(studies, rows),
        performance(vertebrae, "vertebrae", confidence),
        performance(whole, "studies", confidence),
        sensitivity_by_size(marks, -math.inf, edges_ml=(0.0, math.inf), confidence=confidence)[0].sensitivity,
        sensitivity_by_size(marks, -math.inf, edges_ml=SIZE_EDGES_ML, confidence=confidence) if sized else (),
        mean_estimate(false, patients, STANDARD),
        summarize_levels(scored, patients=of_scored) if scored else None,
        coverage,
        undecided,
        subgroups(vertebrae, _groups(studies), confidence),
    )


def vertebra_readings(studies: Sequence[PairedStudy], threshold: float) -> Readings:
    """Give the vertebrae of many studies as scores with their truth.

    Parameters
    ----------
    studies : sequence of PairedStudy
        The studies.
    threshold : float
        Probability from which a vertebra is called malignant.

    Returns
    -------
    Readings
        One row per vertebra, with its patient.
    """
    rows = [(v.malignant, v.probability, s.true.patient) for s in studies for v in s.vertebrae]
    truth, score, patients = zip(*rows, strict=True)
    return Readings(np.array(truth, dtype=bool), np.array(score), threshold, patients)


def study_readings(studies: Sequence[PairedStudy], threshold: float) -> Readings:
    """Give whole studies as scores with their truth.

    Parameters
    ----------
    studies : sequence of PairedStudy
        The studies.
    threshold : float
        Probability from which a study is called malignant.

    Returns
    -------
    Readings
        One row per study, with its patient.
    """
    rows = [(s.true.malignant, s.found.score, s.true.patient) for s in studies]
    truth, score, patients = zip(*rows, strict=True)
    return Readings(np.array(truth, dtype=bool), np.array(score), threshold, patients)


def failures(studies: Sequence[PairedStudy], threshold: float, most: int) -> tuple[PairedVertebra, ...]:
    """Choose the gravest failures: missed malignant vertebrae and false alarms, in turn, the farthest off first.

    Parameters
    ----------
    studies : sequence of PairedStudy
        The studies.
    threshold : float
        Probability from which a vertebra is called malignant.
    most : int
        How many to give at most.

    Returns
    -------
    tuple of PairedVertebra
        One of each study before a second one of any.
    """
    rows = [v for s in studies for v in s.vertebrae]
    missed = sorted((v for v in rows if v.malignant and v.probability < threshold), key=lambda v: v.probability)
    alarms = sorted((v for v in rows if not v.malignant and v.probability >= threshold), key=lambda v: -v.probability)
    ordered = [[*_of_new_studies(kind)] for kind in (missed, alarms)]
    turns = [v for pair in zip(*ordered, strict=False) for v in pair]
    n = min(len(kind) for kind in ordered)
    return tuple([*turns, *ordered[0][n:], *ordered[1][n:]][:most])


def _of_new_studies(rows: list[PairedVertebra]) -> list[PairedVertebra]:
    seen: dict[int, int] = {}
    ranked = []
    for place, row in enumerate(rows):
        seen[row.study] = seen.get(row.study, 0) + 1
        ranked.append((seen[row.study], place, row))
    return [row for *_, row in sorted(ranked, key=lambda r: r[:2])]


def _groups(studies: Sequence[PairedStudy]) -> dict[str, list[str]]:
    """Give the group of each vertebra by each variable that tells some of them apart."""
    names = dict.fromkeys(name for s in studies for name in s.groups)
    groups = {name: [s.groups.get(name, "") for s in studies for _ in s.vertebrae] for name in names}
    groups[REGION] = [REGIONS.get(v.level[:1], MISSING) for s in studies for v in s.vertebrae]
    return {name: values for name, values in groups.items() if 1 < len(set(values)) <= MOST_GROUPS}


def _sets(studies: Sequence[PairedStudy], confidence: float) -> tuple[Estimate, Estimate]:
    """Give how often prediction sets hold the truth, and how often they leave it open."""
    judged = [
        (v.kind in v.found.prediction_set, len(v.found.prediction_set) != 1, s.true.patient)
        for s in studies
        for v in s.vertebrae
        if v.found is not None and v.found.probability is not None
    ]
    if not judged:
        nothing = Estimate(math.nan, confidence=confidence, flags=("no vertebra was judged",))
        return nothing, nothing
    held, open_, patients = (list(column) for column in zip(*judged, strict=True))
    codes = patient_codes(patients, len(judged))
    return (
        clustered_proportion(np.array(held), codes, confidence),
        clustered_proportion(np.array(open_), codes, confidence),
    )


def _flow(studies: Sequence[PairedStudy], rows: Sequence[PairedVertebra]) -> Flow:
    return Flow(
        len(studies),
        len({s.true.patient for s in studies}),
        sum(s.found.failed for s in studies),
        sum(s.true.malignant for s in studies),
        len(rows),
        sum(v.malignant for v in rows),
        sum(v.kind == "benign" for v in rows),
        sum(v.found is None for v in rows),
        sum(v.found is not None and v.found.probability is None for v in rows),
        sum(s.n_unnamed for s in studies),
    )
