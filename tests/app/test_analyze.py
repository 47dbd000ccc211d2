"""From a study that was read to every file of a result, all or nothing."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from fake_case import PLANTED, analyzed_case
from spondyl.app import analyze
from spondyl.app.analyze import AnalysisOptions, analyze_study
from spondyl.core import InputError, NoSpineError, OutputError
from spondyl.io.files import SetAside
from spondyl.io.result import read_result, result_schema
from spondyl.io.study import Study
from spondyl.pipeline.settings import Settings, read_settings
from spondyl.pipeline.steps import STEPS
from spondyl.socce.step import embed_case


@pytest.fixture
def road(monkeypatch):
    """A reader and a road that give the made-up case."""
    study = Study(analyzed_case(), {}, (SetAside("series 9 (1.2.9)", "It is a localizer.", "None needed."),))
    monkeypatch.setattr(analyze, "read_study", lambda path, sequence_files: study)

    def run(case, settings, networks, progress, *, watch=None, beside=None):
        for number, entry in enumerate(STEPS, start=1):
            if progress:
                progress(entry.name, number, len(STEPS))
            if watch:
                watch(entry.name, case)
        return case

    monkeypatch.setattr(analyze, "run", run)
    return monkeypatch


def test_every_promised_file_is_written(road, tmp_path):
    result = analyze_study("study", tmp_path / "out", networks={})
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    dicom = {f"dicom/{n}.dcm" for n in ("vertebrae", "lesions", "findings", "summary")}
    assert names == {"result.json", "report.html", "run.toml"} | dicom
    assert result.report == tmp_path / "out" / "report.html"
    assert set(result.files) == {"vertebrae", "lesions", "findings", "summary", "report", "run", "result"}


def test_nifti_is_written_when_asked_for(road, tmp_path):
    analyze_study("study", tmp_path / "out", options=AnalysisOptions(nifti=True), networks={})
    names = {p.name for p in (tmp_path / "out" / "nifti").iterdir()}
    assert names == {"structures.nii.gz", "vertebrae.nii.gz", "lesions.nii.gz", "t1.nii.gz"}


def test_the_result_is_valid_and_says_what_was_set_aside(road, tmp_path):
    result = analyze_study("study", tmp_path / "out", networks={})
    document = read_result(tmp_path / "out")
    jsonschema.validate(document, result_schema())
    assert document == json.loads(json.dumps(result.document))
    assert document["set_aside"][0]["reason"] == "It is a localizer."
    assert {"read", "models", "dicom", "report", "total", "localize"} <= set(document["timings_s"])


def test_the_run_file_gives_the_same_settings_back(road, tmp_path):
    settings = Settings(seed=11, threads=2)
    analyze_study("study", tmp_path / "out", options=AnalysisOptions(settings=settings), networks={})
    assert read_settings(tmp_path / "out" / "run.toml") == settings
    assert tomllib.loads((tmp_path / "out" / "run.toml").read_text())["run"]["case_id"] == "case-0123abcd"


def test_no_file_holds_the_free_text_of_the_header(road, tmp_path):
    analyze_study("study", tmp_path / "out", networks={})
    for file in (tmp_path / "out").rglob("*"):
        assert not file.is_file() or PLANTED.encode() not in file.read_bytes(), file.name


def test_progress_counts_every_part(road, tmp_path):
    told = []
    analyze_study("study", tmp_path / "out", networks={}, progress=lambda *what: told.append(what))
    assert [name for name, _, _ in told] == ["read", "models", *(entry.name for entry in STEPS), "write"]
    assert [number for _, number, _ in told] == list(range(1, len(told) + 1))
    assert {count for _, _, count in told} == {len(told)}


def test_no_spine_leaves_no_result_and_keeps_an_earlier_one(road, tmp_path):
    analyze_study("study", tmp_path / "out", networks={})
    before = (tmp_path / "out" / "result.json").read_bytes()

    def no_spine(*_, **__):
        msg = "no spine was found"
        raise NoSpineError(msg)

    road.setattr(analyze, "run", no_spine)
    with pytest.raises(NoSpineError):
        analyze_study("study", tmp_path / "out", networks={})
    with pytest.raises(NoSpineError):
        analyze_study("study", tmp_path / "new", networks={})
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_foreign_folder_is_refused_before_anything_is_read(road, tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    road.setattr(analyze, "read_study", lambda *_: pytest.fail("was read"))
    with pytest.raises(OutputError, match="holds other files"):
        analyze_study("study", tmp_path)


def test_the_clinical_form_reaches_the_result_without_dates(road, tmp_path):
    form = tmp_path / "form.toml"
    form.write_text("study_date = 2026-05-04\nprior_study_date = 2026-02-03\nkarnofsky = 80\n", encoding="utf-8")
    result = analyze_study("study", tmp_path / "out", options=AnalysisOptions(clinical=form), networks={})
    assert result.case.clinical["karnofsky"] == 80
    assert "2026-0" not in (tmp_path / "out" / "run.toml").read_text(encoding="utf-8")


def test_a_wrong_form_ends_before_anything_is_written(road, tmp_path):
    form = tmp_path / "form.toml"
    form.write_text("karnofsky = 300", encoding="utf-8")
    with pytest.raises(InputError, match="karnofsky"):
        analyze_study("study", tmp_path / "out", options=AnalysisOptions(clinical=form), networks={})
    assert not (tmp_path / "out").exists()


def test_a_prior_study_is_analyzed_and_compared_with(road, tmp_path):
    studies = {"now": analyzed_case(), "then": analyzed_case().with_(case_id="case-then")}
    road.setattr(analyze, "read_study", lambda path, sequence_files: Study(studies[path.name], {}))
    told = []
    result = analyze_study(
        "now", tmp_path / "out", options=AnalysisOptions(prior=Path("then")), networks={},
        progress=lambda *what: told.append(what),
    )  # fmt: skip
    assert result.document["response"]["lesions"][0]["status"] == "matched"
    assert "Since the prior study" in result.report.read_text(encoding="utf-8")
    assert [name for name, _, _ in told][2] == "prior"
    assert [number for _, number, _ in told] == list(range(1, len(told) + 1))
    assert {count for _, _, count in told} == {len(told)}


def test_the_study_itself_as_prior_leaves_no_result(road, tmp_path):
    with pytest.raises(InputError, match="the study itself"):
        analyze_study("study", tmp_path / "out", options=AnalysisOptions(prior=Path("study")), networks={})


def test_an_earlier_result_stands_for_its_study_and_is_not_analyzed_again(road, tmp_path):
    then, now = analyzed_case().with_(case_id="case-then"), analyzed_case()
    road.setattr(analyze, "read_study", lambda path, sequence_files: Study(then, {}))
    analyze_study("then", tmp_path / "then", networks={})
    road.setattr(analyze, "read_study", lambda path, sequence_files: Study(now, {}))
    ran = []
    road.setattr(analyze, "run", lambda case, *_, **__: ran.append(case.case_id) or case)
    options = AnalysisOptions(prior=tmp_path / "then")
    result = analyze_study("now", tmp_path / "now", options=options, networks={})
    assert ran == [now.case_id]
    (change,) = result.document["response"]["lesions"]
    assert change["status"] == "matched"
    assert change["changes"][0]["percent"] == pytest.approx(0, abs=0.1)
    assert result.document["response"]["prior_case_id"] == "case-then"


def test_the_prior_result_is_never_written_over(road, tmp_path):
    analyze_study("then", tmp_path / "then", networks={})
    before = (tmp_path / "then" / "result.json").read_bytes()
    with pytest.raises(InputError, match="another --out"):
        analyze_study("now", tmp_path / "then", options=AnalysisOptions(prior=tmp_path / "then"), networks={})
    assert (tmp_path / "then" / "result.json").read_bytes() == before


def test_omics_reach_the_result_and_the_report(road, tmp_path):
    def run(case, settings, networks, progress, **_):
        return embed_case(case, settings.socce)

    road.setattr(analyze, "run", run)
    (tmp_path / "p.toml").write_text(
        'primary = "prostate"\npanel_mb = 1.2\nvariants = [{gene = "TP53", kind = "Missense_Mutation"}]\n'
    )
    analyze_study("study", tmp_path / "out", options=AnalysisOptions(omics=tmp_path / "p.toml"), networks={})
    document = read_result(tmp_path / "out")
    jsonschema.validate(document, result_schema())
    assert document["omics"]["socce"]["modalities"] == ["imaging", "mutations"]
    assert document["omics"]["socce"]["imaging_features"]["log_volume_mm3"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "TP53" in page
    assert "this patient" in page


def test_omics_that_cannot_be_read_end_before_anything_is_written(road, tmp_path):
    (tmp_path / "p.maf").write_text("nothing")
    with pytest.raises(InputError, match="lacks"):
        analyze_study("study", tmp_path / "out", options=AnalysisOptions(omics=tmp_path / "p.maf"), networks={})
    assert not (tmp_path / "out").exists()
