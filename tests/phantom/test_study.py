"""A study comes from one scanner, in order, and covers its part of the spine."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Sequence, SettingsError
from spondyl.phantom.protocol import LUMBAR_SEQUENCES
from spondyl.phantom.study import OVERLAP_MM, REGION_PLANS, spine_study


def _study(seed=4, **settings):
    return spine_study(np.random.default_rng(seed), **settings)


def test_a_study_has_one_scanner_ascending_times_and_contrast_last():
    study = _study(sequences=[Sequence.T1CE, *LUMBAR_SEQUENCES], axial=[Sequence.T2])
    assert len({(p.acquisition.station, p.acquisition.model, p.acquisition.field_strength_t) for p in study}) == 1
    times = [p.acquisition.acquired_s for p in study]
    assert times == sorted(times)
    assert study[-1].sequence is Sequence.T1CE
    assert [p.plane for p in study].count("axial") == 1
    assert sum(bool(p.acquisition.contrast_given) for p in study) == 1


@pytest.mark.parametrize("region", REGION_PLANS)
def test_the_field_of_view_fits_the_region(region):
    plan = REGION_PLANS[region]
    for seed in range(10):
        study = _study(seed, region=region, sequences=[Sequence.T1, Sequence.T2])
        assert {p.body_part for p in study} == {plan.body_part}
        assert all(plan.fov_mm[0] <= p.fov_mm <= plan.fov_mm[1] for p in study)
        assert len({p.fov_mm for p in study}) == 1


def test_stations_cover_a_whole_spine_and_overlap():
    for seed in range(20):
        study = _study(seed, region="whole", sequences=[Sequence.T1, Sequence.T2], axial=[Sequence.T2])
        stations = [p for p in study if p.plane == "sagittal" and p.sequence is Sequence.T1]
        assert [p.station for p in stations] == list(range(stations[0].n_stations))
        assert 2 <= len(stations) <= 3
        covered = len(stations) * stations[0].fov_mm - (len(stations) - 1) * OVERLAP_MM
        assert covered >= REGION_PLANS["whole"].length_mm - 1e-6
        assert [p.n_stations for p in study if p.plane == "axial"] == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"region": "abdomen"}, "'abdomen'"), ({"sequences": []}, "at least one"), ({"sequences": ["FLAIR"]}, "FLAIR")],
)
def test_a_study_that_cannot_be_is_a_settings_error(settings, message):
    with pytest.raises(SettingsError, match=message):
        _study(**settings)
