"""Concept erasure: scores from which no linear probe can read the scanner, nor one that looks at spreads.

Linear erasure with the scanner known takes from each score what the scanner explains of it and nothing else: the
smallest change after which scores and scanner do not covary. Quadratic erasure gives the scores of every scanner one
covariance. Both look at the scanner as far as disease does not explain it, so that what disease and scanner share is
left alone. Of a scanner that was not learned nothing can be taken; what scanners do then counts as doubt.

References
----------
Belrose 2023, LEACE: perfect linear concept erasure in closed form, arXiv:2306.03819 (here with labels known). Gelbrich
1990, Math Nachr 147:185 (optimal transport between Gaussian distributions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COVARIANCE_PRIOR = 2.0
"""Patients for each score that the covariance of all scanners together is worth. Chosen by us."""


@dataclass(frozen=True, eq=False)
class Eraser:
    """What is taken from the scores of one modality.

    Parameters
    ----------
    mean : ndarray of float, shape (k,)
        Mean of the scores in training.
    scanners : tuple of str
        Scanners that were learned.
    shifts : ndarray of float, shape (len(scanners), k)
        What each adds to the scores, disease aside.
    maps : ndarray of float, shape (len(scanners), k, k)
        What brings each scanner's covariance to that of all.
    between : ndarray of float, shape (k, k)
        Covariance of what scanners add to the scores of patients who are not aligned.
    """

    mean: Floats
    scanners: tuple[str, ...]
    shifts: Floats
    maps: Floats
    between: Floats

    def apply(self, score: Floats, precision: Floats, scanner: str) -> tuple[Floats, Floats]:
        """Erase the scanner from one patient's scores.

        Parameters
        ----------
        score : ndarray of float, shape (k,)
            Posterior mean of the scores.
        precision : ndarray of float, shape (k, k)
            Precision of the evidence.
        scanner : str
            The patient's scanner.

        Returns
        -------
        score, precision : ndarray of float
            Without the scanner; of one that was not learned, with the doubt of not knowing what it does.
        """
        if scanner in self.scanners:
            place = self.scanners.index(scanner)
            return self.mean + self.maps[place] @ (score - self.mean) - self.shifts[place], precision
        eye = np.eye(len(score))
        wide = np.linalg.solve(eye + precision @ self.between, precision)
        pull = wide @ np.linalg.pinv(precision) @ (eye + precision) @ score
        return np.asarray(np.linalg.solve(eye + wide, pull)), np.asarray(wide)


def residual(values: Floats, free: Floats) -> Floats:
    """Give what other columns do not explain.

    Parameters
    ----------
    values : ndarray of float, shape (n, m)
        Columns.
    free : ndarray of float, shape (n, q)
        What may explain them; a constant is added.

    Returns
    -------
    ndarray of float, shape (n, m)
        Residuals of least squares.
    """
    columns = np.column_stack([np.ones(len(values)), free])
    return values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]


def explained(scores: Floats, concept: Floats, free: Floats) -> Floats:
    """Give the part of scores that a concept explains beside other columns.

    Parameters
    ----------
    scores : ndarray of float, shape (n, k)
        Scores.
    concept : ndarray of float, shape (n, m)
        Columns of the concept.
    free : ndarray of float, shape (n, q)
        Columns whose share is left in.

    Returns
    -------
    ndarray of float, shape (m, k)
        Effect of each column of the concept, of least squares, zero on average over the patients. Less ``concept @``
        this, the scores do not covary with the concept as far as `free` does not explain it.
    """
    both = np.column_stack([np.ones(len(scores)), free, concept])
    effect = np.linalg.lstsq(both, scores, rcond=None)[0][1 + free.shape[1] :]
    return np.asarray(effect - (concept @ effect).mean(axis=0))


def _root(matrix: Floats, power: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 1e-12) ** power) @ vectors.T)


def covariance_maps(unexplained: Floats, labels: NDArray[np.object_], names: tuple[str, ...]) -> Floats:
    """Find the maps that give every scanner the covariance of all.

    Parameters
    ----------
    unexplained : ndarray of float, shape (n, k)
        Scores less what disease and scanner explain.
    labels : ndarray of str, shape (n,)
        Scanner of each patient.
    names : tuple of str
        Scanners.

    Returns
    -------
    ndarray of float, shape (len(names), k, k)
        Optimal transport between normal distributions; close to the identity for rare scanners.
    """
    k = unexplained.shape[1]
    pooled = unexplained.T @ unexplained / len(unexplained) + 1e-6 * np.eye(k)
    prior, maps = COVARIANCE_PRIOR * k, np.empty((len(names), k, k))
    for number, name in enumerate(names):
        own = unexplained[labels == name]
        covariance = (own.T @ own + prior * pooled) / (len(own) + prior)
        root, inverse = _root(covariance, 0.5), _root(covariance, -0.5)
        maps[number] = inverse @ _root(root @ pooled @ root, 0.5) @ inverse
    return maps


def learn_eraser(scores: Floats, labels: list[str], biology: Floats, between: Floats) -> Eraser:
    """Learn to erase scanners.

    Parameters
    ----------
    scores : ndarray of float, shape (n, k)
        Scores of training patients.
    labels : list of str
        Scanner of each.
    biology : ndarray of float, shape (n, q)
        Disease covariates; the scanner is erased as far as these do not explain it.
    between : ndarray of float, shape (k, k)
        As in `Eraser`.

    Returns
    -------
    Eraser
        Covariances first, then means.
    """
    mean = scores.mean(axis=0)
    names = tuple(sorted(set(labels)))
    text = np.asarray(labels, dtype=object)
    concept = np.column_stack([text == name for name in names]).astype(float)
    maps = covariance_maps(residual(scores, np.hstack([biology, concept[:, 1:]])), text, names)
    moved = mean + np.einsum("nij,nj->ni", maps[concept.argmax(axis=1)], scores - mean)
    return Eraser(mean, names, explained(moved, concept, biology), maps, between)
