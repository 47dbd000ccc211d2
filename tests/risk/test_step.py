"""A case gets risks from what was found, or the reason why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spondyl.core import Case, Lesion, ModelError, SettingsError, Vertebra
from spondyl.io.risk_section import risk_section
from spondyl.risk.small import learn, write_model
from spondyl.risk.step import RiskSettings, assess_risk, case_features


def _lesion(label, *, malignant=0.9, compartment="bone", vertebra=1, volume=4000.0):
    probabilities = {"malignant": malignant, "benign": 1 - malignant, "normal": 0.0}
    return Lesion(
        label, vertebra, "L1", volume, 22.0, (0.0, 0.0, 0.0), probabilities, 0.9, 0.2, ("T1",), compartment=compartment
    )


def _case(*lesions):
    spine = tuple(Vertebra(i, None, 0.5, False, "", (0.0, 0.0, -30.0 * i), 3e4, 0.9) for i in range(1, 11))
    return Case("case-1", {}, vertebrae=spine, lesions=lesions)


def test_features_are_those_of_the_malignant_lesions():
    found = case_features(_case(_lesion(1), _lesion(2, compartment="epidural", vertebra=2), _lesion(3, malignant=0.1)))
    assert found == {
        "malignant_lesions": 2.0,
        "malignant_volume_ml": 8.0,
        "largest_diameter_mm": 22.0,
        "epidural_lesions": 1.0,
        "vertebrae_involved_share": 0.2,
    } | dict.fromkeys(("karnofsky", "albumin_g_l", "organ_metastases", "tp53_altered", "mutations_per_mb"))


def test_the_clinical_form_and_omics_are_used_where_they_are_given():
    before = _case(_lesion(1)).with_(
        clinical={"karnofsky": 50, "organ_metastases": "treatable"},
        omics={"summary": {"variants": 3, "mutated_genes": {"TP53": 1}, "tmb": {"value": 4.5}}},
    )
    found = case_features(before)
    assert (found["karnofsky"], found["organ_metastases"], found["albumin_g_l"]) == (50, 1.0, None)
    assert (found["tp53_altered"], found["mutations_per_mb"]) == (1.0, 4.5)
    shown = risk_section(assess_risk(before, RiskSettings()))
    assert shown["modalities"] == "From imaging, clinical form (2 of 3 features), omics"
    alone = risk_section(assess_risk(_case(_lesion(1)), RiskSettings()))
    assert alone["modalities"] == "From imaging; not given, and left out: clinical form, omics"


def test_a_risk_says_on_whom_it_rests_and_is_taken_apart():
    before = _case(_lesion(1), _lesion(2, vertebra=2))
    after = assess_risk(before, RiskSettings())
    assert dict(before.risk) == {}
    assert "simulated" in after.risk["learned_from"]
    assert len(after.risk["events"]) == 2
    assert "simulated" in after.history[-1].methods
    shown = risk_section(after)
    assert shown["times"] == ["6", "12", "24"]
    assert all("<svg" in event["drawing"] for event in shown["events"])


def test_without_a_malignant_lesion_there_is_a_reason_instead():
    said = assess_risk(_case(_lesion(1, malignant=0.2)), RiskSettings()).risk
    assert "rather malignant" in said["not_assessable"]
    assert said["events"] == []


def test_unjudged_compartments_leave_compression_open():
    assert case_features(_case(_lesion(1, compartment="")))["epidural_lesions"] is None


def test_the_step_can_be_switched_off():
    after = assess_risk(_case(_lesion(1)), RiskSettings(enabled=False))
    assert dict(after.risk) == {}
    assert risk_section(after) == {}


@pytest.mark.parametrize("horizons", [(), (12.0, 6.0), (0.0, 6.0)])
def test_horizons_rise_from_above_zero(horizons):
    with pytest.raises(SettingsError, match="rising"):
        RiskSettings(horizons_months=horizons)


def _saved(tmp_path, unit):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(1, 6, 300), rng.uniform(1, 40, 300)]).astype(float)
    time = rng.exponential(20 * np.exp(-0.03 * x[:, 1]))
    names, events = ("malignant_lesions", "malignant_volume_ml"), np.ones(300, int)
    model = learn(names, x, time, events, causes=("relapse",), logged=(), learned_from="300 patients")
    write_model(replace(model, time_unit=unit), tmp_path / "own.json")
    return RiskSettings(model=str(tmp_path / "own.json"))


def test_a_model_of_the_users_own_is_taken(tmp_path):
    said = assess_risk(_case(_lesion(1)), _saved(tmp_path, "months_to_relapse")).risk
    assert [event["event"] for event in said["events"]] == ["relapse"]
    assert said["learned_from"] == "300 patients"


def test_a_model_that_does_not_count_in_months_is_refused(tmp_path):
    with pytest.raises(ModelError, match="'days'"):
        assess_risk(_case(_lesion(1)), _saved(tmp_path, "days"))
    with pytest.raises(ModelError, match="cannot be used"):
        assess_risk(_case(_lesion(1)), RiskSettings(model=str(tmp_path / "none.json")))
