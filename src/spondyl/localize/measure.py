"""From outlines to numbered bodies and all that is measured on them, for naming and for learning to name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from spondyl.core import Structure
from spondyl.localize.instances import BodyShape, ChainLimits, order_chain, settle_shapes, split_bodies
from spondyl.localize.level_cues import CUES, ColumnCues, measure_column
from spondyl.localize.mend import mend_chain
from spondyl.localize.ribs import Places, places_of, rib_log_odds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from spondyl.core import Image
    from spondyl.localize.outlines import Outlines
    from spondyl.localize.ribs import RibModel

BONE = (Structure.BODY, Structure.CORTEX, Structure.S1)
"""Structures in which bodies are told apart; which of them is the first sacral one is decided with the levels."""


def number_bodies(outlines: Outlines, *, min_confidence: float, shape: BodyShape) -> NDArray[np.uint16]:
    """Tell bodies apart and number those of the column from the head down.

    Parameters
    ----------
    outlines : Outlines
        From the network.
    min_confidence : float
        Mean probability below which a body is not believed.
    shape : BodyShape
        How compact bodies are made.

    Returns
    -------
    ndarray of uint16, shape of the outlines' box
        Numbers from 1, the first sacral body among them; 0 outside.
    """
    spacing = outlines.grid.spacing_mm
    bodies = order_chain(split_bodies(np.isin(outlines.structures, BONE), spacing), spacing, ChainLimits())
    bodies = mend_chain(_believed(bodies, outlines.body, min_confidence), spacing, outlines.body)
    return settle_shapes(bodies, outlines.body, spacing, shape)


def _believed(bodies: NDArray[np.uint16], probability: NDArray[np.float32], least: float) -> NDArray[np.uint16]:
    n = int(bodies.max())
    if n == 0:
        return bodies
    means = ndimage.mean(probability, bodies, range(1, n + 1))
    renumber = np.zeros(n + 1, np.uint16)
    kept = [i for i in range(1, n + 1) if means[i - 1] >= least]
    renumber[kept] = np.arange(1, len(kept) + 1)
    return renumber[bodies]


def column_cues(outlines: Outlines, bodies: NDArray[np.uint16]) -> tuple[ColumnCues, Places]:
    """Measure the bodies of a column on their outlines.

    Parameters
    ----------
    outlines : Outlines
        From the network.
    bodies : ndarray of uint16
        From `number_bodies`; at least one.

    Returns
    -------
    cues : ColumnCues
        Measurements, without what the images show.
    places : Places
        Where to look at the images.
    """
    spacing = outlines.grid.spacing_mm
    rows = outlines.box[1].start, outlines.grid.shape[1]
    cues = measure_column(outlines.structures, bodies, spacing, rows)
    centers = np.array(ndimage.center_of_mass(bodies > 0, bodies, range(1, int(bodies.max()) + 1)))
    lps = outlines.grid.ijk_to_lps(centers + [s.start for s in outlines.box])
    return cues, places_of(centers * spacing, lps, np.exp(cues.values[:, CUES.index("depth")]))


def with_ribs(cues: ColumnCues, places: Places, images: Iterable[Image], model: RibModel | None) -> ColumnCues:
    """Add what the images show around the bodies.

    Parameters
    ----------
    cues : ColumnCues
        From `column_cues`.
    places : Places
        From the same.
    images : iterable of Image
        At least one.
    model : RibModel or None
        What tells ribs; None looks at nothing.

    Returns
    -------
    ColumnCues
        With `ColumnCues.ribs`.
    """
    return cues if model is None else replace(cues, ribs=rib_log_odds(images, places, model))
