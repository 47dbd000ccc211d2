"""Physical contrasts look like their sequences; random ones teach shape alone."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.models import ContrastCode
from spondyl.phantom.tissue import N_TISSUES, Tissue
from spondyl.training.contrast import (
    FAILED_SHARE,
    LITTLE_FAT,
    MUCH_FAT,
    N_INSTANCES,
    draw_residual_fat,
    physical_contrast,
    random_contrast,
)

N_DRAWS = 400


@pytest.fixture(scope="module")
def physical():
    return [physical_contrast(np.random.default_rng(n)) for n in range(N_DRAWS)]


def _share(contrasts, bright, dark):
    return np.mean([c.signal[bright].mean() > c.signal[dark].mean() for c in contrasts])


@pytest.mark.parametrize("draw", [physical_contrast, random_contrast])
def test_tables_are_finite_and_the_same_for_the_same_seed(draw):
    for seed in range(20):
        first, second = (draw(np.random.default_rng(seed)) for _ in range(2))
        for name in ("signal", "fat", "spread"):
            table = getattr(first, name)
            assert table.shape == (N_TISSUES, N_INSTANCES)
            assert table.dtype == np.float32
            assert np.isfinite(table).all()
            assert table.min() >= 0
            np.testing.assert_array_equal(table, getattr(second, name))
        assert (first.fat <= first.signal + 1e-6).all()


def test_only_physical_contrasts_teach_lesions(physical):
    assert all(c.teaches_lesions for c in physical)
    assert not any(random_contrast(np.random.default_rng(n)).teaches_lesions for n in range(5))


@pytest.mark.parametrize(
    ("code", "bright", "dark"),
    [
        (ContrastCode.T1, Tissue.SUBCUTANEOUS_FAT, Tissue.CSF),
        (ContrastCode.T1, Tissue.MARROW, Tissue.TUMOR_LYTIC),
        (ContrastCode.T2, Tissue.CSF, Tissue.CORD),
        (ContrastCode.T2, Tissue.CSF, Tissue.MUSCLE),
        (ContrastCode.FAT_SUPPRESSED, Tissue.CSF, Tissue.SUBCUTANEOUS_FAT),
        (ContrastCode.FAT_SUPPRESSED, Tissue.TUMOR_LYTIC, Tissue.MARROW),
    ],
)
def test_a_sequence_shows_what_it_is_known_for(physical, code, bright, dark):
    contrasts = [c for c in physical if c.code is code]
    assert len(contrasts) > 10
    assert _share(contrasts, bright, dark) > 0.9


def test_cortex_is_dark_in_nearly_every_physical_contrast(physical):
    assert _share(physical, Tissue.MARROW, Tissue.CORTEX) > 0.9


def test_marrow_differs_from_level_to_level(physical):
    assert np.median([c.signal[Tissue.MARROW].std() / c.signal[Tissue.MARROW].mean() for c in physical]) > 0.01
    # Muscle has no level.
    assert max(np.ptp(c.signal[Tissue.MUSCLE]) for c in physical) == 0


def test_fat_is_mostly_suppressed_and_now_and_then_hardly():
    rng = np.random.default_rng(2)
    left = np.array([draw_residual_fat(rng) for _ in range(2000)])
    assert LITTLE_FAT[0] <= left.min() < left.max() <= MUCH_FAT[1]
    assert (left > MUCH_FAT[0]).mean() == pytest.approx(FAILED_SHARE, abs=0.03)
