"""The Obuchowski-Rockette model in numbers: mean squares, covariances, and the tests that follow from them.

A reader's figure of merit is the modality's mean, plus random effects of the reader and of the reader in this modality,
plus an error that comes from the cases. Errors covary, because readers read the same cases: Cov1 between modalities of
a reader, Cov2 between readers in a modality, Cov3 between readers in different modalities. Hillis gave the degrees of
freedom that make the tests hold their level.

All functions take arrays with any number of leading axes, so that ten thousand simulated studies are one call.

References
----------
Obuchowski & Rockette 1995, doi 10.1080/03610919508813243. Hillis 2007, doi 10.1002/sim.2532 (degrees of freedom).
Hillis 2014, doi 10.1002/sim.5926 (other designs).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Population(StrEnum):
    """What a result generalizes to."""

    BOTH = "to other readers and other cases"
    CASES = "to other cases, for these readers"
    READERS = "to other readers, for these cases"


@dataclass(frozen=True, eq=False)
class Components:
    """Mean squares and error covariances of a study; numbers, or arrays of them for many studies.

    Parameters
    ----------
    ms_modality, ms_reader, ms_interaction : float or ndarray
        Mean squares of the analysis of variance; the interaction is of modality and reader, within groups of readers
        in a split-plot design.
    variance, cov1, cov2, cov3 : float or ndarray
        Error variance and covariances; covariances between readers are those within a group.
    n_modalities, n_readers, n_groups : int
        Sizes; one group unless the design is split-plot.
    """

    ms_modality: Any
    ms_reader: Any
    ms_interaction: Any
    variance: Any
    cov1: Any
    cov2: Any
    cov3: Any
    n_modalities: int
    n_readers: int
    n_groups: int = 1

    @property
    def var_reader(self) -> Any:
        """Variance between readers (Hillis 2014); may come out negative."""
        return (self.ms_reader - self.ms_interaction) / self.n_modalities - self.cov1 + self.cov3

    @property
    def var_interaction(self) -> Any:
        """Variance of the modality's effect between readers (Hillis 2014); may come out negative."""
        return self.ms_interaction - self.variance + self.cov1 + (self.cov2 - self.cov3)

    @property
    def readers_in_group(self) -> float:
        """Readers who read the same cases."""
        return self.n_readers / self.n_groups

    @property
    def df_interaction(self) -> int:
        """Degrees of freedom of the interaction's mean square."""
        return (self.n_modalities - 1) * (self.n_readers - self.n_groups)

    @property
    def shared(self) -> Any:
        """What reading the same cases adds to the test's denominator, at least 0."""
        return self.readers_in_group * np.maximum(self.cov2 - self.cov3, 0.0)


def mean_squares(values: Floats, groups: Sequence[int] | None = None) -> tuple[Any, Any, Any]:
    """Give the mean squares of a table of modalities by readers.

    Parameters
    ----------
    values : ndarray of float, shape (..., n_modalities, n_readers)
        Figures of merit.
    groups : sequence of int, length n_readers, optional
        Group of each reader, numbered from 0; one group if not given.

    Returns
    -------
    modality, reader, interaction : float or ndarray
        Mean squares, shape (...); NaN where there are no degrees of freedom.
    """
    t, r = values.shape[-2:]
    grand = values.mean(axis=(-2, -1))
    of_modality, of_reader = values.mean(axis=-1), values.mean(axis=-2)
    modality = r * ((of_modality - grand[..., None]) ** 2).sum(axis=-1)
    reader = t * ((of_reader - grand[..., None]) ** 2).sum(axis=-1)
    code = np.zeros(r, dtype=np.intp) if groups is None else np.asarray(groups)
    member = np.equal.outer(np.unique(code), code).astype(np.float64)
    of_cell = values @ (member / member.sum(axis=1, keepdims=True)).T @ member
    of_group = of_cell.mean(axis=-2, keepdims=True)
    rest = (values - of_reader[..., None, :]) - (of_cell - of_group)
    interaction = (rest**2).sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        df = np.array([t - 1, r - 1, (t - 1) * (r - len(member))], dtype=np.float64)
        return modality / df[0], reader / df[1], interaction / df[2]


def error_covariances(covariance: Floats, groups: Sequence[int] | None = None) -> tuple[Any, Any, Any, Any]:
    """Average the covariances of figures of merit into the four of the model.

    Parameters
    ----------
    covariance : ndarray of float, shape (..., n_modalities, n_readers, n_modalities, n_readers)
        Covariances of all figures.
    groups : sequence of int, length n_readers, optional
        Group of each reader; covariances between readers are averaged within groups. One group if not given.

    Returns
    -------
    variance, cov1, cov2, cov3 : float or ndarray
        The averages, shape (...); 0 where there is nothing to average.
    """
    t, r = covariance.shape[-2:]
    code = np.zeros(r, dtype=np.intp) if groups is None else np.asarray(groups)
    other_reader = np.equal.outer(code, code) & ~np.eye(r, dtype=bool)
    other_modality = ~np.eye(t, dtype=bool)
    same = (np.eye(t, dtype=bool), np.eye(r, dtype=bool))
    pairs = (same, (other_modality, same[1]), (same[0], other_reader), (other_modality, other_reader))
    averages = []
    for modality, reader in pairs:
        chosen = modality[:, None, :, None] & reader[None, :, None, :]
        total = np.where(chosen, covariance, 0.0).sum(axis=(-4, -3, -2, -1))
        averages.append(total / max(int(chosen.sum()), 1))
    return averages[0], averages[1], averages[2], averages[3]


def components(values: Floats, covariance: Floats, groups: Sequence[int] | None = None) -> Components:
    """Give the components of a study in which every reader reads in every modality.

    Parameters
    ----------
    values : ndarray of float, shape (..., n_modalities, n_readers)
        Figures of merit.
    covariance : ndarray of float, shape (..., n_modalities, n_readers, n_modalities, n_readers)
        Their covariances.
    groups : sequence of int, length n_readers, optional
        Group of each reader in a split-plot design.

    Returns
    -------
    Components
        The components.
    """
    n_groups = 1 if groups is None else len(set(groups))
    t, r = values.shape[-2:]
    squares = mean_squares(values, groups)
    return Components(*squares, *error_covariances(covariance, groups), t, r, n_groups)


def denominator(made: Components, population: Population = Population.BOTH) -> tuple[Any, Any]:
    """Give what tests of modalities divide by: the mean square expected if modalities do not differ.

    Parameters
    ----------
    made : Components
        Components of the study.
    population : Population, optional
        What the test generalizes to.

    Returns
    -------
    value : float or ndarray
        The denominator.
    df : float or ndarray
        Its degrees of freedom; infinite for fixed readers.

    References
    ----------
    Hillis 2007, doi 10.1002/sim.2532, equations for the three models; Hillis 2014, doi 10.1002/sim.5926, split-plot.
    """
    if population is Population.CASES:
        return made.variance - made.cov1 + (made.readers_in_group - 1) * (made.cov2 - made.cov3), np.inf
    own = np.asarray(made.ms_interaction)
    value = own + (made.shared if population is Population.BOTH else 0.0)
    return value, satterthwaite(value, own, made.df_interaction)


def satterthwaite(total: Any, part: Any, df: float) -> Any:
    """Give the degrees of freedom of a sum of which one part is a mean square and the rest is taken as known.

    Parameters
    ----------
    total, part : float or ndarray
        The sum and the mean square in it.
    df : float
        Degrees of freedom of the mean square.

    Returns
    -------
    float or ndarray
        Infinite where the mean square is 0 and the sum is not.

    References
    ----------
    Satterthwaite 1946, doi 10.2307/3002019, as used by Hillis 2007, doi 10.1002/sim.2532.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total) ** 2 / (np.asarray(part) ** 2 / df)


def global_test(made: Components, population: Population = Population.BOTH) -> tuple[Any, Any, Any]:
    """Test whether all modalities have the same figure of merit.

    Parameters
    ----------
    made : Components
        Components of the study.
    population : Population, optional
        What the test generalizes to.

    Returns
    -------
    f : float or ndarray
        The F statistic; for fixed readers the chi-square statistic over its degrees of freedom.
    df : float or ndarray
        Denominator degrees of freedom.
    p : float or ndarray
        The p value.
    """
    below, df = denominator(made, population)
    with np.errstate(invalid="ignore", divide="ignore"):
        f = made.ms_modality / below
    return f, df, f_tail(f, made.n_modalities - 1, df)


def f_tail(f: Any, df1: float, df2: Any) -> Any:
    """Give the upper tail of the F distribution, also for infinite denominator degrees of freedom.

    Parameters
    ----------
    f : float or ndarray
        The statistic.
    df1 : float
        Numerator degrees of freedom.
    df2 : float or ndarray
        Denominator degrees of freedom.

    Returns
    -------
    float or ndarray
        The p value.
    """
    from scipy.special import chdtrc, fdtrc

    infinite = np.isinf(df2)
    return np.where(infinite, chdtrc(df1, df1 * f), fdtrc(df1, np.where(infinite, 1.0, df2), f))[()]


def modality_variance(values: Floats, variance: Any, cov2: Any, population: Population) -> tuple[Any, Any]:
    """Give variance and degrees of freedom of one modality's mean over readers, from that modality alone.

    Parameters
    ----------
    values : ndarray of float, shape (..., n_readers)
        Figures of merit of the modality.
    variance, cov2 : float or ndarray
        Average error variance of these, and average covariance over all pairs of readers.
    population : Population
        What it generalizes to.

    Returns
    -------
    variance : float or ndarray
        Variance of the mean.
    df : float or ndarray
        Degrees of freedom; infinite for fixed readers or a single one.

    References
    ----------
    Hillis 2007, doi 10.1002/sim.2532, section on single modalities.
    """
    r = values.shape[-1]
    if population is Population.CASES or r < 2:
        return (variance + (r - 1) * np.maximum(cov2, 0.0)) / r, np.inf
    own = values.var(axis=-1, ddof=1)
    total = own + (r * np.maximum(cov2, 0.0) if population is Population.BOTH else 0.0)
    return total / r, satterthwaite(total, own, r - 1)
