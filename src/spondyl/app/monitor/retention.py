"""Deleting what is no longer needed: studies with their results, quarantine, and every record of them here.

Files go first, so that nothing of a patient stays without a row that tells of it.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from spondyl.app.catalog import StudyState, now

if TYPE_CHECKING:
    from spondyl.app.catalog import Catalog, StudyRow
    from spondyl.app.data_folder import DataFolder
    from spondyl.app.jobs.ledger import Ledger
    from spondyl.app.jobs.queue import Queue

AT_REST = (StudyState.DONE, StudyState.FAILED)
"""Only studies in these states are deleted."""

log = logging.getLogger("spondyl.retention")


@dataclass(frozen=True)
class Purged:
    """What was deleted.

    Parameters
    ----------
    studies : tuple of str
        Keys of the studies.
    n_quarantined : int
        Objects in quarantine.
    """

    studies: tuple[str, ...] = ()
    n_quarantined: int = 0


def old_studies(catalog: Catalog, *, days: float) -> list[StudyRow]:
    """Find the studies that may be deleted.

    Parameters
    ----------
    catalog : Catalog
        Of the node.
    days : float
        Older than this, by their last change.

    Returns
    -------
    list of StudyRow
        At rest and old enough.
    """
    before = now() - timedelta(days=days)
    return [row for row in catalog.list(states=AT_REST) if row.changed_at is not None and row.changed_at < before]


def purge_study(folder: DataFolder, catalog: Catalog, ledger: Ledger, queue: Queue, study_key: str) -> None:
    """Delete a study, its result and every record of it.

    Parameters
    ----------
    folder, catalog, ledger, queue
        Of the node.
    study_key : str
        The study.
    """
    place = folder.study(study_key)
    gone = folder.scratch / f"purged-{study_key}"
    if place.exists():
        place.replace(gone)  # in one step out of sight, so that nobody reads half a study
        shutil.rmtree(gone)
    ledger.forget(study_key)
    queue.forget(study_key)
    catalog.delete(study_key)
    log.info("study purged", extra={"facts": {"study": study_key}})


def purge_old(folder: DataFolder, catalog: Catalog, ledger: Ledger, queue: Queue, *, days: float) -> Purged:
    """Delete studies and quarantine that are older than wanted.

    Parameters
    ----------
    folder, catalog, ledger, queue
        Of the node.
    days : float
        How many days are kept.

    Returns
    -------
    Purged
        What was deleted.
    """
    rows = old_studies(catalog, days=days)
    for row in rows:
        purge_study(folder, catalog, ledger, queue, row.study_key)
    before = (now() - timedelta(days=days)).timestamp()
    old = [f for f in folder.quarantine.iterdir() if f.stat().st_mtime < before]
    for file in old:
        file.unlink(missing_ok=True)
    return Purged(tuple(row.study_key for row in rows), sum(f.suffix == ".json" for f in old))
