"""Readings of reader studies as files: tables, iMRMC's text format, and the export of the review page.

Three forms are read, and told apart by what is in them:

- a table with the columns reader, case, modality, score, in which rows of the reader ``truth`` (or ``-1``) hold the
  truth of cases as their score, as in the example of iMRMC;
- iMRMC's text format: a description, the line ``BEGIN DATA:``, then the same four columns without a head;
- the export of the review page: the same with ``role``, ``finding``, ``truth`` and ``seconds``, and any further columns
  of numbers, which are answers to questions (1 to 5, say).

Names of columns may be written in other ways (``readerID``, ``caseID``…); columns may be parted by commas, semicolons
or tabs.

References
----------
Format: iMRMC user guide, https://didsr.github.io/iMRMC/000_iMRMC/userManualPDF/iMRMCuserguide.pdf, chapter "Input".
"""

from __future__ import annotations

import csv
import io as streams
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

EXPORT_COLUMNS = ("reader", "role", "case", "modality", "finding", "score", "truth", "seconds")
"""Columns of the review page's export, before those of answers. Only reader, case, modality and score are needed."""

ALIASES = {
    "reader": ("reader", "readerid", "reader_id", "rater", "observer"),
    "role": ("role", "kind"),
    "case": ("case", "caseid", "case_id"),
    "modality": ("modality", "modalityid", "modality_id", "test", "treatment", "condition"),
    "finding": ("finding", "findingid", "finding_id", "lesion", "lesionid", "lesion_id", "mark"),
    "score": ("score", "rating", "confidence"),
    "truth": ("truth", "label", "disease", "diseased"),
    "seconds": ("seconds", "time_s", "seconds_read", "reading_time_s"),
}
"""Other names of the columns, in lower case."""

TRUTH_NAMES = ("truth", "-1")
"""Readers whose rows hold the truth (iMRMC user guide; -1 in the text format)."""

STANDALONE_ROLES = ("ai", "algorithm", "model", "standalone", "device")
"""Roles of who scores cases without being a reader."""

MISSING = ("", "na", "n/a", "nan", "null", "none", ".")
"""Cells that say there is no value, in lower case."""

LARGEST_BYTES = 256 * 1024**2
"""A table of readings is smaller than this: two million rows. Chosen by us."""

_IMRMC_COLUMNS = {"reader": 0, "case": 1, "modality": 2, "score": 3}


@dataclass(frozen=True)
class Reading:
    """One row of a table of readings.

    Parameters
    ----------
    reader, case, modality : str
        Who read what in which way.
    score : float
        Higher is more suspicious; NaN where none was given.
    role : str
        ``"reader"`` or ``"standalone"``.
    finding : str
        Name of a finding; empty in rows that are about the whole case. A true finding has the name of the lesion.
    truth : float
        1 for a true finding or positive case, 0 for a false one or negative; NaN where the row does not say.
    seconds : float
        Time that the reading took; NaN where not known.
    answers : mapping of str to float
        Answers to further questions.
    row : int
        Row in the file, from 1, for messages.
    """

    reader: str
    case: str
    modality: str
    score: float
    role: str = "reader"
    finding: str = ""
    truth: float = math.nan
    seconds: float = math.nan
    answers: Mapping[str, float] = field(default_factory=dict)
    row: int = 0


@dataclass(frozen=True)
class ReadingTable:
    """Everything a file of readings says.

    Parameters
    ----------
    readings : tuple of Reading
        Rows of readers and standalone algorithms.
    truth : dict of str to bool
        Whether each case is positive.
    lesions : dict of str to tuple of str
        Names of the true lesions of each case that has some.
    questions : tuple of str
        Names of the columns of answers.
    notes : tuple of str
        What was read in a way that a user should know of.
    """

    readings: tuple[Reading, ...]
    truth: dict[str, bool]
    lesions: dict[str, tuple[str, ...]]
    questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_findings(self) -> bool:
        """Whether readers marked findings, and lesions are known."""
        return bool(self.lesions) and any(r.finding for r in self.readings)

    def by_role(self, role: str) -> tuple[Reading, ...]:
        """Give the readings of readers, or of standalone algorithms.

        Parameters
        ----------
        role : str
            ``"reader"`` or ``"standalone"``.

        Returns
        -------
        tuple of Reading
            In the order of the file.
        """
        return tuple(r for r in self.readings if r.role == role)


def read_readings(path: Path) -> ReadingTable:
    """Read a file of readings.

    Parameters
    ----------
    path : Path
        A table or a file in iMRMC's text format.

    Returns
    -------
    ReadingTable
        Its content.

    Raises
    ------
    InputError
        If the file cannot be read, columns are missing, a cell is no number, or truths contradict each other.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            msg = f"expected readings of at most {LARGEST_BYTES} bytes, got a larger file. Is it the right one?"
            raise InputError(msg)
        raw = path.read_bytes()
    except OSError:  # its text holds the path, which may hold a name
        msg = (
            "expected a readable file of readings; the path given cannot be opened. Check its spelling and permissions"
        )
        raise InputError(msg) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "\0" in text:
        msg = "expected a text file of readings, got something else. Export the table as CSV"
        raise InputError(msg)
    return parse_readings(text)


def parse_readings(text: str) -> ReadingTable:
    """Read readings from text.

    Parameters
    ----------
    text : str
        What the file holds.

    Returns
    -------
    ReadingTable
        Its content.

    Raises
    ------
    InputError
        If columns are missing, a cell is no number, or truths contradict each other.
    """
    lines = text.splitlines()
    begin = next((i for i, line in enumerate(lines) if line.strip().upper().startswith("BEGIN DATA")), None)
    try:
        if begin is None:
            first, head, questions = _head(lines)
            separator = _separator(lines[first - 1])
        else:
            first, head, questions = begin + 1, dict(_IMRMC_COLUMNS), {}
            separator = _separator(lines[first] if first < len(lines) else "")
        readings = list(_rows(lines, first, separator, head, questions))
    except csv.Error:
        msg = "expected a table of readings, got one whose quotation marks do not close. Export it again as CSV"
        raise InputError(msg) from None
    if not readings:
        msg = "expected readings, got a table without rows. Check that the export is complete"
        raise InputError(msg)
    return _table(readings, tuple(questions))


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)


def _head(lines: list[str]) -> tuple[int, dict[str, int], dict[str, int]]:
    """Find the head: the first line that is not empty. Give the row after it, known columns, and others."""
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        msg = "expected a table of readings, got an empty file"
        raise InputError(msg)
    names = [c.strip().lower() for c in next(csv.reader([lines[first]], delimiter=_separator(lines[first])))]
    known = {}
    for name, aliases in ALIASES.items():
        at = [i for i, c in enumerate(names) if c in aliases]
        if len(at) > 1:
            msg = f"expected one column {name}, got {len(at)} that can be meant. Rename the others"
            raise InputError(msg)
        if at:
            known[name] = at[0]
    lacking = [name for name in ("reader", "case", "modality", "score") if name not in known]
    if lacking:
        msg = (
            "a table of readings needs the columns reader, case, modality and score (or readerID, caseID, modalityID, "
            f"score); missing: {', '.join(lacking)}. The first line must name the columns"
        )
        raise InputError(msg)
    others = {c: i for i, c in enumerate(names) if i not in known.values() and c}
    return first + 1, known, others


def _rows(
    lines: list[str], first: int, separator: str, head: Mapping[str, int], questions: Mapping[str, int]
) -> Iterable[Reading]:
    reader = csv.reader(lines[first:], delimiter=separator, skipinitialspace=True)
    for offset, cells in enumerate(reader):
        if not any(c.strip() for c in cells):
            continue
        row = first + offset + 1
        if len(cells) <= max(head[n] for n in ("reader", "case", "modality", "score")):
            msg = f"row {row} of the readings has {len(cells)} cells, too few for the columns. Check its separators"
            raise InputError(msg)

        def cell(name: str, cells: list[str] = cells) -> str:
            at = head.get(name)
            return cells[at].strip() if at is not None and at < len(cells) else ""

        who, case, modality = cell("reader"), cell("case"), cell("modality")
        if not (who and case) or not (modality or who.lower() in TRUTH_NAMES):
            msg = f"row {row} of the readings lacks a reader, case or modality. Fill it in, or delete the row"
            raise InputError(msg)
        yield Reading(
            who,
            case,
            modality,
            _number(cell("score"), "score", row, separator),
            _role(cell("role"), who),
            "" if cell("finding").lower() in MISSING else cell("finding"),
            _number(cell("truth"), "truth", row, separator),
            _number(cell("seconds"), "seconds", row, separator),
            {q: _answer(cells[i].strip() if i < len(cells) else "", separator) for q, i in questions.items()},
            row,
        )


def _role(role: str, reader: str) -> str:
    if reader.lower() in TRUTH_NAMES or role.lower() == "truth":
        return "truth"
    return "standalone" if role.lower() in STANDALONE_ROLES else "reader"


def _number(text: str, column: str, row: int, separator: str) -> float:
    if text.lower() in MISSING:
        return math.nan
    words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0} if column == "truth" else {}
    try:
        value = words[text.lower()] if text.lower() in words else float(_decimal(text, separator))
    except ValueError:
        msg = f"{column} must be a number, which row {row} of the readings is not. Correct it, or leave it empty"
        raise InputError(msg) from None
    if math.isinf(value):
        msg = f"{column} must be finite, which row {row} of the readings is not. Correct it, or leave it empty"
        raise InputError(msg)
    return value


def _decimal(text: str, separator: str) -> str:
    return text.replace(",", ".") if separator != "," else text


def _answer(text: str, separator: str) -> float:
    """Answers that are words, such as comments, are passed over."""
    try:
        return float(_decimal(text, separator))
    except ValueError:
        return math.nan


def _table(rows: Sequence[Reading], questions: tuple[str, ...]) -> ReadingTable:
    truth_rows = [r for r in rows if r.role == "truth"]
    others = [r for r in rows if r.role != "truth"]
    if not others:
        msg = "expected readings, got rows of the truth only. Check that the export is complete"
        raise InputError(msg)
    lesions = _lesions(truth_rows) or _lesions(others)
    notes = []
    if not any(r.finding for r in truth_rows) and any(r.finding for r in others):
        notes.append("lesions are known from true findings of readers only: lesions that all missed do not count")
    truth = _truths(truth_rows, others, lesions)
    answered = tuple(q for q in questions if any(not math.isnan(r.answers[q]) for r in others))
    dropped = len(questions) - len(answered)
    if dropped:
        notes.append(f"{dropped} columns without numbers were not used")
    return ReadingTable(tuple(others), truth, lesions, answered, tuple(notes))


def _said(row: Reading) -> float:
    """What a row says of the truth: its truth, or, in a row of the truth, its score."""
    return row.score if row.role == "truth" and math.isnan(row.truth) else row.truth


def _lesions(rows: Iterable[Reading]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.finding and _said(row) == 1:
            found.setdefault(row.case, {})[row.finding] = None
    return {case: tuple(names) for case, names in found.items()}


def _truths(
    truth_rows: Iterable[Reading], others: Iterable[Reading], lesions: Mapping[str, tuple[str, ...]]
) -> dict[str, bool]:
    """Collect what is said of whole cases; where nothing is, a case is positive if it has a lesion."""
    said: dict[str, tuple[bool, int]] = {}
    asked: dict[str, None] = {}
    for row in (*truth_rows, *others):
        value = _said(row)
        if not math.isnan(value) and value not in (0, 1):
            msg = f"the truth must be 0 (negative) or 1 (positive), which row {row.row} of the readings is not"
            raise InputError(msg)
        if row.finding or math.isnan(value):
            asked |= {row.case: None} if row.finding else {}
            continue
        before = said.setdefault(row.case, (bool(value), row.row))
        if before[0] != bool(value):
            msg = f"rows {before[1]} and {row.row} of the readings contradict each other on the truth of a case"
            raise InputError(msg)
    truth = {case: value for case, (value, _) in said.items()}
    for case in (*lesions, *(asked if lesions else ())):
        if truth.setdefault(case, case in lesions) != (case in lesions) and case in lesions:
            msg = f"a case has a true finding, yet row {said[case][1]} of the readings calls it negative"
            raise InputError(msg)
    return truth


def write_readings(
    path: Path,
    readings: Iterable[Reading],
    truth: Mapping[str, bool],
    lesions: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write readings as the review page exports them, with the truth in rows of its own.

    Parameters
    ----------
    path : Path
        The CSV file to write; its folder exists.
    readings : iterable of Reading
        The rows.
    truth : mapping of str to bool
        Whether each case is positive.
    lesions : mapping of str to sequence of str, optional
        Names of the true lesions of each case.
    """
    rows = list(readings)
    questions = tuple(dict.fromkeys(q for r in rows for q in r.answers))
    stream = streams.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*EXPORT_COLUMNS, *questions])
    for case, positive in truth.items():
        for finding in ("", *(lesions or {}).get(case, ())):
            value = 1 if finding else int(positive)
            writer.writerow(["truth", "truth", case, "truth", finding, value, value, "", *[""] * len(questions)])
    for r in rows:
        numbers = (_written(v) for v in (r.score, r.truth, r.seconds))
        score, said, seconds = numbers
        answers = (_written(r.answers.get(q, math.nan)) for q in questions)
        writer.writerow([r.reader, r.role, r.case, r.modality, r.finding, score, said, seconds, *answers])
    path.write_text(stream.getvalue(), encoding="utf-8")


def _written(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
