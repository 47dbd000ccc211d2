"""The reference cohort that one patient is placed among: synthetic patients, learned once, shipped as a small file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import ModelError, SpondylError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.socce.encoder import SOCCE

MODEL_FILE, CARD_FILE = "reference.npz", "reference.json"
"""Names of the shipped files in ``spondyl/socce/data``."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A learned model and what is known of its tokens.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    card : mapping
        Where it comes from: ``name``, ``data``, ``n_patients``, ``tokens``.
    sha256 : str
        Hash of the model's file.
    """

    model: SOCCE
    card: Mapping[str, Any]
    sha256: str


@lru_cache(maxsize=2)
def load_reference(path: str = "") -> Reference:
    """Load a reference cohort.

    Parameters
    ----------
    path : str, optional
        An ``encoder.npz`` of ``spondyl cohort embed``; the shipped synthetic cohort unless given.

    Returns
    -------
    Reference
        The model.

    Raises
    ------
    ModelError
        If it is missing or damaged.
    """
    from spondyl.socce.encoder import SOCCE

    folder = Path(str(resources.files("spondyl.socce").joinpath("data")))
    file = Path(path) if path else folder / MODEL_FILE
    try:
        content = file.read_bytes()
        model = SOCCE.load(file)
        card = {"name": "own cohort", "data": "a cohort of the user", "tokens": {}}
        if not path:
            card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, SpondylError) as error:
        msg = f"the reference cohort {file.name} cannot be loaded ({type(error).__name__}); embed the cohort again"
        raise ModelError(msg) from error
    return Reference(model, card, hashlib.sha256(content).hexdigest())


def map_points(model: SOCCE) -> tuple[np.ndarray, list[str]]:
    """Give the reference patients for a map.

    Parameters
    ----------
    model : SOCCE
        Fitted.

    Returns
    -------
    places : ndarray of float, shape (m, c)
        Coordinates of the patients who carry the map.
    tokens : list of str
        The token nearest to each.
    """
    from spondyl.socce.embedding import token_name

    points = model.map_.landmarks
    firm = 1e3 * np.eye(points.shape[1])
    found = model.codebook_.assign(points @ firm, np.broadcast_to(firm, (len(points), *firm.shape)))
    return model.map_.vectors, [token_name(int(k)) for k in found.nearest]
