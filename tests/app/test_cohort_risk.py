"""A table with follow-up goes in; risks, measures and explanations come out, and leaks are refused by name."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from spondyl.app.cli import app
from spondyl.app.console import UNUSABLE, WRONG_CALL
from spondyl.risk import ensemble
from survival_fakes import drawn

COX_ONLY = ensemble.standard_learners()[:1]


@pytest.fixture(autouse=True)
def _one_learner(monkeypatch):
    monkeypatch.setattr(ensemble, "standard_learners", lambda *_: COX_ONLY)


def _table(seed, n=160) -> pd.DataFrame:
    d = drawn(seed, n=n)
    table = pd.DataFrame(d.x, columns=["volume", "age", "adc", "stage"])
    table["sex"] = np.where(np.arange(n) % 2, "f", "m")
    table.loc[::9, "adc"] = np.nan
    return table.assign(months=d.y["time"], died=d.y["event"])


def _run(tmp_path, table, *arguments, test=None):
    table.to_csv(tmp_path / "table.csv", index=False)
    words = ["cohort", "risk", tmp_path / "table.csv", "--time", "months", "--event", "died", "--explain", "6"]
    if test is not None:
        test.to_csv(tmp_path / "test.csv", index=False)
        words += ["--test", tmp_path / "test.csv"]
    return CliRunner().invoke(app, [*map(str, words), "--out", str(tmp_path / "out"), *arguments])


def test_new_patients_get_risks_that_are_measured_and_taken_apart(tmp_path):
    new = _table(2, 80)
    new.loc[0, "volume"] = 1e4
    ran = _run(tmp_path, _table(1), test=new)
    assert ran.exit_code == 0, ran.output
    out = tmp_path / "out"
    assert sorted(f.name for f in out.iterdir()) == [
        "explanations.csv", "metrics.json", "model.json", "predictions.csv", "report.html",
    ]  # fmt: skip
    said = json.loads((out / "metrics.json").read_text())
    assert said["research_use_only"] is True
    assert said["models"]["ensemble"]["harrell_c"]["value"] > 0.7
    assert said["models"]["ensemble"]["harrell_c"]["low"] > 0.6
    rows = pd.read_csv(out / "predictions.csv")
    assert len(rows) == 80
    assert rows.loc[0, "not_assessable"] == "far outside what was learned from: volume"
    risks = rows.filter(like="risk_by_")
    assert risks.loc[0].isna().all()
    assert (risks.loc[1:].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    parts = pd.read_csv(out / "explanations.csv")
    np.testing.assert_allclose(parts.iloc[:, 1:-1].sum(axis=1), parts.iloc[:, -1], atol=1e-6)
    page = (out / "report.html").read_text()
    assert "Research use only" in page
    assert page.count("<svg") >= 6


def test_modalities_are_fused_late_and_compared_in_one_table(tmp_path):
    table = _table(3, 240).assign(score=lambda t: -t["age"])
    table.loc[:60, ["volume", "adc"]] = np.nan
    parts = ("--modality", "imaging=volume,adc", "--modality", "clinical=age,sex", "--rule", "score")
    ran = _run(tmp_path, table, *parts)
    assert ran.exit_code == 0, ran.output
    said = json.loads((tmp_path / "out" / "metrics.json").read_text())
    names = ["late fusion", "imaging alone", "clinical alone", "all columns together", "Cox, ridge", "score"]
    assert list(said["models"]) == names
    assert said["how"] == "nested cross-validation"
    assert said["models"]["imaging alone"]["main_less_this"]["p_value"] <= 1
    assert said["models"]["score"]["integrated_brier"] is None
    assert said["models"]["late fusion"]["harrell_c"]["value"] > said["models"]["clinical alone"]["harrell_c"]["value"]


def test_competing_death_gives_incidences(tmp_path):
    table = _table(4, 240)
    table.loc[table["died"].eq(1) & (np.arange(240) % 3 == 0), "died"] = 2
    ran = _run(tmp_path, table)
    assert ran.exit_code == 0, ran.output
    said = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "compete" in " ".join(said["notes"])
    found = said["models"]["ensemble"]["calibration"][1]
    assert found["slope"]["low"] < 1.3
    assert found["intercept"]["low"] < 0.3
    assert said["models"]["ensemble"]["integrated_brier"] < said["integrated_brier_of_the_same_risk_for_all"]
    assert said["net_benefit"]
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert not (rows["time_low_90"] > rows["time_high_90"]).any()
    assert "Observed share with the event" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_saved_model_predicts_a_later_table_without_its_outcome(tmp_path):
    assert _run(tmp_path, _table(1)).exit_code == 0
    new = _table(2, 60)
    new.loc[0, "volume"] = 1e4
    saved, later = tmp_path / "out", tmp_path / "later.csv"
    new.drop(columns=["months", "died", "stage"]).to_csv(later, index=False)
    words = ["cohort", "risk", later, "--apply", saved / "model.json", "--out", tmp_path / "applied"]
    ran = CliRunner().invoke(app, [*map(str, words), "--horizons", "6,12"])
    assert ran.exit_code == 0, ran.output
    rows = pd.read_csv(tmp_path / "applied" / "predictions.csv")
    assert rows.loc[0, "not_assessable"] == "far outside what was learned from: volume"
    assert np.isnan(rows.loc[0, "risk_by_6"])
    assert (rows.loc[1:, "risk_by_12"] > rows.loc[1:, "risk_by_6"]).all()
    # What the file holds is about features, and small.
    text = (saved / "model.json").read_text(encoding="utf-8")
    assert len(text) < 12_000
    assert json.loads(text)["time_unit"] == "months"


def test_a_saved_model_is_measured_where_the_outcome_is_known(tmp_path):
    assert _run(tmp_path, _table(1)).exit_code == 0
    new = tmp_path / "new.csv"
    _table(2, 120).to_csv(new, index=False)
    words = ["cohort", "risk", new, "--apply", tmp_path / "out", "--out", tmp_path / "applied"]
    ran = CliRunner().invoke(app, [*map(str, words), "--time", "months", "--event", "died"])
    assert ran.exit_code == 0, ran.output
    said = json.loads((tmp_path / "applied" / "metrics.json").read_text())
    assert said["models"]["Cox, ridge"]["harrell_c"]["value"] > 0.7
    assert said["models"]["Cox, ridge"]["calibration"][1]["slope"]["value"] == pytest.approx(1, abs=0.6)


@pytest.mark.parametrize(
    "content",
    ["{}", "no text", '{"format": "spondyl-small-risk-1", "features": ["a"], "times_months": [1], "causes": []}'],
)
def test_a_file_that_is_no_saved_model_is_refused(tmp_path, content):
    (tmp_path / "m.json").write_text(content, encoding="utf-8")
    _table(1).to_csv(tmp_path / "t.csv", index=False)
    words = ["cohort", "risk", tmp_path / "t.csv", "--apply", tmp_path / "m.json", "--out", tmp_path / "out"]
    ran = CliRunner().invoke(app, [*map(str, words)])
    assert ran.exit_code != 0
    assert "cannot be used" in ran.stderr
    assert "Traceback" not in ran.output
    assert not (tmp_path / "out").exists()


def test_a_table_without_any_column_of_the_model_is_refused(tmp_path):
    assert _run(tmp_path, _table(1)).exit_code == 0
    pd.DataFrame({"other": [1.0, 2.0]}).to_csv(tmp_path / "t.csv", index=False)
    words = ["cohort", "risk", tmp_path / "t.csv", "--apply", tmp_path / "out", "--out", tmp_path / "applied"]
    ran = CliRunner().invoke(app, [*map(str, words)])
    assert ran.exit_code == UNUSABLE
    assert "none of the columns" in ran.stderr


def test_learning_needs_the_follow_up_named(tmp_path):
    _table(1).to_csv(tmp_path / "t.csv", index=False)
    ran = CliRunner().invoke(app, ["cohort", "risk", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out")])
    assert ran.exit_code == WRONG_CALL
    assert "--apply" in ran.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(died=0), "at least 5 events are wanted"),
        (lambda t: t.assign(months=-t["months"]), "'months' and 'died': time must be 0 or above"),
        (lambda t: t.assign(died=t["died"].map({0: "no", 1: "yes"})), "write them as numbers"),
        (lambda t: t.assign(seen_alive=1 - t["died"]), "column 'seen_alive' tells the event"),
        (lambda t: t.assign(last_visit=t["months"] + 1), "column 'last_visit' follows the time"),
        (lambda t: t.drop(columns="died"), "no column 'died'"),
        (lambda t: t[["months", "died"]].assign(who=[f"p{i}" for i in range(len(t))]), "at least one feature"),
    ],
)
def test_what_makes_a_prognosis_worthless_is_refused_with_its_name(tmp_path, change, says):
    ran = _run(tmp_path, change(_table(5)))
    assert ran.exit_code == UNUSABLE
    assert says in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_column_that_tells_the_outcome_is_kept_when_trusted(tmp_path):
    table = _table(6).assign(early=lambda t: -t["months"])
    assert _run(tmp_path, table, "--trust", "early").exit_code == 0


def test_copies_of_patients_are_noticed(tmp_path):
    table = _table(7)
    ran = _run(tmp_path, pd.concat([table, table.iloc[:80]]), test=table.iloc[:90])
    assert ran.exit_code == 0
    notes = " ".join(json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"])
    assert "--patient" in notes
    assert "the test leaks" in notes


@pytest.mark.parametrize("wrong", [("--modality", "imaging"), ("--modality", "a=volume"), ("--horizons", "soon")])
def test_wrong_calls_are_told_apart_from_wrong_tables(tmp_path, wrong):
    assert _run(tmp_path, _table(8), *wrong).exit_code == WRONG_CALL


def test_horizons_beyond_the_follow_up_are_refused(tmp_path):
    ran = _run(tmp_path, _table(9), "--horizons", "5,1e6")
    assert ran.exit_code == UNUSABLE
    assert "inside the follow-up" in ran.stderr
