"""Shapley values of a prediction: what each feature adds to it, summing to it exactly.

Any model that gives a number can be explained, since only its predictions are asked for: of the patient with some
features exchanged for those of patients of a background. Up to `MOST_EXACT` features, every subset is asked; beyond,
pairs of a random order and its reverse, which keeps the sum exact and leaves a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import SpondylError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Function = Callable[[Floats], Floats]

MOST_EXACT = 8
"""Features up to which every subset is asked: 256 questions a patient and background row. Chosen by us."""

LARGEST_GAP = 1e-6
"""Largest difference of sum and prediction that is let pass; anything above is rounding gone wrong."""

ROWS_AT_ONCE = 20_000
"""Rows a model is asked about at once. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each feature adds to each prediction.

    Parameters
    ----------
    names : tuple of str, length p
        The features, or groups of them.
    base : float
        Mean prediction over the background.
    values : ndarray of float, shape (n, p)
        What each adds; rows sum to prediction less base.
    prediction : ndarray of float, shape (n,)
        What the model says.
    standard_error : ndarray of float, shape (n, p)
        Of each value from the random orders; 0 where every subset was asked.
    method : str
        How they were found.
    """

    names: tuple[str, ...]
    base: float
    values: Floats
    prediction: Floats
    standard_error: Floats
    method: str

    @property
    def gap(self) -> float:
        """Largest difference between base plus values and the prediction."""
        return float(np.abs(self.base + self.values.sum(axis=1) - self.prediction).max(initial=0.0))


def shapley_values(
    function: Function,
    rows: ArrayLike,
    background: ArrayLike,
    *,
    players: Mapping[str, Sequence[int]],
    n_orders: int = 2,
    seed: int = 0,
    most_exact: int | None = None,
) -> Attribution:
    """Explain predictions against a background.

    Parameters
    ----------
    function : callable
        Gives one number for each row.
    rows : array_like of float, shape (n, p)
        Patients explained.
    background : array_like of float, shape (b, p)
        Patients they are compared with.
    players : mapping of str to sequence of int
        Columns that are exchanged together, by name; every column once.
    n_orders : int, optional
        Pairs of random orders for each row of the background, where there are too many features for every subset.
    seed : int, optional
        Of the orders.
    most_exact : int, optional
        Features up to which every subset is asked; `MOST_EXACT` unless given.

    Returns
    -------
    Attribution
        Interventional Shapley values, checked to sum to the prediction.

    Raises
    ------
    SpondylError
        If they do not: the function is then not a function of its rows alone.

    References
    ----------
    Shapley 1953, doi 10.1515/9781400881970-018; Strumbelj & Kononenko 2014, doi 10.1007/s10115-013-0679-x (random
    orders); Lundberg & Lee 2017, arXiv 1705.07874; Mitchell 2022, arXiv 2104.12199 (pairs of orders).
    """
    x, b = np.asarray(rows, dtype=np.float64), np.asarray(background, dtype=np.float64)
    columns = [np.asarray(c, dtype=np.intp) for c in players.values()]
    prediction, base = _ask(function, x), float(_ask(function, b).mean())
    if len(columns) <= (MOST_EXACT if most_exact is None else most_exact):
        values = np.stack([_exact(function, row, b, columns) for row in x])
        error, method = np.zeros_like(values), "every subset"
    else:
        rng = np.random.default_rng(seed)
        pairs = [_orders(function, row, b, columns, (n_orders, rng)) for row in x]
        values, error = np.stack([v for v, _ in pairs]), np.stack([e for _, e in pairs])
        method = f"{n_orders} pairs of random orders for each of {len(b)} background rows"
    made = Attribution(tuple(players), base, values, prediction, error, method)
    if not made.gap <= LARGEST_GAP * max(1.0, float(np.abs(prediction).max(initial=0.0))):
        msg = f"Shapley values must sum to the prediction, but are off by {made.gap:g}: the model is not deterministic"
        raise SpondylError(msg)
    return made


def _ask(function: Function, rows: Floats) -> Floats:
    parts = [function(rows[i : i + ROWS_AT_ONCE]) for i in range(0, len(rows), ROWS_AT_ONCE)]
    return np.concatenate(parts).astype(np.float64)


def _exact(function: Function, row: Floats, background: Floats, columns: list[NDArray[np.intp]]) -> Floats:
    p, b = len(columns), len(background)
    subsets = np.arange(1 << p)
    chosen = (subsets[:, None] >> np.arange(p)) & 1 == 1
    mixed = np.repeat(background[None], len(subsets), axis=0)
    for player, own in enumerate(columns):
        mixed[np.ix_(np.flatnonzero(chosen[:, player]), np.arange(b), own)] = row[own]
    value = _ask(function, mixed.reshape(-1, background.shape[1])).reshape(len(subsets), b).mean(axis=1)
    size = chosen.sum(axis=1)
    weight = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) if s < p else 0.0 for s in range(p + 1)])
    found = np.empty(p)
    for player in range(p):
        without = subsets[~chosen[:, player]]
        found[player] = float(weight[size[without]] @ (value[without | (1 << player)] - value[without]))
    return found


def _orders(
    function: Function,
    row: Floats,
    background: Floats,
    columns: list[NDArray[np.intp]],
    draw: tuple[int, np.random.Generator],
) -> tuple[Floats, Floats]:
    n_orders, rng = draw
    p = len(columns)
    orders, starts = [], []
    for start in range(len(background)):
        for _ in range(n_orders):
            order = rng.permutation(p)
            orders += [order, order[::-1]]
            starts += [start, start]
    walk = np.repeat(background[starts][:, None], p + 1, axis=1)
    for number, order in enumerate(orders):
        for place, player in enumerate(order):
            walk[number, place + 1 :, columns[player]] = row[columns[player], None]
    value = _ask(function, walk.reshape(-1, background.shape[1])).reshape(len(orders), p + 1)
    gain = np.empty((len(orders), p))
    np.put_along_axis(gain, np.stack(orders), np.diff(value, axis=1), axis=1)
    by_pair = gain.reshape(-1, 2, p).mean(axis=1)
    return by_pair.mean(axis=0), by_pair.std(axis=0, ddof=1) / np.sqrt(len(by_pair)) if len(by_pair) > 1 else gain[
        0
    ] * 0


def linear_shapley(coefficients: ArrayLike, rows: ArrayLike, mean: ArrayLike, names: Sequence[str]) -> Attribution:
    """Explain a weighted sum, for which Shapley values are known in closed form.

    Parameters
    ----------
    coefficients : array_like of float, shape (p,)
        Weights.
    rows : array_like of float, shape (n, p)
        Patients explained.
    mean : array_like of float, shape (p,)
        Mean of the background.
    names : sequence of str
        The features.

    Returns
    -------
    Attribution
        Weight times distance from the mean; the prediction is the weighted sum of these distances.

    References
    ----------
    Lundberg & Lee 2017, arXiv 1705.07874, corollary 1.
    """
    x, w = np.asarray(rows, dtype=np.float64), np.asarray(coefficients, dtype=np.float64)
    values = (x - np.asarray(mean, dtype=np.float64)) * w
    return Attribution(tuple(names), 0.0, values, values.sum(axis=1), np.zeros_like(values), "closed form")
