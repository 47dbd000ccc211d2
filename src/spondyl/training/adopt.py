"""Take over a network that was made elsewhere: a local nnU-Net v2 model folder or a MONAI bundle.

What they hold is read as data: tensors, numbers and names, never code. The network is rebuilt from the library that
names it, written as a graph, and described by a card, so that an analysis runs it without torch and without that
library (see `spondyl.models.adopted`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from spondyl.core import InputError, ModelError
from spondyl.models.adopted import TABLE
from spondyl.models.card import CARD_VERSION
from spondyl.training.adopt_bundle import read_bundle
from spondyl.training.adopt_nnunet import read_nnunet
from spondyl.training.export import write_graph
from spondyl.training.tables import toml_text

if TYPE_CHECKING:
    from pathlib import Path

    from spondyl.training.adoption import Adoption, Source

LIMITS = [
    "Research use only, not for clinical diagnosis.",
    "Made elsewhere and taken over: how it fares in this road and on your patients must be measured.",
    "Looks once; mirror images and ensembles of the original are left out, and resampling is linear.",
]
"""What the card of an adopted network says."""


def adopt(folder: Path, out: Path, adoption: Adoption) -> Path:
    """Take over a network that was made elsewhere.

    Parameters
    ----------
    folder : Path
        A trained model folder of nnU-Net v2 (with ``plans.json`` and ``fold_0``), or a MONAI bundle (with ``configs``
        and ``models``).
    out : Path
        Folder for graph and card.
    adoption : Adoption
        What the files do not tell.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    ModelError
        If the folder is neither, or holds what cannot be taken over.
    InputError
        If a label has no meaning.
    """
    if (folder / "plans.json").is_file():
        source = read_nnunet(folder, adoption)
    elif (folder / "configs").is_dir():
        source = read_bundle(folder, adoption)
    else:
        msg = "a folder with plans.json and fold_0 (nnU-Net v2) or with configs and models (MONAI bundle) is wanted"
        raise ModelError(msg)
    ways = source.ways
    if len(adoption.channels) != len(ways.scalings):
        msg = f"the model takes {len(ways.scalings)} channels, {len(adoption.channels)} are named with --channels"
        raise InputError(msg)
    out.mkdir(parents=True, exist_ok=True)
    graph = out / f"{adoption.name}.onnx"
    example = torch.zeros(1, len(ways.channels), *ways.patch)
    with torch.no_grad():
        n_outputs = source.network(example).shape[1]
    if n_outputs != len(ways.classes):
        msg = f"the model has {n_outputs} outputs, its files tell {len(ways.classes)} labels; it cannot be taken over"
        raise ModelError(msg)
    names = (("image",), ("logits",))
    digest = write_graph(source.network, (example,), graph, names=names, axes={}, half=False)
    card = out / f"{adoption.name}.toml"
    card.write_text(toml_text(_card(adoption, source, graph, digest)), encoding="utf-8")
    return card


def _card(adoption: Adoption, source: Source, graph: Path, digest: str) -> dict[str, Any]:
    ways, task = source.ways, "lesions of the spine" if adoption.of_lesions else "structures of the spine"
    table = ways._asdict() | {
        "channels": [[s.value for s in names] for names in ways.channels],
        "scalings": [asdict(s) for s in ways.scalings],
    }
    return {
        "card_version": CARD_VERSION,
        "limits": LIMITS,
        "model": {
            "name": adoption.name,
            "version": "1",
            "task": f"Outlines {task}; {source.made_with}",
            "weights": graph.name,
            "sha256": digest,
        },
        "input": {
            "channels": ["/".join(s.value for s in names) for names in ways.channels],
            "spacing_mm": list(ways.spacing_mm),
            "slice_range_mm": [min(ways.spacing_mm), max(ways.spacing_mm)],
            "multiple": list(ways.patch),
        },
        "output": {"structures": [], "lesion_classes": []},
        "training": {"data": f"data of others; {source.made_with}"},
        TABLE: table,
    }
