"""Decision curves: what acting on a model is worth over acting on all or on none, at each threshold of risk.

A threshold of 10 % says that one finds it right to act on ten patients to help one; it is chosen by patients and
doctors, and the curve is read over the range they would choose. Net benefit is a mean over cases, so its intervals and
those of a difference between models follow from the spread of its terms over patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import binary, normal_quantile, patient_codes, probabilities, same_length
from spondyl.evaluation.records import Difference, Record, Table
from spondyl.evaluation.roc import wald_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[Any]

TREAT_ALL, TREAT_NONE = "treat all", "treat none"
"""The two strategies that need no model."""

THRESHOLDS = tuple(round(0.01 * i, 2) for i in range(1, 51))
"""Thresholds of risk from 1 to 50 %: above, one would harm more than one helps. Chosen by us."""


@dataclass(frozen=True, eq=False)
class DecisionCurve(Record):
    """Net benefit of strategies over thresholds.

    Parameters
    ----------
    names : tuple of str
        Strategies; the last two are to treat all and none.
    thresholds : ndarray of float, shape (n_thresholds,)
        Risk at or above which one acts.
    net_benefit, low, high : ndarray of float, shape (n_strategies, n_thresholds)
        True positives per case, less false positives weighted by the odds of the threshold; and its interval.
    terms : ndarray of float, shape (n_strategies, n_thresholds, n_patients)
        Part of each patient, summing to the net benefit.
    confidence : float
        Coverage wanted at each threshold.
    """

    names: tuple[str, ...]
    thresholds: Floats
    net_benefit: Floats
    low: Floats
    high: Floats
    terms: Floats
    confidence: float

    def avoided(self, name: str) -> Floats:
        """Give the interventions avoided without missing a case, per 100, against treating all.

        Parameters
        ----------
        name : str
            The strategy.

        Returns
        -------
        ndarray of float, shape (n_thresholds,)
            Net interventions avoided per 100 cases.

        References
        ----------
        Vickers 2008, doi 10.1186/1472-6947-8-53.
        """
        gain = self.net_benefit[self._index(name)] - self.net_benefit[self._index(TREAT_ALL)]
        return 100 * gain / odds(self.thresholds)

    def compare(self, first: str, second: str, threshold: float) -> Difference:
        """Compare two strategies at a threshold.

        Parameters
        ----------
        first, second : str
            The strategies.
        threshold : float
            One of `thresholds`.

        Returns
        -------
        Difference
            Net benefit of the first less that of the second.

        Raises
        ------
        SettingsError
            If the curve was not made for that threshold.
        """
        near = np.flatnonzero(np.isclose(self.thresholds, threshold))
        if not near.size:
            msg = f"threshold must be one of the curve's, got {threshold}: give it when the curve is made"
            raise SettingsError(msg)
        difference = (self.terms[self._index(first)] - self.terms[self._index(second)])[near[0]]
        value, variance = float(difference.sum()), float(_variance_of_sum(difference))
        return wald_difference((first, second), value, variance, self.confidence, "net benefit, over patients")

    def table(self) -> Table:
        """Show the curve at up to ten thresholds.

        Returns
        -------
        Table
            One row per threshold.
        """
        step = max(1, len(self.thresholds) // 10)
        rows = [(t, *self.net_benefit[:, i]) for i, t in list(enumerate(self.thresholds))[::step]]
        return Table.of("Net benefit", ("threshold", *self.names), rows)

    def to_dict(self) -> dict[str, Any]:
        """Turn the curve into what JSON can hold, without the parts of single patients.

        Returns
        -------
        dict
            Fields by name.
        """
        return {k: v for k, v in super().to_dict().items() if k != "terms"}

    def _index(self, name: str) -> int:
        if name not in self.names:
            msg = f"no strategy {name!r} among {', '.join(self.names)}"
            raise InputError(msg)
        return self.names.index(name)


def decision_curve(
    truth: ArrayLike,
    models: Mapping[str, ArrayLike],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    prevalence: float | None = None,
    harm: Mapping[str, float] | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> DecisionCurve:
    """Give the net benefit of models over thresholds of risk.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    models : mapping of str to (array_like of float, shape (n_cases,))
        Predicted risks, from 0 to 1.
    thresholds : sequence of float, optional
        Risks at or above which one acts, inside 0 to 1.
    prevalence : float, optional
        Prevalence where the model will be used, for case-control data; that of the data where left out.
    harm : mapping of str to float, optional
        Cost of applying a model to a case, in true positives; 0 where left out.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    confidence : float, optional
        Coverage wanted at each threshold.

    Returns
    -------
    DecisionCurve
        The models' curves and those of treating all and none.

    Raises
    ------
    InputError
        If the columns do not fit, a risk lies outside 0 to 1, or a prevalence is given and a class does not occur.
    SettingsError
        If a threshold or the prevalence does not lie inside 0 to 1.

    References
    ----------
    Vickers & Elkin 2006, doi 10.1177/0272989X06295361; Vickers 2008, doi 10.1186/1472-6947-8-53.
    """
    at = np.asarray(thresholds, dtype=np.float64)
    for name, values in (("thresholds", at), ("prevalence", np.array([prevalence or 0.5]))):
        if values.ndim != 1 or not values.size or not ((values > 0) & (values < 1)).all():
            msg = f"{name} must lie inside 0 to 1, got {values.tolist()}"
            raise SettingsError(msg)
    positive = binary(truth, both=prevalence is not None)
    risks = {name: probabilities(p, f"risk of {name}") for name, p in models.items()}
    same_length(truth=positive, **risks)
    weight = _case_weights(positive, prevalence)
    codes = patient_codes(patients, len(positive))
    called = [risk[None, :] >= at[:, None] for risk in risks.values()]
    called += [np.ones((len(at), len(positive)), bool), np.zeros((len(at), len(positive)), bool)]
    gain = weight * np.where(positive, 1.0, -odds(at)[:, None])
    cost = [(harm or {}).get(name, 0.0) for name in risks] + [0.0, 0.0]
    parts = (np.where(call, gain, 0.0) - c * weight for call, c in zip(called, cost, strict=True))
    terms = np.stack([_by_patient(part, codes, None if prevalence is None else positive) for part in parts])
    value = terms.sum(axis=2)
    half = normal_quantile(confidence) * np.sqrt(_variance_of_sum(terms))
    names = (*risks, TREAT_ALL, TREAT_NONE)
    return DecisionCurve(names, at, value, value - half, value + half, terms, confidence)


def odds(threshold: Floats) -> Floats:
    """Give the weight of a false positive at a threshold of risk.

    Parameters
    ----------
    threshold : ndarray of float
        Inside 0 to 1.

    Returns
    -------
    ndarray of float
        Threshold over one minus threshold.
    """
    return threshold / (1 - threshold)


def _case_weights(positive: NDArray[np.bool_], prevalence: float | None) -> Floats:
    """Share of each case in the mean, moved to the prevalence wanted."""
    if prevalence is None:
        return np.full(len(positive), 1 / len(positive))
    return np.where(positive, prevalence / positive.sum(), (1 - prevalence) / (~positive).sum())


def _by_patient(part: Floats, codes: NDArray[np.intp], strata: NDArray[np.bool_] | None) -> Floats:
    """Sums over patients; where the classes were sampled apart, each patient's deviation from its classes' means."""
    total, n_patients = part.sum(axis=1, keepdims=True), int(codes.max()) + 1
    if strata is not None:
        part = part - np.where(strata, part[:, strata].mean(axis=1)[:, None], part[:, ~strata].mean(axis=1)[:, None])
    sums = np.stack([np.bincount(codes, weights=row, minlength=n_patients) for row in part])
    return sums if strata is None else sums + total / n_patients


def _variance_of_sum(terms: Floats) -> Floats:
    n = terms.shape[-1]
    return n * terms.var(axis=-1, ddof=1) if n > 1 else np.full(terms.shape[:-1], math.nan)
