"""From the network to the archive and back: each study once, whatever dies, and nothing lost from sight."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pydicom
import pytest

from node_fakes import (
    NEVER_QUIET_S,
    PLANTED,
    ask,
    at_rest,
    free_port,
    never_end,
    orthanc,
    postgres,
    send_studies,
    stub_analysis,
    wait_for,
    worker_process,
    write_study,
)
from spondyl.app.catalog import StudyState, Urgency
from spondyl.app.jobs import work
from spondyl.app.jobs.ledger import DeliveryState
from spondyl.app.jobs.retry import retry
from spondyl.app.jobs.worker import working
from spondyl.app.node.service import NodeService
from spondyl.app.serve_settings import ServeSettings
from spondyl.core import InputError
from spondyl.io.result import read_result


@pytest.fixture
def stand(tmp_path):
    """Give a function that starts a node on SQLite; it stops at the end."""
    made = []

    def start(**settings):
        usual = {"data": tmp_path / "data", "dicom_port": 0, "quiet_s": NEVER_QUIET_S}
        usual |= {"min_free_mib": 0, "retries": 0}
        service = NodeService(ServeSettings(**usual | settings))
        made.append(service)
        service.port = service.start()
        return service

    yield start
    for service in made:
        service.stop()


def pacs(port):
    return {"name": "pacs", "kind": "dicom", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": port}


class Listener(BaseHTTPRequestHandler):
    told = ()

    def do_POST(self):
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    """Give the URL of a listener, and what it was told."""
    Listener.told = []
    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", Listener.told
    server.shutdown()
    server.server_close()


def test_a_study_goes_in_and_its_result_reaches_the_archive_both_ways(stand, tmp_path, webhook, capsys):
    url, told = webhook
    uid = write_study(tmp_path / "in")
    with orthanc(tmp_path / "orthanc", user="spondyl") as (dicom_port, http_port):
        web = {"name": "web", "kind": "dicomweb", "url": f"http://127.0.0.1:{http_port}/dicom-web"}
        web |= {"username": "spondyl", "password": "secret"}
        service = stand(destinations=[pacs(dicom_port), web], webhooks=[url])
        with working(service.settings, stub_analysis):
            assert send_studies(service, tmp_path / "in") == 0
            wait_for(lambda: at_rest(service.catalog, 1) and told)
        stored = list((tmp_path / "orthanc" / "storage").rglob("*-*-*-*-*"))
    row = service.catalog.list()[0]
    assert (row.state, row.urgency, row.error) == (StudyState.DONE, Urgency.URGENT, "")
    sent = list((service.folder.result(row.study_key) / "dicom").iterdir())
    assert read_result(service.folder.result(row.study_key))["case_id"] == row.case_id
    kinds = [pydicom.dcmread(p, force=True).get("SOPClassUID") for p in stored if p.is_file()]
    assert len([k for k in kinds if k]) == len(sent) == 3  # both ways, and yet one of each
    assert told == [
        {
            "study_key": row.study_key,
            "case_id": row.case_id,
            "state": "done",
            "urgency": "urgent",
            "research_use_only": True,
        }
    ]
    said = capsys.readouterr()
    assert PLANTED not in said.out + said.err
    assert uid not in said.out + said.err


def test_a_study_that_cannot_be_used_fails_with_the_reason_and_leaves_no_result(stand, tmp_path):
    write_study(tmp_path / "in")
    for file in (tmp_path / "in").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PixelSpacing = [0.0, 0.0]
        dataset.save_as(file, enforce_file_format=True)
    service = stand()
    with working(service.settings, stub_analysis):
        send_studies(service, tmp_path / "in")
        wait_for(lambda: at_rest(service.catalog, 1))
    row = service.catalog.list()[0]
    assert (row.state, row.result_dir) == (StudyState.FAILED, "")
    assert "expected" in row.error
    assert PLANTED not in row.error
    assert not service.folder.result(row.study_key).exists()


def test_a_defect_fails_its_study_alone_and_its_words_are_kept_out(stand, tmp_path):
    def analysis(study, out):
        if len(list(study.iterdir())) == 4:
            msg = f"cannot mind {PLANTED}"
            raise ZeroDivisionError(msg)
        return stub_analysis(study, out)

    write_study(tmp_path / "bad", seed=1, n_slices=4)
    write_study(tmp_path / "good", seed=2)
    service = stand()
    with working(service.settings, analysis):
        send_studies(service, tmp_path / "bad", tmp_path / "good")
        wait_for(lambda: at_rest(service.catalog, 2))
    (failed,) = service.catalog.list(states=[StudyState.FAILED])
    assert "ZeroDivisionError" in failed.error
    (log,) = (path.read_text() for path in (service.folder.root / "defects").iterdir())
    assert "analysis" in log
    assert PLANTED not in failed.error + log


def test_a_dead_letter_is_seen_and_sent_when_asked(stand, tmp_path):
    port = free_port()
    write_study(tmp_path / "in")
    service = stand(destinations=[pacs(port)])
    with working(service.settings, stub_analysis):
        send_studies(service, tmp_path / "in")
        wait_for(lambda: at_rest(service.catalog, 1))
        row = service.catalog.list()[0]
        assert (row.state, "cannot be reached" in row.error) == (StudyState.FAILED, True)
        assert [d.state for d in service.ledger.in_state(DeliveryState.DEAD)] == [DeliveryState.DEAD]
        with orthanc(tmp_path / "orthanc") as (dicom_port, http_port):
            object.__setattr__(service.settings.destinations[0], "port", dicom_port)
            assert retry(service.catalog, service.ledger, service.queue, row.study_key) == "delivery"
            wait_for(lambda: service.catalog.get(row.study_key).state is StudyState.DONE)
            assert ask(http_port, "/statistics")["CountInstances"] == 3
    with pytest.raises(InputError, match="one that is done"):
        retry(service.catalog, service.ledger, service.queue, row.study_key)


def test_late_instances_replace_the_result_and_an_overtaken_one_is_not_sent(stand, tmp_path):
    write_study(tmp_path / "in")
    late = tmp_path / "late"
    late.mkdir()
    (tmp_path / "in" / "000.dcm").rename(late / "000.dcm")
    service = stand()
    with working(service.settings, stub_analysis):
        send_studies(service, tmp_path / "in")
        wait_for(lambda: at_rest(service.catalog, 1))
        send_studies(service, late)
        wait_for(lambda: service.catalog.list()[0].revision == 2)
        wait_for(lambda: at_rest(service.catalog, 1))
    row = service.catalog.list()[0]
    assert (row.state, row.n_instances) == (StudyState.DONE, 6)


def test_a_delivery_that_will_never_end_by_itself_becomes_a_dead_letter(stand, tmp_path):
    service = stand(destinations=[pacs(free_port())])
    key = service.folder.study_key("1.2.3")
    service.catalog.receive(key)
    service.catalog.set_state(key, StudyState.RETURNING, revision=1)
    service.ledger.open(key, 1, ["pacs", "gone"])
    service.find_lost()
    assert service.queue.status(f"{key}-r1-pacs-t1") == "ENQUEUED"  # nobody had handed it over
    assert [(d.destination, d.state) for d in service.ledger.in_state(DeliveryState.DEAD)] == [("gone", "dead")]
    service.queue._client.cancel_workflow(f"{key}-r1-pacs-t1")
    service.find_lost()
    row = service.catalog.get(key)
    assert (row.state, "again and again" in row.error, "no destination" in row.error) == (StudyState.FAILED, True, True)


def test_of_two_workers_at_one_study_the_later_revision_stays(stand, tmp_path):
    """A slow worker that is overtaken must not put its result over that of the later one."""
    begun, go_on = threading.Event(), threading.Event()
    seen = []

    def analyze(study, out):
        seen.append(len(list(study.iterdir())))
        begun.set()
        go_on.wait(120)
        out.mkdir(exist_ok=True)
        (out / "result.json").write_text(str(seen[-1]))
        return {}

    service = stand()
    work.use(work.Bench(service.settings, service.folder, service.catalog, service.ledger, analyze))
    key = service.folder.study_key("1.2.3")
    place = service.folder.incoming(key)
    place.mkdir(parents=True)
    (place / "0.dcm").touch()
    service.catalog.receive(key)
    service.catalog.set_state(key, StudyState.QUEUED, revision=1)
    ended = {}
    threads = [threading.Thread(target=lambda n=n: ended.update({n: work.analyze_once(key, n)})) for n in (1, 2)]
    threads[0].start()
    begun.wait(120)
    (place / "1.dcm").touch()
    service.catalog.receive(key)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(120)
    assert (seen, ended) == ([1, 2], {1: "superseded", 2: "analyzed"})
    assert (service.folder.result(key) / "result.json").read_text() == "2"


def marks(service, key):
    return sorted(p.name[:5] for p in (service.folder.study(key) / "marks").iterdir())


def begun_by(service, process):
    """Whether a worker has begun an analysis."""
    return list(service.folder.studies.glob(f"*/marks/begun-{process.pid}-*"))


@pytest.mark.slow
def test_a_killed_worker_comes_back_and_ends_what_it_had_begun(stand, tmp_path):
    write_study(tmp_path / "in")
    service = stand()
    with worker_process(service.settings, "one", never_end) as first:
        send_studies(service, tmp_path / "in")
        wait_for(lambda: begun_by(service, first))
        first.kill()
        first.join()
    key = service.catalog.list()[0].study_key
    assert service.catalog.get(key).state is StudyState.ANALYZING
    with worker_process(service.settings, "one"):
        wait_for(lambda: at_rest(service.catalog, 1))
    assert marks(service, key) == ["begun", "begun", "ended"]
    assert read_result(service.folder.result(key))["lesions"]
    assert not list(service.folder.study(key).glob(".result*"))


@pytest.mark.slow
def test_two_workers_share_a_postgresql_queue_and_one_takes_over_from_a_dead_one(stand, tmp_path):
    with postgres(tmp_path / "pg") as url:
        service = stand(database_url=url("spondyl"))
        for number in range(6):
            write_study(tmp_path / "in" / str(number), seed=number)
        with worker_process(service.settings, "one", never_end) as first:
            send_studies(service, tmp_path / "in")
            wait_for(lambda: begun_by(service, first))
            with worker_process(service.settings, "two") as second:
                wait_for(lambda: begun_by(service, second))
                assert not at_rest(service.catalog, 6)
                first.kill()
                wait_for(lambda: at_rest(service.catalog, 6))
        rows = service.catalog.list()
        assert [marks(service, row.study_key).count("ended") for row in rows] == [1] * 6
        assert sum(marks(service, row.study_key).count("begun") for row in rows) == 7  # one of them twice
        assert service.catalog.counts()[StudyState.DONE] == 6
        service.stop()
        service.stop = lambda: None
