"""Level names run up the column, and each has a size."""

from __future__ import annotations

import pytest

from spondyl.phantom.levels import LEVEL_SIZES, column_levels


@pytest.mark.parametrize(("n_thoracic", "n_lumbar"), [(12, 5), (11, 5), (13, 5), (12, 4), (12, 6)])
def test_level_names_run_upward_without_gaps(n_thoracic, n_lumbar):
    names = column_levels(n_thoracic=n_thoracic, n_lumbar=n_lumbar)
    assert names[:6] == ["S5", "S4", "S3", "S2", "S1", f"L{n_lumbar}"]
    assert names[5 + n_lumbar] == f"T{n_thoracic}"
    assert names[-1] == "C1"
    assert len(names) == len(set(names)) == 5 + n_lumbar + n_thoracic + 7
    assert column_levels(top="T12")[-1] == "T12"


def test_every_level_has_a_size():
    assert set(column_levels(n_thoracic=13, n_lumbar=6)) <= set(LEVEL_SIZES)
