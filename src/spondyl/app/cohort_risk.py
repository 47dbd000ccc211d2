"""Prognosis of a cohort: fit, choose, explain, measure, and write everything, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spondyl import RESEARCH_USE_ONLY, __version__
from spondyl.app.risk_fit import (
    INNER_FOLDS,
    Judged,
    Predicted,
    fitted,
    horizons_of,
    judge,
    models,
    out_of_fold,
    rule_prediction,
)
from spondyl.app.risk_report import risk_page
from spondyl.app.risk_saved import MODEL_FILE, small_model
from spondyl.app.risk_table import Encoding, RiskColumns, learn_encoding, read_outcome, refuse_leaks
from spondyl.evaluation.records import plain
from spondyl.io.page import write_html
from spondyl.io.store import OutputFolder
from spondyl.io.tables import read_table
from spondyl.risk.competing import CompetingRisks
from spondyl.risk.ensemble import SurvivalEnsemble
from spondyl.risk.familiarity import Familiarity
from spondyl.risk.intervals import TimeIntervals, time_intervals
from spondyl.risk.lime import LocalLine, local_line
from spondyl.risk.outcome import checked, step
from spondyl.risk.shapley import Attribution, shapley_values
from spondyl.risk.small import write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.app.risk_fit import ModelScore
    from spondyl.risk.small import SmallRiskModel

    Floats = NDArray[np.float64]

MARK = "metrics.json"
"""The file that marks a folder as a prognosis of a cohort, which may be replaced."""

SCHEMA = "spondyl-cohort-risk-1"
"""Version of ``metrics.json``; the number grows when a field changes its meaning."""

COVERAGE = 0.9
"""Share of intervals of times that hold the event."""

N_BACKGROUND = 12
"""Patients that those explained are compared with, spread over all risks. Chosen by us."""


@dataclass(frozen=True)
class RiskChoices:
    """What a user chose.

    Parameters
    ----------
    columns : RiskColumns
        What the columns of the table are.
    horizons : tuple of float
        Times by which risks are given; empty lets the events decide.
    n_explained : int
        Patients explained, spread over all risks.
    seed : int
        Of folds, trees and draws.
    """

    columns: RiskColumns
    horizons: tuple[float, ...] = ()
    n_explained: int = 40
    seed: int = 0


@dataclass(frozen=True, eq=False)
class CohortRisk:
    """A prognosis and everything that was found about it.

    Parameters
    ----------
    choices : RiskChoices
        What a user chose.
    encoding : Encoding
        How columns became numbers.
    table : DataFrame, shape (m, ...)
        Patients predicted.
    y : ndarray, shape (m,)
        What became of them.
    horizons : tuple of float
        Times of the risks.
    tested : bool
        Whether they come from a table of their own; predicted out of fold otherwise.
    predicted : Predicted
        By the main model.
    judged : Judged
        How good that is.
    intervals : TimeIntervals
        Of the time of the event, were no other to come first.
    reasons : list of str
        Why a patient is given no risk; empty where one is given.
    model : estimator
        Fitted to the whole training table.
    explained : ndarray of int
        Rows explained.
    attribution : Attribution
        Their risks at the middle horizon, taken apart.
    lines : dict of int to LocalLine
        Local lines of the patients of lowest, middle and highest risk, by row.
    n_training : int
        Patients learned from.
    saved : SmallRiskModel
        The Cox model of the comparison, fitted to the whole training table, to be kept.
    notes : tuple of str
        What limits the result.
    """

    choices: RiskChoices
    encoding: Encoding
    table: pd.DataFrame
    y: NDArray[Any]
    horizons: tuple[float, ...]
    tested: bool
    predicted: Predicted
    judged: Judged
    intervals: TimeIntervals
    reasons: list[str]
    model: Any
    explained: NDArray[np.intp]
    attribution: Attribution
    lines: dict[int, LocalLine]
    n_training: int
    saved: SmallRiskModel
    notes: tuple[str, ...]

    @property
    def middle(self) -> int:
        """Place of the horizon that is explained."""
        return len(self.horizons) // 2


def risk_files(
    file: Path,
    out: Path,
    choices: RiskChoices,
    *,
    test: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> CohortRisk:
    """Fit a prognosis to a file and write the result.

    Parameters
    ----------
    file : Path
        The table to learn from.
    out : Path
        The result folder: new, empty, or an earlier result, which is replaced.
    choices : RiskChoices
        What a user chose.
    test : Path, optional
        Patients to predict; those learned from are predicted out of fold where left out.
    progress : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    CohortRisk
        Everything that was found.

    Raises
    ------
    InputError
        If a table cannot be read or used.
    OutputError
        If the folder cannot be written.
    """
    tell = progress or (lambda *_: None)
    tell("reading the table", 1, 4)
    table = read_table(file)
    new = None if test is None else read_table(test)
    with OutputFolder(out, mark=MARK) as folder:
        cohort = cohort_risk(table, choices, new, tell)
        tell("writing the results", 4, 4)
        predictions(cohort).to_csv(folder / "predictions.csv", index=False)
        write_model(cohort.saved, folder / MODEL_FILE)
        contributions(cohort).to_csv(folder / "explanations.csv", index=False)
        inputs = {"table": _sha256(file)} | ({} if test is None else {"test": _sha256(test)})
        text = json.dumps(plain(metrics(cohort) | {"input_sha256": inputs}), indent=1, ensure_ascii=False)
        (folder / MARK).write_text(text + "\n", encoding="utf-8")
        write_html(risk_page(cohort), folder / "report.html")
    return cohort


def cohort_risk(
    table: pd.DataFrame,
    choices: RiskChoices,
    new: pd.DataFrame | None = None,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> CohortRisk:
    """Fit a prognosis to a table.

    Parameters
    ----------
    table : DataFrame, shape (n, ...)
        Patients to learn from.
    choices : RiskChoices
        What a user chose.
    new : DataFrame, shape (m, ...), optional
        Patients to predict.
    tell : callable, optional
        Told the name, number and count before each part of the work.

    Returns
    -------
    CohortRisk
        Everything that was found.

    Raises
    ------
    InputError
        If a table cannot be used.
    """
    columns, seed = choices.columns, choices.seed
    y = read_outcome(table, columns)
    checked(y)
    encoding = learn_encoding(table, columns)
    refuse_leaks(table, y, encoding, columns)
    x = encoding.matrix(table)
    horizons = horizons_of(y, choices.horizons)
    groups = table[columns.patient].to_numpy() if columns.patient else None
    competing = bool((y["event"] > 1).any())
    modalities = {m: [i for c in own for i in encoding.players.get(c, ())] for m, own in columns.modalities.items()}
    tell("fitting", 2, 4)
    if new is None:
        entries = models(modalities, INNER_FOLDS, seed, competing=competing)
        found = out_of_fold(entries, x, y, horizons, groups=groups, seed=seed)
        target, z, truth = table, x, y
        main = fitted(next(iter(models(modalities, 5, seed, competing=competing).values())), x, y, groups)
    else:
        target, z, truth = new, encoding.matrix(new), read_outcome(new, columns)
        entries = models(modalities, 5, seed, competing=competing)
        made = {name: fitted(entry, x, y, groups) for name, entry in entries.items()}
        found, main = {name: predict(z, horizons) for name, predict in made.items()}, next(iter(made.values()))
    if columns.rule:
        found[columns.rule] = rule_prediction(target[columns.rule].to_numpy(float, na_value=np.nan))
    judged = judge(found, truth, horizons, training=None if new is None else y)
    tell("explaining", 3, 4)
    own = next(iter(found.values()))
    middle = horizons[len(horizons) // 2]
    explained = _spread(own.score, choices.n_explained)
    background = x[_spread(main(x, [middle]).score, N_BACKGROUND)]

    def risk(rows: Floats) -> Floats:
        return np.asarray(main(rows, [middle]).risk)[:, 0]

    attribution = shapley_values(risk, z[explained], background, players=encoding.players, n_orders=1, seed=seed)
    typical = explained[[0, len(explained) // 2, -1]] if len(explained) > 2 else explained
    names = [
        f"{n} {k}" if n in encoding.kinds else n for n, p in encoding.players.items() for k in _kinds(encoding, n, p)
    ]
    lines = {int(row): local_line(risk, z[row], x, names) for row in typical}
    familiar = Familiarity(names).fit(x)
    model = main.model  # type: ignore[attr-defined]
    return CohortRisk(
        choices,
        encoding,
        target,
        truth,
        horizons,
        new is not None,
        own,
        judged,
        _intervals(model.models_[1] if competing else model, y, own.score),
        familiar.reasons(z),
        model,
        explained,
        attribution,
        lines,
        len(table),
        small_model(encoding, x, y, columns),
        _notes(encoding, x, z if new is not None else None, competing=competing),
    )


def _kinds(encoding: Encoding, name: str, places: tuple[int, ...]) -> tuple[str, ...]:
    return encoding.kinds.get(name, ("",) * len(places))


def _spread(score: Floats, count: int) -> NDArray[np.intp]:
    """Rows spread evenly from the lowest to the highest score."""
    order = np.argsort(score, kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]


def _intervals(model: Any, y: NDArray[Any], score: Floats) -> TimeIntervals:
    lived = step(model.times_, model.hazard_, y["time"]) * np.exp(model.out_of_fold_)
    return time_intervals(lived, y["event"] == 1, score, (model.times_, model.hazard_), coverage=COVERAGE)


def _notes(encoding: Encoding, x: Floats, z: Floats | None, *, competing: bool) -> tuple[str, ...]:
    notes = []
    if encoding.left_out:
        notes.append(f"Columns left out, of one value or of too many words: {', '.join(encoding.left_out[:8])}.")
    filled = np.where(np.isfinite(x), x, -1e300)
    rows = {row.tobytes() for row in filled}
    if len(rows) < 0.95 * len(x):
        notes.append(
            f"{1 - len(rows) / len(x):.0%} of the rows have the very features of another row. If they are the same "
            "patients, name them with --patient: copies on both sides of a split make any model look better."
        )
    if z is not None:
        shared = np.mean([row.tobytes() in rows for row in np.where(np.isfinite(z), z, -1e300)])
        if shared > 0.05:
            notes.append(f"{shared:.0%} of the test rows have the very features of a training row: the test leaks.")
    if competing:
        notes.append(
            "Other events compete: risks are cumulative incidences, held against Aalen and Johansen's estimate and its "
            "pseudo-values. Intervals of times are those of the event itself, were no other to come first."
        )
    return tuple(notes)


def predictions(cohort: CohortRisk) -> pd.DataFrame:
    """Give what is said of each patient.

    Parameters
    ----------
    cohort : CohortRisk
        Everything that was found.

    Returns
    -------
    DataFrame, shape (m, ...)
        Risks by horizon, interval of the time, and why there is none. No risk stands where the model abstains.
    """
    columns = cohort.choices.columns
    given = np.array([not reason for reason in cohort.reasons])
    table = pd.DataFrame({"row": np.arange(len(cohort.table))})
    if columns.patient:
        table[columns.patient] = cohort.table[columns.patient].to_numpy()
    table[columns.time], table[columns.event] = cohort.y["time"], cohort.y["event"]
    table["log_risk"] = np.where(given, cohort.predicted.score, np.nan)
    for number, time in enumerate(cohort.horizons):
        table[f"risk_by_{time:g}"] = np.where(given, np.asarray(cohort.predicted.risk)[:, number], np.nan)
    for name, ends in (("low", cohort.intervals.low), ("high", cohort.intervals.high)):
        table[f"time_{name}_{COVERAGE:.0%}".replace("%", "")] = np.where(given & np.isfinite(ends), ends, np.nan)
    table["not_assessable"] = cohort.reasons
    return table


def contributions(cohort: CohortRisk) -> pd.DataFrame:
    """Give what each feature adds to the risk of the patients explained.

    Parameters
    ----------
    cohort : CohortRisk
        Everything that was found.

    Returns
    -------
    DataFrame
        One row per patient explained: base, parts, and their sum, the risk.
    """
    found = cohort.attribution
    table = pd.DataFrame(found.values, columns=list(found.names))
    table.insert(0, "mean risk", found.base)
    table.insert(0, "row", cohort.explained)
    table[f"risk_by_{cohort.horizons[cohort.middle]:g}"] = found.prediction
    return table


def metrics(cohort: CohortRisk) -> dict[str, Any]:
    """Give every figure as JSON can hold it.

    Parameters
    ----------
    cohort : CohortRisk
        Everything that was found.

    Returns
    -------
    dict
        With intervals.
    """
    return {
        "schema": SCHEMA,
        "spondyl_version": __version__,
        "research_use_only": True,
        "notice": RESEARCH_USE_ONLY,
        "how": "a test table" if cohort.tested else "nested cross-validation",
        "n_training": cohort.n_training,
        "n_predicted": len(cohort.table),
        "n_events": int((cohort.y["event"] == 1).sum()),
        "features": list(cohort.encoding.players),
        "horizons": list(cohort.horizons),
        "models": {s.name: model_metrics(s) for s in cohort.judged.scores},
        "integrated_brier_of_the_same_risk_for_all": cohort.judged.null_brier,
        "net_benefit": None if cohort.judged.benefit is None else cohort.judged.benefit.to_dict(),
        "weights": weights(cohort.model),
        "interval_coverage_promised": COVERAGE,
        "n_not_assessable": sum(bool(r) for r in cohort.reasons),
        "explanation": {
            "method": cohort.attribution.method,
            "largest_gap_of_sum_and_prediction": cohort.attribution.gap,
            "mean_absolute_contribution": dict(
                zip(cohort.attribution.names, np.abs(cohort.attribution.values).mean(axis=0).tolist(), strict=True)
            ),
            "local_lines": {
                str(row): {"r2": o.r2, "stability": o.stability, "refused": o.reason} for row, o in cohort.lines.items()
            },
        },
        "notes": list(cohort.notes),
    }


def model_metrics(score: ModelScore) -> dict[str, Any]:
    """Give the figures of one model as JSON can hold them.

    Parameters
    ----------
    score : ModelScore
        How good it is.

    Returns
    -------
    dict
        With intervals.
    """
    return {
        "harrell_c": score.harrell.estimate,
        "uno_c": score.uno.estimate,
        "main_less_this": score.less,
        "p_adjusted": score.p_adjusted,
        "integrated_brier": score.brier,
        "calibration": [
            {
                "time": c.time,
                "observed": c.observed,
                "mean_risk": c.mean_risk,
                "observed_to_expected": c.observed_to_expected,
                "slope": c.slope,
                "intercept": c.intercept,
                "ici": c.ici,
            }
            for c in score.calibration
        ],
    }


def weights(model: Any) -> dict[str, dict[str, float]]:
    """Give how an ensemble weighs its learners, for each part of a model that is one.

    Parameters
    ----------
    model : estimator
        Fitted.

    Returns
    -------
    dict of str to dict of str to float
        By part, such as a modality or a cause; a part's name is empty where there is one only.
    """
    if isinstance(model, SurvivalEnsemble):
        return {"": {n: float(w) for (n, _), w in zip(model.learners_, model.weights_, strict=True)}}
    parts = model.models_ if isinstance(model, CompetingRisks) or hasattr(model, "models_") else {}
    return {f"{part} {own}".strip(): w for part, m in parts.items() for own, w in weights(m).items()}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
