"""Patients in the embedding: each is read by itself, so that nobody's place depends on who else is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spondyl.socce.fusion import marginal_evidence, posterior
from spondyl.socce.tokens import REJECTED
from spondyl.socce.views import aligned_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from spondyl.socce.encoder import SOCCE
    from spondyl.socce.tokens import Assignment

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where patients lie.

    Parameters
    ----------
    patient_ids : Index
        The patients.
    mean : ndarray of float, shape (n, d)
        Places; the prior is standard normal.
    covariance : ndarray of float, shape (n, d, d)
        How sure they are; the identity where nothing is known.
    coordinates : ndarray of float, shape (n, c)
        Nonlinear coordinates for maps.
    assignment : Assignment
        Tokens.
    flags : tuple of tuple of str
        For each patient what the reader should know.
    modalities : tuple of tuple of str
        For each patient the modalities that were there.
    """

    patient_ids: pd.Index
    mean: Floats
    covariance: Floats
    coordinates: Floats
    assignment: Assignment
    flags: tuple[tuple[str, ...], ...]
    modalities: tuple[tuple[str, ...], ...]

    def token_names(self) -> list[str]:
        """Name each patient's token.

        Returns
        -------
        list of str
            ``"T1"``, ``"T2"``, ... or ``"reject"``.
        """
        a = self.assignment
        return [REJECTED if r else token_name(k) for k, r in zip(a.nearest, a.rejected, strict=True)]


def token_name(number: int) -> str:
    """Name a token.

    Parameters
    ----------
    number : int
        Its place in the codebook, from 0.

    Returns
    -------
    str
        Such as ``"T1"``.
    """
    return f"T{int(number) + 1}"


def read_patient(
    model: SOCCE, rows: Mapping[str, Floats], patient: Mapping[str, object]
) -> tuple[Floats, Floats, tuple[str, ...], tuple[str, ...]]:
    """Place one patient.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    rows : mapping of str to ndarray of float
        Standardized features by modality; missing ones left out.
    patient : mapping of str to object
        Values of the confounders.

    Returns
    -------
    mean : ndarray of float, shape (d,)
        Place.
    covariance : ndarray of float, shape (d, d)
        How sure.
    flags : tuple of str
        What limits it.
    there : tuple of str
        The modalities that were there.
    """
    size = len(model.link_)
    h, j = np.zeros(size), np.zeros((size, size))
    flags: list[str] = []
    there: list[str] = []
    for name, view in model.views_.items():
        row = rows.get(name)
        if row is None:
            flags.append(f"{name}_missing")
            continue
        found = view.read(np.ascontiguousarray(row), patient)
        h, j = h + found.h, j + found.j
        flags += found.flags
        if f"{name}_missing" not in found.flags:
            there.append(name)
    mean, covariance = posterior(h, j)
    d = model.dimension_
    return mean[:d], covariance[:d, :d], tuple(flags), tuple(there)


def embed_patients(model: SOCCE, modalities: Mapping[str, pd.DataFrame], patients: pd.DataFrame) -> Embedding:
    """Place many patients, one after the other.

    Parameters
    ----------
    model : SOCCE
        Fitted.
    modalities : mapping of str to DataFrame
        Features; rows by patient id.
    patients : DataFrame
        Confounders, by patient id.

    Returns
    -------
    Embedding
        All of them.
    """
    ids = patients.index
    values = {
        name: view.scale.apply(aligned_rows(modalities[name], view.scale.names, ids))
        for name, view in model.views_.items()
        if name in modalities
    }
    columns: dict[str, list[Any]] = {c: list(patients[c]) for c in model.confounders_ if c in patients.columns}
    d = model.dimension_
    mean, covariance = np.empty((len(ids), d)), np.empty((len(ids), d, d))
    coordinates = np.empty((len(ids), model.map_.vectors.shape[1]))
    flags, there = [], []
    evidence = []
    for i in range(len(ids)):
        rows = {name: v[i] for name, v in values.items()}
        own = {name: column[i] for name, column in columns.items()}
        mean[i], covariance[i], limits, present = read_patient(model, rows, own)
        coordinates[i] = model.map_.place(mean[i])
        evidence.append(model.codebook_.assign(*marginal_evidence(mean[i : i + 1], covariance[i : i + 1], d)))
        flags.append(limits)
        there.append(present)
    assignment = type(evidence[0])(*(np.concatenate(parts) for parts in zip(*evidence, strict=True)))
    return Embedding(ids, mean, covariance, coordinates, assignment, tuple(flags), tuple(there))
