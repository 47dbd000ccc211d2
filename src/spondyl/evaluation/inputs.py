"""The door of the statistics: what comes in is checked once, here, and named in the message when it does not fit."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def finite_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Take numbers, one per case.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The numbers.
    name : str
        What they are, for the message.

    Returns
    -------
    ndarray of float, shape (n,)
        The numbers.

    Raises
    ------
    InputError
        If there are none, if they are not in one row, or if some are missing or infinite.
    """
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{name} must be numbers, one per case"
        raise InputError(msg) from error
    if vector.ndim != 1 or not vector.size:
        msg = f"{name} must be one number per case and at least one case, got shape {vector.shape}"
        raise InputError(msg)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        msg = (
            f"{name} must be finite, got {bad.size} missing or infinite values (first in row {bad[0]}): leave them out"
        )
        raise InputError(msg)
    return vector


def probabilities(values: ArrayLike, name: str = "probability") -> NDArray[np.float64]:
    """Take probabilities, one per case.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The probabilities.
    name : str, optional
        What they are, for the message.

    Returns
    -------
    ndarray of float, shape (n,)
        The probabilities.

    Raises
    ------
    InputError
        If one lies outside 0 to 1.
    """
    vector = finite_vector(values, name)
    if vector.min() < 0 or vector.max() > 1:
        msg = f"{name} must lie from 0 to 1, got {vector.min():g} to {vector.max():g}: calibrate scores first"
        raise InputError(msg)
    return vector


def binary(truth: ArrayLike, name: str = "truth", *, both: bool = False) -> NDArray[np.bool_]:
    """Take a yes or no for each case.

    Parameters
    ----------
    truth : array_like of bool or of 0 and 1, shape (n,)
        The answers.
    name : str, optional
        What they are, for the message.
    both : bool, optional
        True asks for at least one of each.

    Returns
    -------
    ndarray of bool, shape (n,)
        The answers.

    Raises
    ------
    InputError
        If other values occur, or only one class where both are needed.
    """
    vector = finite_vector(truth, name)
    if not np.isin(vector, (0, 1)).all():
        msg = f"{name} must be 0 or 1 for each case, got {np.unique(vector)[:5].tolist()}: say which class is positive"
        raise InputError(msg)
    if both and vector.min() == vector.max():
        msg = f"{name} must hold both classes, got {vector.size} cases that are all {int(vector[0])}"
        raise InputError(msg)
    return vector.astype(bool)


def same_length(**vectors: NDArray | None) -> int:
    """Check that columns belong to the same cases.

    Parameters
    ----------
    **vectors : ndarray or None
        Columns by name; None is passed over.

    Returns
    -------
    int
        Number of cases.

    Raises
    ------
    InputError
        If the lengths differ.
    """
    sizes = {name: len(v) for name, v in vectors.items() if v is not None}
    if len(set(sizes.values())) != 1:
        msg = f"one value per case is needed in every column, got {sizes}"
        raise InputError(msg)
    return next(iter(sizes.values()))


def patient_codes(patients: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Number the patients.

    Parameters
    ----------
    patients : array_like, shape (n,), or None
        Pseudonym of the patient behind each case; None where every case is a patient of its own.
    n : int
        Number of cases.

    Returns
    -------
    ndarray of int, shape (n,)
        Numbers from 0, without gaps.

    Raises
    ------
    InputError
        If there is not one per case.
    """
    if patients is None:
        return np.arange(n)
    names = np.asarray(patients)
    if names.shape != (n,):
        msg = f"patients must name one patient per case ({n}), got shape {names.shape}"
        raise InputError(msg)
    return np.unique(names.astype(str) if names.dtype == object else names, return_inverse=True)[1]


def confidence_level(confidence: float) -> float:
    """Take the coverage wanted of an interval.

    Parameters
    ----------
    confidence : float
        Such as 0.95.

    Returns
    -------
    float
        The same.

    Raises
    ------
    SettingsError
        If it does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        msg = f"confidence must lie between 0 and 1, such as 0.95; got {confidence}"
        raise SettingsError(msg)
    return confidence


def normal_quantile(confidence: float) -> float:
    """Give the factor of the standard error in a two-sided normal interval.

    Parameters
    ----------
    confidence : float
        Such as 0.95.

    Returns
    -------
    float
        Such as 1.96.
    """
    return NormalDist().inv_cdf((1 + confidence_level(confidence)) / 2)


def two_sided_p(z: float) -> float:
    """Give the two-sided p value of a standard normal statistic.

    Parameters
    ----------
    z : float
        The statistic; NaN gives NaN.

    Returns
    -------
    float
        From 0 to 1, exact in the far tail.
    """
    return math.erfc(abs(z) / math.sqrt(2))
