"""Series of one study agree about one patient."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from spondyl.phantom.tissue import N_TISSUES, Tissue
from spondyl.training.contrast import N_INSTANCES
from spondyl.training.study_contrast import Series, sample_series, study_contrasts

N_DRAWS = 60


@pytest.fixture(scope="module")
def studies():
    return [study_contrasts(np.random.default_rng(n), tuple(Series)) for n in range(N_DRAWS)]


def _share(studies, series, bright, dark, image=0):
    return np.mean([s[series].signal[image, bright].mean() > s[series].signal[image, dark].mean() for s in studies])


def test_tables_are_finite_and_the_same_for_the_same_seed(studies):
    again = study_contrasts(np.random.default_rng(3), tuple(Series))
    for series, contrast in studies[3].items():
        n = 2 if series in (Series.DIXON, Series.DIFFUSION) else 1
        assert contrast.signal.shape == contrast.slope.shape == (n, N_TISSUES, N_INSTANCES)
        assert np.isfinite(contrast.signal).all()
        assert contrast.signal.min() >= 0
        np.testing.assert_array_equal(contrast.signal, again[series].signal)


@pytest.mark.parametrize(
    ("series", "bright", "dark"),
    [
        (Series.T1, Tissue.MARROW, Tissue.TUMOR_LYTIC),
        (Series.T2, Tissue.CSF, Tissue.MUSCLE),
        (Series.FLUID, Tissue.TUMOR_LYTIC, Tissue.MARROW),
        (Series.T1CE, Tissue.TUMOR_LYTIC, Tissue.CSF),
        (Series.DIFFUSION, Tissue.TUMOR_LYTIC, Tissue.FATTY_MARROW),
        (Series.DIXON, Tissue.MUSCLE, Tissue.FATTY_MARROW),
    ],
)
def test_a_series_shows_what_it_is_known_for(studies, series, bright, dark):
    # The slot of T1 also takes in-phase gradient echoes and proton density, on which marrow is not the brighter one.
    least = 0.7 if series is Series.T1 else 0.85
    assert _share(studies, series, bright, dark) > least


def test_fat_is_bright_on_t1_and_dark_where_it_is_nulled_at_one_place(studies):
    # A trabecula with more fat than its neighbors must not be bright on both.
    opposite = [
        np.sign(s[Series.T1].slope[0, Tissue.MARROW, 0]) != np.sign(s[Series.FLUID].slope[0, Tissue.MARROW, 0])
        for s in studies
    ]
    assert np.mean(opposite) > 0.7


def test_vertebrae_with_more_fat_are_so_in_every_series(studies):
    together = []
    for study in studies:
        t1, fluid = (study[s].signal[0, Tissue.MARROW] for s in (Series.T1, Series.FLUID))
        if t1.std() > 0.02 * t1.mean():
            together.append(np.corrcoef(t1, fluid)[0, 1])
    assert np.mean(np.array(together) < -0.9) > 0.6


def test_every_series_and_single_ones_are_drawn():
    rng = np.random.default_rng(0)
    drawn = [sample_series(rng) for _ in range(800)]
    seen = Counter(s for study in drawn for s in study)
    assert set(seen) == set(Series)
    assert min(seen.values()) > 40
    assert 0.25 < np.mean([len(study) == 1 for study in drawn]) < 0.5
    assert all(len(set(study)) == len(study) > 0 for study in drawn)
