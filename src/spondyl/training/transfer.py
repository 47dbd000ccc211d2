"""Start a network from weights that are there: a shipped graph, an earlier run, or another's pre-trained network.

Everything is read as data; a file that would run code is refused.
"""

from __future__ import annotations

import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spondyl.core import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MIN_TAKEN = 0.5
"""Share of a network's weights that a file must fill, at least; with less it is the wrong file. Chosen by us."""

_PREFIXES = ("module.", "network.", "model.", "_forward_module.")
"""What wrappers put before the names of weights."""

_INPUT_WEIGHT_DIMENSIONS = 5
"""Dimensions of the weights of a 3D convolution."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a network from a file, whatever wrote it.

    Parameters
    ----------
    path : Path
        A model card (``.toml``) with its graph beside it, an ONNX graph that kept its parameters' names, a
        checkpoint of a run here (its averaged weights), or a torch file of named tensors, alone or as
        ``state_dict`` or ``model``.

    Returns
    -------
    dict of str to Tensor
        By name, without what wrappers put before it.

    Raises
    ------
    ModelError
        If it cannot be read as data, or holds no named weights.
    """
    try:
        if path.suffix == ".toml":
            path = path.parent / tomllib.loads(path.read_text(encoding="utf-8"))["model"]["weights"]
        weights = graph_weights(path) if path.suffix == ".onnx" else _torch_weights(path)
    except (OSError, KeyError, ValueError, RuntimeError, EOFError) as error:
        msg = f"weights are wanted, but {path.name} cannot be read as such ({type(error).__name__}); give another file"
        raise ModelError(msg) from None
    except Exception as error:
        # Pickles that would run code and damaged graphs end in errors of the libraries' own.
        if type(error).__module__.split(".")[0] not in ("_pickle", "pickle", "google", "onnx"):
            raise
        msg = f"{path.name} holds more than weights or is damaged; save the tensors alone, as a state dict"
        raise ModelError(msg) from None
    if not weights:
        msg = f"{path.name} holds no weights by name; a graph must have been exported with its parameters' names"
        raise ModelError(msg)
    return weights


def graph_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the named weights of an ONNX graph.

    Parameters
    ----------
    path : Path
        The graph.

    Returns
    -------
    dict of str to Tensor of float32
        Weights in half precision are widened; equal weights that are stored once are given under each name.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    named = {n: a for n, a in arrays.items() if "." in n and not n.endswith("_half") and "::" not in n}
    return {_bare(n): torch.from_numpy(np.array(a, np.float32)) for n, a in named.items()}


def _torch_weights(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("average", "state_dict", "model", "network_weights"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict):
        return {}
    return {_bare(n): v for n, v in state.items() if isinstance(n, str) and isinstance(v, torch.Tensor)}


def _bare(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    return name


def load_weights(network: torch.nn.Module, weights: Mapping[str, torch.Tensor], *, source: str) -> list[str]:
    """Take over the weights that fit by name and shape.

    A first convolution made for another number of channels is spread evenly over those of the network, as for images
    of one channel whose copies were given in each.

    Parameters
    ----------
    network : Module
        Takes the weights.
    weights : mapping of str to Tensor
        From `read_weights`.
    source : str
        What they came from, for messages.

    Returns
    -------
    list of str
        Names of the network's parameters that keep their first values.

    Raises
    ------
    ModelError
        If fewer than `MIN_TAKEN` of the network's weights are there.
    """
    own = network.state_dict()
    taken = {}
    for name, value in weights.items():
        if name in own:
            fitted = _fitted(value, own[name])
            if fitted is not None:
                taken[name] = fitted
    parameters = dict(network.named_parameters())
    share = sum(p.numel() for n, p in parameters.items() if n in taken) / sum(p.numel() for p in parameters.values())
    if share < MIN_TAKEN:
        msg = (
            f"at least {MIN_TAKEN:.0%} of the network's weights are wanted from {source}, got {share:.0%}; it is of "
            "another kind or size, or its graph was exported without the parameters' names"
        )
        raise ModelError(msg)
    network.load_state_dict(own | taken)
    return sorted(set(parameters) - set(taken))


def _fitted(value: torch.Tensor, own: torch.Tensor) -> torch.Tensor | None:
    if value.shape == own.shape:
        return value.to(own.dtype)
    spread = value.ndim == own.ndim == _INPUT_WEIGHT_DIMENSIONS and value.shape[1] == 1
    if spread and value.shape[0] == own.shape[0] and value.shape[2:] == own.shape[2:]:
        return (value / own.shape[1]).expand_as(own).to(own.dtype)
    return None


def load_graph_weights(network: torch.nn.Module, path: Path) -> list[str]:
    """Take over the weights of an ONNX graph that was exported with its parameters' names.

    Parameters
    ----------
    network : Module
        Takes the weights.
    path : Path
        The graph, or the card beside it.

    Returns
    -------
    list of str
        Names of the network's parameters that keep their first values.

    Raises
    ------
    ModelError
        If the file cannot be read, or too little of it fits.
    """
    return load_weights(network, read_weights(path), source=path.name)


def unet_sizes(weights: Mapping[str, torch.Tensor]) -> tuple[tuple[int, ...], int] | None:
    """Read the sizes of a `ThickSliceUNet` from its weights.

    Parameters
    ----------
    weights : mapping of str to Tensor
        From `read_weights`.

    Returns
    -------
    tuple or None
        Width of each resolution and of the head; None if the weights are of another kind of network.
    """
    stages = [weights.get(f"encoder.{n}.0.0.weight") for n in range(sum(n.startswith("encoder.") for n in weights))]
    widths = tuple(int(w.shape[0]) for w in stages if w is not None)
    if not widths or "unfold.weight" not in weights:
        return None
    return widths, int(weights["unfold.weight"].shape[0]) // 4


def freeze(network: torch.nn.Module, parts: Sequence[str]) -> None:
    """Keep parts of a network as they are, their batch statistics too.

    Parameters
    ----------
    network : Module
        The network.
    parts : sequence of str
        Names of its children, such as ``"encoder"``.
    """
    for name in parts:
        network.get_submodule(name).requires_grad_(requires_grad=False)
