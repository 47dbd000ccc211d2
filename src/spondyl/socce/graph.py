"""Which recorded circumstances of acquisition disturb which tables, and what is disease: declared, not discovered.

A confounder here is a column, such as the coil, that changes measurements and may go along with disease because
patients are not sent to scanners at random. The arrows are assumptions of the user; nothing in the data can prove them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from spondyl.core import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGING = "imaging"
"""The modality that every scanner column acts on unless declared otherwise."""

MODALITIES = ("imaging", "mutations", "expression", "pathology")
"""Tables a cohort may have."""

SITE_ACTS_ON = (IMAGING, "pathology")
"""What a column named ``site`` acts on unless declared otherwise: stains and slide scanners differ by laboratory."""


@dataclass(frozen=True)
class ConfounderGraph:
    """Declared causes.

    Parameters
    ----------
    acts_on : mapping of str to sequence of str
        For each confounder column the modalities whose measurement it changes.
    disease : tuple of str
        Columns that are disease: what they explain is never removed.

    Raises
    ------
    SettingsError
        If a modality is not known, or a column is declared as both.
    """

    acts_on: Mapping[str, Sequence[str]] = field(default_factory=dict)
    disease: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "acts_on", MappingProxyType({k: tuple(v) for k, v in self.acts_on.items()}))
        object.__setattr__(self, "disease", tuple(self.disease))
        both = sorted(set(self.acts_on) & set(self.disease))
        if both:
            msg = f"a column is either confounder or disease, {', '.join(both)} was declared as both; choose one"
            raise SettingsError(msg)
        unknown = sorted({m for targets in self.acts_on.values() for m in targets} - set(MODALITIES))
        if unknown:
            msg = f"a confounder acts on some of {', '.join(MODALITIES)}, got {', '.join(unknown)}"
            raise SettingsError(msg)

    def __reduce__(self) -> tuple[type[ConfounderGraph], tuple[dict[str, Sequence[str]], tuple[str, ...]]]:
        return ConfounderGraph, (dict(self.acts_on), self.disease)

    @classmethod
    def usual(cls, confounders: Sequence[str], disease: Sequence[str] = ()) -> ConfounderGraph:
        """Declare the usual arrows.

        Parameters
        ----------
        confounders : sequence of str
            Columns; each may carry its targets as ``"site:imaging+expression"``.
        disease : sequence of str, optional
            Columns that are disease.

        Returns
        -------
        ConfounderGraph
            Every confounder acts on imaging; ``site`` on pathology, too.
        """
        acts_on: dict[str, tuple[str, ...]] = {}
        for text in confounders:
            name, _, targets = text.partition(":")
            usual = SITE_ACTS_ON if name == "site" else (IMAGING,)
            acts_on[name] = tuple(targets.split("+")) if targets else usual
        return cls(acts_on, tuple(disease))

    def confounders_of(self, modality: str) -> tuple[str, ...]:
        """Give the columns that act on a modality.

        Parameters
        ----------
        modality : str
            One of `MODALITIES`.

        Returns
        -------
        tuple of str
            In the order declared.
        """
        return tuple(name for name, targets in self.acts_on.items() if modality in targets)

    def sentences(self) -> tuple[str, ...]:
        """Say what was declared.

        Returns
        -------
        tuple of str
            One sentence for each arrow from a confounder, and one for disease.
        """
        said = [f"{name} changes what is measured in {' and '.join(on)}" for name, on in self.acts_on.items()]
        kept = ", ".join(self.disease) or "nothing beside the omics"
        return (*said, f"declared as disease, so never removed: {kept}")
