"""Late fusion: one model for each modality, one that puts their answers together, and any modality may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from spondyl.core import InputError
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.ensemble import SurvivalEnsemble
from spondyl.risk.outcome import checked, cumulative_hazard
from spondyl.risk.proportional import ProportionalHazards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class LateFusion(ProportionalHazards):
    """A survival model for each modality, joined by a ridge-penalized Cox model.

    Parameters
    ----------
    modalities : mapping of str to sequence of int
        Columns of each modality.
    estimator : estimator, optional
        Model of one modality, with `out_of_fold_` after `fit`; `SurvivalEnsemble` where left out.

    Attributes
    ----------
    models_ : dict of str to estimator
        By modality.
    joint_ : PenalizedCox
        Of the modalities' log risks, 0 where one is missing, and of which are missing.
    out_of_fold_ : ndarray of float, shape (n,)
        Log relative risk of training patients, every modality out of fold.
    times_, hazard_ : ndarray of float
        Baseline cumulative hazard.
    """

    def __init__(self, modalities: Mapping[str, Sequence[int]], *, estimator: Any = None) -> None:
        self.modalities = modalities
        self.estimator = estimator

    def fit(self, X: ArrayLike, y: Any, *, groups: ArrayLike | None = None) -> LateFusion:  # noqa: N803
        """Fit the modalities, then what joins them.

        Parameters
        ----------
        X : array_like of float, shape (n, p)
            Features; NaN where one is missing.
        y : ndarray, shape (n,)
            As `follow_up` gives it.
        groups : array_like, shape (n,), optional
            Who they are: rows of one patient stay in one fold.

        Returns
        -------
        LateFusion
            Itself.

        Raises
        ------
        InputError
            If a modality has too few patients with events.
        """
        x = np.asarray(X, dtype=np.float64)
        time, event = checked(y, len(x))
        self.n_features_in_ = x.shape[1]
        who = None if groups is None else np.asarray(groups)
        self.models_, scores = {}, np.zeros((len(x), len(self.modalities)))
        for number, (name, columns) in enumerate(self.modalities.items()):
            there = _there(x, columns)
            model = clone(self.estimator) if self.estimator is not None else SurvivalEnsemble()
            try:
                model.fit(x[there][:, list(columns)], y[there], groups=None if who is None else who[there])
            except InputError as error:
                msg = f"modality {name}, known of {int(there.sum())} patients: {error}"
                raise InputError(msg) from error
            self.models_[name] = model
            scores[there, number] = model.out_of_fold_ - model.out_of_fold_.mean()
        self.centers_ = {name: float(m.out_of_fold_.mean()) for name, m in self.models_.items()}
        terms = self._terms(x, scores)
        self.joint_ = PenalizedCox().fit(terms, y)
        self.out_of_fold_ = self.joint_.predict(terms)
        self.times_, self.hazard_ = cumulative_hazard(time, event, np.exp(self.out_of_fold_))
        return self

    def _terms(self, x: Floats, scores: Floats) -> Floats:
        absent = np.stack([~_there(x, columns) for columns in self.modalities.values()], axis=1)
        return np.hstack([scores, absent.astype(np.float64)])

    def predict(self, X: ArrayLike) -> Floats:  # noqa: N803 - scikit-learn's name
        """Give the logarithm of each patient's relative risk.

        Parameters
        ----------
        X : array_like of float, shape (m, p)
            Features; all of a modality may be NaN.

        Returns
        -------
        ndarray of float, shape (m,)
            Higher is sooner.
        """
        check_is_fitted(self, "joint_")
        x = np.asarray(X, dtype=np.float64)
        scores = np.zeros((len(x), len(self.modalities)))
        for number, (name, columns) in enumerate(self.modalities.items()):
            there = _there(x, columns)
            if there.any():
                scores[there, number] = self.models_[name].predict(x[there][:, list(columns)]) - self.centers_[name]
        return self.joint_.predict(self._terms(x, scores))


def _there(x: Floats, columns: Sequence[int]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(x[:, list(columns)]).any(axis=1))  # one value is enough
