"""A model is found by name or by path, and only the weights its card describes are run."""

from __future__ import annotations

import hashlib

import pytest

from spondyl.core import ModelError
from spondyl.io import weights
from spondyl.io.weights import load_network, packaged_cards, read_card

GRAPH = b"stands for a graph; it is read at the first use only"

CARD = """
card_version = 1
[model]
name = "spine"
version = "3"
task = "test"
weights = "spine.onnx"
sha256 = "{digest}"
[input]
spacing_mm = [4.0, 1.25, 1.25]
slice_range_mm = [2.6, 5.2]
multiple = [4, 32, 32]
[output]
structures = ["background"]
lesion_classes = ["normal"]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spine.onnx").write_bytes(GRAPH)
    (tmp_path / "spine.toml").write_text(CARD.format(digest=hashlib.sha256(GRAPH).hexdigest()))
    return tmp_path


def test_a_card_given_by_path_is_loaded(folder):
    network = load_network(str(folder / "spine.toml"))
    assert network.name == "spine 3"
    assert network.sha256 == hashlib.sha256(GRAPH).hexdigest()


def test_a_model_of_the_package_is_loaded_by_name(folder, monkeypatch):
    monkeypatch.setattr(weights, "packaged_folder", lambda: folder)
    assert load_network("spine").card == packaged_cards()[0]


def test_an_unknown_name_is_answered_with_the_known_ones(folder, monkeypatch):
    monkeypatch.setattr(weights, "packaged_folder", lambda: folder)
    with pytest.raises(ModelError, match=r"\(spine\).*'spline'"):
        load_network("spline")


def test_missing_weights_are_named(folder):
    (folder / "spine.onnx").unlink()
    with pytest.raises(ModelError, match=r"spine\.onnx of spine are missing"):
        load_network(str(folder / "spine.toml"))


def test_changed_weights_are_refused_with_both_hashes(folder):
    (folder / "spine.onnx").write_bytes(GRAPH + b" ")
    with pytest.raises(ModelError, match="not the ones its card describes") as caught:
        load_network(str(folder / "spine.toml"))
    for content in (GRAPH, GRAPH + b" "):
        assert hashlib.sha256(content).hexdigest()[:12] in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00card", b"card_version = 1"], ids=["missing", "bytes", "empty"])
def test_a_card_that_cannot_be_read_is_a_model_error(tmp_path, content):
    path = tmp_path / "odd.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(path)
