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


MARGIN_MM = 30.0
"""How far around a spine found already another image of it is looked at. Chosen by us: the network's coarser layers see
about so far around a voxel."""


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


def segment(image: Image, network: Network, *, views: int = 2, around: Prediction | None = None) -> Prediction:
    """Segment one image.

    Parameters
    ----------
    image : Image
        In any orientation and spacing.
    network : Network
        The network.
    views : int, optional
        1 looks once; 2 adds the left-right mirror image. A network made elsewhere looks once.
    around : Prediction, optional
        Of another image of the study: only what lies around the spine in it is looked at. A network made elsewhere
        looks at all.

    Returns
    -------
    Prediction
        Mean over the views, on the part of the working grid that was looked at.
    """
    if is_adopted(network.card):
        found, p, _ = look({image.sequence: image}, network)
        return Prediction(found, as_structures(p, ways_of(network.card)), np.zeros(found.shape, np.float32))
    grid = working_grid(image.grid, network.card)
    array = to_working_space(image, grid)
    code = one_hot(code_of(image.sequence))[0]
    channels = np.asarray(input_channels(array, grid.spacing_mm), dtype=np.float32)
    if around is not None:
        box = _box_around(around, grid, network.card.multiple)
        grid, channels = grid.part(box), channels[(slice(None), *box)]
    n = len(network.card.structures)
    first = network.predict(channels, code)[:n]
    if views == 1:
        return Prediction(grid, first, np.zeros(grid.shape, np.float32))
    second = network.predict(channels[:, ::-1], code)[:n, ::-1]
    half = np.float32(0.5)
    spread = half * np.abs(first[0] - second[0])  # the standard deviation of two
    return Prediction(grid, half * (first + second), spread)


def _box_around(found: Prediction, grid: Grid, multiple: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """The part of a working grid, all slices of it, that holds a spine found elsewhere; all of it where it does not."""
    whole = tuple(slice(0, n) for n in grid.shape)
    spine = np.argwhere(found.structures[0] < 0.5)
    if not len(spine):
        return whole  # type: ignore[return-value]
    ends = np.stack(np.meshgrid(*np.stack([spine.min(0) - 0.5, spine.max(0) + 0.5], 1), indexing="ij"), -1)
    corners = grid.lps_to_ijk(found.grid.ijk_to_lps(ends.reshape(-1, 3)))
    margin = MARGIN_MM / np.asarray(grid.spacing_mm)
    first = np.clip(np.floor(corners.min(0) - margin).astype(int), 0, grid.shape)
    last = np.clip(np.ceil(corners.max(0) + margin).astype(int) + 1, 0, grid.shape)
    if not (last - first > 0).all():
        return whole  # type: ignore[return-value]
    box = [whole[0]]
    for axis in (1, 2):
        # What the network pads anyway had better be image.
        size = min(-(-int(last[axis] - first[axis]) // multiple[axis]) * multiple[axis], grid.shape[axis])
        start = min(int(first[axis]), grid.shape[axis] - size)
        box.append(slice(start, start + size))
    return tuple(box)  # type: ignore[return-value]
