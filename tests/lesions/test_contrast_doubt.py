"""A series that shows fluid and marrow in the wrong order for its name is flagged, and only such a series."""

import numpy as np
import pytest

from spondyl.core import Grid, Sequence
from spondyl.lesions.contrast_doubt import contrast_flags
from spondyl.models.study import Study
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, TISSUES, Slot


def _study(**medians):
    """Medians of marrow and canal by slot."""
    facts = np.zeros(N_FACTS, np.float32)
    table = facts.reshape(len(Slot), 1 + len(TISSUES))
    for name, (marrow, canal) in medians.items():
        table[list(Slot).index(Slot[name])] = (1, marrow, -0.2, canal)
    grid = Grid((2, 2, 2), np.eye(4))
    return Study(grid, np.zeros((N_CHANNELS, 2, 2, 2), np.float32), facts, (), (Sequence.T1,))


@pytest.mark.parametrize(
    ("medians", "flagged"),
    [
        # As measured on real lumbar volumes: T1, STIR.
        ({"T1": (0.14, -0.31), "FLUID": (-0.11, 0.52)}, []),
        ({"T1": (-0.11, 0.52), "FLUID": (0.14, -0.31)}, ["T1", "FLUID"]),
        ({"T1CE": (-0.2, 0.4), "T2": (0.3, -0.3)}, ["T1CE", "T2"]),
        ({"T2": (0.1, 0.0)}, []),
        ({"T1": (0.0, 0.9), "ADC": (-0.4, 0.9), "WATER": (0.4, -0.9)}, []),
    ],
)
def test_the_order_of_fluid_and_marrow_tells(medians, flagged):
    found = contrast_flags(_study(**medians))
    assert [f.where for f in found] == flagged
    assert {f.code for f in found} <= {"contrast_unlike_its_name"}
