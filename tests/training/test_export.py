"""The exported graph answers as the network does, and its card says what it is."""

from __future__ import annotations

import numpy as np
import openvino
import pytest
import torch

from spondyl.core import Structure
from spondyl.io.weights import load_network, read_card
from spondyl.models import ContrastCode
from spondyl.models.contrast_code import one_hot
from spondyl.training import export
from spondyl.training.export import export_onnx, load_average, write_model
from spondyl.training.loop import SETTINGS_FILE
from spondyl.training.networks import N_CODES, N_STRUCTURES

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def network(small_network):
    """A small network with weights and statistics as training leaves them."""
    torch.manual_seed(3)
    network = small_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.6, 1.4)
    return network.eval()


@pytest.fixture
def checkpoint(network, tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"average": network.state_dict(), "step": 1234, "seconds": 5400.0}, path)
    (tmp_path / SETTINGS_FILE).write_text("seed = 3\n")
    return path


@pytest.fixture
def card(network, small_network, checkpoint, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "SpineUNet", small_network)
    return write_model(checkpoint, tmp_path / "model", name="small", version="7", anatomies=folder)


def _expected(network, image, code, weights=None):
    with torch.no_grad():
        logits = network(torch.from_numpy(image[None]), torch.eye(N_CODES)[[int(code)]])[0]
    if weights is not None:
        logits = logits - torch.tensor(weights).log().reshape(-1, 1, 1, 1)
    return logits.softmax(0).numpy()


def test_the_averaged_weights_are_loaded(network, small_network, checkpoint):
    loaded, state = load_average(checkpoint, small_network())
    assert state == {"step": 1234, "seconds": 5400.0}
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


@pytest.mark.parametrize("size", [(8, 64, 64), (4, 32, 96)])
def test_the_graph_on_openvino_answers_as_torch_does(network, card, size, rng):
    image = rng.normal(0, 0.7, (2, *size)).astype(np.float32)
    running = load_network(str(card), threads=1)
    for code in (ContrastCode.T1, ContrastCode.FAT_SUPPRESSED):
        have = running.predict(image, one_hot(code)[0])
        np.testing.assert_allclose(have, _expected(network, image, code), atol=1e-3)
        np.testing.assert_allclose(have.sum(0), 1, atol=1e-4)


def test_weights_of_classes_in_the_loss_are_divided_out(network, tmp_path, rng):
    weights = [1.0, *[4.0] * (N_STRUCTURES - 1)]
    export_onnx(network, tmp_path / "weighted.onnx", weights=weights)
    image = rng.normal(0, 0.7, (2, 4, 32, 32)).astype(np.float32)
    run = openvino.Core().compile_model(str(tmp_path / "weighted.onnx"), "CPU")
    have = run((image[None], np.eye(N_CODES, dtype=np.float32)[:1]))[0][0]
    np.testing.assert_allclose(have, _expected(network, image, 0, weights), atol=1e-3)


def test_half_precision_halves_the_file(network, tmp_path):
    export_onnx(network, tmp_path / "half.onnx")
    export_onnx(network, tmp_path / "full.onnx", half=False)
    half, full = ((tmp_path / f"{n}.onnx").stat().st_size for n in ("half", "full"))
    assert half < 0.75 * full


def test_the_card_tells_how_the_network_is_run_and_what_it_saw(card):
    read = read_card(card)
    assert (read.name, read.version, read.weights) == ("small", "7", "small.onnx")
    assert read.structures == tuple(s.name.lower() for s in Structure)
    assert read.lesion_classes == ()
    assert read.slice_range_mm[0] < read.spacing_mm[0] < read.slice_range_mm[1]
    assert read.multiple == (4, 32, 32)
    training = read.details["training"]
    assert (training["steps"], training["hours"], training["anatomies"]) == (1234, 1.5, 1)
    assert "synthetic" in training["data"]
    assert any("Research use only" in limit for limit in read.details["limits"])
