"""What several modalities agree on: shared factors of regularized canonical correlation, and a product of experts.

Every modality's scores are ``y_m = C_m z + own``, with shared standard normal factors ``z``. The matrices ``C_m`` are
the canonical correlations' probabilistic form; they come from the covariances *between* modalities alone, which is what
a contrastive objective between pairs of modalities reaches in closed form for linear encoders. One patient's posterior
of ``z`` is the product of what each modality at hand says. One that is missing says nothing, and the posterior widens.

References
----------
Bach and Jordan 2005, A probabilistic interpretation of canonical correlation analysis, TR 688, Berkeley. Kettenring
1971, Biometrika 58:433. Hinton 2002, Neural Comput 14:1771 (products of experts). Ji 2023, J Mach Learn Res 24:330
(contrastive learning of linear encoders).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROUNDS = 60
"""Rounds of principal axes; they settle in far fewer."""

LARGEST_CORRELATION = 0.98
"""No score is told entirely by the factors: the largest singular value of a loading matrix. Chosen by us."""

MIN_PAIRS = 10
"""Patients with both of two modalities that a covariance between them needs. Chosen by us."""

N_PERMUTATIONS, QUANTILE = 20, 0.95
"""Exchanges of patients between modalities that say which factors chance would show, and the share of chance below."""


class Shared(NamedTuple):
    """Scores of one modality in training.

    Parameters
    ----------
    mean : ndarray of float, shape (n, k)
        Posterior means; meaningless where the modality is missing.
    precision : ndarray of float, shape (n, k, k)
        Precision of the evidence.
    present : ndarray of bool, shape (n,)
        Where it is there.
    """

    mean: Floats
    precision: Floats
    present: NDArray[np.bool_]


def cross_covariance(views: Sequence[Shared], unshrink: Sequence[Floats] | None = None) -> tuple[Floats, list[slice]]:
    """Give the covariance between the scores of all pairs of modalities.

    Parameters
    ----------
    views : sequence of Shared
        The modalities.
    unshrink : sequence of ndarray of float, optional
        Of `unshrinking`, where it is known already.

    Returns
    -------
    matrix : ndarray of float, shape (K, K)
        Zero inside a modality; corrected for how far posterior means are shrunk; from the patients with both.
    parts : list of slice
        Rows of each modality.
    """
    ends = np.cumsum([0, *(v.mean.shape[1] for v in views)])
    parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
    matrix = np.zeros((ends[-1], ends[-1]))
    unshrink = [unshrinking(v) for v in views] if unshrink is None else unshrink
    for i, a in enumerate(views):
        for j in range(i):
            b = views[j]
            both = a.present & b.present
            if both.sum() < MIN_PAIRS:
                continue
            x, y = a.mean[both] - a.mean[both].mean(axis=0), b.mean[both] - b.mean[both].mean(axis=0)
            matrix[parts[i], parts[j]] = unshrink[i] @ (x.T @ y / both.sum()) @ unshrink[j].T
            matrix[parts[j], parts[i]] = matrix[parts[i], parts[j]].T
    return matrix, parts


def unshrinking(view: Shared) -> Floats:
    """Give the inverse of how far posterior means are shrunk on average.

    Parameters
    ----------
    view : Shared
        A modality.

    Returns
    -------
    ndarray of float, shape (k, k)
        What a mean is multiplied with.
    """
    k = view.mean.shape[1]
    if not view.present.any():
        return np.eye(k)
    precision = view.precision[view.present].mean(axis=0)
    return np.asarray(np.linalg.inv(np.linalg.solve(np.eye(k) + precision, precision) + 1e-3 * np.eye(k)))


def count_factors(views: Sequence[Shared], most: int, seed: int) -> int:
    """Count factors that chance would not show.

    Parameters
    ----------
    views : sequence of Shared
        The modalities.
    most : int
        Largest number.
    seed : int
        Of the exchanges.

    Returns
    -------
    int
        At least one: eigenvalues of `cross_covariance` above those with patients exchanged (Horn 1965).
    """
    unshrink = [unshrinking(v) for v in views]
    matrix, _ = cross_covariance(views, unshrink)
    observed = np.linalg.eigvalsh(matrix)[::-1]
    rng = np.random.default_rng([seed, 11])
    largest = []
    for _ in range(N_PERMUTATIONS):
        mixed = []
        for v in views:
            rows = np.flatnonzero(v.present)
            mean = v.mean.copy()
            mean[rows] = mean[rng.permutation(rows)]
            mixed.append(Shared(mean, v.precision, v.present))
        largest.append(np.linalg.eigvalsh(cross_covariance(mixed, unshrink)[0])[-1])
    return int(np.clip((observed > np.quantile(largest, QUANTILE)).sum(), 1, most))


def learn_loadings(views: Sequence[Shared], n_factors: int) -> list[Floats]:
    """Find what modalities share.

    Parameters
    ----------
    views : sequence of Shared
        The modalities.
    n_factors : int
        Number of shared factors.

    Returns
    -------
    list of ndarray of float, each of shape (k, n_factors)
        Loadings of each modality, of principal axis factoring on the covariances between modalities.
    """
    matrix, parts = cross_covariance(views)
    loadings = np.zeros((len(matrix), n_factors))
    for _ in range(ROUNDS):
        filled = matrix.copy()
        for part in parts:
            filled[part, part] = loadings[part] @ loadings[part].T
        values, vectors = np.linalg.eigh(filled)
        top = slice(len(values) - n_factors, None)
        new = vectors[:, top][:, ::-1] * np.sqrt(np.maximum(values[top][::-1], 0.0))
        for part in parts:
            left, size, right = np.linalg.svd(new[part], full_matrices=False)
            new[part] = (left * np.minimum(size, LARGEST_CORRELATION)) @ right
        settled = np.abs(new @ new.T - loadings @ loadings.T).max() < 1e-6
        loadings = new
        if settled:
            break
    return [loadings[part] for part in parts]


def rotated(loadings: list[Floats], first: int) -> tuple[list[Floats], Floats]:
    """Turn the factors so that one modality takes part in the first most and in the last least.

    Parameters
    ----------
    loadings : list of ndarray of float
        Of `learn_loadings`.
    first : int
        The modality that decides.

    Returns
    -------
    loadings : list of ndarray of float
        Of the turned factors.
    strength : ndarray of float, shape (n_factors,)
        Correlation of the modality's best score with each factor.
    """
    _, size, right = np.linalg.svd(loadings[first], full_matrices=True)
    strength = np.zeros(right.shape[0])
    strength[: len(size)] = size
    turned = [c @ right.T for c in loadings]
    stacked = np.vstack(turned)
    sign = np.sign(stacked[np.abs(stacked).argmax(axis=0), np.arange(stacked.shape[1])])
    return [c * np.where(sign == 0, 1, sign) for c in turned], strength


def factor_evidence(mean: Floats, precision: Floats, loadings: Floats) -> tuple[Floats, Floats]:
    """Turn what is known of a modality's scores into what is known of the factors.

    Parameters
    ----------
    mean : ndarray of float, shape (..., k)
        Posterior means of the scores.
    precision : ndarray of float, shape (..., k, k)
        Precision of the evidence on the scores.
    loadings : ndarray of float, shape (k, d)
        Of the modality.

    Returns
    -------
    h : ndarray of float, shape (..., d)
        Precision times mean.
    j : ndarray of float, shape (..., d, d)
        Precision of the evidence on the factors.
    """
    k = len(loadings)
    own = np.linalg.inv(np.eye(k) - loadings @ loadings.T)
    middle = np.linalg.inv(own + precision)
    inner = own - own @ middle @ own
    pull = ((np.eye(k) + precision) @ mean[..., None])[..., 0]
    h = ((loadings.T @ own) @ middle @ pull[..., None])[..., 0]
    j = loadings.T @ inner @ loadings
    return h, (j + np.swapaxes(j, -1, -2)) / 2


def grouped_evidence(mean: Floats, precision: Floats, loadings: Floats) -> tuple[Floats, Floats]:
    """Do the same for many patients, of whom most share their precision with others who know the same features.

    Parameters
    ----------
    mean : ndarray of float, shape (n, k)
        Posterior means of the scores.
    precision : ndarray of float, shape (n, k, k)
        Precision of the evidence on the scores.
    loadings : ndarray of float, shape (k, d)
        Of the modality.

    Returns
    -------
    h : ndarray of float, shape (n, d)
        Precision times mean.
    j : ndarray of float, shape (n, d, d)
        Precision of the evidence on the factors.
    """
    groups: dict[bytes, list[int]] = {}
    for row, own in enumerate(precision):
        groups.setdefault(own.tobytes(), []).append(row)
    d = loadings.shape[1]
    h, j = np.empty((len(mean), d)), np.empty((len(mean), d, d))
    for rows in groups.values():
        shared = precision[rows[0]]
        # What the evidence makes of each score alone; the means of all who share it go through at once.
        each, j[rows] = factor_evidence(np.eye(len(loadings)), shared[None], loadings)
        h[rows] = mean[rows] @ each
    return h, j


def posterior(h: Floats, j: Floats, prior_mean: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Multiply evidence with the prior.

    Parameters
    ----------
    h : ndarray of float, shape (..., d)
        Sum of the modalities' precision times mean.
    j : ndarray of float, shape (..., d, d)
        Sum of their precisions.
    prior_mean : ndarray of float or float, optional
        Mean of the prior, whose covariance is the identity.

    Returns
    -------
    mean : ndarray of float, shape (..., d)
        Posterior mean.
    covariance : ndarray of float, shape (..., d, d)
        Posterior covariance.
    """
    covariance = np.linalg.inv(np.eye(h.shape[-1]) + j)
    return (covariance @ (h + prior_mean)[..., None])[..., 0], np.asarray(covariance)


def marginal_evidence(mean: Floats, covariance: Floats, d: int) -> tuple[Floats, Floats]:
    """Keep the first factors of a posterior, as evidence without the prior.

    Parameters
    ----------
    mean : ndarray of float, shape (..., D)
        Posterior mean under the standard normal prior.
    covariance : ndarray of float, shape (..., D, D)
        Posterior covariance.
    d : int
        Number of factors kept.

    Returns
    -------
    h : ndarray of float, shape (..., d)
        Precision times mean.
    j : ndarray of float, shape (..., d, d)
        Precision.
    """
    precision = np.linalg.inv(covariance[..., :d, :d])
    return (precision @ mean[..., :d, None])[..., 0], np.asarray(precision - np.eye(d))


def grouped_means(h: Floats, j: Floats, groups: Mapping[str, NDArray[np.intp]], rounds: int = 12) -> Floats:
    """Give posterior means under a prior whose mean is that of the patient's group.

    Parameters
    ----------
    h, j : ndarray of float
        Evidence of each patient.
    groups : mapping of str to ndarray of int
        Rows of each group.
    rounds : int, optional
        Rounds of expectation and maximization.

    Returns
    -------
    ndarray of float, shape (n, d)
        Posterior means. As covariates of a regression on the groups, they leave the groups' effects unbiased, which
        means shrunk toward the cohort's would not (regression calibration; Carroll 2006, Measurement Error, ch. 4).
    """
    prior = np.zeros_like(h)
    mean, covariance = posterior(h, j)
    for _ in range(rounds):
        for rows in groups.values():
            prior[rows] = mean[rows].mean(axis=0)
        mean = (covariance @ (h + prior)[..., None])[..., 0]
    return mean
