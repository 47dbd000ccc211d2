"""Join what the network says of each sequence into one set of probabilities on one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Sequence
from spondyl.models import Prediction, resample

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

LESION_WEIGHTS = {Sequence.T1: 1.0, Sequence.STIR: 1.0, Sequence.T2FS: 0.9, Sequence.T2: 0.5, Sequence.T1CE: 0.4}
"""Weight of a sequence in the lesion probability: T1 and STIR decide (Ohlmann-Knafo 2015); T2 alone sees half. Chosen by us."""

OTHER_LESION_WEIGHT = 0.3
"""Weight of all other sequences."""


def fuse(predictions: Ordered[tuple[Sequence, Prediction]]) -> Prediction:
    """Average predictions on the grid of the first.

    Parameters
    ----------
    predictions : sequence of (Sequence, Prediction)
        The reference first.

    Returns
    -------
    Prediction
        Structures averaged equally, lesions by how much the sequence shows of them.
    """
    grid = predictions[0][1].grid
    moved = [(s, p if p.grid.same_space(grid, 0.2) else _moved(p, predictions[0][1])) for s, p in predictions]
    weights = np.array([LESION_WEIGHTS.get(s, OTHER_LESION_WEIGHT) for s, _ in moved], dtype=np.float32)
    weights /= weights.sum()
    structures = sum(p.structures for _, p in moved) / len(moved)
    lesions = sum(w * p.lesions for w, (_, p) in zip(weights, moved, strict=True))
    spread = np.stack([1 - p.structures[0] for _, p in moved]).std(0)
    disagreement = np.maximum(sum(p.disagreement for _, p in moved) / len(moved), spread)
    return Prediction(grid, structures, lesions, disagreement.astype(np.float32))


def _moved(prediction: Prediction, onto: Prediction) -> Prediction:
    def move(array: np.ndarray) -> np.ndarray:
        return resample(array, prediction.grid, onto.grid)

    structures = np.stack([move(c) for c in prediction.structures])
    lesions = np.stack([move(c) for c in prediction.lesions])
    # Border values continue outside a smaller field of view; there, the other sequence knows nothing.
    ijk = np.stack(np.meshgrid(*map(np.arange, onto.grid.shape), indexing="ij", sparse=False), axis=-1)
    at = prediction.grid.lps_to_ijk(onto.grid.ijk_to_lps(ijk))
    outside = ((at < -0.75) | (at > np.asarray(prediction.grid.shape) - 0.25)).any(-1)
    structures[:, outside], lesions[:, outside] = onto.structures[:, outside], onto.lesions[:, outside]
    return Prediction(onto.grid, structures, lesions, move(prediction.disagreement))
