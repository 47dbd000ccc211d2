"""What scanners and biology explain of each feature, before and after harmonization, and where the two are tangled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from spondyl.harmonize.combat import feature_groups
from spondyl.harmonize.design import Covariates, is_numeric
from spondyl.harmonize.smooth import LeastSquares

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARN_ASSOCIATION = 0.5
"""Association of scanner and outcome from which the reader is warned: a large effect for a contingency table (Cohen
1988, Statistical Power Analysis, section 7.2)."""


class Explained(NamedTuple):
    """Share of each feature's variance that something explains.

    Parameters
    ----------
    share : ndarray of float, shape (p,)
        Partial eta squared, 0 to 1; NaN for a feature that does not vary.
    p_value : ndarray of float, shape (p,)
        Of the F test.
    """

    share: NDArray[np.float64]
    p_value: NDArray[np.float64]


def explained_by_scanner(values: NDArray[np.float64], codes: NDArray[np.intp], columns: NDArray) -> Explained:
    """Test whether means differ between scanners.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Features; missing values are left out.
    codes : ndarray of int, shape (n,)
        Each patient's scanner.
    columns : ndarray of float, shape (n, q)
        Covariates whose effect is no scanner's; without columns this is the analysis of variance.

    Returns
    -------
    Explained
        For each feature.
    """
    return _explained(values, _indicator(codes), np.hstack([np.ones((len(codes), 1)), columns]))


def spread_by_scanner(values: NDArray[np.float64], codes: NDArray[np.intp]) -> Explained:
    """Test whether spreads differ between scanners.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Features; missing values are left out.
    codes : ndarray of int, shape (n,)
        Each patient's scanner.

    Returns
    -------
    Explained
        For each feature.

    References
    ----------
    Brown and Forsythe 1974, J Am Stat Assoc 69:364 (Levene's test around the median).
    """
    away = np.empty_like(values)
    for code in np.unique(codes):
        own = values[codes == code]
        # A feature nobody on this scanner has gives no median, and stays missing.
        has = np.isfinite(own).any(axis=0)
        median = np.full(values.shape[1], np.nan)
        median[has] = np.nanmedian(own[:, has], axis=0)
        away[codes == code] = np.abs(own - median)
    return explained_by_scanner(away, codes, np.zeros((len(codes), 0)))


def explained_by_covariates(
    values: NDArray[np.float64], covariates: Covariates, columns: NDArray[np.float64]
) -> dict[str, Explained]:
    """Test what each kept covariate explains beside the others.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Features; missing values are left out.
    covariates : Covariates
        The terms.
    columns : ndarray of float, shape (n, q)
        Their columns.

    Returns
    -------
    dict of str to Explained
        By name of the covariate. Scanners are not in the model, so that noise they add weakens the effect, and removing
        it should strengthen it.
    """
    found, start = {}, 0
    constant = np.ones((len(columns), 1))
    for term in covariates.terms:
        own = np.arange(start, start + term.width)
        others = np.hstack([constant, np.delete(columns, own, axis=1)])
        found[term.name] = _explained(values, columns[:, own], others)
        start += term.width
    return found


def _explained(values: NDArray[np.float64], tested: NDArray[np.float64], others: NDArray[np.float64]) -> Explained:
    p = values.shape[1]
    share, p_value = np.full(p, np.nan), np.full(p, np.nan)
    for part, rows in feature_groups(values):
        own = slice(None) if rows is None else rows
        y = values[own][:, part]
        less, full = LeastSquares(others[own]), LeastSquares(np.hstack([others[own], tested[own]]))
        left_less, left_full = (np.square(system.solve(y)[1]).sum(axis=0) for system in (less, full))
        freedom, residual = full.rank - less.rank, len(y) - full.rank
        if freedom < 1 or residual < 1:
            continue
        varies = left_less > 1e-20 * np.square(y).sum(axis=0)
        gain = np.maximum(left_less - left_full, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share[part] = np.where(varies, gain / left_less, np.nan)
            ratio = gain / freedom / (left_full / residual)
        p_value[part] = np.where(varies, fdtrc(freedom, residual, np.where(varies, ratio, 0.0)), np.nan)
    return Explained(share, p_value)


def _indicator(codes: NDArray[np.intp]) -> NDArray[np.float64]:
    return (codes[:, None] == np.unique(codes)).astype(np.float64)


class Confounding(NamedTuple):
    """How far scanner and outcome are tangled.

    Parameters
    ----------
    table : DataFrame
        Patients by scanner (rows) and outcome (columns; means and numbers for a numeric outcome).
    association : float
        Cramér's V, corrected for bias, or the correlation ratio of a numeric outcome; 0 to 1.
    verdict : str
        ``"ok"``, ``"warn"``, or ``"tied"`` where every scanner saw a single outcome, so that nothing can separate
        them.
    measure : str
        What the association is.
    """

    table: pd.DataFrame
    association: float
    verdict: str
    measure: str = "Cramér's V"


def confounding(site: pd.Series, outcome: pd.Series) -> Confounding:
    """Tabulate an outcome by scanner.

    Parameters
    ----------
    site, outcome : Series, shape (n,)
        Each patient's scanner and outcome.

    Returns
    -------
    Confounding
        Table, association and verdict.

    References
    ----------
    Bergsma 2013, J Korean Stat Soc 42:323 (bias correction of Cramér's V).
    """
    site, outcome = site.astype(str).reset_index(drop=True), outcome.reset_index(drop=True)
    known = outcome.notna()
    site, outcome = site[known], outcome[known]
    measure = "Cramér's V"
    if is_numeric(outcome) and outcome.nunique() > 2:
        measure = "correlation ratio"
        table = outcome.groupby(site).agg(["count", "mean", "std"])
        codes = pd.factorize(site)[0]
        found = _explained(outcome.to_numpy(float)[:, None], _indicator(codes), np.ones((len(codes), 1)))
        association = float(np.sqrt(np.nan_to_num(found.share[0])))
        tied = bool(outcome.groupby(site).nunique().le(1).all()) and site.nunique() < len(site)
    else:
        table = pd.crosstab(site, outcome.astype(str))
        association = _cramers_v(table.to_numpy(float))
        tied = bool((table.gt(0).sum(axis=1) <= 1).all()) and table.shape[1] > 1
    verdict = "tied" if tied else "warn" if association >= WARN_ASSOCIATION else "ok"
    return Confounding(table, association, verdict, measure)


def _cramers_v(counts: NDArray[np.float64]) -> float:
    n = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(n, 1)
    if n < 2 or min(counts.shape) < 2:
        return 0.0
    phi2 = float(((counts - expected) ** 2 / expected).sum() / n)
    rows, columns = counts.shape
    phi2 = max(phi2 - (rows - 1) * (columns - 1) / (n - 1), 0.0)
    rows, columns = (size - (size - 1) ** 2 / (n - 1) for size in counts.shape)
    smaller = min(rows, columns) - 1
    return float(np.sqrt(min(phi2 / smaller, 1.0))) if smaller > 0 else 0.0
