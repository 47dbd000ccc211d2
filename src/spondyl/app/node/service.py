"""The node as a whole: door, network, arrivals and queue in one process, and what goes on in the background."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

from spondyl.app.catalog import Catalog, StudyState
from spondyl.app.data_folder import DataFolder
from spondyl.app.jobs.ledger import DeliveryState, Ledger
from spondyl.app.jobs.queue import Queue, delivery_job, prepare, study_job
from spondyl.app.jobs.retry import end_delivery
from spondyl.app.node.arrivals import Arrivals
from spondyl.app.node.intake import Intake
from spondyl.app.node.scp import Node

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from spondyl.app.catalog import StudyRow
    from spondyl.app.serve_settings import ServeSettings

TICK_S, LEAST_TICK_S = 0.1, 0.005
"""Longest and shortest time until it is looked again whether a study is complete, in s; it is looked when one is due.
Chosen by us."""

HOUSEKEEPING_S = 30.0
"""How often lost jobs are looked for, in s. Chosen by us."""

RETENTION_S = 3600.0
"""How often old studies are looked for, in s."""

SCRATCH_KEPT_S = 3600.0
"""A file that is not complete after so long never will be, in s: its sender is gone. Chosen by us."""

GIVEN_UP = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""States of a job that will not go on by itself, in the words of DBOS."""

log = logging.getLogger("spondyl.node")


class NodeService:
    """Everything a node does but analyze, and the page.

    Parameters
    ----------
    settings : ServeSettings
        How it serves.

    Raises
    ------
    JobError
        If the database cannot be reached.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data).make()
        prepare(settings.database)
        self.catalog = Catalog(settings.database)
        self.ledger = Ledger(self.catalog)
        self.queue = Queue(settings.database)
        self.arrivals = Arrivals(self.folder, self.catalog, self.queue.study, quiet_s=settings.quiet_s)
        self.intake = Intake(
            self.folder,
            self.arrivals.note,
            came_again=self.arrivals.note_again,
            max_object_mib=settings.max_object_mib,
            min_free_mib=settings.min_free_mib,
        )
        self.node = Node(settings, self.intake, self.complete)
        self.token = self.folder.token(settings.token.get_secret_value())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._beat_at = time.monotonic()

    @cached_property
    def metrics(self) -> CollectorRegistry:
        """What Prometheus is given."""
        from spondyl.app.monitor.metrics import registry

        return registry(self)

    def start(self) -> int:
        """Begin to serve.

        Returns
        -------
        int
            The DICOM port.
        """
        for leftover in self.folder.scratch.iterdir():
            _drop(leftover)  # not complete when an earlier process ended; its sender was told nothing
        self.arrivals.resume()
        port = self.node.start()
        self._thread.start()
        log.info("node ready", extra={"facts": {"dicom_port": port}})
        return port

    def stop(self) -> None:
        """End serving; studies that are coming are found again by the next start."""
        self.node.stop()
        self._stop.set()
        self._thread.join()
        self.queue.close()
        self.catalog.close()

    def complete(self, study_uid: str) -> bool:
        """Mind a sender who says that a study is complete.

        Parameters
        ----------
        study_uid : str
            Its StudyInstanceUID.

        Returns
        -------
        bool
            Whether it was open.
        """
        return self.arrivals.complete(self.folder.study_key(study_uid))

    def checks(self) -> dict[str, bool]:
        """Say what works.

        Returns
        -------
        dict of str to bool
            By what was looked at.
        """
        try:
            workers = self.ledger.alive()
            database = True
        except Exception:  # noqa: BLE001 - that it does not answer is the answer
            workers, database = 0, False
        return {
            "database": database,
            "disk": self.intake.has_room,
            "worker": workers > 0,
            "watch": time.monotonic() - self._beat_at < HOUSEKEEPING_S,
        }

    def _watch(self) -> None:
        kept = cleaned = time.monotonic()
        while not self._stop.wait(max(self.arrivals.due_in_s(TICK_S), LEAST_TICK_S)):
            self._beat_at = time.monotonic()
            try:
                self.arrivals.complete_quiet()
                if self._beat_at - kept > HOUSEKEEPING_S:
                    kept = self._beat_at
                    self.find_lost()
                if self._beat_at - cleaned > RETENTION_S:
                    cleaned = self._beat_at
                    self._clean()
            except Exception as error:  # noqa: BLE001 - a database that is away for a while comes back
                log.error("the watch stumbled", extra={"facts": {"why": type(error).__name__}})
                self._stop.wait(TICK_S)

    def find_lost(self) -> None:
        """Find studies whose job is gone: hand them over again, or say that they were given up."""
        for row in self.catalog.list(states=(StudyState.QUEUED, StudyState.ANALYZING, StudyState.RETURNING)):
            if row.state is StudyState.RETURNING:
                self._find_lost_deliveries(row)
                continue
            status = self.queue.status(study_job(row.study_key, row.revision))
            if status is None:
                self.queue.study(row.study_key, row.revision)
            elif status in GIVEN_UP:
                why = "its analysis ended its process again and again; look at its images, then retry it"
                self.catalog.set_state(row.study_key, StudyState.FAILED, revision=row.revision, error=why)

    def _find_lost_deliveries(self, row: StudyRow) -> None:
        """Do the same for deliveries; one to a destination that is no more would wait for ever."""
        named = {destination.name for destination in self.settings.destinations}
        for delivery in self.ledger.of(row.study_key, row.revision):
            if delivery.state is not DeliveryState.OPEN:
                continue
            status = self.queue.status(delivery_job(delivery))
            if delivery.destination not in named:
                why = "no destination of this name is in the settings any more; add it and retry"
            elif status in GIVEN_UP:
                why = "the delivery ended its process again and again; retry it"
            else:
                if status is None:
                    self.queue.delivery(delivery)
                continue
            which = row.study_key, row.revision, delivery.destination
            end_delivery(self.catalog, self.ledger, which, error=f"{delivery.destination}: {why}")

    def _clean(self) -> None:
        from spondyl.app.monitor.retention import purge_old

        now = time.time()
        for file in self.folder.scratch.iterdir():
            if now - file.stat().st_mtime > SCRATCH_KEPT_S:
                _drop(file)
        if self.settings.retention_days is not None:
            purge_old(self.folder, self.catalog, self.ledger, self.queue, days=self.settings.retention_days)


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
