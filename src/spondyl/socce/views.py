"""One modality as numbers on one scale: features by name, in standard deviations, missing values left missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COUNTS = ("mutations",)
"""Modalities whose numbers are counts, and enter as their logarithm plus one."""

MIN_PRESENT = 0.2
"""Share of patients in whom a feature must be known to be used. Chosen by us."""

MIN_CARRIERS = 0.015
"""Share of patients in whom a count must not be zero for its gene to be used. Chosen by us."""

MOST_FEATURES = 4000
"""Features of a modality that are used, those that vary most first. Chosen by us, for memory."""

CLIP_SD = 6.0
"""Standardized values are cut here, so that one absurd value cannot place a patient. Chosen by us."""


@dataclass(frozen=True, eq=False)
class ViewScale:
    """How a modality's features become numbers around zero.

    Parameters
    ----------
    modality : str
        Its name.
    names : tuple of str
        Features used.
    center, spread : ndarray of float, shape (p,)
        Mean and standard deviation in training, after the logarithm where values are counts.
    """

    modality: str
    names: tuple[str, ...]
    center: Floats
    spread: Floats

    def apply(self, values: Floats) -> Floats:
        """Standardize.

        Parameters
        ----------
        values : ndarray of float, shape (..., p)
            Features in the order of `names`; NaN where missing.

        Returns
        -------
        ndarray of float, same shape
            In standard deviations from the training mean, cut at `CLIP_SD`.
        """
        return np.clip((_entered(self.modality, values) - self.center) / self.spread, -CLIP_SD, CLIP_SD)

    def row(self, given: Mapping[str, float]) -> tuple[Floats, int]:
        """Standardize what is known of one patient.

        Parameters
        ----------
        given : mapping of str to float
            Values by feature name; others are ignored.

        Returns
        -------
        ndarray of float, shape (p,)
            Standardized; NaN where missing.
        int
            Number of features known.
        """
        values = np.array([_number(given.get(name)) for name in self.names])
        return self.apply(values), int(np.isfinite(values).sum())


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _entered(modality: str, values: Floats) -> Floats:
    return np.log1p(np.maximum(values, 0.0)) if modality in COUNTS else values


def learn_scale(modality: str, table: pd.DataFrame) -> ViewScale:
    """Choose features and learn their scale.

    Parameters
    ----------
    modality : str
        Its name.
    table : DataFrame, shape (n, p)
        Training patients in whom the modality is there.

    Returns
    -------
    ViewScale
        The scale.

    Raises
    ------
    InputError
        If no feature varies.
    """
    values = _entered(modality, table.to_numpy(np.float64, na_value=np.nan))
    known = np.isfinite(values)
    n = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, values, 0.0).sum(axis=0) / n
    spread = np.sqrt(np.where(known, (values - center) ** 2, 0.0).sum(axis=0) / n)
    keep = (known.mean(axis=0) >= MIN_PRESENT) & (spread > 1e-9 * np.maximum(np.abs(center), 1.0))
    if modality in COUNTS:
        keep &= (np.where(known, values, 0.0) != 0).sum(axis=0) >= MIN_CARRIERS * len(values)
    chosen = np.flatnonzero(keep)
    if not len(chosen):
        msg = f"the table {modality} must have at least one feature that differs between patients, got none"
        raise InputError(msg)
    if len(chosen) > MOST_FEATURES:
        chosen = np.sort(chosen[np.argsort(-spread[chosen], kind="stable")[:MOST_FEATURES]])
    names = tuple(str(table.columns[i]) for i in chosen)
    return ViewScale(modality, names, center[chosen], spread[chosen])


def missing_patterns(values: Floats) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Find which rows know the same features.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        NaN where missing.

    Returns
    -------
    list of (ndarray of bool, shape (p,); ndarray of int)
        What is known in each pattern, and the rows that have it.
    """
    known = np.isfinite(values)
    packed = np.packbits(known, axis=1)  # sorting bytes is some hundred times faster than sorting rows of booleans
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return [(known[at], np.flatnonzero(which == number)) for number, at in enumerate(first)]


def aligned_rows(table: pd.DataFrame, names: tuple[str, ...], ids: pd.Index) -> Floats:
    """Give a table's features for a list of patients.

    Parameters
    ----------
    table : DataFrame
        Rows by patient id.
    names : tuple of str
        Features wanted; those the table lacks are missing values.
    ids : Index
        Patients wanted; those the table lacks are rows of missing values.

    Returns
    -------
    ndarray of float, shape (n, p)
        NaN where missing.
    """
    return table.reindex(index=ids, columns=list(names)).to_numpy(np.float64, na_value=np.nan)
