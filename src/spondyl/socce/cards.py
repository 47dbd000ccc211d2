"""A card for each token: what marks it, how it spreads over primaries, and who shows it best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spondyl.socce.embedding import token_name
from spondyl.socce.views import aligned_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.socce.embedding import Embedding
    from spondyl.socce.encoder import SOCCE

N_MARKS, N_EXAMPLES = 6, 3
"""Features and patients that a card names."""

MARKS_FROM = 0.4
"""Standard deviations from the cohort's mean from which a feature marks a token. Chosen by us."""


@dataclass(frozen=True)
class Mark:
    """A feature in which a token differs from all patients.

    Parameters
    ----------
    modality, feature : str
        The feature.
    difference_sd : float
        Mean of the token less that of the cohort, in standard deviations between patients, scanners aligned.
    """

    modality: str
    feature: str
    difference_sd: float


@dataclass(frozen=True)
class TokenCard:
    """A token in words and numbers.

    Parameters
    ----------
    token : str
        Its name.
    n_patients : int
        Patients who have it.
    share : float
        Their share of the cohort.
    marks : tuple of Mark
        What marks it, the strongest first.
    spread : tuple of (str, float)
        Share of each value of the spread column, such as the primary, among its patients.
    examples : tuple of str
        Ids of the patients who fit it best.
    overlap : float or None
        Bootstrap stability, from 0 to 1; None if it was not measured.
    """

    token: str
    n_patients: int
    share: float
    marks: tuple[Mark, ...]
    spread: tuple[tuple[str, float], ...]
    examples: tuple[str, ...]
    overlap: float | None = None


def aligned_table(model: SOCCE, name: str, table: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Give a modality's features in standard deviations, on the scale of the average scanner.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    name : str
        The modality.
    table : DataFrame
        Its features, by patient id.
    patients : DataFrame
        Confounders, by patient id.

    Returns
    -------
    DataFrame
        Rows of all patients; missing values stay missing.
    """
    view = model.views_[name]
    values = view.scale.apply(aligned_rows(table, view.scale.names, patients.index))
    if view.alignment is not None:
        rows = patients[list(view.alignment.confounders)].to_dict("records")
        values = np.array([view.alignment.apply(v, r)[0] for v, r in zip(values, rows, strict=True)])
    return pd.DataFrame(values, index=patients.index, columns=list(view.scale.names))


def token_cards(
    model: SOCCE,
    embedding: Embedding,
    modalities: Mapping[str, pd.DataFrame],
    patients: pd.DataFrame,
    *,
    spread: str = "",
    overlap: tuple[float, ...] = (),
) -> tuple[TokenCard, ...]:
    """Describe every token.

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
    spread : str, optional
        Column over which a token's spread is told, such as ``"primary"``.
    overlap : tuple of float, optional
        Stability of each token.

    Returns
    -------
    tuple of TokenCard
        In the order of the codebook.
    """
    tables = {
        name: aligned_table(model, name, modalities[name], patients) for name in model.views_ if name in modalities
    }
    found = np.array(embedding.token_names())
    cards = []
    for k in range(len(model.codebook_.weights)):
        name = token_name(k)
        own = np.flatnonzero(found == name)
        marks = [mark for modality, table in tables.items() for mark in _marks(modality, table, own)]
        marks.sort(key=lambda m: -abs(m.difference_sd))
        shares: tuple[tuple[str, float], ...] = ()
        if spread and len(own):
            counts = patients[spread].iloc[own].astype(str).value_counts(normalize=True)
            shares = tuple((str(value), float(share)) for value, share in counts.items())
        best = own[np.argsort(-embedding.assignment.fit[own], kind="stable")[:N_EXAMPLES]]
        cards.append(
            TokenCard(
                name,
                len(own),
                len(own) / max(len(found), 1),
                tuple(marks[:N_MARKS]),
                shares,
                tuple(str(i) for i in embedding.patient_ids[best]),
                overlap[k] if overlap else None,
            )
        )
    return tuple(cards)


def _marks(modality: str, table: pd.DataFrame, own: np.ndarray) -> list[Mark]:
    """Features of a modality that differ; those that fewer than three patients of a token have say nothing."""
    part = table.iloc[own]
    difference = (part.mean() - table.mean()).where(part.notna().sum() >= 3)
    return [
        Mark(modality, str(name), float(value))
        for name, value in difference.items()
        if np.isfinite(value) and abs(value) >= MARKS_FROM
    ]
