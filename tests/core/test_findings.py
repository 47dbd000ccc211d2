"""Findings are frozen, and say less rather than more by default."""

from __future__ import annotations

import dataclasses

import pytest

from spondyl.core import Lesion, Measurement, QualityFlag, StepRecord, Vertebra


def small_lesion(**changes) -> Lesion:
    fields = {
        "label": 1,
        "vertebra_instance": None,
        "level": None,
        "volume_mm3": 900.0,
        "longest_diameter_mm": 14.0,
        "centroid_lps_mm": (0.0, 0.0, 0.0),
        "probabilities": {"malignant": 0.5, "benign": 0.3, "normal": 0.2},
        "confidence": 0.7,
        "uncertainty": 0.9,
        "sequences_used": ("T1",),
    }
    return Lesion(**{**fields, **changes})


def test_probabilities_are_a_read_only_copy():
    given = {"malignant": 1.0}
    lesion = small_lesion(probabilities=given)
    given["malignant"] = 0.0
    assert lesion.probabilities["malignant"] == 1.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        lesion.probabilities["malignant"] = 0.0


def test_a_finding_that_was_not_judged_has_no_subtype():
    vertebra = Vertebra(1, "L1", 0.9, False, "", (0.0, 0.0, 0.0), 3e4, 0.9)
    for finding in (small_lesion(), vertebra):
        assert finding.subtype is None
        assert (dict(finding.subtype_probabilities), finding.prediction_set) == ({}, ())
    assert vertebra.uncertainty is None


def test_subtype_probabilities_are_a_read_only_copy():
    given = {"modic_1": 1.0}
    lesion = small_lesion(subtype="modic_1", subtype_probabilities=given)
    given["modic_1"] = 0.0
    assert lesion.subtype_probabilities["modic_1"] == 1.0


@pytest.mark.parametrize("name", ["settings", "models"])
def test_a_step_record_is_frozen(name):
    given = {"key": "value"}
    record = StepRecord("harmonize", "1", **{name: given})
    given["key"] = "other"
    assert getattr(record, name)["key"] == "value"
    with pytest.raises(TypeError, match="does not support item assignment"):
        getattr(record, name)["key"] = "other"


@pytest.mark.parametrize(
    "record",
    [
        small_lesion(),
        Vertebra(1, None, 0.4, True, "no sacrum in view", (0.0, 0.0, 0.0), 3e4, 0.9),
        Measurement("volume", None, "mm3", note="cut by the field of view"),
        QualityFlag("gap", "Slices are 6 mm apart."),
        StepRecord("harmonize", "1"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_findings_cannot_be_changed(record):
    field = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, "changed")


def test_a_flag_is_a_warning_about_the_whole_study_unless_said_otherwise():
    flag = QualityFlag("gap", "Slices are 6 mm apart.")
    assert (flag.severity, flag.where) == ("warning", "")
