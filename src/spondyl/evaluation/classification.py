"""What a decision is worth: accuracy, sensitivity, specificity, predictive values, for two classes or more.

Intervals of shares are Wilson's, widened where patients repeat; those of sums of shares are put together from them
(MOVER), so that none collapses to a point where nothing went wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.inputs import binary, finite_vector, patient_codes, same_length
from spondyl.evaluation.proportions import clustered_proportion
from spondyl.evaluation.records import Estimate, Record, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

RATIOS = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "balanced_accuracy")
"""Fields of `BinaryScores` that have an interval."""


@dataclass(frozen=True)
class BinaryScores(Record):
    """Agreement of a yes or no with the truth.

    Parameters
    ----------
    true_positive, false_positive, false_negative, true_negative : int
        Cases of each kind.
    accuracy, sensitivity, specificity, ppv, npv, balanced_accuracy : Estimate
        Shares; not assessable where their class, or their answer, does not occur.
    f1, mcc : float
        F1 score; Matthews correlation coefficient. NaN where not defined.
    n_patients : int
        Patients behind the cases.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    balanced_accuracy: Estimate
    f1: float
    mcc: float
    n_patients: int

    @property
    def prevalence(self) -> float:
        """Share of positive cases."""
        positive = self.true_positive + self.false_negative
        return positive / (positive + self.false_positive + self.true_negative)

    @property
    def youden(self) -> float:
        """Sensitivity plus specificity minus one."""
        return self.sensitivity.value + self.specificity.value - 1

    @property
    def likelihood_ratios(self) -> tuple[float, float]:
        """Positive and negative likelihood ratio."""
        sensitivity, specificity = self.sensitivity.value, self.specificity.value
        positive = sensitivity / (1 - specificity) if specificity < 1 else math.inf
        negative = (1 - sensitivity) / specificity if specificity > 0 else math.inf
        return positive, negative

    def table(self) -> Table:
        """Show the scores.

        Returns
        -------
        Table
            One row per measure.
        """
        rows = [(name.replace("_", " "), str(getattr(self, name))) for name in RATIOS]
        rows += [("F1", f"{self.f1:.3f}"), ("MCC", f"{self.mcc:.3f}")]
        counts = (self.true_positive, self.false_positive, self.false_negative, self.true_negative)
        words = "{} true positive, {} false positive, {} false negative, {} true negative".format(*counts)
        return Table.of("Decisions", ("measure", "value (interval)"), rows, (f"{words}; {self.n_patients} patients",))


def binary_scores(
    truth: ArrayLike, called: ArrayLike, *, patients: ArrayLike | None = None, confidence: float = 0.95
) -> BinaryScores:
    """Score a yes or no against the truth.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    called : array_like of bool, shape (n_cases,)
        True where the answer was yes.
    patients : array_like, shape (n_cases,), optional
        Patient of each case; intervals widen where patients repeat.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    BinaryScores
        Shares with intervals. With one class only, what needs the other is not assessable.

    Raises
    ------
    InputError
        If the columns do not fit.

    References
    ----------
    Wilson 1927, doi 10.1080/01621459.1927.10502953. Zou & Donner 2008, doi 10.1002/sim.3095 (MOVER).
    """
    y, c = binary(truth), binary(called, "called")
    same_length(truth=y, called=c)
    codes = patient_codes(patients, len(y))

    def share(yes: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        return clustered_proportion(yes[among], codes[among], confidence)

    tp, fp, fn, tn = (int(v.sum()) for v in (y & c, ~y & c, y & ~c, ~y & ~c))
    sensitivity, specificity = share(c, y), share(~c, ~y)
    return BinaryScores(
        tp,
        fp,
        fn,
        tn,
        share(y == c, np.ones(len(y), bool)),
        sensitivity,
        specificity,
        share(y, c),
        share(~y, ~c),
        mean_of_shares([sensitivity, specificity]),
        2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan,
        _mcc(np.array([[tn, fp], [fn, tp]])),
        int(codes.max()) + 1,
    )


def scores_at(
    truth: ArrayLike,
    score: ArrayLike,
    threshold: float,
    *,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> BinaryScores:
    """Score the decision to call a case positive at or above a threshold.

    Parameters
    ----------
    truth : array_like of bool, shape (n_cases,)
        True for positive.
    score : array_like of float, shape (n_cases,)
        Higher is more suspicious.
    threshold : float
        Chosen on other data than these, or the result is too good.
    patients : array_like, shape (n_cases,), optional
        Patient of each case.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    BinaryScores
        Shares with intervals.

    Raises
    ------
    InputError
        If the columns do not fit.
    """
    called = finite_vector(score, "score") >= threshold
    return binary_scores(truth, called, patients=patients, confidence=confidence)


def mean_of_shares(shares: Sequence[Estimate]) -> Estimate:
    """Give the mean of shares of different cases, with an interval put together from theirs.

    Parameters
    ----------
    shares : sequence of Estimate
        Independent shares.

    Returns
    -------
    Estimate
        Mean; not assessable where one of them is not.

    References
    ----------
    Zou & Donner 2008, doi 10.1002/sim.3095.
    """
    n = len(shares)
    value = sum(s.value for s in shares) / n
    low = value - math.sqrt(sum((s.value - s.low) ** 2 for s in shares)) / n
    high = value + math.sqrt(sum((s.high - s.value) ** 2 for s in shares)) / n
    error = math.sqrt(sum(s.standard_error**2 for s in shares)) / n
    return Estimate(value, low, high, error, shares[0].confidence, f"MOVER of {shares[0].method}")


@dataclass(frozen=True, eq=False)
class ClassScores(Record):
    """Agreement of one of several classes with the truth.

    Parameters
    ----------
    classes : tuple of str
        The classes.
    confusion : ndarray of int, shape (n_classes, n_classes)
        Cases by true class (row) and called class (column).
    accuracy : Estimate
        Share called rightly.
    balanced_accuracy : Estimate
        Mean of the classes' sensitivities.
    sensitivity, ppv : tuple of Estimate
        Share of each true class called rightly; share of each called class that is true.
    macro_f1 : float
        Mean F1 score of the classes that occur in truth or calls.
    mcc : float
        Matthews correlation coefficient of many classes.
    expected_cost : float
        Mean cost of a call over that of the best constant call; below 1 is better than not looking.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int_]
    accuracy: Estimate
    balanced_accuracy: Estimate
    sensitivity: tuple[Estimate, ...]
    ppv: tuple[Estimate, ...]
    macro_f1: float
    mcc: float
    expected_cost: float

    def table(self) -> Table:
        """Show the scores by class.

        Returns
        -------
        Table
            One row per class.
        """
        rows = [
            (
                name,
                int(self.confusion[i].sum()),
                *self.confusion[i].tolist(),
                str(self.sensitivity[i]),
                str(self.ppv[i]),
            )
            for i, name in enumerate(self.classes)
        ]
        head = ("class", "cases", *(f"called {c}" for c in self.classes), "sensitivity", "PPV")
        notes = (
            f"accuracy {self.accuracy}; balanced accuracy {self.balanced_accuracy}",
            f"macro F1 {self.macro_f1:.3f}; MCC {self.mcc:.3f}; normalized expected cost {self.expected_cost:.3f}",
        )
        return Table.of("Classes", head, rows, notes)


def class_scores(
    truth: ArrayLike,
    called: ArrayLike,
    classes: Sequence[str],
    *,
    cost: ArrayLike | None = None,
    patients: ArrayLike | None = None,
    confidence: float = 0.95,
) -> ClassScores:
    """Score one of several classes against the truth.

    Parameters
    ----------
    truth, called : array_like, shape (n_cases,)
        Classes, as they stand in `classes`.
    classes : sequence of str
        All classes, also those that do not occur.
    cost : array_like of float, shape (n_classes, n_classes), optional
        Cost of calling a case of the row's class the column's; 1 for every error where left out.
    patients : array_like, shape (n_cases,), optional
        Patient of each case; intervals widen where patients repeat.
    confidence : float, optional
        Coverage wanted.

    Returns
    -------
    ClassScores
        Shares with intervals; not assessable for classes that do not occur.

    Raises
    ------
    InputError
        If the columns do not fit or hold another class.

    References
    ----------
    Gorodkin 2004, doi 10.1016/j.compbiolchem.2004.09.006 (MCC of many classes); Ferrer 2022, arXiv 2209.05355
    (normalized expected cost).
    """
    t, c = (_class_numbers(v, classes, name) for v, name in ((truth, "truth"), (called, "called")))
    same_length(truth=t, called=c)
    codes = patient_codes(patients, len(t))
    n = len(classes)
    confusion = np.bincount(t * n + c, minlength=n * n).reshape(n, n)

    def share(yes: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
        return clustered_proportion(yes[among], codes[among], confidence)

    sensitivity = tuple(share(c == i, t == i) for i in range(n))
    seen = [s for s, count in zip(sensitivity, confusion.sum(axis=1), strict=True) if count]
    hits, total = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
    return ClassScores(
        tuple(classes),
        confusion,
        share(t == c, np.ones(len(t), bool)),
        mean_of_shares(seen),
        sensitivity,
        tuple(share(t == i, c == i) for i in range(n)),
        float(np.mean(2 * hits[total > 0] / total[total > 0])),
        _mcc(confusion),
        _expected_cost(confusion, cost),
    )


def _class_numbers(values: ArrayLike, classes: Sequence[str], name: str) -> NDArray[np.intp]:
    vector = np.asarray(values)
    if vector.ndim != 1 or not vector.size:
        msg = f"{name} must be one class per case and at least one case, got shape {vector.shape}"
        raise InputError(msg)
    place = {c: i for i, c in enumerate(classes)}
    unknown = sorted({str(v) for v in vector.tolist() if v not in place})
    if unknown:
        msg = f"{name} must hold only {', '.join(map(str, classes))}; got {', '.join(unknown[:5])}"
        raise InputError(msg)
    return np.array([place[v] for v in vector.tolist()], dtype=np.intp)


def _mcc(confusion: NDArray[np.int_]) -> float:
    table = confusion.astype(np.float64)
    n, true, called = table.sum(), table.sum(axis=1), table.sum(axis=0)
    covariance = np.trace(table) * n - true @ called
    spread = math.sqrt((n**2 - true @ true) * (n**2 - called @ called))
    return float(covariance / spread) if spread else math.nan


def _expected_cost(confusion: NDArray[np.int_], cost: ArrayLike | None) -> float:
    n = len(confusion)
    matrix = 1 - np.eye(n) if cost is None else np.asarray(cost, dtype=np.float64)
    if matrix.shape != (n, n) or not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        msg = f"cost must be {n} x {n} numbers from 0, got shape {matrix.shape}"
        raise InputError(msg)
    constant = float((confusion.sum(axis=1) @ matrix).min())
    return float((confusion * matrix).sum()) / constant if constant else math.nan
