"""Read a MONAI bundle: a network of MONAI's own, plain preprocessing and weights; expressions are not followed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from spondyl.core import ModelError
from spondyl.models.adopted import Scaling, Ways
from spondyl.training.adoption import Source, read_json, trusted
from spondyl.training.transfer import load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spondyl.training.adoption import Adoption

BUNDLE_NETWORKS = (
    "UNet",
    "BasicUNet",
    "DynUNet",
    "SegResNet",
    "AttentionUnet",
    "UNETR",
    "SwinUNETR",
    "VNet",
    "FlexUNet",
)
"""Networks of MONAI that are rebuilt."""


def read_bundle(folder: Path, adoption: Adoption) -> Source:
    """Read a MONAI bundle.

    Parameters
    ----------
    folder : Path
        With ``configs/inference.json`` and ``models/model.pt``.
    adoption : Adoption
        What the files do not tell.

    Returns
    -------
    Source
        Network and ways.

    Raises
    ------
    ModelError
        If a file is missing, or the bundle asks for code to be run.
    """
    config = read_json(folder / "configs" / "inference.json")
    network = _bundle_network(config.get("network_def", config.get("network")))
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        msg = "the bundle has no models/model.pt; put its weights there"
        raise ModelError(msg)
    state = trusted(weights)
    for key in ("state_dict", "model"):
        state = state[key] if isinstance(state.get(key), dict) else state
    left = load_weights(network, {k: v for k, v in state.items() if isinstance(v, torch.Tensor)}, source="model.pt")
    if left:
        msg = f"model.pt lacks {len(left)} weights of the network that the bundle describes; it cannot be taken over"
        raise ModelError(msg)
    steps = config.get("preprocessing", {}).get("transforms", [])
    orientation, spacing, scaling, first = _bundle_steps(steps, adoption.orientation)
    patch = config.get("inferer", {}).get("roi_size")
    if not (isinstance(patch, list) and len(patch) == 3 and all(isinstance(n, int) and n > 0 for n in patch)):
        msg = "the bundle's inferer must be a sliding window with roi_size as three numbers"
        raise ModelError(msg)
    n_channels, n_outputs = _ends(network, patch, len(adoption.channels))
    ways = Ways(
        orientation,
        spacing,
        (patch[0], patch[1], patch[2]),
        adoption.channels,
        (scaling,) * n_channels,
        scale_first=first,
        crop=False,
        sigmoid=n_outputs == 1 or _is_sigmoid(config),
        classes=adoption.classes([str(n) for n in range(n_outputs)] if n_outputs > 1 else ["1"]),
    )
    return Source(network.eval(), ways, f"MONAI bundle, {type(network).__name__}")


def _bundle_network(plan: Any) -> torch.nn.Module:
    import monai.networks.nets

    arguments = {k: v for k, v in plan.items() if not k.startswith("_")} if isinstance(plan, dict) else {}
    name = str(plan.get("_target_", "")).rsplit(".", 1)[-1] if isinstance(plan, dict) else ""
    if name not in BUNDLE_NETWORKS or "$" in json.dumps(plan) or '"@' in json.dumps(plan):
        msg = (
            f"the bundle's network_def must be one of {', '.join(BUNDLE_NETWORKS)} with plain values; expressions ($) "
            "and references (@) would run code and are not followed"
        )
        raise ModelError(msg)
    try:
        network: torch.nn.Module = getattr(monai.networks.nets, name)(**arguments)
    except (TypeError, ValueError) as error:
        msg = f"the bundle's network_def does not fit {name}: {error}"
        raise ModelError(msg) from error
    return network


def _ends(network: torch.nn.Module, patch: list[int], n_channels: int) -> tuple[int, int]:
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, n_channels, *patch))
    except RuntimeError as error:
        msg = f"the bundle's network does not run on {n_channels} channels of {patch} voxels; check --channels"
        raise ModelError(msg) from error
    return n_channels, int(found.shape[1])


def _is_sigmoid(config: Mapping[str, Any]) -> bool:
    steps = config.get("postprocessing", {}).get("transforms", [])
    return any(isinstance(s, dict) and s.get("_target_") == "Activationsd" and s.get("sigmoid") is True for s in steps)


IGNORED_STEPS = (
    "LoadImaged",
    "EnsureChannelFirstd",
    "EnsureTyped",
    "ToTensord",
    "ToDeviced",
    "CastToTyped",
    "AddChanneld",
)
"""Steps of a bundle that concern files and kinds of arrays only."""


def _bundle_steps(steps: list[Any], given: str) -> tuple[str, tuple[float, float, float], Scaling, bool]:
    """Read orientation, spacing, scaling, and whether scaling comes before resampling."""
    orientation, spacing, scaling, first = given, None, Scaling("none"), False
    for step in steps:
        if "$" in json.dumps(step):
            msg = "the bundle's preprocessing holds expressions ($), which would run code and are not followed"
            raise ModelError(msg)
        name = step.get("_target_", "")
        if name in IGNORED_STEPS or step.get("_disabled_") is True:
            continue
        if name == "Orientationd":
            orientation = str(step["axcodes"])
        elif name == "Spacingd":
            spacing = tuple(float(s) for s in step["pixdim"])
        elif name in SCALINGS:
            scaling, first = SCALINGS[name](step), spacing is None
        else:
            msg = f"the bundle's preprocessing step {name} is not among those that are followed"
            raise ModelError(msg)
    if not orientation or spacing is None or len(spacing) != 3:
        msg = "the bundle must tell spacing (Spacingd) and orientation (Orientationd, or --orientation)"
        raise ModelError(msg)
    return orientation, (spacing[0], spacing[1], spacing[2]), scaling, first


def _range(step: Mapping[str, Any]) -> Scaling:
    if (step.get("b_min"), step.get("b_max"), step.get("clip")) != (0.0, 1.0, True):
        msg = "the bundle's ScaleIntensityRanged must scale to 0 and 1 and clip"
        raise ModelError(msg)
    return Scaling("window", low=float(step["a_min"]), high=float(step["a_max"]))


SCALINGS = {
    "ScaleIntensityRanged": _range,
    "ScaleIntensityd": lambda step: Scaling("unit"),  # noqa: ARG005
    "NormalizeIntensityd": lambda step: Scaling("zscore", nonzero=bool(step.get("nonzero", False))),
}
"""Steps that scale signal."""
