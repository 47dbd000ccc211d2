"""Fat that comes back makes fatty tissue bright on fluid series, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.models.crops import CROP_CHANNELS, CROP_SHAPE
from spondyl.models.study_inputs import N_FACTS, SHAPE_CHANNELS, TISSUES, Slot
from spondyl.training.residual_fat import with_residual_fat
from spondyl.training.vertebrae import PatientCrops

T1, FLUID, T2 = (list(Slot).index(slot) for slot in (Slot.T1, Slot.FLUID, Slot.T2))
MARROW, DISC = np.s_[:, :12], np.s_[:, 12:]


@pytest.fixture
def patient():
    """One site, half of it fatty marrow and half disc, on T1, T2 and a fluid series."""
    crops = np.zeros((1, CROP_CHANNELS, *CROP_SHAPE), np.float16)
    crops[0, len(Slot) : len(Slot) + len(SHAPE_CHANNELS)] = 0.5
    facts = np.zeros((len(Slot), 1 + len(TISSUES)), np.float32)
    for slot, marrow, disc in ((T1, 0.4, -0.4), (T2, 0.1, -0.3), (FLUID, -0.6, -0.3)):
        crops[(0, slot, *MARROW)], crops[(0, slot, *DISC)] = marrow, disc
        facts[slot] = (1, marrow, disc, 0.5)
    return PatientCrops(crops, facts.reshape(-1), [])


def signal(channel):
    return (np.asarray(channel, np.float64) / 2 + 1) ** 2


def test_marrow_gains_over_discs_by_its_share_of_the_fat_that_t1_shows(patient):
    after = with_residual_fat(patient, 0.5)
    marrow, disc = (signal(after.crops[(0, FLUID, *part)]).mean() for part in (MARROW, DISC))
    fat = signal(0.4) - signal(-0.4)
    assert marrow / disc == pytest.approx((signal(-0.6) + 0.5 * fat) / signal(-0.3), rel=0.01)
    told = after.facts.reshape(len(Slot), -1)[FLUID]
    assert told[1] == pytest.approx(float(after.crops[(0, FLUID, *MARROW)].mean()), abs=0.01)
    assert told[2] == pytest.approx(float(after.crops[(0, FLUID, *DISC)].mean()), abs=0.01)


def test_other_series_and_what_no_series_shows_stay(patient):
    patient.crops[0, FLUID, :2] = 0
    after = with_residual_fat(patient, 0.8)
    np.testing.assert_array_equal(after.crops[0, [T1, T2]], patient.crops[0, [T1, T2]])
    assert (after.crops[0, FLUID, :2] == 0).all()
    np.testing.assert_array_equal(after.facts.reshape(len(Slot), -1)[T1], patient.facts.reshape(len(Slot), -1)[T1])


def test_without_t1_nothing_is_known_of_fat(patient):
    facts = patient.facts.copy()
    facts.reshape(len(Slot), -1)[T1] = 0
    alone = patient._replace(facts=facts)
    assert with_residual_fat(alone, 0.5) is alone
    assert facts.size == N_FACTS
