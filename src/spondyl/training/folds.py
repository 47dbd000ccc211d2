"""Folds of a cohort: every patient is tested once, by a network that never saw any image of that patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondyl.core import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def patient_folds(patients: Sequence[str], n_folds: int, seed: int) -> list[list[int]]:
    """Split rows of a table into folds by patient.

    Parameters
    ----------
    patients : sequence of str
        Whose each row is.
    n_folds : int
        How many folds; 0 for none.
    seed : int
        Of the shuffle.

    Returns
    -------
    list of list of int
        Rows to test on, for each fold; folds differ by one patient at most.

    Raises
    ------
    InputError
        If there are fewer patients than folds, or one fold is asked for.
    """
    names = sorted(set(patients))
    if n_folds == 0:
        return []
    if not 2 <= n_folds <= len(names):
        msg = (
            f"from 2 to {len(names)} folds are possible with {len(names)} patients, got {n_folds}; ask for fewer, or "
            "for 0 to train on all of them"
        )
        raise InputError(msg)
    order = np.random.default_rng([seed, 5]).permutation(len(names))
    fold_of = {names[i]: rank % n_folds for rank, i in enumerate(order)}
    return [[row for row, name in enumerate(patients) if fold_of[name] == fold] for fold in range(n_folds)]
