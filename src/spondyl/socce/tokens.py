"""Lesion tokens: a small frozen vocabulary of disease, with a token for what fits none.

The codebook is a mixture of normal distributions of the shared factors, learned from patients who are known more or
less well: each enters with the covariance of its own evidence, so a patient without omics neither widens a token nor is
forced into one.

References
----------
Bovy 2011, Extreme deconvolution, Ann Appl Stat 5:1657, doi:10.1214/10-AOAS439. Schwarz 1978, Ann Stat 6:461.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REJECTED = "reject"
"""Name of the token of patients that fit none."""

FITS = 0.999
"""A patient farther from the nearest token than this share of its own patients would be is rejected. Chosen by us."""

MIN_CONFIDENCE = 0.5
"""A patient whose most probable token is less probable than this is rejected. Chosen by us: then the others together
are more probable."""

MOST_TOKENS = 10
"""Largest number of tokens that is tried. Chosen by us: a reader must be able to keep them in mind."""

MOST_COUNTED = 2000
"""Patients from whom the number of tokens is told; more are sampled. Chosen by us, for time: the tokens themselves are
learned from all."""

PRIOR_STRENGTH = 4.0
"""Patients, beside one for each coordinate, that the pooled covariance is worth in a token's own. Chosen by us."""

ROUNDS, TOLERANCE = 200, 1e-6


class Assignment(NamedTuple):
    """Where patients stand in the vocabulary.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, K)
        Of each token.
    nearest : ndarray of int, shape (n,)
        The most probable token.
    confidence : ndarray of float, shape (n,)
        Its probability.
    fit : ndarray of float, shape (n,)
        Share of the nearest token's patients that would lie farther out, from 0 to 1.
    rejected : ndarray of bool, shape (n,)
        Whether no token is told.
    """

    probabilities: Floats
    nearest: NDArray[np.intp]
    confidence: Floats
    fit: Floats
    rejected: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Codebook:
    """The tokens.

    Parameters
    ----------
    weights : ndarray of float, shape (K,)
        Share of patients.
    centers : ndarray of float, shape (K, d)
        Means.
    covariances : ndarray of float, shape (K, d, d)
        Spread between patients, evidence aside.
    """

    weights: Floats
    centers: Floats
    covariances: Floats

    def log_joint(self, h: Floats, j: Floats) -> Floats:
        """Give the logarithm of weight times likelihood of the evidence.

        Parameters
        ----------
        h : ndarray of float, shape (n, d)
            Precision times mean of each patient's evidence.
        j : ndarray of float, shape (n, d, d)
            Its precision.

        Returns
        -------
        ndarray of float, shape (n, K)
            Up to a constant of each patient.
        """
        found = np.empty((len(h), len(self.weights)))
        for k, (weight, center, spread) in enumerate(zip(self.weights, self.centers, self.covariances, strict=True)):
            own = np.linalg.inv(spread)
            pull = h + own @ center
            total = own + j
            inside = (pull * np.linalg.solve(total, pull[..., None])[..., 0]).sum(axis=1)
            size = np.linalg.slogdet(spread)[1] + np.linalg.slogdet(total)[1]
            found[:, k] = np.log(weight) + (inside - center @ own @ center - size) / 2
        return found

    def assign(self, h: Floats, j: Floats) -> Assignment:
        """Find the token of each patient.

        Parameters
        ----------
        h, j : ndarray of float
            As in `log_joint`.

        Returns
        -------
        Assignment
            Soft and hard.
        """
        joint = self.log_joint(h, j)
        p = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        nearest = p.argmax(axis=1)
        rows = np.arange(len(h))
        confidence = p[rows, nearest]
        difference = h - (j @ self.centers[nearest][..., None])[..., 0]
        spread = j @ self.covariances[nearest] @ j + j
        spread += 1e-9 * np.eye(h.shape[1])
        distance = (difference * np.linalg.solve(spread, difference[..., None])[..., 0]).sum(axis=1)
        fit = chi2.sf(distance, h.shape[1])
        return Assignment(p, nearest, confidence, fit, (confidence < MIN_CONFIDENCE) | (fit < 1 - FITS))


def learn_codebook(
    h: Floats, j: Floats, n_tokens: int, seed: int, *, one_shape: bool = False
) -> tuple[Codebook, float]:
    """Learn a number of tokens.

    Parameters
    ----------
    h, j : ndarray of float
        Evidence of training patients, as in `Codebook.log_joint`.
    n_tokens : int
        How many.
    seed : int
        Of the starting points.
    one_shape : bool, optional
        Whether all tokens have one covariance.

    Returns
    -------
    Codebook
        Largest token first.
    float
        Logarithm of the likelihood.
    """
    from sklearn.cluster import KMeans

    d = h.shape[1]
    covariance = np.linalg.inv(np.eye(d) + j)
    mean = (covariance @ h[..., None])[..., 0]
    labels = KMeans(n_tokens, n_init=10, random_state=seed).fit_predict(mean)
    r = np.eye(n_tokens)[labels]
    pooled = np.cov(mean.T, bias=True).reshape(d, d) * 0.3 + 0.02 * np.eye(d)
    book = Codebook(
        np.maximum(r.mean(axis=0), 1e-6),
        np.stack([mean[labels == k].mean(axis=0) for k in range(n_tokens)]),
        np.stack([pooled] * n_tokens),
    )
    before = -np.inf
    for _ in range(ROUNDS):
        joint = book.log_joint(h, j)
        total = float(logsumexp(joint, axis=1).sum())
        if total - before < TOLERANCE * abs(total) and np.isfinite(before):
            break
        before = total
        r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        book = _maximized(book, h, j, r, np.inf if one_shape else PRIOR_STRENGTH + d)
    order = np.argsort(-book.weights, kind="stable")
    return Codebook(book.weights[order], book.centers[order], book.covariances[order]), total


def _maximized(book: Codebook, h: Floats, j: Floats, r: Floats, prior: float) -> Codebook:
    """One round: where each patient lies if it belongs to a token, then the token's mean and spread."""
    d, n_tokens = h.shape[1], len(book.weights)
    centers, scatter = np.empty_like(book.centers), np.empty_like(book.covariances)
    for k in range(n_tokens):
        own = np.linalg.inv(book.covariances[k])
        covariance = np.linalg.inv(own + j)
        mean = (covariance @ (h + own @ book.centers[k])[..., None])[..., 0]
        weight = r[:, k] / max(float(r[:, k].sum()), 1e-12)
        centers[k] = weight @ mean
        away = mean - centers[k]
        scatter[k] = np.einsum("n,ni,nj->ij", weight, away, away) + np.einsum("n,nij->ij", weight, covariance)
    n = r.sum(axis=0)
    pooled = np.einsum("k,kij->ij", n, scatter) / n.sum()
    share = (n / (n + prior))[:, None, None]
    covariances = share * scatter + (1 - share) * pooled + 1e-4 * np.eye(d)
    return Codebook(np.maximum(n / n.sum(), 1e-6), centers, covariances)


def choose_codebook(h: Floats, j: Floats, n_tokens: int | str, seed: int) -> tuple[Codebook, dict[int, float]]:
    """Learn the tokens, and how many there are.

    Parameters
    ----------
    h, j : ndarray of float
        Evidence of training patients.
    n_tokens : int or "auto"
        How many; if ``"auto"``, as many as the Bayesian information criterion takes for tokens of one shape, which
        needs far fewer patients to tell than shapes of their own.
    seed : int
        Of the starting points.

    Returns
    -------
    Codebook
        The tokens.
    dict of int to float
        Criterion of each number tried, lower is better.
    """
    d = h.shape[1]
    most = max(1, min(MOST_TOKENS, len(h) // (5 * (d + 1))))
    tried = range(1, most + 1) if n_tokens == "auto" else [min(int(n_tokens), len(h))]
    criterion = {}
    rows = np.sort(np.random.default_rng([seed, 15]).permutation(len(h))[:MOST_COUNTED])
    for k in tried:
        _, likelihood = learn_codebook(h[rows], j[rows], k, seed, one_shape=True)
        criterion[k] = -2 * likelihood + np.log(len(rows)) * (k * (1 + d) - 1 + d * (d + 1) / 2)
    best = min(criterion, key=lambda k: criterion[k])
    return learn_codebook(h, j, best, seed)[0], criterion
