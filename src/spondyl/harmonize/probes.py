"""Can a machine still tell the scanner? Probes that are trained anew on what is shown to them.

A classifier trained on raw features and then shown harmonized ones hides what is left, since scanner signal in a new
form is signal to a new classifier; so every score here comes from classifiers trained on the very table they judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spondyl.core import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_FOLDS = 5
"""Folds of the cross-validation. Chosen by us."""

MOST_COLUMNS = 100
"""More features are first turned to as many principal components. Chosen by us: keeps a probe under a second."""

TREES, MIN_ROUNDS = 90, 10
"""Trees that a boosted probe grows over all classes, each of which takes one a round, and fewest rounds. Chosen by
us."""

KINDS = ("linear", "boosted")
"""What a linear boundary sees, and what it does not: scale, interactions, thresholds."""

FoldTransform = Callable[
    ["NDArray[np.intp]", "NDArray[np.intp]", "NDArray[np.intp]"], "tuple[NDArray[np.float64], NDArray[np.float64]]"
]
"""Given the rows of the training and test part of a fold, gives their features, where harmonization is learned inside
the fold. The third argument says for every row of the table from which row it takes its scanner: itself, or, to learn
what happens by chance, another."""


class ProbeScore(NamedTuple):
    """How well a probe tells classes apart, and how well it would by chance.

    Parameters
    ----------
    balanced_accuracy : float
        Mean over the classes of the share found, in patients not trained on.
    chance : float
        One over the number of classes.
    low, high : float
        Band that holds the central 95 % of scores with scanners exchanged at random.
    p_value : float
        Share of random exchanges that score as well or better, this one included. NaN, like the band, without any.
    n_classes : int
        Classes with enough patients to take part.
    """

    balanced_accuracy: float
    chance: float
    low: float
    high: float
    p_value: float
    n_classes: int

    @property
    def above_chance(self) -> bool:
        """Whether the score lies above the band of chance; not said where no band was made."""
        return self.balanced_accuracy > self.high


class Task(NamedTuple):
    """Rows, classes and patients of a probe.

    Parameters
    ----------
    rows : ndarray of int, shape (m,)
        Rows of the table that take part.
    labels : ndarray of int, shape (m,)
        Class of each.
    groups : ndarray of int, shape (m,)
        Patient of each, so that no patient is in training and test.
    """

    rows: NDArray[np.intp]
    labels: NDArray[np.intp]
    groups: NDArray[np.intp]


def probe_task(labels: NDArray, groups: NDArray | None = None) -> Task:
    """Choose who takes part: classes with a patient for every fold.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        What is to be told apart.
    groups : ndarray, shape (n,), optional
        Patient of each row; every row is a patient of its own unless given.

    Returns
    -------
    Task
        Rows, classes and patients as numbers.

    Raises
    ------
    InputError
        If fewer than two classes have enough patients.
    """
    codes = np.unique(np.asarray(labels).astype(str), return_inverse=True)[1]
    patients = np.arange(len(codes)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    enough = [c for c in range(codes.max() + 1) if len(np.unique(patients[codes == c])) >= N_FOLDS]
    if len(enough) < 2:
        msg = f"a probe wants at least two classes with {N_FOLDS} patients each, got {len(enough)}; merge small ones"
        raise InputError(msg)
    rows = np.flatnonzero(np.isin(codes, enough))
    return Task(rows.astype(np.intp), np.unique(codes[rows], return_inverse=True)[1], patients[rows])


def _classifier(kind: str, shape: tuple[int, ...], n_classes: int, seed: int) -> Any:
    impute = SimpleImputer(keep_empty_features=True)
    if kind == "boosted":
        rounds = max(TREES // (n_classes if n_classes > 2 else 1), MIN_ROUNDS)
        trees = GradientBoostingClassifier(
            n_estimators=rounds, max_depth=3, max_features="sqrt", subsample=0.8, random_state=seed
        )
        return make_pipeline(impute, trees)
    if kind == "forest":
        return make_pipeline(impute, RandomForestClassifier(TREES, min_samples_leaf=3, random_state=seed))
    most = min(MOST_COLUMNS, shape[0] // 2)
    reduce = [PCA(most, random_state=seed)] if shape[1] > MOST_COLUMNS else []
    return make_pipeline(impute, StandardScaler(), *reduce, LogisticRegression(class_weight="balanced", max_iter=5000))


def _score(fold_of: FoldTransform, task: Task, source: NDArray[np.intp], kind: str, seed: int) -> float:
    """Cross-validated score when each row of the task takes its scanner from another row of it."""
    labels = task.labels[source]
    rows = np.arange(int(task.rows.max()) + 1)
    rows[task.rows] = task.rows[source]
    said = np.empty_like(labels)
    splitter = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    for train, test in splitter.split(np.zeros((len(labels), 1)), labels, task.groups):
        shown, hidden = fold_of(task.rows[train], task.rows[test], rows)
        model = _classifier(kind, shown.shape, int(labels.max()) + 1, seed)
        said[test] = model.fit(shown, labels[train]).predict(hidden)
    return float(balanced_accuracy_score(labels, said))


def _permuted(task: Task, rng: np.random.Generator, strata: NDArray[np.intp]) -> NDArray[np.intp]:
    """Exchange scanners: within patients who were on several, else between patients of one stratum."""
    order = np.argsort(task.groups, kind="stable")
    first = np.flatnonzero(np.diff(task.groups[order], prepend=-1))
    patients = np.split(order, first[1:])
    source = np.empty_like(order)
    if any(len(set(task.labels[part])) > 1 for part in patients):
        for part in patients:
            source[part] = rng.permutation(part)
    else:
        of = np.array([strata[part[0]] for part in patients])
        other = np.empty(len(patients), dtype=np.intp)
        for stratum in np.unique(of):
            own = np.flatnonzero(of == stratum)
            other[own] = rng.permutation(own)
        for part, number in zip(patients, other, strict=True):
            source[part] = patients[number][0]
    return source


def probe(
    values: NDArray[np.float64] | FoldTransform,
    task: Task,
    kind: str = "linear",
    *,
    n_permutations: int = 20,
    seed: int = 0,
    within: NDArray | None = None,
) -> ProbeScore:
    """Train a probe in cross-validation, and again with scanners exchanged at random.

    Parameters
    ----------
    values : ndarray of float, shape (n, p), or callable
        The features, or a function that learns harmonization on the training part of a fold and gives the features of
        both parts. With exchanged scanners it learns from these, so that the band of chance is that of a table without
        scanner effects, harmonized in the same way.
    task : Task
        What is to be told apart.
    kind : str, optional
        ``"linear"`` (logistic regression), ``"boosted"`` (gradient-boosted trees) or ``"forest"`` (random forest).
    n_permutations : int, optional
        Random exchanges.
    seed : int, optional
        Of folds, trees and exchanges.
    within : ndarray, shape (n,), optional
        Exchange scanners only between patients who are equal in this, such as their disease. Where scanner and disease
        go together, the band then holds what disease alone tells of the scanner.

    Returns
    -------
    ProbeScore
        Score, chance band and p value.
    """
    fold_of: FoldTransform = values if callable(values) else (lambda train, test, _: (values[train], values[test]))
    score = _score(fold_of, task, np.arange(len(task.rows)), kind, seed)
    rng = np.random.default_rng([seed, n_permutations])
    given = np.zeros(int(task.rows.max()) + 1) if within is None else np.asarray(within)
    strata = np.unique(given[task.rows], return_inverse=True)[1]
    by_chance = np.array(
        [_score(fold_of, task, _permuted(task, rng, strata), kind, seed) for _ in range(n_permutations)]
    )
    low, high = np.quantile(by_chance, [0.025, 0.975]) if n_permutations else (np.nan, np.nan)
    p_value = (1 + int((by_chance >= score).sum())) / (1 + n_permutations) if n_permutations else np.nan
    n_classes = int(task.labels.max()) + 1
    return ProbeScore(score, 1 / n_classes, float(low), float(high), p_value, n_classes)


class Discrepancy(NamedTuple):
    """How far the distributions of scanners lie apart in all features together.

    Parameters
    ----------
    mmd2 : float
        Mean over the scanners of the squared maximum mean discrepancy to all others.
    p_value : float
        Share of permuted scanners with as large a one, this one included.
    """

    mmd2: float
    p_value: float


MOST_ROWS = 1500
"""Patients that enter a kernel matrix; more are sampled. Chosen by us."""


def discrepancy(
    values: NDArray[np.float64], codes: NDArray[np.intp], *, n_permutations: int = 200, seed: int = 0
) -> Discrepancy:
    """Measure how far scanners lie apart.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Features; a missing value counts as the feature's mean.
    codes : ndarray of int, shape (n,)
        Each patient's scanner.
    n_permutations : int, optional
        Permutations of the scanners.
    seed : int, optional
        Of sampling and permutations.

    Returns
    -------
    Discrepancy
        With a Gaussian kernel as wide as the median distance of standardized patients.

    References
    ----------
    Gretton 2012, J Mach Learn Res 13:723.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(values))[:MOST_ROWS])
    z, codes = values[rows], np.unique(codes[rows], return_inverse=True)[1]
    seen = np.isfinite(z)
    n = np.maximum(seen.sum(axis=0), 1)
    z = np.where(seen, z - np.where(seen, z, 0.0).sum(axis=0) / n, 0.0)
    sd = np.sqrt((z**2).sum(axis=0) / n)
    z /= np.where(sd > 0, sd, 1.0)
    squared = np.maximum((z**2).sum(axis=1)[:, None] + (z**2).sum(axis=1) - 2 * z @ z.T, 0.0)
    width = float(np.median(squared[np.triu_indices(len(z), 1)])) or 1.0
    kernel = np.exp(-squared / width)
    found = _mmd2(kernel, codes)
    chance = [_mmd2(kernel, rng.permutation(codes)) for _ in range(n_permutations)]
    return Discrepancy(found, (1 + sum(c >= found for c in chance)) / (1 + n_permutations))


def _mmd2(kernel: NDArray[np.float64], codes: NDArray[np.intp]) -> float:
    own = (codes[:, None] == np.arange(codes.max() + 1)).astype(float)
    n = own.sum(axis=0)
    rest = len(codes) - n
    with_own = kernel @ own
    inside = np.einsum("ij,ij->j", own, with_own)
    across = with_own.sum(axis=0) - inside
    outside = kernel.sum() - inside - 2 * across
    kept = (n > 0) & (rest > 0)
    parts = inside[kept] / n[kept] ** 2 + outside[kept] / rest[kept] ** 2 - 2 * across[kept] / (n[kept] * rest[kept])
    return float(parts.mean()) if kept.any() else 0.0
