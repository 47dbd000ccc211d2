"""Scale alignment: what each scanner adds to and stretches in a feature, beside what disease does.

A scanner shifts and stretches: ``measured = shift + gain * true``. Patients are not sent to scanners at random, so the
difference of two scanners' means is partly disease. Shifts are therefore estimated beside disease covariates, which
come from declared columns and from the modalities that the scanner cannot touch; those are needed in learning only,
and a new patient is aligned by the scanner alone. Effects are shrunk toward none, so a rare scanner moves little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spondyl.socce.views import missing_patterns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHIFT_RIDGE = 1.0
"""Patients that the assumption of no shift is worth. Chosen by us."""

GAIN_PRIOR = 10.0
"""Patients that the assumption of an equal spread is worth. Chosen by us."""

UNKNOWN = ""
"""Level of a confounder that is not recorded."""

JOINT = "+".join
"""How the levels of several confounders name one scanner."""


def level_of(value: object) -> str:
    """Give the level of a confounder as text.

    Parameters
    ----------
    value : object
        As recorded; numbers such as 3 and 3.0 are one level.

    Returns
    -------
    str
        The level; empty if missing.
    """
    if value is None or value != value:
        return UNKNOWN
    try:
        return f"{float(value):g}"  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value).strip()


@dataclass(frozen=True, eq=False)
class Alignment:
    """Effects of scanners on the features of one modality.

    Parameters
    ----------
    confounders : tuple of str
        Columns that name the scanner together.
    levels : tuple of str
        ``"column=level"`` of each column, then ``"scanner=level+level"`` of each combination.
    shift : ndarray of float, shape (len(levels), p)
        What each adds, in standard deviations.
    scanners : tuple of str
        Combinations whose spread was learned.
    gain : ndarray of float, shape (len(scanners), p)
        What each multiplies.
    """

    confounders: tuple[str, ...]
    levels: tuple[str, ...]
    shift: Floats
    scanners: tuple[str, ...]
    gain: Floats

    def effect(self, patient: Mapping[str, object]) -> tuple[Floats, Floats, bool]:
        """Look up a patient's scanner.

        Parameters
        ----------
        patient : mapping of str to object
            Values of the confounders.

        Returns
        -------
        shift, gain : ndarray of float, shape (p,)
            Its effects; those of levels never seen are none.
        known : bool
            Whether all levels and their combination were seen in training.
        """
        own = [level_of(patient.get(name)) for name in self.confounders]
        place = {name: i for i, name in enumerate(self.levels)}
        wanted = [f"{name}={level}" for name, level in zip(self.confounders, own, strict=True)]
        scanner = JOINT(own)
        rows = [place[name] for name in (*wanted, f"scanner={scanner}") if name in place]
        shift = self.shift[rows].sum(axis=0)
        known = scanner in self.scanners
        gain = self.gain[self.scanners.index(scanner)] if known else np.ones(self.shift.shape[1])
        return shift, gain, known

    def apply(self, row: Floats, patient: Mapping[str, object]) -> tuple[Floats, bool]:
        """Bring one patient's features to the scale of the average scanner.

        Parameters
        ----------
        row : ndarray of float, shape (p,)
            Standardized features.
        patient : mapping of str to object
            Values of the confounders.

        Returns
        -------
        ndarray of float, shape (p,)
            Aligned.
        bool
            Whether the scanner was known.
        """
        shift, gain, known = self.effect(patient)
        return (row - shift) / gain, known


def scanner_of(patients: pd.DataFrame, confounders: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Give each patient's levels and their combination.

    Parameters
    ----------
    patients : DataFrame
        One row a patient.
    confounders : sequence of str
        Columns.

    Returns
    -------
    levels : list of list of str
        Level of each patient in each column, by column.
    scanners : list of str
        Combinations.
    """
    columns = [[level_of(value) for value in patients[name]] for name in confounders]
    scanners = [JOINT(own) for own in zip(*columns, strict=True)] if columns else [UNKNOWN] * len(patients)
    return columns, scanners


def one_hot(labels: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
    """Give indicator columns.

    Parameters
    ----------
    labels : sequence of str
        Label of each row; `UNKNOWN` has no column.

    Returns
    -------
    columns : ndarray of float, shape (n, m)
        One or zero.
    names : tuple of str
        The label of each column, sorted.
    """
    names = tuple(sorted(set(labels) - {UNKNOWN}))
    text = np.asarray(labels, dtype=object)
    return np.column_stack([text == name for name in names] or [np.zeros((len(text), 0))]).astype(float), names


def learn_alignment(
    values: Floats, patients: pd.DataFrame, confounders: tuple[str, ...], biology: Floats
) -> tuple[Alignment, Floats]:
    """Learn what scanners do.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Standardized features; NaN where missing.
    patients : DataFrame
        Confounders of the same patients.
    confounders : tuple of str
        Columns.
    biology : ndarray of float, shape (n, q)
        Disease covariates; their effect is left in.

    Returns
    -------
    Alignment
        What was learned.
    ndarray of float, shape (n, p)
        The features aligned.
    """
    columns, scanners = scanner_of(patients, confounders)
    blocks, levels = [], []
    for name, labels in zip(confounders, columns, strict=True):
        block, names = one_hot(labels)
        blocks.append(block)
        levels += [f"{name}={level}" for level in names]
    block, names = one_hot(scanners)
    blocks.append(block)
    levels += [f"scanner={level}" for level in names]
    design = np.hstack(blocks)
    free = np.column_stack([np.ones(len(values)), biology])
    shift, residual = _shifts(values, design, free, len(names))
    gain = _gains(residual, block)
    spread = np.where(block.sum(axis=1, keepdims=True) > 0, block @ gain, 1.0)
    return Alignment(confounders, tuple(levels), shift, names, gain), (values - design @ shift) / spread


def _shifts(values: Floats, design: Floats, free: Floats, n_scanners: int) -> tuple[Floats, Floats]:
    """Penalized effects of `design`, whose last columns are scanners, beside unpenalized `free` columns."""
    both = np.hstack([free, design])
    penalty = np.diag([1e-6] * free.shape[1] + [SHIFT_RIDGE] * design.shape[1])
    shift, residual = np.zeros((design.shape[1], values.shape[1])), np.full_like(values, np.nan)
    for rows, features in missing_patterns(values.T):
        used = both[rows]
        if not len(used):
            continue
        own = values[np.ix_(rows, features)]
        effect = np.linalg.solve(used.T @ used + penalty, used.T @ own)
        effects = effect[free.shape[1] :].copy()
        # No shift on average, so that aligned values stay where the cohort is; every patient has one scanner.
        effects[len(effects) - n_scanners :] -= (design @ effects).mean(axis=0)
        shift[:, features] = effects
        residual[np.ix_(rows, features)] = own - used @ effect
    return shift, residual


def _gains(residual: Floats, block: Floats) -> Floats:
    """Spread of each scanner relative to all, shrunk toward one."""
    known = np.isfinite(residual)
    squares = np.where(known, residual, 0.0) ** 2
    pooled = squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    n = block.T @ known
    own = (block.T @ squares + GAIN_PRIOR * pooled) / (n + GAIN_PRIOR)
    return np.sqrt(own / np.where(pooled > 0, pooled, 1.0)).clip(0.2, 5.0)
