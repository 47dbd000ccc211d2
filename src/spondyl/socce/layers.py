"""A learned nonlinear encoder as plain layers, run by numpy alone: what contrastive training leaves behind.

It stands on the closed form, `Subspace`: its scores go straight through, and layers add what bends. So a modality with
missing features is read as there, and where nothing bends nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spondyl.socce.subspace import Subspace

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerEncoder:
    """Principal scores, turned, and what one layer of hyperbolic tangents adds to them.

    Parameters
    ----------
    base : Subspace
        Features to principal scores.
    turn : ndarray of float, shape (k, k)
        What goes straight through.
    into, out : ndarray of float, shapes (k, h) and (h, k)
        Weights of the layer and of what it adds.
    bias : ndarray of float, shape (h,)
        Of the layer.
    shift : ndarray of float, shape (k,)
        Of the scores, so that their mean in training is that of the principal scores.
    """

    METHOD: ClassVar[str] = (
        "probabilistic principal components bent by small networks trained by contrast between modalities (InfoNCE; "
        "van den Oord 2018)"
    )

    base: Subspace
    turn: Floats
    into: Floats
    out: Floats
    bias: Floats
    shift: Floats

    @property
    def n_scores(self) -> int:
        """Number of scores."""
        return len(self.shift)

    def bent(self, mean: Floats) -> Floats:
        """Turn principal scores into scores.

        Parameters
        ----------
        mean : ndarray of float, shape (..., k)
            Posterior means of the principal scores.

        Returns
        -------
        ndarray of float, same shape
            Scores.
        """
        return np.asarray(mean @ self.turn + np.tanh(mean @ self.into + self.bias) @ self.out + self.shift)

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
            Precision of the evidence, that of the principal scores.
        """
        mean, precision = self.base.evidence(row)
        return self.bent(mean), precision

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
        mean, precision = self.base.scores(values)
        return self.bent(mean), precision
