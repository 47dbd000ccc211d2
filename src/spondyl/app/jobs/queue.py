"""The queue as those see it who put work into it: the node, the command line, workers themselves.

Jobs are named after what they do, so that handing one over twice does nothing the second time.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from spondyl.core import SpondylError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbos import DBOSClient

    from spondyl.app.jobs.ledger import Delivery

APPLICATION = "spondyl"
"""Name under which the jobs are kept."""

PROTOCOL = "2"
"""Version of the jobs' names and arguments; workers of one version take up jobs that an earlier release left."""

STUDIES, COHORT, NOTICES = "studies", "cohort", "notices"
"""Queues; each destination has one of its own beside them."""

POLL_S = 0.1
"""How often a worker looks for work, in s. Chosen by us: little beside an analysis, and little load."""


MIGRATION_PAUSE_S = 1.0
"""Pause before the tables are asked for once more, in s. Chosen by us."""


class JobError(SpondylError):
    """A job could not be done; tried again, unless it was tried often enough."""


def deliveries_to(destination: str) -> str:
    """Name the queue of a destination, so that one that is down does not hold up the others.

    Parameters
    ----------
    destination : str
        Its name.

    Returns
    -------
    str
        Name of the queue.
    """
    return f"deliver-{destination}"


def silence_jobs_library() -> None:
    """Keep the jobs library from logging texts of errors, which might quote an input."""
    library = logging.getLogger("dbos")
    library.handlers.clear()
    library.setLevel(logging.CRITICAL)


def prepare(url: str) -> None:
    """Make the tables of the queue where they are missing.

    Parameters
    ----------
    url : str
        The database.

    Raises
    ------
    JobError
        If there is no database to be reached.
    """
    from dbos import DBOS

    silence_jobs_library()
    try:
        try:
            DBOS.migrate(url)
        except Exception:  # noqa: BLE001 - another process makes the tables at this moment
            time.sleep(MIGRATION_PAUSE_S)
            DBOS.migrate(url)
    except Exception as error:  # noqa: BLE001 - drivers have errors of their own
        kind = url.partition(":")[0]
        msg = f"the {kind} database cannot be reached ({type(error).__name__}); check database_url and that it runs"
        raise JobError(msg) from None


class Queue:
    """Puts work into the queue and looks at it.

    Parameters
    ----------
    url : str
        The database; its tables exist (`prepare`).
    """

    def __init__(self, url: str) -> None:
        from dbos import DBOSClient

        silence_jobs_library()
        self._client: DBOSClient = DBOSClient(system_database_url=url, application_name=APPLICATION)

    def close(self) -> None:
        """Give all connections back."""
        self._client.destroy()

    def put(self, queue: str, workflow: str, job: str, *arguments: Any) -> None:
        """Put a job into a queue, unless it was put there before.

        Parameters
        ----------
        queue : str
            Which one.
        workflow : str
            Name of the function that does it.
        job : str
            The job's own name.
        *arguments : object
            Of the function.
        """
        self._client.enqueue({"workflow_name": workflow, "queue_name": queue, "workflow_id": job}, *arguments)

    def study(self, study_key: str, revision: int) -> None:
        """Have a study analyzed.

        Parameters
        ----------
        study_key : str
            The study.
        revision : int
            Its revision.
        """
        self.put(STUDIES, "study", study_job(study_key, revision), study_key, revision)

    def delivery(self, delivery: Delivery) -> None:
        """Have a result delivered.

        Parameters
        ----------
        delivery : Delivery
            Which one.
        """
        self.put(
            deliveries_to(delivery.destination),
            "deliver",
            delivery_job(delivery),
            delivery.study_key,
            delivery.revision,
            delivery.destination,
        )

    def status(self, job: str) -> str | None:
        """Say how far a job is.

        Parameters
        ----------
        job : str
            Its name.

        Returns
        -------
        str or None
            In the words of DBOS, such as ``"PENDING"``; None where there is no such job.
        """
        found = self._client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
        return found[0].status if found else None

    def waiting(self) -> dict[str, int]:
        """Count the jobs that wait or run, by queue.

        Returns
        -------
        dict of str to int
            Empty queues are left out.
        """
        counts: dict[str, int] = {}
        for job in self._client.list_workflows(status=["ENQUEUED", "PENDING"], load_input=False, load_output=False):
            name = str(job.queue_name)
            counts[name] = counts.get(name, 0) + 1
        return counts

    def outcomes(self, jobs: Iterable[str]) -> dict[str, str]:
        """Give what ended jobs gave back.

        Parameters
        ----------
        jobs : iterable of str
            Their names.

        Returns
        -------
        dict of str to str
            Only of those that ended; what one says that was given up is said by the queue.
        """
        found = self._client.list_workflows(workflow_ids=list(jobs), load_input=False)
        ended = {job.workflow_id: job for job in found if job.status not in ("ENQUEUED", "PENDING", "DELAYED")}
        gone = "its analysis ended its process again and again"
        return {name: str(job.output or "") if job.status == "SUCCESS" else gone for name, job in ended.items()}

    def forget(self, prefix: str) -> None:
        """Delete the records of finished jobs whose names begin alike.

        Parameters
        ----------
        prefix : str
            Such as a study key.
        """
        found = self._client.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
        for job in found:
            self._client.delete_workflow(job.workflow_id)


def study_job(study_key: str, revision: int) -> str:
    """Name the analysis of a study.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.

    Returns
    -------
    str
        The job's name.
    """
    return f"{study_key}-r{revision}"


def delivery_job(delivery: Delivery) -> str:
    """Name a delivery.

    Parameters
    ----------
    delivery : Delivery
        Which one.

    Returns
    -------
    str
        The job's name; another one for each try by hand.
    """
    return f"{study_job(delivery.study_key, delivery.revision)}-{delivery.destination}-t{delivery.tries}"
