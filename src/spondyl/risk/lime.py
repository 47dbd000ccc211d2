"""A straight line through a model around one patient (LIME), which says itself when it is not to be trusted.

The method draws neighbors at random, so two runs differ. Here the seed comes from the patient's own values, the line
is fitted several times, and the explanation is refused where repeats disagree or the line does not fit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

KERNEL_WIDTH = 0.75
"""Width of the neighborhood in standard deviations, times the root of the number of features (Ribeiro 2016)."""

LEAST_R2 = 0.5
"""Share of the model's local variance that a line must explain. Chosen by us."""

LEAST_STABILITY = 0.75
"""Mean agreement of repeats on the leading features below which an explanation is refused. Chosen by us."""

N_LEADING = 3
"""Leading features on which repeats must agree. Chosen by us."""

FEW_VALUES = 5
"""Up to this many different values, neighbors take the values that occur instead of values between. Chosen by us."""

RIDGE = 1e-3
"""Penalty that keeps the fit solvable where features do not vary among the neighbors."""


@dataclass(frozen=True, eq=False)
class LocalLine:
    """A line through a model around one patient.

    Parameters
    ----------
    names : tuple of str
        The features.
    effect : ndarray of float, shape (p,)
        Change of the prediction by one standard deviation of each feature; mean over the repeats.
    spread : ndarray of float, shape (p,)
        Standard deviation of the effect over the repeats.
    r2 : float
        Share of the local variance that the line explains; mean over the repeats.
    stability : float
        Mean overlap of the leading features of two repeats, from 0 to 1.
    reason : str
        Why the explanation is refused; empty where it may be shown.
    """

    names: tuple[str, ...]
    effect: Floats
    spread: Floats
    r2: float
    stability: float
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether the explanation may be shown."""
        return not self.reason


def local_line(
    function: Callable[[Floats], Floats],
    row: ArrayLike,
    background: ArrayLike,
    names: Sequence[str],
    *,
    n_neighbors: int = 600,
    n_repeats: int = 8,
) -> LocalLine:
    """Fit a line through a model around one patient, several times.

    Parameters
    ----------
    function : callable
        Gives one number for each row.
    row : array_like of float, shape (p,)
        The patient; missing values stay missing and get no effect.
    background : array_like of float, shape (b, p)
        Patients from whom scale and values are taken.
    names : sequence of str
        The features.
    n_neighbors, n_repeats : int, optional
        Neighbors of one fit, and fits.

    Returns
    -------
    LocalLine
        The mean line, with its stability.

    References
    ----------
    Ribeiro 2016, doi 10.1145/2939672.2939778 (LIME); Visani 2022, doi 10.1080/01605682.2020.1865846 (stability of
    repeats).
    """
    x, b = np.asarray(row, dtype=np.float64), np.asarray(background, dtype=np.float64)
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(x).tobytes()).digest()[:8], "little")
    scale = np.nanstd(np.where(np.isfinite(b), b, np.nan), axis=0) if len(b) > 1 else np.ones(len(x))
    free = np.flatnonzero(np.isfinite(x) & np.isfinite(scale) & (scale > 0))
    effects, fits = np.zeros((n_repeats, len(x))), np.zeros(n_repeats)
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, repeat])
        near = _neighbors(x, b, scale, free, rng.spawn(1)[0], n_neighbors)
        z = (near[:, free] - x[free]) / scale[free]
        width = KERNEL_WIDTH * np.sqrt(max(len(free), 1))
        weight = np.exp(-(z**2).sum(axis=1) / (2 * width**2))
        effects[repeat, free], fits[repeat] = _line(z, function(near), weight)
    stability = _agreement(effects)
    r2 = float(fits.mean())
    reason = ""
    if r2 < LEAST_R2:
        reason = f"a line explains {r2:.0%} of the model around this patient, {LEAST_R2:.0%} is wanted"
    elif stability < LEAST_STABILITY:
        reason = f"repeats agree on {stability:.0%} of the leading features, {LEAST_STABILITY:.0%} is wanted"
    return LocalLine(tuple(names), effects.mean(axis=0), effects.std(axis=0, ddof=1), r2, stability, reason)


def _neighbors(
    x: Floats, background: Floats, scale: Floats, free: NDArray[np.intp], rng: np.random.Generator, n: int
) -> Floats:
    near = np.repeat(x[None], n, axis=0)
    for column in free:
        known = background[np.isfinite(background[:, column]), column]
        if len(np.unique(known)) <= FEW_VALUES:
            drawn = rng.choice(known, n)
            near[:, column] = np.where(rng.random(n) < 0.5, drawn, x[column])
        else:
            near[:, column] += scale[column] * rng.standard_normal(n)
    near[0] = x
    return near


def _line(z: Floats, value: Floats, weight: Floats) -> tuple[Floats, float]:
    total = weight.sum()
    center, mean = weight @ z / total, float(weight @ value / total)
    left, right = z - center, value - mean
    gram = left.T @ (left * weight[:, None]) + RIDGE * total * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, left.T @ (weight * right))
    around = float(weight @ right**2)
    rest = float(weight @ (right - left @ slope) ** 2)
    return slope, 1 - rest / around if around > 1e-18 * total else 1.0


def _agreement(effects: Floats) -> float:
    k = min(N_LEADING, effects.shape[1])
    leading = [set(np.argsort(-np.abs(e), kind="stable")[:k].tolist()) for e in effects]
    shared = [len(a & b) / k for a, b in combinations(leading, 2)]
    return float(np.mean(shared)) if shared else 1.0
