"""Tables of marks and of classes against their truth."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.app.evaluate_files import Evaluation
from spondyl.core import InputError
from spondyl.evaluation.calibration import calibration
from spondyl.evaluation.classification import class_scores, scores_at
from spondyl.evaluation.curves import roc_curve
from spondyl.evaluation.detection import FALSE_POSITIVE, Study, froc, sensitivity_by_size
from spondyl.evaluation.inputs import binary, finite_vector, probabilities
from spondyl.evaluation.records import Table
from spondyl.evaluation.roc import roc_areas
from spondyl.io.page import Cells, Heading, Page, Remarks, Words
from spondyl.io.reader_figures import roc_picture
from spondyl.io.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from spondyl.io.page import Block

MARK_COLUMNS = ("patient", "study", "lesion", "volume_ml", "score")
"""Columns of a table of marks."""

ANSWER_COLUMNS = ("score", "probability", "called")
"""Columns that may hold the answer of a classifier, of which a table has one."""

OWN_PATIENT = "The table has no column patient: every case counts as a patient of its own."

_DETECTION_SOURCES = (
    "Free-response curve: Bunch 1978, J Appl Photogr Eng 4:166. Reference rates: Setio 2017, "
    "doi 10.1016/j.media.2017.06.015. Intervals: percentiles over resampled patients; by size, Wilson's interval "
    "widened where patients have several lesions."
)
_CLASS_SOURCES = (
    "Areas: DeLong 1988, doi 10.2307/2531595; with several cases of a patient Obuchowski 1997, doi 10.2307/2533958. "
    "Calibration curve: Austin & Steyerberg 2014, doi 10.1002/sim.5941. Shares: Wilson 1927, "
    "doi 10.1080/01621459.1927.10502953."
)


def evaluate_detections(file: Path, threshold: float | None = None) -> Evaluation:
    """Score marks on lesions.

    Parameters
    ----------
    file : Path
        Table with the columns `MARK_COLUMNS`. A row is a lesion with the score of a mark on it; without a score it is
        a lesion missed, without a lesion a false positive, with neither a study without both.
    threshold : float, optional
        Operating point at which sensitivity by lesion size is told.

    Returns
    -------
    Evaluation
        Sensitivity against false positives per study, and the report.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, contradicts itself or holds no lesion.
    """
    table = _with_columns(read_table(file), MARK_COLUMNS)
    studies = [_study(rows) for _, rows in table.groupby("study", sort=False)]
    curve = froc(studies)
    groups = () if threshold is None else sensitivity_by_size(studies, _finite(threshold))
    blocks: list[Block] = [Heading("Sensitivity against false positives"), Cells(curve.table(), titled=False)]
    if groups:
        rows = [(g.name, g.n_lesions, str(g.sensitivity)) for g in groups]
        made = Table.of("", ("volume", "lesions", "sensitivity (95 % interval)"), rows)
        blocks += [Heading("Sensitivity by size", f"marks from {threshold:g}"), Cells(made, titled=False)]
    flags = tuple(dict.fromkeys(flag for e in (*curve.at_rates, curve.mean_sensitivity) for flag in e.flags))
    if flags:
        blocks += [Heading("What limits this result"), Remarks(flags)]
    title = f"Mean sensitivity is {curve.mean_sensitivity}"
    subject = f"{curve.n_studies} studies of {curve.n_patients} patients"
    page = Page(title, "Detection", subject, (*blocks, Heading("Methods"), Words(_DETECTION_SOURCES)))
    document = {"task": "detections", **_origin(file, threshold), "froc": curve, "by_size": groups}
    return Evaluation(document, page)


def _study(rows: pd.DataFrame) -> Study:
    """One study of a table; messages count rows, names of patients stay out of them."""
    first = f"row {rows.index[0] + 1}"
    if rows["patient"].nunique() != 1 or rows["patient"].isna().any():
        msg = f"all rows of a study must name one patient, those of the study from {first} do not"
        raise InputError(msg)
    with_lesion = rows[rows["lesion"].notna()]
    if with_lesion["volume_ml"].isna().any() or (with_lesion.groupby("lesion")["volume_ml"].nunique() > 1).any():
        msg = f"every lesion needs one volume_ml, some of the study from {first} have none or several"
        raise InputError(msg)
    volumes = with_lesion.groupby("lesion", sort=False)["volume_ml"].first()
    place = {name: number for number, name in enumerate(volumes.index)}
    marks = rows[rows["score"].notna()]
    hit = [FALSE_POSITIVE if lesion != lesion else place[lesion] for lesion in marks["lesion"]]
    volume_ml = finite_vector(volumes, "volume_ml").tolist() if len(volumes) else []
    score = finite_vector(marks["score"], "score").tolist() if len(marks) else []
    return Study(str(rows["patient"].iloc[0]), volume_ml, score, hit)


def evaluate_classifications(file: Path, threshold: float | None = None) -> Evaluation:
    """Score classes.

    Parameters
    ----------
    file : Path
        Table with a column ``truth`` and one of `ANSWER_COLUMNS`: ``score`` and ``probability`` (which is also tested
        for calibration) go with a truth of 0 and 1, ``called`` with the names of any classes. A column ``patient``
        tells which cases belong together.
    threshold : float, optional
        Operating point at which decisions are scored.

    Returns
    -------
    Evaluation
        Area, calibration and decisions, or agreement of classes, and the report.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or a column does not hold what it should.
    """
    table = _with_columns(read_table(file), ("truth",))
    answers = [name for name in ANSWER_COLUMNS if name in table]
    if len(answers) != 1:
        msg = f"the table needs one column of {', '.join(ANSWER_COLUMNS)}; got {', '.join(answers) or 'none of them'}"
        raise InputError(msg)
    patients = _patients(table)
    if answers[0] == "called":
        if threshold is not None:
            msg = "a threshold turns scores into calls, but the table holds calls already; leave it out"
            raise InputError(msg)
        title, records, blocks = _of_calls(table, patients)
    else:
        title, records, blocks = _of_scores(table, answers[0], patients, threshold)
    limits: list[Block] = [] if patients is not None else [Heading("What limits this result"), Remarks((OWN_PATIENT,))]
    page = Page(
        title, "Classification", f"{len(table)} cases", (*blocks, *limits, Heading("Methods"), Words(_CLASS_SOURCES))
    )
    notes = [] if patients is not None else [OWN_PATIENT]
    return Evaluation({"task": "classifications", **_origin(file, threshold), **records, "notes": notes}, page)


def _of_scores(
    table: pd.DataFrame, column: str, patients: Any, threshold: float | None
) -> tuple[str, dict[str, Any], list[Block]]:
    truth = binary(table["truth"], both=True)
    score = (probabilities if column == "probability" else finite_vector)(table[column], column)
    areas = roc_areas(truth, score, names=(column,), patients=patients)
    records: dict[str, Any] = {"auc": areas.estimate()}
    curve = roc_curve(truth, score)
    picture = roc_picture({column: [(curve.false_positive_rate, curve.sensitivity)]}, "Empirical ROC curve.")
    blocks: list[Block] = [Heading("Discrimination"), Cells(areas.table()), picture]
    if column == "probability":
        records["calibration"] = calibration(truth, score, patients=patients)
        blocks += [Heading("Calibration"), Cells(records["calibration"].table(), titled=False)]
    if threshold is not None:
        records["decisions"] = scores_at(truth, score, _finite(threshold), patients=patients)
        blocks += [Heading("Decisions", f"yes from {threshold:g}"), Cells(records["decisions"].table(), titled=False)]
    return f"AUC is {records['auc']}", records, blocks


def _of_calls(table: pd.DataFrame, patients: Any) -> tuple[str, dict[str, Any], list[Block]]:
    for name in ("truth", "called"):
        if table[name].isna().any():
            msg = f"{name} must name a class in every row, {int(table[name].isna().sum())} are empty; leave them out"
            raise InputError(msg)
    truth, called = (table[name].astype(str).to_numpy() for name in ("truth", "called"))
    scores = class_scores(truth, called, sorted({*truth, *called}), patients=patients)
    blocks: list[Block] = [Heading("Classes"), Cells(scores.table(), titled=False)]
    return f"Balanced accuracy is {scores.balanced_accuracy}", {"classes": scores}, blocks


def _with_columns(table: pd.DataFrame, wanted: tuple[str, ...]) -> pd.DataFrame:
    missing = [name for name in wanted if name not in table]
    if missing:
        msg = f"the table needs the columns {', '.join(wanted)}; missing: {', '.join(missing)}"
        raise InputError(msg)
    if "study" in wanted and table["study"].isna().any():
        msg = f"every row must name its study, {int(table['study'].isna().sum())} do not"
        raise InputError(msg)
    return table.reset_index(drop=True)


def _patients(table: pd.DataFrame) -> Any:
    if "patient" not in table:
        return None
    if table["patient"].isna().any():
        msg = f"patient must be given in every row or not at all, {int(table['patient'].isna().sum())} are empty"
        raise InputError(msg)
    return table["patient"].astype(str).to_numpy()


def _finite(threshold: float) -> float:
    return float(finite_vector(np.array([threshold]), "threshold")[0])


def _origin(file: Path, threshold: float | None) -> dict[str, Any]:
    return {"input_sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "threshold": threshold}
