"""Learn what every level looks like from whole synthetic spines, outlined as a network would outline them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.optimize import minimize_scalar

from spondyl.core import Structure
from spondyl.localize.level_cues import CUES, ColumnCues, measure_column
from spondyl.localize.level_model import MODEL_VERSION, MODELED, LevelModel
from spondyl.localize.levels import (
    CALLED_ABSENT,
    CALLED_CUT,
    CALLED_WHOLE,
    PROTOCOLS,
    level_posterior,
)
from spondyl.phantom import build_anatomy

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.phantom import Anatomy

_log = logging.getLogger(__name__)

SPACING_MM = (4.0, 1.0, 1.0)
"""Voxels of the outlines that are measured: thick sagittal slices."""

EXTENT_MM = (88.0, 730.0, 200.0)
"""Size of a field that holds a tall adult's spine from C1 to S2."""

FIRST_SEED = 500_000
"""Seeds of these patients start here, apart from those the networks learn from."""

HELD_OUT = 5
"""Every so-manieth patient is kept out of the fit, to calibrate on."""

FIELD_MM = (180.0, 420.0)
"""Height of a field of view in mm. Chosen by us: short cervical to long thoracolumbar ones."""

ITERATIONS, VARIANCE_FLOOR = 40, 2e-4
"""Rounds of expectation and maximization, and the least variance of a measurement."""

NEIGHBOR_WEIGHT = 6.0
"""Patients' worth by which a level resembles the one above: few have a T13 or L6. Chosen by us."""

N_FACTORS = 14
"""Numbers per patient that move all levels together. Chosen by us: more did not change the likelihood held out."""

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
    "sacrum": (0.10, 0.10),
}
"""Standard deviations by which a network's outlines of a real patient may be off, for all bodies of a patient alike and
for each body. Chosen by us, about the spread between readers and the difference of outlining conventions."""


@dataclass(frozen=True, eq=False)
class LevelExample:
    """One whole column with its true names.

    Parameters
    ----------
    levels : tuple of str
        From C1 down to S2.
    values : ndarray, shape (n, len(CUES))
        Measurements of each body.
    cord_end : float
        As in `ColumnCues`.
    """

    levels: tuple[str, ...]
    values: NDArray[np.float64]
    cord_end: float


def measure_patient(anatomy: Anatomy, rng: np.random.Generator) -> LevelExample:
    """Measure a synthetic spine on outlines as ragged as a network's.

    Parameters
    ----------
    anatomy : Anatomy
        A whole spine.
    rng : numpy.random.Generator
        Draws how the outlines differ from the truth.

    Returns
    -------
    LevelExample
        Measurements and names.
    """
    structure = anatomy.structure.copy()
    named = [v for v in anatomy.vertebrae if v.level in MODELED]
    bodies = np.zeros(structure.shape, np.uint16)
    is_body = np.isin(structure, (Structure.BODY, Structure.CORTEX, Structure.S1))
    bone = is_body | (structure == Structure.SACRUM)
    numbers = np.zeros(256, np.uint16)
    numbers[[v.instance for v in named]] = np.arange(1, len(named) + 1)
    bodies[is_body] = numbers[anatomy.instance[is_body]]
    for number, v in enumerate(named, start=1):
        if v.level == "S2":
            # The sacrum below S1 is one structure; S2's body is what a network sometimes takes for S1.
            bodies[bone & _around(anatomy, v)] = number
    if rng.random() < 0.6:
        inner = ndimage.binary_erosion(bodies > 0, np.ones((1, 3, 3))) & (ndimage.grey_erosion(bodies, (1, 3, 3)) > 0)
        bodies[~inner] = 0
    _fray(structure, rng)
    left = np.unique(bodies[bodies > 0])
    numbers = np.zeros(len(named) + 1, np.uint16)
    numbers[left] = np.arange(1, len(left) + 1)
    cues = measure_column(structure, numbers[bodies], anatomy.grid.spacing_mm)
    return LevelExample(tuple(named[i - 1].level for i in left), cues.values, cues.cord_end)


def _around(anatomy: Anatomy, vertebra: object) -> NDArray[np.bool_]:
    """Where an upright ellipsoid of a vertebral body's size lies."""
    center = anatomy.grid.lps_to_ijk(vertebra.center_lps_mm)  # type: ignore[attr-defined]
    half = (vertebra.half_width_mm, 0.6 * vertebra.height_mm, 1.1 * vertebra.half_depth_mm)  # type: ignore[attr-defined]
    radii = np.asarray(half) / anatomy.grid.spacing_mm
    axes = np.ogrid[tuple(slice(n) for n in anatomy.structure.shape)]
    square = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, center, radii, strict=True))
    return np.asarray(square < 1)


def _fray(structure: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Lose part of the arches and sacrum in patches, and shrink or widen the canal."""
    shape = structure.shape
    coarse = rng.standard_normal([max(2, n // k) for n, k in zip(shape, (4, 12, 12), strict=True)])
    noise = ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    for kind in (Structure.POSTERIOR, Structure.SACRUM):
        structure[(structure == kind) & (noise > rng.uniform(0.2, 3.0))] = Structure.BACKGROUND
    canal, plane = np.isin(structure, (Structure.CANAL, Structure.CORD)), np.ones((1, 3, 3))
    draw = rng.random()
    if draw < 0.25:
        structure[canal & ~ndimage.binary_erosion(canal, plane)] = Structure.BACKGROUND
    elif draw < 0.5:
        wider = ndimage.binary_dilation(canal, plane) & (structure == Structure.BACKGROUND)
        structure[wider] = Structure.CANAL


def make_examples(folder: Path, count: int) -> list[LevelExample]:
    """Measure patients that were not measured yet, and give all.

    Parameters
    ----------
    folder : Path
        Where measurements are kept; resumable.
    count : int
        How many patients.

    Returns
    -------
    list of LevelExample
        In order of seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        path = folder / f"{seed}.json"
        if not path.exists():
            anatomy = build_anatomy(seed, region="whole", spacing_mm=SPACING_MM, extent_mm=EXTENT_MM)
            e = measure_patient(anatomy, np.random.default_rng([seed, 20]))
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps({"levels": e.levels, "values": e.values.tolist(), "cord_end": e.cord_end}))
            partial.rename(path)
            _log.info("column %d measured", seed)
        table = json.loads(path.read_text())
        examples.append(LevelExample(tuple(table["levels"]), np.array(table["values"]), table["cord_end"]))
    return examples


def fit_model(examples: list[LevelExample], *, n_factors: int = N_FACTORS) -> LevelModel:
    """Fit the factor model, and widen it by what outlines of real patients may be off.

    Parameters
    ----------
    examples : list of LevelExample
        Whole columns.
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
        table[patient, [MODELED.index(name) for name in example.levels]] = example.values
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


def sample_study(example: LevelExample, rng: np.random.Generator) -> tuple[tuple[str, ...], ColumnCues]:
    """Cut a column to a field of view and measure it as badly as a network may.

    Parameters
    ----------
    example : LevelExample
        A whole column.
    rng : numpy.random.Generator
        Draws the field and all errors.

    Returns
    -------
    levels : tuple of str
        True names of the bodies that are left.
    cues : ColumnCues
        Their measurements.
    """
    levels, values = example.levels, example.values
    steps = np.exp(values[:-1, CUES.index("step")])
    heights = np.concatenate([[0.0], np.cumsum(np.where(np.isfinite(steps), steps, np.nanmedian(steps)))])
    at = levels.index("L1") + _draw_middle(rng, len(levels) - 1 - levels.index("L1"))
    middle = float(np.interp(at, np.arange(len(levels)), heights))
    low, high = middle - (size := rng.uniform(*FIELD_MM)) / 2, middle + size / 2
    inside = np.flatnonzero((heights > low) & (heights < high))
    inside = inside[:-1] if levels[inside[-1]] == "S2" and len(inside) > 2 else inside
    first, last = int(inside[0]), int(inside[-1])
    room = (heights[first] - low) / steps[first] - 0.4, (high - heights[last]) / steps[min(last, len(steps) - 1)] - 0.4
    part = _disturb(values[first : last + 1], rng)
    part[-1, [CUES.index("step"), CUES.index("tilt"), CUES.index("disc")]] = np.nan
    for end, space in ((0, room[0]), (-1, room[1])):
        if space < 0.1:
            part[0 if end == 0 else max(len(part) - 2, 0), [CUES.index("step"), CUES.index("disc")]] = np.nan
            part[end, [CUES.index(c) for c in ("depth", "height", "width", "taper", "arch", "disc", "sacrum")]] = np.nan
    cord = example.cord_end - first + rng.normal(0, 0.5)
    cord = np.inf if cord > last - first + 0.5 else -np.inf if cord < -0.5 else cord
    cues = ColumnCues(
        part,
        np.zeros(len(part)),
        float(cord),
        float(np.interp(middle, heights, np.arange(len(levels)))) - first,
        float(room[0]),
        float(room[1]),
        bool(room[1] < 0.1),
    )
    return _call(levels[first : last + 1], cues, rng)


def _draw_middle(rng: np.random.Generator, lowest: int) -> float:
    """Middle of the field in bodies below L1, as `PROTOCOLS` tell."""
    pick = rng.choice(len(PROTOCOLS) + 1, p=[*(p for *_, p in PROTOCOLS), 1 - sum(p for *_, p in PROTOCOLS)])
    draw = rng.uniform(-18, 4) if pick == len(PROTOCOLS) else rng.normal(*PROTOCOLS[pick][:2])
    return float(np.clip(draw, -17, lowest - 2))


def _disturb(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    alike, own = np.array([BLIND[name] for name in CUES]).T
    return values + rng.normal(0, alike) + rng.normal(0, own, values.shape)


def _call(levels: tuple[str, ...], cues: ColumnCues, rng: np.random.Generator) -> tuple[tuple[str, ...], ColumnCues]:
    """Let the network call a body S1, rightly most of the time."""
    shares = np.zeros(len(levels))
    if levels[-1] != "S1":
        shares[-1] = float(rng.random() < CALLED_ABSENT)
    else:
        odds = CALLED_CUT if cues.room_below < 1 else CALLED_WHOLE
        said = str(rng.choice(list(odds), p=list(odds.values())))
        shares[-1], shares[-2] = float(said == "S1"), float(said == "other")
    return levels, replace(cues, sacral_share=shares)


def calibrate(model: LevelModel, examples: list[LevelExample], *, seed: int = 0, count: int = 200) -> LevelModel:
    """Choose the temperature under which true levels of unseen patients are most probable.

    Parameters
    ----------
    model : LevelModel
        From `fit_model`.
    examples : list of LevelExample
        Patients that were not fitted.
    seed : int, optional
        Of the fields of view.
    count : int, optional
        How many fields.

    Returns
    -------
    LevelModel
        With its temperature.
    """
    rng = np.random.default_rng(seed)
    studies = [sample_study(examples[i % len(examples)], rng) for i in range(count)]

    def surprise(log_temperature: float) -> float:
        tempered = replace(model, temperature=float(np.exp(log_temperature)))
        total = 0.0
        for levels, cues in studies:
            posterior = level_posterior(cues, tempered)
            if posterior is not None:
                true = [row[MODELED.index(name)] for name, row in zip(levels, posterior.probabilities, strict=True)]
                total -= float(np.log(np.maximum(true, 1e-9)).mean())
        return total / count

    found = minimize_scalar(surprise, bounds=(0.0, 2.5), method="bounded", options={"xatol": 0.05, "maxiter": 12})
    _log.info("temperature %.2f, surprise %.3f nats a body", np.exp(found.x), found.fun)
    return replace(model, temperature=float(np.exp(found.x)))


def train_levels(folder: Path, out: Path, *, count: int = 500) -> LevelModel:
    """Measure synthetic spines, fit, calibrate and write the model.

    Parameters
    ----------
    folder : Path
        Where measurements are kept.
    out : Path
        JSON file to write.
    count : int, optional
        Patients.

    Returns
    -------
    LevelModel
        What was written.
    """
    examples = make_examples(folder, count)
    kept = [e for i, e in enumerate(examples) if i % HELD_OUT]
    model = calibrate(fit_model(kept), examples[::HELD_OUT])
    write_model(model, out, count=count)
    return model


def write_model(model: LevelModel, out: Path, *, count: int) -> None:
    """Write the model with its card.

    Parameters
    ----------
    model : LevelModel
        To write.
    out : Path
        JSON file.
    count : int
        Patients it was learnt from.
    """
    table = {
        "model_version": MODEL_VERSION,
        "card": {
            "task": "Tells vertebral levels apart by measurements of their outlines",
            "data": "geometry of synthetic patients of spondyl.phantom alone; no real image was seen",
            "seeds": [FIRST_SEED, FIRST_SEED + count - 1],
            "calibrated": f"every {HELD_OUT}th patient was kept out of the fit; the temperature was chosen on them",
            "limits": "Research use only. Ribs are not looked at. How it fares on patients must be measured.",
        },
        "levels": MODELED,
        "cues": CUES,
        "temperature": round(model.temperature, 3),
        "mean": np.round(model.mean, 4).tolist(),
        "noise": np.round(model.noise, 6).tolist(),
        "loadings": np.round(model.loadings, 4).tolist(),
    }
    partial = out.with_suffix(".part")
    partial.write_text(json.dumps(table, separators=(",", ":")), encoding="utf-8")
    partial.rename(out)
