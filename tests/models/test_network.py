"""OpenVINO runs a graph on any input size and checks what it is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GrayNetwork
from spondyl.core import ModelError
from spondyl.models import ContrastCode, OpenVinoNetwork
from spondyl.models.contrast_code import one_hot

onnx = pytest.importorskip("onnx")


@pytest.fixture
def graph(tmp_path):
    """A graph that gives the first channel back, plus the number of the contrast kind, twice."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Slice", ["image", "start", "end", "axis"], ["first"]),
        helper.make_node("MatMul", ["code", "numbers"], ["number"]),
        helper.make_node("Add", ["first", "number"], ["sum"]),
        helper.make_node("Concat", ["sum", "sum"], ["probabilities"], axis=1),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.array([v], np.int64), name)
        for name, v in (("start", 0), ("end", 1), ("axis", 1))
    ]
    constants.append(onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32)[:, None], "numbers"))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [
                helper.make_tensor_value_info("image", kind, [1, 2, "i", "j", "k"]),
                helper.make_tensor_value_info("code", kind, [1, 4]),
            ],
            [helper.make_tensor_value_info("probabilities", kind, [1, 2, "i", "j", "k"])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "test.onnx"
    onnx.save(model, str(path))
    return path


def _network(graph, **changes):
    return OpenVinoNetwork(replace(GrayNetwork.card, multiple=(4, 8, 8), **changes), graph, threads=1)


def test_any_size_is_padded_and_cut_back(graph, rng):
    channels = rng.normal(size=(2, 5, 11, 9)).astype(np.float32)
    out = _network(graph).predict(channels, one_hot(ContrastCode.FAT_SUPPRESSED)[0])
    np.testing.assert_allclose(out[1], channels[0] + 2, atol=1e-6)


def test_volumes_of_different_size_follow_each_other(graph, rng):
    network = _network(graph)
    for shape in ((2, 5, 11, 9), (2, 9, 8, 16), (2, 5, 11, 9)):
        channels = rng.normal(size=shape).astype(np.float32)
        out = network.predict(channels, one_hot(ContrastCode.T1)[0])
        np.testing.assert_allclose(out[0], channels[0], atol=1e-6)


def test_input_that_does_not_fit_is_a_model_error(graph):
    with pytest.raises(ModelError, match="does not run on input of shape"):
        _network(graph).run(np.zeros((1, 3, 4, 8, 8), np.float32), one_hot(ContrastCode.T1))


def test_a_damaged_graph_is_a_model_error(tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="cannot be loaded"):
        _network(path).predict(np.zeros((2, 4, 8, 8), np.float32), one_hot(ContrastCode.T1)[0])


def test_memory_of_large_volumes_is_given_back_and_of_small_ones_kept(graph, rng, monkeypatch):
    network, code = _network(graph), one_hot(ContrastCode.T1)[0]
    channels = rng.normal(size=(2, 8, 16, 16)).astype(np.float32)
    before, made = network.predict(channels, code), []
    compiled = network._compile
    monkeypatch.setattr(network, "_compile", lambda: made.append(1) or compiled())
    network.release()
    network.predict(channels, code)
    assert not made
    monkeypatch.setattr("spondyl.models.network.LARGE_VALUES", channels.size)
    network.release()
    np.testing.assert_array_equal(network.predict(channels, code), before)
    assert len(made) == 1
