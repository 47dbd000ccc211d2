"""A stored result as a case again, and in the words of the report, for who shows it from ``result.json`` alone."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from spondyl.core import Case, Lesion, Measurement, QualityFlag, Score, ScoreItem, Vertebra
from spondyl.core.response import Change, LesionChange, Response, Verdict, VertebraMatch
from spondyl.io import wording
from spondyl.io.early_section import early_section
from spondyl.io.panels import evidence_of
from spondyl.io.response_panels import height_words, numbers
from spondyl.io.risk_section import risk_cells, risk_parts, risk_words
from spondyl.io.score_panels import score_section

if TYPE_CHECKING:
    from collections.abc import Mapping


def case_of(document: Mapping[str, Any]) -> Case:
    """Give the findings of a result as a case.

    Parameters
    ----------
    document : mapping of str to object
        The content of ``result.json``.

    Returns
    -------
    Case
        Without images and outlines, which the document does not hold.
    """
    return Case(
        document["case_id"],
        {},
        vertebrae=tuple(_record(Vertebra, v) for v in document["vertebrae"]),
        lesions=tuple(_record(Lesion, v | {"label": v["id"]}, measurements=Measurement) for v in document["lesions"]),
        scores=tuple(_score(values) for values in document.get("scores", ())),
        clinical=document.get("clinical") or {},
        risk=document.get("risk") or {},
        response=_response(document.get("response")),
        quality=tuple(_record(QualityFlag, values) for values in document["quality"]),
    )


def retold(document: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a result holds, in the words of the report.

    Parameters
    ----------
    document : mapping of str to object
        The content of ``result.json``.

    Returns
    -------
    dict
        ``headline`` and ``sentences`` on the whole; ``findings`` by name, such as ``"lesion-1"``; ``changes`` since a
        prior study, ``scores``, ``risk`` and ``early`` disease, each empty where there is nothing to say.
    """
    case = case_of(document)
    findings = {f"lesion-{lesion.label}": _finding(lesion) for lesion in case.lesions}
    findings |= {
        f"vertebra-{v.instance}": {"opinion": wording.opinion(v), "remarks": wording.remarks(v)} for v in case.vertebrae
    }
    return {
        "headline": wording.headline(case),
        "sentences": wording.summary(case),
        "findings": findings,
        "changes": _changes(case),
        "scores": asdict(score_section(case)),
        "risk": _risk(case),
        "early": early_section(case),
    }


def _finding(lesion: Lesion) -> dict[str, Any]:
    evidence = evidence_of(lesion)
    inside = evidence.pop("inside", None)
    return {
        "opinion": wording.opinion(lesion),
        "measurements": [(name, wording.amount(m), m.note) for name, m in wording.measured(lesion)],
        "evidence": [(wording.SLOT_WORDS.get(name, name), fall) for name, fall in evidence.items()],
        "inside_percent": inside,
        "rests_on": wording.rests_on(lesion),
    }


def _changes(case: Case) -> dict[str, Any]:
    response = case.response
    if response is None:
        return {}
    rows = [
        {
            "lesion": change.lesion,
            "prior_lesion": change.prior_lesion,
            "level": change.level or "",
            "status": change.status,
            "category": change.category,
            "caution": change.caution,
            "suspicious": change.suspicious,
            "numbers": [
                (*numbers(c), c.verdict in ("increased", "decreased"))
                for c in change.changes
                if c.prior is not None or c.current is not None
            ],
        }
        for change in sorted(response.lesions, key=lambda c: not c.suspicious)
    ]
    return {
        "assessable": response.assessable,
        "reason": response.reason,
        "days": response.days_since_prior,
        "same_patient": response.same_patient,
        "verdicts": [asdict(verdict) for verdict in response.verdicts],
        "rows": rows,
        "heights": height_words(case),
    }


def _risk(case: Case) -> dict[str, Any]:
    risk = case.risk
    if "events" not in risk:
        return {}
    events = [
        {
            "name": event["event"],
            "cells": risk_cells(event),
            "months": f"{event['explained_at_months']:g}",
            "typical": event["typical_risk"],
            "parts": risk_parts(event, risk["features"]),
        }
        for event in risk["events"]
    ]
    return risk_words(risk) | {"events": events}


def _record(kind: type, values: Mapping[str, Any], **nested: type) -> Any:
    """A record from its values; lists become tuples, and those named are of records themselves."""
    known = {f.name for f in fields(kind)}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    for name, inner in nested.items():
        given[name] = tuple(_record(inner, v) for v in values.get(name) or ())
    return kind(**given)


def _score(values: Mapping[str, Any]) -> Measurement:
    made: Measurement = _record(Score, values, items=ScoreItem) if "code" in values else _record(Measurement, values)
    return made


def _response(values: Mapping[str, Any] | None) -> Response | None:
    if values is None:
        return None
    more: dict[str, Any] = {
        "vertebrae": [_match(v) for v in values.get("vertebrae", ())],
        "lesions": [_record(LesionChange, v, changes=Change) for v in values.get("lesions", ())],
    }
    made: Response = _record(Response, {**values, **more}, verdicts=Verdict)
    return made


def _match(values: Mapping[str, Any]) -> VertebraMatch:
    height = values.get("height")
    rows = tuple(tuple(row) for row in values["prior_to_current"])
    more = {"height": None if height is None else _record(Change, height), "prior_to_current": rows}
    made: VertebraMatch = _record(VertebraMatch, {**values, **more})
    return made
