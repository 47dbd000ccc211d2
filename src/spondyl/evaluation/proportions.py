"""Shares with their intervals: Wilson's score interval, and the cluster-robust one where patients repeat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import normal_quantile
from spondyl.evaluation.records import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray


def proportion(n_yes: float, n: float, confidence: float = 0.95) -> Estimate:
    """Give a share with Wilson's interval.

    Parameters
    ----------
    n_yes, n : float
        How many of how many; effective numbers may be fractions.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Estimate
        Not assessable, and flagged, where `n` is 0.

    Raises
    ------
    InputError
        If there are more yes than all, or fewer than none.

    References
    ----------
    Wilson 1927, doi 10.1080/01621459.1927.10502953; Newcombe 1998, doi
    10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, method 3.
    """
    if not 0 <= n_yes <= n:
        msg = f"a share needs 0 <= yes <= all, got {n_yes} of {n}"
        raise InputError(msg)
    if n == 0:
        return Estimate(math.nan, confidence=confidence, method="Wilson", flags=("no case to take a share of",))
    z, p = normal_quantile(confidence), n_yes / n
    center, spread = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (center - spread) / (1 + z**2 / n), (center + spread) / (1 + z**2 / n)
    # Exactly at the ends, where rounding would leave 1e-17.
    low, high = (0.0 if n_yes == 0 else low), (1.0 if n_yes == n else high)
    return Estimate(p, low, high, math.sqrt(p * (1 - p) / n), confidence, "Wilson")


def clustered_proportion(yes: NDArray[np.bool_], patient: NDArray[np.intp], confidence: float = 0.95) -> Estimate:
    """Give a share of cases with an interval that allows for several cases of one patient.

    Parameters
    ----------
    yes : ndarray of bool, shape (n_cases,)
        Which cases count.
    patient : ndarray of int, shape (n_cases,)
        Patient of each case.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    Estimate
        Wilson's interval on the effective number of cases: all cases over the design effect of the ratio estimator,
        or as many as patients where all cases agree. Where every case is a patient of its own, plain Wilson.

    References
    ----------
    Rao & Scott 1992, A simple method for the analysis of clustered binary data, doi 10.2307/2532311.
    """
    n = len(yes)
    _, codes = np.unique(patient, return_inverse=True)
    n_patients = int(codes.max(initial=-1)) + 1
    plain = proportion(int(yes.sum()), n, confidence)
    if n_patients == n:
        return plain
    if n_patients < 2 or yes.all() or not yes.any():
        # No spread to learn a design effect from: the worst is assumed, a patient's cases all alike.
        design = n / n_patients
    else:
        residuals = np.bincount(codes, weights=yes - plain.value, minlength=n_patients)
        variance = n_patients / (n_patients - 1) * float(residuals @ residuals) / n**2
        # A design effect below one would claim more cases than there are.
        design = max(variance / plain.standard_error**2, 1.0)
    wide = proportion(plain.value * n / design, n / design, confidence)
    method = "Wilson, Rao-Scott for clusters"
    return Estimate(plain.value, wide.low, wide.high, wide.standard_error, confidence, method)
