"""Errors become one line and an exit code; a log of a defect tells where, never what was read."""

import re
from pathlib import Path

import pytest

from spondyl.app.console import defect_log, error_line, exit_code, shown_progress
from spondyl.core import GeometryError, InputError, ModelError, NoSpineError, OutputError, SettingsError

PLANTED = "PLANTED^NAME"


def _defect():
    try:
        try:
            int(PLANTED)
        except ValueError as cause:
            raise KeyError(PLANTED) from cause
    except KeyError as error:
        return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), 2),
        (InputError("x"), 3),
        (GeometryError("x"), 3),
        (NoSpineError("x"), 3),
        (OutputError("x"), 3),
        (ModelError("x"), 3),
        (ZeroDivisionError(), 1),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code(error) == code


def test_an_expected_error_is_one_line():
    assert error_line(InputError("no MR images\nin the folder")) == "spondyl: no MR images in the folder"


def test_a_defect_names_its_log_and_not_its_values(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    line = error_line(_defect())
    assert "\n" not in line
    log = Path(re.search(r"log (\S+),", line).group(1)).read_text()
    assert "KeyError" in log
    assert "ValueError" in log
    assert "test_console.py" in log
    assert PLANTED not in line + log


def test_a_log_that_cannot_be_written_is_no_second_defect(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    assert "could not be written" in error_line(_defect())


def test_the_defect_log_tells_the_version():
    assert defect_log(_defect()).startswith("Spondyl ")


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys):
    with shown_progress() as tell:
        tell("localize", 4, 6)
        tell("unheard-of", 5, 6)
    assert capsys.readouterr().err == "[4/6] locating the vertebrae\n[5/6] unheard-of\n"


def test_progress_is_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with shown_progress() as tell:
        tell("read", 1, 2)
    assert "[1/2]" not in capsys.readouterr().err
