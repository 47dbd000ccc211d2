"""Proper scores: best, in the mean, for whoever says what they believe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import finite_vector, probabilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

NEAR_CERTAIN = 1e-8
"""Probabilities nearer to 0 and 1 than this are moved there before a logarithm is taken. Chosen by us."""


def log_loss(positive: NDArray[np.bool_], probability: Floats) -> float:
    """Give the mean negative log-likelihood.

    Parameters
    ----------
    positive : ndarray of bool, shape (n_cases,)
        True for positive.
    probability : ndarray of float, shape (n_cases,)
        Predicted risk; certainty is softened by `NEAR_CERTAIN`.

    Returns
    -------
    float
        In nats.
    """
    p = np.clip(probability, NEAR_CERTAIN, 1 - NEAR_CERTAIN)
    return float(-np.log(np.where(positive, p, 1 - p)).mean())


def brier_score(truth: ArrayLike, probability: ArrayLike) -> float:
    """Give the Brier score of several classes: the mean over cases of the squared errors summed over classes.

    Parameters
    ----------
    truth : array_like of int, shape (n_cases,)
        Number of the true class, from 0.
    probability : array_like of float, shape (n_cases, n_classes)
        Predicted probabilities.

    Returns
    -------
    float
        From 0 to 2; for two classes, twice the score of the positive class alone (`Calibration.brier`).

    Raises
    ------
    InputError
        If the shapes do not fit or a probability lies outside 0 to 1.

    References
    ----------
    Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    classes, p = _class_columns(truth, probability)
    return float(((p - np.eye(p.shape[1])[classes]) ** 2).sum(axis=1).mean())


def log_score(truth: ArrayLike, probability: ArrayLike) -> float:
    """Give the logarithmic score of several classes: the mean log-probability of the true class.

    Parameters
    ----------
    truth : array_like of int, shape (n_cases,)
        Number of the true class, from 0.
    probability : array_like of float, shape (n_cases, n_classes)
        Predicted probabilities; those below `NEAR_CERTAIN` are moved there.

    Returns
    -------
    float
        Up to 0, in nats; higher is better.

    Raises
    ------
    InputError
        If the shapes do not fit or a probability lies outside 0 to 1.
    """
    classes, p = _class_columns(truth, probability)
    return float(np.log(np.maximum(p[np.arange(len(p)), classes], NEAR_CERTAIN)).mean())


def _class_columns(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
    p = np.asarray(probability, dtype=np.float64)
    classes = finite_vector(truth, "truth")
    if p.shape[:1] != classes.shape or p.ndim != 2:
        msg = f"probability must have shape ({len(classes)}, classes), got {p.shape}"
        raise InputError(msg)
    probabilities(p.ravel())
    if not np.isin(classes, np.arange(p.shape[1])).all():
        msg = f"truth must number the classes from 0 to {p.shape[1] - 1}, got {np.unique(classes)[:5].tolist()}"
        raise InputError(msg)
    return classes.astype(np.intp), p
