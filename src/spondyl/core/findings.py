"""What an analysis says: vertebrae, lesions, and what limits the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Vertebra:
    """One vertebral body and the posterior elements that belong to it.

    Parameters
    ----------
    instance : int
        Its number in the label map ``"vertebrae"``, counted from the head down, from 1.
    level : str or None
        Level name, or None where it cannot be known.
    level_probability : float
        Probability of `level`, or of the best guess where `level` is None.
    level_uncertain : bool
        True where the reader must check the level before relying on it.
    level_reason : str
        Why the level is uncertain or missing; empty otherwise.
    centroid_lps_mm : tuple of float
        Centroid of the body in LPS mm.
    volume_mm3 : float
        Volume of the body, cortex included, in mm³.
    detection_confidence : float
        Mean probability of body inside its mask, from 0 to 1.
    at_edge : bool
        True where the field of view cuts the body.
    probabilities : mapping of str to float
        ``malignant``, ``benign`` and ``normal``, summing to 1: whether it is normal, and if not, what kind of finding
        decides. Empty where it was not judged.
    subtype : str or None
        Its most probable subtype, such as ``"modic_1"``; None where it was not judged.
    subtype_probabilities : mapping of str to float
        Of every subtype, summing to 1.
    prediction_set : tuple of str
        Those of the three classes that cannot be ruled out at the promised error rate, most probable first. Any number
        but one means indeterminate, if it was judged.
    uncertainty : float or None
        Normalized entropy of `probabilities`, from 0 to 1.
    """

    instance: int
    level: str | None
    level_probability: float
    level_uncertain: bool
    level_reason: str
    centroid_lps_mm: Point
    volume_mm3: float
    detection_confidence: float
    at_edge: bool = False
    probabilities: Mapping[str, float] = field(default_factory=dict, hash=False)
    subtype: str | None = None
    subtype_probabilities: Mapping[str, float] = field(default_factory=dict, hash=False)
    prediction_set: tuple[str, ...] = ()
    uncertainty: float | None = None

    def __post_init__(self) -> None:
        for name in ("probabilities", "subtype_probabilities"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


@dataclass(frozen=True)
class Measurement:
    """A number with its unit, how it was measured, and its interval.

    Parameters
    ----------
    name : str
        What it is.
    value : float or None
        None means not assessable, with the reason in `note`.
    unit : str
        UCUM unit of `value`, `low` and `high`.
    low, high : float or None
        Interval, where there is one.
    method, note : str
        How it was measured; what limits it.
    """

    name: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    method: str = ""
    note: str = ""


@dataclass(frozen=True)
class ScoreItem:
    """One item of a clinical score.

    Parameters
    ----------
    name : str
        The item, as the score's authors call it.
    found : str
        What was found, in words; empty where it is not known.
    low, high : float
        Fewest and most points it can have; equal where it is known.
    source : str
        ``"image"``, ``"form"`` or ``"derived"``; empty where it is not known.
    note : str
        What limits it, or what would settle it.
    """

    name: str
    found: str
    low: float
    high: float
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class Score(Measurement):
    """A clinical score: a measurement with the place it is about, its items, and the table it follows.

    `value` is None where the score cannot be told to one number; `low` and `high` then say what it can be, or are None,
    too, where nothing can be said.

    Parameters
    ----------
    name, value, unit, low, high, method, note
        As in `Measurement`.
    code : str
        Stable machine-readable name in lower_snake_case.
    level : str or None
        Level it is about; None for the whole patient.
    vertebra_instance : int or None
        That vertebra's number.
    lesion : int or None
        The lesion's number.
    category : str
        What the authors call this range; several joined by "or" where the interval spans them.
    items : tuple of ScoreItem
        Its items, where it has any.
    reference : str
        The paper.
    verified : bool
        False where the table was recalled and not yet checked against the paper.
    """

    code: str = ""
    level: str | None = None
    vertebra_instance: int | None = None
    lesion: int | None = None
    category: str = ""
    items: tuple[ScoreItem, ...] = ()
    reference: str = ""
    verified: bool = True


@dataclass(frozen=True, eq=False)
class Lesion:
    """One lesion candidate.

    Parameters
    ----------
    label : int
        Its number in the label map ``"lesions"``, from 1.
    vertebra_instance : int or None
        The vertebra it lies in, or None outside bone.
    level : str or None
        Level of that vertebra.
    volume_mm3 : float
        Volume in mm³.
    longest_diameter_mm : float
        Largest distance between two of its voxels in a slice of the reference series, in mm.
    centroid_lps_mm : tuple of float
        Centroid in LPS mm.
    probabilities : mapping of str to float
        ``malignant``, ``benign`` and ``normal``, summing to 1.
    confidence : float
        How firmly the image supports that this is a lesion, from 0 to 1.
    uncertainty : float
        Normalized entropy of `probabilities`, from 0 to 1.
    sequences_used : tuple of str
        The sequences that were looked at.
    measurements : tuple of Measurement
        Further numbers.
    compartment : str
        ``"bone"``, ``"epidural"``, ``"paraspinal"``, ``"intradural"`` or ``"intramedullary"``; empty if not judged.
    subtype : str or None
        Most probable subtype, such as ``"metastasis_lytic"``; None where it was not judged.
    subtype_probabilities : mapping of str to float
        Of every subtype, summing to 1; empty where it was not judged.
    prediction_set : tuple of str
        Those of the three classes that cannot be ruled out at the promised error rate, most probable first. Any number
        but one means indeterminate, if a subtype was judged.
    features : mapping of str to float
        How it looks, by feature name as in a cohort's imaging table; what could not be measured is left out.
    """

    label: int
    vertebra_instance: int | None
    level: str | None
    volume_mm3: float
    longest_diameter_mm: float
    centroid_lps_mm: Point
    probabilities: Mapping[str, float]
    confidence: float
    uncertainty: float
    sequences_used: tuple[str, ...]
    measurements: tuple[Measurement, ...] = ()
    compartment: str = ""
    subtype: str | None = None
    subtype_probabilities: Mapping[str, float] = field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    features: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("probabilities", "subtype_probabilities", "features"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


@dataclass(frozen=True)
class QualityFlag:
    """Something that limits the result: why a value is missing or doubtful.

    Parameters
    ----------
    code : str
        Stable machine-readable name in lower_snake_case.
    message : str
        One sentence for a reader, without identifiers.
    severity : str
        ``"info"``, ``"warning"`` or ``"error"``.
    where : str
        The sequence, series number or level concerned; empty for the whole study.
    """

    code: str
    message: str
    severity: str = "warning"
    where: str = ""


@dataclass(frozen=True, eq=False)
class StepRecord:
    """What one step of the analysis did.

    Parameters
    ----------
    name, version : str
        The step and its version.
    settings : mapping of str to object
        Its resolved settings.
    models : mapping of str to str
        Name of each model used and the SHA-256 of its weights.
    methods : str
        One or two sentences for a methods section.
    seconds : float
        Wall time.
    measurements : tuple of Measurement
        What it found out about images and itself on the way, for quality control.
    """

    name: str
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    methods: str = ""
    seconds: float = 0.0
    measurements: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))
