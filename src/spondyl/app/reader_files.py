"""What a reader study leaves on disk: the analysis as JSON, as a page and as PDF, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.reader_analysis import AnalysisChoices, ReaderAnalysis, analyze_readings
from spondyl.app.reader_report import report_page
from spondyl.app.readers import MARK_RESULTS, SCHEMA
from spondyl.evaluation.records import plain
from spondyl.io.page import write_html
from spondyl.io.pdf import write_pdf
from spondyl.io.reader_study import read_readings
from spondyl.io.store import OutputFolder

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.io.page import Page


def analyze_file(file: Path, out: Path, choices: AnalysisChoices | None = None) -> ReaderAnalysis:
    """Analyze a file of readings and write the result.

    Parameters
    ----------
    file : Path
        The readings.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    choices : AnalysisChoices, optional
        What a user chose.

    Returns
    -------
    ReaderAnalysis
        Everything that was found.

    Raises
    ------
    InputError
        If the file cannot be read or is no reader study.
    OutputError
        If the folder cannot be written.
    SettingsError
        If a choice does not fit the study.
    """
    chosen = choices or AnalysisChoices()
    table = read_readings(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with OutputFolder(out, mark=MARK_RESULTS) as folder:
        analysis = analyze_readings(table, chosen)
        document = {"input_sha256": digest, "settings": plain(chosen), **analysis.to_dict()}
        write_document(folder / MARK_RESULTS, document)
        write_pages(folder, report_page(analysis, digest))
    return analysis


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Write a result as JSON, with what every result carries.

    Parameters
    ----------
    path : Path
        The file.
    content : dict
        What JSON can hold.
    """
    head = {"schema": SCHEMA, "spondyl_version": __version__, "research_use_only": True, "notice": RESEARCH_USE_ONLY}
    text = json.dumps(head | content, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_pages(folder: Path, page: Page) -> None:
    """Write a report as HTML and as PDF.

    Parameters
    ----------
    folder : Path
        Where to.
    page : Page
        The report.
    """
    write_html(page, folder / "report.html")
    write_pdf(page, folder / "report.pdf")
