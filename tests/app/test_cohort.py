"""A table goes in; a harmonized one, a model and a report come out, and nothing half-written is left."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fake_cohorts import cohort as drawn_cohort
from spondyl.app.cli import app
from spondyl.app.console import UNUSABLE, WRONG_CALL

FILES = ["harmonized.csv", "harmonized.h5ad", "harmonizer.npz", "report.html", "report.json"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Lesions of patients on four scanners: T1 and ADC of lesion and marrow, some scanned twice."""
    drawn = drawn_cohort(41, n=96, p=6, k=4)
    table = drawn.table.rename(
        columns=dict(
            zip(
                drawn.names,
                ["T1_lesion", "T1_marrow", "T1_marrow_sd", "ADC_lesion", "ADC_marrow", "volume"],
                strict=True,
            )
        )
    )
    table["T1_lesion"] -= 150
    table["T1_marrow_sd"] = 20.0 + np.arange(96) % 5
    table.insert(0, "case", [f"case-{i:04d}" for i in range(96)])
    table["who"] = np.arange(96) // 2
    table["outcome"] = np.where(np.arange(96) % 5 < 2, "progress", "stable")
    table.loc[5:9, "ADC_lesion"] = np.nan
    return table


def _run(*arguments):
    return CliRunner().invoke(app, ["cohort", "harmonize", *map(str, arguments)])


@pytest.fixture(scope="module")
def done(table, tmp_path_factory):
    """The result of a whole run with new patients."""
    folder = tmp_path_factory.mktemp("cohort")
    table.to_csv(folder / "table.csv", index=False)
    new = table.iloc[:12].assign(scanner="s9", who=[f"new {i}" for i in range(12)])
    new.to_csv(folder / "new.csv", index=False)
    before = (folder / "table.csv").read_bytes()
    ran = _run(
        folder / "table.csv", "--site", "scanner", "--keep", "age", "--subject", "who", "--outcome", "outcome",
        "--apply", folder / "new.csv", "--unseen", "pooled", "--permutations", "2", "--out", folder / "out",
    )  # fmt: skip
    assert (folder / "table.csv").read_bytes() == before
    return ran, folder / "out"


def test_everything_is_written_and_said(done):
    ran, out = done
    assert ran.exit_code == 0, ran.output
    assert sorted(f.name for f in out.iterdir()) == sorted([*FILES, "applied.csv", "applied.h5ad"])
    assert "RESEARCH USE ONLY" in ran.stderr
    assert "Scanners explain" in ran.stderr
    assert ran.stdout.strip() == f"report: {out / 'report.html'}"


def test_the_harmonized_table_keeps_rows_columns_and_order(done, table):
    _, out = done
    got = pd.read_csv(out / "harmonized.csv")
    assert got.case.tolist() == table.case.tolist()
    assert {*table.columns, "harmonization_flags", "saliency"} == set(got.columns)
    assert np.isfinite(got[["T1_lesion", "ADC_lesion", "volume"]].to_numpy()).all()
    assert (got.harmonization_flags[5:10] == "values_predicted").all()
    assert got.saliency.between(0, 1).all()
    spread = [t.groupby(table.scanner).volume.mean().std() for t in (table, got)]
    assert spread[1] < 0.5 * spread[0]


def test_anndata_holds_layers_uncertainty_and_saliency(done):
    import anndata

    _, out = done
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = anndata.read_h5ad(out / "harmonized.h5ad")
    assert set(content.layers) == {"harmonized", "uncertainty", "predicted"}
    assert (content.layers["uncertainty"] >= 0).all()
    np.testing.assert_allclose(
        content.obsm["saliency_by_sequence"].to_numpy().sum(axis=1), content.obs["saliency"], atol=1e-9
    )
    assert content.uns["spondyl"]["notice"].startswith("RESEARCH USE ONLY")
    assert "case" not in content.var_names


def test_figures_are_plain_json_and_name_every_part(done):
    _, out = done
    said = json.loads((out / "report.json").read_text())
    assert said["schema"] == "spondyl-cohort-harmonize-1"
    assert said["research_use_only"] is True
    assert said["scanners"] == {f"s{i}": 24 for i in range(4)}
    assert {(p["probe"], p["table"]) for p in said["probes"]} == {
        ("linear", "as measured"),
        ("boosted", "as measured"),
        ("linear", "harmonized"),
        ("boosted", "harmonized"),
        ("linear", "harmonized inside folds"),
    }
    assert said["measurement_source"] == "repeated scans"
    assert set(said["repeats"]) == {"as measured", "harmonized"}
    assert said["outcome_by_scanner"]["verdict"] == "ok"
    assert all("scanner_pooled" in flags for flags in said["applied_flags"])
    assert len(said["means"]["harmonized"]["share"]) == len(said["features"])


def test_the_page_stands_alone_and_shows_all_parts(done):
    _, out = done
    page = (out / "report.html").read_text()
    for words in (
        "Scanners and what was removed",
        "outcome by scanner",
        "Can a machine tell the scanner?",
        "Variance that biology explains",
        "How features repeat",
        "How sure a harmonized value is",
        "saliency of lesions",
        "Do the priors fit?",
        "Research use only",
    ):
        assert words in page, words
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "case-0001" not in page


def test_the_saved_model_gives_the_same_table(done, table):
    from spondyl.harmonize.harmony_spine import HarmonySpine

    _, out = done
    model = HarmonySpine.load(out / "harmonizer.npz")
    names = list(model.feature_names_)
    got = model.harmonize(table[names], obs=table)
    np.testing.assert_allclose(got.values, pd.read_csv(out / "harmonized.csv")[names], rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "options", "code", "words"),
    [
        (lambda t: t, ["--site", "coil"], UNUSABLE, "no column 'coil'; it begins with 'case'"),
        (lambda t: t.assign(scanner=t.age), ["--keep", "age"], UNUSABLE, "cannot be told from that of 'age'"),
        (lambda t: t.assign(volume=np.inf), [], UNUSABLE, "'volume' hold infinite values"),
        (lambda t: t.assign(volume=np.nan), [], UNUSABLE, "'volume' have no value in any patient"),
        (
            lambda t: t.assign(volume=[*t.volume.astype(str)[:-1], "12,5"]),
            [],
            UNUSABLE,
            "'volume' holds numbers, but not in 1 of 96 rows, first in line 97",
        ),
        (lambda t: t.assign(scanner=[*t.scanner[:-2], None, None]), [], UNUSABLE, "2 of 96 rows have none"),
        (lambda t: t[["case", "scanner"]], [], UNUSABLE, "at least one numeric column"),
        (lambda t: t, ["--unseen", "guess"], WRONG_CALL, "got 'guess'"),
        (lambda t: t, ["--reference", "s77"], UNUSABLE, "'s77' is not in column 'scanner'"),
        (lambda t: t, ["--keep", "scanner"], WRONG_CALL, "cannot be removed as scanner and kept"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line_and_nothing_is_left(table, tmp_path, change, options, code, words):
    change(table).to_csv(tmp_path / "t.csv", index=False)
    site = [] if "--site" in options else ["--site", "scanner"]
    ran = _run(tmp_path / "t.csv", *site, *options, "--permutations", "0", "--out", tmp_path / "out")
    assert ran.exit_code == code, ran.output
    assert words in ran.stderr
    assert ran.stderr.strip().count("\n") < 6
    assert [f.name for f in tmp_path.iterdir()] == ["t.csv"]


def test_an_unseen_scanner_in_new_patients_is_refused_before_anything_is_written(table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    table.assign(scanner="s9").to_csv(tmp_path / "new.csv", index=False)
    ran = _run(tmp_path / "t.csv", "--site", "scanner", "--apply", tmp_path / "new.csv", "--out", tmp_path / "out")
    assert ran.exit_code == UNUSABLE
    assert "'s9' in column 'scanner' was not in the training table" in ran.stderr
    assert not (tmp_path / "out").exists()
    table.drop(columns="volume").to_csv(tmp_path / "new.csv", index=False)
    ran = _run(tmp_path / "t.csv", "--site", "scanner", "--apply", tmp_path / "new.csv", "--out", tmp_path / "out")
    assert "'volume' missing" in ran.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(volume="large"), "'volume' hold object"),
        (lambda t: t.assign(volume=-np.inf), "'volume' hold infinite values"),
        (lambda t: t.drop(columns="scanner"), "'scanner', wanted as the scanner, is missing"),
        (lambda t: t.drop(columns="age"), "'age', wanted as a kept covariate, is missing"),
    ],
)
def test_a_bad_table_to_apply_to_is_refused_before_anything_is_written(table, tmp_path, change, words):
    table.to_csv(tmp_path / "t.csv", index=False)
    change(table).to_csv(tmp_path / "new.csv", index=False)
    before = [(tmp_path / name).read_bytes() for name in ("t.csv", "new.csv")]
    ran = _run(
        tmp_path / "t.csv", "--site", "scanner", "--keep", "age", "--apply", tmp_path / "new.csv",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.exit_code == UNUSABLE
    assert words in ran.stderr
    assert [(tmp_path / name).read_bytes() for name in ("t.csv", "new.csv")] == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["new.csv", "t.csv"]


def test_a_feature_that_new_patients_lack_altogether_is_predicted_and_said(table, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    table.iloc[:9].assign(volume=np.nan).to_csv(tmp_path / "new.csv", index=False)
    ran = _run(
        tmp_path / "t.csv", "--site", "scanner", "--apply", tmp_path / "new.csv", "--permutations", "0",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    got = pd.read_csv(tmp_path / "out" / "applied.csv")
    assert np.isfinite(got.volume).all()
    assert got.harmonization_flags.str.contains("values_predicted").all()


def test_a_tangled_outcome_and_small_scanners_are_pointed_out(table, tmp_path):
    small = table.iloc[:14].drop(columns="who").copy()
    small["outcome"] = np.where(small.scanner.isin(["s0", "s1"]), "progress", "stable")
    small.to_csv(tmp_path / "t.csv", index=False)
    ran = _run(tmp_path / "t.csv", "--site", "scanner", "--outcome", "outcome", "--out", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Scanner and outcome are tangled" in page
    assert "No probe was trained" in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["outcome_by_scanner"]["verdict"] == "tied"


def test_nested_scanners_smooth_age_and_columns_left_out(table, tmp_path):
    wide = table.assign(vendor=np.where(table.scanner.isin(["s0", "s1"]), "ge", "canon"))
    wide.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    ran = _run(
        tmp_path / "t.tsv", "--site", "vendor,scanner", "--smooth", "age", "--leave", "who", "--covariance",
        "--permutations", "0", "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    said = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "who" not in said["features"]
    assert "vendor and then scanner" in said["methods"]
    assert "age (smooth)" in said["methods"]
    assert "CovBat" in said["methods"]
