"""Measure the marrow of each vertebra on the images of a case, and at the same places of an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import Sequence, Structure
from spondyl.core.marrow import SIGN_SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

    from spondyl.core import Case, Grid, Image, LabelMap

    Floats = NDArray[np.float64]

RIM_MM = 3.0
"""Outer part of a body that is left out, in the slice: cortex, endplates, and what outlines err by. Chosen by us."""

LEAST_AREA = 0.6
"""Area of a body in a slice, relative to its largest, from which the slice counts. Chosen by us."""

LEAST_PLACES = 60
"""Places below which a body is not measured. Chosen by us."""

LEAST_SHOWN = 0.8
"""Share of a body's places that an image must show. Chosen by us."""

SMOOTHING_MM = 2.0
"""Standard deviation, in the slice, of what evens out noise and what registration errs by. Chosen by us."""

STANDS_FOR = {Sequence.STIR: (Sequence.STIR, Sequence.T2FS)}
"""Sequences that show marrow alike, the usual one first."""


def body_places(case: Case, instances: Ordered[int]) -> dict[int, Floats]:
    """Give the places at which bodies are measured: away from the rim, in slices that show much of the body.

    Parameters
    ----------
    case : Case
        Localized.
    instances : sequence of int
        Vertebrae.

    Returns
    -------
    dict of int to ndarray of float, shape (n_places, 3)
        In LPS mm; bodies too small to be measured are left out.
    """
    structures: LabelMap = case.labels["structures"]
    grid = structures.grid
    through = int(np.argmax(grid.spacing_mm))
    bodies = np.isin(structures.array, (Structure.BODY, Structure.S1))
    numbers = np.where(bodies, case.labels["vertebrae"].array, 0)
    boxes = ndimage.find_objects(numbers)
    sampling = [1e3 if axis == through else mm for axis, mm in enumerate(grid.spacing_mm)]
    others = tuple(axis for axis in range(3) if axis != through)
    found = {}
    for number in instances:
        box = boxes[number - 1] if 0 < number <= len(boxes) else None
        if box is None:
            continue
        body = np.pad(numbers[box] == number, [(int(axis in others),) * 2 for axis in range(3)])
        area = body.sum(axis=others)
        shown = np.expand_dims(area >= LEAST_AREA * area.max(), others)
        where = np.argwhere(body & shown & (ndimage.distance_transform_edt(body, sampling=sampling) >= RIM_MM))
        if len(where) >= LEAST_PLACES:
            first = [s.start - int(axis in others) for axis, s in enumerate(box)]
            found[number] = grid.ijk_to_lps(where + first)
    return found


def body_signals(case: Case, places: Ordered[Floats | None]) -> dict[Sequence, list[Floats | None]]:
    """Read every sequence at the places of each body.

    Parameters
    ----------
    case : Case
        With images.
    places : sequence of (ndarray of float, shape (n_places, 3), or None)
        In LPS mm, one array a vertebra.

    Returns
    -------
    dict of Sequence to list of (ndarray of float, shape (n_places,), or None)
        What `spondyl.core.marrow.signs` takes; sequences that were not taken are left out.
    """
    found: dict[Sequence, list[Floats | None]] = {}
    for sequence in SIGN_SEQUENCES:
        image = next((case.images[s] for s in STANDS_FOR.get(sequence, (sequence,)) if s in case.images), None)
        if image is not None:
            smooth = _smoothed(image)
            found[sequence] = [None if own is None else _sampled(smooth, image.grid, own) for own in places]
    return found


def moved_places(places: Mapping[int, Floats], motion: Mapping[int, Floats]) -> dict[int, Floats]:
    """Move the places of each body into another study.

    Parameters
    ----------
    places : mapping of int to ndarray of float, shape (n_places, 3)
        In LPS mm of this study.
    motion : mapping of int to ndarray of float, shape (4, 4)
        From this study's LPS to the other's, for each vertebra that is in both.

    Returns
    -------
    dict of int to ndarray of float, shape (n_places, 3)
        In LPS mm of the other study.
    """
    return {number: places[number] @ m[:3, :3].T + m[:3, 3] for number, m in motion.items() if number in places}


def _smoothed(image: Image) -> NDArray[np.float32]:
    spacing = np.asarray(image.grid.spacing_mm)
    sigma = np.where(np.arange(3) == int(np.argmax(spacing)), 0.0, SMOOTHING_MM / spacing)
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(image.array.astype(np.float32), sigma)
    return smooth


def _sampled(array: NDArray[np.float32], grid: Grid, places_lps_mm: Floats) -> Floats | None:
    """Values at places, NaN outside the image; None where it shows too few of them."""
    index = grid.lps_to_ijk(places_lps_mm)
    shown = ((index >= -0.5) & (index <= np.asarray(array.shape) - 0.5)).all(axis=1)
    if shown.mean() < LEAST_SHOWN:
        return None
    values: Floats = ndimage.map_coordinates(array, index.T, order=1, mode="nearest").astype(np.float64)
    values[~shown] = np.nan
    return values
