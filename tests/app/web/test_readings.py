"""A reader study on the page: blinded, in order, timed, and exported as its analysis takes it."""

import io
import zipfile
from datetime import timedelta

import pytest

from spondyl.app.reader_analysis import analyze_readings
from spondyl.app.web import reading_store
from spondyl.app.web.reading_store import ReaderStudies
from spondyl.io.reader_study import parse_readings
from web_site import make_site


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("site"))
    site.keys = [site.add_study(f"1.2.826.0.1.3680043.8.498.7{n}", name=f"Patient^{n}") for n in range(4)]
    return site


@pytest.fixture
def site(keys):
    yield keys
    for study in keys.services.reader_studies.overview():
        keys.services.reader_studies.close(study["id"])


_names = iter(f"study {n}" for n in range(100))


def _make(site, **more):
    truth = {key: number < 2 for number, key in enumerate(site.keys)}
    said = {"name": next(_names), "truth": truth, "readers": ["rad", "onc"], "seed": 7, "washout_days": 0, **more}
    answer = site.client("ada").post("/api/reader-studies", json=said)
    assert answer.status_code == 201, answer.text
    return site.services.reader_studies.overview()[0]


def _read(site, client, name, score=60.0):
    task = site.services.reader_studies.next_task(name)
    assert client.get(f"/readings/{task.id}").status_code == 200
    answer = client.post(f"/api/readings/{task.id}", json={"score": score, "seconds": 1.5})
    assert answer.status_code == 200, answer.text
    return task


def test_everybody_reads_every_case_in_both_ways_in_an_order_of_their_own(site):
    _make(site)
    orders = []
    for name in ("rad", "onc"):
        client = site.client(name)
        tasks = [_read(site, client, name) for _ in range(8)]
        assert site.services.reader_studies.next_task(name) is None
        assert {(t.study_key, t.modality) for t in tasks} == {(k, m) for k in site.keys for m in ("unaided", "aided")}
        assert [t.session for t in tasks] == [1] * 4 + [2] * 4
        orders.append([t.case_code for t in tasks])
    assert orders[0] != orders[1]


def test_an_unaided_reading_shows_images_and_nothing_else(site):
    _make(site)
    client, store = site.client("rad"), site.services.reader_studies
    seen = set()
    for _ in range(8):
        task = store.next_task("rad")
        page = client.get(f"/readings/{task.id}").text
        data = client.get(f"/api/readings/{task.id}").json()
        assert "Patient" not in page
        assert "Patient" not in str(data)
        assert "series_uid" not in str(data)
        assert task.study_key not in page + str(data)
        seen.add(task.modality)
        if task.modality == "unaided":
            assert data["result"] is None
            assert data["volumes"]["labels"] == data["volumes"]["maps"] == []
            assert client.get(f"/api/readings/{task.id}/volumes/lesions").status_code == 403
        else:
            assert len(data["result"]["lesions"]) == 1
            assert client.get(f"/api/readings/{task.id}/volumes/lesions").status_code == 200
        assert client.get(f"/api/readings/{task.id}/volumes/t1").status_code == 200
        _read(site, client, "rad")
    assert seen == {"unaided", "aided"}


def test_cases_are_hidden_elsewhere_until_the_study_is_closed(site):
    study = _make(site)
    client = site.client("rad")
    assert client.get("/api/studies").json() == []
    assert client.get(f"/api/studies/{site.keys[0]}").status_code == 403
    assert client.get(f"/studies/{site.keys[0]}/report").status_code == 403
    assert site.client("ada").get(f"/api/studies/{site.keys[0]}").status_code == 200
    assert site.client("ada").post(f"/api/reader-studies/{study['id']}/close").status_code == 200
    assert client.get(f"/api/studies/{site.keys[0]}").status_code == 200


def test_order_time_and_finality_are_kept(site):
    _make(site)
    client, store = site.client("rad"), site.services.reader_studies
    task = store.next_task("rad")
    said = {"score": 50, "seconds": 1.0}
    assert "must be opened" in client.post(f"/api/readings/{task.id}", json=said).text
    assert client.get(f"/readings/{task.id + 1}").status_code == 400  # not its turn
    client.get(f"/readings/{task.id}")
    assert "longer than it was open" in client.post(f"/api/readings/{task.id}", json=said | {"seconds": 600}).text
    assert client.post(f"/api/readings/{task.id}", json=said).status_code == 200
    assert client.post(f"/api/readings/{task.id}", json=said).status_code == 400  # a reading stays as it is
    other = store.next_task("onc")
    assert client.get(f"/readings/{other.id}").status_code == 400  # somebody else's


def test_the_second_session_waits_for_the_cases_to_be_forgotten(site, monkeypatch):
    _make(site, washout_days=28)
    client = site.client("rad")
    for _ in range(4):
        _read(site, client, "rad")
    task = site.services.reader_studies.next_task("rad")
    assert task.session == 2
    assert task.not_before is not None
    assert client.get(f"/readings/{task.id}").status_code == 400
    later = reading_store.now() + timedelta(days=29)
    monkeypatch.setattr(reading_store, "now", lambda: later)
    assert ReaderStudies(site.services.studies.catalog.engine).next_task("rad").not_before is None


def test_the_export_is_what_the_analysis_takes(site):
    study = _make(site)
    for name in ("rad", "onc"):
        client = site.client(name)
        assert client.post("/api/usability", json={"answers": [4, 2] * 5}).status_code == 200
        for _ in range(8):
            task = site.services.reader_studies.next_task(name)
            positive = site.keys.index(task.study_key) < 2
            aided = task.modality == "aided"
            _read(site, client, name, score=(80 if positive else 20) if aided else 40 + 5 * task.position)
    answer = site.client("ada").get(f"/api/reader-studies/{study['id']}.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    text = archive.read("readings.csv").decode()
    assert "rad," not in text
    assert site.keys[0] not in text
    table = parse_readings(text)
    assert sorted(table.truth.values()) == [False, False, True, True]
    assert len(table.by_role("reader")) == 16
    assert {r.seconds for r in table.by_role("reader")} == {1.5}
    assert {r.score for r in table.by_role("standalone")} == {0.82}  # the fake lesion's probability
    found = analyze_readings(table)
    assert found.usability.mean == 75.0
    means = {row["modality"]: row["value"] for row in found.to_dict()["result"]["means"]}
    assert means["aided"] == 1.0  # aided, both readers told every case
    assert set(found.standalone) == {"spondyl"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"readers": ["vi", "rad"]},
        {"readers": ["rad", "rad"]},
        {"readers": []},
        {"truth": {"0" * 24: True}},
        {"truth": {}},
    ],
)
def test_a_study_that_cannot_be_read_is_refused(site, wrong):
    said = {"name": "wrong", "truth": {k: n < 2 for n, k in enumerate(site.keys)}, "readers": ["rad"]} | wrong
    assert site.client("ada").post("/api/reader-studies", json=said).status_code in (400, 422)
