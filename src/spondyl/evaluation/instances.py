"""Whether the right things were found: matching of instances, panoptic quality, and levels named per patient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, mean_estimate
from spondyl.evaluation.inputs import patient_codes
from spondyl.evaluation.overlap import Overlap
from spondyl.evaluation.proportions import proportion
from spondyl.evaluation.records import Estimate, Record, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

MATCH_IOU = 0.5
"""Two instances match above this intersection over union; no two can then claim the same (Kirillov 2019)."""


@dataclass(frozen=True)
class Match(Record):
    """Which true and predicted instances belong together.

    Parameters
    ----------
    pairs : tuple of (int, int, float)
        True label, predicted label, intersection over union.
    missed : tuple of int
        True labels without a partner.
    extra : tuple of int
        Predicted labels without a partner.
    threshold : float
        Intersection over union above which two match.
    """

    pairs: tuple[tuple[int, int, float], ...]
    missed: tuple[int, ...]
    extra: tuple[int, ...]
    threshold: float

    @property
    def recognition_quality(self) -> float:
        """F1 score of the instances; NaN where there are none at all."""
        total = len(self.pairs) + (len(self.missed) + len(self.extra)) / 2
        return len(self.pairs) / total if total else math.nan

    @property
    def segmentation_quality(self) -> float:
        """Mean intersection over union of the matched pairs; 0 where nothing matched, NaN where there is nothing."""
        if self.pairs:
            return float(np.mean([iou for *_, iou in self.pairs]))
        return 0.0 if self.missed or self.extra else math.nan

    @property
    def panoptic_quality(self) -> float:
        """Recognition times segmentation quality."""
        return self.recognition_quality * self.segmentation_quality

    def table(self) -> Table:
        """Show the match.

        Returns
        -------
        Table
            Counts and qualities.
        """
        rows = [
            ("matched", len(self.pairs)),
            ("missed", len(self.missed)),
            ("extra", len(self.extra)),
            ("recognition quality (F1)", self.recognition_quality),
            ("segmentation quality", self.segmentation_quality),
            ("panoptic quality", self.panoptic_quality),
        ]
        note = f"matched above an intersection over union of {self.threshold:g}"
        return Table.of("Instances", ("measure", "value"), rows, (note,))


def match_instances(truth: NDArray, prediction: NDArray, *, threshold: float = MATCH_IOU) -> Match:
    """Match the instances of two label maps on one grid.

    Parameters
    ----------
    truth, prediction : ndarray of int
        Instance numbers; 0 is nothing. Numbers need not agree.
    threshold : float, optional
        Intersection over union that a pair must exceed. Below 0.5 a true instance may have several candidates: the
        pairs with the largest sum are taken.

    Returns
    -------
    Match
        Each instance is in one pair at most.

    Raises
    ------
    GeometryError
        If the shapes differ.
    InputError
        If a map does not hold whole numbers from 0.
    SettingsError
        If the threshold does not lie from 0 to below 1.

    References
    ----------
    Kirillov 2019, Panoptic segmentation, arXiv 1801.00868.
    """
    from scipy.optimize import linear_sum_assignment

    if not 0 <= threshold < 1:
        msg = f"threshold must lie from 0 to below 1, got {threshold}"
        raise SettingsError(msg)
    overlap = Overlap.of(truth, prediction)
    shared = overlap.shared[1:, 1:]
    union = overlap.shared.sum(1)[1:, None] + overlap.shared.sum(0)[None, 1:] - shared
    iou = shared / union
    allowed = np.where(iou > threshold, iou, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    taken = [(r, c) for r, c in zip(rows, columns, strict=True) if allowed[r, c] > 0]
    true, found = overlap.truth_labels[1:], overlap.prediction_labels[1:]
    return Match(
        tuple((int(true[r]), int(found[c]), float(iou[r, c])) for r, c in taken),
        tuple(int(n) for n in np.delete(true, [r for r, _ in taken])),
        tuple(int(n) for n in np.delete(found, [c for _, c in taken])),
        threshold,
    )


@dataclass(frozen=True)
class LevelScore(Record):
    """Levels of one study.

    Parameters
    ----------
    n_truth : int
        Vertebrae whose level is known.
    n_found : int
        Those that were found.
    n_named : int
        Those found that were given a level.
    n_right : int
        Those named rightly.
    wrong : tuple of (str, str)
        True and given level of those named wrongly.
    """

    n_truth: int
    n_found: int
    n_named: int
    n_right: int
    wrong: tuple[tuple[str, str], ...]

    @property
    def accuracy(self) -> float:
        """Share of the true vertebrae that were found and named rightly; a missed one is not right."""
        return self.n_right / self.n_truth if self.n_truth else math.nan

    @property
    def all_right(self) -> bool:
        """Whether every true vertebra was found and named rightly."""
        return self.n_right == self.n_truth


def score_levels(
    match: Match, truth_levels: Mapping[int, str], predicted_levels: Mapping[int, str | None]
) -> LevelScore:
    """Score the levels of one study.

    Parameters
    ----------
    match : Match
        Which instances belong together.
    truth_levels : mapping of int to str
        Level of each true instance; instances that are not in it do not count.
    predicted_levels : mapping of int to str or None
        Level of each predicted instance; None or absent where it was left unnamed.

    Returns
    -------
    LevelScore
        The score.
    """
    found = [(truth_levels[t], predicted_levels.get(p)) for t, p, _ in match.pairs if t in truth_levels]
    named = [(t, p) for t, p in found if p is not None]
    wrong = tuple((t, p) for t, p in named if t != p)
    return LevelScore(len(truth_levels), len(found), len(named), len(named) - len(wrong), wrong)


@dataclass(frozen=True)
class LevelSummary(Record):
    """Levels over many studies.

    Parameters
    ----------
    n_studies : int
        Studies with at least one known level.
    accuracy : Estimate
        Mean over studies of the share named rightly.
    all_right : Estimate
        Share of studies in which every level is right.
    right_when_named : Estimate
        Mean over studies of the share of named vertebrae that are right.
    """

    n_studies: int
    accuracy: Estimate
    all_right: Estimate
    right_when_named: Estimate


def summarize_levels(
    studies: Sequence[LevelScore], *, patients: ArrayLike | None = None, resampling: Resampling = STANDARD
) -> LevelSummary:
    """Summarize levels over studies: one wrong shift spoils a whole spine, so the study is the unit.

    Parameters
    ----------
    studies : sequence of LevelScore
        One per study; those without a known level are left out.
    patients : array_like, shape (n_studies,), optional
        Patient of each study.
    resampling : Resampling, optional
        How the intervals of the means are made.

    Returns
    -------
    LevelSummary
        Means with intervals over patients; the share of studies with Wilson's.
    """
    codes = patient_codes(patients, len(studies))
    kept = [(s, c) for s, c in zip(studies, codes, strict=True) if s.n_truth]
    codes = patient_codes([c for _, c in kept], len(kept))
    accuracy = np.array([s.accuracy for s, _ in kept])
    named = np.array([s.n_right / s.n_named if s.n_named else math.nan for s, _ in kept])
    return LevelSummary(
        len(kept),
        mean_estimate(accuracy, codes, resampling),
        proportion(sum(s.all_right for s, _ in kept), len(kept), resampling.confidence),
        mean_estimate(named, codes, resampling),
    )
