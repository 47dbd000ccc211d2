"""Join what the network says of each sequence into one set of probabilities on one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import Sequence
from spondyl.models import Prediction, resample

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

LESION_WEIGHTS = {Sequence.T1: 1.0, Sequence.STIR: 1.0, Sequence.T2FS: 0.9, Sequence.T2: 0.5, Sequence.T1CE: 0.4}
"""Weight of a sequence in the lesion probability. Chosen by us: T1 and STIR decide (Ohlmann-Knafo 2015), T2 adds."""

OTHER_LESION_WEIGHT = 0.3
"""Weight of all other sequences. Chosen by us."""

SAME_GRID_MM = 0.2
"""Grids whose corners lie no farther apart need no resampling: a tenth of the finest voxel. Chosen by us."""


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
    first = predictions[0][1]
    grid = first.grid
    moved = [(s, p if p.grid.same_space(grid, SAME_GRID_MM) else _moved(p, first)) for s, p in predictions]
    weights = np.array([LESION_WEIGHTS.get(s, OTHER_LESION_WEIGHT) for s, _ in moved], dtype=np.float32)
    weights /= weights.sum()
    structures, lesions, disagreement = (
        np.zeros_like(a) for a in (first.structures, first.lesions, first.disagreement)
    )
    for weight, (_, p) in zip(weights, moved, strict=True):
        structures += p.structures / len(moved)
        lesions += weight * p.lesions
        disagreement += p.disagreement / len(moved)
    spread = np.stack([1 - p.structures[0] for _, p in moved]).std(0)
    return Prediction(grid, structures, lesions, np.maximum(disagreement, spread))


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
