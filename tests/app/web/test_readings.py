"""A reader study on the page: blinded, in order, timed, and exported as its analysis takes it."""

import io
import re
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


def test_marks_are_held_against_the_true_lesions_and_the_analysis_takes_them_whole(site):
    center = site.services.studies.result(site.services.studies.get(site.keys[0]))[0]["lesions"][0]["centroid_lps_mm"]
    x, y, z = center
    table = "case,lesion,x_lps_mm,y_lps_mm,z_lps_mm,radius_mm\n"
    table += (
        f"{site.keys[0]},L3,{x},{y},{z},8\n{site.keys[0]},T12,{x},{y},{z + 90},8\n{site.keys[1]},L3,{x},{y},{z},8\n"
    )
    study = _make(site, lesions_csv=table)
    for name in ("rad", "onc"):
        client = site.client(name)
        for _ in range(8):
            task = site.services.reader_studies.next_task(name)
            client.get(f"/readings/{task.id}")
            positive = site.keys.index(task.study_key) < 2
            hits = [{"point_lps_mm": [x + 2, y, z], "score": s} for s in (50, 70)] if positive else []
            marks = [*hits, {"point_lps_mm": [x, y, z - 40], "score": 10 + task.position}]
            said = {"score": 90 if positive else 10, "seconds": 0.5, "marks": marks}
            assert client.post(f"/api/readings/{task.id}", json=said).status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(site.client("ada").get(f"/api/reader-studies/{study['id']}.zip").content))
    read = parse_readings(archive.read("readings.csv").decode())
    assert sorted(map(len, read.lesions.values())) == [1, 2]
    rows = [r for r in read.by_role("reader") if r.finding]
    assert {(r.finding, r.truth) for r in rows} == {("L3", 1.0), ("mark-1", 0.0)}
    assert {r.score for r in rows if r.truth} == {0.7}  # of two marks on one lesion the higher
    assert len([r for r in rows if r.truth]) == 2 * 2 * 2
    assert {(r.finding, r.truth, r.score) for r in read.by_role("standalone") if r.finding and r.truth} == {
        ("L3", 1.0, 0.82)
    }
    found = analyze_readings(read).to_dict()
    assert any("FROC" in str(result["metric"]) for result in found["further_results"]), found["further_results"]


LESION_HEAD = "case,lesion,x_lps_mm,y_lps_mm,z_lps_mm,radius_mm\n"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("case,lesion\nA,L3\n", "missing: x_lps_mm"),
        (LESION_HEAD + "nobody,L3,0,0,0,5\n", "row 2 .* names no positive case"),
        (LESION_HEAD + "{negative},L3,0,0,0,5\n", "row 2 .* names no positive case"),
        (LESION_HEAD + "{positive},L3,0,0,0,5\n", "1 positive cases have no lesion"),
        (LESION_HEAD + "{positive},L3,0,0,0,5\n{positive},L3,0,0,0,5\n", "row 3 .* name of its own"),
        (LESION_HEAD + "{positive},mark-1,0,0,0,5\n", "row 2 .* name of its own"),
        (LESION_HEAD + "{positive},L3,0,0,zero,5\n", "z_lps_mm must be a number"),
        (LESION_HEAD + "{positive},L3,0,0,nan,5\n", "z_lps_mm must be a number"),
        (LESION_HEAD + "{positive},L3,0,0,0,0\n", "radius_mm must be above 0"),
    ],
)
def test_a_table_of_lesions_that_does_not_fit_is_refused(site, table, said):
    filled = table.format(positive=site.keys[0], negative=site.keys[2])
    truth = {key: number < 2 for number, key in enumerate(site.keys)}
    asked = {"name": "never made", "truth": truth, "readers": ["rad"], "lesions_csv": filled}
    answer = site.client("ada").post("/api/reader-studies", json=asked)
    assert answer.status_code == 400
    assert re.search(said, answer.json()["detail"])
    assert "never made" not in {s["name"] for s in site.services.reader_studies.overview()}


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
