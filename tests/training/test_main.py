"""The command line of training hands over what it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from spondyl.training import (
    __main__,
    anatomies,
    classification,
    classifier_export,
    export,
    lesion_segmentation,
    levels,
    recipe,
    segmentation,
    vertebrae,
)


@pytest.fixture
def called(monkeypatch):
    """Make a dict of what the parts were called with."""
    calls = {}
    parts = ((anatomies, "make_anatomies"), (levels, "train_levels"), (segmentation, "train"), (export, "write_model"))
    parts = (*parts, (classifier_export, "make_classifiers"), (vertebrae, "make_cohort"), (recipe, "make_all"))
    parts = (*parts, (lesion_segmentation, "train_lesions"), (classification, "train_classifier"))
    monkeypatch.setattr(vertebrae, "load_cohort", lambda folder: {0: folder})
    for module, name in parts:
        monkeypatch.setattr(module, name, lambda *a, _name=name, **k: calls.update({_name: (a, k)}))
    return calls


def _run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["training", *words])
    __main__.main()


def test_anatomies_are_made_for_the_seeds_asked_for(called, monkeypatch):
    _run(monkeypatch, "anatomies", "there", "--first", "5", "--count", "3")
    assert called["make_anatomies"] == ((Path("there"), range(5, 8)), {})


def test_wrong_input_ends_in_words(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        _run(monkeypatch, "lesions", str(tmp_path), "--out", str(tmp_path / "run"), "--workers", "0", "--steps", "1")
    assert "no anatomies in" in capsys.readouterr().err


def test_levels_are_learnt_from_as_many_as_asked_for(called, monkeypatch):
    _run(monkeypatch, "levels", "there", "--out", "levels.json", "--count", "9", "--rib-count", "4")
    assert called["train_levels"] == ((Path("there"), Path("levels.json")), {"count": 9, "rib_count": 4})


def test_classifiers_are_made_in_one_go(called, monkeypatch):
    _run(monkeypatch, "classifiers", "there", "--runs", "runs", "--out", "here", "--count", "9", "--steps", "2")
    assert called["make_classifiers"] == ((Path("there"), Path("runs"), Path("here")), {"count": 9, "steps": 2})


def test_a_run_keeps_the_settings_that_are_not_named(called, monkeypatch):
    _run(monkeypatch, "segmentation", "there", "--out", "here", "--steps", "7", "--batch-size", "3")
    (folder, out, settings, _), _ = called["train"]
    assert (folder, out) == (Path("there"), Path("here"))
    assert settings == segmentation.TrainingSettings(steps=7, batch_size=3)


def test_patients_of_the_classifiers_are_made_above_the_anatomies(called, monkeypatch):
    _run(monkeypatch, "patients", "there", "--count", "2")
    assert called["make_cohort"] == ((Path("there"), range(400_000, 400_002)), {})


def test_lesions_go_on_from_named_weights(called, monkeypatch):
    from spondyl.models import weights

    card = Path(weights.__path__[0]) / "lesions.toml"
    _run(monkeypatch, "lesions", "there", "--out", "here", "--from", str(card), "--balanced-steps", "0", "--echo", "2")
    (_, _, settings, network), _ = called["train_lesions"]
    assert settings == lesion_segmentation.LesionTrainingSettings(balanced_steps=0, echo=2)
    kept = network.state_dict()["out.bias"]
    assert kept.tolist() != type(network)().state_dict()["out.bias"].tolist()


def test_one_classifier_is_trained_on_a_cohort(called, monkeypatch):
    _run(monkeypatch, "classifier", "there", "--out", "here", "--network", "resnet", "--fold", "2", "--sites", "8")
    (cohort, out, settings), _ = called["train_classifier"]
    assert (cohort, out) == ({0: Path("there")}, Path("here"))
    assert settings == classification.ClassifierSettings(network="resnet", fold=2, sites=8)


def test_everything_is_made_as_the_recipe_says(called, monkeypatch):
    _run(monkeypatch, "all", "work", "--patients", "5", "--class-steps", "7", "--from", "cards")
    assert called["make_all"] == ((Path("work"), recipe.Recipe(patients=5, class_steps=7)), {"start": Path("cards")})


def test_an_export_reads_the_checkpoint_of_the_run(called, monkeypatch):
    _run(monkeypatch, "export", "run", "--anatomies", "there", "--out", "here", "--name", "small")
    (checkpoint, out), rest = called["write_model"]
    assert (checkpoint, out) == (Path("run/checkpoint.pt"), Path("here"))
    assert rest == {"name": "small", "version": "1", "anatomies": Path("there")}


def test_a_part_must_be_named(called, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        _run(monkeypatch)
    assert "required" in capsys.readouterr().err
    assert not called
