"""Each pattern depends on what it says and on nothing else, and the truth is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spondyl.phantom.biology import BiologySettings, simulate_omics_cohort
from spondyl.phantom.missingness import BLOCKS, PATTERNS, TABLES


def drawn(pattern, n=900, seed=11):
    return simulate_omics_cohort(n, seed, BiologySettings(missing_pattern=pattern, missing_omics=0.3))


def lacking(cohort) -> pd.DataFrame:
    return pd.DataFrame({t: ~cohort.patients.index.isin(cohort.modalities[t].index) for t in TABLES},
                        index=cohort.patients.index)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_asked_share_is_missing_and_what_is_missing_is_kept(pattern):
    cohort = drawn(pattern)
    gone = lacking(cohort)
    assert abs(gone.to_numpy().mean() - 0.3) < 0.06
    full = simulate_omics_cohort(900, 11, BiologySettings(missing_omics=0.0))
    for table in TABLES:
        both = pd.concat([cohort.modalities[table], cohort.hidden[table]]).loc[cohort.patients.index]
        pd.testing.assert_frame_equal(both, full.modalities[table])
    assert len(cohort.modalities["imaging"]) == 900


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_probability_kept_is_the_one_drawn_from(pattern):
    cohort = drawn(pattern)
    gone, chance = lacking(cohort).to_numpy().ravel(), cohort.missing_probability.to_numpy().ravel()
    for low in (0.0, 0.2, 0.4):
        rows = (chance >= low) & (chance < low + 0.2)
        if rows.sum() > 100:
            assert abs(gone[rows].mean() - chance[rows].mean()) < 0.08


def test_by_chance_alone_nothing_tells_of_it():
    cohort = drawn("random")
    gone = lacking(cohort)
    assert np.ptp(gone.groupby(cohort.patients["site"]).mean().to_numpy(), axis=0).max() < 0.12
    assert cohort.missing_probability.nunique().max() == 1


def test_given_the_burden_large_lesions_lack_less():
    cohort = drawn("burden")
    gone = lacking(cohort).mean(axis=1)
    size = cohort.modalities["imaging"]["log_volume_mm3"]
    assert gone[size > size.median()].mean() < gone[size <= size.median()].mean() - 0.1


def test_a_site_can_lack_a_table_altogether_but_never_all():
    cohort = drawn("site_table")
    share = lacking(cohort).groupby(cohort.patients["site"]).mean()
    assert set(np.unique(share)) == {0.0, 1.0}
    assert share.sum(axis=1).max() < len(TABLES)
    assert (share.sum(axis=0) < len(share)).all()


def test_blocks_lack_tables_together():
    cohort = drawn("block")
    patterns = lacking(cohort).value_counts()
    assert 1 < len(patterns) <= BLOCKS
    assert patterns.min() >= 900 // BLOCKS - 1
