"""Small studies with an outlined lesion, as the training of the lesion network sees them."""

import numpy as np

from spondyl.core import Grid, Sequence
from spondyl.models.study import Study
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot
from spondyl.training.lesion_studies import BENIGN, LESION, MALIGNANT, NORMAL, WorkingStudy

SHAPE = (8, 64, 64)
GIVEN = (Slot.T1, Slot.FLUID)


def study(shape=SHAPE):
    rng = np.random.default_rng(3)
    channels, facts = np.zeros((N_CHANNELS, *shape), np.float32), np.zeros(N_FACTS, np.float32)
    table = facts.reshape(len(Slot), -1)
    for slot in GIVEN:
        channels[list(Slot).index(slot)] = rng.normal(0, 0.3, shape)
        table[list(Slot).index(slot)] = (1, 0.1, -0.2, 0.4)
    channels[len(Slot), 2:6, 8:56, 16:48] = 1  # bodies
    grid = Grid(shape, np.diag([4.0, 1.25, 1.25, 1.0]))
    return Study(grid, channels, facts, GIVEN, (Sequence.T1, Sequence.STIR))


def working(number, patient, kind=MALIGNANT):
    made, target = study(), np.full(SHAPE, NORMAL, np.int16)
    target[3:5, 20:32, 20:32] = kind
    channels = made.channels.copy()
    channels[list(Slot).index(Slot.FLUID)] += 3 * (target == kind)
    return WorkingStudy(number, patient, channels.astype(np.float16), made.facts, target, (4.0, 1.25, 1.25))


STUDIES = [working(1, "Zwicky"), working(2, "Zwicky", BENIGN), working(3, "Quandt", LESION)]
