"""Ratings of subjects by raters in categories, however they were written down, and how much two categories agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

WEIGHTINGS = ("unweighted", "linear", "quadratic", "radical", "ordinal", "ratio")
"""Names of the weights that `weight_matrix` knows."""


def weight_matrix(categories: Sequence[Any], weighting: str = "unweighted") -> Floats:
    """Give how much two categories agree, 1 for the same one.

    Parameters
    ----------
    categories : sequence
        The categories in their order; numbers for ``"linear"``, ``"quadratic"`` and ``"ratio"`` where their distances
        matter, else their ranks are taken.
    weighting : str, optional
        One of `WEIGHTINGS`: all or nothing; by the distance; by its square; by its root; by the number of pairs of
        ranks that lie between; by the squared distance relative to the sum.

    Returns
    -------
    ndarray of float, shape (n_categories, n_categories)
        From 0 to 1.

    Raises
    ------
    SettingsError
        If the weighting is not known, or ratios of negative numbers are asked for.

    References
    ----------
    Gwet 2014, Handbook of inter-rater reliability, 4th edition, section 3.5.
    """
    if weighting not in WEIGHTINGS:
        msg = f"weighting must be one of {', '.join(WEIGHTINGS)}; got {weighting!r}"
        raise SettingsError(msg)
    n = len(categories)
    if weighting == "unweighted" or n < 2:
        return np.eye(n)
    if weighting == "ordinal":
        steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        return 1 - (steps + 1) * steps / (n * (n - 1))
    try:
        x = np.array([float(c) for c in categories])
    except (TypeError, ValueError):
        x = np.arange(1.0, n + 1)
    distance = np.abs(np.subtract.outer(x, x))
    if weighting == "ratio":
        if (x < 0).any():
            msg = "weights by ratio need categories from 0"
            raise SettingsError(msg)
        total = np.add.outer(x, x)
        relative = np.divide(distance, total, out=np.zeros_like(distance), where=total > 0) ** 2
        return 1 - relative / relative.max()
    return 1 - (distance / distance.max()) ** {"linear": 1.0, "quadratic": 2.0, "radical": 0.5}[weighting]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings as codes.

    Parameters
    ----------
    codes : ndarray of int, shape (n_subjects, n_raters)
        Number of the category in `categories`; -1 where not rated.
    categories : tuple
        The categories in their order.
    raters_known : bool
        False if columns do not stand for raters.
    is_sample : bool
        False for the cells of a contingency table, whose standard errors divide by the number of subjects and not by
        one less (Fleiss, Cohen & Everitt 1969, doi 10.1037/h0028106).
    """

    codes: NDArray[np.intp]
    categories: tuple[Any, ...]
    raters_known: bool = True
    is_sample: bool = True

    @property
    def counts(self) -> Floats:
        """Raters who chose each category for each subject, shape (n_subjects, n_categories)."""
        chosen = self.codes[..., None] == np.arange(len(self.categories))
        return chosen.sum(axis=1).astype(np.float64)


def as_ratings(ratings: ArrayLike | Ratings, categories: Sequence[Any] | None = None) -> Ratings:
    """Take ratings of any kind.

    Parameters
    ----------
    ratings : array_like, shape (n_subjects, n_raters)
        Categories as numbers or words; None, NaN or an empty string where not rated.
    categories : sequence, optional
        All categories in their order; those that occur, sorted, if not given.

    Returns
    -------
    Ratings
        Codes; subjects that nobody rated are left out.

    Raises
    ------
    InputError
        If there are not two raters and a subject that two of them rated, or a rating is none of the categories.
    """
    if isinstance(ratings, Ratings):
        return ratings
    table = np.asarray(ratings, dtype=object)
    if table.ndim != 2 or table.shape[1] < 2:
        msg = f"agreement needs a table of subjects by raters with at least two raters, got shape {table.shape}"
        raise InputError(msg)
    missing = np.frompyfunc(_is_missing, 1, 1)(table).astype(bool)
    present = set(table[~missing])
    order = (
        tuple(categories) if categories is not None else tuple(sorted(present, key=lambda c: (isinstance(c, str), c)))
    )
    unknown = present - set(order)
    if unknown:
        msg = f"expected ratings among the {len(order)} categories given, got {len(unknown)} others. Name them all"
        raise InputError(msg)
    number = {c: i for i, c in enumerate(order)}
    codes = np.array(
        [[-1 if m else number[c] for c, m in zip(*row, strict=True)] for row in zip(table, missing, strict=True)]
    )
    kept = codes[(codes >= 0).any(axis=1)]
    if not ((kept >= 0).sum(axis=1) >= 2).any():
        msg = "agreement needs at least one subject with two ratings, got none"
        raise InputError(msg)
    return Ratings(kept, order)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value) or (isinstance(value, float) and math.isnan(value))


def from_table(table: ArrayLike, categories: Sequence[Any] | None = None) -> Ratings:
    """Take the ratings of two raters from their contingency table.

    Parameters
    ----------
    table : array_like of int, shape (n_categories, n_categories)
        Subjects by the first rater's (rows) and the second rater's (columns) category.
    categories : sequence, optional
        The categories; 1, 2, 3… if not given.

    Returns
    -------
    Ratings
        One row per subject.

    Raises
    ------
    InputError
        If the table is not square, or holds anything but counts.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any() or (counts % 1).any():
        msg = f"a contingency table must be square and hold counts, got shape {counts.shape}"
        raise InputError(msg)
    rows = np.repeat(np.argwhere(counts >= 0), counts.ravel().astype(np.intp), axis=0)
    names = tuple(categories) if categories is not None else tuple(range(1, len(counts) + 1))
    return Ratings(rows, names, is_sample=False)


def from_counts(counts: ArrayLike, categories: Sequence[Any] | None = None) -> Ratings:
    """Take ratings of which only the number of raters by subject and category is known.

    Parameters
    ----------
    counts : array_like of int, shape (n_subjects, n_categories)
        Raters who chose each category.
    categories : sequence, optional
        The categories; 1, 2, 3… if not given.

    Returns
    -------
    Ratings
        Raters in an arbitrary order: right for every coefficient but Cohen's, which looks at who rated.

    Raises
    ------
    InputError
        If it does not hold counts.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not table.size or (table < 0).any() or (table % 1).any():
        msg = f"counts of raters by subject and category must be whole numbers from 0, got shape {table.shape}"
        raise InputError(msg)
    numbers = table.astype(np.intp)
    codes = np.full((len(numbers), int(numbers.sum(axis=1).max())), -1)
    for row, of_category in zip(codes, numbers, strict=True):
        row[: of_category.sum()] = np.repeat(np.arange(numbers.shape[1]), of_category)
    names = tuple(categories) if categories is not None else tuple(range(1, numbers.shape[1] + 1))
    return Ratings(codes, names, raters_known=False)
