"""A cohort is written with its truth beside it, and is one that can be embedded."""

from __future__ import annotations

import json

import pandas as pd
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.console import WRONG_CALL
from spondyl.io.omics_cohort import read_cohort_tables


def run(*arguments):
    return CliRunner().invoke(app, ["simulate", "cohort", *map(str, arguments)])


def test_tables_and_truth_are_written(tmp_path):
    ran = run("--patients", 40, "--seed", 2_000_500, "--pattern", "site_table", "--out", tmp_path / "c")
    assert ran.exit_code == 0, ran.output
    cohort = read_cohort_tables(tmp_path / "c")
    assert set(cohort.modalities) == {"imaging", "mutations", "expression", "pathology"}
    truth = tmp_path / "c" / "truth"
    subtypes = pd.read_csv(truth / "subtypes.csv", index_col="patient_id")
    assert list(subtypes.index) == list(cohort.patients.index)
    missing = pd.read_csv(truth / "missing_pathology.csv", index_col="patient_id")
    assert len(missing) + len(cohort.modalities["pathology"]) == 40
    assert json.loads((truth / "settings.json").read_text())["settings"]["missing_pattern"] == "site_table"


def test_a_pattern_that_is_not_known_is_a_wrong_call(tmp_path):
    ran = run("--pattern", "odd", "--out", tmp_path / "c")
    assert ran.exit_code == WRONG_CALL
    assert not (tmp_path / "c").exists()
