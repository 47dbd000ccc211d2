"""What a user says of a network that was made elsewhere, and how its files are read: as data, never as code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spondyl.core import InputError, ModelError, Sequence
from spondyl.models.adopted import BACKGROUND_WORDS, LESION_WORDS, Ways
from spondyl.training.partial import read_meanings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Source(NamedTuple):
    """What was read of a network made elsewhere.

    Parameters
    ----------
    network : Module
        With its weights, in evaluation mode.
    ways : Ways
        How it is run; classes are still values of labels.
    made_with : str
        For the card.
    """

    network: torch.nn.Module
    ways: Ways
    made_with: str


@dataclass(frozen=True)
class Adoption:
    """What a user says of a network that is taken over.

    Parameters
    ----------
    name : str
        Of the model.
    meaning : mapping of str to str
        What the values of its labels mean: structures, or ``malignant``, ``benign`` and ``lesion``.
    channels : tuple of tuple of Sequence
        Sequences that may fill each channel.
    orientation : str
        Direction in which the voxel axes of its training images grow, such as ``"LPS"``; empty where the model
        itself reorients.
    fold : str
        Of an nnU-Net; the first unless given.

    Raises
    ------
    InputError
        If a direction or meaning is not known.
    """

    name: str
    meaning: Mapping[str, str]
    channels: tuple[tuple[Sequence, ...], ...]
    orientation: str = ""
    fold: str = ""

    def __post_init__(self) -> None:
        axes = sorted(next((i for i, pair in enumerate(("LR", "PA", "SI")) if c in pair), 9) for c in self.orientation)
        if self.orientation and axes != [0, 1, 2]:
            msg = f"an orientation is three letters such as LPS or RAS, one of each axis; got {self.orientation!r}"
            raise InputError(msg)
        if not self.of_lesions:
            read_meanings(self.meaning)
        elif unknown := [w for w in self.words.values() if w not in (*LESION_WORDS, *BACKGROUND_WORDS)]:
            msg = f"labels of lesions mean {', '.join((*LESION_WORDS, *BACKGROUND_WORDS))}; got {unknown[0]!r}"
            raise InputError(msg)

    @property
    def words(self) -> dict[str, str]:
        """The meaning of values, in lower case."""
        return {v.strip(): w.strip().lower() for v, w in self.meaning.items()}

    @property
    def of_lesions(self) -> bool:
        """Whether it outlines lesions."""
        return bool(set(self.words.values()) & set(LESION_WORDS))

    def classes(self, values: list[str]) -> tuple[str, ...]:
        """Give the meaning of each output.

        Parameters
        ----------
        values : list of str
            Values of the labels, in the order of the outputs.

        Returns
        -------
        tuple of str
            Their meanings.

        Raises
        ------
        InputError
            If a value has none.
        """
        known = {"0": "rest", **self.words}
        missing = [v for v in values if v not in known and "*" not in known]
        if missing:
            msg = f"the label {missing[0]} of the model has no meaning; give it one with --meaning, or use *"
            raise InputError(msg)
        return tuple(known.get(v, known.get("*", "")) for v in values)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a model.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        msg = f"{path.name} of the model cannot be read ({type(error).__name__}); give the whole folder"
        raise ModelError(msg) from error


def trusted(path: Path) -> dict[str, Any]:
    """Read a checkpoint as data; of NumPy its plain numbers are allowed, which nnU-Net logs in there.

    Parameters
    ----------
    path : Path
        A torch file.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ModelError
        If it holds anything that would run code.
    """
    made_by: Any = np.float64(0).__reduce__()[0]  # the function that NumPy's own pickles of numbers name
    numbers: list[Any] = [np.dtype, made_by, *(type(np.dtype(k)) for k in ("f4", "f8", "i4", "i8"))]
    try:
        with torch.serialization.safe_globals(numbers):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        msg = f"{path.name} holds more than weights and numbers, or is damaged; it is not opened"
        raise ModelError(msg) from error
    return dict(state)
