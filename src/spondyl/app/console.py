"""How the command line talks: progress on a terminal, plain lines elsewhere, one clear line for an error.

A traceback tells a user nothing and may quote values of a header, so it goes to a log, without the texts of errors.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spondyl import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DONE, DEFECT, WRONG_CALL, UNUSABLE = 0, 1, 2, 3
"""Exit codes; scripts depend on them."""

PART_WORDS = {
    "simulate": "making a synthetic patient",
    "read": "reading the study",
    "models": "loading the network",
    "harmonize": "choosing the series that carries the result",
    "localize": "locating the vertebrae",
    "lesions": "searching for lesions",
    "classify": "classing vertebrae and lesions",
    "explain": "explaining findings",
    "align": "bringing the images to one scale",
    "scores": "scoring",
    "risk": "estimating risks",
    "prior": "analyzing the prior study",
    "socce": "placing the patient among the reference",
    "write": "writing the results",
    "study": "analyzing the studies",
}


def exit_code(error: BaseException) -> int:
    """Give the exit code of an error.

    Parameters
    ----------
    error : BaseException
        What ended the command.

    Returns
    -------
    int
        2 for a wrong call, 3 for input, output or weights that cannot be used, 1 for a defect.
    """
    from spondyl.core import InputError, ModelError, OutputError, SettingsError  # late: brings numpy

    if isinstance(error, SettingsError):
        return WRONG_CALL
    return UNUSABLE if isinstance(error, InputError | OutputError | ModelError) else DEFECT


def error_line(error: Exception) -> str:
    """Give the one line that says what happened and what to do.

    Parameters
    ----------
    error : Exception
        What ended the command.

    Returns
    -------
    str
        Without line breaks; for a defect without the text of the error, which might quote the input.
    """
    from spondyl.core import SpondylError

    if isinstance(error, SpondylError):
        return "spondyl: " + " ".join(str(error).split())
    where = write_defect_log(error)
    return f"spondyl: a defect ({type(error).__name__}). Please report it with the log {where}, which names no patient"


def defect_log(error: BaseException) -> str:
    """Tell where a defect happened, without the text of any error.

    Parameters
    ----------
    error : BaseException
        The defect.

    Returns
    -------
    str
        Versions, and for each error in the chain its kind and the lines of code it passed.
    """
    parts = [f"Spondyl {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n"]
    seen: BaseException | None = error
    while seen is not None:
        parts.append(f"\n{type(seen).__module__}.{type(seen).__name__}\n")
        parts += traceback.format_tb(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    return "".join(parts)


def write_defect_log(error: BaseException) -> Path | str:
    """Write the log of a defect to the folder for temporary files.

    Parameters
    ----------
    error : BaseException
        The defect.

    Returns
    -------
    Path or str
        The file, or words if it could not be written.
    """
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="spondyl-defect-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(defect_log(error))
    except OSError:
        return "(could not be written; use --debug)"
    return Path(file.name)


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show how the work goes on: a bar on a terminal, plain lines on stderr elsewhere.

    Yields
    ------
    callable
        To be told the name, number and count before each part of the work.
    """
    if not sys.stderr.isatty():
        yield _plain_line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=28), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(name: str, number: int, count: int) -> None:
            bar.update(task, description=PART_WORDS.get(name, name), completed=number - 1, total=count)

        yield tell


def _plain_line(name: str, number: int, count: int) -> None:
    sys.stderr.write(f"[{number}/{count}] {PART_WORDS.get(name, name)}\n")
    sys.stderr.flush()
