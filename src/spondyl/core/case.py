"""The record that every step takes and gives back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spondyl.core.findings import Lesion, Measurement, QualityFlag, StepRecord, Vertebra
    from spondyl.core.image import Image, LabelMap
    from spondyl.core.response import Response
    from spondyl.core.sequence import Sequence


@dataclass(frozen=True, eq=False)
class Case:
    """One imaging study of one patient.

    Frozen for real: arrays are read-only, mappings are proxies, and `with_` gives the next record.

    Parameters
    ----------
    case_id : str
        A pseudonym; never a DICOM PatientID.
    images : mapping of Sequence to Image
        The image used for each sequence, as acquired.
    reference : Sequence, optional
        The sequence whose grid carries every derived map and label map; None before one was chosen.
    others : tuple of Image
        Whatever else was read and may help: further b-values and echoes, an axial T2 beside a sagittal one.
    maps : mapping of str to Image
        Derived scalar volumes by name, such as ``"uncertainty"``.
    labels : mapping of str to LabelMap
        Derived label maps by name: ``"structures"`` (values of `Structure`), ``"vertebrae"`` (`Vertebra.instance`
        in body, cortex and posterior elements), ``"discs"`` and ``"lesions"`` (`Lesion.label`).
    vertebrae : tuple of Vertebra
        From the head down.
    lesions : tuple of Lesion
        Most suspicious first.
    scores : tuple of Measurement
        Clinical scores.
    omics, clinical, risk : mapping of str to object
        Further findings by their own modules; empty where there are none.
    response : Response or None
        Comparison with a prior study; None without one.
    quality : tuple of QualityFlag
        What limits the result.
    history : tuple of StepRecord
        What was done, in order.
    """

    case_id: str
    images: Mapping[Sequence, Image]
    reference: Sequence | None = None
    others: tuple[Image, ...] = ()
    maps: Mapping[str, Image] = field(default_factory=dict)
    labels: Mapping[str, LabelMap] = field(default_factory=dict)
    vertebrae: tuple[Vertebra, ...] = ()
    lesions: tuple[Lesion, ...] = ()
    scores: tuple[Measurement, ...] = ()
    omics: Mapping[str, Any] = field(default_factory=dict)
    clinical: Mapping[str, Any] = field(default_factory=dict)
    risk: Mapping[str, Any] = field(default_factory=dict)
    response: Response | None = None
    quality: tuple[QualityFlag, ...] = ()
    history: tuple[StepRecord, ...] = ()

    def __post_init__(self) -> None:
        for name in ("images", "maps", "labels", "omics", "clinical", "risk"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for name in ("others", "vertebrae", "lesions", "scores", "quality", "history"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def with_(self, **changes: Any) -> Case:
        """Give a new record with some fields replaced.

        Parameters
        ----------
        **changes : object
            New values by field name.

        Returns
        -------
        Case
            The changed record; this one stays as it is.
        """
        return replace(self, **changes)

    def flagged(self, *flags: QualityFlag) -> Case:
        """Give a new record with quality flags added.

        Parameters
        ----------
        *flags : QualityFlag
            What limits the result.

        Returns
        -------
        Case
            The record with the flags at the end of `quality`.
        """
        return self.with_(quality=self.quality + flags)
