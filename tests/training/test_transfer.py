"""Weights come back by name from every kind of file, as data; what does not fit is refused."""

from __future__ import annotations

import pickle

import pytest
import torch

from spondyl.core import ModelError
from spondyl.training.export import export_onnx
from spondyl.training.transfer import (
    freeze,
    graph_weights,
    load_graph_weights,
    load_weights,
    read_weights,
    unet_sizes,
)

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def trained(small_network):
    """A network whose batch normalization has learnt something."""
    torch.manual_seed(5)
    network = small_network().eval()
    for module in list(network.modules())[:-20]:
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.6, 1.4)
            torch.nn.init.normal_(module.weight, 1, 0.1)
    return network


@pytest.fixture(scope="module")
def graph(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "small.onnx"
    export_onnx(trained, path)
    path.with_suffix(".toml").write_text('[model]\nweights = "small.onnx"\n')
    return path


@pytest.mark.parametrize("suffix", [".onnx", ".toml"])
def test_a_shipped_graph_can_be_trained_further(trained, small_network, graph, suffix):
    torch.manual_seed(6)
    network = small_network().eval()
    left = load_graph_weights(network, graph.with_suffix(suffix))
    assert left == []
    image, code = torch.randn(1, 2, 4, 32, 32), torch.eye(4)[:1]
    with torch.no_grad():
        torch.testing.assert_close(network(image, code), trained(image, code), atol=5e-3, rtol=0)


def test_equal_weights_that_the_graph_stores_once_come_back_under_each_name(trained, graph):
    names = {n for n, _ in trained.named_parameters()} | {n for n, _ in trained.named_buffers()}
    assert {n for n in names if not n.endswith("num_batches_tracked")} <= set(graph_weights(graph))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"average": s, "model": {}, "step": 3, "seconds": 1.0},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: s,
    ],
    ids=["checkpoint", "parallel", "plain"],
)
def test_torch_files_are_read_as_data(trained, small_network, tmp_path, wrap):
    torch.save(wrap(trained.state_dict()), tmp_path / "w.pth")
    network = small_network()
    assert load_weights(network, read_weights(tmp_path / "w.pth"), source="w.pth") == []
    assert torch.equal(network.stem.weight, trained.stem.weight)


class _Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    torch.save({"weight": _Evil()}, tmp_path / "evil.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(_Evil()))
    for name in ("evil.pth", "old.pth"):
        with pytest.raises(ModelError, match=name):
            read_weights(tmp_path / name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["missing.onnx", "missing.pt", "noise.onnx", "noise.pt", "noise.toml"])
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    if name.startswith("noise"):
        (tmp_path / name).write_bytes(b"\x08\x07 no weights")
    with pytest.raises(ModelError, match=name.split(".")[0]):
        read_weights(tmp_path / name)


def test_weights_of_another_network_are_refused(trained):
    weights = torch.nn.Linear(3, 3).state_dict()
    with pytest.raises(ModelError, match="got 0%"):
        load_weights(trained, weights, source="other.pth")


def test_a_first_convolution_of_one_channel_is_spread_over_all():
    one, three = (torch.nn.Sequential(torch.nn.Conv3d(n, 2, 3), torch.nn.Conv3d(2, 1, 1)) for n in (1, 3))
    assert load_weights(three, one.state_dict(), source="one") == []
    image = torch.randn(1, 1, 4, 4, 4)
    torch.testing.assert_close(three(image.expand(1, 3, 4, 4, 4)), one(image))


def test_what_has_no_match_is_named():
    wide, given = (torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, n)) for n in (2, 3))
    assert load_weights(wide, given.state_dict(), source="given") == ["1.bias", "1.weight"]


def test_the_sizes_of_a_network_are_read_from_its_weights(trained):
    assert unet_sizes(trained.state_dict()) == ((8, 8, 12, 12, 16), 4)
    assert unet_sizes(torch.nn.Linear(2, 2).state_dict()) is None


def test_freezing_names_the_parts_that_stay(small_network):
    network = small_network()
    freeze(network, ("stem", "encoder"))
    learning = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert learning == {"code", "narrow", "decoder", "unfold", "edge", "out"}
