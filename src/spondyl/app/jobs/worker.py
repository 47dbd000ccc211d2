"""A worker: one process that loads the networks once and takes one study at a time from the queue."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import secrets
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from spondyl.app.catalog import Catalog
from spondyl.app.data_folder import DataFolder, held
from spondyl.app.jobs.ledger import BEAT_S, Ledger
from spondyl.app.jobs.queue import (
    APPLICATION,
    COHORT,
    NOTICES,
    POLL_S,
    PROTOCOL,
    STUDIES,
    deliveries_to,
    prepare,
    silence_jobs_library,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from spondyl.app.serve_settings import ServeSettings

DELIVERIES_AT_ONCE = 4
"""Results that one worker sends to one destination at the same time. Chosen by us."""

log = logging.getLogger("spondyl.worker")


def load_analyzer(settings: ServeSettings) -> Callable[[Path, Path], Mapping[str, Any]]:
    """Load the networks and give the function that analyzes.

    Parameters
    ----------
    settings : ServeSettings
        Names the settings of the analysis and the threads.

    Returns
    -------
    callable
        For a `Bench`.

    Raises
    ------
    ModelError
        If the weights are missing or damaged.
    SettingsError
        If the settings of the analysis do not fit.
    """
    from spondyl.app.analyze import AnalysisOptions, load_networks
    from spondyl.app.jobs.work import analyzer
    from spondyl.pipeline.settings import Settings, read_settings

    chosen = Settings() if settings.analysis is None else read_settings(settings.analysis)
    if settings.threads:
        chosen = replace(chosen, threads=settings.threads)
    return analyzer(AnalysisOptions(settings=chosen), load_networks(chosen))


@contextlib.contextmanager
def working(
    settings: ServeSettings, analyze: Callable[[Path, Path], Mapping[str, Any]], *, name: str = ""
) -> Iterator[None]:
    """Work while inside.

    Parameters
    ----------
    settings : ServeSettings
        Database and data folder.
    analyze : callable
        As from `load_analyzer`.
    name : str, optional
        Of this worker. A worker that comes back under the name of one that died goes on with its jobs at once.

    Yields
    ------
    None
        Jobs are taken meanwhile.

    Raises
    ------
    JobError
        If the database cannot be reached.
    """
    from dbos import DBOS

    from spondyl.app.jobs import cohort, work  # noqa: F401 - makes their jobs known to the queue

    name = name or secrets.token_hex(8)
    folder = DataFolder(settings.data).make()
    with held(folder.root / f".worker-{name}"):  # one that comes back waits until the one before it is gone
        silence_jobs_library()
        prepare(settings.database)
        catalog = Catalog(settings.database)
        ledger = Ledger(catalog)
        work.use(work.Bench(settings, folder, catalog, ledger, analyze))
        _launch(settings, name)
        stop = threading.Event()
        beats = threading.Thread(target=_beat, args=(ledger, name, stop), daemon=True)
        beats.start()
        try:
            yield
        finally:
            stop.set()
            beats.join()
            DBOS.destroy(workflow_completion_timeout_sec=0)
            ledger.leave(name)
            catalog.close()


def _launch(settings: ServeSettings, name: str) -> None:
    from dbos import DBOS

    queues = {STUDIES: 1, COHORT: 1, NOTICES: DELIVERIES_AT_ONCE}
    queues |= {deliveries_to(d.name): DELIVERIES_AT_ONCE for d in settings.destinations}
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": settings.database,
            "application_version": PROTOCOL,
            "executor_id": name,
            "log_level": "CRITICAL",
        }
    )
    silence_jobs_library()
    DBOS.launch()
    for queue, at_once in queues.items():
        DBOS.register_queue(queue, worker_concurrency=at_once, polling_interval_sec=POLL_S)


def _beat(ledger: Ledger, name: str, stop: threading.Event) -> None:
    """Give signs of life, and take over the jobs of workers that give none."""
    from dbos import DBOS

    while True:
        try:
            ledger.beat(name)
            for dead in ledger.dead():
                if ledger.leave(dead):
                    log.warning("a worker died", extra={"facts": {"worker": dead}})
                    DBOS._recover_pending_workflows([dead])  # there is no public way to ask
        except Exception as error:  # noqa: BLE001 - a database that is away for a while comes back
            log.error("no sign of life", extra={"facts": {"why": type(error).__name__}})
        if stop.wait(BEAT_S):
            return


def run_worker(settings: ServeSettings, *, name: str = "", parent: bool = False) -> None:
    """Work until told to stop.

    Parameters
    ----------
    settings : ServeSettings
        Database and data folder.
    name : str, optional
        Of this worker.
    parent : bool, optional
        Whether to end when the process that started this one does, however that ends.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # A terminal interrupts all its processes; one that has a parent leaves it to that one.
    signal.signal(signal.SIGINT, signal.SIG_IGN if parent else lambda *_: stop.set())
    if parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    analyze = load_analyzer(settings)
    with working(settings, analyze, name=name):
        log.info("worker ready", extra={"facts": {"worker": name}})
        stop.wait()
    log.info("worker ended")
    os._exit(0)  # an analysis that is under way goes on with the next start


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
