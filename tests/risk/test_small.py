"""The shipped model is the one its script makes; its risks come true on the phantom, and sum with their parts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from spondyl.core import ModelError
from spondyl.evaluation.survival import Outcome, harrell_c
from spondyl.phantom.outcome import CLINICAL, DEATH, FEATURES, OMICS, SKELETAL, simulate_outcomes
from spondyl.risk.small import read_model, write_model

PATIENT = {
    "malignant_lesions": 3.0,
    "malignant_volume_ml": 12.0,
    "largest_diameter_mm": 28.0,
    "epidural_lesions": 1.0,
    "vertebrae_involved_share": 0.2,
}


def test_the_shipped_model_is_made_by_its_script(tmp_path):
    path = Path(__file__).parents[2] / "tools" / "make_risk_model.py"
    spec = importlib.util.spec_from_file_location("make_risk_model", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    write_model(tool.shipped_model(), tmp_path / "model.json")
    made, shipped = read_model(tmp_path / "model.json"), read_model()
    assert made.features == shipped.features == (*FEATURES, *CLINICAL, *OMICS)
    assert made.modalities == shipped.modalities == {"imaging": FEATURES, "clinical form": CLINICAL, "omics": OMICS}
    for one, other in zip(made.causes, shipped.causes, strict=True):
        np.testing.assert_allclose(one.coefficients, other.coefficients, atol=1e-3)
        np.testing.assert_allclose(one.hazard, other.hazard, rtol=1e-2)


def test_mean_risks_are_those_of_new_synthetic_patients():
    new, model = simulate_outcomes(1500, 5), read_model()
    for cause in (SKELETAL, DEATH):
        said = model.incidence(np.hstack([new.features, new.bedside]), [6.0, 12.0, 24.0], cause - 1)
        np.testing.assert_allclose(said.mean(axis=0), new.true_incidence([6, 12, 24], cause).mean(axis=0), atol=0.03)


def test_a_patient_gets_risks_in_an_interval_and_parts_that_sum():
    said = read_model().assess(PATIENT, (6.0, 12.0, 24.0))
    assert not said["not_assessable"]
    for event in said["events"]:
        assert event["risk"] == sorted(event["risk"])
        assert all(a <= r <= b for a, r, b in zip(event["low"], event["risk"], event["high"], strict=True))
        assert event["typical_risk"] + sum(event["contributions"].values()) == pytest.approx(event["risk"][1], abs=1e-6)


def test_more_compression_is_more_risk_of_a_skeletal_event():
    model = read_model()
    few, many = (model.assess(PATIENT | {"epidural_lesions": n}, (12.0,))["events"][0]["risk"][0] for n in (0.0, 3.0))
    assert many > few + 0.05


def test_what_is_missing_counts_as_typical_and_too_much_is_refused():
    model = read_model()
    said = model.assess(PATIENT | {"epidural_lesions": None}, (12.0,))
    assert said["features"]["epidural_lesions"] is None
    assert said["events"][0]["contributions"]["epidural_lesions"] == pytest.approx(0, abs=1e-9)
    assert "imaging features are missing" in model.assess({"malignant_lesions": 1.0}, (12.0,))["not_assessable"]
    far = model.assess(PATIENT | {"malignant_volume_ml": 5000.0}, (12.0,))
    assert far["not_assessable"] == "far outside what was learned from: malignant volume ml"
    assert far["events"] == []


def test_another_file_is_refused(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError, match="small risk model"):
        read_model(tmp_path / "model.json")


BEDSIDE = {"karnofsky": 40.0, "albumin_g_l": 26.0, "organ_metastases": 1.0}
BEDSIDE |= {"tp53_altered": 1.0, "mutations_per_mb": 8.0}


def test_a_missing_modality_adds_nothing_and_is_said():
    model = read_model()
    alone, told = model.assess(PATIENT, (12.0,)), model.assess(PATIENT | BEDSIDE, (12.0,))
    assert alone["modalities"] == {"imaging": [5, 5], "clinical form": [0, 3], "omics": [0, 2]}
    assert told["modalities"] == {"imaging": [5, 5], "clinical form": [3, 3], "omics": [2, 2]}
    death = alone["events"][1]
    assert all(death["contributions"][name] == pytest.approx(0, abs=1e-12) for name in BEDSIDE)
    assert told["events"][1]["risk"][0] > death["risk"][0] + 0.1


def test_parts_sum_to_the_risk_of_every_event_with_every_modality():
    said = read_model().assess(PATIENT | BEDSIDE, (6.0, 12.0, 24.0))
    for event in said["events"]:
        assert event["typical_risk"] + sum(event["contributions"].values()) == pytest.approx(event["risk"][1], abs=1e-6)


def test_late_fusion_orders_new_patients_better_than_images_alone():
    new, model = simulate_outcomes(1500, 8), read_model()
    images = np.hstack([new.features, np.full_like(new.bedside, np.nan)])
    death = new.event == DEATH
    scores = [model.incidence(x, [12.0], 1)[:, 0] for x in (np.hstack([new.features, new.bedside]), images)]
    fused, alone = (harrell_c(Outcome(new.time_months, death), s).estimate.value for s in scores)
    assert fused > alone + 0.02
