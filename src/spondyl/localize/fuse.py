"""Join what the network says of each sequence into one set of probabilities on one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.models import Prediction, resample
from spondyl.models.study import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

SAME_GRID_MM = 0.2
"""Grids whose corners lie no farther apart need no resampling: a tenth of the finest voxel. Chosen by us."""


def fuse(predictions: Sequence[Prediction]) -> Prediction:
    """Average predictions on the grid of the first.

    Parameters
    ----------
    predictions : sequence of Prediction
        The reference first.

    Returns
    -------
    Prediction
        All averaged equally; the disagreement is that of the views or of the sequences, whichever is larger.
    """
    first = predictions[0]
    moved = [p if p.grid.same_space(first.grid, SAME_GRID_MM) else _moved(p, first) for p in predictions]
    structures = np.stack([p.structures for p in moved]).mean(axis=0)
    disagreement = np.stack([p.disagreement for p in moved]).mean(axis=0)
    spread = np.stack([1 - p.structures[0] for p in moved]).std(0)
    return Prediction(first.grid, structures, np.maximum(disagreement, spread))


def _moved(prediction: Prediction, onto: Prediction) -> Prediction:
    def move(array: np.ndarray) -> np.ndarray:
        return resample(array, prediction.grid, onto.grid)

    structures = np.stack([move(c) for c in prediction.structures])
    # Border values continue outside a smaller field of view; there, the other sequence knows nothing.
    outside = ~inside(prediction.grid, onto.grid)
    structures[:, outside] = onto.structures[:, outside]
    return Prediction(onto.grid, structures, move(prediction.disagreement))
