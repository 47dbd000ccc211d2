"""What harmonization did to a cohort, in figures: what scanners still explain, what biology kept, what stays unsure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import invgamma

from spondyl.core import InputError, Sequence
from spondyl.harmonize.effects import (
    Confounding,
    Explained,
    confounding,
    explained_by_covariates,
    explained_by_scanner,
    spread_by_scanner,
)
from spondyl.harmonize.harmony_spine import Harmonized, HarmonySpine
from spondyl.harmonize.probes import KINDS, Discrepancy, ProbeScore, discrepancy, probe, probe_task
from spondyl.harmonize.stages import scanner_names
from spondyl.harmonize.uncertainty import Repeatability, repeatability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

WHEN = ("as measured", "harmonized")
"""The two states of a table that are compared."""

IN_FOLD = "harmonized inside folds"
"""Harmonization learned on the training part of each fold alone: how patients of tomorrow will look."""

SURE = 0.05
"""A p value below this counts as a difference; the usual level."""


@dataclass(frozen=True)
class AuditSettings:
    """How thoroughly a cohort is examined.

    Parameters
    ----------
    outcome : str
        Column that is to be predicted later, tabulated by scanner; empty for none.
    n_permutations : int
        Random exchanges of scanners for each probe.
    seed : int
        Of folds and exchanges.
    """

    outcome: str = ""
    n_permutations: int = 20
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Audit:
    """A cohort before and after.

    Parameters
    ----------
    scanners : mapping of str to int
        Rows of each scanner.
    probes : mapping of (str, str) to ProbeScore
        By kind of probe and state of the table; empty where scanners are too small to probe.
    no_probe : str
        Why there is no probe, where there is none.
    means, spreads : mapping of str to Explained
        What scanners explain of means and of spreads, by state.
    distances : mapping of str to Discrepancy
        How far scanners lie apart in all features together, by state.
    biology : mapping of str to mapping of str to Explained
        What each kept covariate explains, by covariate and state.
    repeats : mapping of str to Repeatability
        How features repeat in patients scanned more than once, by state; empty without such patients.
    tangle : Confounding or None
        Scanner and outcome.
    flags : mapping of str to int
        Rows with each flag.
    """

    scanners: Mapping[str, int]
    probes: Mapping[tuple[str, str], ProbeScore]
    no_probe: str
    means: Mapping[str, Explained]
    spreads: Mapping[str, Explained]
    distances: Mapping[str, Discrepancy]
    biology: Mapping[str, Mapping[str, Explained]]
    repeats: Mapping[str, Repeatability] = field(default_factory=dict)
    tangle: Confounding | None = None
    flags: Mapping[str, int] = field(default_factory=dict)


def audit_cohort(model: HarmonySpine, table: pd.DataFrame, got: Harmonized, settings: AuditSettings) -> Audit:
    """Examine a cohort before and after harmonization.

    Parameters
    ----------
    model : HarmonySpine
        Fitted on the cohort.
    table : DataFrame, shape (n, ...)
        The cohort: features, scanner, covariates.
    got : Harmonized
        The cohort harmonized.
    settings : AuditSettings
        How thoroughly.

    Returns
    -------
    Audit
        The figures.
    """
    variable = model.stages_[-1].variable
    names = scanner_names(table, variable)
    codes = np.unique(names, return_inverse=True)[1]
    columns, _ = model.covariates_.columns(table)
    states = dict(zip(WHEN, (table[list(got.names)].to_numpy(float, na_value=np.nan), got.values), strict=True))
    subjects = table[model.subject].to_numpy() if model.subject else None
    probes, no_probe = _probes(model, table, states, names, settings)
    of_covariates = {when: explained_by_covariates(v, model.covariates_, columns) for when, v in states.items()}
    several = len(set(names)) > 1
    return Audit(
        scanners=dict(sorted(Counter(names).items())),
        probes=probes,
        no_probe=no_probe,
        means={when: explained_by_scanner(v, codes, columns) for when, v in states.items()},
        spreads={when: spread_by_scanner(v, codes) for when, v in states.items()},
        distances={when: discrepancy(v, codes, seed=settings.seed) for when, v in states.items()} if several else {},
        biology={term.name: {w: of_covariates[w][term.name] for w in WHEN} for term in model.covariates_.terms},
        repeats={} if subjects is None else {when: repeatability(v, subjects) for when, v in states.items()},
        tangle=confounding(pd.Series(names), table[settings.outcome]) if settings.outcome else None,
        flags=dict(Counter(flag for flags in got.flags for flag in flags)),
    )


def _probes(
    model: HarmonySpine,
    table: pd.DataFrame,
    states: Mapping[str, NDArray[np.float64]],
    names: list[str],
    settings: AuditSettings,
) -> tuple[dict[tuple[str, str], ProbeScore], str]:
    groups = pd.factorize(table[model.subject])[0] if model.subject else None
    try:
        task = probe_task(np.array(names), groups)
    except InputError as error:
        return {}, str(error)
    options: dict[str, Any] = {"n_permutations": settings.n_permutations, "seed": settings.seed}
    found = {(kind, when): probe(v, task, kind, **options) for kind in KINDS for when, v in states.items()}
    found["linear", IN_FOLD] = probe(_InFold(model, table), task, "linear", **options)
    return found, ""


class _InFold:
    """Learns harmonization on the training part of a fold."""

    def __init__(self, model: HarmonySpine, table: pd.DataFrame) -> None:
        described = [stage.variable for stage in model.stages_]
        # Rarely, all patients of a scanner fall into one test part; they stay as measured there.
        self.model = HarmonySpine(
            **{**model.get_params(deep=False), "unseen": "pooled", "subject": "", "dimension": None}
        )
        kept = [*model.feature_names_, *(term.name for term in model.covariates_.terms), *described]
        self.table, self.described = table[list(dict.fromkeys(kept))], described

    def __call__(
        self, train: NDArray[np.intp], test: NDArray[np.intp], source: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        exchanged = self.table.iloc[: len(source)].copy()
        exchanged[self.described] = self.table[self.described].iloc[source].to_numpy()
        fitted = self.model.fit(exchanged.iloc[train])
        return fitted.transform(exchanged.iloc[train]), fitted.transform(exchanged.iloc[test])


def sd_by_contrast(got: Harmonized) -> dict[str, NDArray[np.float64]]:
    """Sort the uncertainty of values by the sequence that their feature is named after.

    Parameters
    ----------
    got : Harmonized
        A harmonized cohort.

    Returns
    -------
    dict of str to ndarray of float
        Standard deviations relative to the spread of the feature between rows; features such as ``ADC_lesion`` count
        for their sequence, all others for ``"other features"``.
    """
    spread = np.nanstd(np.where(got.predicted, np.nan, got.values), axis=0)
    relative = np.divide(got.sd, spread, out=np.full(got.sd.shape, np.nan), where=spread > 0)
    columns: dict[str, list[int]] = {}
    for number, name in enumerate(got.names):
        columns.setdefault(contrast_of(name), []).append(number)
    parts = {contrast: relative[:, own].ravel() for contrast, own in sorted(columns.items())}
    return {contrast: values for contrast, values in parts.items() if np.isfinite(values).any()}


def contrast_of(name: str) -> str:
    """Tell the sequence a feature is named after.

    Parameters
    ----------
    name : str
        A feature.

    Returns
    -------
    str
        Name of a sequence, or ``"other features"``.
    """
    fitting = [s.value for s in Sequence if s is not Sequence.UNKNOWN and name.upper().startswith(f"{s.value}_")]
    return max(fitting, key=len) if fitting else "other features"


def prior_check(model: HarmonySpine) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Compare estimated scanner effects with their priors.

    Parameters
    ----------
    model : HarmonySpine
        A fitted model.

    Returns
    -------
    shifts, scales : dict of str to ndarray of float
        For each scanner of the last variable with a prior, standardized shifts and the places of scales in theirs.
    """
    fit = model.stages_[-1].combat
    varying = fit.sd > 0
    shifts, scales = {}, {}
    for number, (name, prior) in enumerate(zip(fit.names, fit.priors, strict=True)):
        variance = float(np.max(prior.shift_variance))
        if not np.isfinite(variance) or variance <= 0 or not np.isfinite(prior.scale_shape):
            continue
        shifts[name] = (fit.estimates.shift[number, varying] - prior.shift_mean) / np.sqrt(variance)
        scales[name] = invgamma.cdf(fit.estimates.scale[number, varying], prior.scale_shape, scale=prior.scale_rate)
    return shifts, scales
