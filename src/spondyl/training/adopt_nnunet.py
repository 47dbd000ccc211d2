"""Read a trained model folder of nnU-Net v2 (Isensee 2021, doi 10.1038/s41592-020-01008-z)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from spondyl.core import InputError, ModelError
from spondyl.models.adopted import Scaling, Ways
from spondyl.training.adoption import Source, read_json, trusted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spondyl.training.adoption import Adoption

ARCHITECTURES = (
    "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
)
"""Networks of nnU-Net that are rebuilt; anything else would have to be imported by a name from a file."""

PARTS_OF_TORCH = {
    f"torch.nn.modules.{module}.{name}": name
    for module, names in {
        "conv": ("Conv3d",),
        "instancenorm": ("InstanceNorm3d",),
        "batchnorm": ("BatchNorm3d",),
        "activation": ("LeakyReLU", "ReLU"),
        "dropout": ("Dropout3d",),
    }.items()
    for name in names
} | {f"torch.nn.{n}": n for n in ("Conv3d", "InstanceNorm3d", "BatchNorm3d", "LeakyReLU", "ReLU", "Dropout3d")}
"""Parts of torch that plans may name."""

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
"""Of a fold of nnU-Net, the preferred one first."""


def read_nnunet(folder: Path, adoption: Adoption) -> Source:
    """Read a trained model folder of nnU-Net v2.

    Parameters
    ----------
    folder : Path
        With ``plans.json``, ``dataset.json`` and ``fold_0`` or others.
    adoption : Adoption
        What the files do not tell.

    Returns
    -------
    Source
        Network and ways.

    Raises
    ------
    ModelError
        If a file is missing, or the model is two-dimensional, a cascade or of another architecture.
    """
    plans, dataset = read_json(folder / "plans.json"), read_json(folder / "dataset.json")
    checkpoint = _checkpoint(folder, adoption.fold)
    state = trusted(checkpoint)
    try:
        name = str(state["init_args"]["configuration"])
        configuration = _inherited(plans["configurations"], name)
        spacing, patch = configuration["spacing"], configuration["patch_size"]
        if len(patch) != 3 or configuration.get("previous_stage"):
            msg = f"configuration {name} is two-dimensional or a cascade; only single 3D networks are taken over"
            raise ModelError(msg)
        values, regions = _nnunet_labels(dataset)
        n_channels = len(dataset.get("channel_names", dataset.get("modality", {})))
        network = _architecture(configuration["architecture"], n_channels, len(values))
        network.load_state_dict(state["network_weights"])
        scalings = tuple(
            _nnunet_scaling(scheme, masked, plans["foreground_intensity_properties_per_channel"].get(str(i), {}))
            for i, (scheme, masked) in enumerate(
                zip(configuration["normalization_schemes"], configuration["use_mask_for_norm"], strict=True)
            )
        )
        ways = Ways(
            _nnunet_orientation(plans, adoption),
            tuple(float(s) for s in spacing),  # type: ignore[arg-type]
            tuple(int(n) for n in patch),  # type: ignore[arg-type]
            adoption.channels,
            scalings,
            scale_first=True,
            crop=True,
            sigmoid=regions,
            classes=adoption.classes(values),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        msg = f"the nnU-Net model cannot be taken over ({type(error).__name__}: {error}); it may be of another version"
        raise ModelError(msg) from error
    return Source(network.eval(), ways, f"nnU-Net v2, configuration {name}, {checkpoint.parent.name}")


def _checkpoint(folder: Path, fold: str) -> Path:
    folds = [folder / f"fold_{fold}"] if fold else sorted(folder.glob("fold_*"))
    found = [f / name for f in folds for name in CHECKPOINTS if (f / name).is_file()]
    if not found:
        msg = f"a checkpoint ({' or '.join(CHECKPOINTS)}) of fold {fold or '0 or any'} is wanted, there is none"
        raise ModelError(msg)
    return found[0]


def _inherited(configurations: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give a configuration with what it takes over from its parents."""
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return own if parent is None else _inherited(configurations, parent) | own


def _nnunet_labels(dataset: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Give the values of the labels in the order of the outputs, and whether they are regions told independently."""
    labels = {k: v for k, v in dataset["labels"].items() if k != "ignore"}
    if any(isinstance(v, list | tuple) and len(v) > 1 for v in labels.values()):
        order = [str(v) for v in dataset["regions_class_order"]]
        return order, True
    flat = sorted(int(v[0] if isinstance(v, list) else v) for v in labels.values())
    return [str(v) for v in flat], False


def _architecture(plan: Mapping[str, Any], n_channels: int, n_classes: int) -> torch.nn.Module:
    """Rebuild the network that plans name."""
    path = str(plan["network_class_name"])
    if path not in ARCHITECTURES:
        msg = f"the architecture {path} is not among those that are taken over: {', '.join(ARCHITECTURES)}"
        raise ModelError(msg)
    module, _, name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except ImportError as error:
        msg = "taking over an nnU-Net needs its architectures; install them: pip install dynamic-network-architectures"
        raise ModelError(msg) from error
    arguments = dict(plan["arch_kwargs"])
    for key in plan.get("_kw_requires_import", ()):
        if arguments.get(key) is not None:
            arguments[key] = getattr(torch.nn, PARTS_OF_TORCH[arguments[key]])
    network: torch.nn.Module = made(
        input_channels=n_channels, num_classes=n_classes, deep_supervision=False, **arguments
    )
    return network


def _nnunet_scaling(scheme: str, masked: bool, known: Mapping[str, float]) -> Scaling:  # noqa: FBT001
    kinds = {"ZScoreNormalization": "zscore", "NoNormalization": "none", "RescaleTo01Normalization": "unit"}
    if scheme == "CTNormalization":
        return Scaling(
            "clipped",
            low=float(known["percentile_00_5"]),
            high=float(known["percentile_99_5"]),
            mean=float(known["mean"]),
            deviation=float(known["std"]),
        )
    if scheme not in kinds:
        msg = f"the normalization {scheme} is not among those that are taken over"
        raise ModelError(msg)
    return Scaling(kinds[scheme], nonzero=bool(masked) and kinds[scheme] == "zscore")


def _nnunet_orientation(plans: Mapping[str, Any], adoption: Adoption) -> str:
    """Give the direction of the axes of nnU-Net's arrays: those of the file, reversed, then transposed as planned."""
    reader = str(plans.get("image_reader_writer", ""))
    stored = "RAS" if reader == "NibabelIOWithReorient" else adoption.orientation
    if not stored:
        msg = f"{reader or 'the reader'} takes images as they are stored; say with --orientation how those were, as LPS"
        raise InputError(msg)
    backward = stored[::-1]
    return "".join(backward[int(i)] for i in plans["transpose_forward"])
