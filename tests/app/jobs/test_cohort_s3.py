"""Studies and results of a cohort in a store that speaks S3, over its network protocol, and again where it ended."""

import io
import json

import fsspec
import pandas as pd
import pytest

from node_fakes import PLANTED, stub_worker, write_study
from spondyl.app.cohort_analyze import CohortChoices, analyze_cohort
from spondyl.app.jobs.cohort import entries
from spondyl.core import InputError

pytest.importorskip("s3fs", reason="s3fs not found: pip install s3fs")
server = pytest.importorskip("moto.server", reason="moto not found: pip install 'moto[s3]' flask flask-cors")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A file system on a server of its own with an empty bucket; workers find it by the environment, too."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",  # any will do
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path / "home"),  # where queue and scratch files go
    }.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    fsspec.filesystem("s3").clear_instance_cache()
    files.makedirs("cohort", exist_ok=True)
    yield files
    files.invalidate_cache()
    files.rm("cohort", recursive=True)  # servers of one process share their buckets
    fsspec.filesystem("s3").clear_instance_cache()
    running.stop()


def _run():
    return analyze_cohort(
        "s3://cohort/in", "s3://cohort/out", CohortChoices(jobs=1), progress=lambda *_: None, target=stub_worker
    )


@pytest.mark.slow
def test_studies_in_a_bucket_become_results_in_it_and_are_not_analyzed_twice(store, tmp_path):
    for number in range(2):
        write_study(tmp_path / "in" / f"{PLANTED}-{number}", seed=number)
    store.put(str(tmp_path / "in"), "cohort/in", recursive=True)
    outcomes = _run()
    assert list(outcomes.values()) == ["", ""]
    results = store.glob("cohort/out/studies/*/result.json")
    assert len(results) == 2
    assert json.loads(store.cat(results[0]))["research_use_only"]
    assert store.exists(results[0].replace("result.json", "dicom/lesions.dcm"))
    assert store.exists("cohort/out/cohort.h5ad")
    assert PLANTED not in " ".join(store.find("cohort/out"))
    store.rm(results[1].removesuffix("/result.json"), recursive=True)
    kept = store.info(results[0])["LastModified"], store.info(results[0])["ETag"]
    assert _run() == outcomes
    store.invalidate_cache()
    assert (store.info(results[0])["LastModified"], store.info(results[0])["ETag"]) == kept
    assert store.exists(results[1])
    table = pd.read_csv(io.BytesIO(store.cat("cohort/out/studies.csv")))
    assert table["state"].tolist() == ["done", "done"]


def test_a_bucket_that_is_not_there_is_told(store):
    with pytest.raises(InputError, match="cannot be reached"):
        entries("s3://no-such-bucket/in")
