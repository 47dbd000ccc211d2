"""From figures of merit to variances of means and differences: one function for each way to analyze a study.

All give the same `Model`, which `spondyl.evaluation.mrmc` turns into intervals and tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.evaluation.mrmc_components import (
    Components,
    Population,
    components,
    denominator,
    error_covariances,
    f_tail,
    global_test,
    modality_variance,
    satterthwaite,
)
from spondyl.evaluation.mrmc_covariance import product_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spondyl.evaluation.mrmc_merit import TwoSample

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GlobalTest:
    """Test of whether all modalities have the same mean figure of merit.

    Parameters
    ----------
    f : float
        The F statistic; with infinite `df2`, the chi-square statistic is ``f * df1``.
    df1, df2 : float
        Degrees of freedom.
    p_value : float
        The p value.
    """

    f: float
    df1: float
    df2: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Model:
    """Means over readers, their variances and those of their differences.

    Parameters
    ----------
    name : str
        The method, for the report.
    means, mean_variance, mean_df : ndarray of float, shape (n_modalities,)
        Means over readers with variance and degrees of freedom.
    pair_variance, pair_df : ndarray of float, shape (n_modalities, n_modalities)
        Variance and degrees of freedom of the differences of means.
    overall : GlobalTest, optional
        Test of all modalities together.
    components : Components, optional
        Of the Obuchowski-Rockette model.
    """

    name: str
    means: Floats
    mean_variance: Floats
    mean_df: Floats
    pair_variance: Floats
    pair_df: Floats
    overall: GlobalTest | None = None
    components: Components | None = None


def _means_of_each(values: Floats, covariance: Floats, population: Population) -> tuple[Floats, Floats]:
    """Variance and degrees of freedom of each modality's mean, from that modality alone."""
    pairs = []
    for i in range(len(values)):
        variance, _, cov2, _ = error_covariances(covariance[i : i + 1, :, i : i + 1])
        pairs.append(modality_variance(values[i], variance, cov2, population))
    return np.array([float(v) for v, _ in pairs]), np.array([float(d) for _, d in pairs])


def obuchowski_rockette(
    values: Floats, covariance: Floats, population: Population = Population.BOTH, groups: Sequence[int] | None = None
) -> Model:
    """Analyze readers who all read in all modalities.

    Parameters
    ----------
    values : ndarray of float, shape (n_modalities, n_readers)
        Figures of merit; at least two readers.
    covariance : ndarray of float, shape (n_modalities, n_readers, n_modalities, n_readers)
        Their covariances.
    population : Population, optional
        What the result generalizes to.
    groups : sequence of int, length n_readers, optional
        Group of each reader in a split-plot design.

    Returns
    -------
    Model
        With a global test if there are several modalities.

    References
    ----------
    Obuchowski & Rockette 1995, doi 10.1080/03610919508813243. Hillis 2007, doi 10.1002/sim.2532. Hillis 2014, doi
    10.1002/sim.5926.
    """
    t, r = values.shape
    made = components(values, covariance, groups)
    below, df = denominator(made, population) if t > 1 else (np.nan, np.nan)
    f, _, p = global_test(made, population) if t > 1 else (np.nan, np.nan, np.nan)
    return Model(
        "Obuchowski-Rockette with Hillis degrees of freedom",
        values.mean(axis=1),
        *_means_of_each(values, covariance, population),
        np.full((t, t), 2 * float(below) / r),
        np.full((t, t), float(df)),
        GlobalTest(float(f), t - 1, float(df), float(p)) if t > 1 else None,
        made,
    )


def single_reader(values: Floats, covariance: Floats) -> Model:
    """Analyze one reader, for other cases only.

    Parameters
    ----------
    values : ndarray of float, shape (n_modalities, 1)
        Figures of merit.
    covariance : ndarray of float, shape (n_modalities, 1, n_modalities, 1)
        Their covariances.

    Returns
    -------
    Model
        Normal tests; the global one is of all contrasts together.

    References
    ----------
    DeLong 1988, doi 10.2307/2531595.
    """
    from scipy.special import chdtrc

    t = len(values)
    means, matrix = values[:, 0], covariance[:, 0, :, 0]
    variance = np.diag(matrix)
    overall = None
    if t > 1:
        contrast = np.eye(t - 1, t) - np.eye(t - 1, t, 1)
        apart = contrast @ means
        chi2 = float(apart @ np.linalg.pinv(contrast @ matrix @ contrast.T) @ apart)
        overall = GlobalTest(chi2 / (t - 1), t - 1, np.inf, float(chdtrc(t - 1, chi2)))
    between = variance[:, None] + variance[None, :] - 2 * matrix
    infinite = np.full(t, np.inf)
    return Model(
        "one reader: covariance of cases", means, variance, infinite, between, np.full((t, t), np.inf), overall
    )


def readers_in_modalities(values: Floats, covariance: Floats, population: Population = Population.BOTH) -> Model:
    """Analyze modalities that have readers of their own.

    Parameters
    ----------
    values : ndarray of float, shape (n_modalities, n_readers)
        Figures of merit; NaN where a reader did not read in a modality.
    covariance : ndarray of float, shape (n_modalities, n_readers, n_modalities, n_readers)
        Their covariances.
    population : Population, optional
        What the result generalizes to.

    Returns
    -------
    Model
        With a global test where modalities have equally many readers.

    References
    ----------
    Hillis 2014, doi 10.1002/sim.5926, reader nested within test; degrees of freedom for unequal numbers of readers by
    Satterthwaite 1946, doi 10.2307/3002019.
    """
    t = len(values)
    own = [np.flatnonzero(~np.isnan(row)) for row in values]
    counts = np.array([len(j) for j in own])
    means = np.array([values[i, j].mean() for i, j in enumerate(own)])
    spread = np.array([values[i, j].var(ddof=1) if len(j) > 1 else 0.0 for i, j in enumerate(own)])
    blocks = [[covariance[i][own[i]][:, k][:, own[k]] for k in range(t)] for i in range(t)]
    single = [
        _means_of_each(values[i : i + 1, j], blocks[i][i][None, :, None, :], population) for i, j in enumerate(own)
    ]
    mean_variance = np.array([v[0] for v, _ in single])
    mean_df = np.array([d[0] for _, d in single])
    name = "Obuchowski-Rockette, readers nested in modalities"
    cross = np.array([[b.mean() for b in row] for row in blocks])
    if population is Population.CASES:
        within = np.diag(cross)
        between = within[:, None] + within[None, :] - 2 * cross
        return Model(name, means, mean_variance, mean_df, between, np.full((t, t), np.inf))
    shared = cross.copy()
    for i, n in enumerate(counts):
        shared[i, i] = (blocks[i][i].sum() - np.trace(blocks[i][i])) / max(n * (n - 1), 1)
    if population is Population.READERS:
        shared[:] = 0.0
    if len(set(counts.tolist())) == 1 and counts[0] > 1:
        return _balanced_nested(name, means, (mean_variance, mean_df), spread, shared, int(counts[0]))
    part = spread / counts
    total = part[:, None] + part[None, :] + np.maximum(np.add.outer(*2 * (np.diag(shared),)) - 2 * shared, 0.0)
    squares = part**2 / np.maximum(counts - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / (squares[:, None] + squares[None, :])
    return Model(name, means, mean_variance, mean_df, total, df)


def _balanced_nested(
    name: str, means: Floats, of_means: tuple[Floats, Floats], spread: Floats, shared: Floats, r: int
) -> Model:
    t = len(means)
    own = float(spread.mean())
    cov2 = float(np.diag(shared).mean())
    cov3 = float(shared[~np.eye(t, dtype=bool)].mean())
    below = own + r * max(cov2 - cov3, 0.0)
    df = float(satterthwaite(below, own, t * (r - 1)))
    f = float(r * means.var(ddof=1) / below)
    overall = GlobalTest(f, t - 1, df, float(f_tail(f, t - 1, df)))
    return Model(name, means, *of_means, np.full((t, t), 2 * below / r), np.full((t, t), df), overall)


def dorfman_berbaum_metz(values: Floats, left_out: Floats, population: Population = Population.BOTH) -> Model:
    """Analyze jackknife pseudovalues by a three-way analysis of variance, all readers having read everything.

    Parameters
    ----------
    values : ndarray of float, shape (n_modalities, n_readers)
        Figures of merit; at least two readers.
    left_out : ndarray of float, shape (n_modalities, n_readers, n_cases)
        The figures without each case.
    population : Population, optional
        What the result generalizes to.

    Returns
    -------
    Model
        For random readers and cases the same as Obuchowski-Rockette with the jackknife covariance.

    References
    ----------
    Dorfman, Berbaum & Metz 1992, doi 10.1097/00004424-199209000-00015. Hillis, Berbaum & Metz 2008, doi
    10.1016/j.acra.2007.12.015.
    """
    t, r, n = left_out.shape
    pseudo = n * values[..., None] - (n - 1) * left_out
    ms_t, ms_tr, ms_tc, ms_trc = _modality_squares(pseudo)
    shared = max(ms_tc - ms_trc, 0.0)
    if population is Population.CASES:
        below, df = ms_tc, float((t - 1) * (n - 1))
    else:
        below = ms_tr + (shared if population is Population.BOTH else 0.0)
        df = float(satterthwaite(below, ms_tr, (t - 1) * (r - 1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        f = float(np.float64(ms_t) / below)
    each = [_one_modality(y, population) for y in pseudo]
    return Model(
        "Dorfman-Berbaum-Metz with Hillis degrees of freedom",
        values.mean(axis=1),
        np.array([v for v, _ in each]),
        np.array([d for _, d in each]),
        np.full((t, t), 2 * below / (r * n)),
        np.full((t, t), df),
        GlobalTest(f, t - 1, df, float(f_tail(f, t - 1, df))) if t > 1 else None,
    )


def _modality_squares(y: Floats) -> tuple[float, float, float, float]:
    """Mean squares of the modality and its interactions with reader, case, and both; NaN without a second modality."""
    t, r, n = y.shape
    y = y - y.mean(axis=0)
    of_t, of_tr, of_tc = (
        y.mean(axis=(1, 2), keepdims=True),
        y.mean(axis=2, keepdims=True),
        y.mean(axis=1, keepdims=True),
    )
    parts = (
        (r * n * (of_t**2).sum(), t - 1),
        (n * ((of_tr - of_t) ** 2).sum(), (t - 1) * (r - 1)),
        (r * ((of_tc - of_t) ** 2).sum(), (t - 1) * (n - 1)),
        (((y - of_tr - of_tc + of_t) ** 2).sum(), (t - 1) * (r - 1) * (n - 1)),
    )
    ms_t, ms_tr, ms_tc, ms_trc = (float(s / df) if df else float("nan") for s, df in parts)
    return ms_t, ms_tr, ms_tc, ms_trc


def _one_modality(y: Floats, population: Population) -> tuple[float, float]:
    r, n = y.shape
    of_r, of_c = y.mean(axis=1, keepdims=True), y.mean(axis=0, keepdims=True)
    ms_r, ms_c = n * float(of_r.var(ddof=1)), r * float(of_c.var(ddof=1))
    ms_rc = float(((y - of_r - of_c + y.mean()) ** 2).sum() / ((r - 1) * (n - 1)))
    if population is Population.CASES:
        return ms_c / (r * n), float(n - 1)
    total = ms_r + (max(ms_c - ms_rc, 0.0) if population is Population.BOTH else 0.0)
    return total / (r * n), float(satterthwaite(total, ms_r, r - 1))


def one_shot(pairs: TwoSample) -> Model:
    """Analyze any design by U-statistics, without a model: the variance that random readers and cases cause together.

    Each modality's mean weighs readers by the pairs of cases they read.

    Parameters
    ----------
    pairs : TwoSample
        The figures' parts, with a kernel.

    Returns
    -------
    Model
        Without a global test; variances are unbiased and may come out negative, then as NaN.

    References
    ----------
    Gallas 2006, doi 10.1016/j.acra.2005.11.030. Gallas & Brown 2008, doi 10.1016/j.neunet.2007.12.013 (other designs).
    Obuchowski, Gallas & Hillis 2012, doi 10.1016/j.acra.2012.09.012 (degrees of freedom).
    """
    t, r = pairs.of_positive.shape[:2]
    made = product_sums(pairs)
    shape = (4, t, r, t, r)
    sums, counts = made.sums.reshape(shape), made.counts.reshape(shape)
    all_s, all_c = sums.sum(axis=(2, 4)), counts.sum(axis=(2, 4))
    own_s, own_c = (np.einsum("kajbj->kab", a) for a in (sums, counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = (_unshared(all_s) - _unshared(own_s)) / (_unshared(all_c) - _unshared(own_c))
        matrix = all_s[3] / all_c[3] - apart
        means = np.sqrt(np.diag(all_s[3]) / np.diag(all_c[3]))
        # Plug-in components of negative cases, positive cases and readers, and the sizes they are averaged over.
        causes = np.stack([all_s[k] / all_c[k] for k in (1, 2)] + [own_s[3] / own_c[3]]) - all_s[3] / all_c[3]
        sizes = np.stack([np.diag(all_c[3] / all_c[k]) for k in (1, 2)] + [np.diag(all_c[3] / own_c[3])]) - 1
    causes = np.where(np.isfinite(causes), causes, 0.0)
    variance = np.where(np.diag(matrix) > 0, np.diag(matrix), np.nan)
    between = np.add.outer(np.diag(matrix), np.diag(matrix)) - 2 * matrix
    between = np.where(between > 0, between, np.nan)
    diagonal = np.einsum("kaa->ka", causes)
    of_pair = diagonal[:, :, None] + diagonal[:, None, :] - 2 * causes
    least = np.minimum(sizes[:, :, None], sizes[:, None, :])
    return Model(
        "U-statistics (one-shot)",
        means,
        variance,
        _gaylor_df(variance, diagonal, sizes),
        between,
        _gaylor_df(between, of_pair, least),
    )


def _unshared(inclusive: Floats) -> Floats:
    return inclusive[3] - inclusive[1] - inclusive[2] + inclusive[0]


def _gaylor_df(variance: Floats, causes: Floats, sizes: Floats) -> Floats:
    """Satterthwaite's degrees of freedom over the three causes, never below those of the rarest (Gaylor 1969)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / (causes**2 / sizes**3).sum(axis=0)
    return np.maximum(df, sizes.min(axis=0))
