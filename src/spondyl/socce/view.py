"""One modality as it was learned: scale, alignment, encoder, eraser and loadings, applied to one patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spondyl.socce.alignment import JOINT, level_of
from spondyl.socce.fusion import factor_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from spondyl.socce.alignment import Alignment
    from spondyl.socce.erasure import Eraser
    from spondyl.socce.views import ViewScale

    Floats = NDArray[np.float64]


class ViewReading(NamedTuple):
    """What a modality says of one patient.

    Parameters
    ----------
    h, j : ndarray of float
        Evidence on all factors: precision times mean, and precision.
    flags : tuple of str
        What limits it.
    """

    h: Floats
    j: Floats
    flags: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class View:
    """A modality.

    Parameters
    ----------
    scale : ViewScale
        Features and their scale.
    alignment : Alignment or None
        Effects of scanners on features.
    encoder : ScoreEncoder
        Features to scores.
    eraser : Eraser or None
        What is erased from scores.
    loadings : ndarray of float, shape (k, D)
        How scores follow the factors.
    confounders : tuple of str
        Columns that name the scanner.
    """

    scale: ViewScale
    alignment: Alignment | None
    encoder: Any
    eraser: Eraser | None
    loadings: Floats
    confounders: tuple[str, ...] = ()

    def read(self, row: Floats, patient: Mapping[str, object]) -> ViewReading:
        """Read one patient.

        Parameters
        ----------
        row : ndarray of float, shape (p,)
            Standardized features; NaN where missing.
        patient : mapping of str to object
            Values of the confounders.

        Returns
        -------
        ViewReading
            Evidence, none if all is missing.
        """
        d = self.loadings.shape[1]
        known = np.isfinite(row)
        name = self.scale.modality
        if not known.any():
            return ViewReading(np.zeros(d), np.zeros((d, d)), (f"{name}_missing",))
        flags = [f"{name}_incomplete"] if known.mean() < 0.5 else []
        if self.alignment is not None:
            row, seen = self.alignment.apply(row, patient)
            flags += [] if seen else [f"{name}_scanner_unknown"]
        mean, precision = self.encoder.evidence(row)
        if self.eraser is not None:
            scanner = JOINT([level_of(patient.get(c)) for c in self.confounders])
            mean, precision = self.eraser.apply(mean, precision, scanner)
        h, j = factor_evidence(mean, precision, self.loadings)
        return ViewReading(h, j, tuple(flags))
