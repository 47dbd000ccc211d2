"""A hospital's own evaluation: files in, two pages, a reporting table and numbers out, and no name in any of them."""

import json
import re

import pytest
from typer.testing import CliRunner

from fake_site import site
from spondyl.app import cli, site_analyses
from spondyl.app.site_analyses import analyze_site, found_study, list_studies
from spondyl.core import InputError, OutputError
from spondyl.pipeline.settings import Settings


def _called(studies, truth, out, analyses, *more):
    arguments = ["evaluate", "site", studies, "--truth", truth, "--out", out, "--analyses", analyses, *more]
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def _n_pages(pdf):
    return len(re.findall(rb"/Type /Page\b", pdf.read_bytes()))


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    files = site(folder, 24, images=3)
    return folder, files


@pytest.fixture(scope="module")
def evaluated(hospital):
    folder, (studies, truth, analyses) = hospital
    result = _called(studies, truth, folder / "out", analyses)
    assert result.exit_code == 0, result.stderr
    return folder / "out", json.loads((folder / "out" / "results.json").read_text(encoding="utf-8")), result


def test_everything_a_hospital_needs_is_written(evaluated):
    out, document, result = evaluated
    names = {"results.json", "report.html", "report.pdf", "answers.toml"} | {
        f"reporting.{e}" for e in ("html", "pdf", "csv")
    }
    assert {f.name for f in out.iterdir()} == names
    assert _n_pages(out / "report.pdf") == 2
    assert (document["schema"], document["task"]) == ("spondyl-evaluation-1", "site")
    assert document["performance"]["vertebrae"]["area"]["value"] > 0.9
    assert {g["variable"] for g in document["performance"]["groups"]["rows"]} == {
        "vendor",
        "field strength",
        "sex",
        "region",
    }
    assert document["drift"]["names"] == ["earlier half", "later half"]
    assert len(document["cases"]["vertebrae"]) == 24 * 7
    assert document["performance"]["levels"]["accuracy"]["value"] == 1
    assert "report:" in result.stdout


def test_no_name_of_a_study_or_patient_and_no_date_comes_out(evaluated):
    out, _, result = evaluated
    text = result.stdout + result.stderr + "".join(f.read_text(encoding="utf-8") for f in out.glob("*.[!p]*"))
    assert "SMITH" not in text.replace(str(out), "")
    assert not re.search(r"2025-\d\d-\d\d", text)


def test_failures_have_pictures_where_images_are_at_hand(hospital, tmp_path):
    _, (studies, truth, analyses) = hospital
    for threshold, shown in (("0.02", True), ("0.999", False)):
        result = _called(studies, truth, tmp_path / "out", analyses, "--threshold", threshold)
        assert result.exit_code == 0, result.stderr
        assert ("data:image/png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")) >= (not shown)


def test_a_later_evaluation_compares_with_an_earlier_one(hospital, evaluated, tmp_path):
    studies, truth, analyses = site(tmp_path, 12, seed=5, skill=0.0)
    result = _called(studies, truth, tmp_path / "out", analyses, "--before", evaluated[0])
    assert result.exit_code == 0, result.stderr
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert document["drift"]["names"] == ["before", "now"]
    assert document["drift"]["performance"]["area"]["p_value"] < 0.01
    then, now = document["drift"]["performance"]["internal"], evaluated[1]["performance"]["vertebrae"]
    assert then["scores"] == now["scores"]
    assert then["area"]["value"] == pytest.approx(now["area"]["value"])


def test_answers_fill_the_reporting_table(hospital, tmp_path):
    _, (studies, truth, analyses) = hospital
    (tmp_path / "mine.toml").write_text('ethics = "Committee A"\n', encoding="utf-8")
    assert _called(studies, truth, tmp_path / "out", analyses, "--answers", tmp_path / "mine.toml").exit_code == 0
    assert "by you,Committee A" in (tmp_path / "out" / "reporting.csv").read_text(encoding="utf-8")
    assert 'ethics = "Committee A"' in (tmp_path / "out" / "answers.toml").read_text(encoding="utf-8")


def test_two_pages_hold_many_groups_and_limits(tmp_path):
    studies, truth, analyses = site(tmp_path, 30, images=4)
    lines = truth.read_text(encoding="utf-8").splitlines()
    wide = [f"{lines[0]},referral,implant,coil"] + [
        f"{r},{i // 7 % 5},{i // 14 % 4},{i // 7 % 7}" for i, r in enumerate(lines[1:])
    ]
    truth.write_text("\n".join(wide) + "\n", encoding="utf-8")
    for name in ("SMITH_002", "SMITH_003"):
        (analyses / name / "result.json").unlink()
        (analyses / name / "refused.txt").write_text("no MR\n", encoding="utf-8")
    (studies / "spare").mkdir()
    result = _called(studies, truth, tmp_path / "out", analyses, "--threshold", "0.3")
    assert result.exit_code == 0, result.stderr
    assert _n_pages(tmp_path / "out" / "report.pdf") == 2
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for said in ("2 studies could not be analyzed", "1 studies have no truth", "more groups are in results.json"):
        assert said in page


def test_a_study_of_the_truth_that_is_not_there_is_an_error(hospital, tmp_path):
    _, (studies, truth, analyses) = hospital
    more = tmp_path / "truth.csv"
    more.write_text(truth.read_text(encoding="utf-8") + "JONES,P9,L1,normal,,2025-01-01,F,0,0,0\n", encoding="utf-8")
    result = _called(studies, more, tmp_path / "out", analyses)
    assert result.exit_code == 3
    assert "1 of 25 are not" in result.stderr
    assert "JONES" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_earlier_evaluation_must_be_one(hospital, tmp_path):
    _, (studies, truth, analyses) = hospital
    (tmp_path / "results.json").write_text('{"task": "detections"}', encoding="utf-8")
    result = _called(studies, truth, tmp_path / "out", analyses, "--before", tmp_path)
    assert result.exit_code == 3
    assert "earlier evaluation" in result.stderr


def test_the_threshold_is_a_probability(hospital, tmp_path):
    _, (studies, truth, analyses) = hospital
    assert _called(studies, truth, tmp_path / "out", analyses, "--threshold", "1.5").exit_code == 2


def test_studies_are_folders_zips_and_nifti_files(tmp_path):
    for name in ("a", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("b.zip", "c.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert list(list_studies(tmp_path)) == ["a", "b", "c"]
    (tmp_path / "a.zip").touch()
    with pytest.raises(InputError, match="two studies"):
        list_studies(tmp_path)
    with pytest.raises(InputError, match="check the path"):
        list_studies(tmp_path / "nowhere")


def test_a_study_that_cannot_be_used_is_kept_apart_and_not_tried_again(tmp_path, monkeypatch):
    tried = []

    def refuse(path, folder, **_):
        tried.append(path)
        raise [InputError("no MR image was found"), KeyError("SMITH")][len(tried) - 1]

    monkeypatch.setattr(site_analyses, "analyze_study", refuse)
    monkeypatch.setattr(site_analyses, "load_networks", lambda settings: {})
    studies = {"one": tmp_path / "one", "two": tmp_path / "two"}
    done = analyze_site(studies, tmp_path / "analyses", Settings())
    assert [a.document for a in done.values()] == [None, None]
    assert done["one"].reason == "no MR image was found"
    assert "KeyError" in done["two"].reason
    assert "SMITH" not in done["two"].reason
    assert all(a.found.failed for a in analyze_site(studies, tmp_path / "analyses", Settings()).values())
    assert len(tried) == 2


def test_a_full_disk_ends_the_work(tmp_path, monkeypatch):
    def full(path, folder, **_):
        raise OutputError("the disk is full")

    monkeypatch.setattr(site_analyses, "analyze_study", full)
    monkeypatch.setattr(site_analyses, "load_networks", lambda settings: {})
    with pytest.raises(OutputError):
        analyze_site({"one": tmp_path}, tmp_path / "analyses", Settings())


def test_an_analysis_of_an_older_version_has_unjudged_vertebrae():
    vertebra = {"instance": 1, "level": "L1", "centroid_lps_mm": [0, 0, 0]}
    found = found_study({"vertebrae": [vertebra], "lesions": [], "quality": [], "sequences": []})
    assert found.vertebrae[0].probability is None
    assert found.groups == {}
