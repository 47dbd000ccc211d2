"""Fit prognosis to a table, predict patients that no fit has seen, and measure how good that is beside other models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core import InputError
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.competing import (
    competing_brier,
    competing_calibration,
    competing_decision_curve,
    cumulative_incidence,
)
from spondyl.evaluation.kaplan_meier import KaplanMeier
from spondyl.evaluation.survival import Concordance, Outcome, brier_curve, harrell_c, uno_c
from spondyl.evaluation.survival_calibration import SurvivalCalibration, survival_calibration
from spondyl.evaluation.survival_decision import survival_decision_curve
from spondyl.risk.competing import CompetingRisks
from spondyl.risk.ensemble import SurvivalEnsemble, deal, standard_learners
from spondyl.risk.fusion import LateFusion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spondyl.evaluation.decision import DecisionCurve
    from spondyl.evaluation.records import Difference

    Floats = NDArray[np.float64]

OUTER_FOLDS, INNER_FOLDS = 5, 3
"""Folds in which everybody is predicted, and folds inside them in which models are weighed. Chosen by us for speed."""

HORIZONS = (0.25, 0.5, 0.75)
"""Shares of the events by which a risk is given, where no times are asked for. Chosen by us."""

ENSEMBLE, COX, FUSION, ALL = "ensemble", "Cox, ridge", "late fusion", "all columns together"


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one model says of patients it has not seen.

    Parameters
    ----------
    score : ndarray of float, shape (m,)
        Higher is sooner.
    risk : ndarray of float, shape (m, n_horizons), or None
        Probability of the event by each horizon; None where the model only orders.
    """

    score: Floats
    risk: Floats | None


@dataclass(frozen=True, eq=False)
class ModelScore:
    """How good the predictions of one model are.

    Parameters
    ----------
    name : str
        The model.
    harrell, uno : Concordance
        Concordance indices.
    less : Difference or None
        Harrell's index of the main model less this one; None for the main model itself.
    p_adjusted : float
        Its p value, adjusted by Holm.
    brier : float or None
        Integrated Brier score over the horizons.
    calibration : tuple of SurvivalCalibration
        At each horizon; empty for a model that only orders. Where events compete, with an intercept.
    """

    name: str
    harrell: Concordance
    uno: Concordance
    less: Difference | None
    p_adjusted: float
    brier: float | None
    calibration: tuple[SurvivalCalibration, ...]


@dataclass(frozen=True, eq=False)
class Judged:
    """All models on the same patients.

    Parameters
    ----------
    scores : tuple of ModelScore
        The main model first.
    null_brier : float
        Of the same risk for everybody.
    benefit : DecisionCurve or None
        At the middle horizon; None where nobody was followed to it.
    """

    scores: tuple[ModelScore, ...]
    null_brier: float
    benefit: DecisionCurve | None


def models(modalities: dict[str, list[int]], n_folds: int, seed: int, *, competing: bool) -> dict[str, tuple[Any, Any]]:
    """Give the models that are compared, the main one first.

    Parameters
    ----------
    modalities : dict of str to list of int
        Columns of each modality; empty for none.
    n_folds : int
        Folds in which the ensemble weighs its learners.
    seed : int
        Of all draws.
    competing : bool
        Whether other events may prevent this one.

    Returns
    -------
    dict of str to (estimator, columns or None)
        By name; None takes all columns.
    """

    def whole(estimator: Any) -> Any:
        return CompetingRisks(estimator) if competing else estimator

    ensemble = SurvivalEnsemble(n_folds=n_folds, random_state=seed)
    cox = SurvivalEnsemble(standard_learners(seed)[:1], n_folds=n_folds, random_state=seed)
    if len(modalities) < 2:
        return {ENSEMBLE: (whole(ensemble), None), COX: (whole(cox), None)}
    found: dict[str, tuple[Any, Any]] = {FUSION: (whole(LateFusion(modalities, estimator=ensemble)), None)}
    found |= {f"{name} alone": (whole(ensemble), columns) for name, columns in modalities.items()}
    return found | {ALL: (whole(ensemble), None), COX: (whole(cox), None)}


def fitted(entry: tuple[Any, Any], x: Floats, y: NDArray[Any], groups: Any = None) -> Callable[..., Predicted]:
    """Fit a model and give what predicts with it.

    Parameters
    ----------
    entry : tuple
        Estimator and its columns.
    x : ndarray of float, shape (n, p)
        Features.
    y : ndarray, shape (n,)
        Follow-up.
    groups : array_like, shape (n,), optional
        Who they are.

    Returns
    -------
    callable
        ``predict(x, horizons)``; its attribute ``model`` is the fitted estimator.
    """
    from sklearn.base import clone

    estimator, columns = entry
    own = x if columns is None else x[:, columns]
    model = clone(estimator).fit(own, y, groups=groups)

    def predict(new: Floats, horizons: Sequence[float]) -> Predicted:
        rows = new if columns is None else new[:, columns]
        if isinstance(model, CompetingRisks):
            return Predicted(model.predict(rows), model.predict_incidence(rows, horizons))
        return Predicted(model.predict(rows), 1 - model.predict_survival(rows, horizons))

    predict.model = model  # type: ignore[attr-defined]
    return predict


def out_of_fold(
    entries: dict[str, tuple[Any, Any]],
    x: Floats,
    y: NDArray[Any],
    horizons: Sequence[float],
    *,
    groups: Any = None,
    seed: int = 0,
) -> dict[str, Predicted]:
    """Predict every patient by fits that have not seen the patient, weighing of learners included.

    Parameters
    ----------
    entries : dict of str to (estimator, columns)
        Models.
    x : ndarray of float, shape (n, p)
        Features.
    y : ndarray, shape (n,)
        Follow-up.
    horizons : sequence of float
        Times.
    groups : array_like, shape (n,), optional
        Who they are.
    seed : int, optional
        Of the folds.

    Returns
    -------
    dict of str to Predicted
        By model.
    """
    fold = deal(y["event"] == 1, OUTER_FOLDS, groups=groups, seed=seed)
    who = None if groups is None else np.asarray(groups)
    found = {name: Predicted(np.zeros(len(x)), np.zeros((len(x), len(horizons)))) for name in entries}
    for number in range(OUTER_FOLDS):
        seen, unseen = fold != number, fold == number
        for name, entry in entries.items():
            part = fitted(entry, x[seen], y[seen], None if who is None else who[seen])(x[unseen], horizons)
            found[name].score[unseen] = part.score
            found[name].risk[unseen] = part.risk  # type: ignore[index]
    return found


def horizons_of(y: NDArray[Any], asked: Sequence[float]) -> tuple[float, ...]:
    """Give the times by which risks are predicted.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Follow-up learned from.
    asked : sequence of float
        Times asked for; empty for times by which a quarter, half and three quarters of the events were seen.

    Returns
    -------
    tuple of float
        Rising times.

    Raises
    ------
    InputError
        If one lies outside the follow-up.
    """
    events = y["time"][y["event"] == 1]
    if not asked:
        return tuple(float(t) for t in np.unique(np.quantile(events, HORIZONS)))
    last = float(y["time"].max())
    wrong = [t for t in asked if not 0 < t < last]
    if wrong:
        msg = f"horizons must lie inside the follow-up, above 0 and below {last:g}, got {wrong[0]:g}"
        raise InputError(msg)
    return tuple(sorted(set(asked)))


def judge(
    found: dict[str, Predicted], y: NDArray[Any], horizons: Sequence[float], *, training: NDArray[Any] | None = None
) -> Judged:
    """Measure predictions of patients that were not seen.

    Parameters
    ----------
    found : dict of str to Predicted
        By model, the main one first.
    y : ndarray, shape (m,)
        What became of the patients.
    horizons : sequence of float
        Times of the risks.
    training : ndarray, optional
        Follow-up of the patients learned from, by whom censoring is estimated.

    Returns
    -------
    Judged
        Measures with intervals.

    Raises
    ------
    InputError
        If no event was seen.
    """
    outcome = _outcome(y)
    before = None if training is None else _outcome(training)
    names = list(found)
    harrell = {n: harrell_c(outcome, p.score) for n, p in found.items()}
    less = [None if n == names[0] else harrell[names[0]].compare(harrell[n], (names[0], n)) for n in names]
    adjusted = holm([d.p_value if d else np.nan for d in less])
    usable = [t for t in horizons if (y["time"] >= t).any()]
    null = _null_brier(y, horizons, training)
    scores = []
    for number, (name, predicted) in enumerate(found.items()):
        risk = predicted.risk
        scores.append(
            ModelScore(
                name,
                harrell[name],
                uno_c(outcome, predicted.score, training=before),
                less[number],
                float(adjusted[number]),
                None if risk is None else _brier(y, risk, horizons, before),
                () if risk is None else tuple(_calibration(y, risk[:, horizons.index(t)], t) for t in usable),
            )
        )
    middle = len(horizons) // 2
    risks = {n: p.risk[:, middle] for n, p in found.items() if p.risk is not None}
    benefit = None
    if horizons[middle] in usable and _compete(y):
        benefit = competing_decision_curve(y["time"], y["event"], risks, horizons[middle])
    elif horizons[middle] in usable:
        benefit = survival_decision_curve(outcome, risks, horizons[middle])
    return Judged(tuple(scores), null, benefit)


def _outcome(y: NDArray[Any]) -> Outcome:
    """Follow-up for the measures; whoever had a competing event never has this one (Wolbers 2009)."""
    time = np.where(y["event"] > 1, y["time"].max() + 1, y["time"])
    return Outcome(time, y["event"] == 1)


def _compete(y: NDArray[Any]) -> bool:
    return bool((y["event"] > 1).any())


def _null_brier(y: NDArray[Any], horizons: Sequence[float], training: NDArray[Any] | None) -> float:
    """Of the risk that all of those learned from had on average."""
    known = y if training is None else training
    if _compete(known):
        same = np.array([cumulative_incidence(known["time"], known["event"], t) for t in horizons])
    else:
        same = 1 - KaplanMeier.fit(known["time"], known["event"] == 1).at(horizons)
    return _brier(y, np.tile(same, (len(y), 1)), horizons, None if training is None else _outcome(training))


def _brier(y: NDArray[Any], risk: Floats, horizons: Sequence[float], training: Outcome | None) -> float:
    if _compete(y):
        return float(competing_brier(y["time"], y["event"], np.clip(risk, 0, 1), horizons).mean())
    return brier_curve(_outcome(y), np.clip(1 - risk, 0, 1), horizons, training=training).mean


def _calibration(y: NDArray[Any], risk: Floats, time: float) -> SurvivalCalibration:
    if _compete(y):
        return competing_calibration(y["time"], y["event"], np.clip(risk, 0, 1), time)
    return survival_calibration(_outcome(y), risk, time)


def rule_prediction(values: Floats) -> Predicted:
    """Take a score as it is; missing values count as the middle.

    Parameters
    ----------
    values : ndarray of float, shape (m,)
        The score.

    Returns
    -------
    Predicted
        An order without probabilities.

    Raises
    ------
    InputError
        If no value is known.
    """
    known = np.isfinite(values)
    if not known.any():
        msg = "the rule must have values, got none"
        raise InputError(msg)
    return Predicted(np.where(known, values, np.median(values[known])), None)
