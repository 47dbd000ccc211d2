"""Nothing that a whole run says or keeps beside the images names a patient: logs, metrics, database, defects."""

import json
import multiprocessing
import socket

import httpx
import pydicom
import pytest

from dimse_fakes import command, request, unit
from node_fakes import NEVER_QUIET_S, PLANTED, answers, at_rest, free_port, logged_node, storescu, wait_for, write_study
from spondyl.app.catalog import Catalog
from spondyl.app.serve_settings import ServeSettings

TOKEN = "a-token-for-tests"  # noqa: S105 - of a node that lives for one test

BEARER = {"Authorization": f"Bearer {TOKEN}"}

PLANTS = {
    "PatientName": PLANTED,
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "PLANTEDBIRTH",
    "StudyDate": "20240601",
    "AccessionNumber": "PLANTED-ACC",
    "ReferringPhysicianName": "PLANTED^DOCTOR",
    "InstitutionName": "PLANTED-CLINIC",
    "StudyDescription": "PLANTED-STUDY",
    "ProtocolName": "PLANTED-PROTOCOL",
}
"""Identifying values, among them one that no date can be, for libraries quote what they complain about."""


def sent(ports, folder, *, seed, spoil=None, **size):
    with pydicom.config.disable_value_validation():
        uid = write_study(folder, seed=seed, **size, **PLANTS)
        for file in folder.iterdir() if spoil else ():
            dataset = pydicom.dcmread(file)
            spoil(dataset)
            dataset.save_as(file, enforce_file_format=True)
    port, web_port = ports
    storescu(port, folder)
    said = {"study_instance_uid": uid}
    httpx.post(f"http://127.0.0.1:{web_port}/node/complete", json=said, headers=BEARER, timeout=120)
    return uid


def no_spacing(dataset):
    dataset.PixelSpacing = [0.0, 0.0]


def of_the_knee_by_ct(dataset):
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


def asked(port, path, token):
    return httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=120).text


@pytest.mark.slow
def test_no_patient_is_named_by_what_a_whole_run_says_and_keeps(tmp_path):
    port, web_port, nowhere = free_port(), free_port(), free_port()
    archive = {"kind": "dicom", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": nowhere}
    settings = ServeSettings(
        data=tmp_path / "data",
        dicom_port=port,
        web_port=web_port,
        quiet_s=NEVER_QUIET_S,
        min_free_mib=0,
        retries=0,
        token=TOKEN,
        priors=archive | {"wait_s": 1.0},
        destinations=[archive | {"name": "archive"}],
        webhooks=[f"http://127.0.0.1:{nowhere}/"],
    )
    log = tmp_path / "log.txt"
    process = multiprocessing.get_context("spawn").Process(target=logged_node, args=(settings, log), daemon=True)
    process.start()
    try:
        wait_for(lambda: answers(web_port) and answers(port), seconds=300)
        uids = [
            sent((port, web_port), tmp_path / "good", seed=1),
            sent((port, web_port), tmp_path / "defect", seed=2, n_slices=4),
            sent((port, web_port), tmp_path / "useless", seed=3, spoil=no_spacing),
            sent((port, web_port), tmp_path / "knee", seed=4, spoil=of_the_knee_by_ct),
        ]
        with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
            client.sendall(request() + command() + unit(PLANTED.encode() * 20, 2))
        catalog = Catalog(settings.database)
        wait_for(lambda: at_rest(catalog, 3), seconds=300)
        catalog.close()
        said = [
            asked(web_port, path, token) for path in ("/healthz", "/metrics", "/x?PLANTED") for token in ("x", TOKEN)
        ]
    finally:
        process.kill()
        process.join()
    lines = [json.loads(line) for line in log.read_text().splitlines()]  # each is JSON, whoever said it
    assert {"study analyzed", "a defect", "study cannot be used", "object in quarantine"} <= {
        line.get("message") for line in lines
    }
    kept = [p for p in settings.data.rglob("*") if p.is_file() and p.suffix != ".dcm"]
    assert any(p.suffix == ".log" for p in kept)
    for text in [log.read_text(), *said, *(p.read_bytes().decode("latin-1") for p in kept)]:
        assert "PLANTED" not in text
        assert not any(uid in text for uid in uids)
