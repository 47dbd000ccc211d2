"""A folder of studies as jobs on the same queue: over the cores of one machine, or over many by one database.

Studies and results may lie anywhere that fsspec reaches, such as ``s3://...``. A result is taken from where it lies if
it is there already, so a run that was broken off, on whatever machine, goes on where it ended.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from dbos import DBOS, StepOptions

from spondyl.app.jobs.queue import COHORT, Queue, prepare
from spondyl.app.jobs.work import ANALYSIS_TRIES, FIRST_PAUSE_S, MAX_CRASHES, SLOWER, bench
from spondyl.core import InputError, OutputError, SpondylError
from spondyl.io.dicom import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spondyl.app.serve_settings import ServeSettings

WORKER_GIB = 2.5
"""Memory that one worker may need, in GiB; no more are started than fit. Measured on a five-sequence lumbar study."""

KEY_DIGITS = 16
"""Hexadecimal digits of the name of a result: 64 bits."""

POLL_S = 0.5


@dataclass(frozen=True)
class Entry:
    """One study of a cohort.

    Parameters
    ----------
    key : str
        Name of its result; made from its place, since names of folders often hold names of patients.
    place : str
        Where it lies, within the file system of the cohort.
    """

    key: str
    place: str


def entries(studies: str) -> list[Entry]:
    """List the studies of a cohort: every folder, zip and NIfTI file that lies directly in a place.

    Parameters
    ----------
    studies : str
        A folder, or a URL that fsspec knows.

    Returns
    -------
    list of Entry
        In the order of their names.

    Raises
    ------
    InputError
        If the place cannot be reached or holds no study.
    """
    try:
        files, root = fsspec.core.url_to_fs(studies)
        found = files.ls(root, detail=True)
    except ImportError as error:
        msg = f"the place of the studies cannot be reached: {error}"  # fsspec says which package to install
        raise InputError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"the place of the studies cannot be reached ({type(error).__name__}); check its path or URL"
        raise InputError(msg) from None
    places = sorted(
        str(f["name"]).rstrip("/")
        for f in found
        if f["type"] == "directory" or str(f["name"]).lower().endswith((".zip", ".nii", ".nii.gz"))
    )
    places = [p for p in places if not Path(p).name.startswith(".")]
    if not places:
        msg = "expected a folder with one folder, zip or NIfTI file for each study, got none; check its path"
        raise InputError(msg)
    return [Entry(hashlib.sha256(Path(p).name.encode()).hexdigest()[:KEY_DIGITS], p) for p in places]


def result_of(out: str, key: str) -> str:
    """Give the place of a result.

    Parameters
    ----------
    out : str
        Where the cohort's results lie.
    key : str
        Of the study.

    Returns
    -------
    str
        A path or URL.
    """
    return f"{out.rstrip('/')}/studies/{key}"


@DBOS.workflow(name="cohort_study", max_recovery_attempts=MAX_CRASHES)
def cohort_study(studies: str, place: str, result: str) -> str:
    """Analyze one study of a cohort.

    Parameters
    ----------
    studies : str
        Where the cohort lies.
    place : str
        Where the study lies, within its file system.
    result : str
        Where its result goes.

    Returns
    -------
    str
        Empty, or why it has no result.
    """
    retry: StepOptions = {
        "name": "analyze",
        "retries_allowed": True,
        "max_attempts": ANALYSIS_TRIES,
        "interval_seconds": FIRST_PAUSE_S,
        "backoff_rate": SLOWER,
        "should_retry": lambda error: isinstance(error, OSError | OutputError),
    }
    try:
        return str(DBOS.run_step(retry, analyze_entry, studies, place, result))
    except Exception as error:  # noqa: BLE001 - one study never costs the others
        fault = (getattr(error, "errors", None) or [error])[-1]
        return str(fault) if isinstance(fault, SpondylError) else f"a defect ({type(fault).__name__})"


def analyze_entry(studies: str, place: str, result: str) -> str:
    """Fetch a study, analyze it, and put its result where it belongs, unless it is there.

    Parameters
    ----------
    studies, place, result
        As for `cohort_study`.

    Returns
    -------
    str
        Empty, or why the study cannot be used.
    """
    source, _ = fsspec.core.url_to_fs(studies)
    target, folder = fsspec.core.url_to_fs(result)
    if target.exists(f"{folder}/result.json"):
        return ""
    with tempfile.TemporaryDirectory(prefix="spondyl-") as scratch:
        local = Path(place) if _is_local(source) else Path(scratch) / "in" / Path(place).name
        if not _is_local(source):
            local.parent.mkdir()
            source.get(place, str(local), recursive=True)
        out = Path(folder) if _is_local(target) else Path(scratch) / "out"
        try:
            with quiet():
                bench().analyze(local, out)
        except InputError as error:
            return " ".join(str(error).split())
        if not _is_local(target):
            _put(target, out, folder)
    return ""


def _put(target: Any, out: Path, folder: str) -> None:
    """Put a result into a store, ``result.json`` last, by which it is known to be whole."""
    files = sorted((p for p in out.rglob("*") if p.is_file()), key=lambda p: p.name == "result.json")
    for file in files:
        there = f"{folder}/{file.relative_to(out).as_posix()}"
        target.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
        target.put_file(str(file), there)


def _is_local(files: Any) -> bool:
    return "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))


def workers_that_fit() -> int:
    """Say how many workers this machine has room for.

    Returns
    -------
    int
        One a core, as far as its memory goes; at least one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    except (ValueError, OSError, AttributeError):
        return max(1, cores // 2)
    return max(1, min(cores, int(memory_gib / WORKER_GIB)))


def run_cohort(
    studies: str,
    out: str,
    settings: ServeSettings,
    *,
    progress: Callable[[str, int, int], None],
    target: Callable[[ServeSettings, str], None],
) -> dict[str, str]:
    """Analyze all studies of a cohort and wait for them.

    Parameters
    ----------
    studies : str
        Where they lie.
    out : str
        Where results go.
    settings : ServeSettings
        Database, scratch folder, number of workers, threads of each.
    progress : callable
        Told the name of the part, the number of the study and their count.
    target : callable
        Is a worker; started in processes of its own with the settings and a name.

    Returns
    -------
    dict of str to str
        By key of the study: empty, or why it has no result.

    Raises
    ------
    InputError
        If there are no studies.
    JobError
        If the database cannot be reached.
    """
    wanted = entries(studies)
    prepare(settings.database)
    queue = Queue(settings.database)
    jobs = {entry.key: _handed_over(queue, studies, entry, out) for entry in wanted}
    context = multiprocessing.get_context("spawn")
    team: dict[str, Any] = {}
    try:
        ended: Mapping[str, str] = {}
        while len(ended) < len(jobs):
            for number in range(settings.workers):
                name = f"cohort-{number}"
                if name not in team or not team[name].is_alive():  # a dead one's job goes on with the next
                    team[name] = context.Process(target=target, args=(settings, name), daemon=True)
                    team[name].start()
            now = queue.outcomes(jobs.values())
            if len(now) > len(ended):
                progress("study", len(now), len(jobs))
            ended = now
            time.sleep(POLL_S if len(ended) < len(jobs) else 0)
    finally:
        for worker in team.values():
            worker.terminate()
        for worker in team.values():
            worker.join(10)
            worker.kill()
        queue.close()
    return {key: ended[job] for key, job in jobs.items()}


def _handed_over(queue: Queue, studies: str, entry: Entry, out: str) -> str:
    """Put a study into the queue, or find it there; what ended without a result is tried once more in a new run."""
    result = result_of(out, entry.key)
    stem = f"cohort-{hashlib.sha256(out.encode()).hexdigest()[:12]}-{entry.key}"
    target, folder = fsspec.core.url_to_fs(result)
    tries = 1
    while (status := queue.status(f"{stem}-t{tries}")) not in (None, "ENQUEUED", "PENDING"):
        if status == "SUCCESS" and target.exists(f"{folder}/result.json"):
            break
        tries += 1
    job = f"{stem}-t{tries}"
    queue.put(COHORT, "cohort_study", job, studies, entry.place, result)
    return job
