"""The jobs of a study: analyze, deliver, tell. Each step is done once and kept; a job that dies goes on at its step.

The functions are known to the queue by their names, so names and arguments are a promise to jobs that wait
(`PROTOCOL`). What a job needs beside its arguments is the bench of its process: networks loaded once, folders, catalog.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dbos import DBOS, SetWorkflowID, StepOptions

from spondyl.app.analyze import AnalysisOptions, PriorError, analyze_study
from spondyl.app.catalog import StudyState, now
from spondyl.app.console import defect_log
from spondyl.app.data_folder import held
from spondyl.app.jobs import summary
from spondyl.app.jobs.prior import flag_of, look_for_prior
from spondyl.app.jobs.queue import NOTICES, JobError, deliveries_to, delivery_job, study_job
from spondyl.app.jobs.retry import end_delivery
from spondyl.app.node.send import send
from spondyl.core import InputError, ModelError, QualityFlag, SettingsError, SpondylError
from spondyl.io.dicom import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from spondyl.app.catalog import Catalog
    from spondyl.app.data_folder import DataFolder
    from spondyl.app.jobs.ledger import Ledger
    from spondyl.app.serve_settings import ServeSettings
    from spondyl.models import Network

MAX_CRASHES = 20
"""A study whose analysis ends its process so often is given up; a kill of the machine counts, too. Chosen by us."""

ANALYSIS_TRIES = 3
"""How often an analysis is tried where the fault may pass, such as a full disk. Chosen by us."""

FIRST_PAUSE_S, SLOWER = 2.0, 2.0
"""Pause before the second try in s, and how much longer each further one is. Chosen by us."""

WEBHOOK_TRIES, WEBHOOK_TIMEOUT_S = 6, 20.0

log = logging.getLogger("spondyl.jobs")


@dataclass(frozen=True, eq=False)
class Bench:
    """What jobs need in this process.

    Parameters
    ----------
    settings : ServeSettings
        How the node serves.
    folder : DataFolder
        Where studies and results lie.
    catalog : Catalog
        How far they are.
    ledger : Ledger
        What was delivered.
    analyze : callable
        Takes the folder of a study and of its result, gives the result document; if a prior was looked for, also
        `prior`, the folder of its images, and `flags`.
    """

    settings: ServeSettings
    folder: DataFolder
    catalog: Catalog
    ledger: Ledger
    analyze: Callable[..., Mapping[str, Any]]


_bench: list[Bench] = []


def use(bench: Bench) -> None:
    """Set the bench of this process.

    Parameters
    ----------
    bench : Bench
        What jobs will find.
    """
    _bench[:] = [bench]


def bench() -> Bench:
    """Give the bench of this process.

    Returns
    -------
    Bench
        As it was set.
    """
    return _bench[0]


def analyzer(options: AnalysisOptions, networks: Mapping[str, Network]) -> Callable[..., Mapping[str, Any]]:
    """Give a function that analyzes a study with networks that are loaded already.

    Parameters
    ----------
    options : AnalysisOptions
        How.
    networks : mapping of str to Network
        By role.

    Returns
    -------
    callable
        For a `Bench`.
    """

    def analyze(
        study: Path, out: Path, *, prior: Path | None = None, flags: tuple[QualityFlag, ...] = ()
    ) -> Mapping[str, Any]:
        try:
            chosen = replace(options, prior=prior, flags=flags)
            return analyze_study(study, out, options=chosen, networks=networks).document
        except PriorError as error:
            flag = QualityFlag("prior_not_usable", f"The earlier study from the archive was not compared with: {error}")
            chosen = replace(options, flags=(*flags, flag))
            return analyze_study(study, out, options=chosen, networks=networks).document

    return analyze


@DBOS.workflow(name="study", max_recovery_attempts=MAX_CRASHES)
def study(study_key: str, revision: int) -> str:
    """Analyze a study and have the result delivered.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.

    Returns
    -------
    str
        How it ended.
    """
    at = bench()
    prior = look_for_prior(at.settings, at.folder, at.catalog, study_key, told=_told)
    try:
        retry: StepOptions = {
            "name": "analyze",
            "retries_allowed": True,
            "max_attempts": ANALYSIS_TRIES,
            "interval_seconds": FIRST_PAUSE_S,
            "backoff_rate": SLOWER,
            "should_retry": _may_pass,
        }
        ended = DBOS.run_step(retry, analyze_once, study_key, revision, prior)
    except Exception as error:  # noqa: BLE001 - whatever it was, the study must not hang
        ended = DBOS.run_step({"name": "fail"}, give_up, study_key, revision, _told(error))
    if ended == "analyzed":
        for name in DBOS.run_step({"name": "plan"}, plan_deliveries, study_key, revision):
            job = DBOS.run_step({"name": "job"}, _job_of, study_key, revision, name)
            with SetWorkflowID(job):
                DBOS.enqueue_workflow(deliveries_to(name), deliver, study_key, revision, name)
    _tell(study_key, revision)
    return ended


def analyze_once(study_key: str, revision: int, prior: tuple[str, str] = ("", "")) -> str:
    """Analyze a study, unless it has gone on meanwhile.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        The revision that was handed over.
    prior : tuple of str
        How the search for a prior ended, and why it failed if it did.

    Returns
    -------
    str
        ``"analyzed"``, ``"failed"`` or ``"superseded"``.

    Raises
    ------
    SpondylError
        If trying again may help.
    """
    place = bench().folder.study(study_key)
    if not place.is_dir():  # purged meanwhile
        return "superseded"
    with held(place / "lock"):  # two workers at one study: one that was taken for dead is not, or images came late
        return _analyze(study_key, revision, prior)


def _analyze(study_key: str, revision: int, prior: tuple[str, str]) -> str:
    at = bench()
    if not at.catalog.set_state(study_key, StudyState.ANALYZING, revision=revision):
        return "superseded"
    for leftover in at.folder.study(study_key).glob(".result.*"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a process that was killed
    started = time.perf_counter()
    try:
        with quiet():
            place = at.folder.prior(study_key)
            more = {"prior": place if place.is_dir() else None, "flags": flag_of(*prior)} if prior[0] else {}
            document = at.analyze(at.folder.incoming(study_key), at.folder.result(study_key), **more)
    except InputError as error:
        log.warning("study cannot be used", extra={"facts": {"study": study_key, "why": type(error).__name__}})
        return give_up(study_key, revision, _told(error))
    seconds = round(time.perf_counter() - started, 3)
    row = at.catalog.get(study_key)
    known = dict(row.summary) if row is not None else {}
    found = summary.numbers(document) | {"analysis_s": seconds, "analyzed_at": now().timestamp()}
    kept = at.catalog.set_state(
        study_key,
        StudyState.RETURNING if at.settings.destinations else StudyState.DONE,
        revision=revision,
        urgency=str(summary.urgency(document)),
        case_id=str(document.get("case_id", "")),
        sequences=summary.sequences(document),
        scanner=summary.scanner(document),
        error="",
        result_dir=str(at.folder.result(study_key)),
        summary=known | found,
    )
    log.info("study analyzed", extra={"facts": {"study": study_key, "seconds": seconds}})
    return "analyzed" if kept else "superseded"


def give_up(study_key: str, revision: int, why: str) -> str:
    """Note that a study has failed for good.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.
    why : str
        For the worklist; without identifiers.

    Returns
    -------
    str
        ``"failed"``.
    """
    bench().catalog.set_state(study_key, StudyState.FAILED, revision=revision, error=why)
    return "failed"


def plan_deliveries(study_key: str, revision: int) -> list[str]:
    """Note where a result is to go.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.

    Returns
    -------
    list of str
        Names of the destinations.
    """
    names = [destination.name for destination in bench().settings.destinations]
    bench().ledger.open(study_key, revision, names)
    return names


def _job_of(study_key: str, revision: int, name: str) -> str:
    return delivery_job(next(d for d in bench().ledger.of(study_key, revision) if d.destination == name))


@DBOS.workflow(name="deliver", max_recovery_attempts=MAX_CRASHES)
def deliver(study_key: str, revision: int, destination: str) -> str:
    """Deliver a result to one destination, trying ever more slowly.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.
    destination : str
        Name of the destination.

    Returns
    -------
    str
        How it ended.
    """
    retry: StepOptions = {
        "name": "send",
        "retries_allowed": True,
        "max_attempts": bench().settings.retries + 1,
        "interval_seconds": FIRST_PAUSE_S,
        "backoff_rate": SLOWER,
    }
    error = ""
    try:
        DBOS.run_step(retry, send_once, study_key, revision, destination)
    except Exception as fault:  # noqa: BLE001 - a dead letter, whatever it was
        error = _told(fault)
    ended = DBOS.run_step({"name": "settle"}, settle, study_key, revision, destination, error)
    if ended in ("done", "failed"):
        _tell(study_key, revision)
    return ended


def send_once(study_key: str, revision: int, destination: str) -> None:
    """Send a result, unless the study has gone on or the destination is no more.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.
    destination : str
        Name of the destination.

    Raises
    ------
    JobError
        If it did not arrive.
    """
    at = bench()
    row = at.catalog.get(study_key)
    if row is None or row.revision != revision:
        return
    place = next((d for d in at.settings.destinations if d.name == destination), None)
    if place is None:
        msg = f"{destination}: no destination of this name is in the settings any more; add it and retry"
        raise JobError(msg)
    send(list((at.folder.result(study_key) / "dicom").glob("*.dcm")), place, ae_title=at.settings.ae_title)


def settle(study_key: str, revision: int, destination: str, error: str) -> str:
    """Note how a delivery ended, and with the last one, how the study did.

    Parameters
    ----------
    study_key : str
        The study.
    revision : int
        Its revision.
    destination : str
        Name of the destination.
    error : str
        Why it failed for good; empty if it arrived.

    Returns
    -------
    str
        ``"open"`` while others are on their way, then ``"done"`` or ``"failed"``.
    """
    at = bench()
    return end_delivery(at.catalog, at.ledger, (study_key, revision, destination), error=error)


def _tell(study_key: str, revision: int) -> None:
    """Have the webhooks told, once for each state in which a study comes to rest."""
    state = DBOS.run_step({"name": "state"}, _resting_state, study_key, revision)
    for number, url in enumerate(bench().settings.webhooks if state else ()):
        with SetWorkflowID(f"{study_job(study_key, revision)}-{state}-notice{number}"):
            DBOS.enqueue_workflow(NOTICES, notify, url, study_key, revision)


def _resting_state(study_key: str, revision: int) -> str:
    row = bench().catalog.get(study_key)
    if row is None or row.revision != revision or row.state not in (StudyState.DONE, StudyState.FAILED):
        return ""
    return str(row.state)


@DBOS.workflow(name="notify", max_recovery_attempts=MAX_CRASHES)
def notify(url: str, study_key: str, revision: int) -> None:
    """Tell a webhook of a study.

    Parameters
    ----------
    url : str
        Whom.
    study_key : str
        The study.
    revision : int
        Its revision.
    """
    retry: StepOptions = {
        "name": "post",
        "retries_allowed": True,
        "max_attempts": WEBHOOK_TRIES,
        "interval_seconds": FIRST_PAUSE_S,
        "backoff_rate": SLOWER,
    }
    DBOS.run_step(retry, post_once, url, study_key, revision)


def post_once(url: str, study_key: str, revision: int) -> None:
    """Post what a worklist may know of a study: its key here, state and urgency; no identifier.

    Parameters
    ----------
    url : str
        Where to.
    study_key : str
        The study.
    revision : int
        Its revision.

    Raises
    ------
    JobError
        If it did not arrive.
    """
    import httpx

    row = bench().catalog.get(study_key)
    if row is None or row.revision != revision:
        return
    note = {
        "study_key": row.study_key,
        "case_id": row.case_id,
        "state": str(row.state),
        "urgency": str(row.urgency),
        "research_use_only": True,
    }
    try:
        httpx.post(url, json=note, timeout=WEBHOOK_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        msg = f"a webhook was not reached ({type(error).__name__})"
        raise JobError(msg) from None


def _may_pass(error: BaseException) -> bool:
    """Say whether trying again may help: a disk may be freed, but weights do not mend and defects do not go."""
    return isinstance(error, SpondylError) and not isinstance(error, InputError | ModelError | SettingsError)


def _told(error: BaseException) -> str:
    """Give an error's words for the worklist; of a defect only its kind, and the lines it passed in a log."""
    error = (getattr(error, "errors", None) or [error])[-1]  # what a step failed of, under the words of the queue
    if isinstance(error, SpondylError):
        return " ".join(str(error).split())
    folder = bench().folder.root / "defects"
    folder.mkdir(exist_ok=True, mode=0o700)
    name = f"{now():%Y%m%dT%H%M%S}-{type(error).__name__}.log"
    (folder / name).write_text(defect_log(error), encoding="utf-8")
    log.error("a defect", extra={"facts": {"kind": type(error).__name__, "log": name}})
    return f"a defect ({type(error).__name__}); please report it with the log defects/{name} of the data folder"
