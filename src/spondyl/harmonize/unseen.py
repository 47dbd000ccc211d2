"""Scanners that were not in the training table: what can honestly be done with their patients.

``refuse``
    Nothing: an error names the scanner.
``pooled``
    The value stays as measured; its uncertainty takes in how much scanners differ.
``calibrate``
    The scanner's effects are learned from its own unlabelled patients, everything else stays as trained.
``nearest``
    The effects of the known scanner with the most similar acquisition are removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spondyl.core import InputError, SettingsError
from spondyl.harmonize import shrinkage
from spondyl.harmonize.combat import ComBatFit, site_effects, with_scanner
from spondyl.harmonize.design import is_numeric, obs_column
from spondyl.harmonize.shrinkage import Prior, SiteEffects, SiteEstimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_CALIBRATION_CASES = 10
"""Fewest patients from which a new scanner is learned without being asked for; the limit that the ENIGMA consortium's
program sets for a site (Radua 2020, NeuroImage 218:116956)."""


class Policy(StrEnum):
    """What is done with patients of a scanner that was not learned."""

    REFUSE = "refuse"
    POOLED = "pooled"
    CALIBRATE = "calibrate"
    NEAREST = "nearest"


@dataclass(frozen=True)
class UnseenSettings:
    """How scanners that were not learned are treated.

    Parameters
    ----------
    policy : str
        ``"refuse"``, ``"pooled"``, ``"calibrate"`` or ``"nearest"``.
    nearest_by : tuple of str
        Columns that describe an acquisition, such as vendor, field strength and coil; needed for ``"nearest"``.
    min_cases : int
        Fewest patients of a new scanner from which ``"calibrate"`` learns.

    Raises
    ------
    SettingsError
        If the policy is not known, lacks its columns, or wants fewer than two patients.
    """

    policy: str = Policy.REFUSE.value
    nearest_by: tuple[str, ...] = ()
    min_cases: int = MIN_CALIBRATION_CASES

    def __post_init__(self) -> None:
        if self.policy not in list(Policy):
            msg = f"the policy for unseen scanners is one of {', '.join(Policy)}, got {self.policy!r}"
            raise SettingsError(msg)
        if self.policy == Policy.NEAREST and not self.nearest_by:
            msg = "the policy 'nearest' needs nearest_by, the columns that describe an acquisition, got none"
            raise SettingsError(msg)
        if self.min_cases < 2:
            msg = f"a scanner's spread needs at least two patients, got min_cases={self.min_cases}"
            raise SettingsError(msg)


def estimate_scanner(
    fit: ComBatFit, values: NDArray[np.float64], columns: NDArray[np.float64], scanner: str
) -> ComBatFit:
    """Learn a new scanner from its own patients, with means, slopes and standard deviations as trained.

    Parameters
    ----------
    fit : ComBatFit
        What was learned from other scanners.
    values : ndarray of float, shape (n, p)
        Patients of the new scanner; missing values are allowed.
    columns : ndarray of float, shape (n, q)
        Their covariates.
    scanner : str
        Its name.

    Returns
    -------
    ComBatFit
        With the scanner added. Its prior is how the known scanners differ in each feature.
    """
    varying = fit.sd > 0
    z = (values - fit.expected(columns)) / np.where(varying, fit.sd, np.nan)
    n = np.isfinite(z).sum(axis=0).astype(float)
    safe = np.maximum(n, 1)
    shift = np.where(n > 0, np.nansum(z, axis=0) / safe, np.nan)
    squares = np.nansum((z - np.where(n > 0, shift, 0.0)) ** 2, axis=0)
    scale = np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan)
    estimates = SiteEstimates(shift, scale, n, 1 / safe)
    return with_scanner(fit, scanner, estimates, _effects(fit, estimates))


def _effects(fit: ComBatFit, estimates: SiteEstimates) -> SiteEffects:
    settings = fit.settings
    if not settings.shrink:
        return site_effects(estimates, shrinkage.prior_of(estimates), settings)
    scales = fit.estimates.scale[np.isfinite(fit.estimates.scale)]
    shape, rate = shrinkage.inverse_gamma(scales)
    mean_scale = float(scales.mean()) if len(scales) else 1.0
    prior = Prior(0.0, np.maximum(fit.between, 1e-12), shape, rate, mean_scale)
    return shrinkage.shrunk_shift(estimates, prior) if settings.mean_only else shrinkage.parametric(estimates, prior)


@dataclass(frozen=True, eq=False)
class Acquisitions:
    """How each known scanner usually acquires.

    Parameters
    ----------
    numbers : mapping of str to ndarray of float, shape (k,)
        Median of each numeric column.
    ranges : mapping of str to float
        Its range over the scanners.
    words : mapping of str to tuple of str
        Most frequent value of every other column.
    """

    numbers: dict[str, NDArray[np.float64]]
    ranges: dict[str, float]
    words: dict[str, tuple[str, ...]]

    def nearest(self, obs: pd.DataFrame) -> NDArray[np.intp]:
        """Find the known scanner that acquires most like each patient's.

        Parameters
        ----------
        obs : DataFrame, shape (n, ...)
            Patients of scanners that were not learned.

        Returns
        -------
        ndarray of int, shape (n,)
            Place of the scanner; the first in order of name where several are equally near.

        Raises
        ------
        InputError
            If a column is missing, or a patient has no value in any of them.

        References
        ----------
        Gower 1971, Biometrics 27:857.
        """
        parts = []
        for name, medians in self.numbers.items():
            x = pd.to_numeric(obs_column(obs, name, "part of an acquisition"), errors="coerce").to_numpy(float)
            parts.append(np.abs(x[:, None] - medians) / (self.ranges[name] or 1.0))
        for name, usual in self.words.items():
            column = obs_column(obs, name, "part of an acquisition")
            differs = (column.astype(str).to_numpy()[:, None] != np.array(usual)).astype(float)
            differs[column.isna().to_numpy()] = np.nan
            parts.append(differs)
        distances = np.stack(parts)
        seen = np.isfinite(distances)
        if not seen.any(axis=(0, 2)).all():
            columns = ", ".join(repr(name) for name in (*self.numbers, *self.words))
            msg = (
                f"a patient of a scanner that was not learned has no value in {columns}; give one, or change the policy"
            )
            raise InputError(msg)
        mean = np.where(seen, distances, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        return np.argmin(np.where(seen.any(axis=0), mean, np.inf), axis=1).astype(np.intp)


def learn_acquisitions(obs: pd.DataFrame, codes: NDArray[np.intp], k: int, by: Sequence[str]) -> Acquisitions:
    """Learn how each scanner usually acquires.

    Parameters
    ----------
    obs : DataFrame, shape (n, ...)
        Training patients.
    codes : ndarray of int, shape (n,)
        Each patient's scanner.
    k : int
        Number of scanners.
    by : sequence of str
        Columns that describe an acquisition.

    Returns
    -------
    Acquisitions
        Medians and most frequent values.

    Raises
    ------
    InputError
        If a column is missing.
    """
    numbers, ranges, words = {}, {}, {}
    for name in by:
        groups = obs_column(obs, name, "part of an acquisition").groupby(codes)
        if is_numeric(obs[name]):
            numbers[name] = groups.median().reindex(range(k)).to_numpy(float)
            spread = float(np.nanmax(numbers[name]) - np.nanmin(numbers[name])) if len(numbers[name]) else 0.0
            ranges[name] = spread
        else:
            usual = groups.agg(lambda part: "" if part.isna().all() else str(part.mode().iloc[0])).reindex(range(k))
            words[name] = tuple(str(v) for v in usual)
    return Acquisitions(numbers, ranges, words)
