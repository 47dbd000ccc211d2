"""Figures of merit of every reader in every modality, with what their covariances are made of.

All figures here but those of `custom_merits` are two-sample averages: over positive cases x and negative cases y of a
kernel, such as "x scored higher than y" for the area under the ROC curve. A case's *placement* is its own average of
the kernel. Placements give DeLong's covariance and the jackknife without fitting anything again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.ustatistics import placements

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spondyl.evaluation.mrmc_data import ReaderStudy

    Floats = NDArray[np.float64]
    Kernel = Callable[[slice], Floats]

_STAND_INS = 2


@dataclass(frozen=True, eq=False)
class TwoSample:
    """A figure of merit as an average over pairs of a positive and a negative case.

    Parameters
    ----------
    of_positive : ndarray of float, shape (n_modalities, n_readers, n_positive)
        Placements of the positive cases, NaN where not read.
    of_negative : ndarray of float, shape (n_modalities, n_readers, n_negative)
        Placements of the negative cases, NaN where not read.
    kernel : callable, optional
        Given a slice of positive cases, the kernel of these with all negative ones, shape (n_modalities, n_readers,
        n_slice, n_negative), NaN where not read; None where there is none.
    weights : ndarray of float, shape (n_positive,), optional
        Weight of each positive case, 1 on average; None weighs all alike.
    """

    of_positive: Floats
    of_negative: Floats
    kernel: Kernel | None = None
    weights: Floats | None = None


@dataclass(frozen=True, eq=False)
class Merits:
    """A figure of merit of every reader in every modality.

    Parameters
    ----------
    name : str
        Such as ``"AUC"``.
    values : ndarray of float, shape (n_modalities, n_readers)
        NaN where it cannot be known.
    left_out : ndarray of float, shape (n_modalities, n_readers, n)
        The figure without each case that bears on it.
    pairs : TwoSample, optional
        Its parts, where it is an average over pairs.
    """

    name: str
    values: Floats
    left_out: Floats
    pairs: TwoSample | None = None

    def take(self, cells: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Merits:
        """Give the figures of some modalities and readers.

        Parameters
        ----------
        cells : tuple of ndarray of int
            Positions of the modalities and of the readers to keep.

        Returns
        -------
        Merits
            The part.
        """
        at = np.ix_(*cells)
        pairs = self.pairs
        if pairs is not None:
            whole = pairs.kernel
            kernel = None if whole is None else (lambda x: whole(x)[at])
            pairs = TwoSample(pairs.of_positive[at], pairs.of_negative[at], kernel, pairs.weights)
        return Merits(self.name, self.values[at], self.left_out[at], pairs)


def _from_pairs(name: str, pairs: TwoSample, relevant: str = "both") -> Merits:
    """Complete a two-sample figure: its value is the mean placement, and leaving a case out is a subtraction."""
    weights = np.ones(pairs.of_positive.shape[-1]) if pairs.weights is None else pairs.weights
    values, without_x = _leave_out(pairs.of_positive, weights)
    _, without_y = _leave_out(pairs.of_negative, np.ones(pairs.of_negative.shape[-1]))
    parts = {"both": (without_x, without_y), "positive": (without_x,), "negative": (without_y,)}[relevant]
    if relevant == "negative":
        values = _leave_out(pairs.of_negative, np.ones(pairs.of_negative.shape[-1]))[0]
    return Merits(name, values, np.concatenate(parts, axis=-1), pairs)


def _leave_out(placement: Floats, weights: Floats) -> tuple[Floats, Floats]:
    read = ~np.isnan(placement)
    mass = (read * weights).sum(axis=-1, keepdims=True)
    total = np.where(read, placement * weights, 0.0).sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / mass
        without = (total - placement * weights) / (mass - weights)
    return mean[..., 0], np.where(read, without, mean)


def _need_both(study: ReaderStudy, name: str) -> None:
    if not study.n_positive or not study.n_negative:
        msg = f"{name} needs positive and negative cases, got {study.n_positive} and {study.n_negative}"
        raise InputError(msg)


def auc_merits(study: ReaderStudy) -> Merits:
    """Give the areas under the empirical ROC curves.

    Parameters
    ----------
    study : ReaderStudy
        The readings; ties count one half.

    Returns
    -------
    Merits
        Areas; NaN where a reader lacks positive or negative cases.

    Raises
    ------
    InputError
        If the study has one class only.

    References
    ----------
    DeLong 1988, doi 10.2307/2531595.
    """
    _need_both(study, "the area under the ROC curve")
    x, y = study.scores[..., study.truth], study.scores[..., ~study.truth]
    of_positive, of_negative = np.full_like(x, np.nan), np.full_like(y, np.nan)
    for cell in np.ndindex(x.shape[:2]):
        has_x, has_y = ~np.isnan(x[cell]), ~np.isnan(y[cell])
        if has_x.any() and has_y.any():
            px, py = placements(x[cell][None, has_x], y[cell][None, has_y])
            of_positive[(*cell, has_x)], of_negative[(*cell, has_y)] = px[0], py[0]

    def kernel(part: slice) -> Floats:
        sign = np.sign(x[:, :, part, None] - y[:, :, None, :])
        return (sign + 1) / 2

    return _from_pairs("AUC", TwoSample(of_positive, of_negative, kernel))


def sensitivity_merits(study: ReaderStudy, threshold: float = 0.5) -> Merits:
    """Give the shares of positive cases called positive.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    threshold : float, optional
        A score at or above it calls the case positive; 0.5 suits scores of 0 and 1.

    Returns
    -------
    Merits
        Sensitivities.

    Raises
    ------
    InputError
        If there is no positive case.
    """
    if not study.n_positive:
        msg = "sensitivity needs positive cases, got none"
        raise InputError(msg)
    called = _called(study.scores[..., study.truth], threshold)
    return _from_pairs("sensitivity", _one_sided(called, positive=True), "positive")


def specificity_merits(study: ReaderStudy, threshold: float = 0.5) -> Merits:
    """Give the shares of negative cases called negative.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    threshold : float, optional
        A score at or above it calls the case positive; 0.5 suits scores of 0 and 1.

    Returns
    -------
    Merits
        Specificities.

    Raises
    ------
    InputError
        If there is no negative case.
    """
    if not study.n_negative:
        msg = "specificity needs negative cases, got none"
        raise InputError(msg)
    cleared = 1 - _called(study.scores[..., ~study.truth], threshold)
    return _from_pairs("specificity", _one_sided(cleared, positive=False), "negative")


def _called(scores: Floats, threshold: float) -> Floats:
    return np.where(np.isnan(scores), np.nan, (scores >= threshold).astype(np.float64))


def _one_sided(right: Floats, *, positive: bool) -> TwoSample:
    """Write a share of one class as a two-sample figure whose kernel does not look at the other class.

    Two cases that all read stand for the other class: enough for the averages over pairs of different cases.
    """
    mean = _leave_out(right, np.ones(right.shape[-1]))[0]
    other = np.repeat(mean[..., None], _STAND_INS, axis=-1)

    def kernel(part: slice) -> Floats:
        if positive:
            return np.repeat(right[:, :, part, None], _STAND_INS, axis=3)
        return np.repeat(right[:, :, None, :], _STAND_INS, axis=2)[:, :, part]

    return TwoSample(right, other, kernel) if positive else TwoSample(other, right, kernel)


def custom_merits(study: ReaderStudy, figure: Callable[[NDArray[np.bool_], Floats], float], name: str) -> Merits:
    """Give any figure of merit, with the jackknife as its source of variance.

    Parameters
    ----------
    study : ReaderStudy
        The readings.
    figure : callable
        Given truth and scores of the cases that a reader read, shapes (n,), the figure; higher is better.
    name : str
        What to call it.

    Returns
    -------
    Merits
        The figures; DeLong's covariance and the U-statistics are not defined for them.

    Raises
    ------
    InputError
        If the figure cannot be computed for a reader.
    """
    n = len(study.cases)
    values, left_out = np.empty(study.scores.shape[:2]), np.empty(study.scores.shape)
    for cell in np.ndindex(values.shape):
        read = study.read[cell]
        try:
            values[cell] = figure(study.truth[read], study.scores[cell][read])
            for case in range(n):
                kept = read & (np.arange(n) != case)
                left_out[(*cell, case)] = (
                    figure(study.truth[kept], study.scores[cell][kept]) if read[case] else values[cell]
                )
        except (ValueError, ZeroDivisionError) as error:
            msg = f"{name} cannot be computed for every reader without each case in turn: add cases of the rarer class"
            raise InputError(msg) from error
    return Merits(name, values, left_out)
