"""The harmonization space: a few coordinates that say how a patient's features vary together, and the way back.

A probabilistic factor model. Its coordinates can be had from any subset of the features, so a missing sequence still
has an expected value with an honest uncertainty, and what it leaves unexplained bounds a feature's noise from above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MIN_UNIQUE = 0.005
"""Least share of a feature's variance that counts as its own. Chosen by us: keeps the inverse finite."""

MAX_ROUNDS = 50
"""Rounds of filling in missing training values; each brings them closer to what the space predicts."""

TRACY_WIDOM_95 = 0.9793
"""95th percentile of the Tracy-Widom distribution of order 1 (Johnstone 2001, Ann Stat 29:295, table 1)."""

SETTLED = 1e-4
"""Root mean square change, in standard deviations, at which filling in ends. Chosen by us."""


class Prediction(NamedTuple):
    """What the space says about patients.

    Parameters
    ----------
    coordinates : ndarray of float, shape (n, d)
        Posterior means of the coordinates; mean 0 and variance near 1 over the training patients.
    values : ndarray of float, shape (n, p)
        Expected features in their own units.
    variance : ndarray of float, shape (n, p)
        Predictive variance of a single measured value.
    """

    coordinates: NDArray[np.float64]
    values: NDArray[np.float64]
    variance: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HarmonizationSpace:
    """A factor model of harmonized features.

    Parameters
    ----------
    center, spread : ndarray of float, shape (p,)
        Mean and standard deviation of each feature over the training patients.
    loadings : ndarray of float, shape (p, d)
        How each feature changes with each coordinate, in its standard deviations.
    unique : ndarray of float, shape (p,)
        Share of each feature's variance that no coordinate explains.
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]
    loadings: NDArray[np.float64]
    unique: NDArray[np.float64]

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return self.loadings.shape[1]

    def predict(self, values: NDArray[np.float64]) -> Prediction:
        """Find patients in the space.

        Parameters
        ----------
        values : ndarray of float, shape (n, p)
            Harmonized features in their own units; missing ones are left out.

        Returns
        -------
        Prediction
            Coordinates, expected features and their variance.
        """
        z = (values - self.center) / self.spread
        d = self.dimension
        coordinates = np.zeros((len(z), d))
        variance = np.empty(z.shape)
        for rows, seen in _patterns(z):
            weighted = self.loadings[seen] / self.unique[seen][:, None]
            posterior = np.linalg.inv(np.eye(d) + self.loadings[seen].T @ weighted)
            coordinates[rows] = z[np.ix_(rows, seen)] @ weighted @ posterior
            variance[rows] = np.einsum("pi,ij,pj->p", self.loadings, posterior, self.loadings) + self.unique
        return Prediction(coordinates, self.features(coordinates), variance * self.spread**2)

    def features(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Go back from coordinates to features.

        Parameters
        ----------
        coordinates : ndarray of float, shape (n, d)
            Places in the space.

        Returns
        -------
        ndarray of float, shape (n, p)
            Expected features in their own units.
        """
        return self.center + (coordinates @ self.loadings.T) * self.spread


def _patterns(z: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows that miss the same features, with the features they have."""
    seen = np.isfinite(z)
    patterns: dict[bytes, list[int]] = {}
    for row, key in enumerate(np.packbits(seen, axis=1)):
        patterns.setdefault(key.tobytes(), []).append(row)
    for rows in patterns.values():
        yield np.array(rows, dtype=np.intp), np.flatnonzero(seen[rows[0]])


def learn_space(
    values: NDArray[np.float64], dimension: int | str = "auto", *, overwrite: bool = False
) -> HarmonizationSpace:
    """Learn the space of harmonized features.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Training patients; missing values are filled in with what the space predicts.
    dimension : int or str, optional
        Number of coordinates, or ``"auto"`` for the rule of `choose_dimension`.
    overwrite : bool, optional
        Whether the memory of `values` may be worked in, which spares a copy of a large table.

    Returns
    -------
    HarmonizationSpace
        The space.

    Raises
    ------
    SettingsError
        If the dimension is neither ``"auto"`` nor a number that the table can bear.

    References
    ----------
    Tipping and Bishop 1999, J R Stat Soc B 61:611 (probabilistic principal components; each feature keeps its own
    unexplained variance here).
    """
    n, p = values.shape
    most = max(min(n - 1, p) - 1, 1)
    if dimension != "auto" and not (isinstance(dimension, int) and 1 <= dimension <= most):
        msg = f"dimension is 'auto' or a whole number from 1 to {most} for this table, got {dimension!r}"
        raise SettingsError(msg)
    z = values if overwrite else values.copy()
    missing = np.isnan(z)
    gaps = bool(missing.any())
    n_seen = np.maximum(n - missing.sum(axis=0), 1)
    center = np.nansum(z, axis=0) / n_seen if gaps else z.mean(axis=0)
    z -= center
    z[missing] = 0.0
    spread = np.sqrt(np.einsum("ij,ij->j", z, z) / n_seen)
    varying = spread > 0
    spread[~varying] = 1.0
    z /= spread
    for _ in range(MAX_ROUNDS):
        d = choose_dimension(z) if dimension == "auto" else int(dimension)
        loadings, unique = _factors(z, d)
        loadings[~varying] = 0.0
        space = HarmonizationSpace(center, spread, loadings, unique)
        if not gaps:
            break
        seen = center + z * spread
        seen[missing] = np.nan
        change = (space.predict(seen).values - center) / spread - z
        z[missing] += change[missing]
        if np.sqrt(np.mean(change[missing] ** 2)) < SETTLED:
            break
    return space


def choose_dimension(z: NDArray[np.float64]) -> int:
    """Choose how many coordinates stand out from noise.

    Parameters
    ----------
    z : ndarray of float, shape (n, p)
        Standardized features.

    Returns
    -------
    int
        Number of eigenvalues of the correlation matrix above what independent features reach by chance in one of
        twenty tables of this size; from 1 to half of the smaller side of the table.

    References
    ----------
    Johnstone 2001, Ann Stat 29:295 (distribution of the largest eigenvalue); Dobriban and Owen 2019, J R Stat Soc B
    81:163 (its use in place of parallel analysis by permutation).
    """
    n, p = z.shape
    root = np.sqrt(max(n - 1, 1)) + np.sqrt(p)
    width = root * (1 / np.sqrt(max(n - 1, 1)) + 1 / np.sqrt(p)) ** (1 / 3)
    values = np.linalg.eigvalsh(_gram(z))
    return int(np.clip((values > root**2 + TRACY_WIDOM_95 * width).sum(), 1, max(min(n, p) // 2, 1)))


def _gram(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return z @ z.T if z.shape[1] > z.shape[0] else z.T @ z


def _factors(z: NDArray[np.float64], d: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loadings of the d largest principal components above the noise, and what they leave of each feature."""
    n, p = z.shape
    values, vectors = np.linalg.eigh(_gram(z))
    values, vectors = np.maximum(values[::-1], 0) / n, vectors[:, ::-1]
    largest = values[:d]
    wide = p > n
    directions = z.T @ (vectors[:, :d] / np.sqrt(np.maximum(largest * n, 1e-300))) if wide else vectors[:, :d]
    noise = max(float(np.vdot(z, z)) / n - float(largest.sum()), 0.0) / max(p - d, 1)
    loadings = directions * np.sqrt(np.maximum(largest - noise, 0.0))
    # The sign of a component is arbitrary; fixed, so that two machines give the same coordinates.
    signs = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(d)])
    loadings = loadings * np.where(signs == 0, 1.0, signs)
    return loadings, np.maximum(1 - (loadings**2).sum(axis=1), MIN_UNIQUE)
