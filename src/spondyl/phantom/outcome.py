"""What becomes of synthetic patients: findings at the first study, then a skeletal event, death, or neither.

A table, not images: survival needs thousands of patients, and what a prognosis is learned from is a table anyway.
Hazards follow biology, burden and compression by numbers chosen here; the truth is kept beside what is observed, so
that predicted risks can be held against the risks that were meant. Nothing here is clinical knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FEATURES = (
    "malignant_lesions",
    "malignant_volume_ml",
    "largest_diameter_mm",
    "epidural_lesions",
    "vertebrae_involved_share",
)
"""What the first study shows, by the names under which an analysis finds it, too."""

CLINICAL = ("karnofsky", "albumin_g_l", "organ_metastases")
OMICS = ("tp53_altered", "mutations_per_mb")
"""What the clinical form and omics tell besides; organ metastases and TP53 as 0 or 1."""

CLINICAL_GAP, NO_OMICS = 0.2, 0.5
"""Share of clinical values that nobody wrote down, and of patients without omics. Chosen by us."""

SKELETAL, DEATH = 1, 2
"""Codes of the events: a new vertebral fracture or cord compression, and death before it."""

DEATH_HAZARD_PER_MONTH = 0.045
"""Of a patient at the middle of everything: half are dead after 15 months, as after spine metastasis in general."""

SKELETAL_HAZARD_PER_MONTH = 0.02
"""Of the same patient: every fourth within a year or so. Chosen by us."""

DEATH_EFFECTS = {"biology": 0.55, "burden": 0.35, "compression": 0.25}
"""Log hazard ratios of death per standard deviation of each cause. Chosen by us."""

SKELETAL_EFFECTS = {"biology": 0.20, "burden": 0.55, "compression": 0.60}
"""Log hazard ratios of a skeletal event. Chosen by us."""

SHAPE = {SKELETAL: 0.9, DEATH: 1.1}
"""Weibull shapes: compression comes rather early, death rather late. Chosen by us."""

FOLLOW_UP_MONTHS = (12.0, 48.0)
"""Between these, evenly, the study ends for each patient."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Synthetic patients with what became of them.

    Parameters
    ----------
    features : ndarray of float, shape (n, 5)
        `FEATURES` at the first study.
    time_months : ndarray of float, shape (n,)
        Time to the first event or the end of follow-up.
    event : ndarray of int, shape (n,)
        0 none, `SKELETAL` or `DEATH`.
    true_time_months : ndarray of float, shape (n, 2)
        When each event would come if there were nothing else.
    log_hazard : ndarray of float, shape (n, 2)
        True log hazard ratios of both events.
    bedside : ndarray of float, shape (n, 5)
        `CLINICAL`, then `OMICS`; NaN where nobody knows.
    """

    features: Floats
    time_months: Floats
    event: NDArray[np.int64]
    true_time_months: Floats
    log_hazard: Floats
    bedside: Floats

    def true_incidence(self, times_months: ArrayLike, cause: int, *, n_steps: int = 400) -> Floats:
        """Give the probability that was meant of having had an event, before the other.

        Parameters
        ----------
        times_months : array_like of float, shape (n_times,)
            Rising times.
        cause : int
            `SKELETAL` or `DEATH`.
        n_steps : int, optional
            Steps of the integral.

        Returns
        -------
        ndarray of float, shape (n, n_times)
            From 0 to 1.
        """
        at = np.asarray(times_months, dtype=np.float64)
        grid = np.linspace(0, at.max(), n_steps + 1)
        hazards = {c: _hazard(grid, c) * np.exp(self.log_hazard[:, [c - 1]]) for c in (SKELETAL, DEATH)}
        steps = {c: np.diff(h, axis=1) for c, h in hazards.items()}
        free = np.exp(-(hazards[SKELETAL] + hazards[DEATH]))
        total = steps[SKELETAL] + steps[DEATH]
        reached = np.cumsum(steps[cause] / total * (free[:, :-1] - free[:, 1:]), axis=1)
        reached = np.hstack([np.zeros((len(reached), 1)), reached])
        return np.stack([np.interp(at, grid, row) for row in reached])


def _hazard(time: Floats, cause: int) -> Floats:
    rate = {SKELETAL: SKELETAL_HAZARD_PER_MONTH, DEATH: DEATH_HAZARD_PER_MONTH}[cause]
    return (rate * time) ** SHAPE[cause]


def simulate_outcomes(n_patients: int, seed: int = 0) -> Outcomes:
    """Draw patients and let time pass.

    Parameters
    ----------
    n_patients : int
        Patients, each with at least one malignant lesion.
    seed : int, optional
        Seed.

    Returns
    -------
    Outcomes
        The same for the same seed.
    """
    rng = np.random.default_rng(seed)
    biology, spread = rng.normal(size=n_patients), rng.normal(size=n_patients)
    # Aggressive disease has more, larger and more often epidural lesions.
    count = 1 + rng.poisson(np.exp(0.6 + 0.45 * spread + 0.25 * biology))
    typical_ml = np.exp(rng.normal(0.6 + 0.3 * biology, 0.7))
    volume = count * typical_ml * np.exp(rng.normal(0, 0.2, n_patients))
    diameter = 14 * np.cbrt(typical_ml) * np.exp(rng.normal(0.15, 0.15, n_patients))
    epidural = rng.binomial(count, 0.12 * np.exp(0.4 * np.clip(biology, -2, 1.5)))
    involved = np.minimum(count, 17) / 17 * rng.uniform(0.85, 1.0, n_patients)
    burden = (np.log(volume) - 1.9) / 1.1
    compression = (np.minimum(epidural, 3) - 0.4) / 0.7
    causes = {"biology": biology, "burden": burden, "compression": compression}
    effects = (SKELETAL_EFFECTS, DEATH_EFFECTS)
    log_hazard = np.stack([sum(b * causes[k] for k, b in e.items()) for e in effects], axis=1)
    uniform = -np.log(rng.random((n_patients, 2)))
    rate = np.array([SKELETAL_HAZARD_PER_MONTH, DEATH_HAZARD_PER_MONTH])
    shape = np.array([SHAPE[SKELETAL], SHAPE[DEATH]])
    true_time = (uniform * np.exp(-log_hazard)) ** (1 / shape) / rate
    end = rng.uniform(*FOLLOW_UP_MONTHS, n_patients)
    first = true_time.min(axis=1)
    event = np.where(first <= end, true_time.argmin(axis=1) + 1, 0)
    features = np.stack([count, volume, diameter, epidural, involved], axis=1).astype(np.float64)
    bedside = _bedside(biology, burden, np.random.default_rng([seed, 1]))
    return Outcomes(features, np.minimum(first, end), event.astype(np.int64), true_time, log_hazard, bedside)


def _bedside(biology: Floats, burden: Floats, rng: np.random.Generator) -> Floats:
    """What is known beside the images: aggressive and extensive disease shows there, too. Numbers chosen by us."""
    n = len(biology)
    karnofsky = np.clip(10 * np.round((78 - 8 * biology - 6 * burden + rng.normal(0, 10, n)) / 10), 10, 100)
    albumin = np.clip(38 - 2.0 * biology - 1.5 * burden + rng.normal(0, 3.5, n), 15, 55)
    organs = (rng.random(n) < 1 / (1 + np.exp(0.2 - 0.8 * biology))).astype(np.float64)
    tp53 = (rng.random(n) < 1 / (1 + np.exp(0.3 - 0.9 * biology))).astype(np.float64)
    mutations = np.exp(rng.normal(1.1 + 0.25 * biology, 0.7))
    told = np.stack([karnofsky, albumin, organs, tp53, mutations], axis=1)
    clinical, omics = slice(0, len(CLINICAL)), slice(len(CLINICAL), None)
    told[:, clinical][rng.random((n, len(CLINICAL))) < CLINICAL_GAP] = np.nan
    told[rng.random(n) < NO_OMICS, omics] = np.nan
    return told
