"""Fit on each fold's training side, predict its tested side, and set all models in one table.

Everything that is learned belongs into the estimator (a scikit-learn pipeline: harmonization, encoder, selection,
scaling, classifier), so that it is learned anew in each fold. Settings are chosen inside the training side (nested).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.inputs import binary
from spondyl.evaluation.records import Difference, Estimate, Record, Table, flag_notes, show
from spondyl.evaluation.roc import RocAreas, model_names, roc_areas, score_table
from spondyl.evaluation.ustatistics import placements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from spondyl.evaluation.folds import Folds
    from spondyl.evaluation.predictions import Predictions, PredictionStore

    Floats = NDArray[Any]
    Rows = NDArray[np.intp]

INNER_FOLDS = 5
"""Folds inside the training side, to choose settings (Kohavi 1995 and Varma & Simon 2006 use 5 to 10)."""


@dataclass(frozen=True)
class Search:
    """Which settings are tried inside each training side.

    Parameters
    ----------
    grid : mapping of str to sequence
        Values by name of a setting, as in `estimator.set_params`; every combination is tried.
    inner_folds : int
        Folds inside the training side, grouped by patient.
    """

    grid: Mapping[str, Sequence[Any]]
    inner_folds: int = INNER_FOLDS


@dataclass(frozen=True, eq=False)
class Cohort:
    """What models are fitted on.

    Parameters
    ----------
    features : ndarray or data frame, shape (n_cases, n_features)
        Whatever the estimator takes.
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    columns : mapping of str to (array_like, shape (n_cases,))
        Further columns handed to `fit` and to the prediction by name, such as ``site`` for harmonization; in a
        pipeline, request them by metadata routing.

    Raises
    ------
    InputError
        If only one class occurs.
    """

    features: Any
    truth: NDArray[np.bool_]
    columns: Mapping[str, ArrayLike] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "truth", binary(self.truth, both=True))
        for name, values in {"features": self.features, **(self.columns or {})}.items():
            if len(values) != len(self.truth):
                msg = f"{name} must have one row per case ({len(self.truth)}), got {len(values)}"
                raise InputError(msg)

    def rows(self, rows: Rows) -> tuple[Any, NDArray[np.bool_], dict[str, Any]]:
        """Give some cases.

        Parameters
        ----------
        rows : ndarray of int
            Which.

        Returns
        -------
        features : ndarray or data frame
            Their features.
        truth : ndarray of bool
            Their outcome.
        columns : dict
            Their further columns.
        """
        features = self.features.iloc[rows] if hasattr(self.features, "iloc") else np.asarray(self.features)[rows]
        return features, self.truth[rows], {k: np.asarray(v)[rows] for k, v in (self.columns or {}).items()}


def cross_validate(
    name: str,
    estimator: Any,
    cohort: Cohort,
    store: PredictionStore,
    *,
    search: Search | None = None,
) -> Predictions:
    """Predict every case by a fit that has not seen its patient.

    Parameters
    ----------
    name : str
        What the model is called in the table.
    estimator : scikit-learn estimator
        With `predict_proba`, `decision_function` or `predict`; cloned for each fold, and seeded where it takes a
        ``random_state``.
    cohort : Cohort
        What it is fitted on, in the order of the folds' cases.
    store : PredictionStore
        Where predictions are kept; folds that are done already are not run again.
    search : Search, optional
        Settings to choose inside each training side.

    Returns
    -------
    Predictions
        One score per case, with seed, settings and seconds of each fold.

    Raises
    ------
    InputError
        If cohort and folds differ in length, or a fold trains on one class only.

    References
    ----------
    Varma & Simon 2006, doi 10.1186/1471-2105-7-91: why settings are chosen inside.
    """
    folds = store.folds
    if len(cohort.truth) != len(folds.cases):
        msg = f"cohort and folds must hold the same cases, got {len(cohort.truth)} and {len(folds.cases)}"
        raise InputError(msg)
    for number, (train, test) in enumerate(folds.split()):
        if store.has(name, number):
            continue
        started = time.perf_counter()
        settings = _choose(estimator, cohort, folds, number, search) if search else {}
        scores = _fit_predict(_fresh(estimator, settings, folds.seed_of(number)), cohort, train, test, number)
        notes = {"seed": folds.seed_of(number), "settings": settings, "n_train": len(train)}
        notes["seconds"] = round(time.perf_counter() - started, 3)
        store.write(name, number, dict(zip([folds.cases[i] for i in test], scores.tolist(), strict=True)), notes)
    return store.read(name)


def _fit_predict(estimator: Any, cohort: Cohort, train: Rows, test: Rows, number: int) -> Floats:
    features, truth, columns = cohort.rows(train)
    if truth.all() or not truth.any():
        msg = f"fold {number} must train on both classes, got {len(truth)} cases that are all {int(truth[0])}: stratify"
        raise InputError(msg)
    estimator.fit(features, truth, **columns)
    features, _, columns = cohort.rows(test)
    for method in ("predict_proba", "decision_function", "predict"):
        if hasattr(estimator, method):
            scores = np.asarray(getattr(estimator, method)(features, **columns), dtype=np.float64)
            return scores[:, 1] if scores.ndim == 2 else scores
    msg = f"an estimator needs predict_proba, decision_function or predict, got {type(estimator).__name__}"
    raise InputError(msg)


def _fresh(estimator: Any, settings: Mapping[str, Any], seed: int) -> Any:
    """A clone with settings and with every random state set."""
    from sklearn.base import clone

    copy = clone(estimator).set_params(**settings)
    seeded = {k: seed % 2**32 for k in copy.get_params() if k == "random_state" or k.endswith("__random_state")}
    return copy.set_params(**seeded)


def _choose(estimator: Any, cohort: Cohort, folds: Folds, number: int, search: Search) -> dict[str, Any]:
    """The combination with the best mean area over inner folds; the first of equals."""
    from sklearn.model_selection import ParameterGrid

    rows, inner = folds.inner(number, search.inner_folds, cohort.truth)
    best, chosen = -np.inf, {}
    for settings in ParameterGrid(dict(search.grid)):
        scores = np.full(len(rows), np.nan)
        for train, test in inner.split():
            fitted = _fresh(estimator, settings, inner.seed)
            scores[test] = _fit_predict(fitted, cohort, rows[train], rows[test], number)
        area = float(areas_by_fold(cohort.truth[rows], scores, inner).areas[0])
        if area > best:
            best, chosen = area, dict(settings)
    return chosen


def areas_by_fold(truth: ArrayLike, scores: ArrayLike, folds: Folds, *, names: Sequence[str] | None = None) -> RocAreas:
    """Give the mean over folds of the areas under the ROC curves inside each.

    Scores of different fits need not be on one scale; inside a fold they are.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    scores : array_like of float, shape (n_cases,) or (n_models, n_cases)
        Scores out of fold.
    folds : Folds
        The folds.
    names : sequence of str, optional
        The models; numbered where left out.

    Returns
    -------
    RocAreas
        Mean areas with the covariance of their influence curves, summed over each patient. Folds with one class are
        left out and flagged.

    Raises
    ------
    InputError
        If no fold tests both classes, or the columns do not fit.

    References
    ----------
    LeDell 2015, doi 10.1214/15-EJS1035.
    """
    positive = binary(truth, both=True)
    table = score_table(scores, len(positive))
    rows_of = [folds.test_rows(n) for n in range(len(folds))]
    usable = [rows for rows in rows_of if positive[rows].any() and not positive[rows].all()]
    if not usable:
        msg = "no fold tests both classes: take fewer folds, or stratify them by outcome"
        raise InputError(msg)
    areas = np.zeros((len(usable), len(table)))
    influence = np.zeros(table.shape)
    for k, rows in enumerate(usable):
        y = positive[rows]
        of_positive, of_negative = placements(table[:, rows[y]], table[:, rows[~y]])
        areas[k] = of_positive.mean(axis=1)
        for part, values in ((rows[y], of_positive), (rows[~y], of_negative)):
            influence[:, part] = (values - areas[k][:, None]) / (len(usable) * len(part))
    _, patient = np.unique(np.asarray(folds.patients), return_inverse=True)
    n_patients = int(patient.max()) + 1
    sums: Floats = np.stack([np.bincount(patient, weights=row) for row in influence])
    covariance: Floats = sums @ sums.T * (n_patients / max(n_patients - 1, 1))
    used = np.concatenate(usable)
    lost = len(folds) - len(usable)
    flags = (f"{lost} of {len(folds)} folds test one class only and are left out",) if lost else ()
    n_positive = int(positive[used].sum())
    method = "mean over folds (LeDell)"
    labels = model_names(names, len(table))
    return RocAreas(
        labels, areas.mean(axis=0), covariance, n_positive, len(used) - n_positive, n_patients, method, flags
    )


@dataclass(frozen=True)
class ModelRow(Record):
    """One model in the table.

    Parameters
    ----------
    name : str
        The model.
    area : Estimate
        Area under the ROC curve of all scores out of fold together.
    area_by_fold : Estimate
        Mean over folds of the area inside each.
    difference : Difference or None
        Area (by fold) less that of the reference; None for the reference itself.
    adjusted_p : float
        Its p value, adjusted by Holm for the number of models compared; NaN for the reference.
    """

    name: str
    area: Estimate
    area_by_fold: Estimate
    difference: Difference | None
    adjusted_p: float


@dataclass(frozen=True)
class ModelTable(Record):
    """All models on the same cases and folds.

    Parameters
    ----------
    rows : tuple of ModelRow
        In the order given.
    reference : str
        What the others are compared with.
    scheme : str
        How the folds were made.
    n_cases, n_positive, n_patients : int
        What the table rests on.
    flags : tuple of str
        What limits it.
    """

    rows: tuple[ModelRow, ...]
    reference: str
    scheme: str
    n_cases: int
    n_positive: int
    n_patients: int
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the models.

        Returns
        -------
        Table
            One row per model.
        """
        head = ("model", "AUC, all folds together", "AUC, mean over folds", f"less {self.reference}", "p (Holm)")
        rows = [(r.name, str(r.area), str(r.area_by_fold), *_compared(r.difference, r.adjusted_p)) for r in self.rows]
        of = f"{self.n_cases} cases ({self.n_positive} positive) of {self.n_patients} patients"
        return Table.of("Models", head, rows, (f"{of}; {self.scheme}", *flag_notes(self.flags)))


def _compared(difference: Difference | None, adjusted_p: float) -> tuple[str, str]:
    if difference is None:
        return "", ""
    return f"{show(difference.value)} ({show(difference.low)} to {show(difference.high)})", show(adjusted_p)


def compare_models(
    folds: Folds,
    truth: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    reference: str | None = None,
    confidence: float = 0.95,
) -> ModelTable:
    """Set models and readers that predicted the same cases in one table.

    Parameters
    ----------
    folds : Folds
        The folds.
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    scores : mapping of str to (array_like of float, shape (n_cases,))
        Scores out of fold by model, such as `Predictions.scores`.
    reference : str, optional
        What the others are compared with; the first where left out.
    confidence : float, optional
        Coverage wanted of the intervals.

    Returns
    -------
    ModelTable
        Areas with intervals over patients, paired differences, and p values adjusted by Holm.

    Raises
    ------
    InputError
        If only one class occurs, a score is missing, or the reference is not among the models.
    """
    names = tuple(scores)
    if not names or (reference is not None and reference not in names):
        msg = f"the reference must be one of the models, got {reference!r} among {list(names)}"
        raise InputError(msg)
    base = reference or names[0]
    table = np.stack([np.asarray(scores[n], dtype=np.float64) for n in names])
    together = roc_areas(truth, table, names=names, patients=np.asarray(folds.patients))
    by_fold = areas_by_fold(truth, table, folds, names=names)
    differences = [None if n == base else by_fold.compare(n, base, confidence) for n in names]
    adjusted = holm([d.p_value if d else np.nan for d in differences])
    rows = tuple(
        ModelRow(n, together.estimate(n, confidence), by_fold.estimate(n, confidence), d, float(p))
        for n, d, p in zip(names, differences, adjusted, strict=True)
    )
    flags = (*folds.flags, *by_fold.flags, *together.flags)
    n_positive, n_cases = together.n_positive, together.n_positive + together.n_negative
    return ModelTable(rows, base, folds.scheme, n_cases, n_positive, together.n_patients, flags)


def compare_stored(
    store: PredictionStore, truth: ArrayLike, *, reference: str | None = None, confidence: float = 0.95
) -> ModelTable:
    """Set all models of a folder in one table.

    Parameters
    ----------
    store : PredictionStore
        The folder; every model in it must be complete.
    truth : array_like of bool, shape (n_cases,)
        True for positive, in the order of the folds' cases.
    reference : str, optional
        What the others are compared with.
    confidence : float, optional
        Coverage wanted of the intervals.

    Returns
    -------
    ModelTable
        One row per model, by name.

    Raises
    ------
    InputError
        If a model is incomplete, or as in `compare_models`.
    """
    scores = {name: store.read(name).scores for name in store.models}
    return compare_models(store.folds, truth, scores, reference=reference, confidence=confidence)
