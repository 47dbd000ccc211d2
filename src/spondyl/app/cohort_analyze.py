"""From many studies to one table: every study analyzed as a job, one row a study, the lesions beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pandas as pd

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.jobs.cohort import entries, result_of, run_cohort, workers_that_fit
from spondyl.app.jobs.summary import numbers, scanner, sequences, urgency
from spondyl.app.serve_settings import ServeSettings
from spondyl.core import InputError, OutputError
from spondyl.io.tables import write_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TABLE, OUTCOMES = "cohort.h5ad", "studies.csv"
"""What is written beside the results: the table, and what became of each study."""


@dataclass(frozen=True)
class CohortChoices:
    """How a cohort is analyzed.

    Parameters
    ----------
    jobs : int
        Worker processes on this machine; 0 takes as many as fit.
    threads : int
        Processor threads of each.
    database_url : str
        ``postgresql://...`` if other machines help; empty for SQLite beside the results.
    analysis : Path, optional
        TOML file with the settings of the analysis.
    """

    jobs: int = 0
    threads: int = 1
    database_url: str = ""
    analysis: Path | None = None


def analyze_cohort(
    studies: str,
    out: str,
    choices: CohortChoices,
    *,
    progress: Callable[[str, int, int], None],
    target: Callable[[ServeSettings, str], None] | None = None,
) -> dict[str, str]:
    """Analyze every study of a place into one table.

    Parameters
    ----------
    studies : str
        A folder or URL with one folder, zip or NIfTI file for each study.
    out : str
        A folder or URL for results and table; what an earlier run left there is kept.
    choices : CohortChoices
        How.
    progress : callable
        Told the name of the part, the number of the study and their count.
    target : callable, optional
        Another worker than the usual one.

    Returns
    -------
    dict of str to str
        By key of the study: empty, or why it has no result.

    Raises
    ------
    InputError
        If there are no studies, or none can be used.
    OutputError
        If the results cannot be written.
    """
    where = studies if "://" in studies else str(Path(studies).resolve())
    entries(where)  # A mistyped place is refused before anything is made.
    store, folder = fsspec.core.url_to_fs(out)
    local = "file" in (store.protocol if isinstance(store.protocol, tuple) else (store.protocol,))
    try:
        store.makedirs(folder, exist_ok=True)
    except OSError as error:
        msg = f"the results cannot be written there ({type(error).__name__}); choose another place with --out"
        raise OutputError(msg) from None
    place = str(Path(folder).resolve()) if local else out
    scratch = Path(place) / ".jobs" if local else Path.home() / ".cache" / "spondyl" / "jobs"
    scratch.mkdir(parents=True, exist_ok=True)
    settings = ServeSettings(
        data=scratch,
        database_url=choices.database_url,
        workers=choices.jobs or workers_that_fit(),
        threads=choices.threads,
        analysis=choices.analysis,
    )
    outcomes = run_cohort(where, place, settings, progress=progress, target=target or cohort_worker)
    documents = _documents(place, [key for key, why in outcomes.items() if not why])
    with store.open(f"{folder}/{OUTCOMES}", "w", encoding="utf-8") as file:
        _outcome_table(outcomes, documents).to_csv(file, index=False)
    if not documents:
        msg = f"expected at least one study that can be analyzed, got none of {len(outcomes)}; see {OUTCOMES}"
        raise InputError(msg)
    _write_table(store, folder, documents, local=local)
    return outcomes


def cohort_worker(settings: ServeSettings, name: str) -> None:
    """Be a worker of a cohort, for as long as the process that started this one lives.

    Parameters
    ----------
    settings : ServeSettings
        Database, scratch folder, threads.
    name : str
        Of the worker.
    """
    from spondyl.app.jobs.worker import run_worker
    from spondyl.app.monitor.logs import log_as_json

    log_as_json(level=40)
    run_worker(settings, name=name, parent=True)


def _documents(out: str, keys: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    for key in keys:
        with fsspec.open(f"{result_of(out, key)}/result.json", encoding="utf-8", mode="r") as file:
            found[key] = json.load(file)
    return found


def _outcome_table(outcomes: Mapping[str, str], documents: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    rows = [
        {
            "number": number,
            "key": key,
            "case_id": documents[key]["case_id"] if key in documents else "",
            "state": "failed" if why else "done",
            "reason": why,
        }
        for number, (key, why) in enumerate(outcomes.items(), 1)
    ]
    return pd.DataFrame(rows)


def study_table(documents: Mapping[str, Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give one row a study.

    Parameters
    ----------
    documents : mapping of str to mapping
        Results by key.

    Returns
    -------
    features : DataFrame, shape (n, p)
        Numbers: counts, volumes in mm³, probabilities, scores in their own units.
    obs : DataFrame, shape (n, ...)
        Scanner, acquisition of the first sequence, sequences, urgency.
    """
    features, obs = [], []
    for document in documents.values():
        lesions = document.get("lesions", [])
        volumes = [float(x["volume_mm3"]) for x in lesions]
        counts = {k: float(v) for k, v in numbers(document).items() if isinstance(v, int | float)}
        scores = {
            f"score: {s['name']}": float(s["value"])
            for s in document.get("scores", [])
            if isinstance(s, dict) and isinstance(s.get("value"), int | float)
        }
        features.append(
            counts | {"lesions_mm3": sum(volumes), "largest_lesion_mm3": max(volumes, default=0.0)} | scores
        )
        found = document.get("sequences") or [{}]
        first: Mapping[str, Any] = found[0].get("acquisition") or {}
        obs.append(
            {
                "case_id": document["case_id"],
                "scanner": scanner(document),
                **{k: first.get(k) for k in ("vendor", "model", "software", "field_strength_t")},
                "sequences": ",".join(sequences(document)),
                "urgency": str(urgency(document)),
            }
        )
    index = list(documents)
    return pd.DataFrame(features, index=index), pd.DataFrame(obs, index=index)


def lesion_table(documents: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Give one row a lesion candidate.

    Parameters
    ----------
    documents : mapping of str to mapping
        Results by key.

    Returns
    -------
    DataFrame
        With the key and case of its study; measurements with their unit in the name of the column; imaging features
        under their names.
    """
    rows = []
    for key, document in documents.items():
        for lesion in document.get("lesions", []):
            plain = {k: v for k, v in lesion.items() if isinstance(v, str | int | float)}
            classes = {f"p_{k}": float(v) for k, v in (lesion.get("probabilities") or {}).items()}
            measured = {
                f"{m['name']} [{m['unit']}]": float(m["value"])
                for m in lesion.get("measurements", [])
                if m.get("value") is not None
            }
            look = {name: float(v) for name, v in (lesion.get("features") or {}).items() if v is not None}
            rows.append({"key": key, "case_id": document["case_id"], **plain, **classes, **measured, **look})
    return pd.DataFrame(rows)


def _write_table(store: Any, folder: str, documents: Mapping[str, Mapping[str, Any]], *, local: bool) -> None:
    import tempfile

    features, obs = study_table(documents)
    lesions = lesion_table(documents)
    for column in lesions.columns:
        if lesions[column].dtype == object:  # HDF5 has one kind a column
            lesions[column] = lesions[column].fillna("").astype(str)
    lesions.index = lesions.index.astype(str)
    models = {name: sha for document in documents.values() for name, sha in document.get("models", {}).items()}
    uns: dict[str, Any] = {
        "spondyl": {"version": __version__, "notice": RESEARCH_USE_ONLY, "models": models, "rows": "studies"}
    }
    if len(lesions):
        uns["lesions"] = lesions
    with tempfile.TemporaryDirectory(prefix="spondyl-", dir=folder if local else None) as scratch:
        draft = Path(scratch) / TABLE
        write_cohort(draft, features, obs, layers={}, uns=uns)
        if local:
            draft.replace(Path(folder) / TABLE)
        else:
            store.put_file(str(draft), f"{folder}/{TABLE}")
