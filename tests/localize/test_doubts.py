"""Metal, strange sizes and unsure outlines are told; what is usual is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import GrayNetwork, gray_case, gray_column, gray_image, sagittal_grid
from spondyl.core import Case, Image, Sequence, Structure
from spondyl.localize import LocalizeSettings, localize
from spondyl.localize.doubts import UNLIKELY_SIZES, mean_log_likelihood, spine_flags, void_volume_mm3
from spondyl.localize.level_cues import CUES, ColumnCues
from spondyl.localize.level_model import MODELED, shipped_level_model

SPACING = (4.0, 1.0, 1.0)
SHAPE = (15, 150, 120)


def _scene(*voids):
    """A body in tissue, with air behind the back, and boxes without signal."""
    structures, bodies = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint16)
    structures[4:11, 40:70, 30:64] = Structure.BODY
    bodies[structures > 0] = 1
    structures[6:9, 40:80, 80:95] = Structure.POSTERIOR
    signal = np.full(SHAPE, 300.0, np.float32)
    signal[:, :, 110:] = 1.0
    signal[4:11, 39:71, 29] = 2.0
    for box in voids:
        signal[box] = 0.0
    return signal, structures, bodies, SPACING


def test_cortex_and_air_are_no_metal():
    assert void_volume_mm3(*_scene()) == 0


def test_a_screw_through_the_pedicle_is_seen():
    screw = (slice(5, 7), slice(48, 60), slice(50, 95))
    assert void_volume_mm3(*_scene(screw)) == pytest.approx(2 * 12 * 45 * 4)


def test_gas_away_from_the_spine_is_no_metal():
    bowel = (slice(2, 12), slice(50, 80), slice(2, 20))
    assert void_volume_mm3(*_scene(bowel)) == 0


def test_a_column_of_likely_sizes_is_no_surprise_and_a_strange_one_is():
    model = shipped_level_model()
    levels = [MODELED.index(name) for name in ("L1", "L2", "L3", "L4", "L5", "S1")]
    usual = ColumnCues(model.mean[levels], np.array([0, 0, 0, 0, 0, 1.0]), np.nan, 2.5, 0.5, 0.5, cut_below=False)
    strange = replace(usual, values=usual.values + np.linspace(-2, 2, len(CUES)))
    assert mean_log_likelihood(usual, model) > 0.4 > UNLIKELY_SIZES > mean_log_likelihood(strange, model)
    nothing = replace(usual, values=np.full_like(usual.values, np.nan))
    assert np.isnan(mean_log_likelihood(nothing, model))


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (([0.95, 0.97], 0.6, 0.0), []),
        (([0.95, 0.97], float("nan"), 0.0), []),
        (([0.95, 0.97], -3.0, 0.0), ["unlike_a_spine"]),
        (([0.6, 0.7], 0.6, 0.0), ["unsure_outlines"]),
        (([0.95, 0.97], 0.6, 5000.0), ["metal_suspected"]),
    ],
)
def test_each_doubt_has_its_code(said, codes):
    assert [f.code for f in spine_flags(*said)] == codes


def test_the_step_flags_metal_in_an_image():
    grid = sagittal_grid()
    gray = gray_column(grid)
    points = grid.ijk_to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    rod = (np.abs(points - (10, 40, 50)) <= (6, 7, 60)).all(-1)
    whole = gray_case(sequences=(Sequence.T2,))
    assert "metal_suspected" not in [f.code for f in localize(whole, LocalizeSettings(), network=GrayNetwork()).quality]
    gray[rod] = 0
    image = gray_image(Sequence.T2, grid)
    case = Case("case-0a1b2c3d", {Sequence.T2: Image(gray, grid, image.sequence, 0.9, image.acquisition)})
    assert "metal_suspected" in [f.code for f in localize(case, LocalizeSettings(), network=GrayNetwork()).quality]
