"""From a file of readings to everything that a reader study can say: each part that the file has columns for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError, SettingsError
from spondyl.evaluation.agreement import Agreement, Chance, agreement, krippendorff_alpha
from spondyl.evaluation.icc import IntraclassCorrelations, intraclass_correlations
from spondyl.evaluation.mrmc import analyze_study, compare_standalone
from spondyl.evaluation.mrmc_data import Design, ReaderStudy, arrange_readings
from spondyl.evaluation.mrmc_figures import MrmcSettings, analyze_figures
from spondyl.evaluation.mrmc_marks import Mark, marked_figures
from spondyl.evaluation.reading_time import TimeRatio, compare_times
from spondyl.evaluation.sus import N_ITEMS, Usability, usability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spondyl.evaluation.mrmc_result import MrmcResult
    from spondyl.io.reader_study import Reading, ReadingTable

MOST_CATEGORIES = 11
"""Scores with at most this many values, such as 0 to 10, are taken as ordered categories for agreement, others as
numbers. Chosen by us."""

UNAIDED = ("unaided", "without", "without_ai", "without ai", "reader", "readers")
"""Names of modalities that others are compared with, if no reference is named."""

_SUS = re.compile(r"^sus[ _-]?(\d+)$")


@dataclass(frozen=True)
class AnalysisChoices:
    """What a user can choose.

    Parameters
    ----------
    settings : MrmcSettings
        How readers are compared.
    threshold : float, optional
        A score at or above it calls a case positive; adds sensitivity and specificity. Scores of 0 and 1 take 0.5.
    standalone : tuple of str
        Readers who are no readers but algorithms, besides those whose role says so.
    """

    settings: MrmcSettings = field(default_factory=MrmcSettings)
    threshold: float | None = None
    standalone: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerMean:
    """Mean answer to a question.

    Parameters
    ----------
    question, modality : str
        What was asked about which way of reading.
    mean, sd : float
        Of all answers; `sd` is NaN for one.
    n : int
        Answers.
    """

    question: str
    modality: str
    mean: float
    sd: float
    n: int


@dataclass(frozen=True, eq=False)
class ReaderAnalysis:
    """Everything that was found; what the file has no data for is empty.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    main : MrmcResult
        The main comparison.
    others : tuple of MrmcResult
        Sensitivity and specificity, and free response.
    standalone : dict of str to tuple of MrmcResult
        Each algorithm against the readers, in each modality.
    times : tuple of TimeRatio
        Reading times by pair of modalities.
    agreement : dict of str to object
        How far readers agree, by modality.
    usability : Usability, optional
        System Usability Scale.
    answers : tuple of AnswerMean
        Other questions.
    notes : tuple of str
        How the file was read, and what could not be analyzed.
    """

    study: ReaderStudy
    main: MrmcResult
    others: tuple[MrmcResult, ...] = ()
    standalone: dict[str, tuple[MrmcResult, ...]] = field(default_factory=dict)
    times: tuple[TimeRatio, ...] = ()
    agreement: dict[str, tuple[Agreement, ...] | IntraclassCorrelations] = field(default_factory=dict)
    usability: Usability | None = None
    answers: tuple[AnswerMean, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the analysis as what JSON can hold.

        Returns
        -------
        dict
            Parts by name; what there was no data for is empty or None.
        """
        return {
            "study": self.study.to_dict(),
            "result": self.main.to_dict(),
            "further_results": [r.to_dict() for r in self.others],
            "standalone": {name: [r.to_dict() for r in results] for name, results in self.standalone.items()},
            "reading_times": [t.to_dict() for t in self.times],
            "agreement": {
                name: made.to_dict() if isinstance(made, IntraclassCorrelations) else [a.to_dict() for a in made]
                for name, made in self.agreement.items()
            },
            "usability": None if self.usability is None else self.usability.to_dict(),
            "answers": [{**vars(a), "sd": None if math.isnan(a.sd) else a.sd} for a in self.answers],
            "notes": list(self.notes),
        }


def analyze_readings(table: ReadingTable, choices: AnalysisChoices | None = None) -> ReaderAnalysis:
    """Analyze all that a file of readings holds.

    Parameters
    ----------
    table : ReadingTable
        The readings.
    choices : AnalysisChoices, optional
        What a user chose.

    Returns
    -------
    ReaderAnalysis
        Every part that there are data for. A part that cannot be analyzed is said in `notes` and does not stop the
        others; the main comparison must succeed.

    Raises
    ------
    InputError
        If the readings do not make a study.
    SettingsError
        If a choice does not fit the study.
    """
    chosen = choices or AnalysisChoices()
    unknown = set(chosen.standalone) - {r.reader for r in table.readings}
    if unknown:
        msg = f"--standalone names {', '.join(sorted(unknown))}, who read nothing in this file. Check the spelling"
        raise SettingsError(msg)
    alone = {r.reader for r in table.by_role("standalone")} | set(chosen.standalone)
    of_readers = [r for r in table.readings if r.reader not in alone]
    if not of_readers:
        msg = "expected readings of readers, got those of standalone algorithms only"
        raise InputError(msg)
    notes = list(table.notes)
    study = _study(of_readers, table, notes)
    settings = chosen.settings
    if not settings.reference:
        settings = replace(settings, reference=next((m for m in study.modalities if m.lower() in UNAIDED), ""))
    threshold = chosen.threshold
    if threshold is None and np.isin(study.scores[study.read], (0, 1)).all():
        threshold = 0.5
    if threshold is not None:
        settings = replace(settings, threshold=threshold)
    main = analyze_study(study, settings)
    parts = _Parts(table, study, settings, notes)
    others = parts.calls(threshold) + parts.free_response(of_readers)
    return ReaderAnalysis(
        study,
        main,
        others,
        parts.standalone([r for r in table.readings if r.reader in alone]),
        parts.times(of_readers),
        parts.agreement(threshold),
        parts.usability(of_readers),
        _answers(of_readers, table.questions),
        tuple(notes),
    )


def _study(readings: Sequence[Reading], table: ReadingTable, notes: list[str]) -> ReaderStudy:
    reader, case, modality, score = _case_scores(readings, table, notes)
    return arrange_readings(reader, case, modality, score, table.truth)


def _by_reading(readings: Sequence[Reading]) -> dict[tuple[str, str, str], list[Reading]]:
    """Group the rows of one reading: of the case, and of its findings."""
    found: dict[tuple[str, str, str], list[Reading]] = {}
    for r in readings:
        found.setdefault((r.reader, r.case, r.modality), []).append(r)
    for rows in found.values():
        of_case = [r.row for r in rows if not r.finding]
        if len(of_case) > 1:
            msg = (
                f"rows {of_case[0]} and {of_case[1]} of the readings are of the same reader, case and modality. Keep "
                "one, or give repeated sessions different modality names"
            )
            raise InputError(msg)
    return found


def _case_scores(
    readings: Sequence[Reading], table: ReadingTable, notes: list[str]
) -> tuple[list[str], list[str], list[str], list[float]]:
    """Give one score for each reading: of the case, or its most suspicious finding, or lower than all without one."""
    grouped = _by_reading(readings)
    known = [r.score for r in readings if not math.isnan(r.score)]
    lowest = min(known, default=0.0) - 1
    scores, n_from_findings, n_without = [], 0, 0
    for rows in grouped.values():
        of_case = [r.score for r in rows if not r.finding and not math.isnan(r.score)]
        of_findings = [r.score for r in rows if r.finding and not math.isnan(r.score)]
        if of_case:
            scores.append(of_case[0])
        elif of_findings:
            scores.append(max(of_findings))
            n_from_findings += 1
        else:
            scores.append(lowest if table.has_findings else math.nan)
            n_without += 1
    if n_from_findings:
        notes.append(f"{n_from_findings} readings have the score of their most suspicious finding")
    if n_without:
        what = "no finding, and so a score below all others" if table.has_findings else "no score, and do not count"
        notes.append(f"{n_without} readings have {what}")
    reader, case, modality = (list(column) for column in zip(*grouped, strict=True))
    return reader, case, modality, scores


@dataclass(frozen=True)
class _Parts:
    """The further parts of an analysis; each says in `notes` why it cannot be made."""

    table: ReadingTable
    study: ReaderStudy
    settings: MrmcSettings
    notes: list[str]

    def calls(self, threshold: float | None) -> tuple[MrmcResult, ...]:
        found: list[MrmcResult] = []
        for metric in ("sensitivity", "specificity") if threshold is not None else ():
            if metric != self.settings.metric:
                found += self._tried(
                    metric, lambda m=metric: analyze_study(self.study, replace(self.settings, metric=m))
                )  # type: ignore[misc]
        return tuple(found)

    def free_response(self, readings: Sequence[Reading]) -> tuple[MrmcResult, ...]:
        if not self.table.has_findings:
            return ()
        marks = [
            Mark(
                r.reader,
                r.case,
                r.modality,
                r.finding if r.finding in self.table.lesions.get(r.case, ()) else "",
                r.score,
            )
            for r in readings
            if r.finding and not math.isnan(r.score)
        ]
        read = list(_by_reading(readings))
        return tuple(
            self._tried(
                "free response",
                lambda: analyze_figures(marked_figures(marks, self.table.lesions, read), self.settings),
            )
        )

    def standalone(self, readings: Sequence[Reading]) -> dict[str, tuple[MrmcResult, ...]]:
        found = {}
        for name in dict.fromkeys(r.reader for r in readings):
            own = [r for r in readings if r.reader == name]
            _, case, _, score = _case_scores(own, self.table, [])
            by_case = dict(zip(case, score, strict=True))
            kept = np.array([not math.isnan(by_case.get(c, math.nan)) for c in self.study.cases])
            if not kept.all():
                self.notes.append(f"{name} scored {int(kept.sum())} of {len(kept)} cases; the comparison is on these")
            if not kept.any():
                continue
            part = self.study.select(cases=kept)
            scores = [by_case[c] for c in part.cases]
            label = name if name not in part.modalities else f"{name} alone"
            made = self._tried(
                f"{name} alone", lambda p=part, s=scores, n=label: compare_standalone(p, s, self.settings, name=n)
            )  # type: ignore[misc]
            if made:
                found[name] = made[0]
        return found

    def times(self, readings: Sequence[Reading]) -> tuple[TimeRatio, ...]:
        grouped = _by_reading(readings)
        spent = [
            max((r.seconds for r in rows if not math.isnan(r.seconds)), default=math.nan) for rows in grouped.values()
        ]
        if not grouped or all(math.isnan(s) for s in spent) or len(self.study.modalities) < 2:
            return ()
        reader, case, modality = (list(column) for column in zip(*grouped, strict=True))
        seconds = arrange_readings(reader, case, modality, spent, self.table.truth)
        found: list[TimeRatio] = []
        for d in self._pairs():
            found += self._tried("reading times", lambda p=d: compare_times(seconds, *p))  # type: ignore[misc]
        return tuple(found)

    def _pairs(self) -> list[tuple[str, str]]:
        names = self.study.modalities
        reference = self.settings.reference or names[0]
        return [(m, reference) for m in names if m != reference]

    def agreement(self, threshold: float | None) -> dict[str, tuple[Agreement, ...] | IntraclassCorrelations]:
        if len(self.study.readers) < 2 or self.study.design in (Design.READERS_IN_MODALITIES, Design.CASES_IN_READERS):
            return {}
        found: dict[str, tuple[Agreement, ...] | IntraclassCorrelations] = {}
        for i, name in enumerate(self.study.modalities):
            scores = self.study.scores[i].T
            for made in self._tried(f"agreement, {name}", lambda s=scores: _agreement(s, threshold)):  # type: ignore[misc]
                found[name] = made
        return found

    def usability(self, readings: Sequence[Reading]) -> Usability | None:
        items = {int(m[1]): q for q in self.table.questions if (m := _SUS.match(q)) and 1 <= int(m[1]) <= N_ITEMS}
        if len(items) < N_ITEMS:
            return None
        people = dict.fromkeys(r.reader for r in readings)
        answers = [[_first(readings, who, items[i + 1]) for i in range(N_ITEMS)] for who in people]
        made = self._tried("System Usability Scale", lambda: usability(answers))
        return made[0] if made else None

    def _tried(self, what: str, make: Any) -> list[Any]:
        try:
            return [make()]
        except (InputError, SettingsError) as error:
            self.notes.append(f"{what} could not be analyzed: {error}")
            return []


def _agreement(scores: np.ndarray, threshold: float | None) -> tuple[Agreement, ...] | IntraclassCorrelations:
    """Agree on calls where a threshold is known, on ordered categories where there are few, else on numbers."""
    if threshold is not None:
        calls = np.where(np.isnan(scores), np.nan, (scores >= threshold).astype(np.float64))
        return agreement(calls, Chance.GWET), agreement(calls, Chance.COHEN), krippendorff_alpha(calls)
    if len(np.unique(scores[~np.isnan(scores)])) <= MOST_CATEGORIES:
        weights = "quadratic"
        return (
            agreement(scores, Chance.GWET, weights=weights),
            agreement(scores, Chance.COHEN, weights=weights),
            krippendorff_alpha(scores, "ordinal"),
        )
    return intraclass_correlations(scores)


def _first(readings: Sequence[Reading], reader: str, question: str) -> float:
    return next(
        (r.answers[question] for r in readings if r.reader == reader and not math.isnan(r.answers[question])), math.nan
    )


def _answers(readings: Sequence[Reading], questions: Sequence[str]) -> tuple[AnswerMean, ...]:
    found = []
    for question in (q for q in questions if not _SUS.match(q)):
        for modality in dict.fromkeys(r.modality for r in readings):
            given = [r.answers[question] for r in readings if r.modality == modality]
            values = np.array([v for v in given if not math.isnan(v)])
            if values.size:
                sd = float(values.std(ddof=1)) if values.size > 1 else math.nan
                found.append(AnswerMean(question, modality, float(values.mean()), sd, int(values.size)))
    return tuple(found)
