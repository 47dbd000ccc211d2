"""What is deleted is gone everywhere, and nothing else is."""

import os
import time

import pytest
from typer.testing import CliRunner

from spondyl.app.catalog import StudyState
from spondyl.app.cli import app
from spondyl.app.monitor.retention import purge_old, purge_study
from spondyl.app.node.service import NodeService
from spondyl.app.serve_settings import ServeSettings


@pytest.fixture
def service(tmp_path):
    made = NodeService(ServeSettings(data=tmp_path / "data", dicom_port=0, min_free_mib=0))
    yield made
    made.queue.close()
    made.catalog.close()


def study(service, uid, state):
    key = service.folder.study_key(uid)
    service.folder.incoming(key).mkdir(parents=True)
    (service.folder.incoming(key) / "a.dcm").write_bytes(b"image of one patient")
    service.catalog.receive(key)
    service.catalog.set_state(key, state)
    service.queue.study(key, 1)
    service.ledger.open(key, 1, ["pacs"])
    return key


def test_a_purged_study_leaves_no_trace_and_its_neighbor_stays(service):
    gone, stays = study(service, "1.1", StudyState.DONE), study(service, "1.2", StudyState.DONE)
    purge_study(service.folder, service.catalog, service.ledger, service.queue, gone)
    assert service.catalog.get(gone) is None
    assert service.ledger.of(gone, 1) == []
    assert service.queue.status(f"{gone}-r1") is None
    assert [p.name for p in service.folder.studies.iterdir()] == [stays]
    assert not list(service.folder.scratch.iterdir())
    assert service.queue.status(f"{stays}-r1") == "ENQUEUED"


def test_age_takes_studies_at_rest_and_old_quarantine_alone(service):
    old = [study(service, "1.1", StudyState.DONE), study(service, "1.2", StudyState.FAILED)]
    busy = study(service, "1.3", StudyState.ANALYZING)
    for name, age_s in (("old.json", 9e6), ("new.json", 0.0)):
        file = service.folder.quarantine / name
        file.write_text("{}")
        os.utime(file, (time.time() - age_s,) * 2)
    kept = purge_old(service.folder, service.catalog, service.ledger, service.queue, days=30)
    assert (kept.studies, kept.n_quarantined) == ((), 1)
    time.sleep(0.01)
    purged = purge_old(service.folder, service.catalog, service.ledger, service.queue, days=1e-9)
    assert sorted(purged.studies) == sorted(old)
    assert [row.study_key for row in service.catalog.list()] == [busy]


def test_the_command_says_first_and_deletes_when_told(service):
    key = study(service, "1.1", StudyState.DONE)
    where = ["--data", str(service.folder.root)]
    said = CliRunner().invoke(app, ["purge", *where, "--study", key, "--dry-run"])
    assert (said.exit_code, said.stdout.strip()) == (0, f"would delete {key}")
    assert service.catalog.get(key) is not None
    assert CliRunner().invoke(app, ["purge", *where, "--study", "../../etc"]).exit_code == 3
    assert CliRunner().invoke(app, ["purge", *where]).exit_code == 2
    assert CliRunner().invoke(app, ["purge", *where, "--study", key]).exit_code == 0
    assert service.catalog.get(key) is None


def test_the_list_shows_what_needs_a_hand(service):
    key = study(service, "1.1", StudyState.FAILED)
    service.catalog.set_state(key, StudyState.FAILED, error="pacs: it cannot be reached")
    study(service, "1.2", StudyState.DONE)
    said = CliRunner().invoke(app, ["studies", "list", "--data", str(service.folder.root), "--failed"])
    assert (said.exit_code, key in said.stdout, "cannot be reached" in said.stdout) == (0, True, True)
    assert said.stdout.count("instances") == 1


def test_a_folder_that_is_no_node_is_told(tmp_path):
    said = CliRunner().invoke(app, ["studies", "list", "--data", str(tmp_path / "none")])
    assert (said.exit_code, "expected the data folder" in said.stderr) == (3, True)
