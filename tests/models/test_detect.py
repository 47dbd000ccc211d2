"""Detection is the mean of its views, and volumes come back to the image's own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GrayLesionNetwork, GrayNetwork
from spondyl.core import Grid, ModelError
from spondyl.models.detect import detect, onto
from spondyl.models.study import Study
from spondyl.models.study_inputs import N_CHANNELS, N_FACTS, Slot

GRID = Grid((6, 20, 16), np.array([[4.0, 0, 0, -10], [0, 0, 1.5, -40], [0, -1.5, 0, 90], [0, 0, 0, 1]]))


class _Ramp(GrayLesionNetwork):
    """Sees more malignancy toward the end of the first axis, whatever it is shown."""

    def predict(self, channels, facts):
        out = np.zeros((3, *channels.shape[1:]), np.float32)
        out[2] = np.linspace(0, 1, channels.shape[1])[:, None, None]
        out[0] = 1 - out[2]
        return out


@pytest.fixture
def study():
    channels, facts = np.zeros((N_CHANNELS, *GRID.shape), np.float32), np.zeros(N_FACTS, np.float32)
    return Study(GRID, channels, facts, (Slot.T1,), ())


def test_two_views_are_the_mean_of_the_study_and_its_mirror_image(study):
    one, two = (detect(study, _Ramp(), views=n) for n in (1, 2))
    assert one.disagreement.max() == 0
    np.testing.assert_allclose(two.probabilities[2], 0.5, atol=1e-6)
    assert two.disagreement[0].mean() == pytest.approx(0.5)
    np.testing.assert_allclose(two.probabilities.sum(0), 1, atol=1e-6)


def test_a_network_of_another_kind_is_refused(study):
    with pytest.raises(ModelError, match="lesion network is wanted"):
        detect(study, GrayNetwork())
    network = GrayLesionNetwork()
    network.card = replace(network.card, lesion_classes=())
    with pytest.raises(ModelError, match="lesion network is wanted"):
        detect(study, network)


@pytest.mark.parametrize("orientation", ["LIP", "RAS", "SPL"])
def test_a_volume_comes_back_to_its_place(orientation, rng):
    values = rng.random(GRID.shape, dtype=np.float32)
    target = GRID.reoriented(orientation)
    moved = onto(values, GRID, target)
    for ijk in ((0, 0, 0), (5, 19, 15), (2, 7, 9)):
        place = np.round(target.lps_to_ijk(GRID.ijk_to_lps(ijk))).astype(int)
        assert moved[tuple(place)] == pytest.approx(values[ijk], abs=1e-5)


def test_outside_the_working_grid_there_is_nothing():
    larger = Grid((6, 40, 16), GRID.affine)
    moved = onto(np.ones(GRID.shape, np.float32), GRID, larger)
    assert moved[:, :19].min() == 1
    assert moved[:, 21:].max() == 0
