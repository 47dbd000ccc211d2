"""Harmonize a table: learn or load a model, apply it, examine the result, and write everything, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.cohort_audit import Audit, AuditSettings, audit_cohort
from spondyl.app.cohort_report import cohort_page, headline, methods
from spondyl.core import InputError
from spondyl.evaluation.records import plain
from spondyl.harmonize.design import is_numeric
from spondyl.harmonize.saliency import table_saliency
from spondyl.harmonize.stages import scanner_names
from spondyl.io.page import write_html
from spondyl.io.store import OutputFolder
from spondyl.io.tables import read_table, write_cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.harmonize.harmony_spine import Harmonized, HarmonySpine
    from spondyl.harmonize.saliency import Saliency

MARK = "report.json"
"""The file that marks a folder as a harmonized cohort, which may be replaced."""

SCHEMA = "spondyl-cohort-harmonize-1"
"""Version of ``report.json``; the number grows when a field changes its meaning."""


@dataclass(frozen=True)
class HarmonizeChoices:
    """What a user chose.

    Parameters
    ----------
    model : HarmonySpine
        Not yet fitted.
    audit : AuditSettings
        How thoroughly the result is examined.
    leave : tuple of str
        Numeric columns that are no features.
    """

    model: HarmonySpine
    audit: AuditSettings = field(default_factory=AuditSettings)
    leave: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class HarmonizedCohort:
    """A cohort and everything that was found.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        As read.
    model : HarmonySpine
        Fitted.
    got : Harmonized
        Features on one scale.
    before : ndarray of float, shape (n, p)
        Features as measured.
    scanner_of_row : tuple of str
        Scanner of each row.
    audit : Audit
        Figures before and after.
    saliency : Saliency or None
        Of lesions, where the table has columns for it.
    settings : AuditSettings
        How thoroughly it was examined.
    """

    table: pd.DataFrame
    model: HarmonySpine
    got: Harmonized
    before: NDArray[np.float64]
    scanner_of_row: tuple[str, ...]
    audit: Audit
    saliency: Saliency | None
    settings: AuditSettings


def harmonize_files(
    file: Path,
    out: Path,
    choices: HarmonizeChoices,
    *,
    apply_to: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> HarmonizedCohort:
    """Harmonize a file and write the result.

    Parameters
    ----------
    file : Path
        The training table.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    choices : HarmonizeChoices
        What a user chose.
    apply_to : Path, optional
        A further table to which the learned model is applied.
    progress : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    HarmonizedCohort
        The training table and everything that was found.

    Raises
    ------
    InputError
        If a table cannot be read or used.
    OutputError
        If the folder cannot be written.
    SettingsError
        If a choice does not fit.
    """
    tell = progress or (lambda *_: None)
    tell("read", 1, 4)
    table = read_table(file)
    new = None if apply_to is None else read_table(apply_to)
    tell("harmonize", 2, 4)
    names = feature_columns(table, choices)
    model = choices.model.fit(table[list(names)], obs=table.drop(columns=list(names)))
    applied = None if new is None else _applied(model, new)
    tell("examining the result", 3, 4)
    cohort = _examined(model, table, choices.audit)
    tell("write", 4, 4)
    with OutputFolder(out, mark=MARK) as folder:
        _write_table(folder, "harmonized", table, cohort.got, cohort.saliency, model)
        inputs = {"table": _sha256(file)}
        if applied is not None and new is not None and apply_to is not None:
            _write_table(folder, "applied", new, applied, _saliency(applied), model)
            inputs["applied"] = _sha256(apply_to)
        model.save(folder / "harmonizer.npz")
        _write_document(folder / MARK, cohort, applied, inputs)
        write_html(cohort_page(cohort), folder / "report.html")
    return cohort


def feature_columns(table: pd.DataFrame, choices: HarmonizeChoices) -> tuple[str, ...]:
    """Choose the features: numeric columns that nothing else names.

    Parameters
    ----------
    table : DataFrame
        As read.
    choices : HarmonizeChoices
        What a user chose.

    Returns
    -------
    tuple of str
        The features.

    Raises
    ------
    InputError
        If a column named is missing, a column of numbers holds something else, too, or no feature is left.
    """
    model = choices.model
    named = {*model.roles(), *choices.leave, *([choices.audit.outcome] if choices.audit.outcome else [])}
    missing = sorted(named - set(table.columns))
    if missing:
        have = ", ".join(repr(str(c)) for c in table.columns[:12])
        msg = (
            f"the table has no column {', '.join(map(repr, missing))}; it begins with {have}; "
            "check the names given, or the line of column names"
        )
        raise InputError(msg)
    _check_cells(table, [c for c in table.columns if c not in named])
    names = tuple(str(c) for c in table.columns if c not in named and is_numeric(table[c]))
    if not names:
        msg = "the table must hold at least one numeric column besides those named, got none; check decimal points"
        raise InputError(msg)
    return names


def _check_cells(table: pd.DataFrame, columns: list[str]) -> None:
    """Refuse columns of numbers that some cell turned into text: they would no longer be features without a word."""
    for name in columns:
        if is_numeric(table[name]) or table[name].dtype == bool:
            continue
        known = table[name].notna().to_numpy()
        numbers = pd.to_numeric(table[name].astype(str), errors="coerce").notna().to_numpy()
        odd = np.flatnonzero(known & ~numbers)
        if len(odd) and (known & numbers).sum() > len(odd):
            # The first line of a file names the columns.
            msg = (
                f"column {name!r} holds numbers, but not in {len(odd)} of {len(table)} rows, first in line "
                f"{odd[0] + 2}; correct or empty these cells, or name the column in --leave"
            )
            raise InputError(msg)


def _applied(model: HarmonySpine, new: pd.DataFrame) -> Harmonized:
    wanted = list(model.feature_names_)
    missing = [name for name in wanted if name not in new.columns]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        msg = (
            f"the table to apply to must have the features that were learned; "
            f"{', '.join(map(repr, missing[:5]))}{more} missing"
        )
        raise InputError(msg)
    return model.harmonize(new[wanted], obs=new.drop(columns=wanted))


def _examined(model: HarmonySpine, table: pd.DataFrame, settings: AuditSettings) -> HarmonizedCohort:
    names = list(model.feature_names_)
    got = model.harmonize(table[names], obs=table.drop(columns=names))
    return HarmonizedCohort(
        table,
        model,
        got,
        table[names].to_numpy(float, na_value=np.nan),
        tuple(scanner_names(table, model.stages_[-1].variable)),
        audit_cohort(model, table, got, settings),
        _saliency(got),
        settings,
    )


def _saliency(got: Harmonized) -> Saliency | None:
    return table_saliency(got.names, got.values, got.sd)


def _write_table(
    folder: Path, name: str, table: pd.DataFrame, got: Harmonized, saliency: Saliency | None, model: HarmonySpine
) -> None:
    """Write a harmonized table as CSV and as AnnData."""
    features = list(got.names)
    obs = table.drop(columns=features)
    flags = [";".join(row) for row in got.flags]
    added = {"harmonization_flags": flags}
    if saliency is not None:
        added["saliency"] = saliency.score.tolist()
    obs = obs.assign(**added)
    plain_table = pd.concat([obs, pd.DataFrame(got.values, columns=features, index=table.index)], axis=1)
    plain_table.to_csv(folder / f"{name}.csv", index=False)
    obsm: dict[str, Any] = {}
    if saliency is not None:
        columns = [str(s) for s in saliency.sequences]
        rows = pd.Index([str(row) for row in table.index])
        obsm["saliency_by_sequence"] = pd.DataFrame(saliency.contributions, columns=columns, index=rows)
    if model.space_ is not None:
        obsm["X_harmony"] = model.space_.predict(got.values).coordinates
    uns = {"spondyl": {"version": __version__, "notice": RESEARCH_USE_ONLY, "step": "harmonize"}}
    write_cohort(
        folder / f"{name}.h5ad",
        table[features],
        obs,
        layers={"harmonized": got.values, "uncertainty": got.sd, "predicted": got.predicted.astype(np.uint8)},
        obsm=obsm,
        var=pd.DataFrame({"measurement_sd": np.sqrt(model.measurement_variance_)}, index=features),
        uns=uns,
    )


def _write_document(path: Path, cohort: HarmonizedCohort, applied: Harmonized | None, inputs: dict[str, str]) -> None:
    audit = cohort.audit
    document = {
        "schema": SCHEMA,
        "spondyl_version": __version__,
        "research_use_only": True,
        "notice": RESEARCH_USE_ONLY,
        "headline": headline(audit),
        "methods": methods(cohort),
        "input_sha256": inputs,
        "features": list(cohort.got.names),
        "scanners": dict(audit.scanners),
        "probes": [{"probe": k, "table": w, **s._asdict()} for (k, w), s in audit.probes.items()],
        "means": {w: e._asdict() for w, e in audit.means.items()},
        "spreads": {w: e._asdict() for w, e in audit.spreads.items()},
        "distances": {w: d._asdict() for w, d in audit.distances.items()},
        "biology": {n: {w: e._asdict() for w, e in s.items()} for n, s in audit.biology.items()},
        "repeats": {w: r._asdict() for w, r in audit.repeats.items()},
        "outcome_by_scanner": None
        if audit.tangle is None
        else {
            "association": audit.tangle.association,
            "measure": audit.tangle.measure,
            "verdict": audit.tangle.verdict,
        },
        "flags": dict(audit.flags),
        "applied_flags": None if applied is None else [list(row) for row in applied.flags],
        "measurement_source": cohort.model.measurement_source_,
        "dimension": None if cohort.model.space_ is None else cohort.model.space_.dimension,
    }
    text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
