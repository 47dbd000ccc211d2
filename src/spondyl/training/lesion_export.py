"""Turn a checkpoint of the lesion network into a graph with its card."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from spondyl.models.card import CARD_VERSION
from spondyl.models.study_inputs import SHAPE_CHANNELS, Slot
from spondyl.training.anatomies import list_anatomies
from spondyl.training.export import export_onnx, load_average
from spondyl.training.loop import SETTINGS_FILE
from spondyl.training.networks import LesionUNet, ThickSliceUNet
from spondyl.training.render import IN_PLANE_MM, SLICE_MM
from spondyl.training.tables import toml_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TASK = (
    "Outlines benign and malignant lesions of the spine on any subset of T1, T1 after contrast, T2, fluid-sensitive, "
    "Dixon and diffusion series together"
)

LESION_CLASSES = ("normal", "benign", "malignant")

LIMITS = [
    "Research use only, not for clinical diagnosis.",
    "Trained on synthetic patients alone: how it fares on a hospital's patients must be measured there.",
    "Looks only near a spine that was outlined before; discs are left out.",
    "Small and faint lesions are missed, the more so where T2 alone is given.",
]


def write_lesion_model(
    checkpoint: Path,
    folder: Path,
    *,
    anatomies: Path,
    network: LesionUNet | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Path:
    """Export a checkpoint of the lesion network with its card.

    Parameters
    ----------
    checkpoint : Path
        Written by `spondyl.training.lesion_segmentation.train_lesions`.
    folder : Path
        Where card and graph are written.
    anatomies : Path
        The anatomies it was trained on, to count them.
    network : LesionUNet, optional
        Takes the weights; one of the usual size by default.
    notes : mapping of str to object, optional
        What else the card should tell, such as where it was trained.

    Returns
    -------
    Path
        The card.
    """
    trained, state = load_average(checkpoint, network or LesionUNet())
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / "lesions.onnx"
    digest = export_onnx(trained, graph)  # type: ignore[arg-type]
    seeds = [int(p.stem) for p in list_anatomies(anatomies)]
    table = lesion_card("lesions", "1", graph, digest)
    table["training"] = {
        "data": "synthetic patients of spondyl.phantom alone; no real image was seen",
        "anatomies": len(seeds),
        "seeds": [min(seeds), max(seeds)],
        "steps": int(state["step"]),
        "hours": round(float(state["seconds"]) / 3600, 2),
        "parameters": sum(p.numel() for p in trained.parameters()),
        "settings": tomllib.loads((checkpoint.parent / SETTINGS_FILE).read_text(encoding="utf-8")),
        "notes": dict(notes or {}),
    }
    card = folder / "lesions.toml"
    card.write_text(toml_text(table), encoding="utf-8")
    return card


def lesion_card(name: str, version: str, graph: Path, digest: str) -> dict[str, Any]:
    """Give what the cards of all lesion networks say.

    Parameters
    ----------
    name, version : str
        Of the model.
    graph : Path
        Its file, beside the card.
    digest : str
        SHA-256 of it.

    Returns
    -------
    dict
        The card without its training.
    """
    shapes = ["share of " + " and ".join(s.name.lower() for s in group) for group in SHAPE_CHANNELS]
    return {
        "card_version": CARD_VERSION,
        "limits": LIMITS,
        "model": {"name": name, "version": version, "task": TASK, "weights": graph.name, "sha256": digest},
        "input": {
            "channels": [*(s.value for s in Slot), *shapes, "slots given, and medians of marrow, discs and canal"],
            "spacing_mm": [sum(SLICE_MM) / 2, IN_PLANE_MM, IN_PLANE_MM],
            "slice_range_mm": list(SLICE_MM),
            "multiple": list(LesionUNet.multiple),
        },
        "output": {"structures": [], "lesion_classes": list(LESION_CLASSES)},
    }


def write_own_lesion_model(
    network: ThickSliceUNet,
    folder: Path,
    *,
    name: str,
    version: str,
    training: Mapping[str, Any],
    limits: Sequence[str],
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """Write a lesion network that was trained on annotated studies, as a graph with its card.

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
    limits : sequence of str
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
    table = lesion_card(name, version, graph, export_onnx(network, graph))
    table |= {"training": training, "limits": list(limits)} | ({"measured": measured} if measured else {})
    card = folder / f"{name}.toml"
    card.write_text(toml_text(table), encoding="utf-8")
    return card
