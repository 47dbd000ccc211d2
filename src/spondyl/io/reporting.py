"""Reporting guidelines as data: which item is answered where, and what a hospital has still to write.

Held are the numbers of the items and topics in our own words; their full wording stands in the guidelines, which are to
be read beside this: TRIPOD+AI (Collins 2024, doi 10.1136/bmj-2023-078378), CLAIM 2024 (Tejani 2024, doi
10.1148/ryai.240300), STARD-AI (Sounderajah 2025, doi 10.1038/s41591-025-03953-8), DECIDE-AI (Vasey 2022, doi
10.1038/s41591-022-01772-9).
"""

from __future__ import annotations

import csv
import io as streams
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from spondyl import __version__
from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

GUIDELINES = {
    "TRIPOD+AI": "Collins 2024, doi 10.1136/bmj-2023-078378",
    "CLAIM 2024": "Tejani 2024, doi 10.1148/ryai.240300",
    "STARD-AI": "Sounderajah 2025, doi 10.1038/s41591-025-03953-8",
    "DECIDE-AI": "Vasey 2022, doi 10.1038/s41591-022-01772-9",
}
"""The guidelines and their sources."""

SITE = "site"
"""Part of `answers.toml` that only the hospital can answer."""


class State(StrEnum):
    """Whether an item is answered."""

    REPORT = "in this report"
    SOFTWARE = "with the software"
    SITE = "by you"
    OPEN = "open"


@dataclass(frozen=True)
class Item:
    """One item of a guideline, answered or asked for.

    Parameters
    ----------
    guideline, number : str
        Such as ``"TRIPOD+AI"`` and ``"23a"``.
    topic : str
        What it is about, in our words.
    state : State
        Who answers it.
    answer : str
        Where it is answered, what was written, or what has to be.
    key : str
        Name in the file of answers under which it is asked for; empty where it is not.
    """

    guideline: str
    number: str
    topic: str
    state: State
    answer: str
    key: str = ""


@cache
def _data() -> tuple[list[dict[str, str]], dict[str, dict[str, dict[str, str]]]]:
    folder = resources.files("spondyl.io") / "checklists"
    rows = list(csv.DictReader(streams.StringIO((folder / "items.csv").read_text(encoding="utf-8"))))
    return rows, tomllib.loads((folder / "answers.toml").read_text(encoding="utf-8"))


def questions() -> dict[str, str]:
    """Give what only a hospital can answer.

    Returns
    -------
    dict of str to str
        What is asked for, by the key of a file of answers.
    """
    return {key: entry["text"] for key, entry in _data()[1][SITE].items()}


def fill(answers: Mapping[str, str], unavailable: Collection[str] = ()) -> tuple[Item, ...]:
    """Fill the items of all guidelines.

    Parameters
    ----------
    answers : mapping of str to str
        What the hospital wrote, by key; see `questions`.
    unavailable : collection of str, optional
        Keys under ``report`` that this evaluation could not answer.

    Returns
    -------
    tuple of Item
        In the order of the guidelines.
    """
    rows, known = _data()
    filled = []
    for row in rows:
        part, _, key = row["answer"].partition(".")
        entry = known[part][key]
        state, text, asked = State.OPEN, entry["text"].replace("{version}", __version__), ""
        if part == SITE:
            asked = key
            if answers.get(key, "").strip():
                state, text = State.SITE, answers[key].strip()
        elif part == "software":
            state = State.SOFTWARE
        elif key in unavailable:
            text = entry["missing"]
        else:
            state = State.REPORT
        filled.append(Item(row["guideline"], row["item"], row["topic"], state, text, asked))
    return tuple(filled)


def read_answers(path: Path) -> dict[str, str]:
    """Read a hospital's answers.

    Parameters
    ----------
    path : Path
        A TOML file of keys and text, such as `answers_text` gives.

    Returns
    -------
    dict of str to str
        Answers by key.

    Raises
    ------
    InputError
        If the file is missing or no such file, or a key is unknown.
    """
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f'the answers {path.name} cannot be read ({type(error).__name__}); give a TOML file of key = "text"'
        raise InputError(msg) from error
    known = questions()
    unknown = [key for key in table if key not in known]
    if unknown:
        msg = f"the answers {path.name} hold {unknown[0]!r}, which no item asks for; the keys are: {', '.join(known)}"
        raise InputError(msg)
    wrong = [key for key, value in table.items() if not isinstance(value, str)]
    if wrong:
        msg = f"the answer to {wrong[0]} must be text in quotation marks; correct {path.name}"
        raise InputError(msg)
    return table


def answers_text(answers: Mapping[str, str]) -> str:
    """Write a file of answers, to be filled in and given again.

    Parameters
    ----------
    answers : mapping of str to str
        What is known already.

    Returns
    -------
    str
        TOML, with what is asked for above each key.
    """
    import tomli_w

    lines = ["# What only you can answer; give this file with --answers and it fills the reporting table."]
    for key, question in questions().items():
        lines += ["", f"# {question}", tomli_w.dumps({key: answers.get(key, "")}).rstrip()]
    return "\n".join(lines) + "\n"


def items_csv(items: Sequence[Item]) -> str:
    """Write the filled items as CSV, for a manuscript's supplement.

    Parameters
    ----------
    items : sequence of Item
        As filled.

    Returns
    -------
    str
        One line per item.
    """
    stream = streams.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("guideline", "item", "topic", "answered", "where", "key"))
    writer.writerows((i.guideline, i.number, i.topic, str(i.state), i.answer, i.key) for i in items)
    return stream.getvalue()
