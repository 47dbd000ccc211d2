"""How the DICOM node stands load, kills and the clock, with a real PACS (Orthanc).

    python benchmarks/node.py load [--studies 200] [--associations 8]
    python benchmarks/node.py kills [--kills 50] [--studies 100]
    python benchmarks/node.py latency [--runs 5] [--study FOLDER]

``load`` and ``kills`` are about transport and jobs: their studies are tiny, and a stand-in that writes made-up findings
as real DICOM objects takes the place of the networks. ``latency`` analyzes a synthetic lumbar study for real, with the
networks of the package loaded once. Each prints its figures as JSON, with machine and load.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pydicom
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from node_fakes import ask, orthanc, stub_analysis, tool, write_study
from spondyl.app.catalog import Catalog, StudyState
from spondyl.app.data_folder import DataFolder
from spondyl.app.jobs.ledger import Ledger
from spondyl.app.jobs.queue import JobError, Queue, study_job
from spondyl.app.jobs.worker import load_analyzer, working
from spondyl.app.node.send import send as send_files
from spondyl.app.node.service import NodeService
from spondyl.app.serve_settings import DicomDestination, ServeSettings
from spondyl.core import InputError
from spondyl.io.result import read_result

CONTEXT = multiprocessing.get_context("spawn")

MIB = 1024**2

EARLY = 0.25
"""Share of the kills that may hit a process while it starts."""


def serve(settings: ServeSettings) -> None:
    """Be the node, without page and workers, until killed."""
    NodeService(settings).start()
    time.sleep(3600)


def work(settings: ServeSettings, *, real: bool) -> None:
    """Be a worker until killed."""
    with working(settings, load_analyzer(settings) if real else stub_analysis, name="bench"):
        time.sleep(3600)


def started(target, settings: ServeSettings, **how):
    """Run one of the two in a process of its own."""
    process = CONTEXT.Process(target=target, args=(settings,), kwargs=how, daemon=True)
    process.start()
    return process


def settings_in(folder: Path, dicom_port: int, orthanc_port: int, **more) -> ServeSettings:
    """Settings of a node that returns to Orthanc."""
    pacs = {"name": "pacs", "kind": "dicom", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": orthanc_port}
    return ServeSettings(
        data=folder / "data", dicom_port=dicom_port, min_free_mib=0, destinations=[pacs], max_associations=64, **more
    )


def send(port: int, folder: Path, *, seconds: float = 0.0) -> int:
    """Send a study as a PACS does, again unless every object was acknowledged; gives how often it had to.

    dcmtk's own client ends with success where the other side breaks off, so it cannot tell.
    """
    node = DicomDestination(name="node", ae_title="SPONDYL", host="127.0.0.1", port=port)
    files = [p for p in folder.rglob("*") if p.is_file()]
    end, tries = time.monotonic() + seconds, 0
    while True:
        try:
            send_files(files, node, ae_title="BENCH")
        except JobError:
            if time.monotonic() > end:
                raise
            tries += 1
            time.sleep(0.3)
        else:
            return tries


class Senders:
    """Send studies by several associations at once; what was not taken in time is counted, never passed over."""

    def __init__(self, port: int, folders: list[Path], *, at_once: int, seconds: float, pause_s: float = 0.0) -> None:
        self._port, self._rest, self._seconds, self._pause_s = port, list(reversed(folders)), seconds, pause_s
        self._lock = threading.Lock()
        self.repeats: list[int] = []
        self.not_taken = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._rest:
                    return
                one = self._rest.pop()
            try:
                self.repeats.append(send(self._port, one, seconds=self._seconds))
            except JobError:
                self.not_taken += 1
            time.sleep(self._pause_s)

    def join(self) -> None:
        """Wait for the last one."""
        for thread in self._threads:
            thread.join()


def machine() -> dict:
    """What it ran on."""
    return {"cores": os.cpu_count(), "load_1_min": round(os.getloadavg()[0], 1), "python": sys.version.split()[0]}


def waited(catalog: Catalog, count: int, *, seconds: float) -> float:
    """Wait until so many studies are at rest; gives how long it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        found = catalog.counts()
        if found[StudyState.DONE] + found[StudyState.FAILED] == count:
            break
        time.sleep(0.2)
    return time.monotonic() - begun


def faults(settings: ServeSettings, keys: list[str], orthanc_http: int, per_study: int) -> dict:
    """Count what must not be: lost, doubled, incomplete, half-written."""
    folder, catalog, queue = DataFolder(settings.data), Catalog(settings.database), Queue(settings.database)
    rows = {row.study_key: row for row in catalog.list()}
    incomplete = 0
    for key in keys:
        try:
            document = read_result(folder.result(key))
            for name in document["files"].values():
                if name.endswith(".dcm"):
                    pydicom.dcmread(folder.result(key) / name)
        except (InputError, OSError, KeyError, pydicom.errors.InvalidDicomError):
            incomplete += 1
    half = [*folder.studies.glob("*/.*")] + [p for p in folder.scratch.iterdir() if p.suffix == ".dcm"]
    found = ask(orthanc_http, "/statistics")
    return {
        "studies_lost": sum(key not in rows for key in keys),
        "studies_doubled": len(rows) - len(keys),
        "not_done": sum(rows[k].state is not StudyState.DONE for k in keys if k in rows),
        "analyzed_not_exactly_once": sum(
            row.revision != 1 or queue.status(study_job(row.study_key, 1)) != "SUCCESS" for row in rows.values()
        ),
        "instances_lost_or_doubled": sum(abs(row.n_instances - per_study) for row in rows.values()),
        "results_incomplete": incomplete,
        "half_written": len(half),
        "orthanc_objects_missing_or_doubled": abs(found["CountInstances"] - 3 * len(keys)),
        "states": dict(Counter(str(row.state) for row in rows.values())),
    }


def load(args: argparse.Namespace, folder: Path) -> dict:
    """Many studies by many associations at once."""
    folders = [folder / "in" / str(n) for n in range(args.studies)]
    uids = [write_study(f, seed=n) for n, f in enumerate(folders)]
    with orthanc(folder / "orthanc") as (orthanc_port, http_port):
        settings = settings_in(folder, 21112, orthanc_port, quiet_s=2.0)
        node, worker = started(serve, settings), started(work, settings, real=False)
        wait_for_port(21112)
        peak = {"node": 0, "worker": 0}
        stop = threading.Event()
        watch = threading.Thread(target=memory, args=({"node": node, "worker": worker}, peak, stop))
        watch.start()
        begun = time.monotonic()
        senders = Senders(21112, folders, at_once=args.associations, seconds=10.0)
        senders.join()
        sent_s = time.monotonic() - begun
        catalog = Catalog(settings.database)
        rest_s = waited(catalog, args.studies, seconds=900)
        stop.set()
        watch.join()
        keys = [DataFolder(settings.data).study_key(uid) for uid in uids]
        found = faults(settings, keys, http_port, 6)
        node.kill()
        worker.kill()
    return {
        "studies": args.studies,
        "associations_at_once": args.associations,
        "instances": 6 * args.studies,
        "sent_s": round(sent_s, 1),
        "all_returned_after_another_s": round(rest_s, 1),
        "associations_refused": sum(senders.repeats),
        "studies_not_taken": senders.not_taken,
        "peak_memory_mib": {name: round(value / MIB) for name, value in peak.items()},
        **found,
    }


def memory(processes: dict, peak: dict, stop: threading.Event) -> None:
    """Watch the resident memory of processes."""
    watched = {name: psutil.Process(p.pid) for name, p in processes.items()}
    while not stop.wait(0.25):
        for name, process in watched.items():
            peak[name] = max(peak[name], process.memory_info().rss)


def wait_for_port(port: int) -> None:
    """Wait until the node answers an echo."""
    command = [tool("echoscu", "dcmtk"), "-aec", "SPONDYL", "127.0.0.1", str(port)]
    for _ in range(300):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.2)
    msg = "the node does not answer"
    raise SystemExit(msg)


def wait_until_up(name: str, catalog: Catalog) -> None:
    """Wait until the node answers, or the worker has given a sign of life."""
    if name == "node":
        wait_for_port(21113)
        return
    ledger = Ledger(catalog)
    for _ in range(600):
        if ledger.alive():
            return
        time.sleep(0.1)
    msg = "the worker does not come up"
    raise SystemExit(msg)


def kills(args: argparse.Namespace, folder: Path) -> dict:
    """Node and worker are killed at random moments while studies come, are analyzed and returned."""
    chance = random.Random(args.seed)  # noqa: S311 - moments of kills, no secrets
    folders = [folder / "in" / str(n) for n in range(args.studies)]
    uids = [write_study(f, seed=n) for n, f in enumerate(folders)]
    with orthanc(folder / "orthanc") as (orthanc_port, http_port):
        settings = settings_in(folder, 21113, orthanc_port, quiet_s=4.0)
        targets = {"node": (serve, {}), "worker": (work, {"real": False})}
        running = {name: started(t, settings, **how) for name, (t, how) in targets.items()}
        wait_for_port(21113)
        catalog = Catalog(settings.database)
        senders = Senders(21113, folders, at_once=2, seconds=900.0, pause_s=args.pause_s)
        count = Counter()
        while sum(count.values()) < args.kills:
            name = chance.choice(list(running))
            if chance.random() < EARLY:
                time.sleep(chance.uniform(0.0, 2.0))
            else:  # on a busy machine a process that is killed at once again would never come to anything
                wait_until_up(name, catalog)
                time.sleep(chance.uniform(0.0, args.every_s))
            count[name] += 1
            running[name].kill()
            running[name].join()
            if name == "worker":
                Ledger(catalog).leave("bench")  # so that its successor's sign of life is not taken for its own
            running[name] = started(targets[name][0], settings, **targets[name][1])
        senders.join()
        rest_s = waited(catalog, args.studies, seconds=600)
        keys = [DataFolder(settings.data).study_key(uid) for uid in uids]
        found = faults(settings, keys, http_port, 6)
        for process in running.values():
            process.kill()
    return {
        "kills": dict(count),
        "studies": args.studies,
        "studies_sent_again": sum(bool(n) for n in senders.repeats),
        "studies_not_taken": senders.not_taken,
        "at_rest_after_the_last_kill_s": round(rest_s, 1),
        **found,
    }


def latency(args: argparse.Namespace, folder: Path) -> dict:
    """From the last instance to the last object stored in Orthanc, with a warm worker."""
    study = args.study
    if study is None:
        from spondyl.app.simulate import simulate_study

        study = simulate_study(1_000_001, folder / "patient")
    with orthanc(folder / "orthanc") as (orthanc_port, _):
        settings = settings_in(folder, 21114, orthanc_port, quiet_s=args.quiet_s)
        node, worker = started(serve, settings), started(work, settings, real=True)
        wait_for_port(21114)
        catalog = Catalog(settings.database)
        runs = []
        for number in range(args.runs + 1):
            copy = folder / "copies" / str(number)
            n_instances = renamed(study, copy, number)
            before = psutil.Process(worker.pid).cpu_times().user if number else 0.0
            send(21114, copy)
            waited(catalog, number + 1, seconds=300)
            used = psutil.Process(worker.pid).cpu_times().user - before
            row = max(catalog.list(), key=lambda r: r.received_at)
            runs.append(dict(row.summary) | {"cpu_s": used, "state": str(row.state), "instances": n_instances})
        node.kill()
        worker.kill()
    warm = runs[1:]  # the first one is for warming up

    def median(values) -> float:
        return round(statistics.median(values), 2)

    models = ("localize", "lesions", "classify", "explain")
    whole = [r["returned_at"] - r["last_instance_at"] for r in warm]
    begun = [r["analyzed_at"] - r["analysis_s"] for r in warm]
    inside = [sum(r["timings_s"].get(part, 0.0) for part in models) for r in warm]
    return {
        "study": f"{warm[0]['instances']} instances",
        "runs": len(warm),
        "states": [r["state"] for r in warm],
        "latency_s": median(whole),
        "latency_s_all": [round(v, 2) for v in whole],
        "quiet_s_included": args.quiet_s,
        "steps_with_networks_s": median(inside),
        "outside_s": median([w - i - args.quiet_s for w, i in zip(whole, inside, strict=True)]),
        "of_it_until_begun_s": median(
            [b - r["last_instance_at"] - args.quiet_s for b, r in zip(begun, warm, strict=True)]
        ),
        "of_it_after_analysis_s": median([r["returned_at"] - r["analyzed_at"] for r in warm]),
        "worker_cpu_s": median([r["cpu_s"] for r in warm]),
        "parts_s": {part: median([r["timings_s"].get(part, 0.0) for r in warm]) for part in warm[0]["timings_s"]},
    }


def renamed(study: Path, copy: Path, number: int) -> int:
    """Copy a study under new UIDs, so that it is another one."""
    copy.mkdir(parents=True)
    files = [p for p in sorted(Path(study).rglob("*")) if p.is_file()]
    for n, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, generate_uid(entropy_srcs=[str(number), str(dataset.get(keyword))]))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(copy / f"{n:04d}.dcm", enforce_file_format=True)
    return len(files)


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "kills", "latency"))
    parser.add_argument("--studies", type=int, default=None)
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pause-s", type=float, default=2.0)
    parser.add_argument("--every-s", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quiet-s", type=float, default=0.5)
    parser.add_argument("--study", type=Path, default=None)
    args = parser.parse_args()
    args.studies = args.studies or (200 if args.what == "load" else 100)
    with tempfile.TemporaryDirectory(prefix="spondyl-bench-") as folder:
        figures = {"load": load, "kills": kills, "latency": latency}[args.what](args, Path(folder))
    sys.stdout.write(json.dumps({"what": args.what, **figures, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
