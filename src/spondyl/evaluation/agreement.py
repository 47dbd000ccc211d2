"""Do raters agree beyond chance? Coefficients for categories: kappa of Cohen, Conger and Fleiss, Scott's pi, Gwet's
AC1 and AC2, Brennan and Prediger, Krippendorff's alpha; weighted or not, with two raters or many, some ratings missing.

All are (agreement - chance) / (1 - chance) and differ in what they take for chance. Standard errors come from
linearizing this ratio over subjects, which are taken as the sample (Gwet 2014).

References
----------
Gwet 2014, Handbook of inter-rater reliability, 4th edition, chapters 2 to 5. Gwet 2008, doi 10.1348/000711006X126600
(AC1). Krippendorff 2011, Computing Krippendorff's alpha-reliability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.inputs import confidence_level
from spondyl.evaluation.ratings import Ratings, as_ratings, weight_matrix
from spondyl.evaluation.records import Estimate, Table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Chance(StrEnum):
    """What agreement by chance is taken to be."""

    COHEN = "Cohen's kappa"
    FLEISS = "Fleiss' kappa"
    GWET = "Gwet's AC"
    BRENNAN_PREDIGER = "Brennan-Prediger"
    KRIPPENDORFF = "Krippendorff's alpha"
    NONE = "agreement"


@dataclass(frozen=True)
class Agreement(Estimate):
    """A coefficient of agreement.

    Parameters
    ----------
    value, low, high, standard_error, confidence, method, flags : float, str and tuple of str
        As in `spondyl.evaluation.records.Estimate`.
    observed, chance : float
        Agreement observed, and expected by chance.
    n_subjects, n_raters : int
        Subjects with a rating, and raters.
    weighting : str
        How partial agreement counts.
    """

    observed: float = math.nan
    chance: float = math.nan
    n_subjects: int = 0
    n_raters: int = 0
    weighting: str = "unweighted"


_ALL_CHANCE = 1e-12


@dataclass(frozen=True, eq=False)
class _Parts:
    """Agreement observed and by chance, each with what every subject contributes; the mean over subjects is the whole.

    `weight` is how much a subject counts for the agreement observed, 1 on average: nothing if only one rater rated it.
    """

    observed: float
    chance: float
    of_subject: Floats
    chance_of_subject: Floats
    weight: Floats


def agreement(
    ratings: ArrayLike | Ratings,
    chance: Chance | str = Chance.COHEN,
    *,
    weights: str | ArrayLike = "unweighted",
    confidence: float = 0.95,
) -> Agreement:
    """Give a coefficient of agreement between raters.

    Parameters
    ----------
    ratings : array_like, shape (n_subjects, n_raters), or Ratings
        Categories; None, NaN or an empty string where not rated. `spondyl.evaluation.ratings` takes contingency
        tables and counts by category.
    chance : Chance or str, optional
        What agreement by chance is taken to be. Cohen's kappa with more than two raters is Conger's; Fleiss' kappa of
        two raters is Scott's pi; Gwet's is AC1 unweighted and AC2 weighted.
    weights : str or array_like of shape (n_categories, n_categories), optional
        How partial agreement counts: one of `spondyl.evaluation.ratings.WEIGHTINGS`, or weights from 0 to 1.
    confidence : float, optional
        Coverage wanted of the interval.

    Returns
    -------
    Agreement
        Not assessable, and flagged, where all ratings fall into one category, so that chance explains everything.

    Raises
    ------
    InputError
        If there are no two raters who rated a subject, or raters are not known where they matter.
    SettingsError
        If weights are not known or do not fit.

    Examples
    --------
    >>> kappa = agreement([["a", "a"], ["b", "b"], ["a", "b"], ["b", "b"], ["a", "a"]])
    >>> round(kappa.value, 3)
    0.615
    """
    confidence_level(confidence)
    given = as_ratings(ratings)
    kind = Chance(chance)
    matrix = _weights(given, weights)
    if kind is Chance.KRIPPENDORFF:
        given = replace(given, codes=given.codes[(given.codes >= 0).sum(axis=1) >= 2])
    parts = _krippendorff_parts(given, matrix) if kind is Chance.KRIPPENDORFF else _parts(given, matrix, kind)
    n = len(given.codes)
    about: dict[str, Any] = {
        "confidence": confidence,
        "method": f"{kind}, linearized over subjects",
        "observed": parts.observed,
        "chance": parts.chance,
        "n_subjects": n,
        "n_raters": given.codes.shape[1],
        "weighting": weights if isinstance(weights, str) else "given weights",
    }
    if not parts.chance < 1 - _ALL_CHANCE:
        flag = "all ratings are in one category: agreement beyond chance is not defined"
        return Agreement(math.nan, flags=(flag,), **about)
    value = (parts.observed - parts.chance) / (1 - parts.chance)
    if n < 2:
        return Agreement(value, flags=("one subject: no interval",), **about)
    center = (float(parts.of_subject.mean()) - parts.chance) / (1 - parts.chance)
    slope = 2 * (1 - center) * (parts.chance_of_subject - parts.chance)
    influence = (parts.of_subject - parts.weight * parts.chance - slope) / (1 - parts.chance)
    spread = float(((influence - center) ** 2).sum()) / n
    return _with_interval(value, math.sqrt(spread / (n - given.is_sample)), about)


def _with_interval(value: float, error: float, about: dict[str, Any]) -> Agreement:
    from scipy.special import stdtrit

    n = about["n_subjects"]
    half = float(stdtrit(n - 1, (1 + about["confidence"]) / 2)) * error
    return Agreement(value, max(value - half, -1.0), min(value + half, 1.0), error, **about)


def _weights(ratings: Ratings, weights: str | ArrayLike) -> Floats:
    if isinstance(weights, str):
        return weight_matrix(ratings.categories, weights)
    matrix = np.asarray(weights, dtype=np.float64)
    n = len(ratings.categories)
    if matrix.shape != (n, n) or not (matrix == matrix.T).all() or not ((matrix >= 0) & (matrix <= 1)).all():
        msg = f"weights must be a symmetric {n} x {n} table of numbers from 0 to 1, got shape {matrix.shape}"
        raise SettingsError(msg)
    return matrix


def _parts(ratings: Ratings, weights: Floats, kind: Chance) -> _Parts:
    counts = ratings.counts
    n_rated = counts.sum(axis=1)
    several = n_rated >= 2
    with np.errstate(invalid="ignore", divide="ignore"):
        agreeing = (counts * (counts @ weights - 1)).sum(axis=1) / (n_rated * (n_rated - 1))
    weight = several * (len(counts) / several.sum())
    observed = np.where(several, agreeing, 0.0) * weight
    by_chance = _chance_of_subjects(ratings, counts / n_rated[:, None], weights, kind)
    return _Parts(float(observed.mean()), float(by_chance.mean()), observed, by_chance, weight)


def _chance_of_subjects(ratings: Ratings, shares: Floats, weights: Floats, kind: Chance) -> Floats:
    q = len(weights)
    mean = shares.mean(axis=0)
    if kind is Chance.COHEN:
        return _conger(ratings, weights)
    if kind is Chance.FLEISS:
        return shares @ weights @ mean
    if kind is Chance.GWET:
        return shares @ (1 - mean) * weights.sum() / (q * (q - 1)) if q > 1 else np.ones(len(shares))
    return np.full(len(shares), weights.sum() / q**2 if kind is Chance.BRENNAN_PREDIGER else 0.0)


def _conger(ratings: Ratings, weights: Floats) -> Floats:
    """Agreement by chance of raters who each keep their own shares of categories (Conger 1980, two raters: Cohen)."""
    if not ratings.raters_known:
        msg = "Cohen's kappa needs to know who rated, which counts by category do not tell: take Fleiss' kappa"
        raise InputError(msg)
    rated = ratings.codes >= 0
    n, r = rated.shape
    chosen = (ratings.codes[..., None] == np.arange(len(weights))).astype(np.float64)
    per_rater = rated.sum(axis=0)
    if (per_rater == 0).any():
        msg = (
            f"each of the {r} raters must have rated something; {int((per_rater == 0).sum())} have not: leave them out"
        )
        raise InputError(msg)
    shares = chosen.sum(axis=0) / per_rater[:, None]
    # What subject i adds to the share of rater g, so that the mean over subjects is the share.
    own = (n / per_rater)[:, None] * (chosen - shares * (rated - per_rater / n)[..., None])
    others = shares.sum(axis=0) - shares
    return np.einsum("igk,kl,gl->i", own, weights, others) / (r * (r - 1))


def _krippendorff_parts(ratings: Ratings, weights: Floats) -> _Parts:
    counts = ratings.counts
    n_rated = counts.sum(axis=1)
    mean_rated = n_rated.mean()
    small = 1 / n_rated.sum()
    agreeing = (counts * (counts @ weights - 1)).sum(axis=1) / (mean_rated * (n_rated - 1))
    plain = agreeing.mean()
    excess = n_rated / mean_rated - 1
    shares = counts / mean_rated
    chance = float(shares.mean(axis=0) @ weights @ shares.mean(axis=0))
    by_chance = shares @ weights @ shares.mean(axis=0) - chance * excess
    # The correction for few ratings moves the estimate, not its standard error (Gwet 2014, section 3.4).
    observed = float((1 - small) * plain + small)
    return _Parts(observed, chance, agreeing - plain * excess, by_chance, np.ones(len(counts)))


def krippendorff_alpha(ratings: ArrayLike | Ratings, level: str = "nominal", *, confidence: float = 0.95) -> Agreement:
    """Give Krippendorff's alpha with his differences for a level of measurement.

    Parameters
    ----------
    ratings : array_like, shape (n_subjects, n_raters), or Ratings
        Categories or numbers; None, NaN or an empty string where not rated.
    level : str, optional
        ``"nominal"``, ``"ordinal"``, ``"interval"`` or ``"ratio"``.
    confidence : float, optional
        Coverage wanted of the interval, which takes the weights of an ordinal scale as given.

    Returns
    -------
    Agreement
        Subjects with one rating do not count.

    Raises
    ------
    InputError
        If there are no two raters who rated a subject.
    SettingsError
        If the level is not known.

    References
    ----------
    Krippendorff 2011, Computing Krippendorff's alpha-reliability, https://repository.upenn.edu/asc_papers/43.
    """
    named = {"nominal": "unweighted", "interval": "quadratic", "ratio": "ratio"}
    given = as_ratings(ratings)
    if level == "ordinal":
        return agreement(given, Chance.KRIPPENDORFF, weights=_rank_weights(given), confidence=confidence)
    if level not in named:
        msg = f"level must be nominal, ordinal, interval or ratio; got {level!r}"
        raise SettingsError(msg)
    return agreement(given, Chance.KRIPPENDORFF, weights=named[level], confidence=confidence)


def _rank_weights(ratings: Ratings) -> Floats:
    """Weights whose differences are squared numbers of ratings between two categories."""
    counts = ratings.counts
    of_category = counts[counts.sum(axis=1) >= 2].sum(axis=0)
    middle = np.cumsum(of_category) - of_category / 2
    between = np.subtract.outer(middle, middle) ** 2
    largest = between.max()
    return 1 - between / largest if largest > 0 else np.eye(len(of_category))


def agreement_table(
    ratings: ArrayLike | Ratings, *, weights: str | ArrayLike = "unweighted", confidence: float = 0.95
) -> Table:
    """Show all coefficients side by side.

    Parameters
    ----------
    ratings : array_like, shape (n_subjects, n_raters), or Ratings
        Categories.
    weights : str or array_like, optional
        How partial agreement counts.
    confidence : float, optional
        Coverage wanted of intervals.

    Returns
    -------
    Table
        One row per coefficient; Cohen's is left out where raters are not known.
    """
    given = as_ratings(ratings)
    kinds = [k for k in Chance if given.raters_known or k is not Chance.COHEN]
    made = [(k, agreement(given, k, weights=weights, confidence=confidence)) for k in kinds]
    rows = [(str(k), str(a), a.standard_error, a.observed, a.chance) for k, a in made]
    notes = tuple(dict.fromkeys(f for _, a in made for f in a.flags))
    title = f"Agreement of {made[0][1].n_raters} raters on {made[0][1].n_subjects} subjects, {made[0][1].weighting}"
    return Table.of(title, ("coefficient", "estimate", "standard error", "observed", "by chance"), rows, notes)
