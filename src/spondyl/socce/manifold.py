"""Nonlinear coordinates with an exact place for new patients: diffusion maps with Nyström's extension.

The extension of a training patient is its own coordinate, to rounding; a new patient's does not depend on who else is
new, which UMAP's does.

References
----------
Coifman and Lafon 2006, Appl Comput Harmon Anal 21:5, doi:10.1016/j.acha.2006.04.006. Bengio 2004, Neural Comput
16:2197 (out-of-sample extension).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_LANDMARKS = 1500
"""Patients that carry the map; more are sampled. Chosen by us, for memory."""

NEIGHBORS = 15
"""The kernel is as wide as the median distance to this neighbor. Chosen by us."""


@dataclass(frozen=True, eq=False)
class DiffusionMap:
    """Coordinates of a manifold.

    Parameters
    ----------
    landmarks : ndarray of float, shape (m, d)
        Training patients that carry it.
    width2 : float
        Squared width of the kernel.
    density : ndarray of float, shape (m,)
        Sum of the kernel at each landmark.
    vectors : ndarray of float, shape (m, c)
        Coordinates of the landmarks.
    values : ndarray of float, shape (c,)
        Eigenvalues of the diffusion.
    """

    landmarks: Floats
    width2: float
    density: Floats
    vectors: Floats
    values: Floats

    def place(self, point: Floats) -> Floats:
        """Give one patient's coordinates.

        Parameters
        ----------
        point : ndarray of float, shape (d,)
            The embedding.

        Returns
        -------
        ndarray of float, shape (c,)
            Coordinates.
        """
        distance2 = ((self.landmarks - point) ** 2).sum(axis=1)
        # The smallest distance cancels in the weights; without it the kernel would vanish far from all landmarks.
        kernel = np.exp(-(distance2 - distance2.min()) / self.width2)
        weight = kernel / self.density
        return np.asarray((weight / weight.sum()) @ self.vectors / self.values)


def learn_diffusion_map(points: Floats, n_coordinates: int = 2, seed: int = 0) -> DiffusionMap:
    """Learn the map.

    Parameters
    ----------
    points : ndarray of float, shape (n, d)
        Embeddings of training patients.
    n_coordinates : int, optional
        Coordinates, without the constant one.
    seed : int, optional
        Of the landmarks, where there are more patients than `MOST_LANDMARKS`.

    Returns
    -------
    DiffusionMap
        With the density of patients divided out, so that it shows the shape and not how often it was sampled.
    """
    rows = np.sort(np.random.default_rng([seed, 12]).permutation(len(points))[:MOST_LANDMARKS])
    x = np.ascontiguousarray(points[rows])
    squares = (x**2).sum(axis=1)
    distance2 = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0.0)
    near = np.sort(distance2, axis=1)[:, min(NEIGHBORS, len(x) - 1)]
    width2 = max(2 * float(np.median(near)), 1e-9)
    kernel = np.exp(-distance2 / width2)
    density = kernel.sum(axis=1)
    kernel = kernel / density[:, None] / density
    total = kernel.sum(axis=1)
    symmetric = kernel / np.sqrt(total[:, None] * total)
    values, vectors = np.linalg.eigh(symmetric)
    c = min(n_coordinates, len(x) - 1)
    values, vectors = values[::-1][1 : c + 1], vectors[:, ::-1][:, 1 : c + 1]
    vectors = vectors / np.sqrt(total)[:, None]
    vectors = vectors / np.maximum(np.sqrt((vectors**2).mean(axis=0)), 1e-12)
    sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(c)])
    keep = np.maximum(values, 1e-6)
    return DiffusionMap(x, width2, density, vectors * np.where(sign == 0, 1, sign), keep)
