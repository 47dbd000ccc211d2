"""What an evaluation leaves on disk: the numbers as JSON, as a page and as PDF, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spondyl.app.reader_files import write_document, write_pages
from spondyl.evaluation.records import plain
from spondyl.io.store import OutputFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from spondyl.io.page import Page

MARK = "results.json"
"""File that marks a folder as the result of an evaluation, which may be replaced."""

SCHEMA = "spondyl-evaluation-1"
"""Version of ``results.json``; the number grows when a field changes its meaning."""


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, ready to write.

    Parameters
    ----------
    document : mapping of str to object
        Records and scalars for ``results.json``.
    page : Page
        The report; its title is the main result.
    """

    document: Mapping[str, Any]
    page: Page


def write_evaluation(out: Path, make: Callable[[], Evaluation]) -> str:
    """Make an evaluation and write it.

    Parameters
    ----------
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    make : callable
        Makes the evaluation; called once the folder is known to be writable.

    Returns
    -------
    str
        The main result as a sentence without its full stop.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    with OutputFolder(out, mark=MARK) as folder:
        evaluation = make()
        write_document(folder / MARK, {"schema": SCHEMA, **plain(evaluation.document)})
        write_pages(folder, evaluation.page)
    return evaluation.page.title
