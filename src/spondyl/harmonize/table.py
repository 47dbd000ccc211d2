"""The door of harmonization: a table becomes features and patients, checked once and named where it does not fit."""

from __future__ import annotations

from collections import Counter
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
    complete : bool
        Whether no value is missing.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    obs: pd.DataFrame
    complete: bool


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
    labels, frame = _labels(X, names)
    if obs is not None and len(obs) != len(frame):
        msg = f"obs must describe every row of the table, got {len(obs)} rows for {len(frame)}; give the same patients"
        raise InputError(msg)
    if not len(frame):
        msg = "the table must hold at least one patient, got no rows"
        raise InputError(msg)
    if len(set(labels)) < len(labels):
        twice = dict.fromkeys(name for name, count in Counter(labels).items() if count > 1)
        msg = f"every column needs a name of its own, {_listed(twice)} stand twice; rename them"
        raise InputError(msg)
    described = [i for i, name in enumerate(labels) if name in roles]
    patients = _patients(frame, [labels[i] for i in described], described, obs)
    for name, role in roles.items():
        if role and name not in patients:
            obs_column(patients if obs is not None else pd.DataFrame(columns=list(labels)), name, role)
    own = _chosen(labels, roles, names)
    found = labels if own is None else tuple(labels[i] for i in own)
    values, complete = _numbers(frame, found, own)
    return FeatureTable(found, values, patients, complete)


def _labels(table: Any, names: Sequence[str] | None) -> tuple[tuple[str, ...], pd.DataFrame | NDArray]:
    """Names of the columns as text, and the table, whose own labels nobody changes."""
    if isinstance(table, pd.DataFrame):
        return tuple(map(str, table.columns.tolist())), table
    array = np.asarray(table)
    if array.ndim != 2:
        msg = f"the table must have rows for patients and columns for features, got {array.ndim} dimension(s)"
        raise InputError(msg)
    if names is not None and array.shape[1] != len(names):
        msg = f"{len(names)} features were learned, the table has {array.shape[1]} columns; give the same features"
        raise InputError(msg)
    labels = tuple(names) if names else tuple(f"x{i}" for i in range(array.shape[1]))
    return labels, array


def _patients(
    frame: pd.DataFrame | NDArray, named: Sequence[str], described: Sequence[int], obs: pd.DataFrame | None
) -> pd.DataFrame:
    """Everything that describes patients: from `obs`, and what it lacks from the table."""
    if not described or not isinstance(frame, pd.DataFrame):
        return pd.DataFrame(index=range(len(frame))) if obs is None else obs.reset_index(drop=True)
    own = frame.iloc[:, list(described)].set_axis(list(named), axis=1).reset_index(drop=True)
    return own if obs is None else obs.reset_index(drop=True).combine_first(own)


def _chosen(labels: Sequence[str], roles: Mapping[str, str], names: Sequence[str] | None) -> list[int] | None:
    """Places of the features in the order wanted; None where the table holds just these."""
    if names is None:
        own = [i for i, name in enumerate(labels) if name not in roles]
        return None if len(own) == len(labels) else own
    if labels == tuple(names):
        return None
    place = {name: i for i, name in enumerate(labels) if name not in roles}
    missing = [name for name in names if name not in place]
    known = set(names)
    new = [name for name in place if name not in known]
    if missing or new:
        parts = [f"{_listed(missing)} missing"] if missing else []
        parts += [f"{_listed(new)} never learned"] if new else []
        msg = f"the table must have the features that were learned: {' and '.join(parts)}; correct the columns"
        raise InputError(msg)
    return [place[name] for name in names]


def _columns(frame: pd.DataFrame | NDArray, own: list[int]) -> pd.DataFrame | NDArray:
    """Some columns of a table, without a copy where they lie side by side."""
    which = slice(own[0], own[-1] + 1) if own == list(range(own[0], own[-1] + 1)) else own
    return frame.iloc[:, which] if isinstance(frame, pd.DataFrame) else frame[:, which]


def _numbers(
    frame: pd.DataFrame | NDArray, names: Sequence[str], own: list[int] | None
) -> tuple[NDArray[np.float64], bool]:
    """Values of the features, and whether all are there."""
    if not names:
        msg = "the table must hold at least one feature, got none beside the columns that describe the patients"
        raise InputError(msg)
    features = frame if own is None else _columns(frame, own)
    of_column = features.dtypes.tolist() if isinstance(features, pd.DataFrame) else [features.dtype] * len(names)
    # Types are few and columns many, so each type is asked about once.
    kinds = set(of_column)
    unfit = {kind for kind in kinds if not is_numeric(pd.Series(dtype=kind))}
    if unfit:
        text = [name for name, kind in zip(names, of_column, strict=True) if kind in unfit]
        msg = (
            f"features must be numbers, {_listed(text)} hold {of_column[names.index(text[0])]}; keep such a column as "
            "a covariate, give it in obs, or leave it out"
        )
        raise InputError(msg)
    if isinstance(features, pd.DataFrame) and not all(isinstance(kind, np.dtype) for kind in kinds):
        values = features.to_numpy(np.float64, na_value=np.nan)
    else:
        values = np.asarray(features, np.float64)
    # One pass without a table of truth values: only infinities of one sign or both make a sum infinite or NaN.
    with np.errstate(invalid="ignore", over="ignore"):
        complete = bool(np.isfinite(values.sum()))
    if not complete:
        infinite = np.flatnonzero(np.isinf(values).any(axis=0))
        if len(infinite):
            msg = (
                f"{_listed(names[int(i)] for i in infinite)} hold infinite values; find out where they come from, "
                "or mark them as missing"
            )
            raise InputError(msg)
    return values, complete


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
    if not table.complete:
        empty = np.flatnonzero(np.isnan(table.values).all(axis=0))
        if len(empty):
            msg = f"{_listed([table.names[i] for i in empty])} have no value in any patient; leave them out"
            raise InputError(msg)


def _listed(names: Iterable[Any]) -> str:
    listed = [repr(str(name)) for name in names]
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more
