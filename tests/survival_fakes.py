"""Patients whose hazard is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spondyl.risk.outcome import follow_up


class Drawn(NamedTuple):
    """Features, follow-up, the time without censoring, and the true log relative risk."""

    x: np.ndarray
    y: np.ndarray
    time: np.ndarray
    score: np.ndarray


def drawn(seed: int, n: int = 300, p: int = 4, *, censored: float = 0.4, kind: str = "linear") -> Drawn:
    """Exponential times; risks add up, or peak where two features are near zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    peak = 3 * np.exp(-(x[:, 0] ** 2) - x[:, 1 % p] ** 2)
    score = x[:, 0] - 0.5 * x[:, 1 % p] if kind == "linear" else peak
    time = rng.exponential(np.exp(-score)) * 10
    leaves = rng.exponential(np.quantile(time, 1 - censored) * 1.5, n)
    return Drawn(x, follow_up(np.minimum(time, leaves), time <= leaves), time, score)
