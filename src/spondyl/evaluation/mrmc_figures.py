"""From readers' figures of merit and their covariances to intervals and tests, whatever they are figures of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core.errors import InputError, SettingsError
from spondyl.evaluation.comparison import holm
from spondyl.evaluation.inputs import confidence_level
from spondyl.evaluation.mrmc_components import Population
from spondyl.evaluation.mrmc_covariance import METHODS
from spondyl.evaluation.mrmc_data import Design
from spondyl.evaluation.mrmc_models import Model, obuchowski_rockette, readers_in_modalities, single_reader
from spondyl.evaluation.mrmc_result import MeanMerit, MeritDifference, MrmcResult, ReaderMerit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

METRICS = ("auc", "sensitivity", "specificity")
"""Figures of merit known by name; others come as `Merits`."""

ANALYSES = ("or", "dbm", "ustat")
"""Obuchowski-Rockette, Dorfman-Berbaum-Metz, and U-statistics."""

FEW_READERS = 5
"""With fewer random readers the result hangs on each of them and is flagged. Chosen by us."""


@dataclass(frozen=True)
class MrmcSettings:
    """How a reader study is analyzed.

    Parameters
    ----------
    metric : str
        ``"auc"``, ``"sensitivity"`` or ``"specificity"``.
    threshold : float
        A score at or above it calls a case positive, for sensitivity and specificity.
    analysis : str
        ``"or"``, ``"dbm"`` or ``"ustat"``.
    covariance : str
        ``"delong"``, ``"jackknife"`` or ``"unbiased"``, for ``"or"``.
    population : Population
        What the result generalizes to.
    confidence : float
        Coverage wanted of intervals.
    reference : str
        Modality that the others are compared with first; empty keeps the study's order.
    margin : float
        Non-inferiority margin: a difference above its negative is not inferior. 0 asks for superiority.

    Raises
    ------
    SettingsError
        If a value is not known or out of range.
    """

    metric: str = "auc"
    threshold: float = 0.5
    analysis: str = "or"
    covariance: str = "delong"
    population: Population = Population.BOTH
    confidence: float = 0.95
    reference: str = ""
    margin: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("metric", METRICS), ("analysis", ANALYSES), ("covariance", METHODS)):
            if getattr(self, name) not in known:
                msg = f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                raise SettingsError(msg)
        confidence_level(self.confidence)
        if not 0 <= self.margin < 1 or not math.isfinite(self.threshold):
            msg = f"margin must lie from 0 to 1 and threshold be finite; got {self.margin} and {self.threshold}"
            raise SettingsError(msg)
        if self.analysis == "ustat" and self.population is not Population.BOTH:
            msg = "U-statistics take readers and cases as random; use analysis 'or' for fixed readers or cases"
            raise SettingsError(msg)


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of merit of readers in modalities with their covariances: all that the tests need.

    Parameters
    ----------
    name : str
        The figure of merit.
    modalities, readers : tuple of str
        Names.
    values : ndarray of float, shape (n_modalities, n_readers)
        Figures of merit; NaN where a reader did not read in a modality.
    covariance : ndarray of float, shape (n_modalities, n_readers, n_modalities, n_readers)
        Covariances that come from the cases.
    source : str
        Where the covariances come from.
    n_positive, n_negative : ndarray of int, shape (n_modalities, n_readers), or int
        Cases read.
    design : Design
        The design of the study.
    groups : tuple of int, optional
        Group of each reader, in a split-plot design.
    flags : tuple of str
        What limits the figures.
    """

    name: str
    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    values: Floats
    covariance: Floats
    source: str
    n_positive: NDArray[np.intp] | int
    n_negative: NDArray[np.intp] | int
    design: Design = Design.CROSSED
    groups: tuple[int, ...] | None = None
    flags: tuple[str, ...] = ()


def analyze_figures(
    figures: Figures, settings: MrmcSettings | None = None, *, model: Model | None = None
) -> MrmcResult:
    """Analyze figures of merit whose covariances are known, whatever they are figures of.

    Parameters
    ----------
    figures : Figures
        The figures, such as weighted AFROC areas from `spondyl.evaluation.free_response`.
    settings : MrmcSettings, optional
        How; metric and covariance are those of the figures.
    model : Model, optional
        Variances from another analysis than that of Obuchowski and Rockette.

    Returns
    -------
    MrmcResult
        Means, differences and tests.

    Raises
    ------
    InputError
        If a variance is not known, because a reader read fewer than two cases of a class.
    SettingsError
        If the reference is no modality.
    """
    chosen = settings or MrmcSettings()
    if chosen.reference and chosen.reference not in figures.modalities:
        msg = f"reference must be a modality ({', '.join(figures.modalities)}), got {chosen.reference!r}"
        raise SettingsError(msg)
    variance = np.einsum("ijij->ij", figures.covariance)
    if not np.isfinite(variance[~np.isnan(figures.values)]).all():
        msg = f"the variance of {figures.name} needs two cases of each class for every reader; add cases"
        raise InputError(msg)
    flags = list(figures.flags)
    if len(figures.readers) == 1:
        flags.append("one reader: the result holds for other cases read by this reader, not for other readers")
        chosen = replace(chosen, analysis="or", population=Population.CASES)
    elif len(figures.readers) < FEW_READERS and chosen.population is not Population.CASES:
        flags.append(f"only {len(figures.readers)} readers stand for all others: the result hangs on each of them")
    made = model or _model(figures, chosen)
    pairs = _pairs(made, figures.modalities, chosen)
    if any(d.statistic == 0 and d.standard_error == 0 for d in pairs):
        flags.append("modalities do not differ in any reading: there is nothing to test")
    return MrmcResult(
        figures.name,
        made.name,
        figures.source,
        str(chosen.population),
        str(figures.design),
        len(figures.readers),
        int(np.max(figures.n_positive)),
        int(np.max(figures.n_negative)),
        _means(made, figures, chosen),
        made.overall,
        pairs,
        _readers(figures, variance, chosen),
        _reader_differences(figures, chosen),
        made.components,
        tuple(flags),
    )


def _model(figures: Figures, settings: MrmcSettings) -> Model:
    if len(figures.readers) == 1:
        return single_reader(figures.values, figures.covariance)
    if figures.design is Design.READERS_IN_MODALITIES:
        return readers_in_modalities(figures.values, figures.covariance, settings.population)
    return obuchowski_rockette(figures.values, figures.covariance, settings.population, figures.groups)


def _means(model: Model, figures: Figures, settings: MrmcSettings) -> tuple[MeanMerit, ...]:
    counts = (~np.isnan(figures.values)).sum(axis=1)
    return tuple(
        MeanMerit(
            *interval(
                float(model.means[i]), float(model.mean_variance[i]), float(model.mean_df[i]), settings.confidence
            ),
            settings.confidence,
            f"{model.name}, this modality alone",
            modality=name,
            df=float(model.mean_df[i]),
            n_readers=int(counts[i]),
        )
        for i, name in enumerate(figures.modalities)
    )


def interval(value: float, variance: float, df: float, confidence: float) -> tuple[float, float, float, float]:
    """Give a figure of merit with its t interval, kept within 0 and 1.

    Parameters
    ----------
    value, variance, df : float
        The figure, its variance, and degrees of freedom of that.
    confidence : float
        Coverage wanted.

    Returns
    -------
    value, low, high, standard_error : float
        Ends are NaN where the variance is not known.
    """
    from scipy.special import stdtrit

    error = math.sqrt(variance) if variance >= 0 else math.nan
    half = float(stdtrit(df, (1 + confidence) / 2)) * error if error > 0 else error
    return value, max(value - half, 0.0), min(value + half, 1.0), error


def _pairs(model: Model, modalities: tuple[str, ...], settings: MrmcSettings) -> tuple[MeritDifference, ...]:
    found = [
        _difference((modalities[i], modalities[k]), float(model.means[i] - model.means[k]), variance, df, settings)
        for i, k in _order(modalities, settings.reference)
        for variance, df in [(float(model.pair_variance[i, k]), float(model.pair_df[i, k]))]
    ]
    adjusted = holm([d.p_value for d in found])
    return tuple(replace(d, p_adjusted=float(p), method=model.name) for d, p in zip(found, adjusted, strict=True))


def _order(modalities: tuple[str, ...], reference: str) -> list[tuple[int, int]]:
    """Pairs of modalities: each first minus each later one, but everything minus the reference, if there is one."""
    pairs = [(i, k) for i in range(len(modalities)) for k in range(i + 1, len(modalities))]
    if not reference:
        return pairs
    at = modalities.index(reference)
    to_reference = [(i, at) for i in range(len(modalities)) if i != at]
    return to_reference + [p for p in pairs if at not in p]


def _difference(
    names: tuple[str, str], value: float, variance: float, df: float, settings: MrmcSettings
) -> MeritDifference:
    from scipy.special import stdtr, stdtrit

    common = {"confidence": settings.confidence, "df": df, "margin": settings.margin}
    error = math.sqrt(variance) if variance >= 0 else math.nan
    if not error > 0:
        nothing = error == 0 and value == 0
        p, t = (1.0, 0.0) if nothing else (math.nan, math.nan)
        ends = (value, value) if nothing else (math.nan, math.nan)
        why = () if nothing else ("no positive variance: the difference cannot be tested",)
        return MeritDifference(*names, value, *ends, error, t, p, flags=why, **common)  # type: ignore[arg-type]
    half = float(stdtrit(df, (1 + settings.confidence) / 2)) * error
    t = value / error
    return MeritDifference(
        *names,
        value,
        value - half,
        value + half,
        error,
        t,
        float(2 * stdtr(df, -abs(t))),
        p_non_inferior=float(stdtr(df, -(value + settings.margin) / error)),
        **common,  # type: ignore[arg-type]
    )


def _readers(figures: Figures, variance: Floats, settings: MrmcSettings) -> tuple[ReaderMerit, ...]:
    shape = figures.values.shape
    n_positive, n_negative = (np.broadcast_to(n, shape) for n in (figures.n_positive, figures.n_negative))
    return tuple(
        ReaderMerit(
            *interval(float(figures.values[i, j]), float(variance[i, j]), math.inf, settings.confidence),
            settings.confidence,
            figures.source,
            reader=reader,
            modality=modality,
            n_positive=int(n_positive[i, j]),
            n_negative=int(n_negative[i, j]),
        )
        for j, reader in enumerate(figures.readers)
        for i, modality in enumerate(figures.modalities)
        if not np.isnan(figures.values[i, j])
    )


def _reader_differences(figures: Figures, settings: MrmcSettings) -> tuple[MeritDifference, ...]:
    """Compare modalities within each reader who read in both, for other cases."""
    found = []
    for j, reader in enumerate(figures.readers):
        block = figures.covariance[:, j, :, j]
        for i, k in _order(figures.modalities, settings.reference):
            value = float(figures.values[i, j] - figures.values[k, j])
            if np.isnan(value):
                continue
            variance = float(block[i, i] + block[k, k] - 2 * block[i, k])
            names = figures.modalities[i], figures.modalities[k]
            made = _difference(names, value, max(variance, 0.0), math.inf, settings)
            found.append(replace(made, reader=reader, method=f"{figures.source}, one reader"))
    return tuple(found)
