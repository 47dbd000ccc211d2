"""The omics of a patient cannot be changed by whoever reads them, nor through what they were made from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spondyl.core.omics import PatientOmics, Variant


def test_nothing_is_missing_that_was_not_said_to_be():
    nothing = PatientOmics()
    assert nothing.variants is None
    assert nothing.pathology is None
    assert not nothing.expression
    # Sequenced without a finding is not the same as not sequenced.
    assert PatientOmics(variants=()).variants == ()


def test_the_record_keeps_its_own_copies():
    expression, vector = {"TP53": 3.0}, np.ones(4)
    omics = PatientOmics(variants=(Variant("BRAF", "Missense_Mutation"),), expression=expression, pathology=vector)
    expression["TP53"] = 0.0
    vector[:] = 0.0
    assert omics.expression["TP53"] == 3.0
    assert omics.pathology.tolist() == [1.0] * 4


def test_the_record_cannot_be_written_to():
    omics = PatientOmics(expression={"TP53": 3.0}, grade={"grade": "3"}, pathology=np.ones(4))
    with pytest.raises(TypeError, match="does not support item assignment"):
        omics.expression["TP53"] = 1.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        omics.grade["grade"] = "1"
    with pytest.raises(ValueError, match="read-only"):
        omics.pathology[0] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        omics.primary = "lung"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Variant("BRAF", "").gene = "KRAS"
