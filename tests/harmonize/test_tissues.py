"""Reference tissues: found where they are, and only where they can be told."""

from __future__ import annotations

import numpy as np
import pytest

from spondyl.core import LabelMap, Sequence
from spondyl.harmonize.tissues import Views, reference_tissues
from tissue_boxes import GRID, coil, places, scanned


def found(case, **changes):
    arrays = {s: np.asarray(i.array) for s, i in case.images.items()} | changes.pop("arrays", {})
    suppressed = frozenset(s for s, i in case.images.items() if i.acquisition.fat_suppressed)
    return reference_tissues(case.labels["structures"], Views(GRID, arrays, suppressed))


@pytest.mark.parametrize("scanner", ["1.5 T", "3 T"])
def test_each_tissue_is_found_and_is_pure(scanner):
    masks, _ = places()
    got = found(scanned(scanner))
    assert set(got) == {"csf", "disc", "muscle", "fat"}
    for name, mask in got.items():
        assert (mask & masks[name]).sum() > 0.98 * mask.sum(), name
        assert mask.sum() > (0.25 if name == "csf" else 0.5) * masks[name].sum(), name


def test_marrow_and_lesions_are_never_taken():
    masks, _ = places()
    for mask in found(scanned("1.5 T")).values():
        assert not (mask & (masks["marrow"] | masks["tumor"])).any()


def test_fat_and_muscle_stay_apart_under_a_moderate_coil():
    masks, _ = places()
    case = scanned("1.5 T")
    shaded = {Sequence.T1: np.asarray(case.images[Sequence.T1].array * coil(0.6), np.float32)}
    got = found(case, arrays=shaded)
    assert (got["fat"] & masks["fat"]).sum() > 0.95 * got["fat"].sum()


def test_without_an_image_that_tells_fat_there_is_neither_fat_nor_muscle():
    case = scanned("1.5 T")
    alone = case.with_(images={Sequence.STIR: case.images[Sequence.STIR]})
    assert set(found(alone)) == {"csf", "disc"}


def test_without_outlines_there_is_nothing():
    case = scanned("1.5 T")
    empty = case.with_(labels={"structures": LabelMap(np.zeros(GRID.shape), GRID)})
    assert found(empty) == {}


def test_voxels_outside_the_field_of_view_are_never_taken():
    case = scanned("1.5 T")
    array = np.asarray(case.images[Sequence.T1].array, np.float32).copy()
    array[:, 75:] = np.nan
    got = found(case, arrays={Sequence.T1: array})
    assert not got["fat"][:, 75:].any()


def test_one_value_behind_the_canal_is_neither_fat_nor_muscle():
    case = scanned("1.5 T")
    flat = {Sequence.T1: np.full(GRID.shape, 7.0, np.float32), Sequence.T2: np.full(GRID.shape, 7.0, np.float32)}
    assert not {"fat", "muscle"} & set(found(case, arrays=flat))
