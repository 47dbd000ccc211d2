"""Join what the network says of each sequence into one set of probabilities on one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.models import Prediction, resample
from spondyl.models.study import inside

if TYPE_CHECKING:
    from collections.abc import Iterable

SAME_GRID_MM = 0.2
"""Grids whose corners lie no farther apart need no resampling: a tenth of the finest voxel. Chosen by us."""


def fuse(predictions: Iterable[Prediction]) -> Prediction:
    """Average predictions on the grid of the first.

    Parameters
    ----------
    predictions : iterable of Prediction
        The reference first; each is forgotten before the next is asked for.

    Returns
    -------
    Prediction
        All averaged equally; the disagreement is that of the views or of the sequences, whichever is larger.
    """
    given = iter(predictions)
    first = next(given)
    structures, disagreement = first.structures.copy(), first.disagreement.copy()
    bones = [1 - first.structures[0]]
    for prediction in given:
        same = prediction.grid.same_space(first.grid, SAME_GRID_MM)
        moved = prediction if same else _moved(prediction, first)
        structures += moved.structures
        disagreement += moved.disagreement
        bones.append(1 - moved.structures[0])
    structures /= len(bones)
    disagreement /= len(bones)
    return Prediction(first.grid, structures, np.maximum(disagreement, np.std(bones, axis=0)))


def _moved(prediction: Prediction, onto: Prediction) -> Prediction:
    def move(array: np.ndarray) -> np.ndarray:
        return resample(array, prediction.grid, onto.grid)

    structures = np.stack([move(c) for c in prediction.structures])
    # Border values continue outside a smaller field of view; there, the other sequence knows nothing.
    outside = ~inside(prediction.grid, onto.grid)
    structures[:, outside] = onto.structures[:, outside]
    return Prediction(onto.grid, structures, move(prediction.disagreement))
