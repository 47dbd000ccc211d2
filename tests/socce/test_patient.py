import numpy as np
import pytest

from spondyl.core.omics import PatientOmics, Variant
from spondyl.socce.patient import burden, drivers, feature_rows, mutation_counts, placed, summary
from spondyl.socce.tokens import REJECTED

CALLS = (
    Variant("TP53", "Missense_Mutation", "p.R273H"),
    Variant("TP53", "Silent"),
    Variant("PTEN", "Nonsense_Mutation"),
)


def test_only_variants_that_change_a_protein_count_for_a_gene():
    assert mutation_counts(PatientOmics(variants=CALLS)) == {"TP53": 1, "PTEN": 1}


@pytest.mark.parametrize(
    ("size", "value", "word"),
    [(None, None, "not given"), (0.3, None, "too small"), (1.0, 3.0, "unsure"), (30.0, 0.1, "")],
)
def test_a_burden_needs_a_panel_of_some_size(size, value, word):
    got = burden(PatientOmics(variants=CALLS, panel_mb=size))
    assert got["value"] == (None if value is None else pytest.approx(value))
    assert word in got["note"]


def test_not_sequenced_is_not_zero():
    assert burden(PatientOmics())["value"] is None
    assert summary(PatientOmics())["variants"] is None


def test_drivers_say_where_they_are_known():
    got = drivers(PatientOmics(primary="prostate", variants=CALLS))
    assert [(d["gene"], d["truncating"], d["known_in"]) for d in got] == [
        ("TP53", "no", "own primary"),
        ("PTEN", "yes", "own primary"),
    ]


def test_a_patient_of_the_cohort_is_placed_as_in_it(model, omics):
    """The road of one patient's files and that of a cohort's tables end at the same place."""
    who = next(i for i in omics.patients.index if all(i in t.index for t in omics.modalities.values()))
    rows = {name: table.loc[who].to_dict() for name, table in omics.modalities.items()}
    alone = placed(model, rows, omics.patients.loc[who].to_dict())
    table = model.embed(omics.modalities, omics.patients.loc[[who]])
    np.testing.assert_allclose(alone["embedding"], table.mean[0], atol=1e-12)
    assert alone["lesion_token"] == table.token_names()[0]


def test_another_slide_encoder_is_not_used_and_said(model):
    rows, notes = feature_rows(PatientOmics(pathology=np.ones(1024)), model)
    assert "pathology" not in rows
    assert any("1024 dimensions" in n for n in notes)


def test_nothing_given_is_the_prior_and_rejected(model):
    got = placed(model, {}, {})
    assert got["lesion_token"] == REJECTED
    assert got["modalities"] == []
    np.testing.assert_allclose(got["embedding_sd"], 1)
