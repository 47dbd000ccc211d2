"""Look at one image with a segmentation network: several views, one answer, and how far they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.models.adopted import as_structures, is_adopted, look, ways_of
from spondyl.models.contrast_code import code_of, one_hot
from spondyl.models.inputs import input_channels
from spondyl.models.space import to_working_space, working_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Grid, Image
    from spondyl.models.network import Network


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of one image.

    Parameters
    ----------
    grid : Grid
        The working grid.
    structures : ndarray of float32, shape (n_structures, *grid.shape)
        Probability of each structure.
    disagreement : ndarray of float32, shape ``grid.shape``
        Standard deviation between views of the probability of bone, from 0 to 0.5.
    """

    grid: Grid
    structures: NDArray[np.float32]
    disagreement: NDArray[np.float32]


def segment(image: Image, network: Network, *, views: int = 2) -> Prediction:
    """Segment one image.

    Parameters
    ----------
    image : Image
        In any orientation and spacing.
    network : Network
        The network.
    views : int, optional
        1 looks once; 2 adds the left-right mirror image. A network made elsewhere looks once.

    Returns
    -------
    Prediction
        Mean over the views.
    """
    if is_adopted(network.card):
        found, p, _ = look({image.sequence: image}, network)
        return Prediction(found, as_structures(p, ways_of(network.card)), np.zeros(found.shape, np.float32))
    grid = working_grid(image.grid, network.card)
    array = to_working_space(image, grid)
    code = one_hot(code_of(image.sequence))[0]
    channels = np.asarray(input_channels(array, grid.spacing_mm), dtype=np.float32)
    outputs = [network.predict(channels, code)]
    if views > 1:
        outputs.append(network.predict(channels[:, ::-1], code)[:, ::-1])
    n = len(network.card.structures)
    mean = np.stack(outputs).mean(axis=0)
    bone = np.stack([1 - o[0] for o in outputs])
    return Prediction(grid, mean[:n], bone.std(0).astype(np.float32))
