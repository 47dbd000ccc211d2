"""Sequences behave as the words they are."""

from __future__ import annotations

import dataclasses

from spondyl.core import Acquisition, Sequence


def test_a_sequence_is_found_by_its_word():
    assert {Sequence.T1: "found"}["T1"] == "found"
    assert Sequence("T1CE") is Sequence.T1CE


def test_a_sequence_prints_as_its_word():
    assert f"{Sequence.DIXON_FAT}" == "DIXON_FAT"


def test_an_acquisition_knows_nothing_by_default():
    assert all(v is None or v == "" for v in dataclasses.asdict(Acquisition()).values())


def test_acquisitions_with_the_same_values_are_equal():
    assert Acquisition(echo_time_ms=80.0) == Acquisition(echo_time_ms=80.0)
    assert Acquisition(echo_time_ms=80.0) != Acquisition(echo_time_ms=90.0)
