"""A run goes on where it stopped, with or without Fabric; its learning rate falls to zero; what is frozen stays."""

from __future__ import annotations

import itertools
import json
import logging
import sys
import tomllib

import pytest
import torch

from spondyl.core import SettingsError
from spondyl.training.launch import SingleDevice, launcher
from spondyl.training.loop import PROGRESS_FILE, SETTINGS_FILE, LoopSettings, echoed, fit, learning_rate, progress

SETTINGS = LoopSettings(steps=4, batch_size=2, workers=0, precision="32-true", learning_rate=0.05)
MISSING = ("lightning_fabric", "tensorboard", "torch.utils.tensorboard")


class _Line(torch.utils.data.IterableDataset):
    """Points on a line, different for every start."""

    def __init__(self, start, *, draft=False):
        self.start, self.draft = start, draft

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.start)
        while True:
            x = torch.randn(1, 2, 2, 2, generator=generator)
            yield ("draft", x) if self.draft else (x, 3 * x)


def _objective(model, batch, step):
    x, y = batch
    loss = (model(x) - y).square().mean()
    return loss, {"error": float(loss.detach()), "never": float("nan")}


def _network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.BatchNorm3d(2), torch.nn.Conv3d(2, 1, 1))


def _run(out, settings=SETTINGS, network=None, **more):
    path = fit(network or _network(), _Line, _objective, out, settings, **more)
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.fixture(params=["with-fabric", "without-fabric"])
def fabric(request, monkeypatch):
    """Run with Lightning Fabric and TensorBoard, and without them."""
    if request.param == "without-fabric":
        for name in MISSING:
            monkeypatch.setitem(sys.modules, name, None)
    return request.param


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    settings = LoopSettings(steps=1000, learning_rate=1e-3, decay_share=0.3)
    rates = [learning_rate(step, settings) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-3 / 50)
    assert rates[49:701] == pytest.approx([1e-3] * 652)
    assert rates[850] == pytest.approx(5e-4)
    assert rates[1000] == 0
    assert all(a >= b for a, b in itertools.pairwise(rates[49:]))


def test_a_run_goes_on_where_it_stopped(fabric, tmp_path, caplog):
    before = _run(tmp_path)
    with caplog.at_level(logging.INFO, "spondyl.training.loop"):
        after = _run(tmp_path, LoopSettings(**{**vars(SETTINGS), "steps": 6}))
    assert (before["step"], after["step"]) == (4, 6)
    assert after["seconds"] > before["seconds"] > 0
    assert "resumed at step 4" in caplog.text
    assert not torch.equal(after["model"]["0.weight"], before["model"]["0.weight"])
    assert tomllib.loads((tmp_path / SETTINGS_FILE).read_text())["steps"] == 6
    lines = [json.loads(line) for line in (tmp_path / PROGRESS_FILE).read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 6]
    assert "never" not in lines[0]
    assert not list(tmp_path.glob("*.part"))


def test_both_ways_of_running_learn_the_same(tmp_path, monkeypatch):
    one = _run(tmp_path / "fabric")
    for name in MISSING:
        monkeypatch.setitem(sys.modules, name, None)
    other = _run(tmp_path / "torch")
    for name, value in one["average"].items():
        torch.testing.assert_close(other["average"][name], value)
    # One kind goes on with the checkpoint of the other.
    assert _run(tmp_path / "fabric", LoopSettings(**{**vars(SETTINGS), "steps": 5}))["step"] == 5


def test_mixed_precision_without_fabric_gives_single_precision_answers(tmp_path):
    device = SingleDevice("bf16-mixed")
    network, _ = device.setup(_network(), None)
    assert network(torch.ones(2, 1, 2, 2, 2)).dtype == torch.float32


@pytest.mark.parametrize("asked", [{"nodes": 2}, {"devices": "2"}, {"precision": "16-mixed"}])
def test_what_needs_fabric_is_refused_without_it(asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(SettingsError, match="without Lightning Fabric"):
        launcher(**{"devices": "auto", "nodes": 1, "precision": "32-true", **asked})


def test_a_frozen_part_keeps_its_weights_and_batch_statistics(fabric, tmp_path):
    network = _network().eval()
    network[:2].requires_grad_(requires_grad=False)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    after = _run(tmp_path, network=network)["model"]
    for name, value in before.items():
        assert torch.equal(after[name], value) == (not name.startswith("2."))


def test_drafts_are_rendered_in_the_main_process(fabric, tmp_path):
    devices = []

    def render(draft, device):
        name, x = draft
        devices.append((name, str(device)))
        return x, 3 * x

    path = fit(_network(), lambda start: _Line(start, draft=True), _objective, tmp_path / "a", SETTINGS, render=render)
    assert len(devices) == SETTINGS.steps * SETTINGS.batch_size
    assert {name for name, _ in devices} == {"draft"}
    rendered = torch.load(path, map_location="cpu", weights_only=True)["model"]
    given = _run(tmp_path / "b")["model"]
    for name, value in given.items():
        torch.testing.assert_close(rendered[name], value)


def test_time_ends_a_run_and_lowers_the_learning_rate(tmp_path):
    settings = LoopSettings(steps=1000, seconds=200.0, learning_rate=1e-3, decay_share=0.5)
    assert progress(10, 200.0, settings) == 1
    assert progress(900, 20.0, settings) == pytest.approx(0.9)
    assert learning_rate(100, settings, seconds=150.0) == pytest.approx(5e-4)
    assert learning_rate(100, settings, seconds=200.0) == 0
    after = _run(tmp_path, LoopSettings(**{**vars(SETTINGS), "steps": 10**9, "seconds": 0.2}))
    assert 0.2 <= after["seconds"] < 60
    assert 0 < after["step"] < 10**9


def test_an_example_is_used_as_often_as_asked_in_changing_company():
    fresh = [(torch.arange(4.0) + 4 * n, torch.arange(4) + 4 * n) for n in range(200)]
    seen = list(echoed(iter(fresh), 3, torch.Generator().manual_seed(0)))
    assert len(seen) == 600
    assert all(len(x) == 4 and torch.equal(x.long(), y) for x, y in seen)
    counts = torch.bincount(torch.cat([y for _, y in seen]), minlength=800).float()
    assert counts[100:700].mean() == pytest.approx(3, abs=0.15)
    assert any(int(y.max() - y.min()) > 3 for _, y in seen)


def test_repeated_examples_train_too(fabric, tmp_path):
    assert _run(tmp_path, LoopSettings(**{**vars(SETTINGS), "echo": 3}))["step"] == SETTINGS.steps
