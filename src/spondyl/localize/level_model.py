"""What every level looks like, and how levels of one patient vary together: learnt from synthetic patients alone.

All measurements of all levels of one patient are one Gaussian vector, of which a study shows a part. Its covariance is
a factor model: a few numbers per patient (size, curves, build) move all levels together, the rest is each level's own.
So a short person's T12 is not taken for a T9, and neighboring levels are not counted as independent witnesses.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import LEVELS, ModelError
from spondyl.localize.level_cues import CUES
from spondyl.localize.ribs import BOX_SHAPE, RibModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MODELED = (*LEVELS[: LEVELS.index("S2") + 1],)
"""Levels that the model knows: C1 to S2, variants included."""

MODEL_FILE = "levels.json"
"""Name of the shipped model beside the networks' weights."""

MODEL_VERSION = 3
"""Version of the file's layout."""


@dataclass(frozen=True, eq=False)
class LevelModel:
    """A Gaussian factor model of all levels' measurements.

    Parameters
    ----------
    mean : ndarray, shape (len(MODELED), len(CUES))
        Mean measurement of each level.
    loadings : ndarray, shape (len(MODELED), len(CUES), k)
        How each moves with the patient's factors, which are standard normal.
    noise : ndarray, shape (len(MODELED), len(CUES))
        Variance of what is left.
    temperature : float
        Divisor of the logarithm of the likelihood, which calibrates the probabilities of levels.
    ribs : RibModel or None
        Tells ribs in the image beside a body.
    rib_weight : float
        Factor of its log odds: a network is too sure of what it says, and bodies of one image are not independent.
    sha256 : str
        Hash of the file it came from; empty if from none.
    """

    mean: Array
    loadings: Array
    noise: Array
    temperature: float = 1.0
    ribs: RibModel | None = None
    rib_weight: float = 1.0
    sha256: str = ""

    def log_likelihood(self, values: Array, levels: NDArray[np.intp]) -> Array:
        """Give the log-likelihood of a column under many sequences of levels.

        Parameters
        ----------
        values : ndarray, shape (n_versions, n, len(CUES))
            Measurements of n bodies, in one or more versions; NaN where there is none.
        levels : ndarray of int, shape (n_sequences, n, 2)
            Version of the measurements to use, and index into `MODELED`, for each body.

        Returns
        -------
        ndarray, shape (n_sequences,)
            Natural logarithm of the density, all factors integrated out, divided by the temperature.
        """
        known = np.isfinite(values)[:, :, None]
        difference = np.where(known, np.nan_to_num(values)[:, :, None] - self.mean, 0.0)
        precision = np.where(known, 1 / self.noise, 0.0)
        gram = np.einsum("vnlf,lfk,lfm->vnlkm", precision, self.loadings, self.loadings, optimize=True)
        pull = np.einsum("vnlf,lfk->vnlk", precision * difference, self.loadings)
        own = (precision * difference**2 + np.where(known, np.log(2 * np.pi * self.noise), 0.0)).sum(-1)
        k = self.loadings.shape[-1]
        a, b, c = np.tile(np.eye(k), (len(levels), 1, 1)), np.zeros((len(levels), k)), np.zeros(len(levels))
        for body in range(values.shape[1]):
            at = (levels[:, body, 0], body, levels[:, body, 1])
            a += gram[at]
            b += pull[at]
            c += own[at]
        solved = np.linalg.solve(a, b[..., None])[..., 0]
        log_density: Array = -0.5 * (c + np.linalg.slogdet(a)[1] - (b * solved).sum(-1))
        return log_density / self.temperature


def parse_level_model(text: str) -> LevelModel:
    """Read a model of levels.

    Parameters
    ----------
    text : str
        JSON, as `spondyl.training.levels` writes it.

    Returns
    -------
    LevelModel
        The model.

    Raises
    ------
    ModelError
        If it is not one that this version can use.
    """
    try:
        table = json.loads(text)
        fits = (table["model_version"], tuple(table["levels"]), tuple(table["cues"])) == (MODEL_VERSION, MODELED, CUES)
        mean, loadings, noise = (np.array(table[k], dtype=np.float64) for k in ("mean", "loadings", "noise"))
        shape = (len(MODELED), len(CUES))
        fits &= mean.shape == shape == noise.shape == loadings.shape[:2] and bool((noise > 0).all())
        temperature, weight = float(table["temperature"]), float(table["rib_weight"])
        ribs, ribs_fit = _rib_model(table["ribs"])
        fits &= ribs_fit
    except (ValueError, KeyError, TypeError, IndexError) as error:
        msg = f"the model of levels cannot be read ({type(error).__name__}); install Spondyl again"
        raise ModelError(msg) from error
    if not fits:
        msg = (
            f"a model of levels of layout {MODEL_VERSION} with {len(MODELED)} levels and {len(CUES)} measurements is "
            "wanted, got another; install Spondyl again"
        )
        raise ModelError(msg)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return LevelModel(mean, loadings, noise, temperature, ribs, weight, digest)


def _rib_model(table: dict[str, Any]) -> tuple[RibModel, bool]:
    """Read the network that tells ribs, and say whether its shape is right."""
    filters, weights, biases = (
        tuple(np.array(part, dtype=np.float64) for part in table[key]) for key in ("filters", "weights", "biases")
    )
    model = RibModel(filters, (weights[0], weights[1]), biases)
    return model, len(biases) == len(filters) + 2 and model.log_odds(np.zeros((1, *BOX_SHAPE), np.float32)).shape == (
        1,
    )


@lru_cache(maxsize=1)
def shipped_level_model() -> LevelModel:
    """Load the model of levels that comes with the package.

    Returns
    -------
    LevelModel
        Read once.

    Raises
    ------
    ModelError
        If it is missing or damaged.
    """
    try:
        text = (resources.files("spondyl.models") / "weights" / MODEL_FILE).read_text(encoding="utf-8")
    except OSError as error:
        msg = f"the model of levels {MODEL_FILE} is missing from the package; install Spondyl again"
        raise ModelError(msg) from error
    return parse_level_model(text)
