"""Verdicts, ratings and usability: who may give them, what they are about, and what they come to."""

import csv
import io
import json
import zipfile

import pytest

from spondyl.app.web.tables import feedback, reviews, usability
from spondyl.evaluation.sus import sus_scores
from web_site import make_site


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("site"))
    site.key = site.add_study("1.2.826.0.1.3680043.8.498.91")
    site.other = site.add_study("1.2.826.0.1.3680043.8.498.92")
    return site


@pytest.fixture
def site(built):
    with built.services.studies.catalog.engine.begin() as connection:
        for table in (reviews, feedback, usability):
            connection.execute(table.delete())
    return built


def _review(site, finding="lesion-1", verdict="accept", **more):
    return {"result_sha256": site.sha256(site.key), "finding": finding, "verdict": verdict, **more}


def _rating(site, **scales):
    return {"result_sha256": site.sha256(site.key), "finding": "lesion-1", **scales}


def test_a_verdict_is_kept_and_the_newest_counts(site):
    client, url = site.client("rad"), f"/api/studies/{site.key}/reviews"
    assert client.post(url, json=_review(site)).status_code == 200
    fix = {"level": "L4", "finding_class": "benign"}
    assert (
        client.post(url, json=_review(site, verdict="correct", correction=fix, comment="Wrong level")).status_code
        == 200
    )
    (row,) = client.get(f"/api/studies/{site.key}").json()["reviews"]
    assert (row["user_name"], row["specialty"], row["verdict"]) == ("rad", "radiologist", "correct")
    assert row["correction"] == fix
    assert [s["reviewed_by"] for s in client.get("/api/studies").json() if s["study_key"] == site.key] == [["rad"]]


def test_a_missed_finding_is_kept_with_its_place(site):
    client = site.client("rad")
    point = {"point_lps_mm": [1.0, 2.0, 3.0], "finding_class": "malignant"}
    said = _review(site, finding="missed-1", verdict="missed", correction=point)
    assert client.post(f"/api/studies/{site.key}/reviews", json=said).status_code == 200
    assert client.get("/api/opinions").json()["verdicts"] == []  # counted by itself, not as a verdict on a finding


@pytest.mark.parametrize(
    "said",
    [
        {"finding": "lesion-9"},
        {"finding": "vertebra-99"},
        {"finding": "<script>"},
        {"verdict": "perhaps"},
        {"verdict": "correct"},
        {"verdict": "correct", "correction": {"level": "L9"}},
        {"verdict": "missed"},
        {"finding": "missed-1", "verdict": "missed"},
        {"result_sha256": "0" * 64},
        {"comment": "x" * 5000},
    ],
)
def test_a_verdict_on_something_else_is_refused(site, said):
    answer = site.client("rad").post(f"/api/studies/{site.key}/reviews", json=_review(site) | said)
    assert answer.status_code in (400, 422)
    assert site.services.opinions.all_reviews() == []


def test_a_viewer_gives_no_opinion(site):
    client = site.client("vi")
    assert client.post(f"/api/studies/{site.key}/reviews", json=_review(site)).status_code == 403
    assert client.post(f"/api/studies/{site.key}/feedback", json=_rating(site, agreement=4)).status_code == 403
    assert client.post("/api/usability", json={"answers": [3] * 10}).status_code == 403


def test_opinions_come_to_shares_means_and_agreement_by_specialty(site):
    for name, verdicts, rating in (("rad", ("accept", "reject"), 4), ("onc", ("accept", "reject"), 2)):
        client = site.client(name)
        for key, verdict in zip((site.key, site.other), verdicts, strict=True):
            said = {"result_sha256": site.sha256(key), "finding": "lesion-1"}
            assert client.post(f"/api/studies/{key}/reviews", json=said | {"verdict": verdict}).status_code == 200
            assert client.post(f"/api/studies/{key}/feedback", json=said | {"agreement": rating}).status_code == 200
    found = site.client("vi").get("/api/opinions").json()
    everybody = next(row for row in found["verdicts"] if row["specialty"] == "everybody")
    assert (everybody["n"], everybody["accept"]["value"], everybody["reject"]["value"]) == (4, 0.5, 0.5)
    means = {row["specialty"]: row["mean"] for row in found["ratings"] if row["scale"] == "agreement"}
    assert means == {"radiologist": 4.0, "oncologist": 2.0, "everybody": 3.0}
    kappa = next(row for row in found["agreement"] if row["what"] == "verdict")
    assert (kappa["coefficient"], kappa["value"], kappa["n_subjects"]) == ("Cohen's kappa", 1.0, 2)


def test_usability_is_brookes_score(site):
    answers = [4, 2, 5, 1, 4, 2, 5, 1, 4, 2]
    assert site.client("rad").post("/api/usability", json={"answers": answers}).status_code == 200
    (row,) = site.client("vi").get("/api/opinions").json()["usability"]
    assert (row["specialty"], row["mean"], row["n"]) == ("radiologist", sus_scores(answers)[0], 1)
    assert site.client("rad").post("/api/usability", json={"answers": [0] * 10}).status_code == 422


def test_the_export_holds_everything_and_no_formula(site):
    client = site.client("rad")
    client.post(f"/api/studies/{site.key}/reviews", json=_review(site, comment='=HYPERLINK("http://evil.example")'))
    client.post(f"/api/studies/{site.key}/feedback", json=_rating(site, agreement=5, clinical_relevance=4))
    client.post("/api/usability", json={"answers": [3] * 10})
    archive = zipfile.ZipFile(io.BytesIO(site.client("ada").get("/api/opinions.zip").content))
    tables = {n: list(csv.DictReader(io.StringIO(archive.read(n).decode()))) for n in archive.namelist() if ".csv" in n}
    assert tables["reviews.csv"][0]["comment"].startswith("'=")
    assert (tables["feedback.csv"][0]["agreement"], tables["feedback.csv"][0]["interpretability"]) == ("5", "")
    assert tables["usability.csv"][0]["sus_10"] == "3"
    assert json.loads(archive.read("summary.json"))["usability"][0]["mean"] == 50.0
    assert "Doe" not in str(tables)
    assert [e.action for e in site.services.log.newest(1)] == ["opinions.export"]
