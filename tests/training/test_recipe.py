"""All parts are run with what the recipe says, and a part that fails is named."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from spondyl.training import recipe
from spondyl.training.recipe import Recipe, make_all

SMALL = Recipe(anatomies=100, patients=4, seconds=5.0, folds=2, processes=3)


@pytest.fixture
def started(monkeypatch):
    """List what is started, by the name of its log; nothing runs."""
    parts = {}

    def run(command, *, stdout, **_):
        assert command[:3] == [sys.executable, "-m", "spondyl.training"]
        parts[stdout.name.rsplit("/", 1)[1].removesuffix(".log")] = command[3:]
        return SimpleNamespace(returncode=int("fails" in parts))

    monkeypatch.setattr(recipe.subprocess, "run", run)
    return parts


def test_every_part_is_run_with_its_share(started, tmp_path):
    make_all(tmp_path, SMALL, start=tmp_path / "cards")
    classifiers = {f"{n}{f}" for n in ("context", "resnet", "densenet") for f in range(2)}
    assert set(started) == {"first-anatomies", "anatomies", "patients", "spine", "lesions", *classifiers}
    assert next(iter(started)) == "first-anatomies"
    lesions = dict(zip(started["lesions"][2::2], started["lesions"][3::2], strict=True))
    assert (lesions["--seconds"], lesions["--workers"], lesions["--batch-size"]) == ("5.0", "2", "16")
    assert lesions["--from"] == str(tmp_path / "cards" / "lesions.toml")
    assert started["patients"][-2:] == ["--count", "4"]


def test_a_failing_part_is_named_with_its_log(started, tmp_path):
    started["fails"] = []
    with pytest.raises(RuntimeError, match=r"first-anatomies failed with exit code 1.*first-anatomies\.log"):
        make_all(tmp_path, SMALL)
