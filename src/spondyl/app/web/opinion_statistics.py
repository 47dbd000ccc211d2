"""Opinions as tables and statistics, by specialty."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.web.reviews import SCALES
from spondyl.core import InputError
from spondyl.evaluation.agreement import Chance, agreement
from spondyl.evaluation.proportions import clustered_proportion
from spondyl.evaluation.records import plain
from spondyl.evaluation.sus import usability

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spondyl.app.web.reviews import Opinions

VERDICTS = ("accept", "correct", "reject")
"""Verdicts on what the software found; what it missed is counted by itself."""

EVERYBODY = "everybody"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet (OWASP, CSV Injection)."""


def opinion_statistics(opinions: Opinions) -> dict[str, Any]:
    """Summarize all opinions.

    Parameters
    ----------
    opinions : Opinions
        Where they are kept.

    Returns
    -------
    dict
        ``verdicts``, ``ratings``, ``agreement`` and ``usability``, each a list of rows with estimates and intervals,
        as JSON can hold them.
    """
    said, rated, answered = opinions.all_reviews(), opinions.all_feedback(), opinions.all_usability()
    found: dict[str, Any] = {
        "spondyl_version": __version__,
        "notice": RESEARCH_USE_ONLY,
        "verdicts": [row for who, rows in _groups(said) if (row := _verdicts(who, rows))],
        "ratings": [_ratings(who, rows, scale) for who, rows in _groups(rated) for scale in SCALES],
        "agreement": _agreements(said, rated),
        "usability": [_usability(who, rows) for who, rows in _groups(answered)],
    }
    return dict(plain(found))


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["specialty"]].append(row)
    every = [(EVERYBODY, list(rows))] if len(groups) != 1 and rows else []
    return [*sorted(groups.items()), *every]


def _verdicts(who: str, rows: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    judged = [row for row in rows if row["verdict"] in VERDICTS]
    if not judged:
        return None
    studies = np.unique([row["study_key"] for row in judged], return_inverse=True)[1]
    shares = {
        verdict: clustered_proportion(np.array([row["verdict"] == verdict for row in judged]), studies).to_dict()
        for verdict in VERDICTS
    }
    n_missed = sum(row["verdict"] == "missed" for row in rows)
    return {"specialty": who, "n": len(judged), "n_missed": n_missed, **shares}


def _ratings(who: str, rows: list[Mapping[str, Any]], scale: str) -> dict[str, Any]:
    """Describe ratings; the interval of the mean allows for several ratings of one person."""
    given = [(row[scale], row["user_name"]) for row in rows if row[scale] is not None]
    row: dict[str, Any] = {"specialty": who, "scale": scale, "n": len(given), "n_people": len({u for _, u in given})}
    if not given:
        return row | {"mean": None, "sd": None, "median": None, "low": None, "high": None, "counts": [0] * 5}
    values = np.array([value for value, _ in given], dtype=float)
    low, high = _interval_over_people(given)
    sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    counts = [int((values == k).sum()) for k in range(1, 6)]
    numbers = {"mean": float(values.mean()), "sd": sd, "median": float(np.median(values)), "low": low, "high": high}
    return row | numbers | {"counts": counts}


def _interval_over_people(given: Iterable[tuple[int, str]]) -> tuple[float, float]:
    """Give a 95 % t interval of the mean over people, each of whom counts once."""
    from scipy.special import stdtrit

    by_person: dict[str, list[int]] = defaultdict(list)
    for value, name in given:
        by_person[name].append(value)
    means = np.array([np.mean(v) for v in by_person.values()])
    if len(means) < 2:
        return math.nan, math.nan
    half = float(stdtrit(len(means) - 1, 0.975) * means.std(ddof=1) / math.sqrt(len(means)))
    return max(float(means.mean()) - half, 1.0), min(float(means.mean()) + half, 5.0)


def _agreements(said: list[dict[str, Any]], rated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say how far people agree with each other: Cohen's kappa on verdicts, Gwet's AC2 on ratings."""
    judged = [row for row in said if row["verdict"] in VERDICTS]
    rows = [_agreement("verdict", judged, "verdict", Chance.COHEN, "unweighted")]
    rows += [_agreement(scale, rated, scale, Chance.GWET, "quadratic") for scale in SCALES]
    return [row for row in rows if row is not None]


def _agreement(
    name: str, rows: list[dict[str, Any]], column: str, chance: Chance, weights: str
) -> dict[str, Any] | None:
    people = sorted({row["user_name"] for row in rows})
    findings = sorted({(row["study_key"], row["result_sha256"], row["finding"]) for row in rows})
    table = np.full((len(findings), len(people)), None, dtype=object)
    for row in rows:
        place = findings.index((row["study_key"], row["result_sha256"], row["finding"]))
        table[place, people.index(row["user_name"])] = row[column]
    shared = [line for line in table.tolist() if sum(v is not None for v in line) >= 2]
    if not shared:
        return None
    keep = [j for j in range(len(people)) if any(line[j] is not None for line in shared)]
    try:
        found = agreement([[line[j] for j in keep] for line in shared], chance, weights=weights)
    except InputError:
        return None
    return {"what": name, "coefficient": str(chance), **found.to_dict()}


def _usability(who: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {"specialty": who, **usability([row["answers"] for row in rows]).to_dict()}


def opinion_archive(opinions: Opinions) -> bytes:
    """Pack all opinions with their statistics.

    Parameters
    ----------
    opinions : Opinions
        Where they are kept.

    Returns
    -------
    bytes
        A zip with ``reviews.csv``, ``feedback.csv``, ``usability.csv`` and ``summary.json``. Without an identifier of
        a patient, but with what people wrote as comments, and the names of users.
    """
    answers = [
        {k: v for k, v in row.items() if k != "answers"} | {f"sus_{n}": v for n, v in enumerate(row["answers"], 1)}
        for row in opinions.all_usability()
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("reviews.csv", as_csv(opinions.all_reviews()))
        archive.writestr("feedback.csv", as_csv(opinions.all_feedback()))
        archive.writestr("usability.csv", as_csv(answers))
        archive.writestr("summary.json", json.dumps(opinion_statistics(opinions), indent=1) + "\n")
    return packed.getvalue()


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as CSV that a spreadsheet can open without running anything.

    Parameters
    ----------
    rows : sequence of mapping
        All with the same keys.

    Returns
    -------
    str
        The table; empty for no rows.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(list(rows[0]))
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, sort_keys=True)
    written = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{written}" if isinstance(value, str) and written.startswith(_FORMULA) else written
