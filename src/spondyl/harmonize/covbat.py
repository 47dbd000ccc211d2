"""CovBat: scanners also change how features vary together; this is removed in the directions in which they vary most.

What ComBat leaves is turned to its principal components, and the components' means and variances are aligned between
scanners in the same way as features are.

References
----------
Chen 2022, Hum Brain Mapp 43:1179.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.harmonize.combat import ComBatFit, ComBatSettings, Scanners, apply_combat, fit_combat

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPLAINED_VARIANCE = 0.95
"""Share of the variance whose components are aligned (Chen 2022, section 2.3)."""


@dataclass(frozen=True, eq=False)
class CovBatFit:
    """What was learned about how scanners change the covariance.

    Parameters
    ----------
    center : ndarray of float, shape (p,)
        Mean of what ComBat leaves, in standard deviations of the features.
    components : ndarray of float, shape (m, p)
        Orthonormal directions.
    scores : ComBatFit
        Effects of scanners on the scores, without shrinkage.
    """

    center: NDArray[np.float64]
    components: NDArray[np.float64]
    scores: ComBatFit


def fit_covbat(combat: ComBatFit, removed: NDArray[np.float64], codes: NDArray[np.intp], columns: NDArray) -> CovBatFit:
    """Learn how scanners change the covariance.

    Parameters
    ----------
    combat : ComBatFit
        Effects on each feature by itself.
    removed : ndarray of float, shape (n, p)
        The training table after their removal.
    codes : ndarray of int, shape (n,)
        Each patient's scanner.
    columns : ndarray of float, shape (n, q)
        Kept covariates.

    Returns
    -------
    CovBatFit
        The effects.
    """
    left = _standardized(combat, removed, columns)
    center = left.mean(axis=0)
    left -= center
    components = _main_components(left)
    names, reference = combat.names, combat.settings.reference
    settings = ComBatSettings(shrink=False, mean_only=combat.settings.mean_only, reference=reference)
    empty = np.zeros((len(left), 0))
    scores = fit_combat(left @ components.T, Scanners(names, codes), empty, settings)
    return CovBatFit(center, components, scores)


def apply_covbat(
    fit: CovBatFit, combat: ComBatFit, removed: NDArray[np.float64], codes: NDArray[np.intp], columns: NDArray
) -> NDArray[np.float64]:
    """Align the covariance of patients whose features were harmonized one by one.

    Parameters
    ----------
    fit : CovBatFit
        Effects on the covariance.
    combat : ComBatFit
        Effects on each feature by itself.
    removed : ndarray of float, shape (n, p)
        Table after `apply_combat`; a missing value counts as the expected one and stays missing.
    codes : ndarray of int, shape (n,)
        Each patient's scanner, or `UNSEEN`.
    columns : ndarray of float, shape (n, q)
        Kept covariates.

    Returns
    -------
    ndarray of float, shape (n, p)
        A new table.
    """
    left = _standardized(combat, removed, columns) - fit.center
    scores = left @ fit.components.T
    # A scanner added later has effects on features only; how it changes the covariance is not known from a few cases.
    known = np.where(codes < len(fit.scores.names), codes, -1)
    change = apply_combat(fit.scores, scores, known, np.zeros((len(scores), 0))) - scores
    return removed + (change @ fit.components) * combat.sd


def _standardized(combat: ComBatFit, removed: NDArray[np.float64], columns: NDArray) -> NDArray[np.float64]:
    left = removed - combat.expected(columns)
    left /= np.where(combat.sd > 0, combat.sd, 1.0)
    left[:, combat.sd == 0] = 0.0
    return np.nan_to_num(left, copy=False, nan=0.0)


def _main_components(left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Directions that hold the variance asked for, from the smaller of the two Gram matrices."""
    n, p = left.shape
    wide = p > n
    values, vectors = np.linalg.eigh(left @ left.T if wide else left.T @ left)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    share = np.cumsum(values) / max(values.sum(), 1e-300)
    m = min(int(np.searchsorted(share, EXPLAINED_VARIANCE)) + 1, len(values))
    m = min(m, int((values > 1e-10 * max(values[0], 1e-300)).sum()))
    directions = left.T @ (vectors[:, :m] / np.sqrt(values[:m])) if wide else vectors[:, :m]
    return np.ascontiguousarray(directions.T)
