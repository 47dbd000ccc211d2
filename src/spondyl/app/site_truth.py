"""The truth of a hospital's studies: one table that a radiologist can type.

A row is a vertebra of a study and its class. A study without findings has one row without a level. Vertebrae that no
row names are normal.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spondyl.core import InputError
from spondyl.core.anatomy import LEVELS
from spondyl.evaluation.generalization import MISSING
from spondyl.evaluation.site import MOST_GROUPS
from spondyl.evaluation.site_cases import KINDS, MALIGNANT, NORMAL, TrueLevel, TrueStudy
from spondyl.io.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

CENTER_COLUMNS = ("x_lps_mm", "y_lps_mm", "z_lps_mm")
"""Columns of the center of a vertebral body, which are optional."""

OWN_COLUMNS = ("study", "patient", "level", "class", "volume_ml", "date", *CENTER_COLUMNS)
"""Columns with a meaning of their own; any other one tells studies apart."""

THORACIC_LETTERS = re.compile(r"^(?:TH|D)(?=\d)")
"""Other letters for thoracic levels, as in Th12 and D12."""


def read_truth(path: Path) -> dict[str, TrueStudy]:
    """Read the truth.

    Parameters
    ----------
    path : Path
        CSV or TSV with the columns ``study``, ``level`` and ``class``, and any of `OWN_COLUMNS` and further ones.

    Returns
    -------
    dict of str to TrueStudy
        By the name of the study, which nothing but pairing may use; in the order of the file.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column or contradicts itself; messages count rows.
    """
    table = read_table(path, text=True)
    table.columns = [str(c).strip() for c in table.columns]
    missing = [name for name in ("study", "level", "class") if name not in table]
    if missing:
        msg = f"the truth needs the columns study, level and class; missing: {', '.join(missing)}"
        raise InputError(msg)
    table = table.reset_index(drop=True).apply(lambda column: column.str.strip()).replace("", None)
    _refuse(table["study"].isna(), "must name its study")
    days = _days(table)
    groups = {name: _group(table, name) for name in table.columns if name not in OWN_COLUMNS}
    truth = {}
    for number, (name, rows) in enumerate(table.groupby("study", sort=False), 1):
        for column in ("patient", "date", *groups):
            if column in rows and rows[column].nunique(dropna=False) > 1:
                msg = f"{column} must be the same in all rows of a study; {_where(rows.index)} differ"
                raise InputError(msg)
        first = rows.index[0]
        truth[str(name)] = TrueStudy(
            number,
            _patient(rows, number),
            tuple(level for _, row in rows.iterrows() if (level := _level(row)) is not None),
            any(_kind(row) == MALIGNANT and pd.isna(row["level"]) for _, row in rows.iterrows()),
            {column: values[first] for column, values in groups.items()},
            days[first],
        )
        _refuse_twice(rows)
    return truth


def _where(index: pd.Index) -> str:
    """Name rows as a spreadsheet counts them, the line of names being the first."""
    return f"rows {', '.join(str(i + 2) for i in index[:3])}"


def _refuse(wrong: pd.Series, wanted: str) -> None:
    if wrong.any():
        msg = f"every row of the truth {wanted}; {_where(wrong[wrong].index)} do not"
        raise InputError(msg)


def _refuse_twice(rows: pd.DataFrame) -> None:
    names = rows["level"].dropna().map(_level_name)
    if names.duplicated().any():
        twice = names[names.duplicated(keep=False)].index
        msg = f"a level stands once in a study, with the class that decides; {_where(twice)} name one twice"
        raise InputError(msg)


def _patient(rows: pd.DataFrame, number: int) -> str:
    if "patient" not in rows:
        return f"study {number}"
    _refuse(rows["patient"].isna(), "must name its patient where there is a column patient")
    return str(rows["patient"].iloc[0])


def _kind(row: pd.Series) -> str:
    kind = NORMAL if pd.isna(row["class"]) and pd.isna(row["level"]) else str(row["class"]).lower()
    if kind not in KINDS:
        msg = f"class must be one of {', '.join(KINDS)}; row {row.name + 2} holds something else"
        raise InputError(msg)
    return kind


def _level_name(text: str) -> str:
    return THORACIC_LETTERS.sub("T", text.upper())


def _level(row: pd.Series) -> TrueLevel | None:
    kind = _kind(row)
    if pd.isna(row["level"]):
        return None
    level = _level_name(row["level"])
    if level not in LEVELS:
        msg = f"level must be a name such as C2, T12, L5 or S1; row {row.name + 2} holds something else"
        raise InputError(msg)
    volume = _number(row, "volume_ml")
    if volume < 0:
        msg = f"volume_ml must be 0 or more; row {row.name + 2} holds less"
        raise InputError(msg)
    center = [_number(row, name) for name in CENTER_COLUMNS]
    if 0 < sum(map(math.isnan, center)) < len(center):
        msg = f"a center needs {', '.join(CENTER_COLUMNS)}; row {row.name + 2} holds some of them only"
        raise InputError(msg)
    return TrueLevel(level, kind, volume, None if math.isnan(center[0]) else (center[0], center[1], center[2]))


def _number(row: pd.Series, name: str) -> float:
    if name not in row or pd.isna(row[name]):
        return math.nan
    try:
        value = float(row[name])
    except ValueError:
        value = math.inf
    if math.isinf(value):
        msg = f"{name} must be a number with a decimal point; row {row.name + 2} holds something else"
        raise InputError(msg)
    return value


def _days(table: pd.DataFrame) -> list[float]:
    """Give the days of the studies from any origin: dates serve to put them in order and go nowhere else."""
    if "date" not in table:
        return [math.nan] * len(table)
    moments = pd.to_datetime(table["date"], errors="coerce", format="ISO8601")
    _refuse(moments.isna() & table["date"].notna(), "must hold its date as 2026-01-31")
    return [math.nan if pd.isna(m) else m.timestamp() / 86400 for m in moments]


def _group(table: pd.DataFrame, name: str) -> list[str]:
    """Give the group of each row: words as they are, numbers of many values in thirds of the studies."""
    given = table[name]
    numbers = pd.to_numeric(given, errors="coerce")
    if given.nunique() <= MOST_GROUPS or (numbers.isna() & given.notna()).any():
        return [MISSING if pd.isna(v) else str(v) for v in given]
    of_studies = numbers[~table["study"].duplicated()].dropna()
    low, high = np.quantile(of_studies, [1 / 3, 2 / 3])
    names = (f"under {low:g}", f"{low:g} to {high:g}", f"{high:g} or more")
    return [MISSING if pd.isna(v) else names[int(v >= low) + int(v >= high)] for v in numbers]
