"""Voxels with their place are frozen for real."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spondyl.core import Acquisition, GeometryError, Grid, Image, LabelMap, Sequence, Source

GRID = Grid((2, 3, 4), np.eye(4))


def test_image_holds_float32_and_label_map_uint16():
    assert Image(np.zeros(GRID.shape, np.int16), GRID).array.dtype == np.float32
    assert LabelMap(np.zeros(GRID.shape, np.int64), GRID).array.dtype == np.uint16


@pytest.mark.parametrize("kind", [Image, LabelMap])
def test_voxels_cannot_be_written(kind):
    with pytest.raises(ValueError, match="read-only"):
        kind(np.zeros(GRID.shape), GRID).array[0, 0, 0] = 1


@pytest.mark.parametrize(("kind", "dtype"), [(Image, np.float32), (LabelMap, np.uint16)])
def test_the_array_given_stays_writable_and_apart(kind, dtype):
    array = np.zeros(GRID.shape, dtype)
    record = kind(array, GRID)
    array[0, 0, 0] = 7
    assert record.array[0, 0, 0] == 0


def test_a_read_only_array_is_not_copied():
    array = np.zeros(GRID.shape, np.float32)
    array.setflags(write=False)
    assert np.shares_memory(Image(array, GRID).array, array)


def test_a_read_only_view_of_a_writable_array_is_copied():
    array = np.zeros(GRID.shape, np.float32)
    view = array[:]
    view.setflags(write=False)
    image = Image(view, GRID)
    array[0, 0, 0] = 7
    assert image.array[0, 0, 0] == 0


@pytest.mark.parametrize("kind", [Image, LabelMap])
def test_voxels_must_fit_the_grid(kind):
    with pytest.raises(GeometryError, match=r"shape \(2, 3, 5\) do not fit a grid of shape \(2, 3, 4\)"):
        kind(np.zeros((2, 3, 5)), GRID)


def test_fields_cannot_be_replaced_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Image(np.zeros(GRID.shape), GRID).sequence = Sequence.T1


def test_label_names_are_a_read_only_copy():
    names = {1: "L4/L5"}
    labels = LabelMap(np.zeros(GRID.shape), GRID, names)
    names[1] = "changed"
    assert labels.names[1] == "L4/L5"
    with pytest.raises(TypeError, match="does not support item assignment"):
        labels.names[1] = "changed"


def test_an_image_knows_nothing_it_was_not_told():
    image = Image(np.zeros(GRID.shape), GRID)
    assert image.sequence is Sequence.UNKNOWN
    assert image.acquisition == Acquisition()
    assert image.source == Source()


def test_two_images_compare_by_identity():
    # Comparing arrays for equality has no single truth value, so records do not offer it.
    a, b = Image(np.zeros(GRID.shape), GRID), Image(np.zeros(GRID.shape), GRID)
    assert a != b
    assert len({a, b}) == 2
