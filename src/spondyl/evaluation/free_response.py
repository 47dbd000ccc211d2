"""Figures of merit of free response: JAFROC, weighted AFROC, and their variance over patients.

Each is the mean over pairs (a lesion or a diseased study, a study that may hold a false positive) of 1, 1/2 or 0 as the
lesion scores higher, equal or lower than the study's highest false positive; what is unmarked scores lower than any
mark and equal to what is unmarked. It is thus an area under a curve and takes the covariance of clustered ROC areas.

References
----------
Chakraborty & Berbaum 2004, doi 10.1118/1.1769352 (JAFROC); Chakraborty & Zhai 2016, doi 10.1118/1.4961120 (weighted
AFROC); Obuchowski 1997, doi 10.2307/2533958 (covariance).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.core.errors import InputError
from spondyl.evaluation.detection import Marks, Study
from spondyl.evaluation.roc import RocAreas, model_names
from spondyl.evaluation.ustatistics import clustered_covariance, placements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[Any]


class FigureOfMerit(StrEnum):
    """Which pairs are compared.

    JAFROC pairs lesions, all alike, with studies without lesion; WAFROC pairs diseased studies, whose lesions share a
    weight of 1. The variants with 1 take false positives in all studies; they are for sets without normal studies.
    """

    JAFROC = "JAFROC"
    JAFROC1 = "JAFROC1"
    WAFROC = "wAFROC"
    WAFROC1 = "wAFROC1"

    @property
    def weighted(self) -> bool:
        """Whether lesions of a study share a weight of 1."""
        return self in {FigureOfMerit.WAFROC, FigureOfMerit.WAFROC1}

    @property
    def all_studies(self) -> bool:
        """Whether false positives in diseased studies count."""
        return self in {FigureOfMerit.JAFROC1, FigureOfMerit.WAFROC1}


def free_response_areas(
    models: Sequence[Sequence[Study] | Marks],
    *,
    figure: FigureOfMerit = FigureOfMerit.WAFROC,
    names: Sequence[str] | None = None,
) -> RocAreas:
    """Give a figure of merit of several models or readers on the same studies.

    Parameters
    ----------
    models : sequence of (sequence of Study, or Marks)
        The same studies in the same order, marked by each model.
    figure : FigureOfMerit, optional
        Which pairs are compared.
    names : sequence of str, optional
        The models; numbered where left out.

    Returns
    -------
    RocAreas
        Figures of merit with a covariance over patients; `compare` tests two of them.

    Raises
    ------
    InputError
        If the models' studies, lesions or weights differ, there is no lesion, or no study for false positives.

    References
    ----------
    See the module.
    """
    marks = [m if isinstance(m, Marks) else Marks.of(m) for m in models]
    labels = model_names(names, len(marks))
    first = marks[0]
    for label, other in zip(labels, marks, strict=True):
        _check_same(first, other, label)
    diseased = np.bincount(first.lesion_study, minlength=first.n_studies) > 0
    compared = np.ones(first.n_studies, bool) if figure.all_studies else ~diseased
    if not diseased.any() or not compared.any():
        counts = f"{diseased.sum()} with and {(~diseased).sum()} without"
        msg = f"{figure} needs studies with and without lesions, got {counts}; JAFROC1 and wAFROC1 need no normal ones"
        raise InputError(msg)
    lesion_score = np.stack([m.lesion_score for m in marks])
    false_score = np.stack([m.highest_false[compared] for m in marks])
    of_lesion, _ = placements(lesion_score, false_score)
    of_false = np.stack(
        [_share_won(m.lesion_score, _unit_weights(m, figure), f) for m, f in zip(marks, false_score, strict=True)]
    )
    lesion_patient, false_patient = first.study_patient[first.lesion_study], first.study_patient[compared]
    if figure.weighted:
        of_lesion = np.stack([_study_means(m, p)[diseased] for m, p in zip(marks, of_lesion, strict=True)])
        lesion_patient = first.study_patient[diseased]
    covariance = clustered_covariance(of_lesion, of_false, lesion_patient, false_patient)
    n_lesions, n_compared = of_lesion.shape[1], of_false.shape[1]
    method = f"{figure}, clustered by patient"
    return RocAreas(labels, of_lesion.mean(axis=1), covariance, n_lesions, n_compared, first.n_patients, method)


def _unit_weights(marks: Marks, figure: FigureOfMerit) -> Floats:
    """Weight of each lesion, summing to 1 over all."""
    if not figure.weighted:
        return np.full(len(marks.lesion_ml), 1 / len(marks.lesion_ml))
    return marks.lesion_weight / len(np.unique(marks.lesion_study))


def _study_means(marks: Marks, of_lesion: Floats) -> Floats:
    means: Floats = np.bincount(marks.lesion_study, weights=of_lesion * marks.lesion_weight, minlength=marks.n_studies)
    return means


def _share_won(lesion_score: Floats, weight: Floats, false_score: Floats) -> Floats:
    """Weight of the lesions above each false positive, ties as one half."""
    order = np.argsort(lesion_score)
    reached = np.concatenate([[0.0], np.cumsum(weight[order])])
    below = reached[np.searchsorted(lesion_score[order], false_score, side="left")]
    upto = reached[np.searchsorted(lesion_score[order], false_score, side="right")]
    return reached[-1] - (below + upto) / 2


def _check_same(first: Marks, other: Marks, label: str) -> None:
    same = (
        np.array_equal(first.study_patient, other.study_patient)
        and np.array_equal(first.lesion_study, other.lesion_study)
        and np.allclose(first.lesion_weight, other.lesion_weight)
    )
    if not same:
        msg = f"every model must have marked the same studies with the same lesions and weights; {label} differs"
        raise InputError(msg)
