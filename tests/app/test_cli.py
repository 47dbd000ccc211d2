"""The command line: quick help, exit codes, one clear line."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fake_case import analyzed_case
from spondyl import __version__
from spondyl.app import cli
from spondyl.core import InputError, NoSpineError, Sequence

HEAVY = (
    "numpy", "scipy", "pandas", "sklearn", "anndata", "h5py", "torch", "monai", "openvino", "SimpleITK", "nibabel",
    "pydicom", "highdicom", "pynetdicom", "dicomanonymizer", "rich", "matplotlib", "reportlab", "PIL", "jinja2",
    "pydantic", "fastapi", "starlette", "uvicorn", "httpx", "requests", "sqlalchemy", "dbos", "asyncio",
)  # fmt: skip
"""What may be imported only once a command needs it, so that help comes at once; benchmarks/files.py takes the time."""

SPONDYL = (sys.executable, "-m", "spondyl.app.cli")


def _called(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def test_help_imports_nothing_heavy():
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "spondyl.app.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.split("|")[-1].strip().split(".")[0] for line in run.stderr.splitlines()}
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["demo", "analyze", "simulate", "models", "doctor"])
def test_every_command_is_listed(command):
    assert f"  {command} " in _called("--help").stdout


def test_the_version_is_told():
    assert _called("--version").stdout == f"spondyl {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyze", "study"), "Missing option '--out'"),
        (("analyze", "--out", "x"), "give a STUDY"),
        (("analyze", "--out", "x", "--sequence", "T9=a.nii"), "--sequence wants NAME=FILE"),
        (("analyze", "--out", "x", "--sequence", "T1"), "--sequence wants NAME=FILE"),
        (("analyze", "--out", "x", "--sequence", "T1=a", "--sequence", "t1=b"), "names T1 twice"),
        (("analyze", "study", "--out", "x", "--threads", "-1"), "--threads"),
        (("analyze", "study", "--out", "x", "--settings", "nowhere.toml"), "settings file cannot be read"),
        (("simulate", "patient", "--out", "x", "--sequence", "T9"), "--sequence wants one of"),
        (("unheard-of",), "No such command"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_wanted(arguments, message):
    result = _called(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def _analysis(monkeypatch, outcome):
    """Put a made-up service behind the command."""
    given = {}

    def analyze_study(study, out, **options):
        given.update(options, study=study, out=out)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("spondyl.app.analyze.analyze_study", analyze_study)
    return given


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NoSpineError("no spine was found in the study"), 3, "spondyl: no spine was found in the study\n"),
        (InputError("no MR"), 3, "spondyl: no MR\n"),
    ],
)
def test_a_study_that_cannot_be_used_ends_with_3_and_one_line(monkeypatch, error, code, line):
    _analysis(monkeypatch, error)
    result = _called("analyze", "study", "--out", "x")
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


def test_a_defect_ends_with_1_without_a_traceback(monkeypatch):
    _analysis(monkeypatch, ZeroDivisionError("PLANTED^NAME"))
    result = _called("analyze", "study", "--out", "x")
    assert result.exit_code == 1
    assert "a defect (ZeroDivisionError)" in result.stderr
    assert "Traceback" not in result.stderr
    assert "PLANTED" not in result.stderr


def test_debug_shows_where_a_defect_came_from(monkeypatch):
    _analysis(monkeypatch, ZeroDivisionError())
    result = _called("--debug", "analyze", "study", "--out", "x")
    assert result.exit_code == 1
    assert "in analyze_study" in result.stderr


def test_options_reach_the_service_and_the_report_is_told(monkeypatch, tmp_path):
    outcome = SimpleNamespace(case=analyzed_case(), document={"set_aside": [1]}, report=tmp_path / "report.html")
    given = _analysis(monkeypatch, outcome)
    settings = tmp_path / "s.toml"
    settings.write_text("seed = 4\nthreads = 2")
    result = _called(
        "analyze", "--out", "x", "--sequence", "stir=a.nii.gz", "--nifti", "--settings", str(settings), "--threads", "1"
    )
    assert result.exit_code == 0, result.stderr
    options = given["options"]
    assert list(options.sequence_files) == [Sequence.STIR]
    assert (options.nifti, options.settings.seed, options.settings.threads) == (True, 4, 1)
    assert result.stdout == f"report: {tmp_path / 'report.html'}\n"
    assert "One lesion candidate: L3" in result.stderr
    assert "RESEARCH USE ONLY" in result.stderr


def test_an_empty_folder_ends_with_3_and_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    result = _called("analyze", str(tmp_path / "empty"), "--out", str(tmp_path / "result"))
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("spondyl: ")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]
