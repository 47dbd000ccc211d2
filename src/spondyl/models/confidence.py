"""How far class probabilities can be trusted: temperature, agreement of networks, and prediction sets.

What is fitted here is fitted on patients that no network was trained on, and stored in the model card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(8.0), 200))
"""Candidates in the search for a temperature; beyond them a network is not miscalibrated but wrong."""


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Turn logits into probabilities.

    Parameters
    ----------
    logits : array_like of float, shape (..., n_classes)
        Network output.
    temperature : float, optional
        Divides the logits: above 1 makes a network less sure.

    Returns
    -------
    ndarray of float, shape (..., n_classes)
        Sums to 1 along the last axis.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, arXiv 1706.04599, section 4.2.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    power = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: Floats = power / power.sum(axis=-1, keepdims=True)
    return probabilities


def fit_temperature(logits: ArrayLike, truth: ArrayLike, groups: Sequence[int] | None = None) -> float:
    """Find the temperature under which the truth is most likely.

    Parameters
    ----------
    logits : array_like of float, shape (n, n_subtypes)
        Network output on patients it was not trained on.
    truth : array_like of int, shape (n,)
        True class of each.
    groups : sequence of int, optional
        Class of each subtype; each is its own class by default.

    Returns
    -------
    float
        One of `TEMPERATURES`.
    """
    logits, truth = np.asarray(logits, dtype=np.float64), np.asarray(truth, dtype=np.intp)
    groups = range(logits.shape[1]) if groups is None else groups
    rows, n = np.arange(len(truth)), max(groups) + 1
    likelihood = [np.log(group(softmax(logits, t), groups, n)[rows, truth] + 1e-12).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmax(likelihood))])


class Scaling(NamedTuple):
    """What turns probabilities of some patients into those of others, among whom classes are more or less frequent.

    Parameters
    ----------
    sharpness : float
        Factor on the logarithm of the probabilities: above 1 makes a mean of several networks as sure as it may be.
    offsets : tuple of float
        Added to the logarithm of each class; the first is 0.
    """

    sharpness: float
    offsets: tuple[float, ...]

    def __call__(self, probabilities: ArrayLike) -> Floats:
        """Scale probabilities.

        Parameters
        ----------
        probabilities : array_like of float, shape (..., n_classes)
            As they are.

        Returns
        -------
        ndarray of float, shape (..., n_classes)
            Sums to 1 along the last axis.
        """
        logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), LEAST_PROBABILITY))
        return softmax(self.sharpness * logs + np.asarray(self.offsets))

    def after(self, first: Scaling) -> Scaling:
        """Join two scalings into one.

        Parameters
        ----------
        first : Scaling
            The one that is done before this.

        Returns
        -------
        Scaling
            Both in one step.
        """
        offsets = self.sharpness * np.asarray(first.offsets) + np.asarray(self.offsets)
        return Scaling(self.sharpness * first.sharpness, tuple(float(o) for o in offsets - offsets[0]))


LEAST_PROBABILITY = 1e-6
"""Probabilities are not taken for smaller than this: nobody has that many patients."""


def fit_scaling(probabilities: ArrayLike, truth: ArrayLike) -> Scaling:
    """Find the scaling under which the truth is most likely.

    Parameters
    ----------
    probabilities : array_like of float, shape (n, n_classes)
        Of patients that no network was trained on, as frequent among them as among those that are meant.
    truth : array_like of int, shape (n,)
        True classes.

    Returns
    -------
    Scaling
        With a positive sharpness.

    References
    ----------
    Guo et al. 2017, On calibration of modern neural networks, arXiv 1706.04599, section 4.2, with one factor for all
    classes.
    """
    probabilities, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.intp)
    rows = np.arange(len(truth))

    def scaling(x: Floats) -> Scaling:
        return Scaling(float(np.exp(x[0])), (0.0, *(float(v) for v in x[1:])))

    def loss(x: Floats) -> float:
        # A weak pull toward no change keeps a class that was never seen from vanishing.
        likelihood = np.log(scaling(x)(probabilities)[rows, truth] + 1e-12).mean()
        return float(-likelihood + PULL * (x**2).sum() / max(len(truth), 1))

    start = np.zeros(probabilities.shape[1])
    return scaling(optimize.minimize(loss, start, method="L-BFGS-B").x)


PULL = 0.5
"""Weight of one observation for no change in `fit_scaling`. Chosen by us."""


def group(probabilities: ArrayLike, groups: Sequence[int], n_groups: int) -> Floats:
    """Add up the probabilities of subtypes that belong to one class.

    Parameters
    ----------
    probabilities : array_like of float, shape (..., n_subtypes)
        Probability of each subtype.
    groups : sequence of int
        Class of each subtype.
    n_groups : int
        Number of classes.

    Returns
    -------
    ndarray of float, shape (..., n_groups)
        Probability of each class.
    """
    membership = np.zeros((len(groups), n_groups))
    membership[np.arange(len(groups)), list(groups)] = 1.0
    classes: Floats = np.asarray(probabilities, dtype=np.float64) @ membership
    return classes


POOL_ROUNDS = 300
"""Rounds of expectation and maximization in `fit_pool`: weights have settled long before."""


def fit_pool(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Weigh several networks so that their weighted mean makes the truth most likely.

    Parameters
    ----------
    probabilities : array_like of float, shape (n_networks, n, n_classes)
        What each says of observations that it was not trained on.
    truth : array_like of int, shape (n,)
        True class of each.

    Returns
    -------
    ndarray of float, shape (n_networks,)
        Not negative, summing to 1.

    References
    ----------
    Stone 1961, The opinion pool, doi 10.1214/aoms/1177704873; fitted as the shares of a mixture, by expectation and
    maximization, which finds the one maximum there is.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
    said = np.maximum(p[:, np.arange(len(y)), y], 1e-12)
    weights: Floats = np.full(len(p), 1 / len(p))
    for _ in range(POOL_ROUNDS):
        part = weights[:, None] * said
        weights = (part / part.sum(0)).mean(1)
    return weights


def conformal_quantiles(probabilities: ArrayLike, truth: ArrayLike, *, error: float = 0.1) -> Floats:
    """Find, for each class, how improbable it may be and still belong to the prediction set.

    Split conformal prediction with one threshold for each true class, so that rare malignant findings are covered as
    often as the many normal ones.

    Parameters
    ----------
    probabilities : array_like of float, shape (n, n_classes)
        Calibrated probabilities of patients that no network was trained on.
    truth : array_like of int, shape (n,)
        True classes.
    error : float, optional
        Share of each class whose set may miss the truth.

    Returns
    -------
    ndarray of float, shape (n_classes,)
        Largest ``1 - probability`` at which a class is in the set; 1, which lets it in always, where too few cases of
        it were seen to promise anything.

    References
    ----------
    Sadinle, Lei and Wasserman 2019, Least ambiguous set-valued classifiers with bounded error levels, JASA 114:223
    (doi 10.1080/01621459.2017.1395341), section 3.
    """
    probabilities, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.intp)
    quantiles = np.ones(probabilities.shape[1])
    for label in range(probabilities.shape[1]):
        scores = np.sort(1 - probabilities[truth == label, label])
        rank = int(np.ceil((len(scores) + 1) * (1 - error)))
        if 1 <= rank <= len(scores):
            quantiles[label] = scores[rank - 1]
    return quantiles


def prediction_set(probabilities: ArrayLike, quantiles: ArrayLike, names: Sequence[str]) -> tuple[str, ...]:
    """Give the classes that cannot be ruled out.

    Parameters
    ----------
    probabilities : array_like of float, shape (n_classes,)
        Calibrated probabilities.
    quantiles : array_like of float, shape (n_classes,)
        From `conformal_quantiles`.
    names : sequence of str
        Name of each class.

    Returns
    -------
    tuple of str
        Most probable first. Anything but one name means indeterminate: several cannot be told apart, or the finding is
        like nothing known.
    """
    probability = np.asarray(probabilities, dtype=np.float64)
    kept = 1 - probability <= np.asarray(quantiles) + 1e-12
    # Thresholds differ by class: a frequent one can be the most probable and still be ruled out, which nobody follows.
    kept[int(np.argmax(probability))] |= bool(kept.any())
    return tuple(names[i] for i in np.argsort(-probability, kind="stable") if kept[i])


def entropy(probabilities: ArrayLike) -> Floats:
    """Give the normalized entropy of class probabilities.

    Parameters
    ----------
    probabilities : array_like of float, shape (..., n_classes)
        Sums to 1 along the last axis; at least two classes.

    Returns
    -------
    ndarray of float, shape (...)
        From 0, sure, to 1, nothing known.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    bits: Floats = -(p * np.log(np.clip(p, 1e-12, None))).sum(axis=-1) / np.log(p.shape[-1])
    return np.clip(bits, 0.0, 1.0)
