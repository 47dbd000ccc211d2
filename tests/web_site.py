"""A review page with small synthetic studies, users of each role, and clients that are logged in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pydicom
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from fake_case import analyzed_case, image, sagittal_grid
from spondyl.app.catalog import StudyState, Urgency
from spondyl.app.serve_settings import ServeSettings
from spondyl.app.web import create_app
from spondyl.app.web.accounts import Role, Specialty
from spondyl.core import Image, Sequence
from spondyl.io.dicom import quiet
from spondyl.io.dicom_results import write_results
from spondyl.io.mr_writer import SyntheticStudy, write_series
from spondyl.io.result import result_document, write_result
from spondyl.io.study import read_study

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

PASSWORD = "correct horse battery"  # noqa: S105 - of synthetic users
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Costs of a hash that a test can afford."""

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
"""No calls home, and WebGL in software; without a sandbox, since build machines run as root."""

SEQUENCES = (Sequence.T1, Sequence.T2, Sequence.STIR)
_TIMES = {
    Sequence.T1: {"echo_time_ms": 11.0, "repetition_time_ms": 560.0},
    Sequence.T2: {"echo_time_ms": 102.0, "repetition_time_ms": 3600.0},
    Sequence.STIR: {"echo_time_ms": 42.0, "repetition_time_ms": 4200.0, "inversion_time_ms": 160.0},
}
_MORE = {"field_strength_t": 1.5, "model": "M", "software": "syngo MR E11", "echo_train_length": 10}


def _source(sequence: Sequence, number: int) -> Image:
    made = image(sequence, sagittal_grid(), number=number)
    return replace(made, acquisition=replace(made.acquisition, **_MORE, **_TIMES[sequence]))


@dataclass
class Site:
    """A page and where its data are."""

    app: FastAPI
    data: Path

    @property
    def services(self) -> Any:
        """What routes work with."""
        return self.app.state.services

    def add_study(self, uid: str, *, name: str = "Doe^Jane", date: str = "20250301", analyzed: bool = True) -> str:
        """Put a study, and its result, where the node would."""
        studies = self.services.studies
        key = studies.folder.study_key(uid)
        incoming = studies.folder.incoming(key)
        patient = SyntheticStudy("SYN-0001", sex="F", age_years=60.0, study_uid=uid)
        for number, sequence in enumerate(SEQUENCES, start=1):
            write_series(_source(sequence, number), incoming / str(number), study=patient, series_number=number)
        for path in sorted(incoming.rglob("*.dcm")):
            header = pydicom.dcmread(path)
            with quiet():  # names may be strange on purpose
                header.PatientName, header.StudyDate = name, date
                header.save_as(incoming / studies.folder.instance_name(header.SOPInstanceUID))
            path.unlink()
        studies.catalog.receive(key)
        if analyzed:
            self.analyze(key)
        return key

    def analyze(self, key: str) -> None:
        """Write the result of the fake column."""
        studies = self.services.studies
        read = read_study(studies.folder.incoming(key))
        found = analyzed_case(*SEQUENCES)
        case = found.with_(case_id=read.case.case_id, images=read.case.images, reference=Sequence.T1)
        result = studies.folder.result(key)
        (result / "dicom").mkdir(parents=True)
        with quiet():
            written = write_results(case, read.sources, result / "dicom")
        (result / "report.html").write_text("<!doctype html><title>Report</title>")
        files = {path.stem: f"dicom/{name}" for name, path in written.files.items()} | {"report": "report.html"}
        write_result(result_document(case, files=files), result / "result.json")
        urgency, sequences = Urgency.URGENT, tuple(str(s) for s in SEQUENCES)
        columns = {"urgency": str(urgency), "case_id": case.case_id, "n_instances": 27, "sequences": sequences}
        studies.catalog.set_state(key, StudyState.DONE, summary={"n_lesions": 1}, **columns)

    def client(self, name: str | None = None) -> TestClient:
        """Give a client, logged in if a name is given; it repeats the token by itself."""
        client = TestClient(self.app, base_url="http://testserver", follow_redirects=False)
        if name is not None:
            answer = client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        return client

    def sha256(self, key: str) -> str:
        """Hash of the result of a study."""
        studies = self.services.studies
        return studies.result(studies.get(key))[1]


def make_site(data: Path) -> Site:
    """A page without studies, with one user of each role."""
    site = Site(create_app(ServeSettings(data=data), hasher=CHEAP), data)
    accounts = site.services.accounts
    accounts.add("ada", PASSWORD, Role.ADMIN)
    accounts.add("rad", PASSWORD, Role.READER, Specialty.RADIOLOGIST)
    accounts.add("onc", PASSWORD, Role.READER, Specialty.ONCOLOGIST)
    accounts.add("vi", PASSWORD, Role.VIEWER)
    return site
