"""The true lesions of a reader study: read from a table, and the places that readers marked held against them.

References
----------
Chakraborty DP. Observer Performance Methods for Diagnostic Imaging. CRC Press 2017, chapter 13: a mark within the
acceptance radius of a lesion is a lesion localization, the highest-rated of several counts; every other mark is a
non-lesion localization.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("case", "lesion", "x_lps_mm", "y_lps_mm", "z_lps_mm", "radius_mm")
"""Columns of the table. ``case`` is the pseudonym or the key of a study."""

LARGEST_BYTES = 1024**2
"""A table of true lesions is smaller than this: ten thousand rows. Chosen by us."""


def read_true_lesions(
    text: str, studies: Mapping[str, str], truth: Mapping[str, bool]
) -> dict[str, list[dict[str, Any]]]:
    """Read the true lesions of a reader study.

    Parameters
    ----------
    text : str
        A CSV table with the columns `COLUMNS`; empty for none.
    studies : mapping of str to str
        Study key by what the column ``case`` may say.
    truth : mapping of str to bool
        Whether each case, by study key, is positive.

    Returns
    -------
    dict of str to list of dict
        ``name``, ``point_lps_mm`` and ``radius_mm`` of each lesion, by study key; empty for an empty table.

    Raises
    ------
    InputError
        If a column is missing, a number is none, a case is not in the study, or the lesions contradict the truth.
    """
    if not text.strip():
        return {}
    rows = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        msg = f"the table of lesions needs the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        raise InputError(msg)
    found: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows, 2):
        key = studies.get((row["case"] or "").strip())
        if key is None or not truth.get(key, False):
            msg = f"row {number} of the table of lesions names no positive case of this study; correct it"
            raise InputError(msg)
        name = (row["lesion"] or "").strip()
        if not name or name.startswith(FALSE_MARK) or any(name == lesion["name"] for lesion in found.get(key, ())):
            msg = f"row {number} of the table of lesions needs a name of its own in its case, not like {FALSE_MARK}1"
            raise InputError(msg)
        x, y, z, radius = (_number(row[column], column, number) for column in COLUMNS[2:])
        if radius <= 0:
            msg = f"radius_mm must be above 0, which row {number} of the table of lesions is not"
            raise InputError(msg)
        found.setdefault(key, []).append({"name": name, "point_lps_mm": [x, y, z], "radius_mm": radius})
    bare = sum(positive and key not in found for key, positive in truth.items())
    if bare:
        msg = f"{bare} positive cases have no lesion in the table; give all their lesions, or no table"
        raise InputError(msg)
    return found


FALSE_MARK = "mark-"
"""Marks that hit no lesion are called so, with a number."""


def _number(text: str | None, column: str, row: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        msg = f"{column} must be a number, which row {row} of the table of lesions is not"
        raise InputError(msg)
    return value


def judged(marks: Sequence[Mapping[str, Any]], lesions: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool, float]]:
    """Hold the marks of one reading against the lesions of its case.

    Parameters
    ----------
    marks : sequence of mapping
        ``point_lps_mm`` and ``score``.
    lesions : sequence of mapping
        As `read_true_lesions` gives them.

    Returns
    -------
    list of (str, bool, float)
        Name of the finding, whether it is a true lesion, and its score: of several marks on one lesion the highest.
    """
    hits: dict[str, float] = {}
    misses: list[float] = []
    for mark in marks:
        near = [
            (math.dist(mark["point_lps_mm"], lesion["point_lps_mm"]) / lesion["radius_mm"], lesion["name"])
            for lesion in lesions
        ]
        reach, name = min(near, default=(math.inf, ""))
        if reach <= 1:
            hits[name] = max(hits.get(name, -math.inf), mark["score"])
        else:
            misses.append(mark["score"])
    return [(name, True, score) for name, score in hits.items()] + [
        (f"{FALSE_MARK}{number}", False, score) for number, score in enumerate(misses, 1)
    ]
