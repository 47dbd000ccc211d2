"""The encoder of one modality: a few scores that carry its shared variation, and how firmly a patient's data tell them.

Probabilistic principal components: ``x = A y + noise`` with standard normal scores ``y``. Its ridge, the noise, makes
it safe with more features than patients, and a patient with part of the features has a posterior as any other.

References
----------
Tipping and Bishop 1999, J R Stat Soc B 61:611, doi:10.1111/1467-9868.00196.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from spondyl.socce.views import missing_patterns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_SCORES, FEWEST_SCORES = 24, 2
"""Scores of a modality. Chosen by us."""

IMPUTATION_ROUNDS = 8
"""Rounds in which missing values are predicted from the model and the model is learned again."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """Loadings and noise of a modality.

    Parameters
    ----------
    loadings : ndarray of float, shape (p, k)
        Change of each standardized feature with each score.
    noise : float
        Variance of what is left in a feature.
    """

    METHOD: ClassVar[str] = "probabilistic principal components (Tipping 1999)"

    loadings: Floats
    noise: float

    @property
    def n_scores(self) -> int:
        """Number of scores."""
        return self.loadings.shape[1]

    def evidence(self, row: Floats) -> tuple[Floats, Floats]:
        """Tell what a patient's features say of the scores.

        Parameters
        ----------
        row : ndarray of float, shape (p,)
            Standardized features; NaN where missing.

        Returns
        -------
        mean : ndarray of float, shape (k,)
            Posterior mean of the scores.
        precision : ndarray of float, shape (k, k)
            Precision of the evidence, without the prior; zero if nothing is known.
        """
        known = np.isfinite(row)
        a = np.ascontiguousarray(self.loadings[known])
        precision = a.T @ a / self.noise
        mean = np.linalg.solve(np.eye(self.n_scores) + precision, a.T @ row[known] / self.noise)
        return np.asarray(mean), precision

    def scores(self, values: Floats) -> tuple[Floats, Floats]:
        """Give the posterior of many patients, for learning.

        Parameters
        ----------
        values : ndarray of float, shape (n, p)
            Standardized features; NaN where missing.

        Returns
        -------
        mean : ndarray of float, shape (n, k)
            Posterior means.
        precision : ndarray of float, shape (n, k, k)
            Precision of the evidence; patients of one pattern of missing values share it.
        """
        k = self.n_scores
        mean, precision = np.empty((len(values), k)), np.empty((len(values), k, k))
        for known, rows in missing_patterns(values):
            a = self.loadings[known]
            precision[rows] = a.T @ a / self.noise
            gain = np.linalg.solve(np.eye(k) + a.T @ a / self.noise, a.T / self.noise)
            mean[rows] = values[np.ix_(rows, known)] @ gain.T
        return mean, precision


def learn_subspace(values: Floats) -> Subspace:
    """Learn the scores of a modality.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Standardized features of training patients; NaN where missing.

    Returns
    -------
    Subspace
        As many scores as rise above what independent features would show (Marchenko and Pastur 1967).
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    model = _fitted(filled)
    if known.all():
        return model
    for _ in range(IMPUTATION_ROUNDS):
        mean, _ = model.scores(values)
        filled = np.where(known, values, mean @ model.loadings.T)
        model = _fitted(filled)
    return model


def _fitted(filled: Floats) -> Subspace:
    n, p = filled.shape
    centered = filled - filled.mean(axis=0)
    small = centered @ centered.T if n < p else centered.T @ centered
    eigenvalues, vectors = np.linalg.eigh(small / n)
    eigenvalues, vectors = np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]
    most = min(MOST_SCORES, n - 1, p)
    bulk = float(np.median(eigenvalues[: min(n, p)]))
    # The median of Marchenko and Pastur's law lies below its mean by about a third of the ratio of the sides.
    variance = bulk / max(p / n, 1.0) / (1 - min(p / n, n / p) / 3)
    edge = variance * (1 + np.sqrt(p / n)) ** 2
    k = int(np.clip((eigenvalues > edge).sum(), min(FEWEST_SCORES, most), most)) if most else 0
    rest = max(float(np.trace(small)) / n - float(eigenvalues[:k].sum()), 0.0)
    noise = max(rest / max(p - k, 1), 1e-3)
    directions = vectors[:, :k] if n >= p else centered.T @ vectors[:, :k]
    directions = directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-12)
    loadings = directions * np.sqrt(np.maximum(eigenvalues[:k] - noise, 1e-6))
    sign = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(k)])
    return Subspace(np.ascontiguousarray(loadings * np.where(sign == 0, 1, sign)), noise)
