"""Three vertebral bodies like boxes on thick slices."""

from __future__ import annotations

import numpy as np

SHAPE, SPACING_MM = (10, 90, 40), (4.0, 1.0, 1.0)


def marrow_boxes() -> np.ndarray:
    """Number of each body, 0 between them."""
    numbers = np.zeros(SHAPE, np.uint16)
    for number, top in ((1, 3), (2, 33), (3, 63)):
        numbers[1:9, top : top + 24, 5:35] = number
    return numbers
