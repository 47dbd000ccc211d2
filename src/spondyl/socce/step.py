"""Seventh step of the road: measure how lesions look; with omics, place the patient among a reference cohort."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from spondyl import __version__
from spondyl.core import QualityFlag, StepRecord
from spondyl.core.omics import PatientOmics
from spondyl.socce.imaging import is_aligned, lead_lesion, lesions_features

if TYPE_CHECKING:
    from spondyl.core import Case

GIVEN = "_given"
"""Key of `Case.omics` under which the omics as read travel; like every key with an underscore in front, it does not get
into ``result.json``."""

SYNTHETIC_REFERENCE = QualityFlag(
    "synthetic_reference",
    "The reference cohort is synthetic: place and lesion token show how the method works, and say nothing of this "
    "patient. Signature scores and mutations are the patient's own.",
)


@dataclass(frozen=True)
class SocceSettings:
    """Settings of the step.

    Parameters
    ----------
    reference : str
        Path of an ``encoder.npz`` that ``spondyl cohort embed`` wrote; empty for the shipped synthetic cohort.
    """

    reference: str = ""


def embed_case(case: Case, settings: SocceSettings) -> Case:
    """Measure the lesions of a case, and place it.

    Parameters
    ----------
    case : Case
        Analyzed and aligned, with the patient's omics under `GIVEN` if there are any.
    settings : SocceSettings
        Which reference.

    Returns
    -------
    Case
        With the features of each lesion; with omics, ``summary``, ``socce`` and the map's points in `omics`.

    Raises
    ------
    ModelError
        If the reference is missing or damaged.
    """
    measured = zip(case.lesions, lesions_features(case), strict=True)
    case = case.with_(lesions=tuple(replace(own, features=features) for own, features in measured))
    given = case.omics.get(GIVEN)
    if not isinstance(given, PatientOmics):
        text = f"{_measured(case)}No omics were given."
        record = StepRecord("socce", __version__, asdict(settings), methods=text)
        return case.with_(history=(*case.history, record))
    from spondyl.socce.patient import feature_rows, placed, summary
    from spondyl.socce.reference import load_reference, map_points

    reference = load_reference(settings.reference)
    rows, notes = feature_rows(given, reference.model)
    lesion = lead_lesion(case)
    features = {} if lesion is None else dict(lesion.features)
    if features:
        rows["imaging"] = features
    found = placed(reference.model, rows, _scanner(case) if settings.reference else {})
    places, tokens = map_points(reference.model)
    omics: dict[str, Any] = {
        "summary": summary(given),
        "socce": found
        | {
            "lesion": None if lesion is None else lesion.label,
            "imaging_features": features,
            "imaging_scale": "aligned" if is_aligned(case) else "as acquired",
            "notes": list(notes),
            "reference": {**reference.card, "sha256": reference.sha256},
        },
        "_map": {"places": places, "tokens": tokens},
    }
    record = StepRecord(
        "socce",
        __version__,
        asdict(settings),
        models={"socce reference": reference.sha256},
        methods=(
            f"{_measured(case)}The patient was placed by {', '.join(found['modalities']) or 'nothing'} among a "
            f"reference cohort ({reference.card['data']}) with a product of experts over shared factors, and given the "
            f"most probable of {len(reference.model.codebook_.weights)} lesion tokens; signature scores are ranks "
            "within the sample."
        ),
    )
    case = case.with_(omics=omics, history=(*case.history, record))
    return case if settings.reference else case.flagged(SYNTHETIC_REFERENCE)


def _measured(case: Case) -> str:
    if not case.lesions:
        return ""
    where = "on the common scale" if is_aligned(case) else "on the images as acquired"
    return f"Lesions were measured {where} by features of the Image Biomarker Standardisation Initiative. "


def _scanner(case: Case) -> dict[str, object]:
    """What the headers tell of the scanner, in the words that cohorts use."""
    image = next(iter(case.images.values()), None)
    if image is None:
        return {}
    a = image.acquisition
    return {"vendor": a.vendor or None, "field": a.field_strength_t, "coil": a.coil or None}
