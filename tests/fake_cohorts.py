"""Synthetic tables with known truth, and ComBat written out plainly to compare with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class Cohort(NamedTuple):
    """A table, what the average scanner would have measured, and the names of its features."""

    table: pd.DataFrame
    truth: np.ndarray
    names: list[str]


def cohort(seed: int, n: int = 120, p: int = 30, k: int = 5, *, rank: int = 3, learned: int | None = None) -> Cohort:
    """Draw patients on scanners that shift and stretch every feature; age has an effect that is to be kept.

    The average scanner, to which the truth refers, is that of the first `learned` ones.
    """
    rng = np.random.default_rng([2_000_000, seed])
    scanner, age = np.arange(n) % k, rng.normal(60, 12, n)
    loadings = rng.normal(size=(p, rank)) / np.sqrt(2.5 * rank)
    unique = np.clip(1 - (loadings**2).sum(axis=1), 0.15, 1)
    own = rng.normal(size=(n, rank)) @ loadings.T + rng.normal(size=(n, p)) * np.sqrt(unique)
    shift = rng.normal(rng.normal(0, 0.7, (k, 1)), 0.5, (k, p))
    scale = np.exp(rng.normal(0, 0.3, (k, p)))
    share = np.bincount(scanner) * (np.arange(k) < (learned or k))
    share = share / share.sum()
    shift, scale = shift - share @ shift, scale / (share @ scale)
    mean, sd = rng.normal(100, 30, p), rng.uniform(5, 20, p)
    biology = mean + sd * ((age - 60) / 12)[:, None] * rng.normal(0, 0.4, p)
    values = biology + sd * (shift[scanner] + np.sqrt(scale[scanner]) * own)
    names = [f"f{i}" for i in range(p)]
    table = pd.DataFrame(values, columns=names)
    table["scanner"] = [f"s{c}" for c in scanner]
    table["age"] = age
    return Cohort(table, biology + sd * own, names)


def plain_combat(
    values: np.ndarray, scanner: np.ndarray, columns: np.ndarray, *, mean_only: bool = False, parametric: bool = True
) -> np.ndarray:
    """ComBat with empirical Bayes, one feature at a time, as Johnson 2007 has it."""
    n, p = values.shape
    k = scanner.max() + 1
    rows = [np.flatnonzero(scanner == i) for i in range(k)]
    design = np.hstack([np.eye(k)[scanner], columns])
    z, mean, sd = np.empty((n, p)), np.empty((n, p)), np.empty(p)
    for j in range(p):
        b = np.linalg.lstsq(design, values[:, j], rcond=None)[0]
        sd[j] = np.sqrt(np.mean((values[:, j] - design @ b) ** 2))
        mean[:, j] = sum(len(r) / n * b[i] for i, r in enumerate(rows)) + columns @ b[k:]
        z[:, j] = (values[:, j] - mean[:, j]) / sd[j]
    done = np.empty((n, p))
    for r in rows:
        g = z[r].mean(axis=0)
        d = np.ones(p) if mean_only else z[r].var(axis=0, ddof=1)
        solve = plain_parametric if parametric else plain_nonparametric
        gs, ds = solve(z[r], g, d, mean_only=mean_only)
        done[r] = (z[r] - gs) / np.sqrt(ds) * sd + mean[r]
    return done


def plain_parametric(z, g, d, *, mean_only):
    """Posterior means under normal and inverse gamma priors, until the largest relative change is small."""
    t2, n = g.var(ddof=1), len(z)
    if mean_only:
        return (t2 * g + g.mean()) / (t2 + 1), d
    m, s2 = d.mean(), d.var(ddof=1)
    a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    gs, ds = g.copy(), d.copy()
    change = 1.0
    while change > 1e-4:
        new_g = (t2 * n * g + ds * g.mean()) / (t2 * n + ds)
        new_d = (0.5 * ((z - new_g) ** 2).sum(axis=0) + b) / (n / 2 + a - 1)
        change = max((np.abs(new_g - gs) / gs).max(), (np.abs(new_d - ds) / ds).max())
        gs, ds = new_g, new_d
    return gs, ds


def plain_nonparametric(z, g, d, *, mean_only):
    """Averages of the other features' effects, weighted by their likelihood."""
    n, p = z.shape
    gs, ds = np.empty(p), np.empty(p)
    for j in range(p):
        o = np.arange(p) != j
        squares = ((z[:, j, None] - g[o]) ** 2).sum(axis=0)
        weight = (2 * np.pi * d[o]) ** (-n / 2) * np.exp(-squares / (2 * d[o]))
        gs[j], ds[j] = (weight * g[o]).sum() / weight.sum(), (weight * d[o]).sum() / weight.sum()
    return gs, ds
