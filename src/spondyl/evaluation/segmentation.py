"""How well a label map agrees with the truth: overlap, volume and surfaces of every label, in one pass.

Policy for empty masks, so that a mean cannot be bettered by missing what is hard: a label that is in neither map is
*absent*, has no score and enters no mean; a label that is *missed* or *extra* scores 0 in every overlap and, in every
distance, the diagonal of the field of view, which no real distance exceeds (or infinity, on request). Their numbers are
always given beside the means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import GeometryError, InputError, SettingsError
from spondyl.evaluation.bootstrap import STANDARD, Resampling, mean_estimate
from spondyl.evaluation.inputs import patient_codes
from spondyl.evaluation.overlap import Overlap
from spondyl.evaluation.records import Estimate, Record, Table, flag_notes
from spondyl.evaluation.surface import Surface, checked_spacing, surface_distances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from spondyl.core import LabelMap

TOLERANCE_MM = 1.0
"""Tolerance of the surface Dice, about one in-plane voxel of a spine MRI. Chosen by us; two readers' own distance,
where it has been measured, is better (Nikolov 2018)."""


class EmptyMask(StrEnum):
    """What distance a label scores that only one of the maps holds."""

    DIAGONAL = "diagonal"
    INFINITE = "infinite"


class Outcome(StrEnum):
    """In which of the maps a label is."""

    COMPARED = "compared"
    MISSED = "missed"
    EXTRA = "extra"
    ABSENT = "absent"


@dataclass(frozen=True)
class LabelScore(Record):
    """Agreement of one label.

    Parameters
    ----------
    label : int
        Its number.
    name : str
        What it means.
    outcome : Outcome
        In which of the maps it is.
    truth_mm3, prediction_mm3 : float
        Volume in each, in mm³ (area in mm² in a plane).
    dice, iou : float
        Overlap, 0 to 1.
    volume_error_mm3 : float
        Predicted minus true volume.
    relative_volume_error : float
        The same over the true volume; NaN where there is none.
    surface_dice : float
        Share of both surfaces within the tolerance.
    hd95_mm, assd_mm : float
        95th percentile and mean of the surface distance, in mm.
    """

    label: int
    name: str
    outcome: Outcome
    truth_mm3: float
    prediction_mm3: float
    dice: float
    iou: float
    volume_error_mm3: float
    relative_volume_error: float
    surface_dice: float
    hd95_mm: float
    assd_mm: float


MEASURES = ("dice", "iou", "volume_error_mm3", "relative_volume_error", "surface_dice", "hd95_mm", "assd_mm")
"""Fields of `LabelScore` that are scores."""


@dataclass(frozen=True)
class SegmentationScores(Record):
    """Agreement of all labels of one map.

    Parameters
    ----------
    labels : tuple of LabelScore
        One per label asked for.
    tolerance_mm : float
        Tolerance of the surface Dice.
    empty : EmptyMask
        What distance a missed or extra label scores.
    surface : Surface
        Where surfaces were taken to be.
    """

    labels: tuple[LabelScore, ...]
    tolerance_mm: float
    empty: EmptyMask
    surface: Surface

    def count(self, outcome: Outcome) -> int:
        """Count labels by outcome.

        Parameters
        ----------
        outcome : Outcome
            The outcome.

        Returns
        -------
        int
            Number of labels.
        """
        return sum(s.outcome is outcome for s in self.labels)

    def mean(self, measure: str) -> float:
        """Give the mean of a measure over labels.

        Parameters
        ----------
        measure : str
            One of `MEASURES`. Volume errors enter by their size, without sign.

        Returns
        -------
        float
            Mean over all labels that are in either map, for the relative volume error over those in the truth; NaN
            where there are none.

        Raises
        ------
        SettingsError
            If there is no such measure.
        """
        if measure not in MEASURES:
            msg = f"measure must be one of {', '.join(MEASURES)}; got {measure!r}"
            raise SettingsError(msg)
        values = [abs(getattr(s, measure)) for s in self.labels]
        defined = [v for v in values if not math.isnan(v)]
        return float(np.mean(defined)) if defined else math.nan

    def table(self) -> Table:
        """Show the scores.

        Returns
        -------
        Table
            One row per label and one for their mean.
        """
        rows = [(s.name, s.outcome, *(getattr(s, m) for m in MEASURES)) for s in self.labels]
        mean = ("mean", "", *(self.mean(m) for m in MEASURES))
        counts = ", ".join(f"{self.count(o)} {o}" for o in Outcome)
        note = (
            f"{counts}; surface Dice at {self.tolerance_mm:g} mm; missed and extra labels score {self.empty} distance"
        )
        return Table.of("Segmentation", ("label", "outcome", *MEASURES), [*rows, mean], (note,))


def score_label_maps(truth: LabelMap, prediction: LabelMap, **options: object) -> SegmentationScores:
    """Score a label map against the truth in the same space.

    Parameters
    ----------
    truth, prediction : LabelMap
        The maps.
    **options : object
        Passed on to `score_labels`.

    Returns
    -------
    SegmentationScores
        One score per label named or present.

    Raises
    ------
    GeometryError
        If the maps lie on different grids; nothing is resampled here.
    """
    if not truth.grid.same_space(prediction.grid):
        shift = truth.grid.displacement_mm(prediction.grid)
        reason = f"their corners lie up to {shift:.2f} mm apart" if math.isfinite(shift) else "their shapes differ"
        msg = f"truth and prediction must lie on one grid, but {reason}: resample the prediction (nearest neighbor)"
        raise GeometryError(msg)
    names = {**prediction.names, **truth.names}
    return score_labels(truth.array, prediction.array, truth.grid.spacing_mm, names=names, **options)  # type: ignore[arg-type]


def score_labels(
    truth: NDArray,
    prediction: NDArray,
    spacing_mm: Sequence[float],
    *,
    labels: Iterable[int] | None = None,
    names: Mapping[int, str] | None = None,
    tolerance_mm: float = TOLERANCE_MM,
    policy: tuple[EmptyMask, Surface] = (EmptyMask.DIAGONAL, Surface.ELEMENTS),
) -> SegmentationScores:
    """Score every label of a map against the truth.

    Parameters
    ----------
    truth, prediction : ndarray of int, shape (I, J) or (I, J, K)
        Label maps on one grid; 0 is nothing. Masks of bool are label 1.
    spacing_mm : sequence of float
        Distance of voxel centers along each axis, in mm.
    labels : iterable of int, optional
        Which labels; all that are in either map where left out.
    names : mapping of int to str, optional
        What they mean.
    tolerance_mm : float, optional
        Tolerance of the surface Dice.
    policy : tuple of EmptyMask and Surface, optional
        What distance a missed or extra label scores, and where surfaces are.

    Returns
    -------
    SegmentationScores
        One score per label.

    Raises
    ------
    GeometryError
        If the shapes differ or the spacing does not fit.
    InputError
        If a map does not hold whole numbers from 0.
    SettingsError
        If the tolerance is negative.

    References
    ----------
    Dice 1945, doi 10.2307/1932409; Nikolov 2018, arXiv 1809.04430; Maier-Hein 2024, doi 10.1038/s41592-023-02151-z.
    """
    spacing = checked_spacing(spacing_mm, truth.ndim)
    if not tolerance_mm >= 0:
        msg = f"tolerance_mm must not be negative, got {tolerance_mm}"
        raise SettingsError(msg)
    overlap = Overlap.of(truth, prediction)
    wanted = sorted(set(overlap.present() if labels is None else labels) - {0})
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing)))
    far = diagonal if policy[0] is EmptyMask.DIAGONAL else math.inf
    boxes = _boxes(overlap.truth_map), _boxes(overlap.prediction_map)

    def score(label: int) -> LabelScore:
        sizes = overlap.sizes(label)
        outcome = _outcome(sizes[0], sizes[1])
        surface = (math.nan, math.nan, math.nan) if outcome is Outcome.ABSENT else (0.0, far, far)
        if outcome is Outcome.COMPARED:
            box = _union(boxes[0][label - 1], boxes[1][label - 1])
            masks = overlap.truth_map[box] == label, overlap.prediction_map[box] == label
            distances = surface_distances(*masks, spacing, policy[1])
            surface = distances.surface_dice(tolerance_mm), distances.hausdorff_mm(), distances.assd_mm
        name = (names or {}).get(label, str(label))
        return LabelScore(label, name, outcome, *_volumes(sizes, math.prod(spacing)), *surface)

    return SegmentationScores(tuple(score(label) for label in wanted), tolerance_mm, *policy)


def _boxes(array: NDArray[np.uint16]) -> list[tuple[slice, ...] | None]:
    from scipy import ndimage

    return ndimage.find_objects(array)


def _union(a: tuple[slice, ...] | None, b: tuple[slice, ...] | None) -> tuple[slice, ...]:
    boxes = [box for box in (a, b) if box is not None]
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def _outcome(n_truth: int, n_prediction: int) -> Outcome:
    if n_truth and n_prediction:
        return Outcome.COMPARED
    if n_truth:
        return Outcome.MISSED
    return Outcome.EXTRA if n_prediction else Outcome.ABSENT


def _volumes(sizes: tuple[int, int, int], voxel_mm3: float) -> tuple[float, float, float, float, float, float]:
    """Both volumes, Dice, IoU, and the volume error in mm³ and relative to the truth."""
    truth, prediction, shared = sizes
    if not truth + prediction:
        return 0.0, 0.0, math.nan, math.nan, math.nan, math.nan
    dice, iou = 2 * shared / (truth + prediction), shared / (truth + prediction - shared)
    relative = (prediction - truth) / truth if truth else math.nan
    return truth * voxel_mm3, prediction * voxel_mm3, dice, iou, (prediction - truth) * voxel_mm3, relative


@dataclass(frozen=True)
class SegmentationSummary(Record):
    """Agreement over many studies.

    Parameters
    ----------
    n_studies, n_patients : int
        Studies with at least one label in either map, and the patients behind them.
    outcomes : mapping of str to int
        Labels by outcome.
    means : mapping of str to Estimate
        Mean over studies of the mean over labels, by measure.
    flags : tuple of str
        What limits the result.
    """

    n_studies: int
    n_patients: int
    outcomes: Mapping[str, int]
    means: Mapping[str, Estimate]
    flags: tuple[str, ...] = ()

    def table(self) -> Table:
        """Show the means.

        Returns
        -------
        Table
            One row per measure.
        """
        rows = [(name, str(e)) for name, e in self.means.items()]
        counts = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items())
        note = f"{self.n_studies} studies of {self.n_patients} patients; labels: {counts}"
        return Table.of("Segmentation", ("measure", "mean (95 % interval)"), rows, (note, *flag_notes(self.flags)))


def summarize(
    studies: Sequence[SegmentationScores], *, patients: ArrayLike | None = None, resampling: Resampling = STANDARD
) -> SegmentationSummary:
    """Summarize the scores of many studies.

    Parameters
    ----------
    studies : sequence of SegmentationScores
        One per study.
    patients : array_like, shape (n_studies,), optional
        Patient of each study.
    resampling : Resampling, optional
        How the intervals are made, over patients.

    Returns
    -------
    SegmentationSummary
        Means with intervals. Studies in which every label is absent enter no mean and are counted in a flag.

    Raises
    ------
    InputError
        If there is no study with a label.
    """
    codes = patient_codes(patients, len(studies))
    values = np.array([[s.mean(m) for m in MEASURES] for s in studies]).reshape(len(studies), len(MEASURES))
    used = np.array([any(label.outcome is not Outcome.ABSENT for label in s.labels) for s in studies], dtype=bool)
    if not used.any():
        msg = f"at least one study with a label in truth or prediction is needed, got {len(studies)} studies without"
        raise InputError(msg)
    codes, values = patient_codes(codes[used], int(used.sum())), values[used]
    means = {m: mean_estimate(v, codes, resampling) for m, v in zip(MEASURES, values.T, strict=True)}
    empty = int((~used).sum())
    flags = (f"{empty} studies hold no label in truth or prediction and enter no mean",) if empty else ()
    outcomes = {str(o): sum(s.count(o) for s in studies) for o in Outcome}
    return SegmentationSummary(len(values), int(codes.max()) + 1, outcomes, means, flags)
