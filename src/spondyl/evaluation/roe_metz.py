"""The model of Roe and Metz: readers' scores drawn from normal distributions, and what areas they give on average.

It serves to check tests on studies in which nothing differs, to show how a study is analyzed before there is one, and
to plan one without a pilot.

References
----------
Roe & Metz 1997, doi 10.1016/S1076-6332(97)80032-3. Hillis 2018, doi 10.1002/sim.7616 (expected areas and covariances).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import SettingsError
from spondyl.evaluation.mrmc_data import ReaderStudy
from spondyl.evaluation.mrmc_sizing import PlanningValues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RoeMetz:
    """Variances of the parts of a score; those of cases sum to 1 for one reader and modality.

    Parameters
    ----------
    var_reader, var_interaction : float
        Of the reader, and of the reader in a modality, for each class.
    var_case, var_modality_case, var_reader_case, var_error : float
        Of the case, the case in a modality, the case for a reader, and the rest.

    Raises
    ------
    SettingsError
        If a variance is negative, or those of cases do not sum to 1.
    """

    var_reader: float
    var_interaction: float
    var_case: float
    var_modality_case: float
    var_reader_case: float
    var_error: float

    def __post_init__(self) -> None:
        of_cases = (self.var_case, self.var_modality_case, self.var_reader_case, self.var_error)
        if min(*of_cases, self.var_reader, self.var_interaction) < 0 or not math.isclose(sum(of_cases), 1.0):
            msg = f"variances must be from 0, and those of cases sum to 1; got a sum of {sum(of_cases)}"
            raise SettingsError(msg)

    @property
    def total(self) -> float:
        """Variance of the difference of a positive and a negative score over readers and cases."""
        return 2 * (1 + self.var_reader + self.var_interaction)

    def separation(self, area: float) -> float:
        """Give the distance of the classes' means that makes an area under the ROC curve.

        Parameters
        ----------
        area : float
            Expected area, between 0 and 1.

        Returns
        -------
        float
            Distance in standard deviations of cases.

        Raises
        ------
        SettingsError
            If the area does not lie between 0 and 1.
        """
        if not 0 < area < 1:
            msg = f"an area under the ROC curve must lie between 0 and 1, got {area}"
            raise SettingsError(msg)
        return NormalDist().inv_cdf(area) * math.sqrt(self.total)


def _structure(var_reader: float, cases: tuple[float, float, float, float]) -> RoeMetz:
    return RoeMetz(var_reader, var_reader, *cases)


_NODES = 96

_ALIKE, _APART = (0.3, 0.3, 0.2, 0.2), (0.1, 0.1, 0.2, 0.6)

STRUCTURES = {
    "HH": _structure(0.030, _ALIKE),
    "HL": _structure(0.0055, _ALIKE),
    "LH": _structure(0.030, _APART),
    "LL": _structure(0.0055, _APART),
}
"""Variances by structure (Roe & Metz 1997, table 1, for an area of 0.86): high or low correlation between scores of a
case, then high or low variance between readers."""


def draw_scores(
    model: RoeMetz, separations: Sequence[float], n_readers: int, n_cases: tuple[int, int], rng: np.random.Generator
) -> Floats:
    """Draw the scores of a study.

    Parameters
    ----------
    model : RoeMetz
        Variances.
    separations : sequence of float
        Distance of positive from negative scores in each modality.
    n_readers : int
        Readers.
    n_cases : tuple of int
        Positive and negative cases.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    ndarray of float, shape (n_modalities, n_readers, n_positive + n_negative)
        Scores, positive cases first.
    """
    t, r, n = len(separations), n_readers, sum(n_cases)
    positive = np.arange(n) < n_cases[0]
    of_class = positive.astype(np.intp)
    reader = rng.normal(0, math.sqrt(model.var_reader), (1, r, 2))[..., of_class]
    interaction = rng.normal(0, math.sqrt(model.var_interaction), (t, r, 2))[..., of_class]
    case = rng.normal(0, math.sqrt(model.var_case), (1, 1, n))
    modality_case = rng.normal(0, math.sqrt(model.var_modality_case), (t, 1, n))
    reader_case = rng.normal(0, math.sqrt(model.var_reader_case), (1, r, n))
    error = rng.normal(0, math.sqrt(model.var_error), (t, r, n))
    means = np.asarray(separations, dtype=np.float64)[:, None, None] * positive
    scores: Floats = means + reader + interaction + case + modality_case + reader_case + error
    return scores


def draw_study(
    model: RoeMetz, areas: dict[str, float], n_readers: int, n_cases: tuple[int, int], seed: int
) -> ReaderStudy:
    """Draw a crossed study.

    Parameters
    ----------
    model : RoeMetz
        Variances.
    areas : dict of str to float
        Expected area under the ROC curve in each modality.
    n_readers : int
        Readers.
    n_cases : tuple of int
        Positive and negative cases.
    seed : int
        The same seed gives the same study.

    Returns
    -------
    ReaderStudy
        Readers R1, R2…, cases P1… (positive) and N1… (negative).

    Examples
    --------
    >>> study = draw_study(STRUCTURES["HL"], {"unaided": 0.8, "aided": 0.85}, 4, (20, 30), seed=1_000_001)
    >>> study.scores.shape
    (2, 4, 50)
    """
    separations = [model.separation(a) for a in areas.values()]
    scores = draw_scores(model, separations, n_readers, n_cases, np.random.default_rng(seed))
    cases = [f"P{i + 1}" for i in range(n_cases[0])] + [f"N{i + 1}" for i in range(n_cases[1])]
    readers = tuple(f"R{i + 1}" for i in range(n_readers))
    return ReaderStudy(tuple(areas), readers, tuple(cases), np.arange(sum(n_cases)) < n_cases[0], scores)


def expected_values(model: RoeMetz, areas: tuple[float, float], n_positive: int, n_negative: int) -> PlanningValues:
    """Give the components of variance that areas under ROC curves have under the model.

    Parameters
    ----------
    model : RoeMetz
        Variances.
    areas : tuple of float
        Expected areas in the two modalities.
    n_positive, n_negative : int
        Cases.

    Returns
    -------
    PlanningValues
        Expected components, without any draw.

    References
    ----------
    Hillis 2018, doi 10.1002/sim.7616: the chance that two pairs of cases are both ranked right is bivariate normal.
    """
    at = [model.separation(a) / math.sqrt(model.total) for a in areas]
    # Shared by two readings: of the readers' effects on the difference of classes, and of one case's score.
    own = 2 * (model.var_reader + model.var_interaction), 1.0
    reader = 2 * model.var_reader, model.var_case + model.var_reader_case
    modality = 0.0, model.var_case + model.var_modality_case
    neither = 0.0, model.var_case

    def covariance(i: int, k: int, shared: tuple[float, float]) -> tuple[float, float]:
        """Error covariance of two areas given the readers, and covariance of the areas that readers really have."""
        right = [_both(at[i], at[k], (shared[0] + n * shared[1]) / model.total) for n in (2, 1, 0)]
        pairs = n_positive * n_negative
        error = right[0] + (n_positive + n_negative - 2) * right[1] + (1 - n_positive - n_negative) * right[2]
        return error / pairs, right[2] - areas[i] * areas[k]

    of_own = [covariance(i, i, own) for i in (0, 1)]
    variance, between = (sum(c) / 2 for c in zip(*of_own, strict=True))
    cov1, of_reader = covariance(0, 1, reader)
    cov2 = sum(covariance(i, i, modality)[0] for i in (0, 1)) / 2
    cov3 = covariance(0, 1, neither)[0]
    source = "conjectured by the model of Roe and Metz"
    return PlanningValues(between - of_reader, variance, cov1, cov2, cov3, n_positive, n_negative, source)


PUBLISHED_CORRELATIONS = (0.432, 0.429, 0.298)
"""Cov1, Cov2 and Cov3 relative to the error variance, from the study of Van Dyke: of three studies whose components
were published together it has the largest difference of Cov2 and Cov3, and so asks for most cases (Hillis 2020, doi
10.1117/12.2550541; Franken 0.521, 0.320, 0.339; Kundel 0.508, 0.384, 0.404)."""

PUBLISHED_INTERACTION = 0.0002
"""Variance of the modality's effect between readers in the same study; 0 in the two others."""


def published_values(areas: tuple[float, float], n_positive: int, n_negative: int) -> PlanningValues:
    """Give components of variance as cautious as a published study, with the error variance of the areas expected.

    Parameters
    ----------
    areas : tuple of float
        Expected areas in the two modalities.
    n_positive, n_negative : int
        Cases.

    Returns
    -------
    PlanningValues
        A conjecture for planning without a pilot.
    """
    variance = expected_values(STRUCTURES["LL"], areas, n_positive, n_negative).variance
    cov1, cov2, cov3 = (c * variance for c in PUBLISHED_CORRELATIONS)
    source = "correlations and variance between readers of a published study (Van Dyke, in Hillis 2020)"
    return PlanningValues(PUBLISHED_INTERACTION, variance, cov1, cov2, cov3, n_positive, n_negative, source)


def _both(h: float, k: float, correlation: float) -> float:
    """Chance that two standard normal variables lie below h and k (Plackett 1954, doi 10.1093/biomet/41.3-4.351)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    end = math.asin(min(max(correlation, -1.0), 1.0))
    angle = end * (nodes + 1) / 2
    height = np.exp(-(h**2 + k**2 - 2 * h * k * np.sin(angle)) / (2 * np.cos(angle) ** 2))
    normal = NormalDist()
    return normal.cdf(h) * normal.cdf(k) + float(weights @ height) * end / (4 * math.pi)
