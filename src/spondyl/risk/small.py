"""Small models that are shipped: for each of two competing events Cox models of several modalities, joined late.

Every modality has a model of its own, learned from the patients who have it; a further Cox model weighs their log
risks. All of it is linear in the end, so the file holds one coefficient a feature. A modality that is missing adds
nothing to the log hazard, as the joining model learned.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import block_diag

from spondyl.core import ModelError
from spondyl.risk.competing import incidence
from spondyl.risk.cox import PenalizedCox
from spondyl.risk.outcome import follow_up, step
from spondyl.risk.shapley import shapley_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

SHIPPED = "spine_events.json"
"""The model in the package folder ``spondyl/risk/shipped``."""

N_STEPS = 48
"""Steps of a baseline that are kept."""

N_DRAWS = 400
"""Draws of the coefficients from which intervals come."""

MOST_MISSING = 0.4
"""Share of the features that may be missing. Chosen by us."""

BEYOND = 0.25
"""How far outside the values learned from a feature may lie, in their range. Chosen by us."""

FORMAT = "spondyl-small-risk-1"

MONTHS = "months"
"""Unit of the times of the shipped model, and of those that an analysis gives risks by."""

DIGITS = 6
"""Significant digits of the numbers in a file."""


@dataclass(frozen=True, eq=False)
class Cause:
    """One event.

    Parameters
    ----------
    name : str
        What it is.
    coefficients : ndarray of float, shape (p,)
        Log hazard ratios per standard deviation.
    covariance : ndarray of float, shape (p, p)
        Of the coefficients.
    hazard : ndarray of float, shape (n_steps,)
        Baseline cumulative hazard at the times of the model.
    """

    name: str
    coefficients: Floats
    covariance: Floats
    hazard: Floats


@dataclass(frozen=True, eq=False)
class SmallRiskModel:
    """Competing events from a handful of features.

    Parameters
    ----------
    features : tuple of str
        Their names.
    logged : tuple of str
        Those whose logarithm, of the value plus one, counts.
    mean, scale, low, high : ndarray of float, shape (p,)
        Mean and standard deviation of the terms, and the range of the values, learned from.
    times_months : ndarray of float, shape (n_steps,)
        Rising times.
    causes : tuple of Cause
        The first is the one asked for; the others compete.
    learned_from : str
        On whom it rests.
    modalities : mapping of str to tuple of str
        Features of each modality; the first one must be there.
    time_unit : str
        What times are given in: months, or the name of the column that they were learned from.
    words : mapping of str to tuple of (str, str)
        Column and word of each feature that asks whether a column holds a word.
    """

    features: tuple[str, ...]
    logged: tuple[str, ...]
    mean: Floats
    scale: Floats
    low: Floats
    high: Floats
    times_months: Floats
    causes: tuple[Cause, ...]
    learned_from: str
    modalities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    time_unit: str = MONTHS
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def known(self, values: Floats) -> dict[str, tuple[int, int]]:
        """Count what is known of each modality.

        Parameters
        ----------
        values : ndarray of float, shape (p,)
            Features; NaN where one is missing.

        Returns
        -------
        dict of str to (int, int)
            Features known, and all, by modality.
        """
        there = dict(zip(self.features, np.isfinite(values).tolist(), strict=True))
        given = self.modalities or {"imaging": self.features}
        return {name: (sum(there[f] for f in own), len(own)) for name, own in given.items()}

    def terms(self, values: Floats) -> Floats:
        """Give standardized terms; what is missing counts as the mean.

        Parameters
        ----------
        values : ndarray of float, shape (m, p)
            Features; NaN where one is missing.

        Returns
        -------
        ndarray of float, shape (m, p)
            Terms.
        """
        logged = np.isin(self.features, self.logged)
        z = (np.where(logged, np.log1p(np.maximum(values, 0)), values) - self.mean) / self.scale
        return np.where(np.isfinite(z), z, 0.0)

    def incidence(
        self, values: Floats, times_months: ArrayLike, cause: int = 0, shift: Sequence[Floats] | None = None
    ) -> Floats:
        """Give the probability of having had an event before the others.

        Parameters
        ----------
        values : ndarray of float, shape (m, p)
            Features.
        times_months : array_like of float, shape (n_times,)
            Times.
        cause : int, optional
            Place among the causes.
        shift : sequence of ndarray of float, shape (p,), optional
            Added to the coefficients of each cause.

        Returns
        -------
        ndarray of float, shape (m, n_times)
            From 0 to 1.
        """
        z = self.terms(values)
        curves = {}
        for number, own in enumerate(self.causes):
            beta = own.coefficients + (0 if shift is None else shift[number])
            curves[number] = np.exp(-np.exp(np.clip(z @ beta, -20, 20))[:, None] * own.hazard)
        return incidence(curves, self.times_months, times_months, cause)

    def _risk_at(self, time_months: float, cause: int, values: Floats) -> Floats:
        return self.incidence(values, [time_months], cause)[:, 0]

    def refusal(self, values: Floats) -> str:
        """Say why a patient is given no risk.

        Parameters
        ----------
        values : ndarray of float, shape (p,)
            Features.

        Returns
        -------
        str
            The reason; empty where a risk may be given.
        """
        known = np.isfinite(values)
        needed, (seen, of) = next(iter(self.known(values).items()))
        if 1 - seen / of > MOST_MISSING:
            return f"{1 - seen / of:.0%} of the {needed} features are missing, at most {MOST_MISSING:.0%} may be"
        room = BEYOND * (self.high - self.low)
        outside = known & ((values < self.low - room) | (values > self.high + room))
        names = [self.features[i].replace("_", " ") for i in np.flatnonzero(outside)]
        return f"far outside what was learned from: {', '.join(names)}" if names else ""

    def assess(
        self, found: Mapping[str, float | None], horizons_months: Sequence[float], seed: int = 0
    ) -> dict[str, Any]:
        """Give the risks of one patient, with intervals and what they are made of.

        Parameters
        ----------
        found : mapping of str to float or None
            Features by name.
        horizons_months : sequence of float
            Times; the middle one is taken apart.
        seed : int, optional
            Of the draws behind the intervals.

        Returns
        -------
        dict
            What ``risk`` holds in a result; ``not_assessable`` says why there are no numbers.
        """
        raw = [found.get(name) for name in self.features]
        values = np.array([np.nan if v is None else float(v) for v in raw])
        reason = self.refusal(values)
        said: dict[str, Any] = {
            "learned_from": self.learned_from,
            "not_assessable": reason,
            "features": {n: (None if np.isnan(v) else float(v)) for n, v in zip(self.features, values, strict=True)},
            "modalities": {name: list(pair) for name, pair in self.known(values).items()},
            "horizons_months": [float(t) for t in horizons_months],
            "events": [],
        }
        if reason:
            return said
        rng = np.random.default_rng(seed)
        draws = [rng.multivariate_normal(np.zeros(len(values)), c.covariance, N_DRAWS) for c in self.causes]
        middle = float(horizons_months[len(horizons_months) // 2])
        typical = np.where(np.isin(self.features, self.logged), np.expm1(self.mean), self.mean)
        row = np.where(np.isnan(values), typical, values)
        for number, cause in enumerate(self.causes):
            risk = self.incidence(row[None], horizons_months, number)[0]
            around = np.stack(
                [self.incidence(row[None], horizons_months, number, shift)[0] for shift in zip(*draws, strict=True)]
            )
            parts = shapley_values(
                partial(self._risk_at, middle, number),
                row[None],
                typical[None],
                players={n: [i] for i, n in enumerate(self.features)},
                most_exact=len(self.features),
            )
            said["events"].append(
                {
                    "event": cause.name,
                    "risk": risk.tolist(),
                    "low": np.quantile(around, 0.025, axis=0).tolist(),
                    "high": np.quantile(around, 0.975, axis=0).tolist(),
                    "explained_at_months": middle,
                    "typical_risk": parts.base,
                    "contributions": dict(zip(parts.names, parts.values[0].tolist(), strict=True)),
                }
            )
        return said


def learn(
    names: Sequence[str],
    values: Floats,
    time_months: Floats,
    event: NDArray[np.int64],
    *,
    causes: Sequence[str],
    logged: Sequence[str],
    learned_from: str,
) -> SmallRiskModel:
    """Fit a small model.

    Parameters
    ----------
    names : sequence of str
        Features.
    values : ndarray of float, shape (n, p)
        Their values; NaN where one is missing, which counts as the mean.
    time_months : ndarray of float, shape (n,)
        Time to the first event or the end of follow-up.
    event : ndarray of int, shape (n,)
        0 none, 1 the first cause, and so on.
    causes : sequence of str
        Names of the events 1, 2, ...
    logged : sequence of str
        Features whose logarithm, of the value plus one, counts.
    learned_from : str
        Who the patients are.

    Returns
    -------
    SmallRiskModel
        The model.
    """
    is_logged = np.isin(names, logged)
    terms = np.where(is_logged, np.log1p(np.maximum(values, 0)), values)
    mean, scale = np.nanmean(terms, axis=0), np.nanstd(terms, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = np.nan_to_num((terms - mean) / scale, nan=0.0)
    steps = np.quantile(time_months[event > 0], np.linspace(0, 1, N_STEPS + 1)[1:])
    fitted = []
    for number, name in enumerate(causes, start=1):
        cox = PenalizedCox().fit(z, follow_up(time_months, event == number))
        own = Cause(name, cox.coefficients_, cox.covariance_, step(cox.times_, cox.hazard_, steps))
        fitted.append(own)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    return SmallRiskModel(
        features=tuple(names),
        logged=tuple(logged),
        mean=mean,
        scale=scale,
        low=low,
        high=high,
        times_months=steps,
        causes=tuple(fitted),
        learned_from=learned_from,
    )


def join(
    parts: Mapping[str, SmallRiskModel],
    values: Mapping[str, Floats],
    time_months: Floats,
    event: NDArray[np.int64],
) -> SmallRiskModel:
    """Join the models of several modalities by a Cox model of their log risks, for each event.

    Parameters
    ----------
    parts : mapping of str to SmallRiskModel
        By modality; all with the same causes and times. The first one must be there in every patient.
    values : mapping of str to ndarray of float, shape (n, p)
        Their features; rows of NaN where a patient does not have a modality.
    time_months, event : ndarray, shape (n,)
        As in `learn`.

    Returns
    -------
    SmallRiskModel
        One model of all features, in which a missing modality adds nothing.
    """
    first = next(iter(parts.values()))
    causes = []
    for number, cause in enumerate(first.causes):
        own = [part.causes[number] for part in parts.values()]
        risks = [part.terms(values[name]) @ c.coefficients for (name, part), c in zip(parts.items(), own, strict=True)]
        cox = PenalizedCox().fit(np.column_stack(risks), follow_up(time_months, event == number + 1))
        weight, doubt = cox.coefficients_, np.diag(cox.covariance_)
        coefficients = np.concatenate([w * c.coefficients for w, c in zip(weight, own, strict=True)])
        # Both what a modality says and how it is weighed are estimated.
        blocks = [
            w**2 * c.covariance + d * np.outer(c.coefficients, c.coefficients)
            for w, d, c in zip(weight, doubt, own, strict=True)
        ]
        hazard = step(cox.times_, cox.hazard_, first.times_months)
        causes.append(Cause(cause.name, coefficients, block_diag(*blocks), hazard))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts.values()])
        for name in ("mean", "scale", "low", "high")
    }
    return SmallRiskModel(
        features=tuple(f for part in parts.values() for f in part.features),
        logged=tuple(f for part in parts.values() for f in part.logged),
        times_months=first.times_months,
        causes=tuple(causes),
        learned_from=first.learned_from,
        modalities={name: part.features for name, part in parts.items()},
        **columns,
    )


def _rounded(values: Floats) -> Any:
    return np.vectorize(lambda v: float(f"{v:.{DIGITS}g}"))(values).tolist()


def write_model(model: SmallRiskModel, path: Path) -> None:
    """Write a model as JSON.

    Parameters
    ----------
    model : SmallRiskModel
        The model.
    path : Path
        The file.
    """
    content = {
        "format": FORMAT,
        "learned_from": model.learned_from,
        "features": list(model.features),
        "modalities": {name: list(own) for name, own in model.modalities.items()},
        "logged": list(model.logged),
        "time_unit": model.time_unit,
        "words": {name: list(pair) for name, pair in model.words.items()},
        **{n: _rounded(getattr(model, n)) for n in ("mean", "scale", "low", "high", "times_months")},
        "causes": [
            {
                "name": c.name,
                "coefficients": _rounded(c.coefficients),
                "covariance": _rounded(c.covariance),
                "hazard": _rounded(c.hazard),
            }
            for c in model.causes
        ],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _refuse_misfits(c: Any) -> None:
    """Raise ValueError where numbers do not fit the features, or are none."""
    n, steps = len(c["features"]), len(c["times_months"])
    columns = [c[k] for k in ("mean", "scale", "low", "high")] + [cause["coefficients"] for cause in c["causes"]]
    shapes = [np.shape(v) == (n,) for v in columns] + [np.shape(o["covariance"]) == (n, n) for o in c["causes"]]
    shapes += [np.shape(o["hazard"]) == (steps,) for o in c["causes"]]
    numbers = [*columns, c["times_months"], *(o[k] for o in c["causes"] for k in ("covariance", "hazard"))]
    if c["format"] != FORMAT or not all(shapes) or not all(np.isfinite(v).all() for v in numbers) or not c["causes"]:
        msg = "numbers do not fit the features"
        raise ValueError(msg)


def read_model(path: Path | None = None) -> SmallRiskModel:
    """Read a model.

    Parameters
    ----------
    path : Path, optional
        The file; the shipped one where left out.

    Returns
    -------
    SmallRiskModel
        The model.

    Raises
    ------
    ModelError
        If the file is no such model.
    """
    file = resources.files("spondyl.risk").joinpath("shipped", SHIPPED) if path is None else path
    try:
        c = json.loads(file.read_text(encoding="utf-8"))
        _refuse_misfits(c)
        arrays: dict[str, Any] = {
            n: np.asarray(c[n], dtype=np.float64) for n in ("mean", "scale", "low", "high", "times_months")
        }
        causes = tuple(
            Cause(o["name"], *(np.asarray(o[n], dtype=np.float64) for n in ("coefficients", "covariance", "hazard")))
            for o in c["causes"]
        )
        return SmallRiskModel(
            features=tuple(c["features"]),
            logged=tuple(c["logged"]),
            causes=causes,
            learned_from=str(c["learned_from"]),
            modalities={name: tuple(own) for name, own in c.get("modalities", {}).items()},
            time_unit=str(c.get("time_unit", MONTHS)),
            words={str(k): (str(a), str(b)) for k, (a, b) in c.get("words", {}).items()},
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"a small risk model was wanted, but the file cannot be used ({type(error).__name__}); make it anew"
        raise ModelError(msg) from error
