"""When a study is complete: after a quiet time, or when a message says so.

DICOM senders do not say when they are done. What is known for sure is that nothing came for a while, so a study waits
for that; a sender that knows better can say it and save the wait. Instances that come later open the study again, and
it is analyzed once more, with all of them.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from spondyl.app.catalog import StudyState, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder


class Arrivals:
    """Studies whose instances are coming.

    Parameters
    ----------
    folder : DataFolder
        Where their instances lie.
    catalog : Catalog
        Where their state is kept.
    enqueue : callable
        Told study key and revision of each complete study; may be told twice, and must mind only once.
    quiet_s : float
        A study is complete when nothing came for so long, in s.
    """

    def __init__(
        self, folder: DataFolder, catalog: Catalog, enqueue: Callable[[str, int], None], *, quiet_s: float
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._enqueue = enqueue
        self._quiet_s = quiet_s
        self._last: dict[str, float] = {}
        self._untold: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Give the number of studies that are coming."""
        return len(self._last)

    def note(self, study_key: str) -> None:
        """Note that a new instance of a study lies in its place.

        Whatever the catalog answers, the study is remembered here: a database that is away for a moment must not have a
        file lie unknown until the next start.

        Parameters
        ----------
        study_key : str
            The study.
        """
        with self._lock:
            if study_key not in self._last:
                self._untold.add(study_key)
            self._last[study_key] = time.monotonic()
            self._tell(study_key)

    def note_again(self, study_key: str) -> None:
        """Note that an instance came once more: its sender is still at it, so a study that is open waits on.

        Parameters
        ----------
        study_key : str
            The study.
        """
        with self._lock:
            if study_key in self._last:
                self._last[study_key] = time.monotonic()

    def _tell(self, study_key: str) -> None:
        """Tell the catalog that a study is coming, unless it was told."""
        if study_key in self._untold:
            self._catalog.receive(study_key)
            self._untold.discard(study_key)

    def complete(self, study_key: str) -> bool:
        """Close a study and hand it over for analysis.

        Parameters
        ----------
        study_key : str
            The study.

        Returns
        -------
        bool
            Whether it was open.
        """
        with self._lock:  # an instance that comes now waits, and then opens the study again
            last = self._last.get(study_key)
            if last is None:
                return False
            self._tell(study_key)
            row = self._catalog.get(study_key)
            if row is None:  # purged meanwhile
                del self._last[study_key]
                return False
            n_instances = sum(1 for _ in self._folder.incoming(study_key).glob("*.dcm"))
            summary = {"last_instance_at": now().timestamp() - (time.monotonic() - last)}
            self._catalog.set_state(study_key, StudyState.QUEUED, n_instances=n_instances, summary=summary)
            del self._last[study_key]
        self._enqueue(study_key, row.revision)
        return True

    def complete_quiet(self) -> int:
        """Hand over every study that has been quiet for long enough.

        Returns
        -------
        int
            How many.
        """
        before = time.monotonic() - self._quiet_s
        quiet = [key for key, last in list(self._last.items()) if last <= before]
        return sum(self.complete(key) for key in quiet)

    def due_in_s(self, most_s: float) -> float:
        """Say when to look next.

        Parameters
        ----------
        most_s : float
            At the latest, in s; the clock of the last object may move meanwhile.

        Returns
        -------
        float
            Time until the next study will have been quiet for long enough, in s.
        """
        oldest = min(list(self._last.values()), default=float("inf"))
        return min(max(oldest + self._quiet_s - time.monotonic(), 0.0), most_s)

    def resume(self) -> None:
        """Find what an earlier process left: instances that the catalog does not know, studies not handed over."""
        rows = {row.study_key: row for row in self._catalog.list()}
        for place in self._folder.studies.iterdir():
            row = rows.get(place.name)
            n_instances = sum(1 for _ in (place / "incoming").glob("*.dcm"))
            if row is None and not n_instances:
                continue
            if row is None or row.state is StudyState.RECEIVING or row.n_instances != n_instances:
                self.note(place.name)
            elif row.state is StudyState.QUEUED:
                self._enqueue(row.study_key, row.revision)
