"""How far tokens depend on who happened to be in the cohort: all is learned again from resampled patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from spondyl.socce.encoder import SOCCE

    Floats = NDArray[np.float64]

STABLE = 0.75
"""Mean overlap from which a token counts as stable (Hennig 2007, Comput Stat Data Anal 52:258)."""


class Stability(NamedTuple):
    """Agreement of tokens with those learned from resampled patients.

    Parameters
    ----------
    mean_ari : float
        Mean adjusted Rand index (Hubert 1985) over all patients.
    ari : tuple of float
        Of each resample.
    overlap : tuple of float
        For each token the mean Jaccard index with the most similar one of each resample.
    """

    mean_ari: float
    ari: tuple[float, ...]
    overlap: tuple[float, ...]


def token_stability(
    model: SOCCE,
    modalities: Mapping[str, pd.DataFrame],
    patients: pd.DataFrame,
    *,
    n_resamples: int = 20,
    seed: int = 0,
) -> Stability:
    """Learn again from patients drawn with replacement, and see whether the tokens are the same.

    Parameters
    ----------
    model : SOCCE
        Fitted; scanners, encoders and tokens are all learned again. Only the number of tokens is kept, since patients
        drawn twice look like a cluster to a criterion that counts patients (Hennig 2007).
    modalities : mapping of str to DataFrame
        The cohort it was fitted on.
    patients : DataFrame
        Of the same cohort.
    n_resamples : int, optional
        How often.
    seed : int, optional
        Of the draws.

    Returns
    -------
    Stability
        One for tokens that never change.
    """
    reference = model.embed(modalities, patients).assignment.nearest
    n_tokens = len(model.codebook_.weights)
    rng = np.random.default_rng([seed, 13])
    ari, overlap = [], np.zeros((n_resamples, n_tokens))
    for number in range(n_resamples):
        drawn = patients.index[rng.integers(len(patients), size=len(patients))]
        again, tables = resampled(modalities, patients, drawn)
        other = (
            clone(model).set_params(n_tokens=n_tokens).fit(tables, again).embed(modalities, patients).assignment.nearest
        )
        ari.append(float(adjusted_rand_score(reference, other)))
        for k in range(n_tokens):
            own = reference == k
            shared = [float((own & (other == m)).sum() / (own | (other == m)).sum()) for m in np.unique(other)]
            overlap[number, k] = max(shared) if own.any() else 0.0
    return Stability(float(np.mean(ari)), tuple(ari), tuple(float(v) for v in overlap.mean(axis=0)))


def resampled(
    modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame, drawn: pd.Index
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Make a cohort of patients drawn, some more than once.

    Parameters
    ----------
    modalities : mapping of str to DataFrame
        Tables by patient id.
    patients : DataFrame
        By patient id.
    drawn : Index
        Ids, some more than once.

    Returns
    -------
    patients : DataFrame
        With ids of their own.
    modalities : dict of str to DataFrame
        Of the same ids.
    """
    names = [f"{i}" for i in range(len(drawn))]
    tables = {}
    for name, table in modalities.items():
        there = drawn.isin(table.index)
        tables[name] = table.loc[drawn[there]].set_axis([n for n, t in zip(names, there, strict=True) if t], axis=0)
    return patients.loc[drawn].set_axis(names, axis=0), tables
