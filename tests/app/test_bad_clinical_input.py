"""Input that would make scores, response or risk untrue, as somebody gives it at the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from fake_case import analyzed_case
from spondyl.app import analyze
from spondyl.app.cli import app
from spondyl.app.console import UNUSABLE
from spondyl.io.study import Study
from spondyl.io.volumes import SourceSeries

PLANTED = "PLANTED-4711"


def study(case, **header):
    """A study as read, with a header."""
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return Study(case, {"1.2": SourceSeries("1.2", (dataset,), ())} if header else {})


@pytest.fixture
def analyzed(monkeypatch, tmp_path):
    """Call ``spondyl analyze now --prior then`` on studies that are given, without networks."""

    def call(now=None, then=None, *, form=None, omics=None):
        known = {"now": now or study(analyzed_case()), "then": then}
        monkeypatch.setattr(analyze, "read_study", lambda path, sequence_files: known[path.name])
        monkeypatch.setattr(analyze, "load_networks", lambda settings: {})
        monkeypatch.setattr(analyze, "run", lambda case, *_, **__: case)
        words = ["analyze", "now", "--out", str(tmp_path / "out")]
        if then is not None:
            words += ["--prior", "then"]
        for option, text in (("clinical", form), ("omics", omics)):
            if text is not None:
                (tmp_path / f"{option}.toml").write_text(text, encoding="utf-8")
                words += [f"--{option}", str(tmp_path / f"{option}.toml")]
        return CliRunner().invoke(app, words)

    return call


def refused(ran, out, *words):
    """A line that says everything wanted, and no result."""
    assert ran.exit_code == UNUSABLE, ran.output
    assert not out.exists()
    assert ran.stderr.splitlines()[-1].startswith("spondyl: ")
    assert "Traceback" not in ran.stderr
    assert PLANTED not in ran.stderr
    for word in words:
        assert word in ran.stderr


EARLIER = analyzed_case().with_(case_id="case-then")


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        ({"PatientID": "A"}, {"PatientID": PLANTED}, ("same patient", "PatientID differs", "own prior study")),
        (
            {"PatientBirthDate": "19500101"},
            {"PatientBirthDate": "19600101"},
            ("PatientBirthDate differs", "own prior study"),
        ),
        ({"StudyDate": "20200101"}, {"StudyDate": "20200131"}, ("30 days later", "exchange the two")),
    ],
    ids=["another patient", "another birth date", "a later study"],
)
def test_a_prior_study_that_is_none_is_refused(analyzed, tmp_path, now, then, words):
    ran = analyzed(study(analyzed_case(), **now), study(EARLIER, **then))
    refused(ran, tmp_path / "out", "--prior", *words)


def test_the_study_itself_is_refused_as_prior(analyzed, tmp_path):
    refused(analyzed(then=study(analyzed_case())), tmp_path / "out", "the study itself", "taken before it")


def test_a_prior_study_of_another_region_is_not_assessable_and_says_why(analyzed, tmp_path):
    neck = tuple(replace(v, level=f"C{n}") for n, v in enumerate(EARLIER.vertebrae[:1], start=4))
    ran = analyzed(then=study(EARLIER.with_(vertebrae=neck)))
    assert ran.exit_code == 0, ran.stderr
    response = json.loads((tmp_path / "out" / "result.json").read_text())["response"]
    assert response["assessable"] is False
    assert "same region" in response["reason"]
    assert "same region" in (tmp_path / "out" / "report.html").read_text()


def test_missing_dates_are_told_and_nothing_is_guessed(analyzed, tmp_path):
    ran = analyzed(then=study(EARLIER), form='[[radiotherapy]]\nlevels = ["L3"]\n')
    assert ran.exit_code == 0, ran.stderr
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert document["response"]["days_since_prior"] is None
    assert "prior_undated" in {flag["code"] for flag in document["quality"]}
    assert "time between the studies not known" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("karnofsky = 130", ("karnofsky", "130", "100 or less")),
        ("ecog = 9", ("ecog", "9", "0 to 5")),
        ("age_years = -4", ("age_years", "-4", "0 or more")),
        ("albumin_g_l = 3.9", ("albumin_g_l", "3.9", "g/dL")),
        ("days_since_prior = -20", ("days_since_prior", "-20", "0 or more")),
        ("[[radiotherapy]]\ndays_before_study = -7", ("radiotherapy.0.days_before_study", "-7")),
        ("[[radiotherapy]]\nend_date = 2026-01-01", ("radiotherapy.0.end_date", "study_date")),
        ("prior_study_date = 2026-02-01", ("prior_study_date", "study_date")),
        ("study_date = 2026-01-01\nprior_study_date = 2026-02-01", ("prior_study_date", "31 days after", "correct")),
        (f'primary = "{PLANTED} of a place"', ("primary", "'breast'")),
    ],
)
def test_a_form_out_of_range_is_refused_with_field_value_and_remedy(analyzed, tmp_path, form, words):
    refused(analyzed(form=form), tmp_path / "out", *words)


def test_omics_out_of_range_are_refused_with_field_and_value(analyzed, tmp_path):
    refused(analyzed(omics="panel_mb = -1"), tmp_path / "out", "panel_mb", "-1")


def test_a_form_for_a_patient_without_anything_else_still_gives_a_result(analyzed, tmp_path):
    ran = analyzed(form="karnofsky = 70")
    assert ran.exit_code == 0, ran.stderr
    assert (tmp_path / "out" / "result.json").is_file()
