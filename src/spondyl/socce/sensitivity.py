"""How far the tokens rest on what was declared: the same cohort under other assumptions.

Adjustment for declared confounders is as causal as the declaration. This says what changes if a confounder had not been
declared, if none had, or if a hospital had not taken part; it cannot say what an unrecorded confounder does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from spondyl.core import InputError
from spondyl.socce.alignment import level_of
from spondyl.socce.graph import ConfounderGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from spondyl.socce.embedding import Embedding
    from spondyl.socce.encoder import SOCCE

MOST_LEVELS = 8
"""Hospitals that are left out one after the other, the largest first. Chosen by us, for time."""


class Variation(NamedTuple):
    """What another assumption changes.

    Parameters
    ----------
    assumption : str
        In words.
    agreement : float or None
        Adjusted Rand index with the tokens as declared, over the patients compared; None if nothing could be learned.
    n_tokens : int
        Tokens found.
    n_compared : int
        Patients compared.
    """

    assumption: str
    agreement: float | None
    n_tokens: int
    n_compared: int


def sensitivity(
    model: SOCCE,
    embedding: Embedding,
    modalities: Mapping[str, pd.DataFrame],
    patients: pd.DataFrame,
    *,
    leave_out: str = "",
) -> tuple[Variation, ...]:
    """Learn again under other assumptions.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    embedding : Embedding
        Of the cohort.
    modalities : mapping of str to DataFrame
        The cohort's tables.
    patients : DataFrame
        The cohort's patients.
    leave_out : str, optional
        Column, such as ``"site"``, each of whose levels is left out of learning and then compared as new patients.

    Returns
    -------
    tuple of Variation
        One for each confounder not declared, one for none declared, and one for each level left out.
    """
    graph = model.graph or ConfounderGraph()
    reference = embedding.assignment.nearest
    everyone = np.ones(len(patients), dtype=bool)
    found = []
    for name in graph.acts_on:
        rest = {k: v for k, v in graph.acts_on.items() if k != name}
        other = clone(model).set_params(graph=ConfounderGraph(rest, graph.disease))
        found.append(_compared(f"{name} not declared", other, reference, modalities, patients, everyone))
    if len(graph.acts_on) > 1:
        other = clone(model).set_params(graph=ConfounderGraph({}, graph.disease))
        found.append(_compared("no confounder declared", other, reference, modalities, patients, everyone))
    if leave_out:
        levels = patients[leave_out].map(level_of)
        for level in levels.value_counts().index[:MOST_LEVELS]:
            rows = (levels == level).to_numpy()
            words = f"{leave_out} {level} not in training, then placed as new"
            found.append(_compared(words, clone(model), reference, modalities, patients, rows, train=~rows))
    return tuple(found)


def _compared(
    words: str,
    other: SOCCE,
    reference: np.ndarray,
    modalities: Mapping[str, pd.DataFrame],
    patients: pd.DataFrame,
    rows: np.ndarray,
    *,
    train: np.ndarray | None = None,
) -> Variation:
    """Fit on the training rows and compare tokens of others."""
    try:
        other.fit(modalities, patients if train is None else patients[train])
    except InputError:
        return Variation(words, None, 0, int(rows.sum()))
    tokens = other.embed(modalities, patients[rows]).assignment.nearest
    agreement = float(adjusted_rand_score(reference[rows], tokens))
    return Variation(words, agreement, len(other.codebook_.weights), int(rows.sum()))
