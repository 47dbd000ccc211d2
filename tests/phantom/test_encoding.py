from __future__ import annotations

import numpy as np
import pytest

from spondyl.phantom.encoding import edge_taper, encode, encoding_matrix, slice_matrix, slices_of, train_weights

OBJECT = np.arange(-100.0, 100.0, 0.8)
PIXELS = np.arange(-60.0, 60.0, 0.6)


def matrix(**changes):
    settings = {"voxel_mm": 0.9, "period_mm": 240.0, "filtering": 0.0} | changes
    return encoding_matrix(OBJECT, PIXELS, **settings)


def test_an_even_object_keeps_its_signal():
    inside = np.abs(PIXELS) < 50
    np.testing.assert_allclose(matrix(period_mm=200.0).sum(axis=1)[inside], 1, atol=0.02)


def test_an_object_stays_where_it_is():
    blob = np.exp(-0.5 * ((OBJECT - 13.7) / 3) ** 2)
    image = matrix() @ blob
    assert (PIXELS * image).sum() / image.sum() == pytest.approx(13.7, abs=0.02)


def test_a_displaced_object_is_displaced_by_as_much():
    blob = np.exp(-0.5 * ((OBJECT - 13.7) / 3) ** 2)
    image = encoding_matrix(OBJECT + 2.5, PIXELS, voxel_mm=0.9, period_mm=240.0) @ blob
    assert (PIXELS * image).sum() / image.sum() == pytest.approx(16.2, abs=0.02)


def test_an_edge_rings_by_nine_percent_without_a_filter_and_less_with_one():
    edge = (OBJECT > 0).astype(float)
    near = np.abs(PIXELS) < 20
    overshoot = [(matrix(voxel_mm=1.8, filtering=f) @ edge)[near].max() - 1 for f in (0.0, 1.0)]
    # Gibbs: 8.9 % of the step.
    assert overshoot[0] == pytest.approx(0.089, abs=0.02)
    assert overshoot[1] < 0.5 * overshoot[0]


def test_what_lies_outside_the_encoded_field_folds_over():
    bump = np.exp(-0.5 * ((OBJECT - 80) / 2) ** 2)
    folded = matrix(period_mm=120.0) @ bump
    assert PIXELS[folded.argmax()] == pytest.approx(-40, abs=0.7)
    assert np.abs(matrix(period_mm=240.0) @ bump).max() < 0.1 * folded.max()


def test_a_long_train_from_the_middle_of_k_space_blurs():
    line = np.exp(-0.5 * (OBJECT / 0.9) ** 2)
    sharp, blurred = ((matrix(decay=d) @ line).max() for d in (0.0, 2.0))
    assert blurred < 0.75 * sharp


def test_train_weights_are_one_in_the_middle():
    k = np.array([0.0, 0.5, 1.0])
    for centered in (True, False):
        assert train_weights(k, decay=1.0, centered=centered)[0] == 1


def test_a_slice_sums_to_one_and_sees_its_own_thickness():
    at = np.arange(-20.0, 20.0, 1.0)
    weights = slice_matrix(at, np.array([-5.0, 5.0]), thickness_mm=4.0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert weights[0][np.abs(at + 5) > 4].sum() == 0
    assert weights[1] @ at == pytest.approx(5, abs=1e-3)


def test_slices_of_a_constant_table_are_constant(rng):
    cells = rng.integers(0, 3, (10, 6, 5)).astype(np.uint16)
    weights = slice_matrix(np.arange(10.0), np.array([3.0, 6.0]), thickness_mm=3.0)
    out = slices_of(cells, np.full(3, 2.0, np.float32), weights)
    assert out.shape == (2, 6, 5)
    np.testing.assert_allclose(out, 2, rtol=1e-6)


def test_torch_encodes_as_numpy_does(rng):
    torch = pytest.importorskip("torch")
    cells = rng.integers(0, 9, (8, len(OBJECT), 20)).astype(np.uint16)
    table = rng.random(9, dtype=np.float32)
    weights = slice_matrix(np.arange(8.0), np.array([2.0, 5.0]), thickness_mm=3.0)
    columns = np.eye(20, dtype=np.float32)
    want = encode(slices_of(cells, table, weights), matrix(), columns)
    on_torch = slices_of(torch.from_numpy(cells.astype(np.int64)), torch.from_numpy(table), weights)
    np.testing.assert_allclose(encode(on_torch, matrix(), columns).numpy(), want, atol=2e-5)


def test_the_excitation_fades_beyond_the_field_of_view():
    taper = edge_taper(np.array([0.0, 100.0, 112.5, 140.0]), half_width_mm=100.0)
    np.testing.assert_allclose(taper, [1, 1, 0.5, 0], atol=1e-6)
