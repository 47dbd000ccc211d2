"""Learn what every level looks like from synthetic studies, outlined by the network as a study is."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from spondyl.core import SettingsError
from spondyl.localize.level_cues import CUES
from spondyl.localize.level_model import MODEL_VERSION, MODELED, LevelModel
from spondyl.localize.levels import level_posterior
from spondyl.localize.ribs import sum_of_sides
from spondyl.training.level_studies import (
    FIRST_RIB_SEED,
    FIRST_SEED,
    FIRST_VARIANT_SEED,
    make_examples,
    packaged_network,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.localize.level_cues import ColumnCues
    from spondyl.localize.ribs import RibModel
    from spondyl.training.level_studies import LevelExample

_log = logging.getLogger(__name__)

HELD_OUT = 5
"""Every so-manieth patient is kept out of the fit, to calibrate on."""

ITERATIONS, VARIANCE_FLOOR = 40, 2e-4
"""Rounds of expectation and maximization, and the least variance of a measurement."""

NEIGHBOR_WEIGHT = 6.0
"""Patients' worth by which a level resembles the one above: few have a T13 or L6. Chosen by us."""

N_FACTORS = 6
"""Numbers per patient that move all levels together. Chosen by us: more did not change the likelihood held out."""

START, BOUNDS, SURPRISE_FLOOR = (2.0, 0.8), ((0.0, 2.5), (-2.5, 1.5)), 1e-4
"""First temperature and weight that are tried, bounds of their logarithms, and the least probability that counts."""

FIRST_STEP = -0.5
"""First step of either logarithm. Chosen by us."""

BLIND = {
    "depth": (0.06, 0.04),
    "height": (0.06, 0.05),
    "width": (0.10, 0.08),
    "taper": (0.04, 0.05),
    "step": (0.03, 0.03),
    "tilt": (0.10, 0.05),
    "canal": (0.18, 0.12),
    "arch": (0.35, 0.25),
    "disc": (0.18, 0.12),
    "sacrum": (0.25, 0.20),
}
"""Standard deviations by which a network's outlines of a real patient may be off from those of synthetic ones, for all
bodies of a patient alike and for each body. Chosen by us, about the spread between readers and the difference of
outlining conventions."""


def fit_model(examples: list[LevelExample], *, n_factors: int = N_FACTORS) -> LevelModel:
    """Fit the factor model, and widen it by what outlines of real patients may be off.

    Parameters
    ----------
    examples : list of LevelExample
        Parts of columns; what a study does not show is a gap.
    n_factors : int, optional
        Numbers per patient.

    Returns
    -------
    LevelModel
        With a temperature of 1.

    References
    ----------
    Rubin and Thayer 1982 (doi 10.1007/BF02293851): factor analysis by expectation and maximization; Liu, Rubin and Wu
    1998 (doi 10.1093/biomet/85.4.755): with expanded parameters, which converges faster.
    """
    n_levels, n_cues = len(MODELED), len(CUES)
    table = np.full((len(examples), n_levels, n_cues), np.nan)
    for patient, example in enumerate(examples):
        known = [i for i, name in enumerate(example.levels) if name in MODELED]
        table[patient, [MODELED.index(example.levels[i]) for i in known]] = example.cues.values[known]
    flat = table.reshape(len(examples), -1)
    weights, noise = _factor_analysis(flat, n_factors)
    mean = weights[:, 0].reshape(n_levels, n_cues)
    loadings = weights[:, 1:].reshape(n_levels, n_cues, n_factors)
    alike, own = np.array([BLIND[name] for name in CUES]).T
    blind = np.broadcast_to(np.diag(alike), (n_levels, n_cues, n_cues))
    return LevelModel(
        mean, np.concatenate([loadings, blind], axis=-1), noise.reshape(n_levels, n_cues) + own**2, temperature=1.0
    )


def _factor_analysis(table: NDArray[np.float64], n_factors: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and loadings, shape (d, 1 + n_factors), and noise variance of each column, gaps allowed."""
    known = np.isfinite(table)
    x = np.where(known, table, 0.0)
    count = np.maximum(known.sum(0), 1)
    mean = x.sum(0) / count
    spread = np.maximum((known * (x - mean) ** 2).sum(0) / count, VARIANCE_FLOOR)
    start = np.random.default_rng(0).normal(0, 0.3, (table.shape[1], n_factors)) * np.sqrt(spread)[:, None]
    weights, noise = np.column_stack([mean, start]), 0.5 * spread
    above = _level_above(table.shape[1])
    for _ in range(ITERATIONS):
        precision = known / noise
        w = weights[:, 1:]
        gram = np.eye(n_factors) + np.einsum("pd,dk,dm->pkm", precision, w, w, optimize=True)
        covariance = np.linalg.inv(gram)
        factors = np.einsum("pkm,pm->pk", covariance, (precision * (x - weights[:, 0])) @ w)
        one = np.column_stack([np.ones(len(x)), factors])
        second = one[:, :, None] * one[:, None]
        second[:, 1:, 1:] += covariance
        moment = np.einsum("pd,pkm->dkm", known, second, optimize=True)
        cross = (known * x).T @ one
        # A level few patients have leans on the one above it.
        ridge = NEIGHBOR_WEIGHT * np.eye(n_factors + 1) / (1 + count / NEIGHBOR_WEIGHT)[:, None, None]
        weights = np.linalg.solve(moment + ridge, cross[..., None] + ridge @ weights[above][..., None])[..., 0]
        fitted = np.einsum("dk,dkm,dm->d", weights, moment, weights) - 2 * (weights * cross).sum(1)
        noise = np.maximum(((known * x**2).sum(0) + fitted + spread) / (count + 1), VARIANCE_FLOOR)
        # Factors are standard normal by definition; without this their scale would converge very slowly.
        shift = factors.mean(0)
        scale = np.linalg.cholesky(second[:, 1:, 1:].mean(0) - np.outer(shift, shift))
        weights = np.column_stack([weights[:, 0] + weights[:, 1:] @ shift, weights[:, 1:] @ scale])
    return weights, noise


def _level_above(n_columns: int) -> NDArray[np.intp]:
    """For each measurement of a level the same of the level above; C1 is its own."""
    columns = np.arange(n_columns)
    return np.where(columns < len(CUES), columns, columns - len(CUES))


def seen_by(model: RibModel, example: LevelExample) -> ColumnCues:
    """Give a study's measurements with the ribs that a network sees beside its bodies.

    Parameters
    ----------
    model : RibModel
        The network.
    example : LevelExample
        The study.

    Returns
    -------
    ColumnCues
        As `spondyl.localize` makes them.
    """
    return replace(example.cues, ribs=sum_of_sides(model.log_odds(example.boxes)))


def calibrate(model: LevelModel, examples: list[LevelExample]) -> LevelModel:
    """Choose temperature and weight under which true levels of unseen patients are most probable.

    Parameters
    ----------
    model : LevelModel
        From `fit_model`, with its ribs.
    examples : list of LevelExample
        Patients that were not fitted.

    Returns
    -------
    LevelModel
        With both.
    """
    studies = [
        (e.levels, e.cues if model.ribs is None else seen_by(model.ribs, e))
        for e in examples
        if any(name in MODELED for name in e.levels)
    ]

    def surprise(logs: NDArray[np.float64]) -> float:
        temperature, weight = np.exp(logs)
        tempered = replace(model, temperature=float(temperature), rib_weight=float(weight))
        total = 0.0
        for levels, cues in studies:
            posterior = level_posterior(cues, tempered)
            if posterior is not None:
                pairs = zip(levels, posterior.probabilities, strict=True)
                true = [row[MODELED.index(name)] for name, row in pairs if name in MODELED]
                total -= float(np.log(np.maximum(true, SURPRISE_FLOOR)).mean())
        return total / len(studies)

    # The first steps are wide, since a simplex that starts small ends where it starts.
    simplex = np.log(START) + np.array([[0.0, 0.0], [FIRST_STEP, 0.0], [0.0, FIRST_STEP]])
    options = {"xatol": 0.05, "fatol": 1e-3, "maxfev": 40, "initial_simplex": simplex}
    found = minimize(surprise, np.log(START), method="Nelder-Mead", bounds=BOUNDS, options=options)
    temperature, weight = (float(x) for x in np.exp(found.x))
    _log.info("temperature %.2f, rib weight %.2f, surprise %.3f nats a body", temperature, weight, found.fun)
    return replace(model, temperature=temperature, rib_weight=weight)


def train_levels(folder: Path, out: Path, *, count: int = 580, rib_count: int = 400) -> LevelModel:
    """Measure synthetic studies, fit, calibrate and write the model.

    Parameters
    ----------
    folder : Path
        Where measurements are kept.
    out : Path
        JSON file to write.
    count : int, optional
        Patients whose levels are learnt.
    rib_count : int, optional
        Patients whose ribs are learnt.

    Returns
    -------
    LevelModel
        What was written.
    """
    from spondyl.training.ribs import fit_ribs, make_rib_examples  # torch is slow to import

    network = packaged_network()
    examples = make_examples(folder / "levels", count, network)
    ribs = fit_ribs(make_rib_examples(folder / "ribs", rib_count))
    kept = [e for i, e in enumerate(examples) if i % HELD_OUT]
    model = calibrate(replace(fit_model(kept), ribs=ribs), examples[::HELD_OUT])
    write_model(model, out, patients={"levels": count, "ribs": rib_count}, network=network.sha256)
    return model


def write_model(model: LevelModel, out: Path, *, patients: dict[str, int], network: str) -> None:
    """Write the model with its card.

    Parameters
    ----------
    model : LevelModel
        To write, with its ribs.
    out : Path
        JSON file.
    patients : dict of str to int
        How many its ``levels`` and its ``ribs`` were learnt from.
    network : str
        SHA-256 of the network that outlined them.

    Raises
    ------
    SettingsError
        If the model has no ribs.
    """
    if model.ribs is None:
        msg = "a model of levels with a network that tells ribs is wanted, got none; train it with fit_ribs"
        raise SettingsError(msg)
    table = {
        "model_version": MODEL_VERSION,
        "card": {
            "task": "Tells vertebral levels apart by measurements of their outlines and the ribs beside them",
            "data": "images of synthetic patients of spondyl.phantom alone; no real image was seen",
            "seeds": {"usual": FIRST_SEED, "variants": FIRST_VARIANT_SEED, "ribs": FIRST_RIB_SEED},
            "patients": patients,
            "outlined_by": network,
            "ribs": "learnt from patients in whom any vertebra may bear ribs, so that nothing but ribs tells",
            "calibrated": f"every {HELD_OUT}th patient was kept out of the fit; temperature and weight stem from them",
            "limits": "Research use only. How it fares on patients must be measured.",
        },
        "levels": MODELED,
        "cues": CUES,
        "temperature": round(model.temperature, 3),
        "mean": np.round(model.mean, 4).tolist(),
        "noise": np.round(model.noise, 6).tolist(),
        "loadings": np.round(model.loadings, 4).tolist(),
        "rib_weight": round(model.rib_weight, 3),
        "ribs": {
            "filters": [np.round(w, 4).tolist() for w in model.ribs.filters],
            "weights": [np.round(w, 4).tolist() for w in model.ribs.weights],
            "biases": [np.round(b, 4).tolist() for b in model.ribs.biases],
        },
    }
    partial = out.with_suffix(".part")
    partial.write_text(json.dumps(table, separators=(",", ":")), encoding="utf-8")
    partial.rename(out)
