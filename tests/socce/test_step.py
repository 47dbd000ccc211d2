import numpy as np
import pytest

from spondyl.core import Case, ModelError
from spondyl.core.omics import PatientOmics, Variant
from spondyl.io.omics_panels import omics_section
from spondyl.io.result import result_document
from spondyl.phantom.biology import simulate_omics_cohort
from spondyl.socce.step import GIVEN, SocceSettings, embed_case


def with_omics(**given):
    return Case("case-test", {}, omics={GIVEN: PatientOmics(**given)})


def test_without_omics_nothing_is_added_but_the_record():
    case = Case("case-test", {})
    after = embed_case(case, SocceSettings())
    assert after.omics == {}
    assert len(after.history) == 1
    assert omics_section(after) is None


def test_a_synthetic_patient_is_placed_with_its_own_subtype():
    """Patients the reference never saw: expression alone must tell most of their tokens apart as their subtypes do."""
    cohort = simulate_omics_cohort(40, 2_000_300)
    found: dict[str, list[str]] = {}
    for who in cohort.modalities["expression"].index:
        row = cohort.modalities["expression"].loc[who].to_dict()
        after = embed_case(with_omics(expression=row), SocceSettings())
        found.setdefault(cohort.truth.loc[who, "subtype"], []).append(after.omics["socce"]["nearest_token"])
    most = {subtype: max(set(tokens), key=tokens.count) for subtype, tokens in found.items()}
    assert len(set(most.values())) == 4
    right = sum(t == most[subtype] for subtype, tokens in found.items() for t in tokens)
    assert right > 0.75 * sum(map(len, found.values()))
    assert "synthetic_reference" in [f.code for f in after.quality]


def test_result_and_report_hold_what_was_found_and_nothing_internal():
    variants = (Variant("TP53", "Missense_Mutation", "p.R273H"),)
    after = embed_case(with_omics(variants=variants, panel_mb=1.2, primary="prostate"), SocceSettings())
    document = result_document(after)
    assert set(document["omics"]) == {"summary", "socce"}
    assert document["omics"]["summary"]["mutated_genes"] == {"TP53": 1}
    assert len(document["omics"]["socce"]["embedding"]) == len(document["omics"]["socce"]["embedding_sd"])
    section = omics_section(after)
    assert "this patient" in section["map"]
    assert section["drivers"][0]["gene"] == "TP53"
    assert np.isclose(sum(p for _, p in section["probabilities"]), 1)


def test_a_missing_reference_is_said():
    with pytest.raises(ModelError, match=r"nowhere\.npz cannot be loaded"):
        embed_case(with_omics(variants=()), SocceSettings("nowhere.npz"))
