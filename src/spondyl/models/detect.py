"""Look at a whole study with a lesion network: several views, one answer, and how far they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import SAGITTAL, Grid, ModelError, reorient
from spondyl.models.adopted import LESION_WORDS, as_lesions, look, ways_of
from spondyl.models.space import resample
from spondyl.models.study import inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.core import Case, Sequence
    from spondyl.models.network import Network
    from spondyl.models.study import Study


class Detection(NamedTuple):
    """What a lesion network says of one study.

    Parameters
    ----------
    grid : Grid
        The working grid.
    probabilities : ndarray of float32, shape (n_lesion_classes, *grid.shape)
        Probability of each class, normal first.
    disagreement : ndarray of float32, shape ``grid.shape``
        Standard deviation between views of the probability of any lesion, from 0 to 0.5.
    """

    grid: Grid
    probabilities: NDArray[np.float32]
    disagreement: NDArray[np.float32]


def detect(study: Study, network: Network, *, views: int = 2) -> Detection:
    """Look for lesions.

    Parameters
    ----------
    study : Study
        From `spondyl.models.study.study_of`.
    network : Network
        A lesion network.
    views : int, optional
        1 looks once; 2 adds the left-right mirror image.

    Returns
    -------
    Detection
        Mean over the views.

    Raises
    ------
    ModelError
        If the network is not a lesion network.
    """
    n = len(network.card.lesion_classes)
    if n < 2 or network.card.structures:
        msg = f"a lesion network is wanted, {network.name} outlines something else; name another model"
        raise ModelError(msg)
    first = network.predict(study.channels, study.facts)
    if views == 1:
        return Detection(study.grid, first, np.zeros(study.grid.shape, np.float32))
    second = network.predict(study.channels[:, ::-1], study.facts)[:, ::-1]
    half = np.float32(0.5)
    spread = half * np.abs(first[0] - second[0])  # the standard deviation of two
    return Detection(study.grid, half * (first + second), spread)


def detect_elsewhere(case: Case, network: Network) -> tuple[Detection, tuple[Sequence, ...]]:
    """Look for lesions with a network that was made elsewhere.

    Parameters
    ----------
    case : Case
        With its images.
    network : Network
        An adopted lesion network.

    Returns
    -------
    detection : Detection
        One view.
    sequences : tuple of Sequence
        What it looked at.

    Raises
    ------
    ModelError
        If it is not a lesion network.
    """
    ways = ways_of(network.card)
    if not set(ways.classes) & set(LESION_WORDS):
        msg = f"a lesion network is wanted, {network.name} outlines something else; name another model"
        raise ModelError(msg)
    grid, p, used = look(case.images, network)
    return Detection(grid, as_lesions(p, ways), np.zeros(grid.shape, np.float32)), used


def onto(array: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Bring a volume from a working grid to an image's own grid.

    Parameters
    ----------
    array : ndarray of float32, shape ``source.shape``
        On a working grid.
    source, target : Grid
        The working grid, and the image's grid in any orientation.

    Returns
    -------
    ndarray of float32, shape ``target.shape``
        Zero outside the working grid.
    """
    turned = target.reoriented(SAGITTAL)
    box = turned.box_of(source, beyond=1.0)
    part = turned.part(box)
    # Zeros that nobody writes to take no memory.
    moved = np.zeros(target.shape, np.float32)
    reorient(moved, target.orientation, SAGITTAL)[box] = np.where(
        inside(source, part), resample(array, source, part), 0
    )
    return moved
