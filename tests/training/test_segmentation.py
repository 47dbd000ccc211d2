"""A run goes on where it stopped, and its learning rate falls to zero."""

from __future__ import annotations

import itertools
import logging

import pytest
import torch

from spondyl.core import InputError
from spondyl.training import segmentation
from spondyl.training.segmentation import Patches, TrainingSettings, learning_rate, train
from spondyl.training.synthesis import PATCH_SHAPE

SETTINGS = TrainingSettings(steps=2, batch_size=1, workers=0, precision="32-true", balanced_steps=2)


def _checkpoint(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    settings = TrainingSettings(steps=1000, learning_rate=1e-3, decay_share=0.3)
    rates = [learning_rate(step, settings) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-3 / 50)
    assert rates[49:701] == pytest.approx([1e-3] * 652)
    assert rates[850] == pytest.approx(5e-4)
    assert rates[1000] == 0
    assert all(a >= b for a, b in itertools.pairwise(rates[49:]))


def test_a_stream_of_patches_is_seeded_and_new_after_a_resumed_start(folder):
    def first(first_step):
        return next(iter(Patches(folder, SETTINGS, first_step)))

    image, code, structure, lesion = first(0)
    assert tuple(image.shape[1:]) == tuple(structure.shape) == tuple(lesion.shape) == PATCH_SHAPE
    assert code.sum() == 1
    assert torch.equal(first(0)[0], image)
    assert not torch.equal(first(2)[0], image)


def test_a_folder_without_anatomies_is_refused(tmp_path):
    with pytest.raises(InputError, match="no anatomies"):
        next(iter(Patches(tmp_path, SETTINGS, 0)))


@pytest.mark.slow
def test_a_run_goes_on_where_it_stopped(folder, small_network, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(segmentation, "SpineUNet", small_network)
    before = _checkpoint(train(folder, tmp_path, SETTINGS))
    assert before["step"] == 2
    with caplog.at_level(logging.INFO, "spondyl.training.segmentation"):
        after = _checkpoint(train(folder, tmp_path, TrainingSettings(**{**vars(SETTINGS), "steps": 4})))
    assert after["step"] == 4
    assert after["seconds"] > before["seconds"] > 0
    assert "resumed at step 2" in caplog.text
    moved = [not torch.equal(after["model"][k], before["model"][k]) for k in before["model"] if k.endswith("weight")]
    assert sum(moved) > 0.9 * len(moved)
    assert "steps = 4" in (tmp_path / "settings.toml").read_text()
    assert not list(tmp_path.glob("*.part"))
