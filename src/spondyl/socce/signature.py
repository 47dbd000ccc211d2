"""The pseudo-genomic summary score: how high named gene sets rank within one patient's own expression.

Ranks of one sample need no other sample, so a patient's score never depends on the cohort, on its scale, or on any
transformation that keeps the order of genes.

References
----------
Foroutan 2018, BMC Bioinformatics 19:404, doi:10.1186/s12859-018-2435-4 (singscore, for sets expected to rise).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from spondyl.core.genes import GENE_SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_MISSING = 0.5
"""A set with a larger share of genes missing is not scored. Chosen by us."""

MIN_BACKGROUND = 50
"""Genes a sample must have in all, so that a rank means something. Chosen by us."""

SUMMARY_SETS = ("bone_metastasis", "osteoclast", "proliferation", "tgf_beta_stroma")
"""Sets whose mean is the summary score: those that mark aggressive growth in bone. Chosen by us; not validated."""

SUMMARY = "summary"


class SetScore(NamedTuple):
    """How high a gene set ranks in one sample.

    Parameters
    ----------
    score : float or None
        From -0.5, all genes of the set at the bottom, to 0.5, all at the top; 0 by chance. None where not assessable.
    missing : float
        Share of the set's genes that the sample lacks.
    note : str
        Why it is not assessable; empty otherwise.
    """

    score: float | None
    missing: float
    note: str = ""


def signature_scores(expression: Mapping[str, float]) -> dict[str, SetScore]:
    """Score one patient.

    Parameters
    ----------
    expression : mapping of str to float
        Expression by HGNC symbol, on any scale that keeps the order of genes; missing genes left out or NaN.

    Returns
    -------
    dict of str to SetScore
        One for each of `GENE_SETS`, then ``"summary"``.
    """
    genes = [g for g, v in expression.items() if np.isfinite(v)]
    ranks = dict(zip(genes, rankdata([expression[g] for g in genes]), strict=True))
    found = {name: _score(ranks, s.genes) for name, s in GENE_SETS.items()}
    parts = [found[name] for name in SUMMARY_SETS]
    known = [p.score for p in parts if p.score is not None]
    wanted = [g for name in SUMMARY_SETS for g in GENE_SETS[name].genes]
    missing = sum(g not in ranks for g in wanted) / len(wanted)
    if len(known) < len(parts):
        found[SUMMARY] = SetScore(None, missing, f"{len(parts) - len(known)} of its {len(parts)} sets cannot be scored")
    else:
        found[SUMMARY] = SetScore(float(np.mean(known)), missing)
    return found


def _score(ranks: Mapping[str, float], genes: tuple[str, ...]) -> SetScore:
    own = [ranks[g] for g in genes if g in ranks]
    missing = 1 - len(own) / len(genes)
    n, total = len(own), len(ranks)
    if total < MIN_BACKGROUND:
        return SetScore(None, missing, f"the sample has {total} genes, at least {MIN_BACKGROUND} are wanted")
    if missing > MAX_MISSING or n == total:
        return SetScore(None, missing, f"{missing:.0%} of its genes are missing")
    low, high = (n + 1) / 2, (2 * total - n + 1) / 2
    return SetScore(float((np.mean(own) - low) / (high - low) - 0.5), missing)


def signature_table(expression: pd.DataFrame) -> pd.DataFrame:
    """Score every patient by itself.

    Parameters
    ----------
    expression : DataFrame
        Rows by patient id, columns by HGNC symbol.

    Returns
    -------
    DataFrame
        A column for each set and the summary, NaN where not assessable, and ``genes_missing``, the share of the
        summary's genes.
    """
    rows = []
    names = [str(c) for c in expression.columns]
    values: NDArray[np.float64] = expression.to_numpy(np.float64, na_value=np.nan)
    for row in values:
        scores = signature_scores(dict(zip(names, row, strict=True)))
        own = {name: (np.nan if s.score is None else s.score) for name, s in scores.items()}
        rows.append(own | {"genes_missing": scores[SUMMARY].missing})
    return pd.DataFrame(rows, index=expression.index)
