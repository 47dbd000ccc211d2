"""Biology that harmonization keeps: covariates as columns of a design, the same way for old and for new patients.

Every column has mean zero over the training patients, so that a covariate that is not known for a new patient is
simply zero: the average patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from spondyl.core import InputError
from spondyl.harmonize.smooth import LeastSquares, SplineBasis, spline_basis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNKNOWN_COVARIATE = "covariate_unknown"
"""Flag of a patient for whom a kept covariate is missing or of a kind never seen; the training average was used."""

OUTSIDE_RANGE = "covariate_outside_range"
"""Flag of a patient with a smooth covariate beyond the training range; the value at its end was used."""


@dataclass(frozen=True, eq=False)
class Term:
    """One covariate and how it becomes columns.

    Parameters
    ----------
    name : str
        Column of the table.
    center, spread : float
        Mean and standard deviation of a numeric covariate over the training patients; 0 and 1 otherwise.
    levels : tuple of str
        Values of a categorical covariate, the first of which has no column; empty for numbers.
    means : tuple of float
        Share of the training patients in each level but the first.
    basis : SplineBasis, optional
        The basis of a smooth covariate.
    """

    name: str
    center: float = 0.0
    spread: float = 1.0
    levels: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    basis: SplineBasis | None = None

    @property
    def width(self) -> int:
        """Number of columns."""
        if self.basis is not None:
            return self.basis.rotation.shape[1]
        return len(self.means) if self.levels else 1

    def columns(self, values: pd.Series) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
        """Turn values into columns.

        Parameters
        ----------
        values : Series, shape (n,)
            The covariate; missing values are allowed.

        Returns
        -------
        columns : ndarray of float, shape (n, width)
            Zero where the value is not known.
        flags : dict of str to ndarray of bool
            Who got the average, and who lies outside the training range.
        """
        if self.levels:
            index = pd.Index(self.levels).get_indexer(pd.Index(_words(values)))
            columns = (index[:, None] == np.arange(1, len(self.levels))) - np.asarray(self.means)
            columns[index < 0] = 0.0
            return columns, {UNKNOWN_COVARIATE: index < 0}
        x = _numbers(values, self.name)
        unknown = ~np.isfinite(x)
        if self.basis is None:
            return np.where(unknown, 0.0, (x - self.center) / self.spread)[:, None], {UNKNOWN_COVARIATE: unknown}
        low, high = self.basis.bounds
        columns = self.basis.columns(np.where(unknown, low, x))
        columns[unknown] = 0.0
        return columns, {UNKNOWN_COVARIATE: unknown, OUTSIDE_RANGE: ~unknown & ((x < low) | (x > high))}


@dataclass(frozen=True, eq=False)
class Covariates:
    """All covariates that are kept.

    Parameters
    ----------
    terms : tuple of Term
        One per covariate.
    """

    terms: tuple[Term, ...] = ()

    def columns(self, obs: pd.DataFrame) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
        """Turn a table of patients into the columns of a design.

        Parameters
        ----------
        obs : DataFrame, shape (n, ...)
            Holds a column for each term.

        Returns
        -------
        columns : ndarray of float, shape (n, q)
            Mean zero over the training patients.
        flags : dict of str to ndarray of bool
            As in `Term.columns`, over all terms.

        Raises
        ------
        InputError
            If a column is missing or not numeric where numbers were learned.
        """
        blocks = [np.zeros((len(obs), 0))]
        flags = {UNKNOWN_COVARIATE: np.zeros(len(obs), bool), OUTSIDE_RANGE: np.zeros(len(obs), bool)}
        for term in self.terms:
            block, raised = term.columns(obs_column(obs, term.name, "a kept covariate"))
            blocks.append(block)
            for flag, rows in raised.items():
                flags[flag] = flags[flag] | rows
        return np.hstack(blocks), flags

    @property
    def width(self) -> int:
        """Number of columns of the design."""
        return sum(term.width for term in self.terms)

    def penalty(self) -> NDArray[np.float64]:
        """Give the penalty on curvature.

        Returns
        -------
        ndarray of float, shape (q, q)
            Zero for linear and categorical terms. Each smooth term is scaled to a trace of 1, so that one strength
            serves terms in different units.
        """
        blocks = [np.zeros((0, 0))]
        for term in self.terms:
            block = np.zeros((term.width, term.width)) if term.basis is None else term.basis.penalty()
            blocks.append(block / max(float(np.trace(block)), 1e-300))
        return block_diag(*blocks)[: self.width, : self.width]


def learn_covariates(obs: pd.DataFrame, keep: Sequence[str], smooth: Sequence[str] = ()) -> Covariates:
    """Learn how covariates become columns.

    Parameters
    ----------
    obs : DataFrame, shape (n, ...)
        The training patients.
    keep : sequence of str
        Columns to keep; text and booleans are categories, numbers are linear.
    smooth : sequence of str, optional
        Numeric columns to keep as smooth curves.

    Returns
    -------
    Covariates
        The terms, in the order of `keep`, then those of `smooth` that are not in it.

    Raises
    ------
    InputError
        If a column is missing, empty, or not numeric where it must be.
    SettingsError
        If a smooth covariate has too few different values.
    """
    return Covariates(tuple(_learned(obs, name, smooth) for name in dict.fromkeys([*keep, *smooth])))


def _learned(obs: pd.DataFrame, name: str, smooth: Sequence[str]) -> Term:
    values = obs_column(obs, name, "a kept covariate")
    if values.isna().all():
        msg = f"column {name!r} is to be kept, but all its values are missing; leave it out of keep"
        raise InputError(msg)
    if name not in smooth and not is_numeric(values):
        words = _words(values)
        known = words[~values.isna().to_numpy()]
        levels, counts = np.unique(known, return_counts=True)
        return Term(name, levels=tuple(str(v) for v in levels), means=tuple((counts / len(known))[1:].tolist()))
    x = _numbers(values, name)
    x = x[np.isfinite(x)]
    if name in smooth:
        return Term(name, basis=spline_basis(x, name))
    return Term(name, center=float(x.mean()), spread=float(x.std()) or 1.0)


def check_separable(site: NDArray[np.intp], covariates: Covariates, columns: NDArray[np.float64], what: str) -> None:
    """Refuse covariates that the scanner alone determines.

    Parameters
    ----------
    site : ndarray of int, shape (n,)
        Number of each patient's scanner.
    covariates : Covariates
        The terms.
    columns : ndarray of float, shape (n, q)
        Their columns.
    what : str
        The column of scanners, for the message.

    Raises
    ------
    InputError
        If the scanner's effect cannot be told from a covariate's, naming it.
    """
    indicator = (site[:, None] == np.arange(site.max() + 1)).astype(np.float64)
    if LeastSquares(np.hstack([indicator, columns])).rank == indicator.shape[1] + columns.shape[1]:
        return
    start, tied = 0, []
    for term in covariates.terms:
        block = columns[:, start : start + term.width]
        start += term.width
        if LeastSquares(np.hstack([indicator, block])).rank < indicator.shape[1] + term.width:
            tied.append(term.name)
    named = ", ".join(repr(name) for name in tied) or "the kept covariates together"
    msg = (
        f"the effect of {what!r} cannot be told from that of {named}: within every scanner it does not vary, so "
        "removing one would remove the other; leave it out of keep, merge scanners, or add patients"
    )
    raise InputError(msg)


def obs_column(obs: pd.DataFrame, name: str, role: str) -> pd.Series:
    """Take a column of the table of patients.

    Parameters
    ----------
    obs : DataFrame
        The patients.
    name : str
        The column.
    role : str
        What it is for, for the message.

    Returns
    -------
    Series
        The column.

    Raises
    ------
    InputError
        If it is missing or there twice.
    """
    found = obs.get(name)
    if isinstance(found, pd.Series):
        return found
    why = "is there twice" if isinstance(found, pd.DataFrame) else f"is missing; the table has {_some(obs.columns)}"
    msg = f"column {name!r}, wanted as {role}, {why}; name another column or correct the table"
    raise InputError(msg)


def is_numeric(values: pd.Series) -> bool:
    """Say whether a column holds numbers; booleans do not count as such.

    Parameters
    ----------
    values : Series
        A column.

    Returns
    -------
    bool
        True for integers and floats.
    """
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _some(names: Any, most: int = 8) -> str:
    listed = [repr(str(name)) for name in list(names)[:most]]
    return ", ".join(listed) + (f" and {len(names) - most} more" if len(names) > most else "") or "no columns"


def _words(values: pd.Series) -> NDArray[np.object_]:
    return values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)


def _numbers(values: pd.Series, name: str) -> NDArray[np.float64]:
    try:
        return pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        msg = f"column {name!r} must hold numbers here, got {values.dtype}; correct the column or leave it out"
        raise InputError(msg) from error
