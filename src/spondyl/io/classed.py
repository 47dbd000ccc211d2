"""Read which vertebrae of which studies are normal, benign or malignant: a table with one row a vertebra."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spondyl.core import LEVELS, InputError

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("patient", "study", "level", "class", "subtype")
"""Columns; the last may be missing or empty."""


@dataclass(frozen=True)
class ClassedVertebra:
    """A row of the table.

    Parameters
    ----------
    number : int
        Of the row, from 1.
    level : str
        Such as ``"L3"``.
    class_name, subtype : str
        As written.
    """

    number: int
    level: str
    class_name: str
    subtype: str

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"row {self.number} of the table"


@dataclass(frozen=True)
class ClassedStudy:
    """A study with what is known of its vertebrae.

    Parameters
    ----------
    number : int
        Its place in the table, from 1.
    patient : str
        Whose it is.
    path : Path
        A DICOM folder, zip or file, or a folder of NIfTI files whose names tell their sequences.
    vertebrae : tuple of ClassedVertebra
        What is known.
    """

    number: int
    patient: str
    path: Path
    vertebrae: tuple[ClassedVertebra, ...]


def list_classed(table: Path) -> list[ClassedStudy]:
    """Read a table of vertebrae and their classes.

    Parameters
    ----------
    table : Path
        CSV; paths of studies are relative to it.

    Returns
    -------
    list of ClassedStudy
        In order of their first rows.

    Raises
    ------
    InputError
        If it cannot be read, a row is incomplete, a level is unknown or named twice, or a study has two patients.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"the table of vertebrae cannot be read ({type(error).__name__}); save it as CSV in UTF-8"
        raise InputError(msg) from None
    if not rows:
        msg = f"the table of vertebrae is empty; it wants columns {', '.join(COLUMNS)} and a row for each vertebra"
        raise InputError(msg)
    owners: dict[str, str] = {}
    known: dict[str, list[ClassedVertebra]] = {}
    for number, row in enumerate(rows, 1):
        vertebra = _vertebra(number, row)
        study = row["study"]
        if owners.setdefault(study, row["patient"]) != row["patient"]:
            msg = f"{vertebra.where} names a second patient for its study; a study is of one patient"
            raise InputError(msg)
        if vertebra.level in {v.level for v in known.setdefault(study, [])}:
            msg = f"{vertebra.where} names {vertebra.level} of its study a second time; one row a vertebra"
            raise InputError(msg)
        known[study].append(vertebra)
    return [
        ClassedStudy(number, owners[study], table.parent / study, tuple(vertebrae))
        for number, (study, vertebrae) in enumerate(known.items(), 1)
    ]


def _vertebra(number: int, row: dict[str, str]) -> ClassedVertebra:
    missing = [column for column in COLUMNS[:4] if not row.get(column)]
    if missing:
        msg = f"row {number} of the table lacks {missing[0]!r}; columns are {', '.join(COLUMNS)}"
        raise InputError(msg)
    level = row["level"].upper()
    if level not in LEVELS:
        msg = f"row {number} of the table wants a level such as L3 or T12, got {row['level']!r}"
        raise InputError(msg)
    return ClassedVertebra(number, level, row["class"], row.get("subtype", ""))
