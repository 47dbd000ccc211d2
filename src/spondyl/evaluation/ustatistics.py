"""Two-sample statistics whose units lie in clusters: one covariance for ROC areas, clustered ROC areas and JAFROC.

The area under the empirical ROC curve is the mean, over pairs of a positive and a negative unit, of 1, 1/2 or 0 as the
positive scores higher, equal or lower. Each unit's *placement* is its own mean over the units of the other class. The
covariance of DeLong 1988 comes from the spread of placements over units; that of Obuchowski 1997 from their sums over
clusters (patients), and is DeLong's where each unit is a cluster of its own. Mid-ranks (Sun & Xu 2014) give all
placements in O(n log n).

References
----------
DeLong 1988, doi 10.2307/2531595. Obuchowski 1997, doi 10.2307/2533958. Sun & Xu 2014, doi 10.1109/LSP.2014.2337313.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Give each unit's share of units of the other class that it is on the right side of.

    Parameters
    ----------
    positive : ndarray of float, shape (n_models, n_positive)
        Scores of the positive units; may hold -inf (no mark).
    negative : ndarray of float, shape (n_models, n_negative)
        Scores of the negative units.

    Returns
    -------
    of_positive : ndarray of float, shape (n_models, n_positive)
        Share of negatives scoring lower, ties as one half.
    of_negative : ndarray of float, shape (n_models, n_negative)
        Share of positives scoring higher, ties as one half.
    """
    of_positive, of_negative = np.empty(positive.shape), np.empty(negative.shape)
    for model, (x, y) in enumerate(zip(positive, negative, strict=True)):
        x_order, y_order = np.argsort(x), np.argsort(y)
        x_sorted, y_sorted = x[x_order], y[y_order]
        of_positive[model, x_order] = _share_below(x_sorted, y_sorted)
        of_negative[model, y_order] = 1 - _share_below(y_sorted, x_sorted)
    return of_positive, of_negative


def _share_below(queries: Floats, others: Floats) -> Floats:
    """Share of `others` below each query, ties as one half; both sorted, which keeps the search in the cache."""
    below = np.searchsorted(others, queries, side="left")
    return (below + np.searchsorted(others, queries, side="right")) / (2.0 * len(others))


def clustered_covariance(
    of_positive: Floats,
    of_negative: Floats,
    positive_cluster: NDArray[np.intp] | None = None,
    negative_cluster: NDArray[np.intp] | None = None,
) -> Floats:
    """Give the covariance of two-sample statistics from their placements.

    Parameters
    ----------
    of_positive : ndarray of float, shape (n_models, n_positive)
        Placements of the positive units.
    of_negative : ndarray of float, shape (n_models, n_negative)
        Placements of the negative units.
    positive_cluster, negative_cluster : ndarray of int, optional
        Cluster of each unit, numbered from 0; None where every unit is a cluster of its own.

    Returns
    -------
    ndarray of float, shape (n_models, n_models)
        NaN where a class has fewer than two clusters.
    """
    n_positive, n_negative = of_positive.shape[1], of_negative.shape[1]
    x = of_positive - of_positive.mean(axis=1, keepdims=True)
    y = of_negative - of_negative.mean(axis=1, keepdims=True)
    if positive_cluster is None or negative_cluster is None:
        return _spread(x, n_positive, n_positive) + _spread(y, n_negative, n_negative)
    n_clusters = int(max(positive_cluster.max(), negative_cluster.max())) + 1
    x_sums = _cluster_sums(x, positive_cluster, n_clusters)
    y_sums = _cluster_sums(y, negative_cluster, n_clusters)
    total = _spread(x_sums, len(np.unique(positive_cluster)), n_positive)
    total = total + _spread(y_sums, len(np.unique(negative_cluster)), n_negative)
    n_used = len(np.union1d(positive_cluster, negative_cluster))
    if n_used < 2:
        return np.full_like(total, np.nan)
    shared = x_sums @ y_sums.T * (n_used / (n_used - 1) / (n_positive * n_negative))
    return total + shared + shared.T


def _spread(sums: Floats, n_clusters: int, n_units: int) -> Floats:
    """Covariance of a mean over units from centered sums over clusters."""
    if n_clusters < 2:
        return np.full((len(sums), len(sums)), np.nan)
    return sums @ sums.T * (n_clusters / (n_clusters - 1) / n_units**2)


def _cluster_sums(values: Floats, cluster: NDArray[np.intp], n_clusters: int) -> Floats:
    return np.stack([np.bincount(cluster, weights=row, minlength=n_clusters) for row in values])
