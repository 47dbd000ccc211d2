"""Model cards: what a network is, what it was trained on, how it is run, and what it must not be used for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spondyl.core import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD_VERSION = 1
"""Version of the card's layout."""


@dataclass(frozen=True)
class ModelCard:
    """A model card, as far as the program needs it.

    Parameters
    ----------
    name, version : str
        Of the model.
    task : str
        One line on what it does.
    weights : str
        File name of the graph, beside the card.
    sha256 : str
        Of that file.
    spacing_mm : tuple of float
        Spacing to the left, inferior and posterior at which it works; slices inside `slice_range_mm` are kept.
    slice_range_mm : tuple of float
        Slice spacings that are not resampled.
    multiple : tuple of int
        Input sizes must be multiples of these.
    structures, lesion_classes : tuple of str
        Meaning of the output channels, in order.
    details : mapping
        Everything else in the card: training data, seeds, time, measured figures and their data, limits.
    """

    name: str
    version: str
    task: str
    weights: str
    sha256: str
    spacing_mm: tuple[float, float, float]
    slice_range_mm: tuple[float, float]
    multiple: tuple[int, int, int]
    structures: tuple[str, ...]
    lesion_classes: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """The network in words, for a methods section: what it is and what it was trained on."""
        data = str(self.details.get("training", {}).get("data", ""))
        if data.startswith("synthetic patients"):
            return "a 3D U-Net trained on synthetic patients alone"
        return f"the network {self.name} (trained on {data or 'data that its card does not tell'})"


def parse_card(text: str) -> ModelCard:
    """Read a model card.

    Parameters
    ----------
    text : str
        TOML.

    Returns
    -------
    ModelCard
        The card.

    Raises
    ------
    ModelError
        If it is not a card of this version.
    """
    try:
        table = tomllib.loads(text)
        if table["card_version"] != CARD_VERSION:
            got = table["card_version"]
            msg = f"a model card of layout {CARD_VERSION} is wanted, got {got}; update Spondyl or the model"
            raise ModelError(msg)
        model, run, output = table["model"], table["input"], table["output"]
        return ModelCard(
            name=model["name"],
            version=model["version"],
            task=model["task"],
            weights=model["weights"],
            sha256=model["sha256"],
            spacing_mm=tuple(run["spacing_mm"]),
            slice_range_mm=tuple(run["slice_range_mm"]),
            multiple=tuple(run["multiple"]),
            structures=tuple(output["structures"]),
            lesion_classes=tuple(output["lesion_classes"]),
            details={k: v for k, v in table.items() if k not in ("card_version", "model", "input", "output")},
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        msg = f"the model card cannot be read ({type(error).__name__}: {error}); the model is damaged, install it again"
        raise ModelError(msg) from error
