"""How deliveries end: what a study comes to with its last one, dead letters, and how to try them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondyl.app.catalog import StudyState, now
from spondyl.app.jobs.ledger import DeliveryState
from spondyl.core import InputError

if TYPE_CHECKING:
    from spondyl.app.catalog import Catalog
    from spondyl.app.jobs.ledger import Ledger
    from spondyl.app.jobs.queue import Queue


def end_delivery(catalog: Catalog, ledger: Ledger, delivery: tuple[str, int, str], *, error: str = "") -> str:
    """Note how a delivery ended, and with the last one of a result, how its study did.

    Parameters
    ----------
    catalog, ledger
        Of the node.
    delivery : tuple of str, int and str
        Study, revision and destination.
    error : str, optional
        Why it failed for good; empty if it arrived.

    Returns
    -------
    str
        ``"open"`` while others are on their way, then ``"done"`` or ``"failed"``.
    """
    study_key, revision, destination = delivery
    ledger.settle(study_key, revision, destination, error=error)
    others = ledger.of(study_key, revision)
    if any(d.state is DeliveryState.OPEN for d in others):
        return "open"
    dead = [d.error for d in others if d.state is DeliveryState.DEAD]
    row = catalog.get(study_key)
    known = {} if row is None else dict(row.summary) | {"returned_at": now().timestamp()}
    state = StudyState.FAILED if dead else StudyState.DONE
    catalog.set_state(study_key, state, revision=revision, error="; ".join(dead), summary=known)
    return str(state)


def retry(catalog: Catalog, ledger: Ledger, queue: Queue, study_key: str) -> str:
    """Try a failed study again: what could not be delivered is sent again, anything else is analyzed anew.

    Parameters
    ----------
    catalog, ledger, queue
        Of the node.
    study_key : str
        The study.

    Returns
    -------
    str
        ``"delivery"`` or ``"analysis"``, which was begun again.

    Raises
    ------
    InputError
        If there is no such study, or it has not failed.
    """
    row = catalog.get(study_key)
    if row is None or row.state is not StudyState.FAILED:
        state = "none of this key" if row is None else f"one that is {row.state}"
        msg = f"expected a study that has failed, got {state}; see the list of studies"
        raise InputError(msg)
    dead = [d for d in ledger.of(study_key, row.revision) if d.state is DeliveryState.DEAD]
    if dead:
        catalog.set_state(study_key, StudyState.RETURNING, revision=row.revision, error="")
        for delivery in dead:
            queue.delivery(ledger.reopen(delivery))
        return "delivery"
    revision = catalog.receive(study_key).revision
    catalog.set_state(study_key, StudyState.QUEUED, revision=revision)
    queue.study(study_key, revision)
    return "analysis"
