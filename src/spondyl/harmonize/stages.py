"""Scanner effects in one stage or several: vendor, then field strength, then coil, then site.

With nested variables each stage removes what its groups share and leaves to the next what is particular. A site seen
with few patients so borrows from its vendor, and the patient of a new site of a known vendor is not left alone.

References
----------
Horng 2022, Sci Rep 12:4493 (nested ComBat).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError
from spondyl.harmonize.combat import (
    UNSEEN,
    ComBatFit,
    ComBatSettings,
    Scanners,
    apply_combat,
    fit_combat,
)
from spondyl.harmonize.covbat import CovBatFit, apply_covbat, fit_covbat
from spondyl.harmonize.design import obs_column
from spondyl.harmonize.uncertainty import scanner_variance
from spondyl.harmonize.unseen import Acquisitions, Policy, UnseenSettings, estimate_scanner, learn_acquisitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Stage:
    """One variable that groups scanners, and what was learned about it.

    Parameters
    ----------
    variable : str
        Column of the table.
    combat : ComBatFit
        Effects of its groups on every feature.
    covariance : CovBatFit, optional
        Effects of its groups on how features vary together.
    acquisitions : Acquisitions, optional
        How each group usually acquires.
    """

    variable: str
    combat: ComBatFit
    covariance: CovBatFit | None = None
    acquisitions: Acquisitions | None = None

    def codes(self, obs: pd.DataFrame) -> NDArray[np.intp]:
        """Look up each patient's group.

        Parameters
        ----------
        obs : DataFrame, shape (n, ...)
            The patients.

        Returns
        -------
        ndarray of int, shape (n,)
            Place in the names learned, or `UNSEEN`.
        """
        place = {name: number for number, name in enumerate(self.combat.names)}
        return np.array([place.get(name, UNSEEN) for name in scanner_names(obs, self.variable)], dtype=np.intp)

    def apply(
        self, values: NDArray[np.float64], codes: NDArray[np.intp], columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Remove the effects of this variable.

        Parameters
        ----------
        values : ndarray of float, shape (n, p)
            The patients.
        codes : ndarray of int, shape (n,)
            Their groups.
        columns : ndarray of float, shape (n, q)
            Their covariates.

        Returns
        -------
        ndarray of float, shape (n, p)
            A new table.
        """
        removed = apply_combat(self.combat, values, codes, columns)
        if self.covariance is not None:
            removed = apply_covbat(self.covariance, self.combat, removed, codes, columns)
        return removed


@dataclass(eq=False)
class Removed:
    """Patients on their way through the stages.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Without the effects of the stages so far.
    variance : ndarray of float, shape (n, p), or None
        What the uncertainty of those effects adds to each value, in its squared unit; None where nobody asked.
    flags : list of list of str
        For each patient what the reader should know.
    """

    values: NDArray[np.float64]
    variance: NDArray[np.float64] | None
    flags: list[list[str]]


def scanner_names(obs: pd.DataFrame, variable: str) -> list[str]:
    """Read the scanners of patients as text.

    Parameters
    ----------
    obs : DataFrame, shape (n, ...)
        The patients.
    variable : str
        The column.

    Returns
    -------
    list of str
        One name a patient; whole numbers are written without a point.

    Raises
    ------
    InputError
        If the column is missing or has gaps.
    """
    column = obs_column(obs, variable, "the scanner")
    gaps = int(column.isna().sum())
    if gaps:
        msg = (
            f"column {variable!r} must name a scanner for every patient, {gaps} of {len(column)} rows have none; "
            "fill them in or leave these patients out"
        )
        raise InputError(msg)
    return [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in column.tolist()]


def learn_stages(
    values: NDArray[np.float64],
    obs: pd.DataFrame,
    variables: Sequence[str],
    columns: NDArray[np.float64],
    settings: ComBatSettings,
    *,
    penalty: NDArray[np.float64] | None = None,
    nearest_by: Sequence[str] = (),
) -> tuple[Stage, ...]:
    """Learn the effects of one or several nested variables.

    Parameters
    ----------
    values : ndarray of float, shape (n, p)
        Training patients.
    obs : DataFrame, shape (n, ...)
        Their table.
    variables : sequence of str
        Columns from coarse to fine.
    columns : ndarray of float, shape (n, q)
        Covariates to keep.
    settings : ComBatSettings
        Which member of the ComBat family; a reference names a group of the last variable.
    penalty : ndarray of float, shape (q, q), optional
        Penalty on the curvature of smooth covariates.
    nearest_by : sequence of str, optional
        Columns that describe an acquisition.

    Returns
    -------
    tuple of Stage
        One per variable.
    """
    references = _references(obs, variables, settings.reference)
    stages = []
    for number, variable in enumerate(variables):
        own = replace(settings, reference=references[number])
        names, codes = np.unique(scanner_names(obs, variable), return_inverse=True)
        scanners = Scanners(tuple(str(name) for name in names), codes.astype(np.intp))
        combat = fit_combat(values, scanners, columns, own, penalty=penalty)
        usual = learn_acquisitions(obs, scanners.codes, len(names), nearest_by) if nearest_by else None
        stage = Stage(variable, combat, acquisitions=usual)
        last = number == len(variables) - 1
        if not last or settings.covariance:
            values = stage.apply(values, scanners.codes, columns)
        if settings.covariance and len(names) > 1:
            stage = replace(stage, covariance=fit_covbat(combat, values, scanners.codes, columns))
            values = values if last else stage.apply(values, scanners.codes, columns)
        stages.append(stage)
    return tuple(stages)


def _references(obs: pd.DataFrame, variables: Sequence[str], reference: str) -> list[str]:
    """The group of each variable to which the reference scanner belongs."""
    if not reference:
        return [""] * len(variables)
    names = scanner_names(obs, variables[-1])
    if reference not in names:
        known = ", ".join(map(repr, sorted(set(names))))
        msg = f"the reference scanner {reference!r} is not in column {variables[-1]!r}, which has {known}"
        raise InputError(msg)
    return [scanner_names(obs, variable)[names.index(reference)] for variable in variables]


def pass_through(
    stages: Sequence[Stage],
    values: NDArray[np.float64],
    obs: pd.DataFrame,
    columns: NDArray[np.float64],
    unseen: UnseenSettings,
    *,
    with_variance: bool = True,
) -> Removed:
    """Take patients, old or new, through all stages.

    Parameters
    ----------
    stages : sequence of Stage
        What was learned.
    values : ndarray of float, shape (n, p)
        The patients; missing values stay missing.
    obs : DataFrame, shape (n, ...)
        Their table.
    columns : ndarray of float, shape (n, q)
        Their covariates.
    unseen : UnseenSettings
        What is done with scanners that were not learned.
    with_variance : bool, optional
        Whether to say how sure the values are, too.

    Returns
    -------
    Removed
        Values, their variance, and flags such as ``"scanner_nearest:site-7"``.

    Raises
    ------
    InputError
        If a scanner was not learned and the policy refuses, or cannot be followed.
    """
    state = Removed(values, None, [[] for _ in range(len(values))])
    for stage in stages:
        ready = stage
        if unseen.policy == Policy.CALIBRATE:
            ready = calibrated_stage(stage, state.values, obs, columns, unseen.min_cases)
        codes = ready.codes(obs)
        strange = codes == UNSEEN
        if strange.any():
            codes = _followed(ready, codes, obs, unseen, state.flags)
        for row in np.flatnonzero(codes >= len(stage.combat.names)):
            state.flags[row].append(f"{stage.variable}_calibrated")
        after = ready.apply(state.values, codes, columns)
        variance = state.variance
        if with_variance:
            own = scanner_variance(ready.combat, after, codes, columns, strange)
            variance = own if variance is None else _stretched(variance, ready.combat, codes, own)
        state = Removed(after, variance, state.flags)
    return state


def _stretched(
    variance: NDArray[np.float64], combat: ComBatFit, codes: NDArray[np.intp], added: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Variance of the stages before on the scale of this one, and what this one adds."""
    for number in np.unique(codes[codes != UNSEEN]):
        variance[codes == number] /= combat.effects.scale[number]
    variance += added
    return variance


def _followed(
    stage: Stage, codes: NDArray[np.intp], obs: pd.DataFrame, unseen: UnseenSettings, flags: list[list[str]]
) -> NDArray[np.intp]:
    """Follow the policy for patients whose group was not learned."""
    strange = np.flatnonzero(codes == UNSEEN)
    if unseen.policy == Policy.REFUSE:
        names = scanner_names(obs, stage.variable)
        named = ", ".join(repr(name) for name in sorted({names[row] for row in strange}))
        msg = (
            f"{named} in column {stage.variable!r} was not in the training table; choose a policy for unseen scanners "
            f"({', '.join(p for p in Policy if p != Policy.REFUSE)}), or train with patients of it"
        )
        raise InputError(msg)
    if unseen.policy != Policy.NEAREST or stage.acquisitions is None:
        for row in strange:
            flags[row].append(f"{stage.variable}_pooled")
        return codes
    codes = codes.copy()
    codes[strange] = stage.acquisitions.nearest(obs.iloc[strange])
    for row in strange:
        flags[row].append(f"{stage.variable}_nearest:{stage.combat.names[codes[row]]}")
    return codes


def calibrated_stage(
    stage: Stage, values: NDArray[np.float64], obs: pd.DataFrame, columns: NDArray[np.float64], min_cases: int
) -> Stage:
    """Add the groups of patients that were not learned.

    Parameters
    ----------
    stage : Stage
        What was learned.
    values : ndarray of float, shape (n, p)
        Patients as they enter this stage.
    obs : DataFrame, shape (n, ...)
        Their table.
    columns : ndarray of float, shape (n, q)
        Their covariates.
    min_cases : int
        Fewest patients of a group.

    Returns
    -------
    Stage
        With the new groups last; the same where there are none.

    Raises
    ------
    InputError
        If a new group has too few patients.
    """
    names = np.array(scanner_names(obs, stage.variable))
    combat = stage.combat
    for name in sorted(set(names) - set(combat.names)):
        own = names == name
        if own.sum() < min_cases:
            msg = (
                f"{name!r} in column {stage.variable!r} was not in the training table, and {min_cases} of its patients "
                f"are wanted to calibrate it, got {own.sum()}; give more, or choose the policy pooled or nearest"
            )
            raise InputError(msg)
        combat = estimate_scanner(combat, values[own], columns[own], str(name))
    return replace(stage, combat=combat)
