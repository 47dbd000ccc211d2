"""What a made-up network looks at is what occlusion says it looks at."""

import numpy as np
import pytest

from spondyl.core import Grid
from spondyl.models import occlusion
from spondyl.models.occlusion import occlude, plain_channels
from spondyl.models.study import Study
from spondyl.models.study_inputs import N_CHANNELS, TISSUES, Slot

SHAPE = (8, 40, 40)
T1, FLUID = list(Slot).index(Slot.T1), list(Slot).index(Slot.FLUID)


def study(bright=(4, 20, 20)):
    """Marrow everywhere, at its median of 0, but for a bright place on the fluid series."""
    affine = np.diag([4.0, 2.0, 2.0, 1.0])
    channels, facts = np.zeros((N_CHANNELS, *SHAPE), np.float32), np.zeros((len(Slot), 1 + len(TISSUES)), np.float32)
    channels[len(Slot)] = 1.0
    at = np.indices(SHAPE) - np.reshape(bright, (3, 1, 1, 1))
    channels[FLUID] = 2.0 * np.exp(-((at * np.reshape((2.0, 1.0, 1.0), (3, 1, 1, 1))) ** 2).sum(0) / 18)
    facts[[T1, FLUID], 0] = 1
    slots = (Slot.T1, Slot.FLUID)
    return Study(Grid(SHAPE, affine), channels, facts.ravel(), slots, ())


class Bright:
    """Finds a lesion where one channel is bright, here or a little way off."""

    card = name = sha256 = None

    def __init__(self, channel=FLUID, away=0):
        self.channel, self.away = channel, away

    def predict(self, channels, facts):
        seen = np.roll(channels[self.channel], -self.away, axis=1)
        p = 1 / (1 + np.exp(-(4 * seen - 2)))
        return np.stack([1 - p, 0 * p, p]).astype(np.float32)


def meant(at=(4, 20, 20)):
    mask = np.zeros(SHAPE, bool)
    mask[at[0] - 1 : at[0] + 2, at[1] - 3 : at[1] + 4, at[2] - 3 : at[2] + 4] = True
    return mask


def highest(found):
    return np.array(np.unravel_index(found.fall.argmax(), found.fall.shape)) + found.first


def test_the_place_that_makes_the_finding_is_named():
    found = occlude(study(), Bright(), meant())
    assert np.abs((highest(found) - (4, 20, 20)) * (4, 2, 2)).max() <= 8
    assert found.fall.max() > 1


def test_a_finding_made_elsewhere_is_told_apart():
    # The network answers 8 voxels, 16 mm, above what it looks at.
    found = occlude(study(), Bright(away=8), meant((4, 12, 20)))
    assert highest(found)[1] >= 16


def test_the_series_that_makes_the_finding_is_named():
    found = occlude(study(), Bright(), meant())
    assert found.by_slot[Slot.FLUID] > 2
    assert found.by_slot[Slot.T1] == pytest.approx(0, abs=1e-6)
    assert set(found.by_slot) == {Slot.T1, Slot.FLUID}


def test_a_network_that_looks_at_nothing_rests_on_nothing():
    found = occlude(study(), Bright(channel=T1), meant())
    assert np.abs(found.fall).max() < 1e-6


def test_plain_marrow_is_the_median_and_the_surroundings_stay():
    given = study()
    shaped = given.channels.copy()
    shaped[len(Slot), :, :10] = 0  # outside the spine
    facts = given.facts.reshape(len(Slot), -1).copy()
    facts[FLUID, 1] = 0.5
    given = given._replace(channels=shaped, facts=facts.ravel())
    plain = plain_channels(given)
    np.testing.assert_allclose(plain[FLUID, :, 10:], 0.5, atol=1e-6)
    np.testing.assert_array_equal(plain[FLUID, :, :10], given.channels[FLUID, :, :10])
    np.testing.assert_array_equal(plain[len(Slot) :], given.channels[len(Slot) :])


def test_a_finding_at_the_border_of_the_volume_is_explained():
    found = occlude(study((1, 3, 3)), Bright(), meant((1, 3, 3)))
    assert found.first == (0, 0, 0)
    assert np.isfinite(found.fall).all()


def test_the_given_study_stays_as_it_was():
    given = study()
    before = given.channels.copy()
    occlude(given, Bright(), meant())
    np.testing.assert_array_equal(given.channels, before)


class _Counted(Bright):
    """Remembers how many voxels each question shows."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def predict(self, channels, facts):
        self.asked.append(channels[0].size)
        return super().predict(channels, facts)


def test_around_a_large_finding_fewer_places_are_asked_about_and_none_rather_than_all_at_once(monkeypatch):
    first = _Counted()
    occlude(study(), first, meant())
    questions = [len(first.asked)]
    for cells in (8, 7):
        monkeypatch.setattr(occlusion, "MOST_VOXELS", cells * first.asked[0])
        network = _Counted()
        found = occlude(study(), network, meant())
        questions.append(len(network.asked))
        assert found.by_slot[Slot.FLUID] > 2
    assert questions[0] > questions[1] > questions[2] == 1 + len(study().slots)
    assert found.fall.max() == 0
