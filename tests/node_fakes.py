"""Small studies, a stand-in for the analysis, and foreign programs, for the tests of the node."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from dicom_fakes import SHAPE, as_file, classic_source, fake_case, source_grid
from spondyl.app.catalog import StudyState
from spondyl.app.serve_settings import Tls
from spondyl.io.dicom_results import write_results
from spondyl.io.result import result_document, write_result
from spondyl.io.store import OutputFolder
from spondyl.io.study import read_study

PLANTED = "PLANTED^NAME"
"""Stands where a patient's name would, and must be found nowhere outside the images themselves."""

NEVER_QUIET_S = 3600.0
"""Quiet time of nodes that are told when a study is complete: a busy machine may pause in the midst of one."""

_PORTS = iter(range(10_000 + 200 * (os.getpid() % 100), 32_000))
"""Below those that Linux gives to clients (32768 and above)."""


def write_study(folder: Path, *, seed: int = 0, n_slices: int = SHAPE[0], size: int = 24, **header: object) -> str:
    """Write a small MR study, with what is said of its header, and give its StudyInstanceUID."""
    rng = np.random.default_rng(seed)
    grid = source_grid("sagittal", (n_slices, size, size))
    source = classic_source(grid)
    uid = generate_uid(entropy_srcs=["study", str(seed)])
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(source.datasets):
        dataset.StudyInstanceUID, dataset.PatientName, dataset.PatientID = uid, PLANTED, f"PLANTED-{seed}"
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(seed), str(number)])
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", str(seed)])
        dataset.SeriesDescription, dataset.EchoTime, dataset.RepetitionTime = "T2 TSE SAG", 100, 3500
        dataset.ScanningSequence, dataset.SequenceVariant = "SE", "SK"
        dataset.ScanOptions, dataset.MRAcquisitionType, dataset.ImageType = "", "2D", ["ORIGINAL", "PRIMARY", "M"]
        dataset.PixelData = rng.integers(0, 1000, (size, size), np.uint16).tobytes()
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        for keyword, value in header.items():
            setattr(dataset, keyword, value)
        as_file(dataset).save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return str(uid)


def stub_analysis(study: Path, out: Path) -> dict:
    """Read a study and write a result with made-up findings, in the form of a real one but without networks."""
    read = read_study(study)
    image = next(iter(read.case.images.values()))
    made = fake_case(image.grid)
    case = read.case.with_(reference=image.sequence, labels=made.labels, vertebrae=made.vertebrae, lesions=made.lesions)
    with OutputFolder(out) as folder:
        written = write_results(case, read.sources, folder / "dicom")
        files = {Path(name).stem: f"dicom/{name}" for name in written.files} | {"result": "result.json"}
        document = result_document(case, set_aside=read.set_aside, files=files)
        write_result(document, folder / "result.json")
    return document


def wait_for(happened, *, seconds: float = 180.0) -> None:
    """Wait until something has happened; long, since it only matters where it never does or the machine is busy."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def at_rest(catalog, count: int) -> bool:
    """Whether so many studies are done or failed."""
    counts = catalog.counts()
    return counts[StudyState.DONE] + counts[StudyState.FAILED] == count


def free_port() -> int:
    """A port that nobody listens on, nor is given by the system to a client before the test uses it.

    Each process that runs tests asks elsewhere, and never twice for the same.
    """
    for port in _PORTS:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    msg = "no free port"
    raise OSError(msg)


def tool(name: str, package: str) -> str:
    """Find a foreign program, or skip the test naming the package that has it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} not found: install the Debian package {package}")
    return found


def certificate(folder: Path, name: str) -> Tls:
    """Make a certificate that is its own authority."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    command = [tool("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", pem, *names], check=True, capture_output=True, timeout=180)
    return Tls(certificate=pem, key=key, authority=pem)


def storescu(port: int, *paths: Path, called: str = "SPONDYL", calling: str = "STORESCU", options=()) -> int:
    """Send files with dcmtk and give its exit code."""
    program = tool("storescu", "dcmtk")
    command = [program, "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port), "+sd", "+r"]
    return subprocess.run([*command, *map(str, paths)], capture_output=True, check=False, timeout=180).returncode


def send_studies(service, *folders: Path, options=()) -> int:
    """Send studies to a node of this process with dcmtk and say that they are complete; gives dcmtk's exit code."""
    code = storescu(service.port, *folders, options=options)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    uids = {pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID for path in files}
    for uid in sorted(uids):
        service.complete(uid)
    return code


@contextlib.contextmanager
def orthanc(folder: Path, *, modalities: dict | None = None, user: str = ""):
    """Run Orthanc with its DICOMweb plugin; gives its DICOM and its HTTP port."""
    program = tool("Orthanc", "orthanc")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not plugin.is_file():
        pytest.skip("the DICOMweb plugin of Orthanc was not found: install the Debian package orthanc-dicomweb")
    dicom_port, http_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "ORTHANC",
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowStore": True,
        "DicomCheckModalityHost": False,
        "DicomModalities": modalities or {},
        "AuthenticationEnabled": bool(user),
        "RegisteredUsers": {user: "secret"} if user else {},
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "ConcurrentJobs": 4,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(dicom_port) and answers(http_port))
        yield dicom_port, http_port
    finally:
        process.terminate()
        process.wait(120)
        log.close()


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True


def ask(http_port: int, path: str, data: bytes | None = None):
    """Ask Orthanc's own interface."""
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}{path}", data, timeout=120) as answer:
        return json.loads(answer.read())


def mark(out: Path, what: str) -> None:
    """Leave a mark beside a study's result: what was done, and by which process."""
    marks = out.parent / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    (marks / f"{what}-{os.getpid()}-{time.time_ns()}").touch()


def count_and_analyze(study: Path, out: Path) -> dict:
    """Do as `stub_analysis`, and leave a mark when it begins and when it ends."""
    mark(out, "begun")
    document = stub_analysis(study, out)
    mark(out, "ended")
    return document


def never_end(study: Path, out: Path) -> dict:
    """Begin an analysis, leave a mark, and be at it until killed."""
    mark(out, "begun")
    time.sleep(3600)
    return {}


def stub_worker(settings, name: str, analyze=count_and_analyze) -> None:
    """Be a worker with a stand-in for the analysis, until killed."""
    from spondyl.app.jobs.worker import working

    with working(settings, analyze, name=name):
        time.sleep(3600)


@contextlib.contextmanager
def worker_process(settings, name: str, analyze=count_and_analyze):
    """Run `stub_worker` in a process of its own; gives the process."""
    process = multiprocessing.get_context("spawn").Process(
        target=stub_worker, args=(settings, name, analyze), daemon=True
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def fail_or_analyze(study: Path, out: Path, **_: object) -> dict:
    """Do as `stub_analysis`, but fail of studies of four images with words that name their patient."""
    if len(list(study.iterdir())) == 4:
        msg = f"cannot mind {PLANTED}"
        raise ZeroDivisionError(msg)
    return stub_analysis(study, out)


def logged_node(settings, log: Path) -> None:
    """Be a node with its web application and a worker, until killed; all that is said goes into a file."""
    import logging

    import uvicorn

    from spondyl.app.jobs.worker import working
    from spondyl.app.monitor.logs import log_as_json
    from spondyl.app.node.service import NodeService
    from spondyl.app.serve import application_of

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    log_as_json(logging.DEBUG)
    service = NodeService(settings)
    application = application_of(settings)
    application.state.node = service
    service.start()
    with working(settings, fail_or_analyze):
        uvicorn.Server(uvicorn.Config(application, port=settings.web_port, log_config=None)).run()


@contextlib.contextmanager
def postgres(folder: Path):
    """Run PostgreSQL; gives a function that makes the URL of a database by its name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.skip("pg_ctl not found: install the Debian package postgresql")
    root = os.geteuid() == 0
    user = ["runuser", "-u", "postgres", "--"] if root else []
    folder.mkdir(parents=True)
    if root:
        shutil.chown(folder, "postgres")
        for above in folder.parents[: len(folder.parents) - 2]:
            above.chmod(above.stat().st_mode | 0o011)
    port, binaries = free_port(), found[-1].parent

    def run(*command: str, check: bool = True) -> None:
        subprocess.run([*user, *command], check=check, capture_output=True, timeout=120, cwd="/")

    run(str(binaries / "initdb"), "-D", str(folder / "db"), "-A", "trust", "-U", "spondyl", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    log = str(folder / "log.txt")
    run(str(binaries / "pg_ctl"), "-D", str(folder / "db"), "-o", options, "-l", log, "-w", "start")
    try:
        yield lambda name: f"postgresql://spondyl@127.0.0.1:{port}/{name}"
    finally:
        run(str(binaries / "pg_ctl"), "-D", str(folder / "db"), "-m", "immediate", "-w", "stop", check=False)
