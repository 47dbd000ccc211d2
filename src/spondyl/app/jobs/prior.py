"""The prior of a study: looked for in the archive and laid beside its images before the analysis.

A prior is a help, never a condition: where none is found, or the archive does not answer, the study is analyzed without
one and the result says so.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

from dbos import DBOS, StepOptions

from spondyl.app.catalog import StudyState
from spondyl.app.jobs.queue import JobError
from spondyl.app.node.intake import Intake
from spondyl.app.node.priors import choose, current_of, ranked
from spondyl.app.node.query import archive_of
from spondyl.core import QualityFlag

if TYPE_CHECKING:
    from collections.abc import Callable

    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder
    from spondyl.app.node.priors import Earlier
    from spondyl.app.serve_settings import ServeSettings

FOUND = "prior_found"
NOT_FOUND, NOT_FETCHED = "prior_not_found", "prior_not_fetched"
"""How a search ends; the last two are codes of quality flags."""


PRIOR_TRIES = 3
"""How often an archive is asked before a study is analyzed without. Chosen by us."""

FIRST_PAUSE_S, SLOWER = 2.0, 2.0
"""Pause before the second try in s, and how much longer each further one is. Chosen by us."""

log = logging.getLogger("spondyl.jobs")


def look_for_prior(
    settings: ServeSettings,
    folder: DataFolder,
    catalog: Catalog,
    study_key: str,
    *,
    told: Callable[[BaseException], str],
) -> tuple[str, str]:
    """Do `fetch_prior` as a step of a job, a few times if need be.

    Parameters
    ----------
    settings, folder, catalog, study_key
        As for `fetch_prior`.
    told : callable
        Gives the words of an error, without identifiers.

    Returns
    -------
    outcome : str
        As from `fetch_prior`, or `NOT_FETCHED`.
    why : str
        Why it failed, if it did.
    """
    retry: StepOptions = {
        "name": "prior",
        "retries_allowed": True,
        "max_attempts": PRIOR_TRIES,
        "interval_seconds": FIRST_PAUSE_S,
        "backoff_rate": SLOWER,
        "should_retry": lambda error: isinstance(error, JobError | OSError),
    }
    try:
        outcome, why = DBOS.run_step(retry, fetch_prior, settings, folder, catalog, study_key), ""
    except Exception as error:  # noqa: BLE001 - a study is never held up by its prior
        outcome, why = NOT_FETCHED, told(error)
    if outcome:
        log.info("prior looked for", extra={"facts": {"study": study_key, "outcome": outcome}})
    return str(outcome), why


def fetch_prior(settings: ServeSettings, folder: DataFolder, catalog: Catalog, study_key: str) -> str:
    """Find the prior of a study and lay its images into `DataFolder.prior`.

    Parameters
    ----------
    settings : ServeSettings
        Name the archive; without one there is nothing to do.
    folder : DataFolder
        Of the node.
    catalog : Catalog
        Of the node.
    study_key : str
        The study.

    Returns
    -------
    str
        ``"prior_found"``, ``"prior_not_found"``, or empty where nothing was looked for.

    Raises
    ------
    JobError
        If the archive cannot be asked, or does not bring what it has; trying again may help.
    """
    shutil.rmtree(folder.prior(study_key), ignore_errors=True)  # of an earlier revision
    if settings.priors is None or not folder.incoming(study_key).is_dir():
        return ""
    current = current_of(folder.incoming(study_key))
    if current is None:
        return NOT_FOUND
    archive = archive_of(settings.priors, ae_title=settings.ae_title)
    candidates = ranked(current, archive.studies(current), max_days=settings.priors.max_days)
    chosen = choose(current, candidates, archive.series)
    if chosen is None:
        return NOT_FOUND
    study, series = chosen
    if not _is_here(folder, catalog, study):
        door = Intake(folder, lambda _: None, max_object_mib=settings.max_object_mib, min_free_mib=0)
        came = sum(archive.fetch(study, one, door) for one in series)
        arrived = len(_files(folder, study))
        if not came or arrived < came:
            msg = f"it says that {came} objects came, and {arrived} did; see that its entry for this node leads here"
            raise JobError(msg)
    _lay_beside(folder, study_key, study)
    return FOUND


def flag_of(outcome: str, why: str = "") -> tuple[QualityFlag, ...]:
    """Say in a result how the search for a prior ended.

    Parameters
    ----------
    outcome : str
        As from `fetch_prior`, or `NOT_FETCHED`.
    why : str
        Why it was not fetched.

    Returns
    -------
    tuple of QualityFlag
        Empty where a prior was found or none was looked for.
    """
    if outcome == NOT_FOUND:
        text = "No earlier MR study of this part of the spine was found in the archive of priors."
        return (QualityFlag(NOT_FOUND, text, severity="info"),)
    if outcome == NOT_FETCHED:
        return (QualityFlag(NOT_FETCHED, f"The archive of priors brought no earlier study: {why}."),)
    return ()


def _is_here(folder: DataFolder, catalog: Catalog, study: Earlier) -> bool:
    """Whether the earlier study came to this node itself, and its images are still here."""
    row = catalog.get(folder.study_key(study.study_uid))
    return row is not None and row.state is not StudyState.RECEIVING and bool(_files(folder, study))


def _files(folder: DataFolder, study: Earlier) -> dict[str, str]:
    """Give the images of a study that are here, by name: fetched, or sent by somebody, or by an archive that in a move
    does not say on whose behalf."""
    key = folder.study_key(study.study_uid)
    return {
        path.name: str(path) for place in (folder.incoming(key), folder.asked_for(key)) for path in place.glob("*.dcm")
    }


def _lay_beside(folder: DataFolder, study_key: str, study: Earlier) -> None:
    draft = folder.study(study_key) / ".prior.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    for name, path in _files(folder, study).items():
        os.link(path, draft / name)
    draft.replace(folder.prior(study_key))
