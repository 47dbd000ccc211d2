"""The command line of training reads the data, hands over what was asked for, and says what is wrong in one line."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.train import origin_of
from spondyl.core import Grid, Image, LabelMap, ModelError
from spondyl.io.nifti import write_nifti

pytest.importorskip("monai")

GRID = Grid((6, 40, 32), np.array([[4.0, 0, 0, -20], [0, 0, 1.5, -60], [0, -1.5, 0, 80], [0, 0, 0, 1]]))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    labels = np.zeros(GRID.shape, np.uint16)
    labels[1:4, 5:20, 6:20] = 2
    for name in ("a_T2", "b_T1"):
        write_nifti(Image(np.random.default_rng(1).normal(100, 9, GRID.shape), GRID), folder / f"{name}_image.nii.gz")
        write_nifti(LabelMap(labels, GRID), folder / f"{name}_labels.nii.gz")
    (folder / "labels.toml").write_text('[labels]\n2 = "body+cortex"\n')
    return folder


@pytest.fixture
def called(monkeypatch, tmp_path):
    """What the training was called with, instead of training."""
    from spondyl.training import finetune

    calls = {}

    def train_on_images(volumes, out, settings, *, origin, name):
        calls.update(volumes=volumes, out=out, settings=settings, origin=origin, name=name)
        return out / "final" / f"{name}.toml"

    monkeypatch.setattr(finetune, "train_on_images", train_on_images)
    return calls


def _run(*words):
    return CliRunner().invoke(app, ["train", "segmentation", *map(str, words)])


def test_images_settings_and_start_are_handed_over(data, called, tmp_path):
    words = ("--from", "none", "--folds", 2, "--steps", 7, "--no-final", "--freeze", "encoder", "--name", "ours")
    result = _run("--data", data, "--out", tmp_path / "run", *words)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"model: {tmp_path / 'run' / 'final' / 'ours.toml'}"
    assert [(v.number, v.patient) for v in called["volumes"]] == [(1, "a"), (2, "b")]
    settings = called["settings"]
    assert (settings.folds, settings.steps, settings.final, settings.freeze) == (2, 7, False, "encoder")
    assert called["origin"].weights is None


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (("--from", "nowhere"), 3, "weights to start from"),
        (("--freeze", "half"), 2, "freeze must be none or encoder"),
        (("--data", "missing.csv"), 3, "annotated"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(data, called, tmp_path, words, code, fault):
    result = _run("--data", data, "--out", tmp_path / "run", "--from", "none", *words)
    assert result.exit_code == code, result.output
    assert fault in result.stderr
    assert "Traceback" not in result.output
    assert not called
    assert not (tmp_path / "run").exists()


def test_without_the_extra_it_says_what_to_install(data, tmp_path, monkeypatch):
    def missing(_):
        raise ImportError(name="monai")

    monkeypatch.setattr(importlib, "import_module", missing)
    result = _run("--data", data, "--out", tmp_path / "run", "--from", "none")
    assert result.exit_code == 2, result.output
    assert "spondyl[train]" in result.stderr


def test_a_start_is_found_by_path(tmp_path):
    import torch

    torch.save({"a.weight": torch.ones(2)}, tmp_path / "w.pt")
    origin = origin_of(str(tmp_path / "w.pt"))
    assert (origin.name, list(origin.weights)) == ("w", ["a.weight"])
    with pytest.raises(ModelError, match=r"got 'missing\.pt'"):
        origin_of(str(tmp_path / "missing.pt"))
