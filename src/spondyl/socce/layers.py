"""A learned nonlinear encoder as plain layers, run by numpy alone: what contrastive training leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerEncoder:
    """Layers with a hyperbolic tangent between them, and how firmly their output counts.

    Parameters
    ----------
    weights : tuple of ndarray of float, each of shape (inputs, outputs)
        Of each layer. The first takes the features and, beside them, which of them are known.
    biases : tuple of ndarray of float, each of shape (outputs,)
        Of each layer.
    precision : ndarray of float, shape (k, k)
        Precision of the scores where all features are known.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    precision: Floats

    @property
    def n_scores(self) -> int:
        """Number of scores."""
        return len(self.precision)

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
            Precision of the evidence, less the more features are missing.
        """
        known = np.isfinite(row)
        x = np.concatenate([np.where(known, row, 0.0), known.astype(float)])
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if number + 1 < len(self.weights):
                x = np.tanh(x)
        precision = self.precision * known.mean()
        return np.linalg.solve(np.eye(self.n_scores) + precision, precision @ x), precision

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
            Precision of the evidence.
        """
        found = [self.evidence(row) for row in values]
        return np.array([m for m, _ in found]), np.array([p for _, p in found])
