"""Turn a training checkpoint into a graph that runs without torch, and write its card."""

from __future__ import annotations

import hashlib
import tomllib
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from spondyl.core import Structure
from spondyl.models.card import CARD_VERSION
from spondyl.training.anatomies import list_anatomies
from spondyl.training.loop import SETTINGS_FILE
from spondyl.training.networks import SpineUNet, ThickSliceUNet
from spondyl.training.render import IN_PLANE_MM, SLICE_MM
from spondyl.training.tables import toml_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Network = TypeVar("Network", bound=nn.Module)

TASK = "Outlines vertebral bodies, posterior elements, discs, canal, cord and sacrum on one MR image"

LIMITS = [
    "Research use only, not for clinical diagnosis.",
    "Trained on synthetic patients alone: how it fares on a hospital's patients must be measured there.",
    "Tuned for adult lumbar and lower thoracic spines on sagittal images; cervical spines were a few percent of "
    "training.",
    "Metal, severe deformity and operated spines were not in training.",
]


class _Probabilities(nn.Module):
    """The network with its softmax, as it is run.

    Where training counted some classes more than others, dividing by their weights gives the probabilities back.
    """

    weights: torch.Tensor

    def __init__(self, network: nn.Module, weights: Sequence[float] | None) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("weights", torch.tensor(weights or [1.0]).reshape(1, -1, 1, 1, 1))

    def forward(self, image: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return (self.network(image, code) - self.weights.log()).softmax(1)


def load_average(checkpoint: Path, network: Network) -> tuple[Network, Mapping[str, Any]]:
    """Load the averaged weights of a checkpoint.

    Parameters
    ----------
    checkpoint : Path
        Written by `spondyl.training.loop.fit`.
    network : Module
        Of the kind that was trained; it takes the weights.

    Returns
    -------
    network : Module
        In evaluation mode.
    state : mapping
        The rest of the checkpoint: ``step`` and ``seconds``.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    average = state["average"]
    network.load_state_dict(average if isinstance(average, dict) else average.state_dict())
    return network.eval(), {"step": state["step"], "seconds": state["seconds"]}


def export_onnx(
    network: ThickSliceUNet, path: Path, *, weights: Sequence[float] | None = None, half: bool = True
) -> str:
    """Write a segmentation network as ONNX.

    Its parameters keep their names and batch normalization stays a layer of its own, so that the file can be trained
    further; whoever runs it folds them.

    Parameters
    ----------
    network : ThickSliceUNet
        In evaluation mode.
    path : Path
        File to write.
    weights : sequence of float, optional
        Weight of each class in the loss it was trained with.
    half : bool, optional
        Store the weights in half precision; they are computed with in single precision all the same.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    example = (torch.zeros(1, network.n_input, 8, 64, 64), torch.zeros(1, network.n_code))
    axes = {2: "left", 3: "inferior", 4: "posterior"}
    return write_graph(
        _Probabilities(network, weights),
        example,
        path,
        names=(("image", "code"), ("probabilities",)),
        axes={"image": axes, "probabilities": axes},
        half=half,
    )


def write_graph(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    *,
    names: tuple[Sequence[str], Sequence[str]],
    axes: Mapping[str, Mapping[int, str]],
    half: bool = True,
) -> str:
    """Write a module as ONNX, its parameters under their names and not folded into each other.

    Parameters
    ----------
    module : Module
        What is run.
    example : tuple of Tensor
        Inputs of any size that the module takes.
    path : Path
        File to write.
    names : pair of sequence of str
        Names of the inputs and of the outputs.
    axes : mapping of str to mapping of int to str
        Axes of inputs and outputs that may have any size.
    half : bool, optional
        Store the weights in half precision.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            str(path),
            input_names=list(names[0]),
            dynamo=False,
            output_names=list(names[1]),
            dynamic_axes={name: dict(of) for name, of in axes.items()},
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    if half:
        model = onnx.load(str(path))
        _halve(model)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _halve(model: Any) -> None:
    """Store large weights as float16, with a cast back in front of their use."""
    import onnx
    from onnx import numpy_helper

    graph, casts = model.graph, []
    for weight in list(graph.initializer):
        array = numpy_helper.to_array(weight)
        if array.dtype != "float32" or array.ndim < 2 or array.size < 64:
            continue
        stored = numpy_helper.from_array(array.astype("float16"), f"{weight.name}_half")
        casts.append(onnx.helper.make_node("Cast", [stored.name], [weight.name], to=onnx.TensorProto.FLOAT))
        graph.initializer.remove(weight)
        graph.initializer.append(stored)
    for node in reversed(casts):
        graph.node.insert(0, node)


def write_model(checkpoint: Path, folder: Path, *, name: str, version: str, anatomies: Path) -> Path:
    """Export a checkpoint with its card.

    Parameters
    ----------
    checkpoint : Path
        Written by `spondyl.training.segmentation.train`.
    folder : Path
        Where card and graph are written.
    name, version : str
        Of the model.
    anatomies : Path
        The anatomies it was trained on, to count them.

    Returns
    -------
    Path
        The card.
    """
    network, state = load_average(checkpoint, SpineUNet())
    seeds = [int(p.stem) for p in list_anatomies(anatomies)]
    training = {
        "data": "synthetic patients of spondyl.phantom alone; no real image was seen",
        "anatomies": len(seeds),
        "seeds": [min(seeds), max(seeds)],
        **run_facts(checkpoint, network, state),
    }
    return write_spine_model(network, folder, name=name, version=version, training=training)


def run_facts(checkpoint: Path, network: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a card says of the run that made a network.

    Parameters
    ----------
    checkpoint : Path
        Of the run.
    network : Module
        The network.
    state : mapping
        From `load_average`.

    Returns
    -------
    dict
        Steps, hours, settings and number of parameters.
    """
    return {
        "steps": int(state["step"]),
        "hours": round(float(state["seconds"]) / 3600, 2),
        "settings": tomllib.loads((checkpoint.parent / SETTINGS_FILE).read_text(encoding="utf-8")),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def write_spine_model(
    network: ThickSliceUNet,
    folder: Path,
    *,
    name: str,
    version: str,
    training: Mapping[str, Any],
    limits: Sequence[str] = LIMITS,
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """Write a network that outlines structures, as a graph with its card.

    Parameters
    ----------
    network : ThickSliceUNet
        In evaluation mode.
    folder : Path
        Where card and graph are written.
    name, version : str
        Of the model.
    training : mapping
        What it was trained on, and how.
    limits : sequence of str, optional
        What it must not be used for.
    measured : mapping, optional
        Figures, and the data they were measured on.

    Returns
    -------
    Path
        The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / f"{name}.onnx"
    digest = export_onnx(network, graph)
    table = {
        "card_version": CARD_VERSION,
        "model": {"name": name, "version": version, "task": TASK, "weights": graph.name, "sha256": digest},
        "input": {
            "channels": ["robustly scaled intensity", "intensity relative to its neighborhood", "kind of contrast"],
            "spacing_mm": [sum(SLICE_MM) / 2, IN_PLANE_MM, IN_PLANE_MM],
            "slice_range_mm": list(SLICE_MM),
            "multiple": list(network.multiple),
        },
        "output": {"structures": [s.name.lower() for s in Structure], "lesion_classes": []},
        "training": training,
        **({"measured": measured} if measured else {}),
        "limits": list(limits),
    }
    card = folder / f"{name}.toml"
    card.write_text(toml_text(table), encoding="utf-8")
    return card
