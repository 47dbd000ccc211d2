"""What a tumor board gets: a synthetic patient at two visits with form and omics, through the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from spondyl.app.simulate import FORM_FILE, simulate_visits
from spondyl.core import Sequence

pytestmark = pytest.mark.slow

SEED = 1_000_007
"""A patient that training never saw, with a sclerotic metastasis of L4 that shrinks after radiotherapy."""

DAYS = 100

FORM = """
karnofsky = 70
primary = "prostate"
albumin_g_l = 38
"""

OMICS = """
primary = "prostate"
panel = "a panel of 1.2 Mb"
panel_mb = 1.2
variants = [{gene = "TP53", kind = "Missense_Mutation"}]
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The result folder of the later visit."""
    folder = tmp_path_factory.mktemp("board")
    series = (Sequence.T1, Sequence.T2, Sequence.STIR)
    prior, current = simulate_visits(SEED, folder / "p", (0.0, float(DAYS)), sequences=series)
    form, omics = folder / "form.toml", folder / "omics.toml"
    # The tables of the simulated form come last, as TOML wants it.
    form.write_text(FORM + (folder / "p" / FORM_FILE).read_text(encoding="utf-8"), encoding="utf-8")
    omics.write_text(OMICS, encoding="utf-8")
    given = [current, "--prior", prior, "--clinical", form, "--omics", omics, "--out", folder / "out"]
    command = [sys.executable, "-m", "spondyl.app.cli", "analyze", *map(str, given)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def document(result):
    return json.loads((result / "result.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def report(result):
    """The words of the report."""
    text = (result / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<(style|script|svg).*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL))


def test_scores_stand_in_both(document, report):
    codes = {s["code"] for s in document["scores"]}
    assert {"genant", "sins", "bilsky_escc", "tokuhashi_revised", "van_der_linden", "noms"} <= codes
    for score in document["scores"]:
        assert score["reference"]
        assert score["value"] is not None or score["low"] is not None or score["note"]
    assert all(name in report for name in ("SINS", "Genant", "Revised Tokuhashi", "NOMS"))


def test_response_follows_the_lesion_that_shrank(document, report):
    response = document["response"]
    assert response["assessable"]
    assert (response["days_since_prior"], response["same_patient"]) == (DAYS, "confirmed")
    matched = {x["level"]: x for x in response["lesions"] if x["status"] == "matched"}
    (volume,) = (c for c in matched["L4"]["changes"] if c["name"] == "volume")
    assert volume["verdict"] == "decreased"
    assert {v["code"] for v in response["verdicts"]} == {"recist_1_1", "spino", "met_rads_like"}
    assert f"Since the prior study {DAYS} days" in report


def test_risks_are_told_with_what_they_are_made_of(document, report):
    risk = document["risk"]
    assert "simulated" in risk["learned_from"]
    assert not risk["not_assessable"]
    for event in risk["events"]:
        inside = [low <= r <= high for low, r, high in zip(event["low"], event["risk"], event["high"], strict=True)]
        assert all(inside)
        told = event["typical_risk"] + sum(event["contributions"].values())
        assert any(abs(told - r) < 1e-6 for r in event["risk"])
    assert len(risk["early_disease"]["vertebrae"]) >= 2
    assert "not a prognosis" in report


def test_a_finding_says_what_it_rests_on(document, report):
    metastasis = next(x for x in document["lesions"] if x["level"] == "L4")
    assert metastasis["probabilities"]["malignant"] > 0.5
    suspicious = max(document["lesions"], key=lambda x: x["probabilities"]["malignant"])
    evidence = {m["name"] for m in suspicious["measurements"] if m["name"].startswith("evidence_")}
    assert {"evidence_T1", "evidence_T2", "evidence_inside"} <= evidence
    assert "Rests on" in report


def test_every_number_is_for_research_only(document, report):
    assert document["research_use_only"] is True
    assert "RESEARCH USE ONLY" in report
