"""Save the Cox model of a cohort as a readable file, and apply it to other patients without learning anything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.risk_fit import COX, Predicted, horizons_of, judge
from spondyl.app.risk_table import RiskColumns, read_outcome
from spondyl.core import InputError
from spondyl.evaluation.records import plain
from spondyl.io.store import OutputFolder
from spondyl.io.tables import read_table
from spondyl.risk.small import SmallRiskModel, learn, read_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.app.risk_table import Encoding

    Floats = NDArray[np.float64]

MODEL_FILE = "model.json"
"""The saved model in a result folder."""

MARK = "metrics.json"

SCHEMA = "spondyl-cohort-risk-applied-1"
"""Version of ``metrics.json`` of a model that was applied."""


def small_model(encoding: Encoding, x: Floats, y: NDArray[Any], columns: RiskColumns) -> SmallRiskModel:
    """Fit the model that is saved: Cox, ridge, one for each event; its figures are those of that row.

    Parameters
    ----------
    encoding : Encoding
        How columns became numbers.
    x : ndarray of float, shape (n, p)
        Those numbers.
    y : ndarray, shape (n,)
        Follow-up.
    columns : RiskColumns
        What the columns are.

    Returns
    -------
    SmallRiskModel
        Numbers about features, none about a patient.
    """
    names, words = [], {}
    for name, places in encoding.players.items():
        for place in range(len(places)):
            kind = encoding.kinds[name][place] if name in encoding.kinds else ""
            names.append(f"{name} = {kind}" if kind else name)
            if kind:
                words[names[-1]] = (name, kind)
    codes = sorted(int(c) for c in np.unique(y["event"][y["event"] > 0]))
    cause = np.searchsorted(codes, y["event"]) + 1
    model = learn(
        names,
        x,
        y["time"],
        np.where(y["event"] > 0, cause, 0),
        causes=[columns.event if code == 1 else f"event {code}" for code in codes],
        logged=(),
        learned_from=f"{len(x)} patients of a table given to spondyl cohort risk",
    )
    return replace(model, time_unit=columns.time, words=words)


def apply_model(
    table: pd.DataFrame, model: SmallRiskModel, horizons: tuple[float, ...]
) -> tuple[pd.DataFrame, Floats, list[str]]:
    """Predict patients by a saved model.

    Parameters
    ----------
    table : DataFrame, shape (m, ...)
        Patients; a column of the model that is not there counts as missing.
    model : SmallRiskModel
        The model.
    horizons : tuple of float
        Times.

    Returns
    -------
    predictions : DataFrame, shape (m, ...)
        Risk of the first event by each time, before any other; empty where the reason beside it is not.
    risk : ndarray of float, shape (m, n_horizons)
        The same for everybody.
    reasons : list of str
        Why there is none; empty otherwise.

    Raises
    ------
    InputError
        If no column of the model is in the table, or one holds words where numbers were learned.
    """
    values = np.full((len(table), len(model.features)), np.nan)
    known = 0
    for place, name in enumerate(model.features):
        column, word = model.words.get(name, (name, ""))
        if column not in table.columns:
            continue
        known += 1
        if word:
            own = table[column].astype(object).where(table[column].notna(), "").astype(str)
            said = {w for c, w in model.words.values() if c == column}
            values[:, place] = np.where(own.isin(said), own == word, np.nan)
        else:
            values[:, place] = _numbers(table[column])
    if not known:
        lacking = ", ".join(repr(model.words.get(n, (n, ""))[0]) for n in model.features[:5])
        msg = f"the table has none of the columns that the model learned from, which begin with {lacking}; name them so"
        raise InputError(msg)
    values[~np.isfinite(values)] = np.nan
    risk = model.incidence(values, horizons)
    reasons = [model.refusal(row) for row in values]
    given = np.array([not reason for reason in reasons])
    predictions = pd.DataFrame({"row": np.arange(len(table))})
    for number, time in enumerate(horizons):
        predictions[f"risk_by_{time:g}"] = np.where(given, risk[:, number], np.nan)
    predictions["not_assessable"] = reasons
    return predictions, risk, reasons


def _numbers(column: pd.Series) -> Floats:
    if column.dtype == object:
        msg = f"column {str(column.name)!r} must hold numbers, as in the table learned from; it holds words"
        raise InputError(msg)
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def apply_files(
    file: Path, saved: Path, out: Path, *, time: str = "", event: str = "", horizons: tuple[float, ...] = ()
) -> dict[str, Any]:
    """Apply a saved model to a table, and measure it where the table says what became of the patients.

    Parameters
    ----------
    file : Path
        The table.
    saved : Path
        The model, or the result folder that holds it.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    time, event : str, optional
        Columns of the follow-up; empty where it is not known.
    horizons : tuple of float, optional
        Times; those that a quarter, half and three quarters of the model's steps lie before where left out.

    Returns
    -------
    dict
        What ``metrics.json`` holds.

    Raises
    ------
    InputError
        If the table cannot be read or used.
    ModelError
        If the file is no saved model.
    OutputError
        If the folder cannot be written.
    """
    model = read_model(saved / MODEL_FILE if saved.is_dir() else saved)
    table = read_table(file)
    y = read_outcome(table, RiskColumns(time, event)) if time and event else None
    last = model.times_months
    asked = horizons or tuple(float(last[int(q * (len(last) - 1))]) for q in (0.25, 0.5, 0.75))
    if y is not None:
        asked = horizons_of(y, asked)
    predictions, risk, reasons = apply_model(table, model, asked)
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "spondyl_version": __version__,
        "research_use_only": True,
        "notice": RESEARCH_USE_ONLY,
        "how": "a saved model was applied; nothing was learned from this table",
        "learned_from": model.learned_from,
        "n_predicted": len(table),
        "n_not_assessable": sum(bool(r) for r in reasons),
        "time_unit": model.time_unit,
        "horizons": list(asked),
        "models": {},
    }
    if y is not None:
        from spondyl.app.cohort_risk import model_metrics

        # Those without a risk of their own count with what the model would have said, so that none can be chosen out.
        own = Predicted(risk[:, len(asked) // 2], risk)
        said["models"] = {COX: model_metrics(judge({COX: own}, y, asked).scores[0])}
    with OutputFolder(out, mark=MARK) as folder:
        predictions.to_csv(folder / "predictions.csv", index=False)
        text = json.dumps(plain(said), indent=1, ensure_ascii=False)
        (folder / MARK).write_text(text + "\n", encoding="utf-8")
    return said
