"""Reader studies on the command line: from a file to a report, from a goal to a protocol."""

import csv
import json

import pytest
from typer.testing import CliRunner

from reader_fakes import EXAMPLE_FILE
from spondyl.app import cli
from spondyl.app.reader_analysis import AnalysisChoices, analyze_readings
from spondyl.app.reader_plan import PlanChoices, plan_study
from spondyl.app.reader_report import report_page
from spondyl.core import InputError, SettingsError
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_figures import MrmcSettings
from spondyl.evaluation.mrmc_sizing import Goal
from spondyl.io.reader_study import read_readings


def _called(*arguments):
    return CliRunner().invoke(cli.app, ["readers", *map(str, arguments)])


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    out = tmp_path_factory.mktemp("readers") / "result"
    result = _called("analyse", EXAMPLE_FILE, "--out", out, "--threshold", 0.7)
    assert result.exit_code == 0, result.stderr
    return result, out


def test_the_example_from_file_to_report(analyzed):
    result, out = analyzed
    assert result.stdout == f"report: {out / 'report.html'}\n"
    assert "AUC of testA is 0.073 below testB (-0.154 to +0.008, p = 0.077)." in result.stderr
    assert {f.name for f in out.iterdir()} == {"results.json", "report.html", "report.pdf"}
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    page = (out / "report.html").read_text(encoding="utf-8")
    for part in ("AUC by reader", "Sensitivity", "Agreement between readers", "Cases needed", "Hillis 2007"):
        assert part in page


def test_results_hold_the_numbers_of_an_independent_program(analyzed):
    _, out = analyzed
    document = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert document["schema"] == "spondyl-reader-study-1"
    assert document["research_use_only"] is True
    result = document["result"]
    assert result["overall"]["p_value"] == pytest.approx(0.0769769144967126, rel=1e-12)
    assert result["overall"]["df2"] == pytest.approx(45.20740409205233, rel=1e-12)
    assert result["components"]["cov3"] == pytest.approx(0.0011740434695512818, rel=1e-12)
    assert [r["metric"] for r in document["further_results"]] == ["sensitivity", "specificity"]
    assert document["study"]["n_readings"] == 800
    assert document["settings"]["settings"]["covariance"] == "delong"


def test_analyze_is_analyse_and_runs_again_over_its_result(analyzed, tmp_path):
    _, out = analyzed
    before = (out / "report.html").read_bytes()
    assert _called("analyze", EXAMPLE_FILE, "--out", out, "--threshold", 0.7).exit_code == 0
    assert (out / "report.html").read_bytes() == before
    (tmp_path / "mine").write_text("x")
    assert _called("analyze", EXAMPLE_FILE, "--out", tmp_path).exit_code == 3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--metric", "f1"), 2, "metric must be one of auc, sensitivity, specificity"),
        (("--readers", "some"), 2, "--readers and --cases take random or fixed"),
        (("--readers", "fixed", "--cases", "fixed"), 2, "at most one of them fixed"),
        (("--reference", "aided"), 2, "reference must be a modality (testA, testB), got 'aided'"),
        (("--standalone", "AI"), 2, "--standalone names AI"),
        (("--analysis", "ustat", "--readers", "fixed"), 2, "U-statistics take readers and cases as random"),
    ],
)
def test_a_wrong_call_is_told(tmp_path, options, code, message):
    result = _called("analyze", EXAMPLE_FILE, "--out", tmp_path / "out", *options)
    assert result.exit_code == code
    assert message in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_used_leaves_nothing(tmp_path):
    (tmp_path / "bad.csv").write_text("reader,case,modality,score\nA,c1,m,1\nA,c2,m,2\n")
    result = _called("analyze", tmp_path / "bad.csv", "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert result.stderr.startswith("spondyl: every case read needs a truth")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings",
    [
        MrmcSettings(population=Population.CASES),
        MrmcSettings(population=Population.READERS),
        MrmcSettings(analysis="dbm"),
        MrmcSettings(margin=0.05),
    ],
)
def test_other_analyses_make_a_page(settings):
    analysis = analyze_readings(read_readings(EXAMPLE_FILE), AnalysisChoices(settings))
    page = report_page(analysis)
    assert str(settings.population) in page.blocks[0].text
    said = "Non-inferiority of testA to testB by a margin of 0.05 is not shown"
    assert any(said in getattr(b, "text", "") for b in page.blocks) == bool(settings.margin)


def test_the_command_is_listed():
    assert "  readers " in CliRunner().invoke(cli.app, ["--help"]).stdout
    shown = _called("--help").stdout
    assert "analyze" in shown
    assert "plan" in shown


# Plans


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    out = tmp_path_factory.mktemp("plan") / "protocol"
    result = _called("plan", "--out", out, "--readers", 6, "--effect", 0.08, "--seed", 1_000_001)
    assert result.exit_code == 0, result.stderr
    return result, out


def test_a_plan_is_a_protocol_and_tables(planned):
    result, out = planned
    assert result.stdout == f"protocol: {out / 'protocol.html'}\n"
    names = {
        "plan.json",
        "protocol.html",
        "protocol.pdf",
        "sizes.csv",
        "endpoints.csv",
        "cases.csv",
        "randomization.csv",
    }
    assert {f.name for f in out.iterdir()} == names
    document = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    size = document["size"]
    assert size["power"] >= 0.8
    with (out / "cases.csv").open(encoding="utf-8") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == size["n_cases"]
    assert sum(int(c["positive"]) for c in cases) == size["n_positive"]
    with (out / "randomization.csv").open(encoding="utf-8") as file:
        tasks = list(csv.DictReader(file))
    assert len(tasks) == 6 * size["readings_per_reader"]


def test_the_same_seed_gives_the_same_plan(planned, tmp_path):
    _, out = planned
    _called("plan", "--out", tmp_path / "again", "--readers", 6, "--effect", 0.08, "--seed", 1_000_001)
    for name in ("plan.json", "randomization.csv", "protocol.pdf"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_a_pilot_is_its_results_or_its_readings(analyzed):
    _, out = analyzed
    choices = [PlanChoices(Goal(0.07), n_readers=10, pilot=pilot) for pilot in (out / "results.json", EXAMPLE_FILE)]
    one, other = (plan_study(c) for c in choices)
    assert one.size == other.size
    assert "pilot of 5 readers" in one.values.source


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "expected the results.json"), ('{"result": {"components": null}}', "expected the results.json")],
)
def test_a_pilot_that_cannot_be_used_is_told(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    result = _called("plan", "--out", tmp_path / "out", "--pilot", tmp_path / "results.json")
    assert result.exit_code == 3
    assert message in result.stderr


def test_groups_sequential_reading_and_margins(tmp_path):
    options = ("--readers", 8, "--groups", 2, "--margin", 0.05, "--sequential", "--modality", "a", "--modality", "b")
    assert _called("plan", "--out", tmp_path / "out", *options).exit_code == 0
    page = (tmp_path / "out" / "protocol.html").read_text(encoding="utf-8")
    assert "non-inferiority of b to a by 0.05" in page
    assert "split-plot" in page
    assert "one-sided at 0.025" in page
    assert "one session, modalities one after the other" in page


def test_given_cases_have_the_power_they_have():
    plan = plan_study(PlanChoices(Goal(0.05), n_readers=6, n_cases=101))
    assert plan.size.n_cases == 101
    assert plan.size.power < 0.8


def test_other_structures_are_conjectures_too():
    needed = {s: plan_study(PlanChoices(Goal(0.06), structure=s)).size.n_cases for s in ("published", "LL", "HL")}
    assert needed["LL"] < needed["HL"]
    assert "published study" in plan_study(PlanChoices(Goal(0.06))).values.source


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"structure": "XX"}, SettingsError, "must be one of published, HH, HL, LH, LL"),
        ({"modalities": ("one",)}, SettingsError, "needs two modalities"),
        ({"n_cases": 10, "positive_share": 0.01}, SettingsError, "cases of both classes"),
        ({"goal": Goal(0.004), "n_readers": 2}, InputError, "no number of cases is enough for 2 readers"),
        ({"area": 0.97}, SettingsError, "between 0 and 1"),
    ],
)
def test_plans_that_cannot_be_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        plan_study(PlanChoices(**({"goal": Goal(0.05)} | changes)))


def test_a_report_says_what_limits_it():
    table = read_readings(EXAMPLE_FILE)
    few = type(table)(tuple(r for r in table.readings if r.reader in ("reader1", "reader2")), table.truth, {})
    page = report_page(analyze_readings(few))
    remarks = [b for b in page.blocks if type(b).__name__ == "Remarks"]
    assert "only 2 readers stand for all others" in remarks[0].items[0].lower()
