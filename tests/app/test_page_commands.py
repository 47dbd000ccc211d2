"""The page on the command line: who looks makes nothing, who adds an account may."""

import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app


@pytest.mark.parametrize("command", [("users", "list"), ("audit",), ("opinions", "--out", "opinions.zip")])
@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_looking_where_no_node_is_makes_none(tmp_path, monkeypatch, command, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    said = CliRunner().invoke(app, ["page", *command, "--data", folder])
    assert (said.exit_code, "expected the data folder of a node" in said.stderr) == (3, True)
    assert [p.name for p in tmp_path.rglob("*")] == ["empty"]


def test_an_account_may_be_made_before_the_node_runs_and_is_listed(tmp_path):
    where = ["--data", str(tmp_path / "node")]
    made = CliRunner().invoke(
        app, ["page", "users", "add", "ann", "--password-stdin", *where], input="a long enough secret\n"
    )
    assert made.exit_code == 0, made.stderr
    said = CliRunner().invoke(app, ["page", "users", "list", *where])
    assert (said.exit_code, said.stdout.split()[:2]) == (0, ["ann", "reader"])
