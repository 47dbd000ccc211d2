"""Measurements of outlines are those of the shapes drawn, in any voxel size, and missing where the field cuts."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import Structure
from spondyl.localize.level_cues import CUES, measure_column

SIZE_MM = np.array([44.0, 26.0, 34.0])
STEP_MM = 34.0


def _column(spacing=(4.0, 1.0, 1.0), *, n=4, tilt=0.0, cord_to=70.0, top=20.0):
    """Boxes with discs between them, arches behind, a canal with cord, and S1 with its wings at the end."""
    extent = np.array([72.0, top + STEP_MM * n + 30, 110.0])
    places = np.moveaxis(np.indices(np.round(extent / spacing).astype(int)), 0, -1) * np.asarray(spacing)
    structures, bodies = np.zeros(places.shape[:3], np.uint8), np.zeros(places.shape[:3], np.uint16)

    def box(center, size):
        return (np.abs(places - center) <= np.asarray(size) / 2).all(-1)

    canal = box((36, extent[1] / 2, 66 - tilt), (18, extent[1], 12))
    structures[canal] = Structure.CANAL
    structures[canal & (places[..., 1] < cord_to)] = Structure.CORD
    for i in range(n):
        center = np.array([36.0, top + STEP_MM * (i + 0.5), 40.0 + tilt * i])
        body, last = box(center, SIZE_MM), i == n - 1
        structures[body] = Structure.S1 if last else Structure.BODY
        bodies[body] = i + 1
        if last:
            structures[box(np.add(center, (0, 0, 14)), (70, 26, 40)) & ~body & ~canal] = Structure.SACRUM
        else:
            structures[box(np.add(center, (0, STEP_MM / 2, 0)), (40, 6.0, 30))] = Structure.DISC
            structures[box(np.add(center, (0, 8, 46)), (6, 20, 20))] = Structure.POSTERIOR
    return structures, bodies, spacing


def _of(cues, name):
    return cues.values[:, CUES.index(name)]


@pytest.mark.parametrize("spacing", [(4.0, 1.0, 1.0), (2.0, 1.5, 1.5), (4.0, 0.7, 0.7)], ids=str)
def test_sizes_are_those_drawn(spacing):
    cues = measure_column(*_column(spacing))
    np.testing.assert_allclose(np.exp(_of(cues, "height")), SIZE_MM[1], rtol=0.08)
    np.testing.assert_allclose(np.exp(_of(cues, "depth")), SIZE_MM[2], rtol=0.08)
    np.testing.assert_allclose(np.exp(_of(cues, "width")), SIZE_MM[0], rtol=0.15)
    np.testing.assert_allclose(np.exp(_of(cues, "step"))[:-1], STEP_MM, rtol=0.03)
    np.testing.assert_allclose(np.exp(_of(cues, "canal")), 12, rtol=0.25)
    np.testing.assert_allclose(np.exp(_of(cues, "disc"))[:-1] - 1, 6, rtol=0.35)
    np.testing.assert_allclose(_of(cues, "taper"), 0, atol=0.05)


def test_a_leaning_column_shows_its_tilt():
    straight, leaning = (_of(measure_column(*_column(tilt=t)), "tilt")[0] for t in (0.0, 4.0))
    assert straight == pytest.approx(0, abs=0.02)
    assert leaning == pytest.approx(np.arctan(4 / STEP_MM), abs=0.03)


def test_only_the_last_body_is_sacral_and_has_wings():
    cues = measure_column(*_column())
    np.testing.assert_allclose(cues.sacral_share, [0, 0, 0, 1], atol=0.02)
    assert _of(cues, "sacrum")[-1] > 0.5
    assert _of(cues, "sacrum")[0] == 0


def test_the_cord_is_followed_to_its_end():
    # The second body's center lies 71 mm down.
    ends = [measure_column(*_column(cord_to=mm)).cord_end for mm in (0.0, 71.0, 500.0)]
    assert ends[0] == -np.inf
    assert ends[1] == pytest.approx(1.0, abs=0.3)
    assert ends[2] == np.inf


def test_without_a_canal_nothing_is_said_of_the_cord():
    structures, bodies, spacing = _column()
    structures[np.isin(structures, (Structure.CANAL, Structure.CORD))] = Structure.BACKGROUND
    cues = measure_column(structures, bodies, spacing)
    assert np.isnan(cues.cord_end)
    assert np.isnan(_of(cues, "canal")).all()


def test_a_cut_body_is_not_measured():
    structures, bodies, spacing = _column()
    cut = measure_column(structures[:, 32:], bodies[:, 32:], spacing)
    assert np.isnan(_of(cut, "height")[0])
    assert np.isfinite(_of(cut, "height")[1:]).all()
    # Its center lies too near the next one.
    assert np.isnan(_of(cut, "step")[0])
    assert not cut.cut_below
    below = measure_column(structures[:, :-45], bodies[:, :-45], spacing)
    assert below.cut_below
    assert np.isnan(_of(below, "depth")[-1])


def test_a_thread_to_the_edge_does_not_cut_a_body():
    structures, bodies, spacing = _column(n=3, top=0.0)
    structures, bodies = structures[:, :-20], bodies[:, :-20]
    assert not measure_column(structures, bodies, spacing).cut_below
    bodies[9, -20:, 40:42] = 3
    assert not measure_column(structures, bodies, spacing).cut_below


def test_the_field_of_view_may_be_larger_than_the_arrays():
    structures, bodies, spacing = _column()
    alone, inside = measure_column(structures, bodies, spacing), measure_column(structures, bodies, spacing, (100, 600))
    assert inside.room_above == pytest.approx(alone.room_above + 100 / STEP_MM)
    assert inside.room_below > alone.room_below
    assert inside.middle == pytest.approx((299.5 - 120 - STEP_MM / 2) / STEP_MM, abs=0.05)
    np.testing.assert_array_equal(alone.values, inside.values)


def test_a_width_cut_by_the_field_is_not_measured():
    structures, bodies, spacing = _column()
    narrow = measure_column(structures[6:-6], bodies[6:-6], spacing)
    assert np.isnan(_of(narrow, "width")).all()
    assert np.isfinite(_of(narrow, "depth")).all()


def test_a_single_body_is_measured_alone():
    structures, bodies, spacing = _column(n=2)
    cues = measure_column(structures, np.where(bodies == 1, bodies, 0).astype(np.uint16), spacing)
    assert cues.values.shape == (1, len(CUES))
    assert np.exp(_of(cues, "height")[0]) == pytest.approx(SIZE_MM[1], rel=0.08)
    assert np.isnan(_of(cues, "step")[0])
