from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Grid, Sequence
from spondyl.phantom.placement import cut, find_landmarks, object_grid, place, rotation
from spondyl.phantom.protocol import sample_protocol


@pytest.fixture
def protocol():
    return replace(sample_protocol(np.random.default_rng(0), Sequence.T2, "siemens", 1.5), fov_mm=120.0, n_slices=9)


@pytest.mark.parametrize(("plane", "orientation"), [("sagittal", "LIP"), ("axial", "IPL"), ("coronal", "PIL")])
def test_slices_lie_in_the_plane_asked_for(protocol, blocks, plane, orientation):
    grid = place(replace(protocol, plane=plane), blocks[0], (0.0, 0.0, 0.0))
    assert grid.orientation == orientation
    assert grid.plane == plane
    assert grid.spacing_mm[0] == pytest.approx(protocol.slice_spacing_mm)


def test_a_series_stays_inside_the_patient(protocol, blocks):
    patient = blocks[0]
    grid = place(replace(protocol, fov_mm=900.0, n_slices=99), patient, (500.0, 500.0, 500.0))
    low, high = patient.corners_lps_mm().min(axis=0), patient.corners_lps_mm().max(axis=0)
    assert (grid.corners_lps_mm() >= low - 1).all()
    assert (grid.corners_lps_mm() <= high + 1).all()


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_an_untilted_cut_moves_no_voxel(protocol, blocks, plane):
    patient, tissue = blocks[:2]
    grid = object_grid(patient, place(replace(protocol, plane=plane), patient, (3.3, -4.4, 5.5)))
    ijk = patient.lps_to_ijk(grid.ijk_to_lps([4, 30, 30]))
    np.testing.assert_allclose(ijk, np.round(ijk), atol=1e-6)
    i, j, k = np.clip(np.round(ijk).astype(int), 0, np.asarray(patient.shape) - 1)
    assert cut(tissue, patient, grid)[4, 30, 30] == tissue[i, j, k]


def test_a_tilted_cut_takes_the_nearest_voxel(blocks, rng):
    patient, tissue = blocks[:2]
    series = Grid((10, 40, 40), np.eye(4))
    affine = np.eye(4)
    affine[:3, :3] = rotation((4.0, -7.0, 11.0)) * 1.3
    affine[:3, 3] = (-6, -20, -10)
    grid = replace(series, affine=affine)
    out = cut(tissue, patient, grid)
    for ijk in rng.integers(0, (10, 40, 40), (200, 3)):
        at = patient.lps_to_ijk(grid.ijk_to_lps(ijk))
        nearest = np.clip(np.rint(at), 0, np.asarray(patient.shape) - 1).astype(int)
        if (np.abs(at - nearest) < 0.49).all():
            assert out[tuple(ijk)] == tissue[tuple(nearest)]


def test_a_rotation_keeps_lengths_and_hands():
    turn = rotation((3.0, 5.0, -8.0))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_landmarks_find_the_back_and_the_front_of_the_column(blocks):
    grid, tissue, structure, _ = blocks
    marks = find_landmarks(grid, tissue, structure)
    assert marks.back_y_mm(np.array([0.0]))[0] == pytest.approx(-60 + 1.5 * 87)
    front = np.array([0.0, -60 + 1.5 * 32, 0.0])
    assert marks.front_distance_mm(front) == pytest.approx(0, abs=0.1)
    assert marks.front_distance_mm(front - [0, 10, 0]) == pytest.approx(10, abs=0.1)


def test_landmarks_do_without_a_column(blocks):
    grid, tissue, structure, _ = blocks
    marks = find_landmarks(grid, tissue, np.zeros_like(structure))
    assert np.isfinite(marks.front_line).all()
