"""What genomics and pathology say of one patient: the record between its files and the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Variant:
    """A somatic variant.

    Parameters
    ----------
    gene : str
        HGNC symbol.
    kind : str
        ``Variant_Classification`` of the Mutation Annotation Format; empty where not annotated.
    protein_change : str
        Such as ``"p.V600E"``; empty where not known.
    """

    gene: str
    kind: str
    protein_change: str = ""


@dataclass(frozen=True, eq=False)
class PatientOmics:
    """Omics and pathology of one patient; any part may be missing.

    Parameters
    ----------
    primary : str
        Primary tumor in lower case, such as ``"breast"``; empty if not known.
    variants : tuple of Variant or None
        Somatic variants; None if not sequenced, empty if none was found.
    build : str
        ``"GRCh37"`` or ``"GRCh38"``; empty if not told.
    panel : str
        Name of the sequencing panel.
    panel_mb : float or None
        Coding sequence that was looked at, in megabases.
    expression : mapping of str to float
        Expression by HGNC symbol; empty if not measured.
    pathology : ndarray of float, shape (D,), or None
        Embedding of the slides, pooled.
    grade : mapping of str to object
        ``system``, ``grade`` and ``text`` of the biopsy; empty if not graded.
    sources : tuple of str
        Kinds of files it was read from.
    notes : tuple of str
        What was changed, left out or doubtful in reading.
    """

    primary: str = ""
    variants: tuple[Variant, ...] | None = None
    build: str = ""
    panel: str = ""
    panel_mb: float | None = None
    expression: Mapping[str, float] = field(default_factory=dict)
    pathology: NDArray[np.float64] | None = None
    grade: Mapping[str, object] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", MappingProxyType(dict(self.expression)))
        object.__setattr__(self, "grade", MappingProxyType(dict(self.grade)))
        if self.pathology is not None:
            vector = np.array(self.pathology, dtype=np.float64)
            vector.setflags(write=False)
            object.__setattr__(self, "pathology", vector)
