"""Patches are seeded streams, and a run on them learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from spondyl.core import InputError, Structure
from spondyl.training.loop import CHECKPOINT_FILE
from spondyl.training.losses import IGNORED
from spondyl.training.render import PATCH_SHAPE
from spondyl.training.segmentation import Draft, Patches, TrainingSettings, overlap, render_patch, train

SETTINGS = TrainingSettings(steps=2, batch_size=1, workers=0, precision="32-true", balanced_steps=2)


def _checkpoint(path):
    return torch.load(path, map_location="cpu", weights_only=True)


def test_a_stream_of_patches_is_seeded_and_new_after_a_resumed_start(folder):
    def first(start):
        return next(iter(Patches(folder, SETTINGS, start)))

    image, code, structure = first(0)
    assert tuple(image.shape[1:]) == tuple(structure.shape) == PATCH_SHAPE
    assert code.sum() == 1
    assert torch.equal(first(0)[0], image)
    assert not torch.equal(first(2)[0], image)


def test_a_draft_becomes_the_patch_that_the_stream_gives(folder):
    later = dataclasses.replace(SETTINGS, render_on_device=True)
    draft, patch = (next(iter(Patches(folder, settings, 3))) for settings in (later, SETTINGS))
    assert isinstance(draft, Draft)
    made = render_patch(draft, torch.device("cpu"), physical_share=SETTINGS.physical_share)
    assert all(torch.equal(a, b) for a, b in zip(made, patch, strict=True))


def test_a_folder_without_anatomies_is_refused(tmp_path):
    with pytest.raises(InputError, match="no anatomies"):
        next(iter(Patches(tmp_path, SETTINGS, 0)))


def test_the_overlap_is_dice_over_known_voxels():
    truth = torch.zeros(1, 2, 2, 2, dtype=torch.int64)
    truth[0, 0, 0] = int(Structure.BODY)
    truth[0, 1] = IGNORED
    logits = torch.zeros(1, len(Structure), 2, 2, 2)
    logits[0, int(Structure.BODY), :, 0, 0] = 1
    dice = overlap(logits, truth)
    assert dice["body"] == pytest.approx(2 * 1 / (1 + 2))
    assert dice["disc"] != dice["disc"]
    assert "background" not in dice


@pytest.mark.slow
@pytest.mark.parametrize("on_device", [False, True], ids=["by-workers", "by-the-main-process"])
def test_a_run_writes_a_checkpoint_that_learnt(folder, small_network, tmp_path, on_device):
    settings = dataclasses.replace(SETTINGS, render_on_device=on_device)
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    path = train(folder, tmp_path, settings, network)
    after = _checkpoint(path)
    assert path == tmp_path / CHECKPOINT_FILE
    assert after["step"] == 2
    moved = [not torch.equal(after["model"][k], v) for k, v in before.items() if k.endswith("weight")]
    assert sum(moved) > 0.9 * len(moved)
