"""Priors come from a real archive, both ways; where none comes, the study is analyzed without and says so."""

import subprocess
from types import SimpleNamespace

import pydicom
import pytest

from node_fakes import (
    NEVER_QUIET_S,
    PLANTED,
    at_rest,
    free_port,
    orthanc,
    send_studies,
    storescu,
    stub_analysis,
    tool,
    wait_for,
    write_study,
)
from spondyl.app.analyze import AnalysisOptions, PriorError
from spondyl.app.catalog import StudyState
from spondyl.app.jobs import work
from spondyl.app.jobs.prior import fetch_prior
from spondyl.app.jobs.queue import JobError
from spondyl.app.jobs.worker import working
from spondyl.app.node.service import NodeService
from spondyl.app.serve_settings import ServeSettings

PATIENT = {"PatientID": "P-1", "PatientBirthDate": "19500101", "BodyPartExamined": "LSPINE"}


class Analysis:
    """A stand-in for the analysis that keeps what it was given beside the study."""

    def __init__(self):
        self.priors, self.flags = [], []

    def __call__(self, study, out, *, prior=None, flags=()):
        found = [] if prior is None else [pydicom.dcmread(p) for p in prior.iterdir()]
        self.priors.append(sorted((d.StudyDate, d.PatientID) for d in found))
        self.flags += [f.code for f in flags]
        return stub_analysis(study, out)


@pytest.fixture
def node(tmp_path):
    made = []

    def start(**settings):
        usual = {"data": tmp_path / "data", "dicom_port": 0, "quiet_s": NEVER_QUIET_S, "min_free_mib": 0}
        service = NodeService(ServeSettings(**usual | settings))
        made.append(service)
        service.port = service.start()
        return service

    yield start
    for service in made:
        service.stop()


def fill(archive_port, folder):
    """Put an archive in order: the prior, an older one, another patient's, a knee, one that came later."""
    studies = [
        {"StudyDate": "20240101"},
        {"StudyDate": "20220101"},
        {"StudyDate": "20240201", "PatientID": "P-11"},
        {"StudyDate": "20240301", "BodyPartExamined": "KNEE"},
        {"StudyDate": "20250101"},
    ]
    for number, header in enumerate(studies, 1):
        write_study(folder / str(number), seed=number, **PATIENT | header)
    assert storescu(archive_port, folder, called="ORTHANC") == 0


def archive(kind, dicom_port, http_port):
    if kind == "dicom":
        return {"kind": "dicom", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    web = {"kind": "dicomweb", "url": f"http://127.0.0.1:{http_port}/dicom-web"}
    return web | {"username": "spondyl", "password": "secret"}


@pytest.mark.parametrize("kind", ["dicom", "dicomweb"])
def test_the_nearest_earlier_study_of_the_patient_is_brought_and_given_to_the_analysis(node, tmp_path, kind, capsys):
    port, analysis = free_port(), Analysis()
    with orthanc(tmp_path / "o", modalities={"spondyl": ["SPONDYL", "127.0.0.1", port]}, user="spondyl") as ports:
        fill(ports[0], tmp_path / "archive")
        service = node(dicom_port=port, priors=archive(kind, *ports))
        write_study(tmp_path / "in", StudyDate="20240601", **PATIENT)
        with working(service.settings, analysis):
            assert send_studies(service, tmp_path / "in") == 0
            wait_for(lambda: at_rest(service.catalog, 1))
    assert analysis.priors == [[("20240101", "P-1")] * 6]
    assert analysis.flags == []
    (row,) = service.catalog.list()  # the prior itself is no study that somebody sent
    assert (row.state, row.n_instances) == (StudyState.DONE, 6)
    said = capsys.readouterr()
    assert PLANTED not in said.out + said.err


def test_a_prior_that_is_here_already_is_not_fetched(node, tmp_path):
    port = free_port()
    nowhere = {"spondyl": ["SPONDYL", "127.0.0.1", free_port()]}
    with orthanc(tmp_path / "o", modalities=nowhere) as (dicom_port, http_port):
        fill(dicom_port, tmp_path / "archive")
        service = node(dicom_port=port, priors=archive("dicom", dicom_port, http_port))
        keys = {}
        for name, header in (("old", {"StudyDate": "20240101"}), ("new", {"StudyDate": "20240601"})):
            uid = write_study(tmp_path / name, seed={"old": 1, "new": 9}[name], **PATIENT | header)
            assert send_studies(service, tmp_path / name) == 0
            keys[name] = service.folder.study_key(uid)
        how = service.settings, service.folder, service.catalog
        assert fetch_prior(*how, keys["new"]) == "prior_found"
        assert len(list(service.folder.prior(keys["new"]).iterdir())) == 6
        with pytest.raises(JobError, match="does it know 'SPONDYL'"):
            fetch_prior(*how, keys["old"])  # its own prior, of 2022, is only in the archive


def test_no_prior_and_no_archive_are_said_in_the_result_and_fail_nothing(node, tmp_path, monkeypatch):
    monkeypatch.setattr("spondyl.app.jobs.prior.FIRST_PAUSE_S", 0.01)
    analysis, port = Analysis(), free_port()
    service = node(priors={"kind": "dicom", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": port})
    write_study(tmp_path / "in", StudyDate="20240601", **PATIENT)
    with working(service.settings, analysis):
        send_studies(service, tmp_path / "in")
        wait_for(lambda: at_rest(service.catalog, 1))
        assert (analysis.priors, analysis.flags) == ([[]], ["prior_not_fetched"])
        write_study(tmp_path / "anonymous", seed=1, StudyDate="20240601", PatientID="")
        send_studies(service, tmp_path / "anonymous")
        wait_for(lambda: at_rest(service.catalog, 2))
    assert (analysis.priors, analysis.flags) == ([[], []], ["prior_not_fetched", "prior_not_found"])
    assert service.catalog.counts()[StudyState.DONE] == 2


def test_a_prior_that_cannot_be_used_leaves_the_analysis_of_the_study(monkeypatch, tmp_path):
    seen = []

    def analyze(study, out, *, options, networks):
        seen.append((options.prior, [f.code for f in options.flags]))
        if options.prior is not None:
            msg = "it is of the knee"
            raise PriorError(msg)
        return SimpleNamespace(document={"found": True})

    monkeypatch.setattr("spondyl.app.jobs.work.analyze_study", analyze)
    assert work.analyzer(AnalysisOptions(), {})(tmp_path, tmp_path, prior=tmp_path) == {"found": True}
    assert seen == [(tmp_path, []), (None, ["prior_not_usable"])]


@pytest.mark.parametrize("program", ["findscu", "movescu"])
def test_the_node_itself_is_no_archive_and_says_so(node, program):
    service = node()
    more = ["-aem", "ANYBODY"] if program == "movescu" else []
    command = [tool(program, "dcmtk"), "-S", *more, "-aec", "SPONDYL", "-k", "0008,0052=STUDY", "-k", "0010,0020=*"]
    asked = subprocess.run(
        [*command, "127.0.0.1", str(service.port)], capture_output=True, text=True, check=False, timeout=180
    )
    assert asked.returncode != 0
    assert "No Acceptable Presentation Contexts" in asked.stdout + asked.stderr
    echo = [tool("echoscu", "dcmtk"), "-aec", "SPONDYL", "127.0.0.1", str(service.port)]
    assert subprocess.run(echo, capture_output=True, check=False, timeout=180).returncode == 0
