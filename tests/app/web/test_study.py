"""A study page: what was found, by whom it is reviewed, and nothing that a name could break."""

import gzip
import json
import shutil

import pytest

from spondyl.app.web.application import ROUTERS
from spondyl.app.web.reading_store import Design
from web_site import make_site

SCRIPT = "<script>alert(1)</script>^<img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("site"))
    site.key = site.add_study("1.2.826.0.1.3680043.8.498.81", date="20250301")
    site.prior = site.add_study("1.2.826.0.1.3680043.8.498.82", date="20240301")
    site.strange = site.add_study("1.2.826.0.1.3680043.8.498.83", name=SCRIPT, analyzed=False)
    return site


def test_the_worklist_has_every_study_with_state_and_patient(site):
    lines = {line["study_key"]: line for line in site.client("vi").get("/api/studies").json()}
    assert set(lines) == {site.key, site.prior, site.strange}
    line = lines[site.key]
    assert (line["urgency"], line["state"], line["can_open"]) == ("urgent", "done", True)
    assert line["patient"]["name"] == "Doe, Jane"
    assert lines[site.strange]["can_open"] is False
    urgent_first = [line["urgency"] for line in site.client("vi").get("/api/studies").json()]
    assert urgent_first == ["urgent", "urgent", "unknown"]


def test_a_study_comes_with_findings_images_and_its_prior(site):
    data = site.client("vi").get(f"/api/studies/{site.key}").json()
    assert [i["name"] for i in data["volumes"]["images"]] == ["t1", "t2", "stir"]
    assert data["result"]["lesions"][0]["subtype_words"] == "lytic metastasis"
    assert [p["study_key"] for p in data["priors"]] == [site.prior]
    assert data["may_review"] is False
    assert site.client("vi").get(f"/api/studies/{site.prior}").json()["priors"] == []


def test_a_result_is_told_in_words_to_people_and_programs(site):
    told = site.client("vi").get(f"/api/studies/{site.key}").json()["result"]["told"]
    assert told["headline"] == "One lesion candidate: L3"
    assert told["findings"]["lesion-1"]["opinion"] == "lytic metastasis (0.82)"


def test_a_prior_that_somebody_reads_blinded_is_not_offered_to_them(site):
    said = {"name": "blinded", "truth": {site.prior: True, site.strange: False}, "readers": ["rad"], "sequential": True}
    made = site.services.reader_studies.create(Design(**said), "ada")
    assert site.client("rad").get(f"/api/studies/{site.key}").json()["priors"] == []
    assert len(site.client("onc").get(f"/api/studies/{site.key}").json()["priors"]) == 1
    site.services.reader_studies.close(made)


def test_volumes_travel_packed(site):
    client = site.client("vi")
    answer = client.get(f"/api/studies/{site.key}/volumes/t1")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.content) == 9 * 120 * 90 * 2
    assert answer.headers["cache-control"] == "no-store"
    packed = client.get(f"/api/studies/{site.key}/nifti/lesions.nii.gz").content
    assert gzip.decompress(packed)[344:348] == b"n+1\0"


@pytest.mark.parametrize("path", ["volumes/manifest", "volumes/..%2Fmanifest", "nifti/none.nii.gz", "dicom/secret.dcm"])
def test_what_is_not_there_is_refused_in_a_sentence(site, path):
    answer = site.client("vi").get(f"/api/studies/{site.key}/{path}")
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("key", ["0" * 24, "a" * 23, "A" * 24])
def test_what_is_no_study_is_refused(site, key):
    for path in (f"/studies/{key}", f"/api/studies/{key}", f"/api/studies/{key}/volumes/t1"):
        assert site.client("vi").get(path).status_code in (400, 404), path


def test_a_script_in_a_name_is_text(site):
    client = site.client("ada")
    page = client.get(f"/studies/{site.strange}").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    line = next(s for s in client.get("/api/studies").json() if s["study_key"] == site.strange)
    assert line["patient"]["name"].startswith("<script>")  # JSON; the page sets it as text


def test_report_and_objects_can_be_had_but_run_nothing(site):
    client = site.client("vi")
    report = client.get(f"/studies/{site.key}/report")
    assert "sandbox" in report.headers["content-security-policy"]
    assert "script-src" not in report.headers["content-security-policy"]
    assert client.get(f"/api/studies/{site.key}/dicom/lesions.dcm").content[128:132] == b"DICM"


def test_who_saw_what_is_in_the_log_without_a_name_of_a_patient(site):
    client = site.client("vi")
    client.get(f"/studies/{site.key}")
    client.get(f"/studies/{site.key}/report")
    entries = list(site.services.log.entries())
    assert ("vi", "study.view", site.key) in {(e.user_name, e.action, e.study_key) for e in entries}
    assert ("vi", "report.view", site.key) in {(e.user_name, e.action, e.study_key) for e in entries}
    assert "Doe" not in json.dumps([vars(e) for e in entries])


def test_every_page_can_be_made(site):
    client = site.client("ada")
    pages = (
        "/",
        f"/studies/{site.key}",
        "/readings",
        "/reader-studies/new",
        "/usability",
        "/opinions",
        "/users",
        "/audit",
    )
    for path in (*pages, "/account", "/api"):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200, path
        assert "Research use only" in answer.text, path


def test_openapi_describes_every_route_for_programs(site):
    schema = site.client("vi").get("/openapi.json").json()
    assert {"/api/studies", "/api/studies/{study_key}/reviews", "/api/readings/{number}"} <= set(schema["paths"])
    assert all("tags" in method for methods in schema["paths"].values() for method in methods.values())
    every = [route for router in ROUTERS for route in router.routes]
    pages = {route.path for route in every if not route.include_in_schema}
    assert not {p for p in pages if p.startswith(("/api/", "/node/", "/dicom-web/"))}
    assert {route.path for route in every} == pages | set(schema["paths"]) & {route.path for route in every}


def test_a_study_that_is_still_coming_is_told_so(site):
    site.services.studies.catalog.receive("ab" * 12)
    answer = site.client("vi").get(f"/api/studies/{'ab' * 12}")
    assert (answer.status_code, "still being received" in answer.text) == (400, True)
    site.services.studies.catalog.delete("ab" * 12)


def test_who_sees_the_worklist_need_not_wait_for_the_images(site):
    folder = site.services.studies.folder.study(site.prior)
    site.services.studies._asked.clear()
    for view in folder.glob("view-*"):
        shutil.rmtree(view)
    site.client("vi").get("/api/studies")
    site.services.studies._preparing.submit(lambda: None).result(timeout=120)  # all before it are done
    assert len(list(folder.glob("view-*/manifest.json"))) == 1
