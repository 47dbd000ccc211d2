"""The record can only be replaced, never changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spondyl.core import Case, Grid, Image, QualityFlag, Sequence

GRID = Grid((2, 3, 4), np.eye(4))
MAPPINGS = ("images", "maps", "labels", "omics", "clinical", "risk")
TUPLES = ("others", "vertebrae", "lesions", "scores", "quality", "history")


def small_case() -> Case:
    return Case("case-1", {Sequence.T1: Image(np.zeros(GRID.shape), GRID)})


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings_cannot_be_written(name):
    with pytest.raises(TypeError, match="does not support item assignment"):
        getattr(small_case(), name)["new"] = 1


@pytest.mark.parametrize("name", TUPLES)
def test_lists_become_tuples(name):
    case = Case("case-1", {}, **{name: ["anything"]})
    assert getattr(case, name) == ("anything",)


def test_the_mapping_given_stays_apart():
    images = {Sequence.T1: Image(np.zeros(GRID.shape), GRID)}
    case = Case("case-1", images)
    images.clear()
    assert list(case.images) == [Sequence.T1]


def test_every_field_is_guarded():
    # A mapping or sequence added to the record later must be frozen too.
    fields = {f.name for f in dataclasses.fields(Case)}
    assert fields == {*MAPPINGS, *TUPLES, "case_id", "reference", "response"}


def test_fields_cannot_be_replaced_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small_case().reference = Sequence.T1


def test_with_gives_a_new_record_and_leaves_the_old():
    case = small_case()
    changed = case.with_(reference=Sequence.T1)
    assert (case.reference, changed.reference) == (None, Sequence.T1)
    assert changed.images[Sequence.T1] is case.images[Sequence.T1]


def test_with_refuses_an_unknown_field():
    with pytest.raises(TypeError, match="unexpected keyword"):
        small_case().with_(vertebra=())


def test_flags_are_added_in_order():
    first, second = QualityFlag("gap", "A gap."), QualityFlag("single_slice", "One slice.")
    case = small_case()
    assert case.flagged(first).flagged(second).quality == (first, second)
    assert case.quality == ()
