"""The door of harmonization: a table becomes features and patients, checked once and named where it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from spondyl.core import InputError
from spondyl.harmonize.design import is_numeric, obs_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

MOST_NAMED = 5
"""Columns that a message names; more are counted."""


class FeatureTable(NamedTuple):
    """Patients with their features.

    Parameters
    ----------
    names : tuple of str
        The features.
    values : ndarray of float64, shape (n, p)
        Their values; NaN where one is missing. May be the memory of the caller, so it is never written to.
    obs : DataFrame, shape (n, ...)
        Everything else about the patients: scanner, covariates, acquisition.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    obs: pd.DataFrame


def read_features(
    X: Any,  # noqa: N803 - scikit-learn's name
    obs: pd.DataFrame | None,
    roles: Mapping[str, str],
    names: Sequence[str] | None = None,
) -> FeatureTable:
    """Take features and patients from what the caller gave.

    Parameters
    ----------
    X : DataFrame or array_like, shape (n, ...)
        Features, and among the columns of a DataFrame those that describe the patients, too.
    obs : DataFrame, optional
        Describes the patients, where `X` does not.
    roles : mapping of str to str
        Columns that are no features, and what each is for; those that may be missing are for nothing, ``""``.
    names : sequence of str, optional
        Features that were learned; the columns are brought into this order.

    Returns
    -------
    FeatureTable
        Features and patients.

    Raises
    ------
    InputError
        If columns are missing, doubled, new or not numeric, rows do not match, or values are infinite.
    """
    frame = _frame(X, names)
    if obs is not None and len(obs) != len(frame):
        msg = f"obs must describe every row of the table, got {len(obs)} rows for {len(frame)}; give the same patients"
        raise InputError(msg)
    if not len(frame):
        msg = "the table must hold at least one patient, got no rows"
        raise InputError(msg)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique()
        msg = f"every column needs a name of its own, {_listed(twice)} stand twice; rename them"
        raise InputError(msg)
    patients = frame[[c for c in frame.columns if c in roles]]
    if obs is not None:
        patients = obs.reset_index(drop=True).combine_first(patients.reset_index(drop=True))
    for name, role in roles.items():
        if role:
            obs_column(patients if obs is not None else frame, name, role)
    features = frame[[c for c in frame.columns if c not in roles]]
    features = features if names is None else _in_order(features, names)
    return FeatureTable(tuple(features.columns), _numbers(features), patients.reset_index(drop=True))


def _frame(table: Any, names: Sequence[str] | None) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        # A view with new labels; the caller's table keeps its own.
        return table.set_axis([str(c) for c in table.columns], axis=1)
    array = np.asarray(table)
    if array.ndim != 2:
        msg = f"the table must have rows for patients and columns for features, got {array.ndim} dimension(s)"
        raise InputError(msg)
    if names is not None and array.shape[1] != len(names):
        msg = f"{len(names)} features were learned, the table has {array.shape[1]} columns; give the same features"
        raise InputError(msg)
    return pd.DataFrame(array, columns=list(names or (f"x{i}" for i in range(array.shape[1]))), copy=False)


def _in_order(features: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    missing = [name for name in names if name not in features.columns]
    known = set(names)
    new = [name for name in features.columns if name not in known]
    if missing or new:
        parts = [f"{_listed(missing)} missing"] if missing else []
        parts += [f"{_listed(new)} never learned"] if new else []
        msg = f"the table must have the features that were learned: {' and '.join(parts)}; correct the columns"
        raise InputError(msg)
    return features if tuple(features.columns) == tuple(names) else features[list(names)]


def _numbers(features: pd.DataFrame) -> NDArray[np.float64]:
    text = [c for c, kind in zip(features.columns, features.dtypes, strict=True) if not _fits(kind)]
    if text:
        msg = (
            f"features must be numbers, {_listed(text)} hold {features[text[0]].dtype}; keep such a column as a "
            "covariate, give it in obs, or leave it out"
        )
        raise InputError(msg)
    if not features.shape[1]:
        msg = "the table must hold at least one feature, got none beside the columns that describe the patients"
        raise InputError(msg)
    values = features.to_numpy(dtype=np.float64, na_value=np.nan)
    # One pass without a table of truth values: only infinities of one sign or both make a sum infinite or NaN.
    with np.errstate(invalid="ignore", over="ignore"):
        suspicious = not np.isfinite(values.sum())
    if suspicious:
        infinite = np.flatnonzero(np.isinf(values).any(axis=0))
        if len(infinite):
            msg = (
                f"{_listed(features.columns[infinite])} hold infinite values; find out where they come from, or mark "
                "them as missing"
            )
            raise InputError(msg)
    return values


def _fits(kind: Any) -> bool:
    return is_numeric(pd.Series(dtype=kind))


def check_training(table: FeatureTable) -> None:
    """Refuse a table from which nothing can be learned.

    Parameters
    ----------
    table : FeatureTable
        Training patients.

    Raises
    ------
    InputError
        If a feature has no value at all, or there are fewer than three patients.
    """
    if len(table.values) < 3:
        msg = f"at least 3 patients are wanted to learn from, got {len(table.values)}"
        raise InputError(msg)
    if np.isnan(table.values.sum()):
        empty = np.flatnonzero(np.isnan(table.values).all(axis=0))
        if len(empty):
            msg = f"{_listed([table.names[i] for i in empty])} have no value in any patient; leave them out"
            raise InputError(msg)


def _listed(names: Iterable[Any]) -> str:
    listed = [repr(str(name)) for name in names]
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more
