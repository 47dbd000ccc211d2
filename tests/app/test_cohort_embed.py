"""A cohort of tables goes in; places, tokens, a model and a report come out, and nothing half-written is left."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.console import UNUSABLE, WRONG_CALL
from spondyl.io.omics_cohort import write_cohort_folder
from spondyl.phantom.biology import BiologySettings, simulate_omics_cohort
from spondyl.socce.encoder import SOCCE

FILES = {
    "applied_cohort.h5mu", "applied_embedding.csv", "applied_signatures.csv", "applied_tokens.csv", "cohort.h5mu",
    "embedding.csv", "encoder.npz", "report.html", "report.json", "signatures.csv", "tokens.csv",
}  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(app, ["cohort", "embed", *map(str, arguments)])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run with new patients."""
    folder = tmp_path_factory.mktemp("embed")
    for name, n, seed in (("cohort", 120, 2_000_200), ("new", 3, 2_000_201)):
        cohort = simulate_omics_cohort(n, seed)
        write_cohort_folder(folder / name, cohort.patients, cohort.modalities)
    more = ["--apply", folder / "new", "--spread", "primary", "--resamples", 1, "--permutations", 0, "--no-sensitivity"]
    ran = run(folder / "cohort", "--confounders", "coil,vendor,field,site", *more, "--out", folder / "out")
    assert ran.exit_code == 0, ran.output
    return folder


def test_every_file_is_there(done):
    assert {f.name for f in (done / "out").iterdir()} == FILES


def test_the_report_says_what_was_declared_and_found(done):
    document = json.loads((done / "out" / "report.json").read_text())
    assert document["n_patients"] == 120
    assert document["research_use_only"] is True
    assert any("site changes" in s for s in document["declared"])
    assert document["applied"]["n_patients"] == 3
    shares = [c["share"] for c in document["tokens"]]
    assert sum(shares) + document["rejected"] / 120 == pytest.approx(1)


def test_a_cohort_of_three_is_placed_by_what_was_learned(done):
    placed = pd.read_csv(done / "out" / "applied_embedding.csv", index_col="patient_id")
    assert len(placed) == 3
    model = SOCCE.load(done / "out" / "encoder.npz")
    patients = pd.read_csv(done / "new" / "patients.csv", index_col="patient_id")
    imaging = pd.read_csv(done / "new" / "imaging.csv", index_col="patient_id")
    alone = model.embed({"imaging": imaging}, patients)
    assert (np.diagonal(alone.covariance, axis1=1, axis2=2) ** 0.5 >= placed.filter(like="_sd").to_numpy() - 1e-9).all()


def test_the_mudata_has_what_others_look_for(done):
    import mudata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = mudata.read_h5mu(done / "out" / "cohort.h5mu")
    assert content.obsm["X_socce"].shape[0] == 120
    assert "lesion_token" in content.obs
    assert content.uns["spondyl"]["step"] == "socce"
    table = pd.read_csv(done / "out" / "embedding.csv", index_col="patient_id")
    np.testing.assert_allclose(content.obsm["X_socce"], table.filter(regex=r"^socce_\d+$").loc[content.obs_names])


def test_the_page_has_a_map_and_nothing_to_load(done):
    page = (done / "out" / "report.html").read_text()
    assert page.count('class="point"') == 120
    assert "<script" not in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_a_cohort_too_small_to_learn_from_is_refused_and_nothing_is_left(done, tmp_path):
    ran = run(done / "new", "--out", tmp_path / "out")
    assert ran.exit_code == UNUSABLE
    assert "at least 30 patients, got 3" in ran.output
    assert not (tmp_path / "out").exists()


def test_a_column_both_confounder_and_disease_is_a_wrong_call(done, tmp_path):
    ran = run(done / "cohort", "--confounders", "site", "--disease", "site", "--out", tmp_path / "out")
    assert ran.exit_code == WRONG_CALL


def test_networks_can_be_asked_for_and_the_report_says_so(done, tmp_path):
    more = ["--resamples", 0, "--permutations", 0, "--no-sensitivity", "--encoder", "infonce"]
    ran = run(done / "cohort", *more, "--out", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "InfoNCE" in document["encoders"]["imaging"]
    assert "InfoNCE" in document["methods"]


def test_an_encoder_that_is_not_known_is_a_wrong_call(done, tmp_path):
    ran = run(done / "cohort", "--encoder", "magic", "--out", tmp_path / "out")
    assert ran.exit_code == WRONG_CALL


def test_without_torch_the_networks_say_what_to_install(done, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "spondyl.training.infonce", raising=False)
    ran = run(done / "cohort", "--encoder", "infonce", "--out", tmp_path / "out")
    assert ran.exit_code == WRONG_CALL
    assert "spondyl[train]" in ran.output


def test_strange_ids_are_listed_and_slides_of_another_encoder_are_not_used(done, tmp_path):
    cohort = simulate_omics_cohort(60, 2_000_202)
    tables = dict(cohort.modalities)
    tables["imaging"] = tables["imaging"].rename(index={tables["imaging"].index[0]: "nobody"})
    write_cohort_folder(tmp_path / "cohort", cohort.patients, tables)
    new = simulate_omics_cohort(4, 2_000_203, BiologySettings(pathology_dimension=96))
    write_cohort_folder(tmp_path / "new", new.patients, new.modalities)
    more = ["--apply", tmp_path / "new", "--resamples", 0, "--permutations", 0, "--no-sensitivity"]
    ran = run(tmp_path / "cohort", *more, "--out", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    listed = pd.read_csv(tmp_path / "out" / "unmatched.csv")
    assert listed.to_dict("records") == [{"table": "imaging", "id": "nobody"}]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("96 dimensions and those learned 64" in n for n in document["applied"]["notes"])
    placed = pd.read_csv(tmp_path / "out" / "applied_tokens.csv")
    assert not placed["modalities"].str.contains("pathology").any()
