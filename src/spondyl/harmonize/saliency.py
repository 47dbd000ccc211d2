"""How prominent a lesion is against the patient's own normal marrow, and which sequences say so.

Change is counted in standard deviations of the patient's normal marrow on the harmonized scale, in the direction that
tumor takes on each sequence, less what chance alone would give::

    z_s   = (lesion_s - marrow_s) / sqrt(spread_s^2 + sd_lesion_s^2 + sd_marrow_s^2)
    d_s   = max(0, direction_s z_s)          or |z_s| where tumor goes either way
    D^2   = max(0, sum_s d_s^2 - sum_s e_s)  with e_s = 1/2, or 1 where tumor goes either way
    score = 1 - 2^(-(D / 3)^2)

``e_s`` is the mean of ``d_s^2`` in normal marrow, so that more sequences alone make nothing prominent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spondyl.core import InputError, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

TUMOR_DIRECTION: dict[Sequence, int] = {
    Sequence.T1: -1,
    Sequence.T1CE: 0,
    Sequence.T2: 0,
    Sequence.T2FS: 1,
    Sequence.STIR: 1,
    Sequence.PD: 0,
    Sequence.DWI: 1,
    Sequence.ADC: 1,
    Sequence.DIXON_WATER: 1,
    Sequence.DIXON_FAT: -1,
    Sequence.DIXON_IN: 0,
    Sequence.DIXON_OUT: 1,
}
"""Where tumor takes the signal of fatty marrow. It replaces fat by water: T1 and the fat image darken, fluid-weighted
and opposed-phase images brighten, and ADC rises, from 0.42 in normal marrow to 1.05 x 10^-3 mm^2/s in metastases and
myeloma (Messiou 2011). 0 where lytic and sclerotic tumor, or protocols with and without fat suppression, go different
ways. Dense sclerotic tumor, dark on every sequence, is prominent by T1 alone."""

HALF_PROMINENT_SD = 3.0
"""Change in standard deviations of normal marrow at which the score is 0.5: what few voxels of normal marrow reach.
Chosen by us."""

LESION_COLUMN = re.compile(r"^(?P<sequence>[A-Z0-9_]+?)_(?P<what>lesion|marrow|marrow_sd)$")
"""Names of the columns from which saliency is computed: ``T1_lesion``, ``T1_marrow``, ``T1_marrow_sd``."""


class Saliency(NamedTuple):
    """How prominent lesions are.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        From 0, like normal marrow, to 1; NaN where no sequence could be compared.
    contributions : ndarray of float, shape (n, s)
        Part of the score that each sequence gives; they sum to it. 0 where a sequence is missing.
    sequences : tuple of Sequence
        The s sequences.
    """

    score: NDArray[np.float64]
    contributions: NDArray[np.float64]
    sequences: tuple[Sequence, ...]


def lesion_saliency(change: NDArray[np.float64], spread: NDArray[np.float64], sequences: Ordered[Sequence]) -> Saliency:
    """Score lesions by their change against normal marrow.

    Parameters
    ----------
    change : ndarray of float, shape (n, s)
        Lesion minus the patient's normal marrow, harmonized; NaN where a sequence is missing.
    spread : ndarray of float, shape (n, s)
        Standard deviation of normal marrow and of the measurement together, in the same unit; more than 0.
    sequences : sequence of Sequence
        The s sequences.

    Returns
    -------
    Saliency
        Scores and contributions.

    Raises
    ------
    InputError
        If a sequence has no known direction, or shapes differ.
    """
    unknown = [str(s) for s in sequences if s not in TUMOR_DIRECTION]
    if unknown or change.shape != spread.shape or change.shape[1] != len(sequences):
        msg = (
            f"saliency wants change and spread of one shape with a column for each of {', '.join(TUMOR_DIRECTION)}, "
            f"got {change.shape} and {spread.shape} for {', '.join(map(str, sequences))}"
        )
        raise InputError(msg)
    direction = np.array([TUMOR_DIRECTION[s] for s in sequences])
    usable = np.isfinite(change) & np.isfinite(spread) & (spread > 0)
    z = np.divide(change, spread, out=np.zeros(change.shape), where=usable)
    d = np.where(direction == 0, np.abs(z), np.maximum(direction * z, 0.0))
    squares = np.where(usable, d**2, 0.0)
    total = squares.sum(axis=1)
    by_chance = (usable * np.where(direction == 0, 1.0, 0.5)).sum(axis=1)
    score = 1 - 2.0 ** (-np.maximum(total - by_chance, 0.0) / HALF_PROMINENT_SD**2)
    share = np.divide(squares, total[:, None], out=np.zeros(squares.shape), where=total[:, None] > 0)
    return Saliency(
        np.where(usable.any(axis=1), score, np.nan), share * score[:, None], tuple(Sequence(s) for s in sequences)
    )


def scan_saliency(scores: NDArray[np.float64]) -> float:
    """Score a scan by its most prominent lesion.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        Scores of its lesions.

    Returns
    -------
    float
        The largest; 0 for a scan without lesions, NaN where none could be compared.
    """
    known = scores[np.isfinite(scores)]
    return float(known.max()) if len(known) else float("nan") if len(scores) else 0.0


def table_saliency(names: Ordered[str], values: NDArray[np.float64], sd: NDArray[np.float64]) -> Saliency | None:
    """Score the lesions of a harmonized table by the names of its columns.

    Parameters
    ----------
    names : sequence of str
        Columns; ``T1_lesion``, ``T1_marrow`` and, where there is one, ``T1_marrow_sd`` belong together.
    values, sd : ndarray of float, shape (n, p)
        Harmonized features and their standard deviations.

    Returns
    -------
    Saliency or None
        Scores, or None if no sequence has both a lesion and a marrow column. Where a table has no spread of marrow
        within patients, that between patients takes its place.
    """
    columns = _lesion_columns(names)
    if not columns:
        return None
    changes, spreads = [], []
    for own in columns.values():
        lesion, marrow = own["lesion"], own["marrow"]
        between = np.nanstd(values[:, marrow])
        within = np.maximum(values[:, own["marrow_sd"]], 0.0) if "marrow_sd" in own else between
        changes.append(values[:, lesion] - values[:, marrow])
        spreads.append(np.sqrt(within**2 + sd[:, lesion] ** 2 + sd[:, marrow] ** 2))
    return lesion_saliency(np.stack(changes, axis=1), np.stack(spreads, axis=1), tuple(columns))


def _lesion_columns(names: Ordered[str]) -> Mapping[Sequence, dict[str, int]]:
    found: dict[Sequence, dict[str, int]] = {}
    for number, name in enumerate(names):
        match = LESION_COLUMN.match(name)
        if match and match["sequence"] in TUMOR_DIRECTION:
            found.setdefault(Sequence(match["sequence"]), {})[match["what"]] = number
    return {s: own for s, own in found.items() if "lesion" in own and "marrow" in own}
